//! A channel's spectrum at one moment, and its peak.

use super::store::Store;
use audio_dsp::{FLOOR_DB, Stft};

/// The greatest level of a spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Peak {
    pub(super) hz: f64,
    pub(super) level_db: f32,
}

/// Levels of a transform that ends at a frame.
#[derive(Debug, Default)]
pub(super) struct Spectrum {
    samples: Vec<f32>,
    /// In dBFS, by bin.
    pub(super) levels_db: Vec<f32>,
    /// Whether all of its samples were captured and are there.
    pub(super) whole: bool,
}

impl Spectrum {
    pub(super) fn take(&mut self, store: &Store, channel: usize, end: u64, stft: &mut Stft) {
        let frames = stft.frames();
        self.samples.resize(frames, 0.0);
        self.levels_db.resize(stft.bins(), FLOOR_DB);
        let from = end.saturating_sub(frames as u64);
        self.whole = end >= frames as u64 && store.is_whole(from, end);
        store.copy(channel, from, &mut self.samples);
        stft.levels_db(&self.samples, &mut self.levels_db);
    }

    /// The peak at or above a frequency: a parabola through the decibels of the greatest bin and its two neighbours. Right
    /// within 0.05 bins and 0.2 dB for one tone in a Hann window.
    pub(super) fn peak(&self, low_hz: f64, rate_hz: u32) -> Option<Peak> {
        let bins = self.levels_db.len();
        if bins < 3 {
            return None;
        }
        let bin_hz = f64::from(rate_hz) / (2 * (bins - 1)) as f64;
        let first = (1..bins - 1).find(|bin| *bin as f64 * bin_hz >= low_hz)?;
        let greatest = (first..bins - 1).max_by(|a, b| self.levels_db[*a].total_cmp(&self.levels_db[*b]))?;
        let [below, level, above] = [greatest - 1, greatest, greatest + 1].map(|bin| self.levels_db[bin]);
        let bend = below - 2.0 * level + above;
        let part = if bend < 0.0 { (0.5 * (below - above) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        let hz = (greatest as f64 + f64::from(part)) * bin_hz;
        Some(Peak { hz, level_db: level - 0.25 * (below - above) * part })
    }
}

/// A frequency's note in equal temperament at 440 Hz, and how many hundredths of a semitone it is off, such as `A4 +12`.
pub(super) fn note(hz: f64) -> Option<String> {
    const NAMES: [&str; 12] = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
    if !(16.0..20_000.0).contains(&hz) {
        return None;
    }
    // Semitones above the C of octave 0.
    let semitones = 12.0 * (hz / 440.0).log2() + 57.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of an audible frequency")]
    let nearest = semitones.round().max(0.0) as usize;
    let cents = (semitones - semitones.round()) * 100.0;
    Some(format!("{}{} {:+.0}", NAMES[nearest % 12], nearest / 12, cents + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use audio_dsp::Window;

    #[test]
    fn a_tone_is_found_between_bins() {
        for hz in [100.0_f64, 440.0, 997.3, 5_000.0, 11_717.0] {
            let mut store = Store::new(1, 48_000);
            let tone = |frame: u32| (std::f64::consts::TAU * hz * f64::from(frame) / 48_000.0).sin() as f32 * 0.5;
            let samples: Vec<f32> = (0..4_096).map(tone).collect();
            store.push(0, &samples, samples.len(), &[]);
            let (mut spectrum, mut stft) = (Spectrum::default(), Stft::new(Window::Hann, 4_096).unwrap());
            spectrum.take(&store, 0, 4_096, &mut stft);
            let peak = spectrum.peak(20.0, 48_000).unwrap();
            assert!((peak.hz - hz).abs() < 0.05 * 48_000.0 / 4_096.0, "{hz}: {peak:?}");
            assert!((peak.level_db + 6.02).abs() < 0.2, "{hz}: {peak:?}");
            assert!(spectrum.whole);
            spectrum.take(&store, 0, 4_095, &mut stft);
            assert!(!spectrum.whole);
        }
    }

    #[test]
    fn notes_are_named() {
        assert_eq!(note(440.0).as_deref(), Some("A4 +0"));
        assert_eq!(note(261.63).as_deref(), Some("C4 +0"));
        assert_eq!(note(450.0).as_deref(), Some("A4 +39"));
        assert_eq!(note(0.0), None);
        assert_eq!(note(f64::NAN), None);
    }
}

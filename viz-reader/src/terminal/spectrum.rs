//! A channel's spectrum at one moment, and its peak.

use super::store::Store;
use audio_dsp::{FLOOR_DB, Stft, Window};

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

    /// The peak at or above a frequency, between the bins: right for one tone within 0.05 bins and 0.1 dB
    /// (0.5 dB without a window).
    pub(super) fn peak(&self, low_hz: f64, rate_hz: u32, lobe: &Lobe) -> Option<Peak> {
        let bins = self.levels_db.len();
        if bins < 3 {
            return None;
        }
        let bin_hz = f64::from(rate_hz) / (2 * (bins - 1)) as f64;
        let first = (1..bins - 1).find(|bin| *bin as f64 * bin_hz >= low_hz)?;
        let greatest = (first..bins - 1).max_by(|a, b| self.levels_db[*a].total_cmp(&self.levels_db[*b]))?;
        let [below, level, above] = [greatest - 1, greatest, greatest + 1].map(|bin| self.levels_db[bin]);
        let point = lobe.at(above - below);
        let hz = (greatest as f64 + f64::from(point.off)) * bin_hz;
        Some(Peak { hz, level_db: level + point.loss_db })
    }
}

/// A window's main lobe: where a tone lies between two bins follows from how the greatest bin's neighbours differ, and
/// what that bin shows too little from where it lies.
#[derive(Debug)]
pub(super) struct Lobe {
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    /// By how much the bin above is louder than the one below, in dB.
    tilt_db: f32,
    /// How far above the greatest bin the tone is, in bins.
    off: f32,
    /// By how much it is louder than that bin.
    loss_db: f32,
}

impl Lobe {
    /// Points between half a bin below and half a bin above.
    const POINTS: i32 = 64;
    /// Of a window's samples its lobe hardly depends on their number.
    const FRAMES: usize = 256;

    pub(super) fn new(window: Window) -> Self {
        let coefficients = window.coefficients(Self::FRAMES);
        let gain: f64 = coefficients.iter().sum();
        // The window's transform, so many bins away from its middle, in dB.
        let db_at = |bins: f64| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, coefficient) in coefficients.iter().enumerate() {
                let angle = std::f64::consts::TAU * bins * n as f64 / Self::FRAMES as f64;
                re += coefficient * angle.cos();
                im += coefficient * angle.sin();
            }
            20.0 * (re.hypot(im) / gain).log10()
        };
        let point = |step: i32| {
            // Beside the zeros of the rectangular window.
            let off = (f64::from(step) + 1e-3) / f64::from(Self::POINTS);
            #[expect(clippy::cast_possible_truncation, reason = "readings")]
            let point = Point {
                tilt_db: (db_at(1.0 - off) - db_at(-1.0 - off)) as f32,
                off: off as f32,
                loss_db: -db_at(off) as f32,
            };
            point
        };
        Self { points: (-Self::POINTS / 2..=Self::POINTS / 2).map(point).collect() }
    }

    /// The point of a tilt, between those that are known.
    fn at(&self, tilt_db: f32) -> Point {
        let above = self.points.partition_point(|point| point.tilt_db < tilt_db).clamp(1, self.points.len() - 1);
        let (a, b) = (self.points[above - 1], self.points[above]);
        let part = ((tilt_db - a.tilt_db) / (b.tilt_db - a.tilt_db)).clamp(0.0, 1.0);
        let between = |a: f32, b: f32| a + part * (b - a);
        Point { tilt_db, off: between(a.off, b.off), loss_db: between(a.loss_db, b.loss_db) }
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

    #[test]
    fn a_tone_is_found_between_bins_in_every_window() {
        let tones = [100.0_f64, 440.0, 997.3, 5_000.0, 11_717.0];
        for (window, hz) in Window::ALL.into_iter().flat_map(|window| tones.map(|hz| (window, hz))) {
            let mut store = Store::new(1, 48_000);
            let tone = |frame: u32| (std::f64::consts::TAU * hz * f64::from(frame) / 48_000.0).sin() as f32 * 0.5;
            let samples: Vec<f32> = (0..4_096).map(tone).collect();
            store.push(0, &samples, samples.len(), &[]);
            let (mut spectrum, mut stft) = (Spectrum::default(), Stft::new(window, 4_096).unwrap());
            spectrum.take(&store, 0, 4_096, &mut stft);
            let peak = spectrum.peak(20.0, 48_000, &Lobe::new(window)).unwrap();
            assert!((peak.hz - hz).abs() < 0.05 * 48_000.0 / 4_096.0, "{window}, {hz}: {peak:?}");
            // Without a window the tone's own mirror leaks in.
            let tolerance_db = if window == Window::Rectangular { 0.5 } else { 0.1 };
            assert!((peak.level_db + 6.0206).abs() < tolerance_db, "{window}, {hz}: {peak:?}");
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

//! Peaks between samples.
//!
//! Oversampled as ITU-R BS.1770-4, annex 2 asks: four times below 96 kHz, twice below 192 kHz, not at all from there
//! on. The interpolator is a Kaiser-windowed sinc of 24 taps a phase, twice the annex's, so that noise up to the end of
//! the band is measured too. The first phase is the samples themselves.

use crate::sample::finite;
use crate::sinc::bessel_i0;
use std::f64::consts::PI;
use std::ops::Range;

const TAPS: usize = 24;
/// Side lobes below -60 dB.
const KAISER_BETA: f64 = 6.0;

/// Measures the true peak of a planar signal as it goes by.
#[derive(Debug, Clone)]
pub struct TruePeak {
    /// The phases between samples.
    phases: Vec<[f32; TAPS]>,
    /// The last `TAPS - 1` samples of each channel, and room for as many new ones.
    held: Vec<[f32; 2 * TAPS - 1]>,
    peak: f32,
}

impl TruePeak {
    /// For so many channels.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize) -> Self {
        let oversampling = match rate_hz {
            0..96_000 => 4,
            96_000..192_000 => 2,
            _ => 1,
        };
        let phases = (1..oversampling).map(|phase| phase_at(f64::from(phase) / f64::from(oversampling))).collect();
        Self { phases, held: vec![[0.0; 2 * TAPS - 1]; channels], peak: 0.0 }
    }

    /// Takes one more block, `[channels][frames]`. Samples that are no finite numbers count as silence.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn push(&mut self, planar: &[f32], frames: usize) {
        self.push_part(planar, frames, 0..frames);
    }

    /// As [`push`](Self::push), of these frames of the block alone: where a reading ends within a block.
    ///
    /// # Panics
    /// As there, and when the part lies outside of the block.
    pub fn push_part(&mut self, planar: &[f32], frames: usize, part: Range<usize>) {
        assert_eq!(planar.len(), self.held.len() * frames, "planar is [channels][frames]");
        if part.is_empty() {
            return;
        }
        for (held, samples) in self.held.iter_mut().zip(planar.chunks_exact(frames)) {
            for piece in samples[part.clone()].chunks(TAPS) {
                let end = TAPS - 1 + piece.len();
                held[TAPS - 1..end].iter_mut().zip(piece).for_each(|(held, &sample)| *held = finite(sample));
                for &sample in &held[TAPS - 1..end] {
                    self.peak = self.peak.max(sample.abs());
                }
                for window in held[..end].windows(TAPS) {
                    for phase in &self.phases {
                        let between: f32 = window.iter().zip(phase).map(|(sample, tap)| sample * tap).sum();
                        self.peak = self.peak.max(between.abs());
                    }
                }
                held.copy_within(piece.len()..end, 0);
            }
        }
    }

    /// The largest magnitude between and at samples since the last time; 1 is full scale.
    pub fn take(&mut self) -> f32 {
        std::mem::take(&mut self.peak)
    }

    /// The same, and goes on.
    #[must_use]
    pub const fn peak(&self) -> f32 {
        self.peak
    }
}

/// The kernel for a position so far behind the sample before the middle.
fn phase_at(offset: f64) -> [f32; TAPS] {
    let half = TAPS as f64 / 2.0;
    let value = |tap: usize| {
        let x = tap as f64 - (half - 1.0) - offset;
        let window = bessel_i0(KAISER_BETA * (1.0 - (x / half).powi(2)).max(0.0).sqrt());
        (PI * x).sin() / (PI * x) * window
    };
    let sum: f64 = (0..TAPS).map(value).sum();
    #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
    std::array::from_fn(|tap| (value(tap) / sum) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
    fn peak_of(rate_hz: u32, hz: f64, phase_degrees: f64, block: usize) -> f32 {
        let mut meter = TruePeak::new(rate_hz, 1);
        let angle = |n: usize| TAU * hz * n as f64 / f64::from(rate_hz) + phase_degrees.to_radians();
        // Fades in, as annex 2's tones do: an abrupt beginning has true peaks of its own.
        let samples: Vec<f32> =
            (0..9_600).map(|n| (0.5 * (n as f64 / 4_800.0).min(1.0) * angle(n).sin()) as f32).collect();
        samples.chunks(block).for_each(|part| meter.push(part, part.len()));
        meter.take()
    }

    /// EBU Tech 3341, cases 15 to 19: a tone of a quarter, a sixth, an eighth of the rate, at the phases whose samples
    /// lie lowest; +0.2 and -0.4 dB are allowed.
    #[test]
    fn tones_between_samples() {
        for (divisor, phase) in
            [(4.0, 0.0), (4.0, 45.0), (6.0, 60.0), (8.0, 67.5), (48.0, 3.0), (3.0, 30.0), (2.6, 11.0)]
        {
            for rate_hz in [44_100, 48_000] {
                let db = 20.0 * (peak_of(rate_hz, f64::from(rate_hz) / divisor, phase, 777) / 0.5).log10();
                assert!((-0.4..0.2).contains(&db), "a {divisor}th at {phase} degrees: {db} dB");
            }
        }
        let db = 20.0 * (peak_of(96_000, 24_000.0, 45.0, 480) / 0.5).log10();
        assert!((-0.4..0.2).contains(&db), "{db}");
    }

    #[test]
    fn from_192_khz_on_samples_are_enough() {
        assert!(TruePeak::new(192_000, 1).phases.is_empty());
        assert_eq!(TruePeak::new(96_000, 1).phases.len(), 1);
    }

    #[test]
    fn cuts_do_not_show_and_poison_is_silence() {
        assert_eq!(peak_of(48_000, 9_999.0, 20.0, 1), peak_of(48_000, 9_999.0, 20.0, 9_600));
        let mut meter = TruePeak::new(48_000, 2);
        meter.push(&[f32::NAN, f32::INFINITY, 0.25, 0.0], 2);
        assert!(meter.peak() >= 0.25 && meter.take() < 0.3 && meter.take() == 0.0);
    }
}

//! A high-pass: takes rumble, wind and handling noise away.

use crate::biquad::{Biquad, Coefficients};

/// How steeply it falls below its frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slope {
    /// 12 dB an octave.
    Db12,
    /// 24 dB an octave.
    Db24,
}

/// Butterworth high-pass of second or fourth order: 3 dB down at its frequency. Off, it passes every bit.
#[derive(Debug, Clone)]
pub struct HighPass {
    rate_hz: u32,
    glide_frames: u32,
    stages: [Biquad; 2],
}

/// The Q of a Butterworth filter's stages: `1 / (2 cos(angle of the pole))`.
const Q_12: f64 = std::f64::consts::FRAC_1_SQRT_2;
const Q_24: [f64; 2] = [0.541_196_100_146_197, 1.306_562_964_876_377];

impl HighPass {
    /// Off, for so many channels; changes glide for so many frames.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize, glide_frames: u32) -> Self {
        Self { rate_hz, glide_frames, stages: [Biquad::new(channels), Biquad::new(channels)] }
    }

    /// Sets frequency and slope; `None` is off.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn set(&mut self, setting: Option<(f64, Slope)>) {
        let stage = |hz, q| Coefficients::high_pass(self.rate_hz, hz, q);
        let coefficients = match setting {
            None => [Coefficients::IDENTITY; 2],
            Some((hz, Slope::Db12)) => [stage(hz, Q_12), Coefficients::IDENTITY],
            Some((hz, Slope::Db24)) => Q_24.map(|q| stage(hz, q)),
        };
        for (stage, coefficients) in self.stages.iter_mut().zip(coefficients) {
            stage.glide_to(coefficients, self.glide_frames);
        }
    }

    /// Filters in place, `[channels][frames]`; see [`Biquad::process`].
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        self.stages.iter_mut().for_each(|stage| stage.process(planar, frames));
    }

    /// Whether it passes every bit from now on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.stages.iter().all(Biquad::is_identity)
    }

    /// Forgets the signal and jumps to what is set.
    pub fn reset(&mut self) {
        self.stages.iter_mut().for_each(Biquad::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level in dB that a tone of 1 comes out with.
    #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
    fn level_of(filter: &mut HighPass, hz: f64) -> f64 {
        filter.reset();
        let turn = std::f64::consts::TAU * hz / 48_000.0;
        let mut samples: Vec<f32> = (0..96_000).map(|n| (turn * f64::from(n)).sin() as f32).collect();
        filter.process(&mut samples, 96_000);
        let power: f64 = samples[48_000..].iter().map(|&sample| f64::from(sample).powi(2)).sum();
        10.0 * (2.0 * power / 48_000.0).log10()
    }

    #[test]
    fn both_slopes_are_3_db_down_at_their_frequency() {
        let mut filter = HighPass::new(48_000, 1, 480);
        for (slope, octave_db) in [(Slope::Db12, -12.3), (Slope::Db24, -24.1)] {
            filter.set(Some((100.0, slope)));
            assert!((level_of(&mut filter, 100.0) + 3.01).abs() < 0.02);
            assert!((level_of(&mut filter, 50.0) - octave_db).abs() < 0.1);
            assert!(level_of(&mut filter, 2_000.0).abs() < 0.01);
        }
        filter.set(None);
        assert!(level_of(&mut filter, 50.0).abs() < 1e-3);
    }
}

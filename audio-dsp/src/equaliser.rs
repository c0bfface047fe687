//! An equaliser of three bands: a low shelf, a peak, a high shelf.

use crate::biquad::{Biquad, Coefficients};

/// The largest boost or cut of a band, in dB.
pub const BAND_DB_MAX: f64 = 24.0;

/// What the bands are set to. Gains are in dB, within [`BAND_DB_MAX`]; a band at 0 dB passes every bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// The low shelf: its gain, and where half of it is reached.
    pub low_db: f64,
    /// See `low_db`.
    pub low_hz: f64,
    /// The peak: its gain, its frequency, and that divided by its width.
    pub mid_db: f64,
    /// See `mid_db`.
    pub mid_hz: f64,
    /// See `mid_db`.
    pub mid_q: f64,
    /// The high shelf: its gain, and where half of it is reached.
    pub high_db: f64,
    /// See `high_db`.
    pub high_hz: f64,
}

impl Default for Bands {
    /// 200 Hz, 1 kHz, 5 kHz, all at 0 dB.
    fn default() -> Self {
        Self { low_db: 0.0, low_hz: 200.0, mid_db: 0.0, mid_hz: 1_000.0, mid_q: 0.7, high_db: 0.0, high_hz: 5_000.0 }
    }
}

/// The equaliser of a planar signal.
#[derive(Debug, Clone)]
pub struct Equaliser {
    rate_hz: u32,
    glide_frames: u32,
    stages: [Biquad; 3],
}

impl Equaliser {
    /// Off, for so many channels; changes glide for so many frames.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize, glide_frames: u32) -> Self {
        Self { rate_hz, glide_frames, stages: std::array::from_fn(|_| Biquad::new(channels)) }
    }

    /// Sets the bands; `None` is off.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn set(&mut self, bands: Option<Bands>) {
        let bands = bands.unwrap_or_default();
        let band = |gain_db: f64, make: &dyn Fn(f64) -> Coefficients| {
            let gain_db = gain_db.clamp(-BAND_DB_MAX, BAND_DB_MAX);
            if gain_db == 0.0 { Coefficients::IDENTITY } else { make(gain_db) }
        };
        let coefficients = [
            band(bands.low_db, &|db| Coefficients::low_shelf(self.rate_hz, bands.low_hz, db)),
            band(bands.mid_db, &|db| Coefficients::peak(self.rate_hz, bands.mid_hz, bands.mid_q.max(0.1), db)),
            band(bands.high_db, &|db| Coefficients::high_shelf(self.rate_hz, bands.high_hz, db)),
        ];
        for (stage, coefficients) in self.stages.iter_mut().zip(coefficients) {
            stage.glide_to(coefficients, self.glide_frames);
        }
    }

    /// Filters in place, `[channels][frames]`; see [`Biquad::process`].
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        self.stages.iter_mut().for_each(|stage| stage.process(planar, frames));
    }

    /// Whether it passes every bit from now on: it is off, or all its bands are at 0 dB.
    #[must_use]
    pub fn is_flat(&self) -> bool {
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

    fn impulse(equaliser: &mut Equaliser) -> Vec<f32> {
        equaliser.reset();
        let mut samples = vec![0.0; 48_000];
        samples[0] = 1.0;
        equaliser.process(&mut samples, 48_000);
        samples
    }

    /// The level of the impulse response at a frequency, in dB.
    fn level_at(response: &[f32], hz: f64) -> f64 {
        let turn = std::f64::consts::TAU * hz / 48_000.0;
        let (re, im) = response.iter().enumerate().fold((0.0, 0.0), |(re, im), (n, &sample)| {
            let (sin, cos) = (turn * n as f64).sin_cos();
            (re + f64::from(sample) * cos, im + f64::from(sample) * sin)
        });
        20.0 * re.hypot(im).log10()
    }

    #[test]
    fn each_band_does_what_it_is_set_to() {
        let mut equaliser = Equaliser::new(48_000, 1, 480);
        equaliser.set(Some(Bands { low_db: 6.0, ..Bands::default() }));
        let response = impulse(&mut equaliser);
        assert!((level_at(&response, 20.0) - 6.0).abs() < 0.1 && level_at(&response, 5_000.0).abs() < 0.1);
        equaliser.set(Some(Bands { mid_db: -40.0, high_db: 3.0, ..Bands::default() }));
        let response = impulse(&mut equaliser);
        assert!((level_at(&response, 1_000.0) + 24.0).abs() < 0.2, "bounded");
        assert!((level_at(&response, 22_000.0) - 3.0).abs() < 0.2);
    }

    #[test]
    fn off_and_at_0_db_it_passes_every_bit() {
        let mut equaliser = Equaliser::new(48_000, 1, 480);
        for bands in [None, Some(Bands::default())] {
            equaliser.set(Some(Bands { low_db: 9.0, mid_db: f64::NAN, ..Bands::default() }));
            equaliser.set(bands);
            let response = impulse(&mut equaliser);
            assert!(response[0] == 1.0 && response[1..].iter().all(|&sample| sample == 0.0));
        }
    }
}

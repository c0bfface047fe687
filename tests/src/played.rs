//! What a virtual output played: the file that it writes.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Frames a second of the output, and its channels.
const RATE_HZ: usize = 48_000;
const CHANNELS: usize = 2;

/// A virtual output of two channels at 48 kHz, and what it has played.
#[derive(Debug)]
pub struct Played {
    path: PathBuf,
}

impl Played {
    /// An output that plays into this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("played.f32") }
    }

    /// What `--output` takes; `options` as in `stall_after_s=1`.
    #[must_use]
    pub fn device(&self, options: &str) -> String {
        format!("virtual:{}?{options}", self.path.display())
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.path.metadata().map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(0) / 4 / CHANNELS)
    }

    /// The first channel from a frame on; both are alike.
    ///
    /// # Errors
    /// When they are not, or there is no file.
    pub fn from(&self, frame: usize) -> Result<Vec<f32>> {
        let bytes = std::fs::read(&self.path).with_context(|| self.path.display().to_string())?;
        let samples: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let frames = samples.chunks_exact(CHANNELS).skip(frame);
        frames
            .map(|frame| {
                ensure!(frame[0].to_bits() == frame[1].to_bits(), "the channels differ: {frame:?}");
                Ok(frame[0])
            })
            .collect()
    }

    /// The last half second.
    ///
    /// # Errors
    /// As [`from`](Self::from), and when there is less.
    pub fn newest(&self) -> Result<Vec<f32>> {
        let frames = self.frames();
        ensure!(frames > RATE_HZ / 2, "{frames} frames so far");
        self.from(frames - RATE_HZ / 2)
    }
}

/// How far these samples are from a tone of about this frequency, in dB below it: what is left when the sine that fits
/// best is taken away. Clocks may be some millionths apart.
#[must_use]
pub fn beside_tone_db(samples: &[f32], hz: f64) -> f64 {
    let residue = |ppm: f64| {
        let step = std::f64::consts::TAU * hz * (1.0 + ppm * 1e-6) / RATE_HZ as f64;
        let (mut a, mut b, mut n) = (0.0, 0.0, 0.0);
        for &sample in samples {
            a += f64::from(sample) * (step * n).sin();
            b += f64::from(sample) * (step * n).cos();
            n += 1.0;
        }
        let (a, b) = (2.0 * a / n, 2.0 * b / n);
        let (mut rest, mut all, mut n) = (0.0, 1e-20, 0.0);
        for &sample in samples {
            rest += (f64::from(sample) - a * (step * n).sin() - b * (step * n).cos()).powi(2);
            all += f64::from(sample).powi(2);
            n += 1.0;
        }
        10.0 * (rest / all + 1e-20_f64).log10()
    };
    (-50..=50).map(|n| residue(f64::from(n) * 4.0)).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::beside_tone_db;

    #[test]
    fn a_gap_in_a_tone_is_noticed() {
        #[expect(clippy::cast_possible_truncation, reason = "samples")]
        let sample = |n: i32| (std::f64::consts::TAU * 1_000.02 * f64::from(n) / 48_000.0).sin() as f32;
        let mut tone: Vec<f32> = (0..24_000).map(sample).collect();
        assert!(beside_tone_db(&tone, 1_000.0) < -70.0);
        tone[5_000..5_048].fill(0.0);
        assert!(beside_tone_db(&tone, 1_000.0) > -30.0);
    }
}

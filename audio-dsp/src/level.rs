//! How loud a signal is.

use crate::meter::peak_and_squares;

/// Peak and root mean square of planar blocks, over as many of them as it takes until somebody looks.
#[derive(Debug, Clone)]
pub struct LevelSum {
    peak: f32,
    /// The sum of squares of each channel.
    squares: Vec<f64>,
    frames: usize,
}

impl LevelSum {
    /// For a signal of so many channels.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        Self { peak: 0.0, squares: vec![0.0; channels], frames: 0 }
    }

    /// Takes one more block. Samples that are no finite numbers count as silence.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn push(&mut self, planar: &[f32], frames: usize) {
        assert_eq!(planar.len(), self.squares.len() * frames, "planar is [channels][frames]");
        if frames == 0 {
            return;
        }
        for (channel, squares) in planar.chunks_exact(frames).zip(&mut self.squares) {
            let (peak, sum) = peak_and_squares(channel);
            self.peak = self.peak.max(peak);
            *squares += sum;
        }
        self.frames += frames;
    }

    /// Frames taken since the last [`LevelSum::take`].
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// The largest sample of any channel, and the root mean square of the loudest one, since the last time; 1 is full
    /// scale.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a level needs no more than f32")]
    pub fn take(&mut self) -> (f32, f32) {
        let loudest = self.squares.iter().copied().fold(0.0, f64::max);
        let rms = (loudest / self.frames.max(1) as f64).sqrt() as f32;
        let peak = std::mem::take(&mut self.peak);
        self.squares.fill(0.0);
        self.frames = 0;
        (peak, rms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_has_its_level_in_any_blocks() {
        let sine: Vec<f32> =
            (0..48_000_u16).map(|n| 0.5 * (f32::from(n) * std::f32::consts::TAU / 48.0).sin()).collect();
        for block in [1, 7, 480, 48_000] {
            let mut level = LevelSum::new(2);
            for part in sine.chunks(block) {
                let planar = [vec![0.0; part.len()], part.to_vec()].concat();
                level.push(&planar, part.len());
            }
            assert_eq!(level.frames(), 48_000);
            let (peak, rms) = level.take();
            assert!((peak - 0.5).abs() < 1e-4 && (rms - 0.5 / 2.0_f32.sqrt()).abs() < 1e-4, "{peak} {rms}");
            assert_eq!(level.take(), (0.0, 0.0));
        }
    }

    #[test]
    fn what_is_no_number_is_silence() {
        let mut level = LevelSum::new(1);
        level.push(&[f32::NAN, 0.25, f32::INFINITY, 0.25], 4);
        let (peak, rms) = level.take();
        assert_eq!(peak, 0.25);
        assert!((rms - 0.25 / 2.0_f32.sqrt()).abs() < 1e-6, "the others count: {rms}");
    }
}

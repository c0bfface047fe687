//! The sum of all tracks, block by block: a ring of its own.
//!
//! It has as many channels as it was made with: those of the widest source that the engine began with. A wider source that
//! comes later is folded into them as [`mix_into`] says.

use crate::feed::pack;
use crate::lane::Lane;
use crate::vitals::Gauge;
use audio_dsp::mix_into;
use shm_layout::{FrameIndex, RingWriter};

/// The mix, and the block of it that is being summed.
pub struct Mix {
    ring: RingWriter,
    gauge: Gauge,
    channels: usize,
    block_frames: usize,
    /// `[channels][block_frames]`.
    planar: Vec<f32>,
}

impl Mix {
    /// A mix into this ring.
    #[must_use]
    pub fn new(ring: RingWriter, gauge: Gauge, block_frames: usize) -> Self {
        let channels = ring.channels() as usize;
        Self { ring, gauge, channels, block_frames, planar: vec![0.0; channels * block_frames] }
    }

    /// The next frame of its ring.
    pub(crate) const fn next_frame(&self) -> FrameIndex {
        self.ring.next_frame()
    }

    /// Begins a block, with nothing in it.
    ///
    /// # Real time
    /// Wait-free, as all below.
    pub(crate) fn clear(&mut self) {
        self.planar.fill(0.0);
    }

    /// Adds the first `frames` frames of a track's block.
    pub(crate) fn add(&mut self, lane: &Lane, frames: usize) {
        let planar = lane.planar(frames);
        if frames == self.block_frames {
            mix_into(&mut self.planar, self.channels, planar, lane.channels(), frames);
            return;
        }
        add_short(&mut self.planar, self.block_frames, planar, frames);
    }

    /// Writes the first `frames` frames of the block.
    pub(crate) fn write(&mut self, frames: usize) {
        if frames < self.block_frames {
            pack(&mut self.planar, self.block_frames, frames);
        }
        let planar = &self.planar[..self.channels * frames];
        self.ring.write(planar, frames);
        self.gauge.push(planar, frames);
    }

    /// Closes its ring. Frees memory: not on the tick's thread.
    pub fn close(self) {
        self.ring.close();
    }
}

/// As [`mix_into`], for a source's last, shorter block: its planes are closer together than the sum's.
fn add_short(sum: &mut [f32], stride: usize, planar: &[f32], frames: usize) {
    let (sum_channels, frames) = (sum.len() / stride, frames.max(1));
    let channels = planar.len() / frames;
    for (to, plane) in sum.chunks_exact_mut(stride).enumerate() {
        for (from, samples) in planar.chunks_exact(frames).enumerate() {
            if sum_channels == 1 {
                #[expect(clippy::cast_precision_loss, reason = "64 at most")]
                let share = 1.0 / channels as f32;
                plane.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += share * sample);
            } else if channels == 1 || from % sum_channels == to {
                plane.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
            }
        }
    }
}

impl std::fmt::Debug for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mix")
            .field("channels", &self.channels)
            .field("next", &self.next_frame())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_block_is_summed_as_a_whole_one() {
        const BLOCK: usize = 8;
        for (sum_channels, channels) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 5), (3, 2), (4, 4)] {
            for frames in 1..BLOCK {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let planar: Vec<f32> = (0..channels * frames).map(|n| n as f32 + 1.0).collect();
                let mut whole = vec![0.5; sum_channels * frames];
                mix_into(&mut whole, sum_channels, &planar, channels, frames);
                let mut short = vec![0.5; sum_channels * BLOCK];
                add_short(&mut short, BLOCK, &planar, frames);
                for (plane, expected) in short.chunks_exact(BLOCK).zip(whole.chunks_exact(frames)) {
                    assert_eq!(&plane[..frames], expected, "{channels} into {sum_channels}, {frames} frames");
                    assert!(plane[frames..].iter().all(|sample| sample.to_bits() == 0.5_f32.to_bits()));
                }
            }
        }
    }
}

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
        // A source's last, shorter block: its planes are closer together than the sum's.
        for (channel, plane) in self.planar.chunks_exact_mut(self.block_frames).enumerate() {
            let from = if lane.channels() == 1 { 0 } else { channel };
            if let Some(samples) = planar.chunks_exact(frames.max(1)).nth(from) {
                plane.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
            }
        }
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

impl std::fmt::Debug for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mix")
            .field("channels", &self.channels)
            .field("next", &self.next_frame())
            .finish_non_exhaustive()
    }
}

//! The sum of all tracks, block by block: a ring of its own.
//!
//! It has as many channels as it was made with: those of the widest source that the engine began with. Each source comes
//! through its strip, which folds or spreads its channels by the rules of [`audio_dsp::Routing`]. The sum passes the master
//! fader and a limiter that looks ahead: what it looks ahead the ring is behind the others, and frame for frame the same
//! instant as they.

use crate::feed::pack;
use crate::gauge::Gauge;
use crate::locked::{Locked, LockedSamples};
use audio_dsp::{GLIDE_SECONDS, LOOK_AHEAD_SECONDS, Limiter, RELEASE_SECONDS, Ramp, Strip};
use control_protocol::Master;
use shm_layout::{FrameIndex, RingWriter};

/// The mix, and the block of it that is being summed.
pub struct Mix {
    /// Before the ring: it goes before that.
    hot: Option<Locked>,
    ring: RingWriter,
    gauge: Gauge,
    channels: usize,
    block_frames: usize,
    /// `[channels][block_frames]`.
    planar: LockedSamples,
    fader: Ramp,
    /// The fader's gain in each frame, while it glides.
    gains: Vec<f32>,
    glide_frames: u32,
    limiter: Limiter,
    /// Frames that come out of the limiter before the first one that went in.
    ahead: usize,
}

impl Mix {
    /// A mix into this ring.
    #[must_use]
    pub fn new(ring: RingWriter, gauge: Gauge, block_frames: usize, master: Master) -> Self {
        let (channels, rate_hz) = (ring.channels() as usize, ring.info().sample_rate_hz);
        let ceiling = master.ceiling.factor();
        let limiter = Limiter::new(rate_hz, channels, ceiling, LOOK_AHEAD_SECONDS, RELEASE_SECONDS);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds of frames")]
        let glide_frames = (GLIDE_SECONDS * f64::from(rate_hz)) as u32;
        Self {
            hot: Locked::mapped(ring.header_addresses()),
            gauge: gauge.with_loudness().beginning_at(ring.next_frame()),
            ring,
            channels,
            block_frames,
            planar: LockedSamples::zeros(channels * block_frames),
            fader: Ramp::new(master.gain.factor()),
            gains: vec![0.0; block_frames],
            glide_frames,
            ahead: limiter.latency_frames(),
            limiter,
        }
    }

    /// The next frame of its ring.
    pub(crate) const fn next_frame(&self) -> FrameIndex {
        self.ring.next_frame()
    }

    /// By how many frames its ring is behind the others.
    pub(crate) fn latency_frames(&self) -> u64 {
        self.limiter.latency_frames() as u64
    }

    /// Sets fader and ceiling, which glide there.
    ///
    /// # Real time
    /// Wait-free, as all below.
    pub(crate) fn set(&mut self, master: Master) {
        self.fader.glide_to(master.gain.factor(), self.glide_frames);
        self.limiter.set_ceiling(master.ceiling.factor());
    }

    /// Begins a block, with nothing in it.
    pub(crate) fn clear(&mut self) {
        self.planar.fill(0.0);
    }

    /// Adds a track's block of so many channels and frames, as its strip says.
    pub(crate) fn add(&mut self, strip: &mut Strip, planar: &[f32], channels: usize, frames: usize) {
        strip.add(&mut self.planar, self.channels, planar, channels, frames);
    }

    /// Takes the first `frames` frames of the block, and writes as many of those before.
    pub(crate) fn write(&mut self, frames: usize) {
        if frames < self.block_frames {
            pack(&mut self.planar, self.block_frames, frames);
        }
        self.fade(frames);
        self.limiter.process(&mut self.planar[..self.channels * frames], frames);
        let dropped = self.ahead.min(frames);
        self.ahead -= dropped;
        let written = frames - dropped;
        if dropped > 0 {
            for channel in 0..self.channels {
                self.planar.copy_within(channel * frames + dropped..(channel + 1) * frames, channel * written);
            }
        }
        let planar = &self.planar[..self.channels * written];
        self.ring.write(planar, written);
        self.gauge.push(planar, written);
    }

    /// Writes what the limiter still has.
    pub(crate) fn finish(&mut self) {
        let mut left = self.limiter.latency_frames();
        while left > 0 {
            let frames = left.min(self.block_frames);
            self.clear();
            self.write(frames);
            left -= frames;
        }
        self.gauge.finish();
    }

    fn fade(&mut self, frames: usize) {
        if frames == 0 {
            return;
        }
        let planes = self.planar[..self.channels * frames].chunks_exact_mut(frames);
        if self.fader.is_settled() {
            let gain = self.fader.value();
            if gain != 1.0 {
                planes.flatten().for_each(|sample| *sample *= gain);
            }
            return;
        }
        self.fader.fill(&mut self.gains[..frames]);
        for plane in planes {
            plane.iter_mut().zip(&self.gains).for_each(|(sample, gain)| *sample *= gain);
        }
    }

    /// Closes its ring. Frees memory: not on the tick's thread.
    pub fn close(self) {
        drop(self.hot);
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

//! A source's frames as they leave its queue: as many as are asked for, with gaps where nothing came.

use crate::delays::Measured;
use crate::feed::{Feed, pack};
use crate::locked::LockedSamples;
use crate::queue::{Arrival, Health, Outlet, Run};
use audio_dsp::RateError;
use control_protocol::GapCause;
use std::sync::atomic::Ordering;

/// What is taken from a source's queue. Frames are counted at the rate of the [`Feed`].
pub(crate) struct Intake {
    feed: Feed,
    live: bool,
    flow: Flow,
    /// A queue that takes over when the present one is dry: the device was opened again.
    successor: Option<Outlet>,
    /// Frames of a fill, about.
    fill_frames: usize,
    /// `[channels][stride]` while it is filled, `[channels][frames]` then.
    planar: LockedSamples,
    stride: usize,
    gaps: Vec<GapPart>,
    /// Zeros written for nothing since the last sound: a loss that turns up now has its place there already.
    debt: u64,
    /// Zeros written for nothing since the last sound.
    silence_frames: u64,
    lost_frames: u64,
    /// Frames of the losses since the last look that no gap stands for.
    dropped_frames: u64,
    /// How much must be there at least before it flows. Grows as a device's jitter shows itself.
    cushion_frames: u64,
    cushion_frames_max: u64,
    ran_dry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Waiting until enough is there for a steady flow.
    Priming,
    Flowing,
    Ended,
}

/// A part of a block that is zeros because nothing was captured. In frames of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapPart {
    /// First missing frame.
    pub from: usize,
    /// One past the last missing frame.
    pub to: usize,
    /// Why.
    pub cause: GapCause,
}

impl Intake {
    /// `fill_frames` are asked for at a time, or some more, up to `stride`.
    pub(crate) fn new(feed: Feed, live: bool, fill_frames: usize, stride: usize, cushion_frames: u64) -> Self {
        Self {
            cushion_frames_max: feed.outlet().capacity_frames() as u64 / 8,
            planar: LockedSamples::zeros(feed.outlet().channels() * stride),
            feed,
            live,
            flow: Flow::Priming,
            successor: None,
            fill_frames,
            stride,
            gaps: Vec::with_capacity(stride + 1),
            debt: 0,
            silence_frames: 0,
            lost_frames: 0,
            dropped_frames: 0,
            cushion_frames,
            ran_dry: false,
        }
    }

    /// Fills whole blocks at another rate from now on. Nothing was filled yet.
    pub(crate) fn convert(
        &mut self,
        rates_hz: (u32, u32),
        block_frames: usize,
        cushion_frames: u64,
    ) -> Result<(), RateError> {
        self.feed.convert(rates_hz, block_frames)?;
        (self.fill_frames, self.stride, self.cushion_frames) = (block_frames, block_frames, cushion_frames);
        self.planar = LockedSamples::zeros(self.channels() * block_frames);
        self.gaps = Vec::with_capacity(block_frames + 1);
        Ok(())
    }

    pub(crate) const fn channels(&self) -> usize {
        self.feed.outlet().channels()
    }

    pub(crate) const fn live(&self) -> bool {
        self.live
    }

    pub(crate) fn health(&self) -> &Health {
        self.feed.outlet().health()
    }

    /// Frames of the source that are missing so far.
    pub(crate) const fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    /// Frames lost since the last look beyond the gaps that were made.
    pub(crate) const fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    /// The gaps of the last fill, in order.
    pub(crate) fn gaps(&self) -> &[GapPart] {
        &self.gaps
    }

    /// The frames of the last fill, `[channels][frames]`.
    pub(crate) fn planar(&self, frames: usize) -> &[f32] {
        &self.planar[..self.channels() * frames]
    }

    /// As [`planar`](Self::planar), to be completed, with the gaps.
    pub(crate) fn filled(&mut self, frames: usize) -> (&mut [f32], &[GapPart]) {
        let samples = self.channels() * frames;
        (&mut self.planar[..samples], &self.gaps)
    }

    /// See [`Feed::next_arrival`].
    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        self.feed.next_arrival()
    }

    /// What has come in, and how.
    pub(crate) const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// See [`Feed::position`].
    pub(crate) fn position(&self) -> f64 {
        self.feed.position()
    }

    /// How long the sound has waited that is taken next, for a block of `block_s` that is due at this time, of which
    /// `shared_s` are filled while a period is: `inside` are frames of the source that lie behind the feed. Where its
    /// callbacks tell their times.
    pub(crate) fn measure(&self, due_ns: u64, (block_s, shared_s): (f64, f64), inside: f64) -> Option<Measured> {
        let outlet = self.feed.outlet();
        let last_ns = outlet.last_callback_ns().filter(|_| self.is_flowing())?;
        let rate_hz = f64::from(self.feed.rates_hz().0);
        let since_s = (due_ns as f64 - last_ns as f64) * 1e-9;
        let period_s = f64::from(outlet.period_frames_max()) / rate_hz;
        Some(Measured {
            period_s,
            queue_s: outlet.ready() as f64 / rate_hz + since_s - period_s - (block_s - shared_s),
            resampler_s: (self.feed.inside() + inside) / rate_hz,
            block_s,
            shared_s,
        })
    }

    pub(crate) fn is_flowing(&self) -> bool {
        self.flow == Flow::Flowing
    }

    /// Whether the last fill ran dry in the middle of a device's sound, which has not gone away.
    pub(crate) fn has_stalled(&self) -> bool {
        self.ran_dry && !self.health().gone.load(Ordering::Relaxed)
    }

    /// Whether the source has ended and all of it was taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.flow == Flow::Ended
    }

    /// Whether enough is there to begin, and so much more, or nothing more will come.
    pub(crate) fn is_primed(&mut self, more_frames: u64) -> bool {
        let ended = self.feed.has_ended();
        ended || (self.has_sound() && self.feed.ready() >= self.prime_frames() + more_frames)
    }

    /// Whether so much can be filled without a gap, or the source is at its end.
    pub(crate) fn can_fill(&mut self) -> bool {
        self.flow == Flow::Ended || self.feed.has_ended() || self.feed.ready() >= self.fill_frames as u64
    }

    /// Looks for what has come, before a block. Whether nothing more will.
    pub(crate) fn look(&mut self) -> bool {
        self.dropped_frames = 0;
        self.feed.has_ended()
    }

    /// Whether it waits, and need wait no longer: enough is there, or another queue, or with `ended` nothing more comes.
    pub(crate) fn may_begin(&mut self, ended: bool) -> bool {
        self.flow == Flow::Priming && (ended || self.successor.is_some() || self.is_primed(0))
    }

    /// Whether its device was opened again, and what is left of its old queue is to be taken first.
    pub(crate) const fn has_successor(&self) -> bool {
        self.successor.is_some()
    }

    /// Whether some sound is there.
    pub(crate) const fn has_sound(&self) -> bool {
        self.feed.outlet().sound_ready() > 0
    }

    /// Frames of silence since the last sound.
    pub(crate) const fn silence_frames(&self) -> u64 {
        self.silence_frames
    }

    /// Begins without further waiting.
    pub(crate) fn begin(&mut self) {
        self.flow = Flow::Flowing;
    }

    /// Forgets what was captured while the engine was not ready: it lies before the ring's first frame. Keeps what is
    /// enough to begin, and so much more.
    pub(crate) fn trim(&mut self, more_frames: u64) {
        self.feed.refresh();
        let enough = self.prime_frames() + self.feed.rhythm_frames() + more_frames;
        let surplus = self.feed.ready().saturating_sub(enough);
        let (from_hz, to_hz) = self.feed.rates_hz();
        self.discard(surplus * u64::from(from_hz) / u64::from(to_hz));
    }

    /// Takes frames of the source away that lie before the ring's first frame.
    pub(crate) fn discard(&mut self, frames: u64) {
        self.feed.discard(frames);
    }

    /// Hands over the queue of a device that was opened again; returns a queue to be freed elsewhere.
    pub(crate) fn succeed(&mut self, outlet: Outlet) -> Option<Outlet> {
        self.successor.replace(outlet)
    }

    /// Forgets what is queued of a source that is not live.
    pub(crate) fn stop(&mut self) {
        if !self.live {
            self.flow = Flow::Ended;
        }
    }

    /// How much must be there before it flows.
    pub(crate) fn prime_frames(&self) -> u64 {
        self.feed.rhythm_frames() + self.fill_frames as u64 + self.cushion_frames
    }

    /// A device's jitter has shown itself: from now on a fill more must be there before it flows. Returns how much more,
    /// as far as that is possible.
    pub(crate) fn grow_cushion(&mut self) -> u64 {
        let before = self.cushion_frames;
        let more = before + self.fill_frames as u64;
        self.cushion_frames = more.min(self.cushion_frames_max.max(before));
        self.cushion_frames - before
    }

    /// Takes so many frames, the first `wait` of them silence for which nothing is taken. Returns them all, or fewer at the
    /// source's end: with `ended`, what is not there now will not come. Queues that are used up go to `retired`.
    ///
    /// # Real time
    /// Wait-free; allocates and frees nothing.
    pub(crate) fn fill(&mut self, frames: usize, wait: usize, ended: bool, retired: &mut impl FnMut(Outlet)) -> usize {
        self.gaps.clear();
        self.ran_dry = false;
        let mut at = wait.min(frames);
        if at > 0 {
            self.owe(0, at);
        }
        while at < frames && self.flow == Flow::Flowing {
            self.settle_loss();
            match self.feed.take(&mut self.planar, self.stride, at, frames - at) {
                Run::Sound(taken) => {
                    (self.debt, self.silence_frames) = (0, 0);
                    at += taken;
                }
                Run::Lost(taken, cause) => {
                    self.lost_frames += taken as u64;
                    self.miss(at, at + taken, cause);
                    at += taken;
                }
                Run::Dry => match self.successor.take() {
                    Some(next) => {
                        retired(self.feed.replace(next));
                        self.feed.refresh();
                        self.flow = Flow::Priming;
                    }
                    None if ended => self.flow = Flow::Ended,
                    None => (self.flow, self.ran_dry) = (Flow::Priming, true),
                },
            }
        }
        if self.flow != Flow::Ended && at < frames {
            self.owe(at, frames);
            at = frames;
        }
        pack(&mut self.planar, self.stride, at);
        at
    }

    /// A loss that comes right after zeros is what those zeros were written for. And a source that runs ahead of
    /// our clock until its queue is full stays behind it by the whole queue: there a loss makes up for that, and one
    /// frame of it marks the place.
    pub(crate) fn settle_loss(&mut self) {
        let Some((frames, cause)) = self.feed.next_loss() else { return };
        let mut keep = frames.saturating_sub(self.debt);
        self.debt -= frames - keep;
        if cause == GapCause::Overrun && self.live && keep > 1 {
            let behind = self.feed.ready().saturating_sub(frames);
            let surplus = behind.saturating_sub(self.prime_frames());
            let marked = keep.saturating_sub(surplus).max(1);
            self.dropped_frames += keep - marked;
            keep = marked;
        }
        self.lost_frames += frames - keep;
        self.feed.shorten_loss(keep);
    }

    /// Zeros for nothing.
    fn owe(&mut self, from: usize, to: usize) {
        let cause = if self.health().gone.load(Ordering::Relaxed) { GapCause::Disappeared } else { GapCause::Underrun };
        self.debt += (to - from) as u64;
        self.silence_frames += (to - from) as u64;
        self.miss(from, to, cause);
    }

    fn miss(&mut self, from: usize, to: usize, cause: GapCause) {
        for plane in self.planar.chunks_exact_mut(self.stride) {
            plane[from..to].fill(0.0);
        }
        match self.gaps.last_mut() {
            Some(last) if last.to == from && last.cause == cause => last.to = to,
            _ => self.gaps.push(GapPart { from, to, cause }),
        }
    }
}

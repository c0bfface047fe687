//! A source's frames at the engine's rate: its queue, and a converter where the device has another rate.

use crate::marks::Marks;
use crate::queue::{Arrival, Outlet, Run};
use audio_dsp::{RateConverter, RateError};
use control_protocol::GapCause;
use std::sync::atomic::Ordering;

/// Frames that go into the converter at a time.
const STEP_FRAMES: usize = 256;

/// Gives the frames of one source, in order, at the engine's rate.
pub struct Feed {
    outlet: Outlet,
    from_hz: u32,
    to_hz: u32,
    /// Frames of the source in the queues before this one.
    before: u64,
    converted: Option<Converted>,
}

impl Feed {
    /// Frames of `outlet`, which come at `from_hz`, at `to_hz`. `block_frames` is the most that is taken at once.
    ///
    /// # Errors
    /// [`RateError`] for a rate out of range.
    pub fn new(outlet: Outlet, from_hz: u32, to_hz: u32, block_frames: usize) -> Result<Self, RateError> {
        let mut feed = Self { outlet, from_hz, to_hz, before: 0, converted: None };
        feed.convert((from_hz, to_hz), block_frames)?;
        Ok(feed)
    }

    /// Gives frames at another rate from now on: nothing was taken yet.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn convert(&mut self, (from_hz, to_hz): (u32, u32), block_frames: usize) -> Result<(), RateError> {
        let converted = || Converted::new(from_hz, to_hz, self.outlet.channels(), block_frames);
        self.converted = (from_hz != to_hz).then(converted).transpose()?;
        (self.from_hz, self.to_hz) = (from_hz, to_hz);
        Ok(())
    }

    /// The queue.
    #[must_use]
    pub const fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Puts another queue in the place of this one and returns the old. The converter goes on.
    pub fn replace(&mut self, outlet: Outlet) -> Outlet {
        self.before += self.outlet.taken();
        std::mem::replace(&mut self.outlet, outlet)
    }

    /// The next callback that was not looked at. Its frames count from the source's beginning.
    pub fn next_arrival(&mut self) -> Option<Arrival> {
        let arrival = self.outlet.next_arrival()?;
        Some(Arrival { frames_total: self.before + arrival.frames_total, ..arrival })
    }

    /// The frame of the source, counted from its beginning, that is taken next: with a converter, between two of them.
    #[must_use]
    pub fn position(&self) -> f64 {
        (self.before + self.outlet.taken()) as f64 - self.inside()
    }

    /// The source's rate, and the rate of what is taken.
    #[must_use]
    pub const fn rates_hz(&self) -> (u32, u32) {
        (self.from_hz, self.to_hz)
    }

    /// Frames of the source that are inside of the converter.
    #[must_use]
    pub fn inside(&self) -> f64 {
        self.converted.as_ref().map_or(0.0, Converted::inside)
    }

    /// How much the device may be behind its own clock in a steady flow, at most, in frames of the source: what it gives at
    /// once, and what the converter holds.
    #[must_use]
    pub fn grain_frames(&self) -> u64 {
        let held = self.converted.as_ref().map_or(0, |converted| converted.latency);
        u64::from(self.outlet.period_frames_max()) + held
    }

    /// Looks for what has come in.
    pub fn refresh(&mut self) {
        self.outlet.refresh();
    }

    /// Frames, sound and losses, that can be taken now.
    #[must_use]
    pub fn ready(&self) -> u64 {
        match &self.converted {
            Some(converted) => converted.ready(self.outlet.ready()),
            None => self.outlet.ready(),
        }
    }

    /// Frames of the converter's and the device's rhythm: how much must be there for a steady flow of blocks.
    #[must_use]
    pub fn rhythm_frames(&self) -> u64 {
        let period = u64::from(self.outlet.period_frames_max());
        match &self.converted {
            Some(converted) => converted.to_out(period + STEP_FRAMES as u64 + converted.latency),
            None => period,
        }
    }

    /// Whether the source said that nothing more comes; what it pushed before is visible then.
    pub fn has_ended(&mut self) -> bool {
        // Pairs with the Release store in `Health::end`.
        let ended = self.outlet.health().ended.load(Ordering::Acquire);
        self.outlet.refresh();
        ended
    }

    /// Takes frames of the source away unheard, before the converter has begun. Returns how many.
    pub fn discard(&mut self, frames: u64) -> u64 {
        let has_begun = self.converted.as_ref().is_some_and(|converted| converted.fed > 0);
        if has_begun { 0 } else { self.outlet.discard(frames) }
    }

    /// The loss that comes next, and a way to shorten it.
    #[must_use]
    pub fn next_loss(&self) -> Option<(u64, GapCause)> {
        self.outlet.next_loss()
    }

    /// See [`Outlet::shorten_loss`].
    pub fn shorten_loss(&mut self, frames: u64) {
        self.outlet.shorten_loss(frames);
    }

    /// As [`Outlet::take`], at the engine's rate.
    pub fn take(&mut self, planar: &mut [f32], stride: usize, offset: usize, frames_max: usize) -> Run {
        match &mut self.converted {
            None => self.outlet.take(planar, stride, offset, frames_max),
            Some(converted) => converted.take(&mut self.outlet, planar, stride, offset, frames_max),
        }
    }
}

struct Converted {
    converter: RateConverter,
    from_hz: u64,
    to_hz: u64,
    latency: u64,
    /// `[channels][frames]` of one step.
    input: Vec<f32>,
    /// What came out and was not taken: each channel from `head` on.
    output: Vec<Vec<f32>>,
    head: usize,
    fed: u64,
    taken: u64,
    /// Output frames that stand for losses.
    marks: Marks,
    flushed: bool,
}

impl Converted {
    fn new(from_hz: u32, to_hz: u32, channels: usize, block_frames: usize) -> Result<Self, RateError> {
        let converter = RateConverter::new(from_hz, to_hz, channels)?;
        let room = converter.out_frames_max(STEP_FRAMES) + converter.out_frames_max(0) + block_frames;
        Ok(Self {
            latency: converter.latency_frames_max() as u64,
            converter,
            from_hz: u64::from(from_hz),
            to_hz: u64::from(to_hz),
            input: vec![0.0; channels * STEP_FRAMES],
            output: (0..channels).map(|_| Vec::with_capacity(room)).collect(),
            head: 0,
            fed: 0,
            taken: 0,
            marks: Marks::new(),
            flushed: false,
        })
    }

    /// The first output frame at or after this many input frames: frame j of the output is at j·from/to of the input.
    const fn to_out(&self, frames: u64) -> u64 {
        (frames * self.to_hz).div_ceil(self.from_hz)
    }

    /// Input frames that were fed and lie behind what was taken.
    fn inside(&self) -> f64 {
        self.fed as f64 - self.taken as f64 * self.from_hz as f64 / self.to_hz as f64
    }

    fn held(&self) -> usize {
        self.output.first().map_or(0, Vec::len) - self.head
    }

    fn ready(&self, queued: u64) -> u64 {
        // What is inside of the converter cannot be taken; it has been fed and not come out.
        let through = self.to_out((self.fed + queued).saturating_sub(self.latency));
        through.saturating_sub(self.taken).max(self.held() as u64)
    }

    fn take(&mut self, outlet: &mut Outlet, planar: &mut [f32], stride: usize, offset: usize, frames: usize) -> Run {
        while self.held() == 0 {
            if !self.feed(outlet) {
                return Run::Dry;
            }
        }
        let mut frames = frames.min(self.held());
        let mut run = None;
        if let Some((from, to, cause)) = self.marks.first_after(self.taken) {
            let limit = if self.taken < from { from } else { to } - self.taken;
            frames = frames.min(usize::try_from(limit).unwrap_or(usize::MAX));
            run = (self.taken >= from).then_some(Run::Lost(frames, cause));
        }
        for (channel, samples) in self.output.iter().enumerate() {
            let place = channel * stride + offset;
            planar[place..place + frames].copy_from_slice(&samples[self.head..self.head + frames]);
        }
        self.head += frames;
        self.taken += frames as u64;
        if self.held() == 0 {
            self.head = 0;
            self.output.iter_mut().for_each(Vec::clear);
        }
        run.unwrap_or(Run::Sound(frames))
    }

    /// Feeds one step; `false` when there is nothing to feed.
    fn feed(&mut self, outlet: &mut Outlet) -> bool {
        let frames = match outlet.take(&mut self.input, STEP_FRAMES, 0, STEP_FRAMES) {
            Run::Sound(frames) => frames,
            Run::Lost(frames, cause) => {
                self.mark(self.fed, self.fed + frames as u64, cause);
                for plane in self.input.chunks_exact_mut(STEP_FRAMES) {
                    plane[..frames].fill(0.0);
                }
                frames
            }
            Run::Dry if outlet.is_finished() && !self.flushed => {
                self.flushed = true;
                self.converter.finish(&mut self.output);
                return true;
            }
            Run::Dry => return false,
        };
        pack(&mut self.input, STEP_FRAMES, frames);
        let channels = self.output.len();
        self.converter.process(&self.input[..channels * frames], frames, &mut self.output);
        self.fed += frames as u64;
        true
    }

    fn mark(&mut self, from: u64, to: u64, cause: GapCause) {
        self.marks.push(self.to_out(from), self.to_out(to), cause);
    }
}

/// Moves planes of `stride` frames together so that they are `[channels][frames]`.
pub fn pack(planar: &mut [f32], stride: usize, frames: usize) {
    if frames < stride {
        for channel in 1..planar.len() / stride {
            planar.copy_within(channel * stride..channel * stride + frames, channel * frames);
        }
    }
}

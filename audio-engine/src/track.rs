//! One source in the tick: its lane, its ring, its gauge, its strip of the mixer. It comes whole, and leaves whole, when
//! its last block is in the mix.

use crate::desk::Setting;
use crate::detour::{Detour, Waits};
use crate::gauge::Gauge;
use crate::insert::Insert;
use crate::lane::Lane;
use crate::locked::Locked;
use crate::mix::Mix;
use crate::note::{Missing, Note, Notes, OpenGap};
use crate::queue::Outlet;
use crate::tempo::Due;
use audio_dsp::Strip;
use control_protocol::{GapCause, Processing};
use shm_layout::{FrameIndex, RingWriter};

/// Blocks by which a track that came too late catches up in one tick, so that nobody else is late for it.
const CAUGHT_UP_AT_ONCE: usize = 4;

/// A source on its way into its ring.
pub struct Track {
    lane: Lane,
    /// Before the ring: it goes before that.
    hot: Option<Locked>,
    ring: RingWriter,
    gauge: Gauge,
    strip: Strip,
    detour: Detour,
    gap: OpenGap,
    /// What of it is missing in the mix.
    silence: OpenGap,
    stage: Stage,
    /// What was captured before it began is forgotten then.
    trims: bool,
    /// The block that was its last.
    last: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The tick has not reached its first frame, or it has not caught up with the tick.
    Coming,
    /// A block for every tick.
    Going,
    /// As long as there is something captured.
    Leaving,
    /// Nothing more.
    Gone,
}

/// A tick, as every track sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) block_frames: usize,
    /// A source that is dry has ended.
    pub(crate) draining: bool,
    /// When the block is due, where the tick keeps time.
    pub(crate) due: Option<Due>,
}

/// What a track has done in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its time has not come.
    Waits,
    /// Its block is whole.
    Goes,
    /// Its source has ended, after so many frames of this block.
    Ended(usize),
    /// It was told to leave, and does so after so many frames of this block.
    Left(usize),
}

impl Track {
    /// A track that begins with its ring's next frame, where that is a block's first. With `trims` it forgets then what its
    /// lane has more than it needs.
    #[must_use]
    pub fn new(lane: Lane, ring: RingWriter, gauge: Gauge, strip: Strip, trims: bool) -> Self {
        Self {
            detour: Detour::new(lane.channels(), lane.block_frames()),
            gauge: gauge.beginning_at(ring.next_frame()),
            lane,
            hot: Locked::mapped(ring.header_addresses()),
            ring,
            strip,
            gap: OpenGap::default(),
            silence: OpenGap::default(),
            stage: Stage::Coming,
            trims,
            last: None,
        }
    }

    /// Has it processed on its way into the mix; returns an insert that is to be freed elsewhere, as it has one already.
    pub fn set_insert(&mut self, insert: Insert) -> Option<Insert> {
        self.detour.set_insert(insert)
    }

    /// The next frame of its ring.
    #[must_use]
    pub const fn next_frame(&self) -> FrameIndex {
        self.ring.next_frame()
    }

    /// Frames of the source that are missing, all together, at the source's rate.
    #[must_use]
    pub const fn lost_frames(&self) -> u64 {
        self.lane.lost_frames()
    }

    /// Closes its ring and frees its source. Frees memory: not on the tick's thread.
    pub fn close(self) {
        drop(self.hot);
        self.ring.close();
    }

    /// Sets its strip.
    pub(crate) fn set(&mut self, setting: Setting) {
        setting.turn(&mut self.strip);
    }

    /// Sets its chain.
    pub(crate) fn process(&mut self, processing: Processing) {
        self.detour.process(processing);
    }

    /// Whether its blocks are processed.
    pub(crate) fn is_processed(&self) -> bool {
        self.detour.is_processed()
    }

    /// This block was its last; it leaves when that is in the mix.
    pub(crate) const fn depart(&mut self, number: u64) {
        self.last = Some(number);
    }

    /// The block that was its last, where there was one.
    pub(crate) const fn last(&self) -> Option<u64> {
        self.last
    }

    /// See [`Lane::leader_ppm`].
    pub(crate) fn leader_ppm(&self) -> Option<f64> {
        self.lane.leader_ppm()
    }

    /// Adds the first `frames` frames of its block to the mix.
    pub(crate) fn add_to(&mut self, mix: &mut Mix, frames: usize) {
        mix.add(&mut self.strip, self.lane.planar(frames), self.lane.channels(), frames);
    }

    /// Keeps the first `frames` frames of its block, or has them processed, until the mix takes the block of this number.
    /// Those before `needed` are in the mix already.
    pub(crate) fn keep(&mut self, number: u64, frames: usize, needed: u64) {
        self.detour.keep(number, self.lane.planar(frames), frames, needed);
    }

    /// Whether its part of a block is there, or will never be.
    pub(crate) fn is_ready(&mut self, number: u64) -> bool {
        self.detour.is_ready(number)
    }

    /// Adds its part of a block that has waited. What was not processed in time is silence, and told.
    pub(crate) fn add_kept(&mut self, mix: &mut Mix, block: Waits, place: usize, notes: &mut Notes) {
        let Some(part) = self.detour.give(block.number) else { return };
        let end = block.at.plus(part.frames as u64);
        if part.is_missing {
            self.silence.miss(block.at, end, Missing::Processed, place, notes);
        }
        mix.add(&mut self.strip, part.planar, self.lane.channels(), part.frames);
        self.silence.pass(end, place, notes);
        if self.last == Some(block.number) {
            self.silence.tell(place, notes);
        }
    }

    /// Whether a whole block can be filled without a gap, or the source is at its end.
    pub(crate) fn can_fill(&mut self) -> bool {
        self.lane.can_fill()
    }

    /// Hands over the queue of a device that was opened again; returns a queue to be freed elsewhere.
    pub(crate) fn succeed(&mut self, outlet: Outlet) -> Option<Outlet> {
        self.lane.succeed(outlet)
    }

    /// Forgets what is queued of a source without a clock.
    pub(crate) fn stop(&mut self) {
        self.lane.stop();
    }

    /// Writes what a device has captured, and no more.
    pub(crate) fn leave(&mut self) {
        self.lane.stop();
        self.stage = if self.stage == Stage::Coming { Stage::Gone } else { Stage::Leaving };
    }

    /// One block, the one that begins at `now`; the caller finds it in the lane. Queues that are used up go to `retired`.
    ///
    /// # Real time
    /// Wait-free; allocates and frees nothing.
    pub(crate) fn step(
        &mut self,
        place: usize,
        now: FrameIndex,
        Turn { block_frames, draining, due }: Turn,
        notes: &mut Notes,
        retired: impl FnMut(Outlet),
    ) -> Step {
        if self.stage == Stage::Coming {
            if draining && self.next_frame() != now {
                self.stage = Stage::Gone;
            } else if self.has_come(place, now, block_frames, notes) {
                self.stage = Stage::Going;
            } else if self.stage == Stage::Coming {
                return Step::Waits;
            }
        }
        if self.stage == Stage::Gone {
            self.gauge.finish();
            self.gap.tell(place, notes);
            return Step::Left(0);
        }
        let leaving = self.stage == Stage::Leaving;
        if let Some(due) = due {
            self.lane.set_due(due);
        }
        let frames = self.lane.fill(draining || leaving, retired);
        for part in self.lane.gaps() {
            let (from, to) = (now.plus(part.from as u64), now.plus(part.to as u64));
            self.ring.mark_gap(from, to, part.cause as u32);
            self.gap.miss(from, to, Missing::Captured(part.cause), place, notes);
        }
        self.write(frames);
        self.gap.pass(self.ring.next_frame(), place, notes);
        let dropped = self.lane.dropped_frames();
        if dropped > 0 {
            notes.say(Note::Dropped { place, at: now, frames: dropped });
        }
        if !self.lane.has_ended() {
            return Step::Goes;
        }
        self.gauge.finish();
        self.gap.tell(place, notes);
        if leaving { Step::Left(frames) } else { Step::Ended(frames) }
    }

    /// The first `frames` frames of the lane's block.
    fn write(&mut self, frames: usize) {
        let planar = self.lane.planar(frames);
        self.ring.write(planar, frames);
        self.gauge.push(planar, frames);
    }

    /// Whether it begins, or goes on, with this block. Frames that the tick has passed are gaps.
    fn has_come(&mut self, place: usize, now: FrameIndex, block_frames: usize, notes: &mut Notes) -> bool {
        for _ in 0..CAUGHT_UP_AT_ONCE {
            let next = self.next_frame();
            if next >= now {
                break;
            }
            let frames = usize::try_from(now.since(next)).unwrap_or(block_frames).min(block_frames);
            let end = next.plus(frames as u64);
            self.ring.mark_gap(next, end, GapCause::Underrun as u32);
            self.gap.miss(next, end, Missing::Captured(GapCause::Underrun), place, notes);
            // A lane that has filled nothing yet is silent.
            self.write(frames);
        }
        let comes = self.next_frame() == now;
        if comes && self.trims {
            self.lane.trim();
        }
        comes
    }
}

impl std::fmt::Debug for Track {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Track").field("next", &self.next_frame()).field("stage", &self.stage).finish_non_exhaustive()
    }
}

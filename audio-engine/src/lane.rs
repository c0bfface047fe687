//! One source's way into its ring: exactly one block for every tick, with gaps where nothing came.

use crate::feed::{Feed, pack};
use crate::queue::{Outlet, Run};
use control_protocol::GapCause;
use std::sync::atomic::Ordering;

/// A source between its queue and its ring.
pub struct Lane {
    feed: Feed,
    live: bool,
    flow: Flow,
    /// A queue that takes over when the present one is dry: the device was opened again.
    successor: Option<Outlet>,
    block_frames: usize,
    /// `[channels][block_frames]`, or `[channels][frames]` for the last block.
    planar: Vec<f32>,
    gaps: Vec<GapPart>,
    /// Zeros written for nothing since the last sound: a loss that turns up now has its place there already.
    debt: u64,
    lost_frames: u64,
    /// Frames of this block's losses that no gap stands for.
    dropped_frames: u64,
    /// How much must be there at least before it flows. Grows with every underrun: a device's jitter shows itself so.
    cushion_frames: u64,
    cushion_frames_max: u64,
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

impl Lane {
    /// A lane for a source. What is not `live` has no clock of its own. `cushion_frames` are kept in the queue at
    /// least, besides a period and a block.
    #[must_use]
    pub fn new(feed: Feed, live: bool, block_frames: usize, cushion_frames: u64) -> Self {
        let channels = feed.outlet().channels();
        Self {
            cushion_frames_max: feed.outlet().capacity_frames() as u64 / 8,
            feed,
            live,
            flow: Flow::Priming,
            successor: None,
            block_frames,
            planar: vec![0.0; channels * block_frames],
            gaps: Vec::with_capacity(block_frames + 1),
            debt: 0,
            lost_frames: 0,
            dropped_frames: 0,
            cushion_frames,
        }
    }

    /// Channels of the block.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.feed.outlet().channels()
    }

    /// Whether the source has a clock of its own.
    #[must_use]
    pub const fn live(&self) -> bool {
        self.live
    }

    /// Frames of the source that are missing so far, at the source's rate.
    #[must_use]
    pub const fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    /// Whether enough is there to begin, or nothing more will come.
    pub fn is_primed(&mut self) -> bool {
        let ended = self.feed.has_ended();
        ended || (self.feed.outlet().sound_ready() > 0 && self.feed.ready() >= self.prime_frames())
    }

    /// Whether a whole block can be filled without a gap, or the source is at its end.
    pub fn can_fill(&mut self) -> bool {
        self.flow == Flow::Ended || self.feed.has_ended() || self.feed.ready() >= self.block_frames as u64
    }

    /// Begins without further waiting: on a virtual clock the tick waits instead.
    pub fn begin(&mut self) {
        self.flow = Flow::Flowing;
    }

    /// Forgets what was captured while the engine was not ready: it lies before the ring's first frame.
    pub fn trim(&mut self) {
        self.feed.refresh();
        let surplus = self.feed.ready().saturating_sub(self.prime_frames() + self.feed.rhythm_frames());
        self.feed.discard(surplus);
    }

    /// Hands over the queue of a device that was opened again; returns a queue to be freed elsewhere.
    pub fn succeed(&mut self, outlet: Outlet) -> Option<Outlet> {
        self.successor.replace(outlet)
    }

    /// Forgets what is queued: the engine closes, and a file's frames are not yet due.
    pub fn stop(&mut self) {
        if !self.live {
            self.flow = Flow::Ended;
        }
    }

    /// The block of the last [`fill`](Self::fill), `[channels][frames]`.
    #[must_use]
    pub fn planar(&self, frames: usize) -> &[f32] {
        &self.planar[..self.channels() * frames]
    }

    /// The gaps of the last [`fill`](Self::fill), in order.
    #[must_use]
    pub fn gaps(&self) -> &[GapPart] {
        &self.gaps
    }

    /// Frames that the last [`fill`](Self::fill) lost beyond the gaps it made.
    #[must_use]
    pub const fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    /// Whether the source has ended and all of it was taken.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.flow == Flow::Ended
    }

    /// Fills the next block and returns its frames: all of a block, or fewer at the source's end. Queues that are
    /// used up go to `retired`. With `draining`, what is not there now will not come.
    ///
    /// # Real time
    /// Wait-free; allocates and frees nothing.
    pub fn fill(&mut self, draining: bool, mut retired: impl FnMut(Outlet)) -> usize {
        self.gaps.clear();
        self.dropped_frames = 0;
        let ended = self.feed.has_ended() || draining;
        if self.flow == Flow::Priming && (ended || self.is_primed() || self.successor.is_some()) {
            self.flow = Flow::Flowing;
        }
        let mut at = 0;
        while at < self.block_frames && self.flow == Flow::Flowing {
            self.settle_loss();
            match self.feed.take(&mut self.planar, self.block_frames, at, self.block_frames - at) {
                Run::Sound(frames) => {
                    self.debt = 0;
                    at += frames;
                }
                Run::Lost(frames, cause) => {
                    self.lost_frames += frames as u64;
                    self.miss(at, at + frames, cause);
                    at += frames;
                }
                Run::Dry => match self.successor.take() {
                    Some(next) => {
                        retired(self.feed.replace(next));
                        self.feed.refresh();
                        self.flow = Flow::Priming;
                    }
                    None if ended => self.flow = Flow::Ended,
                    None => self.run_dry(),
                },
            }
        }
        if self.flow == Flow::Ended {
            pack(&mut self.planar, self.block_frames, at);
            return at;
        }
        if at < self.block_frames {
            let gone = self.feed.outlet().health().gone.load(Ordering::Relaxed);
            let cause = if gone { GapCause::Disappeared } else { GapCause::Underrun };
            self.debt += (self.block_frames - at) as u64;
            self.miss(at, self.block_frames, cause);
        }
        self.block_frames
    }

    fn prime_frames(&self) -> u64 {
        self.feed.rhythm_frames() + self.block_frames as u64 + self.cushion_frames
    }

    fn run_dry(&mut self) {
        self.flow = Flow::Priming;
        if !self.feed.outlet().health().gone.load(Ordering::Relaxed) {
            let more = self.cushion_frames + self.block_frames as u64;
            self.cushion_frames = more.min(self.cushion_frames_max.max(self.cushion_frames));
        }
    }

    /// A loss that comes right after zeros is what those zeros were written for. And a source that runs ahead of
    /// our clock until its queue is full stays behind it by the whole queue: there a loss makes up for that, and one
    /// frame of it marks the place.
    fn settle_loss(&mut self) {
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

    fn miss(&mut self, from: usize, to: usize, cause: GapCause) {
        for plane in self.planar.chunks_exact_mut(self.block_frames) {
            plane[from..to].fill(0.0);
        }
        match self.gaps.last_mut() {
            Some(last) if last.to == from && last.cause == cause => last.to = to,
            _ => self.gaps.push(GapPart { from, to, cause }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Health, Inlet, queue};
    use std::sync::Arc;

    const BLOCK: usize = 10;

    struct Rig {
        inlet: Inlet,
        lane: Lane,
        health: Arc<Health>,
        next: u16,
    }

    fn rig(queue_frames: usize, live: bool) -> Rig {
        let health = Arc::new(Health::default());
        let (inlet, outlet) = queue(2, queue_frames, &health);
        let feed = Feed::new(outlet, 48_000, 48_000, BLOCK).unwrap();
        Rig { inlet, lane: Lane::new(feed, live, BLOCK, 0), health, next: 1 }
    }

    impl Rig {
        fn push(&mut self, frames: u16) {
            let first = self.next;
            self.inlet.push(frames.into(), (first..first + frames).flat_map(|n| [f32::from(n), -f32::from(n)]));
            self.next += frames;
        }

        fn fill(&mut self) -> Vec<f32> {
            let frames = self.lane.fill(false, |_| {});
            let planar = self.lane.planar(frames);
            let (left, right) = planar.split_at(frames);
            assert!(left.iter().zip(right).all(|(l, r)| *l == -*r));
            left.to_vec()
        }

        fn gaps(&self) -> Vec<(usize, usize, GapCause)> {
            self.lane.gaps().iter().map(|g| (g.from, g.to, g.cause)).collect()
        }
    }

    #[test]
    fn it_primes_then_flows_then_primes_again() {
        let mut rig = rig(100, true);
        rig.push(10);
        assert!(!rig.lane.is_primed());
        assert_eq!(rig.fill(), [0.0; 10]);
        assert_eq!(rig.gaps(), [(0, 10, GapCause::Underrun)]);
        rig.push(10);
        assert_eq!(rig.fill()[0], 1.0);
        assert!(rig.gaps().is_empty());
        assert_eq!(rig.fill()[9], 20.0);
        rig.push(4);
        assert_eq!(rig.fill(), [21.0, 22.0, 23.0, 24.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rig.gaps(), [(4, 10, GapCause::Underrun)]);
        rig.push(10);
        rig.push(10);
        assert_eq!(rig.fill()[0], 0.0, "the cushion has grown");
        rig.push(10);
        rig.push(2);
        assert_eq!(rig.fill()[0], 25.0);
    }

    #[test]
    fn an_xrun_is_a_gap_of_its_length_at_its_place() {
        let mut rig = rig(100, true);
        rig.push(10);
        rig.inlet.lose(3, GapCause::Xrun);
        rig.push(10);
        assert_eq!(rig.fill()[9], 10.0);
        assert_eq!(rig.fill(), [0.0, 0.0, 0.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
        assert_eq!(rig.gaps(), [(0, 3, GapCause::Xrun)]);
        assert_eq!(rig.lane.lost_frames(), 3);
    }

    #[test]
    fn a_loss_after_zeros_was_what_they_stood_for() {
        let mut rig = rig(100, true);
        rig.push(10);
        rig.push(10);
        rig.fill();
        rig.fill();
        rig.fill(); // dry: ten zeros
        rig.inlet.lose(12, GapCause::Xrun);
        rig.push(10);
        rig.push(10);
        assert_eq!(rig.fill()[..3], [0.0, 0.0, 21.0]);
        assert_eq!(rig.gaps(), [(0, 2, GapCause::Xrun)]);
        assert_eq!(rig.lane.lost_frames(), 12);
    }

    #[test]
    fn a_source_ahead_of_the_clock_is_brought_back_by_its_overrun() {
        let mut rig = rig(50, true);
        for _ in 0..6 {
            rig.push(10); // the sixth is lost
        }
        assert_eq!(rig.health.overrun_frames.load(Ordering::Relaxed), 10);
        assert_eq!(rig.fill()[0], 1.0);
        for expected in [11.0, 21.0, 31.0] {
            rig.push(10);
            assert_eq!(rig.fill()[0], expected);
        }
        rig.push(10);
        assert_eq!(rig.fill()[0], 41.0);
        rig.push(10);
        let block = rig.fill();
        assert_eq!(block[..2], [0.0, 61.0], "{block:?} {:?}", rig.gaps());
        assert_eq!(rig.gaps(), [(0, 1, GapCause::Overrun)]);
        assert_eq!(rig.lane.dropped_frames(), 9, "what the gap does not stand for is counted");
        assert_eq!(rig.lane.lost_frames(), 10);
    }

    #[test]
    fn the_last_block_is_as_long_as_what_is_left() {
        let mut rig = rig(100, false);
        rig.push(13);
        rig.health.end(None);
        assert_eq!(rig.fill().len(), 10);
        assert!(!rig.lane.has_ended());
        assert_eq!(rig.fill(), [11.0, 12.0, 13.0]);
        assert!(rig.lane.has_ended());
    }

    #[test]
    fn a_device_opened_again_goes_on_in_the_same_lane() {
        let mut rig = rig(100, true);
        rig.push(10);
        rig.push(10);
        rig.fill();
        rig.fill();
        rig.health.gone.store(true, Ordering::Relaxed);
        rig.fill();
        assert_eq!(rig.gaps(), [(0, 10, GapCause::Disappeared)]);
        let (inlet, outlet) = queue(2, 100, &rig.health);
        rig.health.gone.store(false, Ordering::Relaxed);
        assert!(rig.lane.succeed(outlet).is_none());
        rig.inlet = inlet;
        rig.push(10);
        rig.push(10);
        let mut retired = 0;
        rig.lane.fill(false, |_| retired += 1);
        assert_eq!(retired, 1);
        rig.fill();
        assert_eq!(rig.gaps(), []);
    }

    #[test]
    fn a_device_of_another_rate_is_converted_and_its_losses_keep_their_place() {
        let health = Arc::new(Health::default());
        let (mut inlet, outlet) = queue(1, 100_000, &health);
        let feed = Feed::new(outlet, 16_000, 48_000, 480).unwrap();
        let mut lane = Lane::new(feed, true, 480, 0);
        lane.begin();
        inlet.push(8_000, std::iter::repeat_n(0.5, 8_000));
        inlet.lose(1_600, GapCause::Xrun);
        inlet.push(8_000, std::iter::repeat_n(0.5, 8_000));
        health.end(None);
        let (mut frames, mut gap, mut wrong) = (0, Vec::new(), 0);
        while !lane.has_ended() {
            let filled = lane.fill(false, |_| {});
            gap.extend(lane.gaps().iter().map(|g| (frames + g.from, frames + g.to)));
            let quiet = lane.planar(filled).iter().filter(|s| (**s - 0.5).abs() > 0.1).count();
            wrong += quiet;
            frames += filled;
        }
        assert_eq!(frames, 17_600 * 3);
        let covered: usize = gap.iter().map(|(from, to)| to - from).sum();
        assert_eq!((gap[0].0, gap[gap.len() - 1].1, covered), (24_000, 28_800, 4_800));
        assert!((4_800..5_000).contains(&wrong), "{wrong} frames are not the tone");
    }
}

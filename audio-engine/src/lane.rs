//! One source's way into its ring: exactly one block for every tick, with gaps where nothing came.
//!
//! A source without a clock of its own (a file, a pipe, a test signal) passes bit by bit. So does a device that leads:
//! the tick follows it. Every other device is resampled, and steered so that it keeps its place.

use crate::feed::Feed;
pub use crate::intake::GapPart;
use crate::intake::Intake;
use crate::own_clock::OwnClock;
use crate::queue::Outlet;
use crate::retimer::Retimer;
use crate::tempo::Due;
use audio_dsp::{Quality, RateError};
use std::sync::atomic::Ordering;

/// A source between its queue and its ring.
pub struct Lane {
    intake: Intake,
    own: Option<OwnClock>,
    due: Option<Due>,
    block_frames: usize,
    block_s: f64,
}

impl Lane {
    /// A lane for a source that keeps the engine's time. What is not `live` is there when it is wanted.
    /// `cushion_frames` are kept in the queue at least, besides a period and a block.
    #[must_use]
    pub fn new(feed: Feed, live: bool, block_frames: usize, cushion_frames: u64) -> Self {
        let block_s = block_frames as f64 / f64::from(feed.rates_hz().1);
        let intake = Intake::new(feed, live, block_frames, block_frames, cushion_frames);
        Self { intake, own: None, due: None, block_frames, block_s }
    }

    /// A lane for a device with a clock of its own, from its rate to the engine's. `cushion_frames` are the engine's.
    ///
    /// # Errors
    /// [`RateError`] for a rate out of range.
    pub fn retimed(
        outlet: Outlet,
        (from_hz, to_hz): (u32, u32),
        block_frames: usize,
        cushion_frames: u64,
        quality: Quality,
    ) -> Result<Self, RateError> {
        let retimer = Retimer::new((from_hz, to_hz), outlet.channels(), block_frames, quality)?;
        let at_source = |frames: u64| (frames * u64::from(from_hz)).div_ceil(u64::from(to_hz));
        let stride = retimer.input_frames_max();
        let fill_frames = usize::try_from(at_source(block_frames as u64)).unwrap_or(stride);
        let feed = Feed::new(outlet, from_hz, from_hz, stride)?;
        let intake = Intake::new(feed, true, fill_frames, stride, at_source(cushion_frames));
        let own = OwnClock::new((from_hz, to_hz), block_frames, cushion_frames, retimer);
        let block_s = block_frames as f64 / f64::from(to_hz);
        Ok(Self { intake, own: Some(own), due: None, block_frames, block_s })
    }

    /// Makes the tick follow this device, which is not resampled then. Before anything was filled.
    ///
    /// # Errors
    /// [`RateError`] for a rate out of range.
    pub fn lead(&mut self) -> Result<(), RateError> {
        let Some(own) = &mut self.own else { return Ok(()) };
        self.intake.convert(own.rates_hz(), self.block_frames, own.cushion_frames())?;
        own.lead();
        Ok(())
    }

    /// The first time from this one on, on `CLOCK_MONOTONIC` in nanoseconds, at which a tick finds most of what a device
    /// that leads has captured: its ticks lie a whole number of blocks apart, and a block is a whole number of what these
    /// times lie apart. Of any other source, this very time.
    #[must_use]
    pub fn tick_after(&mut self, now_ns: u64) -> u64 {
        self.intake.look();
        self.own.as_mut().map_or(now_ns, |own| own.tick_after(&mut self.intake, now_ns))
    }

    /// Whether the source has a clock of its own.
    #[must_use]
    pub const fn has_own_clock(&self) -> bool {
        self.own.is_some()
    }

    /// By how many millionths the tick is to be faster than its nominal rate: from a device that leads and delivers.
    #[must_use]
    pub fn leader_ppm(&self) -> Option<f64> {
        self.own.as_ref().filter(|_| self.intake.is_flowing()).and_then(OwnClock::leader_ppm)
    }

    /// Channels of the block.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.intake.channels()
    }

    /// Frames of a whole block.
    #[must_use]
    pub const fn block_frames(&self) -> usize {
        self.block_frames
    }

    /// Whether the source loses what nobody takes.
    #[must_use]
    pub const fn live(&self) -> bool {
        self.intake.live()
    }

    /// Frames of the source that are missing so far, at the source's rate.
    #[must_use]
    pub const fn lost_frames(&self) -> u64 {
        self.intake.lost_frames()
    }

    /// Whether enough is there to begin, or nothing more will come.
    pub fn is_primed(&mut self) -> bool {
        self.intake.is_primed(self.held_frames())
    }

    /// Whether a whole block can be filled without a gap, or the source is at its end.
    pub fn can_fill(&mut self) -> bool {
        self.intake.can_fill()
    }

    /// Begins without further waiting: on a virtual clock the tick waits instead.
    pub fn begin(&mut self) {
        self.intake.begin();
    }

    /// Forgets what was captured while the engine was not ready: it lies before the ring's first frame.
    pub fn trim(&mut self) {
        self.intake.trim(self.held_frames());
    }

    /// Hands over the queue of a device that was opened again; returns a queue to be freed elsewhere.
    pub fn succeed(&mut self, outlet: Outlet) -> Option<Outlet> {
        self.intake.succeed(outlet)
    }

    /// Forgets what is queued: the engine closes, and a file's frames are not yet due.
    pub fn stop(&mut self) {
        self.intake.stop();
    }

    /// When the next block is due.
    pub fn set_due(&mut self, due: Due) {
        self.due = Some(due);
        // Read by a virtual device that keeps the engine's time; what it reads need not be new.
        self.intake.health().tick_late_ns.store(due.late_ns, Ordering::Relaxed);
    }

    /// The block of the last [`fill`](Self::fill), `[channels][frames]`.
    #[must_use]
    pub fn planar(&self, frames: usize) -> &[f32] {
        self.retimer().map_or_else(|| self.intake.planar(frames), |retimer| retimer.block(frames))
    }

    /// The gaps of the last [`fill`](Self::fill), in order.
    #[must_use]
    pub fn gaps(&self) -> &[GapPart] {
        self.retimer().map_or_else(|| self.intake.gaps(), Retimer::gaps)
    }

    /// Frames that the last [`fill`](Self::fill) lost beyond the gaps it made.
    #[must_use]
    pub const fn dropped_frames(&self) -> u64 {
        self.intake.dropped_frames()
    }

    /// Whether the source has ended and all of it was taken.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.intake.has_ended() && self.retimer().is_none_or(Retimer::is_empty)
    }

    /// Fills the next block and returns its frames: all of a block, or fewer at the source's end. Queues that are
    /// used up go to `retired`. With `draining`, what is not there now will not come.
    ///
    /// # Real time
    /// Wait-free; allocates and frees nothing.
    pub fn fill(&mut self, draining: bool, mut retired: impl FnMut(Outlet)) -> usize {
        let ended = self.intake.look() || draining;
        self.measure();
        if let Some(own) = &mut self.own {
            return own.fill(&mut self.intake, self.block_frames, self.due, ended, &mut retired);
        }
        if self.intake.may_begin(ended) {
            self.intake.begin();
        }
        let frames = self.intake.fill(self.block_frames, 0, ended, &mut retired);
        if self.intake.has_stalled() {
            self.intake.grow_cushion();
        }
        frames
    }

    /// Leaves word of how long the sound of the next block has waited.
    fn measure(&self) {
        let inside = self.retimer().map_or(0.0, Retimer::inside);
        let shared_s = self.own.as_ref().map_or(0.0, |own| own.shared_s(&self.intake));
        let measured = self.due.and_then(|due| self.intake.measure(due.at_ns, (self.block_s, shared_s), inside));
        if let Some(measured) = measured.filter(|_| self.intake.live()) {
            self.intake.health().delays.saw_block(measured);
        }
    }

    /// Frames that lie behind the queue in a steady flow.
    fn held_frames(&self) -> u64 {
        self.own.as_ref().map_or(0, OwnClock::held_frames)
    }

    fn retimer(&self) -> Option<&Retimer> {
        self.own.as_ref().and_then(OwnClock::retimer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Health, Inlet, queue};
    use control_protocol::GapCause;
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

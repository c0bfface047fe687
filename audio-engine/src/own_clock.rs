//! A device whose clock is not the engine's: what was captured at one time stands at one place in every ring.
//!
//! What lies between a device and its ring is kept at one length. Either the device is resampled for that, or it leads
//! and the tick follows it; then it passes bit by bit.
//!
//! After a stop, sound goes on where it belongs: the silence is as long as the stop was, to within what callbacks are
//! late, and what is left of that is made up for by and by. Sound that came late is heard late and never thrown away.

use crate::feed::Feed;
use crate::intake::Intake;
use crate::queue::{Outlet, common_divisor};
use crate::retimer::{Retimer, whole};
use crate::tempo::Due;
use audio_dsp::DriftLoop;

/// Callbacks of a device that works are late by less than this. It is kept in the queue, besides the cushion.
const LATENESS_SECONDS: f64 = 0.005;
/// In this time a rate is known well enough to bend the tick with it.
const LEARNING_SECONDS: f64 = 2.0;
/// A leader's first tick may be so much nearer to its callback than the cushion: the time of a frame is rounded.
const SLACK_SECONDS: f64 = 0.0001;
/// The time in which the tick makes up for what a leader is away from its length: all rings hear of it.
const LEADER_PULL_SECONDS: f64 = 5.0;

/// The clock of one device.
pub(crate) struct OwnClock {
    rates_hz: (u32, u32),
    block_frames: usize,
    cushion_frames: u64,
    /// Frames of the device until the end of its last callback.
    delivered: u64,
    drift: DriftLoop,
    part: Part,
    /// Its ring has begun: from then on no frame is skipped.
    has_begun: bool,
}

#[expect(clippy::large_enum_variant, reason = "a lane is never in a box")]
enum Part {
    Resampled(Retimer),
    Leads(Bearing),
}

/// How a leader's callbacks and the ticks meet, in frames of the device.
struct Beat {
    /// What periods and blocks are multiples of.
    step: f64,
    /// By how much callbacks may be late.
    cushion: f64,
    /// By how much a tick may be nearer to the callback before it than the cushion, at the beginning.
    slack: f64,
}

/// What is known of a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bearing {
    /// Neither its length nor its rate: with the first sound the length is chosen.
    Unknown,
    /// Its length will do, and is not held while its rate is learnt.
    Learning,
    /// Both.
    Known,
}

impl OwnClock {
    /// A device of the first rate, resampled to the second.
    pub(crate) fn new(rates_hz: (u32, u32), block_frames: usize, cushion_frames: u64, retimer: Retimer) -> Self {
        let (drift, part) = (DriftLoop::new(rates_hz.0, 0.0), Part::Resampled(retimer));
        Self { rates_hz, block_frames, cushion_frames, delivered: 0, drift, part, has_begun: false }
    }

    /// Leads, and is not resampled.
    pub(crate) fn lead(&mut self) {
        self.part = Part::Leads(Bearing::Unknown);
    }

    /// What is kept in the queue, in frames of the engine's.
    pub(crate) const fn cushion_frames(&self) -> u64 {
        self.cushion_frames
    }

    pub(crate) const fn rates_hz(&self) -> (u32, u32) {
        self.rates_hz
    }

    pub(crate) const fn retimer(&self) -> Option<&Retimer> {
        match &self.part {
            Part::Resampled(retimer) => Some(retimer),
            Part::Leads(_) => None,
        }
    }

    /// Frames that must be there, besides what the queue needs, so that the sound begins with the ring: what runs the
    /// resampler in, what it holds, and what callbacks are late.
    pub(crate) fn held_frames(&self) -> u64 {
        let held = |retimer: &Retimer| 2.0 * retimer.latency_frames() + LATENESS_SECONDS * self.rate_hz();
        self.retimer().map_or(0, |retimer| whole(held(retimer)) as u64)
    }

    /// What the tick is to be bent by, in millionths, where this device leads.
    pub(crate) fn leader_ppm(&self) -> Option<f64> {
        let Part::Leads(_) = self.part else { return None };
        Some(self.drift.clock().rate_ppm() + 1e6 * self.drift.error_frames() / self.rate_hz() / LEADER_PULL_SECONDS)
    }

    /// As [`Lane::tick_after`](crate::lane::Lane::tick_after), of a leader.
    pub(crate) fn tick_after(&mut self, intake: &mut Intake, now_ns: u64) -> u64 {
        self.observe(intake);
        let beat = self.beat(intake.feed());
        let now_s = now_ns as f64 * 1e-9;
        let Some(delivered) = self.drift.clock().frames_at(now_s).filter(|_| self.retimer().is_none()) else {
            return now_ns;
        };
        let missing = (self.delivered as f64 + beat.cushion - delivered).rem_euclid(beat.step);
        now_ns + whole(1e9 * missing / self.rate_hz()) as u64
    }

    /// How much of a block is filled while the leader's period is, in seconds.
    pub(crate) fn shared_s(&self, intake: &Intake) -> f64 {
        if self.retimer().is_some() { 0.0 } else { self.beat(intake.feed()).step / self.rate_hz() }
    }

    /// As [`Lane::fill`](crate::lane::Lane::fill).
    pub(crate) fn fill(
        &mut self,
        intake: &mut Intake,
        block_frames: usize,
        due: Option<Due>,
        ended: bool,
        retired: &mut impl FnMut(Outlet),
    ) -> usize {
        self.observe(intake);
        let mut frames = self.needed(intake, block_frames, due);
        let mut wait = 0;
        if !intake.is_flowing() && !intake.has_ended() {
            wait = self.wait(intake, frames, due, ended, retired);
            // What was skipped has moved it.
            frames = self.needed(intake, block_frames, due);
        }
        self.has_begun = true;
        let was_flowing = intake.is_flowing();
        let filled = intake.fill(frames, wait.min(frames), ended, retired);
        if was_flowing && !intake.is_flowing() {
            // Did the device stop, or is it late? What comes next will tell, and not what was known.
            self.drift.reset();
        }
        match &mut self.part {
            Part::Resampled(retimer) => {
                let (planar, gaps) = intake.filled(frames);
                retimer.make(planar, gaps, filled, frames)
            }
            Part::Leads(_) => filled,
        }
    }

    /// Learns from the callbacks since the last block.
    fn observe(&mut self, intake: &mut Intake) {
        while let Some(arrival) = intake.next_arrival() {
            if arrival.after_glitch {
                self.drift.reset();
            }
            self.drift.observe(arrival.at_ns as f64 * 1e-9, arrival.frames_total);
            self.delivered = arrival.frames_total;
        }
    }

    /// Frames of the device that the next block takes.
    fn needed(&mut self, intake: &Intake, block_frames: usize, due: Option<Due>) -> usize {
        let position = self.position(intake);
        let mut ppm = self.drift.clock().rate_ppm();
        if let Some(due) = due.filter(|_| intake.is_flowing()) {
            if self.part.is_learning(&self.drift)
                && let Some(delivered) = self.drift.clock().frames_at(due.at_s())
            {
                self.drift.set_target_frames(delivered - position);
            }
            ppm = self.drift.steer(due.at_s(), position);
        }
        match &mut self.part {
            Part::Resampled(retimer) => retimer.needed(due.map_or(0.0, |due| ppm - due.ppm)),
            Part::Leads(_) => block_frames,
        }
    }

    /// How much of the next `frames` is silence before the sound goes on. It begins, unless that is all of them.
    fn wait(
        &mut self,
        intake: &mut Intake,
        frames: usize,
        due: Option<Due>,
        ended: bool,
        retired: &mut impl FnMut(Outlet),
    ) -> usize {
        intake.settle_loss();
        let at_once = ended || intake.has_successor();
        let Some(delivered) = due.filter(|_| !at_once).and_then(|due| self.drift.clock().frames_at(due.at_s())) else {
            if intake.may_begin(ended) {
                intake.begin();
            }
            return 0;
        };
        let length = delivered - self.position(intake);
        // With a length to keep, its place is known as soon as there is some.
        let is_placed = self.has_begun && !self.part.leads_unknown();
        if !(if is_placed { intake.has_sound() } else { intake.may_begin(false) }) {
            return frames;
        }
        let late = self.late_frames(intake, length, delivered);
        let wait = whole((-late * self.filled_per_frame()).round());
        if wait >= frames {
            return frames;
        }
        intake.begin();
        if late > 0.0 && !self.has_begun {
            self.skip(intake, late, retired);
        }
        wait
    }

    /// By how many frames the next sound would be later than it should, if it began now.
    fn late_frames(&mut self, intake: &mut Intake, length: f64, delivered: f64) -> f64 {
        let silence_frames = intake.silence_frames() as f64 / self.filled_per_frame();
        let least = self.least_length(intake.feed(), delivered);
        match &mut self.part {
            Part::Leads(bearing @ Bearing::Unknown) => {
                *bearing = Bearing::Learning;
                // Once the ring has begun nothing is skipped any more.
                self.drift.set_target_frames(if self.has_begun { length } else { least });
            }
            Part::Leads(_) => {
                let target_frames = self.drift.target_frames();
                if is_jitter(length - target_frames, silence_frames) {
                    let more = intake.grow_cushion() as f64 / self.filled_per_frame();
                    // To make up for it the whole engine would have to hurry; this one stays late instead.
                    self.drift.set_target_frames(length.max(target_frames + more));
                }
            }
            Part::Resampled(retimer) => {
                let held_frames = retimer.latency_frames() + LATENESS_SECONDS * f64::from(self.rates_hz.0);
                let target_frames = |intake: &Intake| intake.prime_frames() as f64 + held_frames;
                if self.has_begun && is_jitter(length - target_frames(intake), silence_frames) {
                    intake.grow_cushion();
                }
                self.drift.set_target_frames(target_frames(intake));
            }
        }
        length - self.drift.target_frames()
    }

    /// How much of a leader's sound must lie before the next block, which is due when this much was delivered by its clock:
    /// so much that no block comes to the end of what its callbacks have given, those that are late by the cushion too.
    ///
    /// A callback gives a period. Ticks lie a block apart, so that their distances from the callbacks before them are whole
    /// steps apart, a step being what both are multiples of; the longest is a period, less a step, more than the shortest.
    fn least_length(&self, feed: &Feed, delivered: f64) -> f64 {
        let Beat { step, cushion, slack } = self.beat(feed);
        let shortest = (delivered - self.delivered as f64 - cushion + slack).rem_euclid(step) + cushion - slack;
        let block = self.block_frames as f64 / self.filled_per_frame();
        shortest + feed.grain_frames() as f64 - step + block
    }

    /// How callbacks and ticks meet, in frames of the device.
    fn beat(&self, feed: &Feed) -> Beat {
        let is_converted = self.rates_hz.0 != self.rates_hz.1;
        let block = if is_converted { 1 } else { u32::try_from(self.block_frames).unwrap_or(1) };
        let step = f64::from(common_divisor(feed.outlet().period_step_frames(), block).max(1));
        let cushion = self.cushion_frames as f64 / self.filled_per_frame();
        // What is lost by rounding is not to cost a whole step.
        Beat { step, cushion, slack: (SLACK_SECONDS * self.rate_hz()).min(cushion / 3.0) }
    }

    /// Skips frames that lie before the ring's first one.
    fn skip(&mut self, intake: &mut Intake, late: f64, retired: &mut impl FnMut(Outlet)) {
        let Part::Resampled(retimer) = &mut self.part else { return intake.discard(whole(late) as u64) };
        let lead_in = retimer.lead_in();
        intake.discard(whole(late - lead_in) as u64);
        if late < lead_in {
            return;
        }
        while let Some((out_frames, frames)) = retimer.needed_to_run_in() {
            intake.fill(frames, 0, false, retired);
            let (planar, gaps) = intake.filled(frames);
            retimer.run_in(planar, gaps, (out_frames, frames));
        }
    }

    /// The frame of the device that is heard next.
    fn position(&self, intake: &Intake) -> f64 {
        intake.position() - self.retimer().map_or(0.0, Retimer::inside)
    }

    /// Frames that are filled for one of the device: a leader of another rate is converted while it is taken.
    fn filled_per_frame(&self) -> f64 {
        if self.retimer().is_some() { 1.0 } else { f64::from(self.rates_hz.1) / self.rate_hz() }
    }

    fn rate_hz(&self) -> f64 {
        f64::from(self.rates_hz.0)
    }
}

impl Part {
    /// Whether it leads at a rate that is still to be learnt.
    fn is_learning(&mut self, drift: &DriftLoop) -> bool {
        let Self::Leads(bearing @ Bearing::Learning) = self else { return false };
        if drift.clock().learnt_s() >= LEARNING_SECONDS {
            *bearing = Bearing::Known;
        }
        true
    }

    const fn leads_unknown(&self) -> bool {
        matches!(self, Self::Leads(Bearing::Unknown))
    }
}

/// Whether sound after a silence was late, and not captured late: then it is too late by the silence.
fn is_jitter(late_frames: f64, silence_frames: f64) -> bool {
    silence_frames > 0.0 && late_frames > silence_frames / 2.0
}

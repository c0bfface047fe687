//! How long sound is on its way into its ring, as its callback and the tick see it.
//!
//! Each of them measures what it can, evens it out over about a second, and leaves it where the control thread finds it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time over which a measured delay is evened out.
const EVEN_SECONDS: f64 = 1.0;
/// No device is later than this: a timestamp that says so is of another clock.
const HARDWARE_MAX: Duration = Duration::from_secs(2);

/// What is known of a source, in nanoseconds. Advisory: each is new by itself.
#[derive(Debug, Default)]
pub struct Delays {
    /// One more than the time from a sound to its callback, besides the period; 0 where that is not known.
    hardware_ns: AtomicU64,
    period_ns: AtomicU64,
    queue_ns: AtomicU64,
    block_ns: AtomicU64,
    resampler_ns: AtomicU64,
    /// One more than the last impulse's time; 0 before the first.
    impulse_ns: AtomicU64,
    /// Blocks that were measured so far.
    blocks: AtomicU64,
}

/// What a lane has measured in one block, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) period_s: f64,
    /// What lies ready besides a period and what the block adds.
    pub(crate) queue_s: f64,
    pub(crate) resampler_s: f64,
    /// The length of the block, and how much of it is filled while the period is: it adds only the rest.
    pub(crate) block_s: f64,
    pub(crate) shared_s: f64,
}

impl Delays {
    /// A callback got a period of this length whose first frame is so old, as the device says.
    ///
    /// # Real time
    /// Wait-free, as all here.
    pub(crate) fn saw_period(&self, age: Option<Duration>, length: Duration) {
        // Many devices say that a period was captured when it is delivered: they do not know.
        let Some(age) = age.filter(|age| *age >= length / 2 && *age < HARDWARE_MAX) else { return };
        let hardware_ns = u64::try_from(age.saturating_sub(length).as_nanos()).unwrap_or(0);
        let before = self.hardware_ns.load(Ordering::Relaxed);
        let now = if before == 0 { hardware_ns } else { (15 * (before - 1) + hardware_ns) / 16 };
        self.hardware_ns.store(now + 1, Ordering::Relaxed);
    }

    /// The tick has measured one more block.
    pub(crate) fn saw_block(&self, measured: Measured) {
        let blocks = self.blocks.load(Ordering::Relaxed);
        let share = if blocks == 0 { 1.0 } else { (measured.block_s / EVEN_SECONDS).clamp(0.0, 1.0) };
        let even = |place: &AtomicU64, seconds: f64| {
            let before = place.load(Ordering::Relaxed) as f64;
            place.store(nanoseconds(before + (seconds * 1e9 - before) * share), Ordering::Relaxed);
        };
        self.period_ns.store(nanoseconds(measured.period_s * 1e9), Ordering::Relaxed);
        self.block_ns.store(nanoseconds((measured.block_s - measured.shared_s) * 1e9), Ordering::Relaxed);
        even(&self.queue_ns, measured.queue_s);
        even(&self.resampler_ns, measured.resampler_s);
        self.blocks.store(blocks + 1, Ordering::Relaxed);
    }

    /// An impulse sounded at this time.
    pub(crate) fn impulse(&self, at_ns: u64) {
        self.impulse_ns.store(at_ns + 1, Ordering::Relaxed);
    }

    /// When the last impulse sounded, on `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn last_impulse_ns(&self) -> Option<u64> {
        self.impulse_ns.load(Ordering::Relaxed).checked_sub(1)
    }

    /// All that is known, once something is.
    #[must_use]
    pub fn told(&self, tick_ns: u64, mix_ns: u64) -> Option<control_protocol::Delays> {
        let us = |ns: u64| u32::try_from((ns + 500) / 1_000).unwrap_or(u32::MAX);
        let of = |place: &AtomicU64| us(place.load(Ordering::Relaxed));
        (self.blocks.load(Ordering::Relaxed) > 0).then(|| control_protocol::Delays {
            hardware_us: self.hardware_ns.load(Ordering::Relaxed).checked_sub(1).map(us),
            period_us: of(&self.period_ns),
            queue_us: of(&self.queue_ns),
            resampler_us: of(&self.resampler_ns),
            block_us: of(&self.block_ns),
            tick_us: us(tick_ns),
            mix_us: us(mix_ns),
        })
    }
}

/// Less than none there is not: the cast saturates.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
const fn nanoseconds(ns: f64) -> u64 {
    ns as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_device_that_does_not_know_is_not_believed() {
        let delays = Delays::default();
        let measured = Measured { period_s: 0.01, queue_s: 0.04, resampler_s: 0.001, block_s: 0.01, shared_s: 0.0 };
        delays.saw_block(measured);
        let hardware = || delays.told(0, 5_000_000).unwrap().hardware_us;
        for age in [None, Some(Duration::ZERO), Some(3_000 * MS)] {
            delays.saw_period(age, 10 * MS);
            assert_eq!(hardware(), None, "{age:?}");
        }
        delays.saw_period(Some(13 * MS), 10 * MS);
        assert_eq!(hardware(), Some(3_000));
        (0..200).for_each(|_| delays.saw_period(Some(11 * MS), 10 * MS));
        assert!(hardware().is_some_and(|us| us.abs_diff(1_000) < 10), "{:?}", hardware());
    }

    #[test]
    fn what_varies_is_evened_out_and_what_is_negative_is_none() {
        let delays = Delays::default();
        assert_eq!(delays.told(1, 1), None);
        let block = |queue_s| Measured { period_s: 0.01, queue_s, resampler_s: 0.0, block_s: 0.01, shared_s: 0.002 };
        delays.saw_block(block(0.040));
        (0..1_000).for_each(|n| delays.saw_block(block(if n % 2 == 0 { 0.030 } else { 0.050 })));
        let told = delays.told(100_400, 5_000_000).unwrap();
        assert!(told.queue_us.abs_diff(40_000) < 200, "{told:?}");
        assert_eq!((told.period_us, told.block_us, told.tick_us, told.mix_us), (10_000, 8_000, 100, 5_000));
        (0..2_000).for_each(|_| delays.saw_block(block(-0.001)));
        assert_eq!(delays.told(1, 1).unwrap().queue_us, 0);
    }
}

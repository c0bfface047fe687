//! What the tick and an output that leads know of each other: how late the tick is, and how fast it should be.
//!
//! Both sides only store and load numbers: neither waits for the other. A wish is good for a while, so that a tick
//! whose leader falls silent goes back to its nominal rate, whatever became of the leader.

use crate::clock::Clock;
use shm_layout::FrameIndex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Between the tick and the player of the output that leads.
#[derive(Debug, Default)]
pub struct Pilot {
    late_ns: AtomicI64,
    /// The bits of a float, and until when that is wished; 0: nobody wishes anything.
    ppm: AtomicU64,
    until_ns: AtomicU64,
}

impl Pilot {
    /// The tick is due so much later than at its nominal rate.
    ///
    /// # Real time
    /// Wait-free, as is everything here.
    pub fn set_late(&self, late_ns: i64) {
        self.late_ns.store(late_ns, Ordering::Relaxed);
    }

    /// By how many millionths the tick is wished to be faster than its nominal rate at this time.
    #[must_use]
    pub fn wished_ppm(&self, at_ns: u64) -> Option<f64> {
        let is_wished = at_ns < self.until_ns.load(Ordering::Acquire);
        is_wished.then(|| f64::from_bits(self.ppm.load(Ordering::Relaxed)))
    }

    /// Wishes a rate until then.
    pub fn wish(&self, ppm: f64, until_ns: u64) {
        self.ppm.store(ppm.to_bits(), Ordering::Relaxed);
        self.until_ns.store(until_ns, Ordering::Release);
    }

    /// Nobody leads.
    pub fn release(&self) {
        self.until_ns.store(0, Ordering::Release);
    }

    /// Where the tick is at this time (in seconds on `CLOCK_MONOTONIC`), in frames since `first`, with a fraction.
    #[must_use]
    pub fn frame_at(&self, clock: Clock, time_s: f64, first: FrameIndex) -> f64 {
        let late_s = self.late_ns.load(Ordering::Relaxed) as f64 * 1e-9;
        let since_s = time_s - clock.first_frame_ns as f64 * 1e-9 - late_s;
        since_s * f64::from(clock.sample_rate_hz) - (first.0 as f64 - clock.first_frame.0 as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_ends_by_itself_and_when_it_is_released() {
        let pilot = Pilot::default();
        assert_eq!(pilot.wished_ppm(0), None);
        pilot.wish(12.5, 1_000);
        assert_eq!((pilot.wished_ppm(999), pilot.wished_ppm(1_000)), (Some(12.5), None));
        pilot.release();
        assert_eq!(pilot.wished_ppm(10), None);
    }

    #[test]
    fn the_tick_is_where_its_deadlines_are() {
        let pilot = Pilot::default();
        let clock = Clock { first_frame: FrameIndex(100), first_frame_ns: 5_000_000_000, sample_rate_hz: 48_000 };
        pilot.set_late(500_000_000);
        let frame = pilot.frame_at(clock, 6.5, FrameIndex(90));
        assert!((frame - 48_010.0).abs() < 1e-3, "{frame}");
    }
}

//! The rate of the tick: deadlines on `CLOCK_MONOTONIC`, at the rate of the device that leads.
//!
//! The rate is bent and never jumps, so that no deadline is moved that was told. What deadlines have come to differ by
//! from those of the nominal rate is kept as a time: a frame index is due so much later than [`Clock`] says.

use crate::clock::Clock;
use audio_dsp::CORRECTION_PPM_MAX;
use shm_layout::FrameIndex;

/// The time in which the rate comes to within 1/e of the leader's, and of the nominal one when nobody leads.
const FOLLOW_SECONDS: f64 = 1.0;
const RELEASE_SECONDS: f64 = 10.0;

/// When a block is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Due {
    /// On `CLOCK_MONOTONIC`, in nanoseconds.
    pub at_ns: u64,
    /// By how much that is later than at the nominal rate, in nanoseconds.
    pub late_ns: i64,
    /// By how many millionths the tick is faster than its nominal rate.
    pub ppm: f64,
}

impl Due {
    /// On `CLOCK_MONOTONIC`, in seconds.
    #[must_use]
    pub const fn at_s(&self) -> f64 {
        self.at_ns as f64 * 1e-9
    }
}

/// The tick's deadlines.
#[derive(Debug, Clone, Copy)]
pub struct Tempo {
    clock: Clock,
    ppm: f64,
    late_ns: f64,
}

impl Tempo {
    /// Deadlines at the nominal rate.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock, ppm: 0.0, late_ns: 0.0 }
    }

    /// When the block is due whose last frame stands before `end`.
    #[must_use]
    pub fn due(&self, end: FrameIndex) -> Due {
        #[expect(clippy::cast_possible_truncation, reason = "a thousandth of a time that fits")]
        let late_ns = self.late_ns as i64;
        Due { at_ns: self.clock.time_of(end).saturating_add_signed(late_ns), late_ns, ppm: self.ppm }
    }

    /// So many frames were written: goes on to the next deadline, towards the rate of the leader (in millionths faster
    /// than nominal), or the nominal rate where there is none.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn pass(&mut self, frames: usize, leader_ppm: Option<f64>) {
        let seconds = frames as f64 / f64::from(self.clock.sample_rate_hz);
        let (wanted_ppm, within_s) = match leader_ppm {
            Some(ppm) if ppm.is_finite() => (ppm.clamp(-CORRECTION_PPM_MAX, CORRECTION_PPM_MAX), FOLLOW_SECONDS),
            _ => (0.0, RELEASE_SECONDS),
        };
        self.ppm += (wanted_ppm - self.ppm) * (seconds / within_s).min(1.0);
        self.late_ns -= seconds * 1e9 * self.ppm / (1e6 + self.ppm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: u64 = 480;

    fn tempo() -> Tempo {
        Tempo::new(Clock { first_frame: FrameIndex(77), first_frame_ns: 5_000_000_000, sample_rate_hz: 48_000 })
    }

    proptest! {
        /// Whatever is wished: deadlines follow one another within a thousandth of a block, and nothing jumps.
        #[test]
        fn deadlines_never_jump(wishes in prop::collection::vec(prop::option::of(-1e9_f64..1e9), 2..500)) {
            let mut tempo = tempo();
            let (mut end, mut last) = (FrameIndex(77), tempo.due(FrameIndex(77)));
            for wish in wishes {
                tempo.pass(480, wish);
                end = end.plus(BLOCK);
                let due = tempo.due(end);
                let length_ns = due.at_ns - last.at_ns;
                prop_assert!(length_ns.abs_diff(10_000_000) <= 10_011, "{length_ns}");
                prop_assert!((due.ppm - last.ppm).abs() <= 20.0);
                last = due;
            }
        }
    }

    #[test]
    fn it_takes_the_leaders_rate_and_gives_it_up_slowly() {
        let mut tempo = tempo();
        let block = |tempo: &mut Tempo, wish| tempo.pass(480, wish);
        (0..1_000).for_each(|_| block(&mut tempo, Some(200.0)));
        assert!((tempo.ppm - 200.0).abs() < 0.1, "{}", tempo.ppm);
        let before = tempo.due(FrameIndex(77)).late_ns;
        (0..100).for_each(|_| block(&mut tempo, Some(200.0)));
        let gained_ns = before - tempo.due(FrameIndex(77)).late_ns;
        assert!(gained_ns.abs_diff(200_000) < 200, "{gained_ns}");
        (0..100).for_each(|_| block(&mut tempo, None));
        assert!((tempo.ppm - 181.0).abs() < 1.0, "{}", tempo.ppm);
        (0..10_000).for_each(|_| block(&mut tempo, None));
        assert!(tempo.ppm.abs() < 0.1, "{}", tempo.ppm);
    }
}

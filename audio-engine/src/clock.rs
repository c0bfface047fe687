//! Frame indices and times at the nominal rate. How the tick differs from it, [`crate::tempo`] says.

use shm_layout::FrameIndex;

/// The line that ties the session's frame indices to `CLOCK_MONOTONIC`, where no device leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// An index…
    pub first_frame: FrameIndex,
    /// …and when it is due, in nanoseconds.
    pub first_frame_ns: u64,
    /// Frames a second.
    pub sample_rate_hz: u32,
}

const SECOND_NS: u128 = 1_000_000_000;

impl Clock {
    /// The index that is due at this time, to the nearest frame; not before the first.
    #[must_use]
    pub fn frame_at(&self, time_ns: u64) -> FrameIndex {
        let elapsed_ns = u128::from(time_ns.saturating_sub(self.first_frame_ns));
        let frames = (elapsed_ns * u128::from(self.sample_rate_hz) + SECOND_NS / 2) / SECOND_NS;
        self.first_frame.plus(u64::try_from(frames).unwrap_or(u64::MAX / 2))
    }

    /// When this frame is due.
    #[must_use]
    pub fn time_of(&self, frame: FrameIndex) -> u64 {
        let elapsed_ns = u128::from(frame.since(self.first_frame)) * SECOND_NS / u128::from(self.sample_rate_hz);
        self.first_frame_ns.saturating_add(u64::try_from(elapsed_ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn time_and_index_are_each_others_inverse(
            first in 0_u64..1 << 50,
            first_ns in 0_u64..1 << 60,
            rate in 8_000_u32..=192_000,
            frames in 0_u64..1 << 44,
        ) {
            let clock = Clock { first_frame: FrameIndex(first), first_frame_ns: first_ns, sample_rate_hz: rate };
            let frame = FrameIndex(first + frames);
            prop_assert_eq!(clock.frame_at(clock.time_of(frame)), frame);
        }
    }

    #[test]
    fn an_early_start_begins_with_the_first_frame() {
        let clock = Clock { first_frame: FrameIndex(100), first_frame_ns: 5_000, sample_rate_hz: 48_000 };
        assert_eq!(clock.frame_at(0), FrameIndex(100));
        assert_eq!(clock.frame_at(5_000 + 1_000_000_000), FrameIndex(48_100));
        assert_eq!(clock.time_of(FrameIndex(100)), 5_000);
    }
}

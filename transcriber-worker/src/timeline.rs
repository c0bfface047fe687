//! Where a 16 kHz sample stands in its ring, exactly, for as long as a session lasts.
//!
//! Sample `j` is the instant `j / 16000` after the origin. It lies in frame `origin + floor(j * rate / 16000)`; all
//! arithmetic is rational in 128 bits, so nothing drifts.

use crate::vad::SAMPLE_RATE_HZ;
use shm_layout::FrameIndex;

/// The tie between 16 kHz samples and the frames of one epoch, from the frame where the conversion began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    /// The frame of sample 0.
    pub origin: FrameIndex,
    /// The ring's rate.
    pub sample_rate_hz: u32,
}

impl Timeline {
    /// The frame in which a sample lies.
    #[must_use]
    pub fn frame_of(&self, sample: u64) -> FrameIndex {
        self.origin.plus(scale(sample, self.sample_rate_hz, SAMPLE_RATE_HZ, 0))
    }

    /// The first sample that does not lie before a frame; 0 for a frame before the origin.
    #[must_use]
    pub fn sample_of(&self, frame: FrameIndex) -> u64 {
        scale(frame.since(self.origin), SAMPLE_RATE_HZ, self.sample_rate_hz, self.sample_rate_hz - 1)
    }

    /// How many samples a converter makes of so many frames: those that begin before their end.
    #[must_use]
    pub fn samples_in(&self, frames: u64) -> u64 {
        self.sample_of(self.origin.plus(frames))
    }
}

/// `(count * by + round) / per`; saturates.
fn scale(count: u64, by: u32, per: u32, round: u32) -> u64 {
    let exact = (u128::from(count) * u128::from(by) + u128::from(round)) / u128::from(per);
    u64::try_from(exact).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ten years at 192 kHz.
    const FRAMES_MAX: u64 = 192_000 * 86_400 * 3_653;

    fn timelines() -> impl Strategy<Value = Timeline> {
        (0..FRAMES_MAX, 8_000_u32..=192_000)
            .prop_map(|(origin, sample_rate_hz)| Timeline { origin: FrameIndex(origin), sample_rate_hz })
    }

    proptest! {
        #[test]
        fn a_sample_lies_in_its_frame(timeline in timelines(), sample in 0..FRAMES_MAX / 12) {
            // frame <= instant < frame + 1, multiplied out
            let frame = u128::from(timeline.frame_of(sample).since(timeline.origin));
            let (rate, instant) = (u128::from(SAMPLE_RATE_HZ), u128::from(sample) * u128::from(timeline.sample_rate_hz));
            prop_assert!(frame * rate <= instant && instant < (frame + 1) * rate);
        }

        #[test]
        fn a_frame_ends_before_its_first_sample(timeline in timelines(), frames in 0..FRAMES_MAX) {
            let frame = timeline.origin.plus(frames);
            let sample = timeline.sample_of(frame);
            prop_assert!(timeline.frame_of(sample) >= frame);
            prop_assert!(sample == 0 || timeline.frame_of(sample - 1) < frame);
        }

        #[test]
        fn samples_survive_the_way_to_a_faster_ring_and_back(
            origin in 0..FRAMES_MAX, sample_rate_hz in 16_000_u32..=192_000, sample in 0..FRAMES_MAX / 12,
        ) {
            let timeline = Timeline { origin: FrameIndex(origin), sample_rate_hz };
            prop_assert_eq!(timeline.sample_of(timeline.frame_of(sample)), sample);
        }

        #[test]
        fn order_is_kept(timeline in timelines(), a in 0..FRAMES_MAX / 12, b in 0..FRAMES_MAX / 12) {
            prop_assert!(timeline.frame_of(a.min(b)) <= timeline.frame_of(a.max(b)));
        }
    }

    #[test]
    fn hours_at_an_awkward_rate_are_exact() {
        let timeline = Timeline { origin: FrameIndex(7), sample_rate_hz: 44_100 };
        let (hours, frames) = (100 * 3_600, 44_100 * 100 * 3_600);
        assert_eq!(timeline.frame_of(16_000 * hours), FrameIndex(7 + frames));
        assert_eq!(timeline.samples_in(frames), 16_000 * hours);
        assert_eq!(timeline.samples_in(frames + 1), 16_000 * hours + 1);
    }
}

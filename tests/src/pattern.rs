//! A ring's content that anybody can check frame by frame: each sample tells its frame and its channel.

/// Gaps lie in every so many stretches of [`STRETCH_FRAMES`].
const STRETCHES: u64 = 25;
const STRETCH_FRAMES: u64 = 960;

/// Whether a frame lies in a gap.
#[must_use]
pub const fn pattern_gap(frame: u64) -> bool {
    (frame / STRETCH_FRAMES) % STRETCHES == 7
}

/// The sample of a channel: exact in an f32, zero in gaps.
#[must_use]
pub fn pattern_sample(frame: u64, channel: u64) -> f32 {
    if pattern_gap(frame) {
        return 0.0;
    }
    let number = (frame * 3 + channel * 7_919) % (1 << 24);
    number as f32 / (1 << 24) as f32
}

/// The gaps inside `from..to`, oldest first.
#[must_use]
pub fn pattern_gaps(from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut at = from;
    while at < to {
        let end = to.min((at / STRETCH_FRAMES + 1) * STRETCH_FRAMES);
        if pattern_gap(at) {
            gaps.push((at, end));
        }
        at = end;
    }
    gaps
}

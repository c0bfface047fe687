//! Samples that say where they belong: what each sample of a torture ring must be.

/// What frame `index` of a channel holds. A stale, torn or misplaced sample is another number: neighbours differ, and so do
/// the same places of two laps. Exact in f32, and simple enough for any language.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "only the low 24 bits count")]
pub fn sample(index: u64, channel: u64) -> f32 {
    // In 32 bits, for the compiler makes vectors of that.
    ((index as u32).wrapping_mul(7).wrapping_add((channel as u32).wrapping_mul(1_000_003)) & 0xff_ffff).cast_signed()
        as f32
}

/// Frames `from..from + frames` as `[channels][frames]`.
pub fn fill(planar: &mut [f32], from: u64, frames: usize) {
    for (channel, samples) in planar.chunks_exact_mut(frames).enumerate() {
        for (index, value) in (from..).zip(samples) {
            *value = sample(index, channel as u64);
        }
    }
}

/// How many samples are not what they must be.
#[must_use]
pub fn wrong(planar: &[f32], from: u64, frames: usize) -> u64 {
    let mut wrong = 0;
    for (channel, samples) in planar.chunks_exact(frames.max(1)).enumerate() {
        for (index, value) in (from..).zip(samples) {
            wrong += u64::from(value.to_bits() != sample(index, channel as u64).to_bits());
        }
    }
    wrong
}

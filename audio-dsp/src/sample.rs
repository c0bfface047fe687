//! What every processor does to a sample that it takes.

/// The sample, or silence where it is no finite number: one bad sample would stay in a filter for ever.
#[inline]
pub(crate) fn finite(sample: f32) -> f32 {
    if sample.abs() <= f32::MAX { sample } else { 0.0 }
}

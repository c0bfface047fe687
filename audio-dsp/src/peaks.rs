//! The least and the greatest sample: what a drawn wave is made of.

use crate::sample::finite;

/// The least and the greatest of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// The least sample.
    pub min: f32,
    /// The greatest sample.
    pub max: f32,
}

impl Peaks {
    /// Of no samples: least above greatest.
    pub const NONE: Self = Self { min: f32::INFINITY, max: f32::NEG_INFINITY };

    /// Of these samples; [`Peaks::NONE`] where there are none. One that is no finite number counts as silence.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    #[must_use]
    pub fn of(samples: &[f32]) -> Self {
        let (peaks, all_finite) = extremes(samples);
        if all_finite {
            return peaks;
        }
        samples.iter().fold(Self::NONE, |peaks, &sample| {
            let sample = finite(sample);
            Self { min: peaks.min.min(sample), max: peaks.max.max(sample) }
        })
    }

    /// Of one sample.
    #[must_use]
    pub fn at(sample: f32) -> Self {
        let sample = finite(sample);
        Self { min: sample, max: sample }
    }

    /// Whether there was no sample.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.min > self.max
    }

    /// Of the samples of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// The peaks of samples in so many columns of equal width. Each column begins with the last sample of the one before, so
/// that a wave drawn in them has no gaps; every sample is in one at least. With more columns than samples a column
/// has the sample it lies in. Without samples there are [`Peaks::NONE`].
///
/// # Real time
/// Wait-free, allocates nothing.
pub fn peaks_in_columns(samples: &[f32], columns: &mut [Peaks]) {
    let (frames, count) = (samples.len(), columns.len());
    for (column, peaks) in columns.iter_mut().enumerate() {
        // 128 bits are not needed: what fits into memory, times a screen's width, fits into 64.
        let from = column * frames / count;
        let to = ((column + 1) * frames / count).max(from + 1).min(frames);
        *peaks = Peaks::of(&samples[from.saturating_sub(1).min(to)..to]);
    }
}

/// Accumulators side by side, so that vectors need not wait for one another.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
const LANES: usize = 16;

/// The extremes of samples of which none is not finite, and whether that is so.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn extremes(samples: &[f32]) -> (Peaks, bool) {
    let (mut min, mut max, mut odd) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], [0.0_f32; LANES]);
    let (chunks, rest) = samples.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let sample = chunk[lane];
            // Comparisons in this form become vector instructions, `f32::min` does not.
            min[lane] = if sample < min[lane] { sample } else { min[lane] };
            max[lane] = if sample > max[lane] { sample } else { max[lane] };
            // Zero, or not a number when the sample is no finite one.
            odd[lane] += sample * 0.0;
        }
    }
    let mut peaks = Peaks::NONE;
    for (min, max) in min.iter().zip(&max) {
        peaks = peaks.with(Peaks { min: *min, max: *max });
    }
    let mut all_finite = odd.iter().all(|odd| *odd == 0.0);
    for &sample in rest {
        peaks = peaks.with(Peaks { min: sample, max: sample });
        all_finite &= sample.is_finite();
    }
    (peaks, all_finite)
}

/// As above. The compiler makes no vectors of it for WebAssembly, where it took nine times as long.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn extremes(samples: &[f32]) -> (Peaks, bool) {
    use std::arch::wasm32::{
        f32x4, f32x4_add, f32x4_extract_lane, f32x4_pmax, f32x4_pmin, f32x4_splat, f32x4_sub, v128,
    };
    let lanes = |vector: v128| {
        [
            f32x4_extract_lane::<0>(vector),
            f32x4_extract_lane::<1>(vector),
            f32x4_extract_lane::<2>(vector),
            f32x4_extract_lane::<3>(vector),
        ]
    };
    let (mut min, mut max) = ([f32x4_splat(f32::INFINITY); 2], [f32x4_splat(f32::NEG_INFINITY); 2]);
    let mut odd = [f32x4_splat(0.0); 2];
    let (chunks, rest) = samples.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in chunks {
        for (half, vector) in [f32x4(*a, *b, *c, *d), f32x4(*e, *f, *g, *h)].into_iter().enumerate() {
            min[half] = f32x4_pmin(min[half], vector);
            max[half] = f32x4_pmax(max[half], vector);
            odd[half] = f32x4_add(odd[half], f32x4_sub(vector, vector));
        }
    }
    let mut peaks = Peaks::NONE;
    let mut all_finite = true;
    for half in 0..2 {
        for ((min, max), odd) in lanes(min[half]).into_iter().zip(lanes(max[half])).zip(lanes(odd[half])) {
            peaks = peaks.with(Peaks { min, max });
            all_finite &= odd == 0.0;
        }
    }
    for &sample in rest {
        peaks = peaks.with(Peaks { min: sample, max: sample });
        all_finite &= sample.is_finite();
    }
    (peaks, all_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_sample() -> impl Strategy<Value = f32> {
        prop_oneof![
            20 => -2.0_f32..2.0,
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 8.0])
        ]
    }

    proptest! {
        #[test]
        fn peaks_are_those_of_the_finite_samples(samples in prop::collection::vec(any_sample(), 1..200)) {
            let tamed: Vec<f32> = samples.iter().map(|&s| if s.is_finite() { s } else { 0.0 }).collect();
            let peaks = Peaks::of(&samples);
            prop_assert_eq!(peaks.min, tamed.iter().copied().fold(f32::INFINITY, f32::min));
            prop_assert_eq!(peaks.max, tamed.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }

        #[test]
        fn columns_hold_every_sample_and_touch(
            samples in prop::collection::vec(-1.0_f32..1.0, 1..500), count in 1_usize..80,
        ) {
            let mut columns = vec![Peaks::NONE; count];
            peaks_in_columns(&samples, &mut columns);
            let all = columns.iter().copied().fold(Peaks::NONE, Peaks::with);
            prop_assert_eq!(all, Peaks::of(&samples));
            for pair in columns.windows(2) {
                prop_assert!(pair[0].min <= pair[1].max && pair[1].min <= pair[0].max, "a gap in the wave");
            }
        }
    }

    #[test]
    fn a_click_of_one_sample_is_seen_wherever_it_is() {
        for at in 0..1_000 {
            let mut samples = [0.0; 1_000];
            samples[at] = -0.9;
            let mut columns = [Peaks::NONE; 7];
            peaks_in_columns(&samples, &mut columns);
            assert!(columns.iter().any(|peaks| peaks.min <= -0.9), "a click at {at} is not seen");
        }
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        let mut columns = [Peaks::at(1.0); 3];
        peaks_in_columns(&[], &mut columns);
        assert!(columns.iter().all(Peaks::is_none) && Peaks::of(&[]).is_none());
        assert!(!Peaks::of(&[f32::NAN]).is_none(), "not a number is silence, and silence is something");
    }
}

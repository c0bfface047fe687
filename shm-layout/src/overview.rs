//! The overview: the least and the greatest sample of every block of frames, so that a picture of half a minute does not
//! read millions of samples.
//!
//! Bin `b` covers frames `b · bin_frames .. (b + 1) · bin_frames` of the session and lies in slot `b mod bins`, as two
//! f32 in one word. It is written between `reserve` and `commit`, like the samples it stands for, so that one rule tells
//! for both whether what was read is whole. The bin that `commit` lies in covers what there is of it so far.

use crate::FrameIndex;
use crate::memory::Mapping;
use crate::sync::Ordering;

/// Frames of one bin.
pub(crate) const BIN_FRAMES: u64 = 256;

/// Where the overview lies. Its bins reach back at least as far as the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverviewInfo {
    /// How many bins there are.
    pub bins: u64,
    /// Frames of one bin.
    pub bin_frames: u64,
    pub(crate) offset: u64,
    pub(crate) stride_bytes: u64,
}

impl OverviewInfo {
    /// The overview of a ring of this capacity, at this place.
    pub(crate) const fn plan(capacity_frames: u64, offset: u64) -> Self {
        // One more than the history: the oldest bin stays whole while the newest is filled.
        let bins = capacity_frames.div_ceil(BIN_FRAMES) + 1;
        Self { bins, bin_frames: BIN_FRAMES, offset, stride_bytes: (bins * 8).next_multiple_of(64) }
    }

    pub(crate) fn at(&self, channel: usize, bin: u64) -> usize {
        let offset = self.offset + channel as u64 * self.stride_bytes + (bin % self.bins) * 8;
        usize::try_from(offset).unwrap_or(usize::MAX)
    }
}

/// The least and the greatest sample of a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// The least sample.
    pub min: f32,
    /// The greatest sample.
    pub max: f32,
}

/// Samples that are compared at once: two vectors of the least x86-64, so that one need not wait for the other.
const LANES: usize = 8;

/// What beats all the others, of `begin` and the samples. What is not a number beats nothing.
///
/// A loop of this form becomes vector instructions. One that looks for two extremes at once, or asks `f32::min`, takes six
/// times as long.
#[inline(never)]
fn extreme(begin: f32, samples: &[f32], beats: impl Fn(f32, f32) -> bool) -> f32 {
    let better = |all: f32, &sample: &f32| if beats(sample, all) { sample } else { all };
    let mut lanes = [begin; LANES];
    let (chunks, rest) = samples.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, sample) in lanes.iter_mut().zip(chunk) {
            *lane = better(*lane, sample);
        }
    }
    lanes.iter().chain(rest).fold(begin, better)
}

impl Extent {
    /// Of no samples: any sample widens it.
    pub(crate) const NONE: Self = Self { min: f32::INFINITY, max: f32::NEG_INFINITY };

    /// The extent of these samples and of what is in this one already. What is not a number counts as nothing.
    fn widened(self, samples: &[f32]) -> Self {
        Self {
            min: extreme(self.min, samples, |sample, all| sample < all),
            max: extreme(self.max, samples, |sample, all| sample > all),
        }
    }

    fn to_bits(self) -> u64 {
        u64::from(self.min.to_bits()) | (u64::from(self.max.to_bits()) << 32)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        Self { min: f32::from_le_bytes([a, b, c, d]), max: f32::from_le_bytes([e, f, g, h]) }
    }
}

/// The writer's end: the unfinished bin of each channel.
#[derive(Debug)]
pub(crate) struct OverviewWriter {
    open: Vec<Extent>,
}

impl OverviewWriter {
    pub(crate) fn new(channels: u32) -> Self {
        Self { open: vec![Extent::NONE; channels as usize] }
    }

    /// Puts the samples of one channel that begin at this frame into their bins.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub(crate) fn write(
        &mut self,
        map: &Mapping,
        overview: &OverviewInfo,
        channel: usize,
        from: FrameIndex,
        samples: &[f32],
    ) {
        let Some(open) = self.open.get_mut(channel) else { return };
        let (mut frame, mut left) = (from.0, samples);
        while !left.is_empty() {
            let bin = frame / overview.bin_frames;
            let room = usize::try_from((bin + 1) * overview.bin_frames - frame).unwrap_or(usize::MAX);
            let (here, rest) = left.split_at(room.min(left.len()));
            if frame.is_multiple_of(overview.bin_frames) {
                *open = Extent::NONE;
            }
            *open = open.widened(here);
            map.store_u64(overview.at(channel, bin), open.to_bits(), Ordering::Relaxed);
            frame += here.len() as u64;
            left = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_extent_is_that_of_all_its_samples(
            samples in prop::collection::vec(-2.0_f32..2.0, 1..100), cut in 0_usize..100,
        ) {
            let (a, b) = samples.split_at(cut.min(samples.len()));
            let extent = Extent::NONE.widened(a).widened(b);
            prop_assert_eq!(extent.min, samples.iter().copied().fold(f32::INFINITY, f32::min));
            prop_assert_eq!(extent.max, samples.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            prop_assert_eq!(Extent::from_bits(extent.to_bits()), extent);
        }
    }

    #[test]
    fn what_is_not_a_number_counts_as_nothing() {
        let extent = Extent::NONE.widened(&[f32::NAN, 1.0, -1.0, f32::NAN]);
        assert_eq!(extent, Extent { min: -1.0, max: 1.0 });
    }
}

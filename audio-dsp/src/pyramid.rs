//! An overview of a long history: least and greatest samples in ever longer bins.

use crate::peaks::Peaks;

/// Frames of a bin of the finest level.
pub const FINEST_FRAMES: u64 = 64;
/// Bins of a level that one bin of the next covers.
const FACTOR: u64 = 4;
/// Bins of the coarsest level, about.
const COARSEST_BINS: u64 = 256;
/// A column is of so many bins at the least, so that the one that its edge lies in adds little.
const BINS_A_COLUMN: u64 = 4;

/// Minima and maxima of one channel's last frames, by frame index.
///
/// What it costs to ask does not grow with the time that is asked for, but with the columns alone. What it was not given is
/// known: a column without any frame has [`Peaks::NONE`]. Once full it forgets the oldest.
#[derive(Debug, Clone)]
pub struct Pyramid {
    levels: Vec<Level>,
    capacity_frames: u64,
    first: u64,
    end: u64,
}

#[derive(Debug, Clone)]
struct Level {
    bin_frames: u64,
    /// Bin `b` lies in place `b % len`.
    bins: Vec<Peaks>,
}

impl Level {
    fn new(bin_frames: u64, capacity_frames: u64) -> Self {
        // One more than the history: the oldest stays whole while the newest is filled.
        let bins = usize::try_from(capacity_frames.div_ceil(bin_frames) + 1).unwrap_or(usize::MAX);
        Self { bin_frames, bins: vec![Peaks::NONE; bins] }
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than the length")]
    const fn place(&self, bin: u64) -> usize {
        (bin % self.bins.len() as u64) as usize
    }

    /// Empties the bins that frames `from..to` begin in, and those they go on to.
    fn clear(&mut self, from: u64, to: u64) {
        let (first, end) = (from.div_ceil(self.bin_frames), to.div_ceil(self.bin_frames));
        let first = first.max(end.saturating_sub(self.bins.len() as u64));
        for bin in first..end {
            let place = self.place(bin);
            self.bins[place] = Peaks::NONE;
        }
    }

    fn widen(&mut self, frame: u64, peaks: Peaks) {
        let place = self.place(frame / self.bin_frames);
        self.bins[place] = self.bins[place].with(peaks);
    }
}

impl Pyramid {
    /// Of so many frames of history.
    #[must_use]
    pub fn new(capacity_frames: u64) -> Self {
        let mut levels = vec![Level::new(FINEST_FRAMES, capacity_frames)];
        let mut bin_frames = FINEST_FRAMES * FACTOR;
        while capacity_frames / bin_frames > COARSEST_BINS {
            levels.push(Level::new(bin_frames, capacity_frames));
            bin_frames *= FACTOR;
        }
        Self { levels, capacity_frames, first: 0, end: 0 }
    }

    /// One past the newest frame that it knows of.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The oldest frame that it knows of, which may be in the middle of a gap.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.first.max(self.end.saturating_sub(self.capacity_frames))
    }

    /// Takes more samples, the first of them at this frame; what lies between [`end`](Self::end) and it is a gap. A
    /// frame before [`end`](Self::end) (another session) begins anew. Samples that are no finite numbers count as
    /// silence. A gap of less than a bin ([`FINEST_FRAMES`]) is not seen afterwards.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn push(&mut self, from: u64, samples: &[f32]) {
        self.skip_to(from);
        let (mut frame, mut left) = (from, samples);
        let end = from + samples.len() as u64;
        self.levels.iter_mut().for_each(|level| level.clear(from, end));
        while !left.is_empty() {
            let room = FINEST_FRAMES - frame % FINEST_FRAMES;
            let (here, rest) = left.split_at(usize::try_from(room).map_or(left.len(), |room| room.min(left.len())));
            let peaks = Peaks::of(here);
            self.levels.iter_mut().for_each(|level| level.widen(frame, peaks));
            frame += here.len() as u64;
            left = rest;
        }
        self.end = end;
    }

    /// What lies between [`end`](Self::end) and this frame is a gap. A frame before it begins anew, there.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn skip_to(&mut self, frame: u64) {
        if frame < self.end || self.end == self.first {
            self.levels.iter_mut().for_each(|level| level.bins.fill(Peaks::NONE));
            (self.first, self.end) = (frame, frame);
        }
        let from = self.end;
        self.levels.iter_mut().for_each(|level| level.clear(from, frame));
        self.end = frame;
    }

    /// The peaks of frames `from..to` in columns of equal width; [`Peaks::NONE`] where nothing is known. No sample is
    /// left out. A column's edges are those of the bins: it may show a click that is up to a quarter of its width away,
    /// or one bin ([`FINEST_FRAMES`]) where columns are narrower than four of those; for such, look at the samples.
    /// Columns touch, as those of [`peaks_in_columns`](crate::peaks_in_columns), where there are samples in both: the later
    /// one is widened to the nearest sample of the one before.
    ///
    /// # Real time
    /// Wait-free, allocates nothing. At most 18 bins a column are looked at.
    pub fn columns(&self, from: u64, to: u64, columns: &mut [Peaks]) {
        let frames = u128::from(to.saturating_sub(from));
        let count = columns.len() as u128;
        let width = u64::try_from(frames / count.max(1)).unwrap_or(u64::MAX);
        let fits = |level: &&Level| level.bin_frames * BINS_A_COLUMN <= width;
        let Some(level) = self.levels.iter().rev().find(fits).or(self.levels.first()) else { return };
        let edge = |column: usize| from + u64::try_from(column as u128 * frames / count).unwrap_or(u64::MAX);
        let mut before = Peaks::NONE;
        for (column, peaks) in columns.iter_mut().enumerate() {
            let (begin, end) = (edge(column), edge(column + 1).max(edge(column) + 1));
            *peaks = self.of(level, begin, end);
            let seen = *peaks;
            if !peaks.is_none() && !before.is_none() {
                // The nearest sample of the column before, if they do not touch.
                if peaks.min > before.max {
                    peaks.min = before.max;
                } else if peaks.max < before.min {
                    peaks.max = before.min;
                }
            }
            before = seen;
        }
    }

    fn of(&self, level: &Level, begin: u64, end: u64) -> Peaks {
        let (begin, end) = (begin.max(self.oldest()), end.min(self.end));
        if begin >= end {
            return Peaks::NONE;
        }
        let bins = begin / level.bin_frames..end.div_ceil(level.bin_frames);
        // No history is longer than the bins of its levels.
        bins.map(|bin| level.bins[level.place(bin)]).fold(Peaks::NONE, Peaks::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(pyramid: &Pyramid, from: u64, to: u64, count: usize) -> Vec<Peaks> {
        let mut columns = vec![Peaks::at(9.0); count];
        pyramid.columns(from, to, &mut columns);
        columns
    }

    proptest! {
        #[test]
        fn a_column_is_that_of_its_samples_and_at_most_a_quarter_more(
            begin in 0_u64..1 << 40, cuts in prop::collection::vec(1_usize..3_000, 1..30), count in 1_usize..50,
            seed in any::<u32>(),
        ) {
            let mut pyramid = Pyramid::new(20_000);
            let (mut all, mut state) = (Vec::new(), seed);
            for frames in cuts {
                let block: Vec<f32> = (0..frames).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Rare clicks of all sizes.
                    if state >> 23 == 5 { (state & 0xffff) as f32 / 65_536.0 } else { 0.0 }
                }).collect();
                pyramid.push(begin + all.len() as u64, &block);
                all.extend(block);
            }
            let end = begin + all.len() as u64;
            prop_assert_eq!(pyramid.end(), end);
            let from = pyramid.oldest();
            prop_assert_eq!(from, begin.max(end.saturating_sub(20_000)));
            let columns = asked(&pyramid, from, end, count);
            let (frames, old) = (usize::try_from(end - from).unwrap(), usize::try_from(from - begin).unwrap());
            let kept = &all[old..];
            for (column, peaks) in columns.iter().enumerate() {
                let (a, b) = (column * frames / count, ((column + 1) * frames / count).max(column * frames / count + 1));
                if a >= frames { continue }
                let inner = Peaks::of(&kept[a..b.min(frames)]);
                prop_assert!(peaks.min <= inner.min && peaks.max >= inner.max, "{column}: {peaks:?} {inner:?}");
                let more = ((b - a) / 4).max(64);
                // Overwritten frames of the oldest bin count, too.
                let outer = Peaks::of(&all[(old + a).saturating_sub(more)..(old + b + more).min(all.len())]);
                prop_assert!(peaks.max <= outer.max, "{column}: {peaks:?} {outer:?}");
            }
        }
    }

    #[test]
    fn gaps_have_no_peaks_and_what_surrounds_them_has() {
        let mut pyramid = Pyramid::new(100_000);
        pyramid.push(1_000_000, &[0.5; 10_000]);
        pyramid.push(1_030_000, &[-0.5; 10_000]);
        let columns = asked(&pyramid, 1_000_000, 1_040_000, 8);
        assert_eq!(columns[..2], [Peaks::at(0.5); 2]);
        assert!(columns[3..5].iter().all(Peaks::is_none), "{columns:?}");
        assert_eq!(columns[6..], [Peaks::at(-0.5); 2], "no line is drawn over a gap");
        // Before and after what is known.
        assert!(asked(&pyramid, 0, 1_000_000, 10).iter().all(Peaks::is_none));
        assert!(asked(&pyramid, 1_040_000, 2_000_000, 10).iter().all(Peaks::is_none));
        pyramid.skip_to(1_060_000);
        assert!(asked(&pyramid, 1_042_000, 1_060_000, 3).iter().all(Peaks::is_none));
    }

    #[test]
    fn what_is_overwritten_is_forgotten_even_by_a_gap_of_any_length() {
        let mut pyramid = Pyramid::new(10_000);
        pyramid.push(0, &[1.0; 10_000]);
        pyramid.push(u64::from(u32::MAX) * 9, &[0.25; 100]);
        let end = pyramid.end();
        assert!(asked(&pyramid, 0, 10_000, 5).iter().all(Peaks::is_none));
        let columns = asked(&pyramid, end - 10_000, end, 5);
        assert!(columns[..3].iter().all(Peaks::is_none), "{columns:?}");
        assert_eq!(columns[4], Peaks::at(0.25));
        // Another session begins at an earlier frame.
        pyramid.push(500, &[0.125; 100]);
        assert_eq!((pyramid.oldest(), pyramid.end()), (500, 600));
        assert!(asked(&pyramid, end - 10_000, end, 5).iter().all(Peaks::is_none));
    }

    #[test]
    fn neighbouring_columns_touch() {
        let mut pyramid = Pyramid::new(100_000);
        let saw: Vec<f32> = (0..100_000_u32).map(|n| (n % 20_000) as f32 / 10_000.0 - 1.0).collect();
        pyramid.push(0, &saw);
        let columns = asked(&pyramid, 0, 100_000, 100);
        for pair in columns.windows(2) {
            assert!(pair[0].min <= pair[1].max && pair[1].min <= pair[0].max, "{pair:?}");
        }
    }
}

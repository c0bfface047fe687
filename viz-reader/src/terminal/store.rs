//! A viewer's own history of a stream, from which it draws: the writer may overwrite the ring meanwhile.

use super::paint::Missing;
use audio_dsp::{FINEST_FRAMES, Peaks, Pyramid};
use shm_layout::FrameIndex;
use std::collections::VecDeque;

/// Memory of one stream's samples, at the most.
const BYTES_MAX: u64 = 192 << 20;
/// How far back it goes where there is room.
pub(super) const SECONDS_MAX: u64 = 60;
/// Holes are remembered one by one; of more of them the oldest two are one.
const HOLES_MAX: usize = 4_096;
/// Columns of so many frames and more are drawn from the overview.
const OVERVIEW_FRAMES: u64 = 4 * FINEST_FRAMES;

/// Frames that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) missing: Missing,
}

/// The last frames of a stream.
#[derive(Debug)]
pub(super) struct Store {
    /// Frame `f` of a channel lies in place `f % capacity`. In the places of what is missing is what was there before: to
    /// empty them would take most of a second after a long loss of a wide stream, and they are known (`holes`).
    channels: Vec<Vec<f32>>,
    overviews: Vec<Pyramid>,
    capacity: u64,
    first: u64,
    end: u64,
    holes: VecDeque<Hole>,
}

impl Store {
    /// Of a stream; as long as memory allows.
    pub(super) fn new(channels: usize, rate_hz: u32) -> Self {
        let capacity = (BYTES_MAX / 4 / channels.max(1) as u64).min(u64::from(rate_hz) * SECONDS_MAX);
        Self::of_capacity(channels, capacity)
    }

    fn of_capacity(channels: usize, capacity: u64) -> Self {
        let frames = usize::try_from(capacity).unwrap_or(usize::MAX);
        Self {
            // Pages that nothing was written to cost nothing.
            channels: (0..channels).map(|_| vec![0.0; frames]).collect(),
            overviews: (0..channels).map(|_| Pyramid::new(capacity)).collect(),
            capacity,
            first: 0,
            end: 0,
            holes: VecDeque::new(),
        }
    }

    /// Frames it goes back.
    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn oldest(&self) -> u64 {
        self.first.max(self.end.saturating_sub(self.capacity))
    }

    /// One past the newest frame.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// Takes frames, `[channels][frames]`; those that were never captured are zeros in it. A frame before the
    /// [`end`](Self::end) begins anew.
    pub(super) fn push(&mut self, from: u64, planar: &[f32], frames: usize, gaps: &[(FrameIndex, FrameIndex)]) {
        if frames == 0 {
            return;
        }
        if from < self.end || self.is_empty() {
            self.begin(from);
        }
        for ((place, overview), samples) in
            self.channels.iter_mut().zip(&mut self.overviews).zip(planar.chunks_exact(frames))
        {
            copy_in(place, from, samples);
            overview.push(from, samples);
        }
        if from > self.end {
            self.note(Hole { from: self.end, to: from, missing: Missing::Lost });
        }
        self.end = from + frames as u64;
        for (from, to) in gaps {
            self.note(Hole { from: from.0, to: to.0, missing: Missing::Gap });
        }
    }

    /// These frames are missing.
    pub(super) fn miss(&mut self, hole: Hole) {
        if self.is_empty() || hole.from < self.oldest() {
            // Nothing was seen before it: the picture begins behind it, and the hole is counted elsewhere.
            return;
        }
        self.overviews.iter_mut().for_each(|overview| overview.skip_to(hole.to.max(self.end)));
        self.end = self.end.max(hole.to);
        self.note(hole);
    }

    fn begin(&mut self, frame: u64) {
        (self.first, self.end) = (frame, frame);
        self.holes.clear();
    }

    fn note(&mut self, hole: Hole) {
        let oldest = self.oldest();
        while self.holes.front().is_some_and(|hole| hole.to <= oldest) {
            self.holes.pop_front();
        }
        match self.holes.back_mut() {
            Some(last) if last.to >= hole.from && last.missing == hole.missing => last.to = last.to.max(hole.to),
            _ => self.holes.push_back(hole),
        }
        if self.holes.len() > HOLES_MAX
            && let Some(eldest) = self.holes.pop_front()
            && let Some(next) = self.holes.front_mut()
        {
            *next = Hole { from: eldest.from, to: next.to, missing: eldest.missing.max(next.missing) };
        }
    }

    /// The holes in frames `from..to`.
    fn holes_in(&self, from: u64, to: u64) -> impl Iterator<Item = &Hole> {
        let begin = self.holes.partition_point(|hole| hole.to <= from);
        self.holes.range(begin..).take_while(move |hole| hole.from < to)
    }

    /// What is missing of frames `from..to`, the worst of it.
    pub(super) fn missing(&self, from: u64, to: u64) -> Option<Missing> {
        self.holes_in(from, to).map(|hole| hole.missing).max()
    }

    /// Whether all of frames `from..to` were captured, and are there.
    pub(super) fn is_whole(&self, from: u64, to: u64) -> bool {
        from >= self.oldest() && to <= self.end && self.missing(from, to).is_none()
    }

    /// A channel's samples from a frame on; zeros where there are none.
    pub(super) fn copy(&self, channel: usize, from: u64, samples: &mut [f32]) {
        samples.fill(0.0);
        let to = from + samples.len() as u64;
        for (begin, end) in self.whole_parts(from, to) {
            let mut at = offset(from, begin);
            for piece in self.pieces(channel, begin, end) {
                samples[at..at + piece.len()].copy_from_slice(piece);
                at += piece.len();
            }
        }
    }

    /// What is there of frames `from..to`, between the holes.
    fn whole_parts(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let (mut at, to) = (from.max(self.oldest()), to.min(self.end));
        let behind = Hole { from: to, to, missing: Missing::Gap };
        let holes = self.holes_in(at, to).copied().chain([behind]);
        holes.filter_map(move |hole| {
            let part = (at, hole.from.min(to));
            at = at.max(hole.to);
            (part.0 < part.1).then_some(part)
        })
    }

    /// The samples of frames that are there: those up to the end of the memory, and those from its beginning on.
    fn pieces(&self, channel: usize, from: u64, to: u64) -> [&[f32]; 2] {
        let place = &self.channels[channel];
        let begin = offset(0, from % self.capacity);
        let count = offset(from, to);
        let head = count.min(place.len() - begin);
        [&place[begin..begin + head], &place[..count - head]]
    }

    /// The peaks of a channel in columns of `width / parts` frames each, the first at frame `from`; none where there is
    /// nothing. Columns touch, so that a wave drawn in them has no gaps.
    pub(super) fn peaks(&self, channel: usize, from: u64, width: u64, parts: u64, columns: &mut [Peaks]) {
        if width / parts >= OVERVIEW_FRAMES {
            let to = from + width * (columns.len() as u64 / parts);
            return self.overviews[channel].columns(from, to, columns);
        }
        for (column, peaks) in (0..).zip(columns.iter_mut()) {
            let begin = from + column * width / parts;
            let end = (from + (column + 1) * width / parts).max(begin + 1);
            // With the last sample of the column before.
            *peaks = self.peaks_of(channel, begin.saturating_sub(1), end);
            if begin >= self.end || end <= self.oldest() {
                *peaks = Peaks::NONE;
            }
        }
    }

    fn peaks_of(&self, channel: usize, from: u64, to: u64) -> Peaks {
        let pieces = self.whole_parts(from, to).flat_map(|(from, to)| self.pieces(channel, from, to));
        pieces.fold(Peaks::NONE, |peaks, piece| peaks.with(Peaks::of(piece)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than the length")]
fn copy_in(place: &mut [f32], from: u64, samples: &[f32]) {
    // More than there is room for: the last of them.
    let skipped = samples.len().saturating_sub(place.len());
    let samples = &samples[skipped..];
    let at = ((from + skipped as u64) % place.len() as u64) as usize;
    let (head, tail) = samples.split_at(samples.len().min(place.len() - at));
    place[at..at + head.len()].copy_from_slice(head);
    place[..tail.len()].copy_from_slice(tail);
}

/// Frames between two, of which the second is not before the first.
#[expect(clippy::cast_possible_truncation, reason = "no more than are in memory")]
const fn offset(from: u64, to: u64) -> usize {
    (to - from) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However frames come, a copy has those that are there, and zeros for the others.
        #[test]
        fn what_is_kept_is_what_came(pieces in prop::collection::vec((1_usize..200, 0_u64..120), 1..20)) {
            let mut store = Store::of_capacity(2, 300);
            let (mut at, mut all) = (5_u64, std::collections::BTreeMap::new());
            for (frames, skip) in pieces {
                let left: Vec<f32> = (at..at + frames as u64).map(|frame| frame as f32).collect();
                let both: Vec<f32> = left.iter().copied().chain(left.iter().map(|sample| -sample)).collect();
                store.push(at, &both, frames, &[]);
                (at..).zip(&left).for_each(|(frame, sample)| { all.insert(frame, *sample); });
                at += frames as u64;
                if skip > 0 {
                    store.miss(Hole { from: at, to: at + skip, missing: Missing::Lost });
                    at += skip;
                }
            }
            prop_assert_eq!(store.end(), at);
            let mut seen = vec![1.0; 400];
            let from = at.saturating_sub(350);
            store.copy(1, from, &mut seen);
            for (frame, sample) in (from..).zip(seen) {
                let known = frame >= store.oldest() && frame < store.end();
                let expected = if known { all.get(&frame).map_or(0.0, |sample| -sample) } else { 0.0 };
                prop_assert_eq!(sample.to_bits() << 1, expected.to_bits() << 1, "frame {}", frame);
                if known {
                    prop_assert_eq!(store.missing(frame, frame + 1).is_some(), !all.contains_key(&frame));
                }
            }
        }

        /// One sample is in some column, however wide columns are and wherever it lies.
        #[test]
        fn a_click_is_in_a_column(at in 0_u64..20_000, width in 1_u64..2_000) {
            let mut store = Store::of_capacity(1, 24_000);
            let mut samples = vec![0.0; 20_000];
            samples[usize::try_from(at).unwrap()] = -0.7;
            store.push(0, &samples, samples.len(), &[]);
            let columns = usize::try_from(20_000_u64.div_ceil(width)).unwrap();
            let mut peaks = vec![Peaks::NONE; columns * 2];
            store.peaks(0, 0, width, 2, &mut peaks);
            prop_assert!(peaks.iter().any(|peaks| peaks.min == -0.7));
        }
    }

    #[test]
    fn what_was_there_before_a_loss_is_not_seen_in_its_place() {
        let mut store = Store::of_capacity(1, 1_000);
        store.push(0, &[0.5; 1_000], 1_000, &[]);
        store.miss(Hole { from: 1_000, to: 1_600, missing: Missing::Lost });
        store.push(1_600, &[0.25; 100], 100, &[]);
        let mut seen = vec![1.0; 1_300];
        store.copy(0, 500, &mut seen);
        // Frames 500 to 700 are forgotten, 700 to 1,000 are there, 600 are lost, 100 are there, and 100 to come.
        let expected = [(200, 0.0), (300, 0.5), (600, 0.0), (100, 0.25), (100, 0.0)];
        assert_eq!(seen, expected.map(|(count, sample)| vec![sample; count]).concat());
        let mut columns = vec![Peaks::NONE; 26];
        store.peaks(0, 500, 50, 1, &mut columns);
        let levels: Vec<f32> = columns.iter().map(|peaks| if peaks.is_none() { 0.0 } else { peaks.max }).collect();
        assert_eq!(levels[..4], [0.0; 4]);
        assert_eq!(levels[4..11], [&[0.5; 6][..], &[0.5]].concat(), "the next column touches it");
        assert_eq!(levels[11..22], [0.0; 11]);
        assert_eq!(levels[22..24], [0.25; 2]);
        assert_eq!(levels[24..], [0.0; 2]);
        // Frames that nobody told of.
        store.push(1_800, &[0.25; 100], 100, &[]);
        assert_eq!(store.missing(1_700, 1_800), Some(Missing::Lost));
        assert!(!store.is_whole(1_650, 1_850));
    }

    #[test]
    fn a_session_that_begins_anew_has_nothing_of_the_one_before() {
        let mut store = Store::of_capacity(1, 1_000);
        store.push(500, &[1.0; 100], 100, &[(FrameIndex(510), FrameIndex(520))]);
        assert_eq!(store.missing(500, 600), Some(Missing::Gap));
        store.push(0, &[0.5; 10], 10, &[]);
        assert_eq!((store.oldest(), store.end(), store.missing(0, 1_000)), (0, 10, None));
    }

    #[test]
    fn more_holes_than_are_kept_still_cover_what_is_missing() {
        let mut store = Store::of_capacity(1, 100_000);
        store.push(0, &[0.0; 10], 10, &[]);
        for hole in 0..5_000 {
            let from = 10 + hole * 10;
            store.miss(Hole { from, to: from + 1, missing: Missing::Lost });
            store.push(from + 1, &[0.0; 9], 9, &[]);
        }
        assert_eq!(store.holes.len(), HOLES_MAX);
        assert!((0..5_000).all(|hole| store.missing(10 + hole * 10, 11 + hole * 10) == Some(Missing::Lost)));
    }
}

//! The last frames of one channel, and what is missing in them.

/// Why frames are missing. The numbers are those of the page's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Missing {
    /// Never captured.
    Gap = 1,
    /// Somebody on the way was too slow for it.
    Lost = 2,
    /// Overwritten before it was asked for.
    Overwritten = 3,
    /// Not here: before the first frame, after the last, or not asked for yet.
    Absent = 4,
}

impl Missing {
    /// From its number; one that is unknown is [`Missing::Absent`].
    #[must_use]
    pub const fn of(number: u32) -> Self {
        match number {
            1 => Self::Gap,
            2 => Self::Lost,
            3 => Self::Overwritten,
            _ => Self::Absent,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    from: u64,
    to: u64,
    why: Missing,
}

/// Samples by their frame: frame `f` lies in place `f % capacity`. What it was not given is a hole, with a reason.
#[derive(Debug)]
pub struct History {
    samples: Vec<f32>,
    first: u64,
    end: u64,
    /// In order, apart from one another, within `first..end`.
    holes: Vec<Hole>,
}

impl History {
    /// Of so many frames, one at the least.
    #[must_use]
    pub fn new(capacity_frames: usize) -> Self {
        Self { samples: vec![0.0; capacity_frames.max(1)], first: 0, end: 0, holes: Vec::new() }
    }

    /// One past the newest frame.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The oldest frame that it may have.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first.max(self.end.saturating_sub(self.samples.len() as u64))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        (self.first, self.end) = (0, 0);
        self.holes.clear();
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than the length")]
    const fn place(&self, frame: u64) -> usize {
        (frame % self.samples.len() as u64) as usize
    }

    /// Takes samples, new ones or old ones that were missing. What is older than the capacity has no room and is left out.
    pub fn put(&mut self, from: u64, samples: &[f32]) {
        let to = from + samples.len() as u64;
        if samples.is_empty() {
            return;
        }
        self.reach(from, to);
        let from = from.max(self.first());
        if from >= to {
            return;
        }
        let left_out = samples.len() - usize::try_from(to - from).unwrap_or(0);
        let samples = &samples[left_out..];
        let place = self.place(from);
        let room = self.samples.len() - place;
        let (here, rest) = samples.split_at(samples.len().min(room));
        self.samples[place..place + here.len()].copy_from_slice(here);
        self.samples[..rest.len()].copy_from_slice(rest);
        self.cut(from, to);
    }

    /// These frames are missing.
    pub fn miss(&mut self, from: u64, to: u64, why: Missing) {
        if from >= to {
            return;
        }
        self.reach(from, to);
        let from = from.max(self.first());
        if from >= to {
            return;
        }
        self.cut(from, to);
        let at = self.holes.partition_point(|hole| hole.from < from);
        self.holes.insert(at, Hole { from, to, why });
        for frame in from..to {
            let place = self.place(frame);
            self.samples[place] = 0.0;
        }
    }

    /// Makes `first..end` reach over these frames; what comes between is absent.
    fn reach(&mut self, from: u64, to: u64) {
        if self.first == self.end {
            (self.first, self.end) = (from, from);
            self.holes.clear();
        }
        let capacity = self.samples.len() as u64;
        if to > self.end {
            let (before, end) = (self.end, to);
            self.end = end;
            self.first = self.first.max(end.saturating_sub(capacity));
            self.forget();
            if from > before {
                self.miss(before.max(self.first), from, Missing::Absent);
            }
        }
        if from < self.first() {
            let (before, oldest) = (self.first(), self.end.saturating_sub(capacity));
            self.first = from.max(oldest);
            if to < before && self.first < before {
                self.miss(to.max(self.first), before, Missing::Absent);
            }
        }
    }

    /// Forgets the holes that lie before the first frame.
    fn forget(&mut self) {
        let first = self.first();
        self.holes.retain(|hole| hole.to > first);
        if let Some(hole) = self.holes.first_mut() {
            hole.from = hole.from.max(first);
        }
    }

    /// Nothing is missing in these frames any more.
    fn cut(&mut self, from: u64, to: u64) {
        if !self.holes.iter().any(|hole| hole.from < to && hole.to > from) {
            return;
        }
        let rest = |hole: &Hole| {
            let left = Hole { to: hole.to.min(from), ..*hole };
            let right = Hole { from: hole.from.max(to), ..*hole };
            [left, right].into_iter().filter(|hole| hole.from < hole.to)
        };
        self.holes = self.holes.iter().flat_map(rest).collect();
    }

    /// What is missing in these frames; of several reasons the one that has the least number. `None`: nothing is.
    #[must_use]
    pub fn missing(&self, from: u64, to: u64) -> Option<Missing> {
        let outside = (from < self.first() || to > self.end).then_some(Missing::Absent);
        let inside = self.holes.iter().filter(|hole| hole.from < to && hole.to > from).map(|hole| hole.why);
        inside.chain(outside).min()
    }

    /// Copies frames that begin here; zeros where they are missing. `from` may be negative.
    #[expect(
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "2^53 frames"
    )]
    pub fn copy(&self, from: i64, out: &mut [f32]) {
        let (first, end) = (self.first() as i64, self.end as i64);
        let (begin, stop) = (from.max(first), (from + out.len() as i64).min(end));
        if begin >= stop {
            return out.fill(0.0);
        }
        let (begins, stops) = ((begin - from) as usize, (stop - from) as usize);
        out[..begins].fill(0.0);
        out[stops..].fill(0.0);
        let out = &mut out[begins..stops];
        let place = self.place(begin as u64);
        let here = out.len().min(self.samples.len() - place);
        let (a, b) = out.split_at_mut(here);
        a.copy_from_slice(&self.samples[place..place + here]);
        b.copy_from_slice(&self.samples[..b.len()]);
    }

    /// Frames that are here, in one or two pieces. What lies outside is left out.
    #[must_use]
    pub fn pieces(&self, from: u64, to: u64) -> [&[f32]; 2] {
        let (from, to) = (from.max(self.first()), to.min(self.end));
        if from >= to {
            return [&[], &[]];
        }
        let frames = usize::try_from(to - from).unwrap_or(0);
        let place = self.place(from);
        let here = frames.min(self.samples.len() - place);
        [&self.samples[place..place + here], &self.samples[..frames - here]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put(u64, usize),
        Miss(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..300, 0_usize..80).prop_map(|(from, frames)| Step::Put(from, frames)),
            (0_u64..300, 0_u64..80).prop_map(|(from, frames)| Step::Miss(from, from + frames)),
        ]
    }

    proptest! {
        /// Against a map of frames, of which those that are too old are forgotten.
        #[test]
        fn every_frame_is_what_was_said_of_it_last(steps in prop::collection::vec(step(), 1..30)) {
            const CAPACITY: usize = 100;
            let mut history = History::new(CAPACITY);
            let mut said = std::collections::BTreeMap::new();
            let mut end = 0;
            for step in steps {
                match step {
                    Step::Put(from, frames) => {
                        let samples: Vec<f32> = (0..frames as u64).map(|n| (from + n + 1) as f32).collect();
                        history.put(from, &samples);
                        for n in 0..frames as u64 {
                            said.insert(from + n, None);
                        }
                        if frames > 0 { end = end.max(from + frames as u64); }
                    }
                    Step::Miss(from, to) => {
                        history.miss(from, to, Missing::Lost);
                        for frame in from..to {
                            said.insert(frame, Some(Missing::Lost));
                        }
                        if to > from { end = end.max(to); }
                    }
                }
                said = said.split_off(&u64::saturating_sub(end, CAPACITY as u64));
            }
            prop_assume!(end > 0);
            prop_assert_eq!(history.end(), end);
            for frame in 0..end + 5 {
                let expected = said.get(&frame).copied().unwrap_or(Some(Missing::Absent));
                prop_assert_eq!(history.missing(frame, frame + 1), expected, "frame {}", frame);
                let mut sample = [9.0];
                history.copy(i64::try_from(frame).unwrap(), &mut sample);
                let right = if expected.is_none() { (frame + 1) as f32 } else { 0.0 };
                prop_assert_eq!(sample[0].to_bits(), right.to_bits(), "frame {}", frame);
            }
        }
    }

    #[test]
    fn pieces_go_round_the_end() {
        let mut history = History::new(8);
        let samples: Vec<f32> = (0..12_u8).map(f32::from).collect();
        history.put(0, &samples);
        let [a, b] = history.pieces(5, 11);
        assert_eq!([a, b].concat(), samples[5..11]);
        assert_eq!(history.pieces(0, 4), [&[] as &[f32], &[]]);
    }
}

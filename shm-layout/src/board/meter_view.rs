//! The meters of a board, for whoever looks.

use super::meter::{READINGS, entry, places, word};
use super::reading::{Reading, WORDS};
use super::segment::Segment;
use crate::header::NAME_BYTES_MAX;
use std::array;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// A stream's meter as somebody else sees it, and how far he has read.
#[derive(Debug, Clone)]
pub struct MeterView {
    segment: Arc<Segment>,
    stream: String,
    at: usize,
    taken: u64,
    /// The number of the reading that [`read_next`](Self::read_next) gives.
    next: u64,
}

impl MeterView {
    /// All meters that are taken.
    pub(super) fn all(segment: &Arc<Segment>) -> Vec<Self> {
        places().filter_map(|at| Self::at(segment, at)).collect()
    }

    fn at(segment: &Arc<Segment>, at: usize) -> Option<Self> {
        // Pairs with the Release store in `Meters::take`.
        let bytes = usize::try_from(segment.load(at + word::NAME_BYTES, Ordering::Acquire)).ok()?;
        let length = (1..=NAME_BYTES_MAX).contains(&bytes).then_some(bytes)?;
        let load = |word: usize| segment.load(at + word, Ordering::Relaxed);
        let taken = load(word::TAKEN);
        let name: Vec<u8> = (0..8).flat_map(|place| load(word::NAME + place).to_le_bytes()).take(length).collect();
        // Pairs with the Release fence in `Meters::take`: no half of another's name.
        fence(Ordering::Acquire);
        let stream = String::from_utf8_lossy(&name).into_owned();
        (load(word::TAKEN) == taken).then(|| Self { segment: Arc::clone(segment), stream, at, taken, next: 0 })
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Whether the stream still has this meter. What it has shown last can be read after it is given back, until another
    /// stream takes it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.segment.load(self.at + word::NAME_BYTES, Ordering::Acquire) != 0 && self.is_same()
    }

    /// Whether both are of the same stream's same life.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.at, self.taken) == (other.at, other.taken)
    }

    /// Goes on with what will be shown, and leaves out what was.
    pub fn skip(&mut self) {
        self.next = self.count();
    }

    /// The next reading, and how many before it came too fast to be read; `None` while there is no other.
    pub fn read_next(&mut self) -> Option<(Reading, u64)> {
        let first = self.next;
        loop {
            let count = self.count();
            // The oldest one may be overwritten any moment.
            self.next = self.next.max(count.saturating_sub(READINGS as u64 - 1));
            if self.next >= count || !self.is_same() {
                self.next = first;
                return None;
            }
            let number = self.next;
            self.next += 1;
            if let Some(reading) = self.read(number) {
                return Some((reading, number - first));
            }
        }
    }

    /// The newest reading.
    #[must_use]
    pub fn newest(&self) -> Option<Reading> {
        self.recent(1)
    }

    /// The newest readings, so many of them or what there is, as one.
    #[must_use]
    pub fn recent(&self, most: u64) -> Option<Reading> {
        let count = self.count();
        let readings =
            (count.saturating_sub(most.min(READINGS as u64 - 1))..count).filter_map(|number| self.read(number));
        readings.reduce(|earlier, later| earlier.joined(&later))
    }

    /// For the board's owner, whose word it is.
    pub(super) fn reset(&self) {
        self.segment.add(self.at + word::RESETS, 1);
    }

    fn count(&self) -> u64 {
        // Pairs with the Release store in `Meter::show`.
        self.segment.load(self.at + word::COUNT, Ordering::Acquire)
    }

    fn is_same(&self) -> bool {
        self.segment.load(self.at + word::TAKEN, Ordering::Relaxed) == self.taken
    }

    /// A reading, if it is whole and this stream's.
    fn read(&self, number: u64) -> Option<Reading> {
        let at = entry(self.at, number);
        let whole = number.checked_mul(2)?.checked_add(2)?;
        // Pairs with the Release store of the stamp in `Meter::show`.
        if self.segment.load(at, Ordering::Acquire) != whole {
            return None;
        }
        let words: [u64; WORDS] = array::from_fn(|place| self.segment.load(at + 1 + place, Ordering::Relaxed));
        // Pairs with the Release fence in `Meter::show`: had a word been of the next writing, its stamp would be seen now.
        fence(Ordering::Acquire);
        let same = self.segment.load(at, Ordering::Relaxed) == whole && self.is_same();
        same.then(|| Reading::of_words(&words))
    }
}

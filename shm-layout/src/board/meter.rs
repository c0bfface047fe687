//! The meters of a board, for the one process that has the sound: what each stream's readings are written into.
//!
//! A meter keeps its last [`READINGS`] readings, each under a stamp like the entries of a ring's table, so that its writer
//! waits for nobody, and a reader that is a little late misses none.

use super::reading::{self, Reading};
use super::segment::Segment;
use super::{BoardError, HEAD_WORDS, SLOT_WORDS, SLOTS, open};
use crate::header::NAME_BYTES_MAX;
use crate::writer::clock_ns;
use rustix::time::ClockId;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Meters of a board: one for each source that an engine can have, its mix, and some that are about to go. Streams beyond
/// have none.
pub const METERS: usize = 72;
/// Readings that a meter keeps: half a second of them.
pub const READINGS: usize = 32;

pub(super) const FIRST_WORD: usize = HEAD_WORDS + SLOTS * SLOT_WORDS;
const METER_HEAD_WORDS: usize = 16;
/// A stamp before each reading.
const ENTRY_WORDS: usize = 1 + reading::WORDS;
pub(super) const WORDS: usize = METER_HEAD_WORDS + READINGS * ENTRY_WORDS;

/// The head of a meter.
pub(super) mod word {
    /// 0 while the meter is free.
    pub(in super::super) const NAME_BYTES: usize = 0;
    pub(in super::super) const NAME: usize = 1;
    /// How often it was taken.
    pub(in super::super) const TAKEN: usize = 9;
    /// Readings since then.
    pub(in super::super) const COUNT: usize = 10;
    /// How often its counts were to be begun anew: the board's owner's word.
    pub(in super::super) const RESETS: usize = 11;
}

/// The first words of all meters.
pub(super) fn places() -> impl Iterator<Item = usize> {
    (0..METERS).map(|index| FIRST_WORD + index * WORDS)
}

/// The first word of a reading.
#[expect(clippy::cast_possible_truncation, reason = "below `READINGS`")]
pub(super) const fn entry(at: usize, number: u64) -> usize {
    at + METER_HEAD_WORDS + (number % READINGS as u64) as usize * ENTRY_WORDS
}

/// All meters of a board, for their one writer.
#[derive(Debug)]
pub struct Meters {
    segment: Arc<Segment>,
}

impl Meters {
    /// Takes the board's meters, and frees those that another process had before.
    ///
    /// # Errors
    /// [`BoardError`]. A process can do without.
    pub fn claim(runtime: &Path) -> Result<Self, BoardError> {
        let segment = Arc::new(open(runtime)?);
        for at in places() {
            segment.store(at + word::NAME_BYTES, 0, Ordering::Relaxed);
        }
        Ok(Self { segment })
    }

    /// A free meter for this stream, until it is dropped. Where all [`METERS`] are taken, or the name is too long, there is
    /// none.
    #[must_use]
    pub fn take(&self, stream: &str) -> Option<Meter> {
        let segment = &self.segment;
        // Pairs with the Release store in `Meter::drop`.
        let is_free = |at: &usize| segment.load(at + word::NAME_BYTES, Ordering::Acquire) == 0;
        let fits = (1..=NAME_BYTES_MAX).contains(&stream.len());
        let at = places().find(is_free).filter(|_| fits)?;
        // First: who still reads what was there before sees by it that this is another's.
        segment.store(at + word::TAKEN, segment.load(at + word::TAKEN, Ordering::Relaxed) + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, bytes) in stream.as_bytes().chunks(8).enumerate() {
            let mut name = [0; 8];
            name[..bytes.len()].copy_from_slice(bytes);
            segment.store(at + word::NAME + place, u64::from_le_bytes(name), Ordering::Relaxed);
        }
        segment.store(at + word::COUNT, 0, Ordering::Relaxed);
        let resets = segment.load(at + word::RESETS, Ordering::Relaxed);
        // Last: pairs with the Acquire load in `MeterView::at`.
        segment.store(at + word::NAME_BYTES, stream.len() as u64, Ordering::Release);
        Some(Meter { segment: Arc::clone(segment), at, count: 0, resets })
    }
}

/// A stream's meter, for its writer. Dropped, it is free for another stream.
#[derive(Debug)]
pub struct Meter {
    segment: Arc<Segment>,
    at: usize,
    count: u64,
    resets: u64,
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Pairs with the Acquire load in `Meters::take`.
        self.segment.store(self.at + word::NAME_BYTES, 0, Ordering::Release);
    }
}

impl Meter {
    /// Shows a reading, whose [`Reading::at_ns`] is now.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; no system call where the kernel has a vDSO.
    pub fn show(&mut self, reading: &Reading) {
        let at_ns = clock_ns(ClockId::Monotonic);
        let at = entry(self.at, self.count);
        // Odd while it is written. The fence pairs with the Acquire fence in `MeterView::read`: who saw any of what
        // follows sees this stamp.
        self.segment.store(at, 2 * self.count + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, word) in (Reading { at_ns, ..*reading }).to_words().into_iter().enumerate() {
            self.segment.store(at + 1 + place, word, Ordering::Relaxed);
        }
        // Pairs with the Acquire load of the stamp in `MeterView::read`.
        self.segment.store(at, 2 * self.count + 2, Ordering::Release);
        self.count += 1;
        // Pairs with the Acquire load in `MeterView::count`.
        self.segment.store(self.at + word::COUNT, self.count, Ordering::Release);
    }

    /// Whether counts are to begin anew since the last time that this was asked.
    ///
    /// # Real time
    /// Wait-free.
    pub fn is_reset(&mut self) -> bool {
        let resets = self.segment.load(self.at + word::RESETS, Ordering::Relaxed);
        std::mem::replace(&mut self.resets, resets) != resets
    }
}

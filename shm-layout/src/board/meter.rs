//! The meters of a board: how loud each stream is.

use super::segment::Segment;
use super::{BoardError, HEAD_WORDS, SLOT_WORDS, SLOTS, open};
use crate::header::NAME_BYTES_MAX;
use crate::writer::clock_ns;
use rustix::time::ClockId;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Meters of a board; streams beyond have none.
pub const METERS: usize = 64;
pub(super) const FIRST_WORD: usize = HEAD_WORDS + SLOTS * SLOT_WORDS;
pub(super) const WORDS: usize = 16;

mod word {
    pub(super) const NAME_BYTES: usize = 0;
    pub(super) const NAME: usize = 1;
    pub(super) const LEVEL: usize = 9;
    pub(super) const AT: usize = 10;
}

/// How loud a stream is.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// The stream.
    pub stream: String,
    /// The largest sample of any channel of the last whole tenth of a second, 1 being full scale.
    pub peak: f32,
    /// The root mean square of the loudest channel over the same time.
    pub rms: f32,
    /// When this was written, on `CLOCK_MONOTONIC`, in nanoseconds; 0 before the first time.
    pub at_ns: u64,
}

/// All meters of a board, for the one process that has the sound.
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
        for (place, bytes) in stream.as_bytes().chunks(8).enumerate() {
            let mut name = [0; 8];
            name[..bytes.len()].copy_from_slice(bytes);
            segment.store(at + word::NAME + place, u64::from_le_bytes(name), Ordering::Relaxed);
        }
        segment.store(at + word::LEVEL, 0, Ordering::Relaxed);
        segment.store(at + word::AT, 0, Ordering::Relaxed);
        // Last: pairs with the Acquire load in `levels`.
        segment.store(at + word::NAME_BYTES, stream.len() as u64, Ordering::Release);
        Some(Meter { segment: Arc::clone(segment), at })
    }
}

/// The first words of all meters.
fn places() -> impl Iterator<Item = usize> {
    (0..METERS).map(|index| FIRST_WORD + index * WORDS)
}

/// One stream's meter, for its writer. Dropped, it is free for another stream.
#[derive(Debug)]
pub struct Meter {
    segment: Arc<Segment>,
    at: usize,
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Pairs with the Acquire load in `Meters::take`.
        self.segment.store(self.at + word::NAME_BYTES, 0, Ordering::Release);
    }
}

impl Meter {
    /// Shows a level.
    ///
    /// # Real time
    /// Wait-free; no system call where the kernel has a vDSO.
    pub fn show(&self, peak: f32, rms: f32) {
        let level = u64::from(peak.to_bits()) << 32 | u64::from(rms.to_bits());
        self.segment.store(self.at + word::LEVEL, level, Ordering::Relaxed);
        self.segment.store(self.at + word::AT, clock_ns(ClockId::Monotonic), Ordering::Relaxed);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
pub(super) fn levels(segment: &Segment) -> Vec<Level> {
    let level = |at: usize| {
        // Pairs with the Release store in `Meters::take`.
        let bytes = usize::try_from(segment.load(at + word::NAME_BYTES, Ordering::Acquire)).ok()?;
        let length = (1..=NAME_BYTES_MAX).contains(&bytes).then_some(bytes)?;
        let load = |word: usize| segment.load(at + word, Ordering::Relaxed);
        let name: Vec<u8> = (0..8).flat_map(|place| load(word::NAME + place).to_le_bytes()).take(length).collect();
        let both = load(word::LEVEL);
        Some(Level {
            stream: String::from_utf8_lossy(&name).into_owned(),
            peak: f32::from_bits((both >> 32) as u32),
            rms: f32::from_bits(both as u32),
            at_ns: load(word::AT),
        })
    };
    places().filter_map(level).collect()
}

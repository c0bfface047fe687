//! The table that ties frame indices to time and names the gaps.
//!
//! Entry `i` lies in slot `i % entries`. Its stamp is `2i + 1` while it is written and `2i + 2` after; a reader
//! believes an entry whose stamp is the one of its index before and after the copy. A stamp derived from the index
//! (and not counted up) cannot make the torn entry of a dead writer look whole.

use crate::FrameIndex;
use crate::header::RingInfo;
use crate::memory::Mapping;
use crate::offset as at;
use crate::sync::{Ordering, fence};

const STAMP: usize = 0;
const KIND: usize = 8;
const CAUSE: usize = 12;
const FROM: usize = 16;
const TO: usize = 24;
const MONOTONIC: usize = 32;
const WALL: usize = 40;

const KIND_TIME: u32 = 1;
const KIND_GAP: u32 = 2;

/// Frames that were never captured: zeros in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapSpan {
    /// First missing frame.
    pub from: FrameIndex,
    /// One past the last missing frame.
    pub to: FrameIndex,
    /// Why, as the writer's program numbers it.
    pub cause: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    Time(Time),
    Gap(GapSpan),
}

/// A frame and the times at which it was committed, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    pub(crate) frame: FrameIndex,
    monotonic_ns: u64,
    wall_ns: u64,
}

impl Time {
    pub(crate) const fn new(frame: FrameIndex, monotonic_ns: u64, wall_ns: u64) -> Self {
        Self { frame, monotonic_ns, wall_ns }
    }

    pub(crate) const fn monotonic(&self) -> u64 {
        self.monotonic_ns
    }

    pub(crate) const fn wall(&self) -> u64 {
        self.wall_ns
    }
}

fn slot(info: &RingInfo, index: u64) -> usize {
    let offset = info.table_offset + (index % info.table_entries) * info.table_entry_bytes;
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The writer's end of the table.
#[derive(Debug, Default)]
pub(crate) struct TableWriter {
    count: u64,
    /// The newest gap and the index of its entry: it may still grow.
    open_gap: Option<(u64, GapSpan)>,
}

impl TableWriter {
    pub(crate) fn push(&mut self, map: &Mapping, info: &RingInfo, entry: Entry) {
        let slot = slot(info, self.count);
        map.store_u64(slot + STAMP, 2 * self.count + 1, Ordering::Relaxed);
        // Pairs with the Acquire fence in `read`: who saw a field of this entry sees the odd stamp.
        fence(Ordering::Release);
        let (kind, cause, from, to, monotonic_ns, wall_ns) = match entry {
            Entry::Time(Time { frame, monotonic_ns, wall_ns }) => (KIND_TIME, 0, frame, frame, monotonic_ns, wall_ns),
            Entry::Gap(gap) => (KIND_GAP, gap.cause, gap.from, gap.to, 0, 0),
        };
        map.store_u32(slot + KIND, kind, Ordering::Relaxed);
        map.store_u32(slot + CAUSE, cause, Ordering::Relaxed);
        map.store_u64(slot + FROM, from.0, Ordering::Relaxed);
        map.store_u64(slot + TO, to.0, Ordering::Relaxed);
        map.store_u64(slot + MONOTONIC, monotonic_ns, Ordering::Relaxed);
        map.store_u64(slot + WALL, wall_ns, Ordering::Relaxed);
        // Pairs with the first Acquire load in `read`, for who looks at an entry before it looks at the count.
        map.store_u64(slot + STAMP, 2 * self.count + 2, Ordering::Release);
        self.count += 1;
        // Pairs with the Acquire load in `count`.
        map.store_u64(at::TABLE_COUNT, self.count, Ordering::Release);
        if let Entry::Gap(gap) = entry {
            self.open_gap = Some((self.count - 1, gap));
        }
    }

    /// Adds a gap, or lets the newest one grow when this one continues it.
    pub(crate) fn push_gap(&mut self, map: &Mapping, info: &RingInfo, gap: GapSpan) {
        match self.open_gap {
            Some((index, open))
                if open.to == gap.from && open.cause == gap.cause && self.count - index < info.table_entries =>
            {
                // Only the end moves, in one store: a reader sees the shorter or the longer gap, both true.
                let grown = GapSpan { to: gap.to, ..open };
                map.store_u64(slot(info, index) + TO, grown.to.0, Ordering::Relaxed);
                self.open_gap = Some((index, grown));
            }
            _ => self.push(map, info, Entry::Gap(gap)),
        }
    }
}

/// Entries ever written: whoever sees one counted sees it whole, while it is there.
pub(crate) fn count(map: &Mapping) -> u64 {
    // Pairs with the Release store in `push`.
    map.load_u64(at::TABLE_COUNT, Ordering::Acquire)
}

/// All whole entries that are still there, oldest first.
pub(crate) fn entries(map: &Mapping, info: &RingInfo) -> Vec<Entry> {
    let count = count(map);
    let oldest = count.saturating_sub(info.table_entries);
    // A count from garbage must not make us loop for ever: there are never more than the slots.
    (oldest..count).filter_map(|index| read(map, info, index)).collect()
}

pub(crate) fn read(map: &Mapping, info: &RingInfo, index: u64) -> Option<Entry> {
    let slot = slot(info, index);
    let whole = index.checked_mul(2)?.checked_add(2)?;
    // Pairs with the last Release store in `push`.
    if map.load_u64(slot + STAMP, Ordering::Acquire) != whole {
        return None;
    }
    let kind = map.load_u32(slot + KIND, Ordering::Relaxed);
    let cause = map.load_u32(slot + CAUSE, Ordering::Relaxed);
    let from = FrameIndex(map.load_u64(slot + FROM, Ordering::Relaxed));
    let to = FrameIndex(map.load_u64(slot + TO, Ordering::Relaxed));
    let monotonic_ns = map.load_u64(slot + MONOTONIC, Ordering::Relaxed);
    let wall_ns = map.load_u64(slot + WALL, Ordering::Relaxed);
    // Pairs with the Release fence in `push`.
    fence(Ordering::Acquire);
    if map.load_u64(slot + STAMP, Ordering::Relaxed) != whole {
        return None;
    }
    match kind {
        KIND_TIME => Some(Entry::Time(Time { frame: from, monotonic_ns, wall_ns })),
        KIND_GAP if from < to => Some(Entry::Gap(GapSpan { from, to, cause })),
        _ => None,
    }
}

//! While any stream is processed, blocks wait for each other before they are in the mix.
//!
//! A block of the mix that waits is the same in every track: dry ones keep theirs here, processed ones have it with the
//! rack. As the mix ring is written by index, it is written later and not otherwise: switching processing on or off
//! moves no frame.

use crate::insert::Insert;
use crate::rt;
use control_protocol::Processing;
use shm_layout::FrameIndex;
use std::collections::VecDeque;

/// The most blocks that wait. A tick that was late by so many catches up without leaving the rack behind.
pub(crate) const BLOCKS_MAX: usize = 16;
/// How long a block waits for the rack, where the tick keeps time: four blocks of 10 ms, of which it needs a small part
/// of one.
const PATIENCE_NS: u64 = 40_000_000;
/// … and where it does not.
const PATIENCE_FAST_NS: u64 = 1_000_000_000;

/// A block of the mix that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// Blocks are numbered, as the last one of all may be short.
    pub(crate) number: u64,
    pub(crate) at: FrameIndex,
    pub(crate) frames: usize,
    since_ns: u64,
}

/// Blocks that wait, the oldest first.
#[derive(Debug)]
pub(crate) struct Waiting {
    blocks: VecDeque<Waits>,
    next: u64,
    patience_ns: u64,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self { blocks: VecDeque::with_capacity(BLOCKS_MAX), next: 0, patience_ns: PATIENCE_FAST_NS }
    }

    /// From now on frames have their time.
    pub(crate) const fn keep_time(&mut self) {
        self.patience_ns = PATIENCE_NS;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether one more block finds room only if the oldest does not wait.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.blocks.len() + 1 >= BLOCKS_MAX
    }

    /// The number of the next block.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next
    }

    /// The number of the oldest block that is not in the mix.
    pub(crate) fn first_number(&self) -> u64 {
        self.blocks.front().map_or(self.next, |block| block.number)
    }

    /// The next block waits.
    pub(crate) fn push(&mut self, at: FrameIndex, frames: usize) {
        self.blocks.push_back(Waits { number: self.next, at, frames, since_ns: rt::now_ns() });
        self.next += 1;
    }

    pub(crate) fn first(&self) -> Option<Waits> {
        self.blocks.front().copied()
    }

    /// Whether the oldest waits no longer, be it back or not.
    pub(crate) fn is_over(&self) -> bool {
        let waited_ns = |block: &Waits| rt::now_ns().saturating_sub(block.since_ns);
        self.blocks.front().is_some_and(|block| waited_ns(block) >= self.patience_ns)
    }

    /// Whether there is no room for one more.
    pub(crate) fn is_full(&self) -> bool {
        self.blocks.len() >= BLOCKS_MAX
    }

    pub(crate) fn pop(&mut self) {
        self.blocks.pop_front();
    }
}

/// One track's blocks that wait.
pub(crate) struct Detour {
    insert: Option<Insert>,
    channels: usize,
    block_frames: usize,
    /// `[BLOCKS_MAX][channels][block_frames]`, each block packed to its frames.
    kept: Vec<f32>,
    slots: [Slot; BLOCKS_MAX],
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u64,
    frames: usize,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it came; it is here.
    Dry,
    /// With the rack.
    Rack,
    /// The rack is so far behind that it was not handed over.
    Missed,
}

/// A track's part of a block.
pub(crate) struct Part<'a> {
    /// `[channels][frames]`
    pub(crate) planar: &'a [f32],
    pub(crate) frames: usize,
    /// It is silence, as it was not processed in time.
    pub(crate) is_missing: bool,
}

impl Detour {
    /// For blocks of so many channels and frames.
    pub(crate) fn new(channels: usize, block_frames: usize) -> Self {
        let slot = Slot { number: u64::MAX, frames: 0, way: Way::Dry };
        // Written, so that its memory is there when the tick wants it.
        let kept = vec![f32::EPSILON; BLOCKS_MAX * channels * block_frames];
        Self { insert: None, channels, block_frames, kept, slots: [slot; BLOCKS_MAX] }
    }

    /// Whether its blocks are processed.
    pub(crate) fn is_processed(&self) -> bool {
        self.insert.as_ref().is_some_and(Insert::is_on)
    }

    /// Takes an insert; returns one that is to be freed elsewhere, as there is one already.
    pub(crate) fn set_insert(&mut self, insert: Insert) -> Option<Insert> {
        if self.insert.is_some() {
            return Some(insert);
        }
        self.insert = Some(insert);
        None
    }

    /// Sets its chain.
    pub(crate) fn process(&mut self, processing: Processing) {
        if let Some(insert) = &mut self.insert {
            insert.set(processing);
        }
    }

    /// Takes the track's part of a block; those before `needed` are not wanted any more.
    ///
    /// # Real time
    /// Wait-free, allocates and frees nothing; so does everything below.
    pub(crate) fn keep(&mut self, number: u64, planar: &[f32], frames: usize, needed: u64) {
        let at = slot_of(number);
        let handed_over = self.insert.as_mut().filter(|insert| insert.is_on());
        let way = match handed_over.map(|insert| insert.hand_over(number, planar, frames, needed)) {
            None => {
                self.room(at, frames).copy_from_slice(planar);
                Way::Dry
            }
            Some(true) => Way::Rack,
            Some(false) => Way::Missed,
        };
        self.slots[at] = Slot { number, frames, way };
    }

    /// Whether its part of a block is there, or will never be.
    pub(crate) fn is_ready(&mut self, number: u64) -> bool {
        let Slot { number: has, way, .. } = self.slots[slot_of(number)];
        has != number || way != Way::Rack || self.insert.as_mut().is_none_or(|insert| insert.is_back(number))
    }

    /// Its part of a block; `None` where it has none.
    pub(crate) fn give(&mut self, number: u64) -> Option<Part<'_>> {
        let at = slot_of(number);
        let Slot { number: has, frames, way } = self.slots[at];
        if has != number {
            return None;
        }
        if way == Way::Rack && self.insert.as_mut().is_some_and(|insert| insert.has(number)) {
            let planar = self.insert.as_mut()?.take(number)?;
            return Some(Part { planar: &planar[..self.channels * frames], frames, is_missing: false });
        }
        let is_missing = way != Way::Dry;
        let planar = self.room(at, frames);
        if is_missing {
            planar.fill(0.0);
        }
        Some(Part { planar, frames, is_missing })
    }

    fn room(&mut self, slot: usize, frames: usize) -> &mut [f32] {
        let block = self.channels * self.block_frames;
        &mut self.kept[slot * block..][..self.channels * frames]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than BLOCKS_MAX")]
const fn slot_of(number: u64) -> usize {
    (number % BLOCKS_MAX as u64) as usize
}

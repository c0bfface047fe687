//! The supervisor's hold on a ring: the hot lines alone, to say that its writer died.

use crate::header::{RingInfo, RingState, TABLE_OFFSET};
use crate::memory::Mapping;
use crate::offset as at;
use crate::open::open;
use crate::sync::Ordering;
use crate::{AttachError, Epoch, FrameIndex, directory};
use rustix::fs::OFlags;
use std::path::Path;

/// Watches over one ring. Writes two words, and only after the writer's death.
#[derive(Debug)]
pub struct RingWarden {
    map: Mapping,
    info: RingInfo,
}

impl RingWarden {
    /// Maps the header of one epoch of a stream.
    ///
    /// # Errors
    /// As [`crate::RingReader::attach`].
    pub fn attach(dir: &Path, stream: &str, epoch: Epoch) -> Result<Self, AttachError> {
        let path = dir.join(directory::ring_file(stream, epoch));
        let (map, info) = open(&path, OFlags::RDWR, Mapping::read_write, Some(TABLE_OFFSET))?;
        Ok(Self::over(map, info))
    }

    /// Over a checked ring.
    pub(crate) const fn over(map: Mapping, info: RingInfo) -> Self {
        Self { map, info }
    }

    /// What never changes in the ring.
    #[must_use]
    pub const fn info(&self) -> &RingInfo {
        &self.info
    }

    /// One past the newest whole frame.
    #[must_use]
    pub fn commit(&self) -> FrameIndex {
        // Pairs with the Release store in `RingWriter::write`: what is whole was begun.
        FrameIndex(self.map.load_u64(at::COMMIT, Ordering::Acquire))
    }

    /// One past the newest frame that may have been begun.
    #[must_use]
    pub fn reserve(&self) -> FrameIndex {
        FrameIndex(self.map.load_u64(at::RESERVE, Ordering::Relaxed))
    }

    /// `CLOCK_MONOTONIC` of the newest commit, in nanoseconds; 0 before the first.
    #[must_use]
    pub fn commit_time_ns(&self) -> u64 {
        self.map.load_u64(at::COMMIT_TIME, Ordering::Relaxed)
    }

    /// Whether it is live, closed or crashed.
    #[must_use]
    pub fn state(&self) -> RingState {
        // Pairs with the Release store in `RingWriter::close`: who sees it closed sees the last commit.
        RingState::from_bits(self.map.load_u32(at::STATE, Ordering::Acquire))
    }

    /// Frames of this epoch that were never captured, so far.
    #[must_use]
    pub fn gap_frames(&self) -> u64 {
        self.map.load_u64(at::GAP_FRAMES, Ordering::Relaxed)
    }

    /// Says that the writer is dead, and wakes the readers. A ring that was closed in order stays closed.
    pub fn mark_crashed(&self) {
        // Release, though the warden wrote no frame: what it saw of the dead writer, who sees this word sees too. Pairs
        // with the Acquire load in `RingReader::state`.
        let (live, crashed) = (RingState::Live.to_bits(), RingState::Crashed.to_bits());
        if self.map.exchange_u32(at::STATE, live, crashed, Ordering::Release) {
            self.wake();
        }
    }

    /// Says that a dead writer's stream goes no further: no next epoch will come, so its readers need not wait for one.
    pub fn close_for_dead_writer(&self) {
        let closed = RingState::Closed.to_bits();
        // As in `mark_crashed`.
        let end = |from: RingState| self.map.exchange_u32(at::STATE, from.to_bits(), closed, Ordering::Release);
        if end(RingState::Live) || end(RingState::Crashed) {
            self.wake();
        }
    }

    fn wake(&self) {
        // As in `RingWriter::call`. Pairs with the Acquire load in `RingReader::wait`.
        self.map.add_u32(at::FUTEX, Ordering::Release);
        self.map.futex_wake_all(at::FUTEX);
    }
}

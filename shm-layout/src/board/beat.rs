//! A process's own slot.

use super::segment::Segment;
use super::{BoardError, open, place_of, word};
use crate::process::start_time_of;
use crate::writer::clock_ns;
use rustix::time::ClockId;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is counted in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Units of work done: blocks of an engine, utterances of a listener, jobs of a worker.
    Done = 0,
    /// Frames lost.
    Lost = 1,
    /// Glitches that devices reported.
    Xruns = 2,
}

pub(super) const COUNTERS: usize = 3;

/// A process's own slot: its heartbeat and its counts. Clones are the same slot, for other threads.
#[derive(Debug, Clone)]
pub struct Beat {
    segment: Arc<Segment>,
    at: usize,
}

impl Beat {
    /// Takes a slot for this process. Who had it before is forgotten.
    ///
    /// # Errors
    /// [`BoardError`]. A process can do without.
    pub fn claim(runtime: &Path, index: usize, generation: u64) -> Result<Self, BoardError> {
        let segment = Arc::new(open(runtime)?);
        let at = place_of(index).ok_or_else(|| BoardError::Malformed(format!("slot {index}")))?;
        let pid = std::process::id();
        segment.store(at + word::PID, 0, Ordering::Relaxed);
        segment.store(at + word::BEAT, 0, Ordering::Relaxed);
        for counter in 0..COUNTERS {
            segment.store(at + word::COUNTERS + counter, 0, Ordering::Relaxed);
        }
        segment.store(at + word::START, start_time_of(pid).unwrap_or(0), Ordering::Relaxed);
        segment.store(at + word::GENERATION, generation, Ordering::Relaxed);
        // Last: pairs with the Acquire load in `slot_of`.
        segment.store(at + word::PID, u64::from(pid), Ordering::Release);
        Ok(Self { segment, at })
    }

    /// Says that this process is at work.
    ///
    /// # Real time
    /// Wait-free; no system call where the kernel has a vDSO.
    pub fn beat(&self) {
        self.beat_at(clock_ns(ClockId::Monotonic));
    }

    /// Says until when this process was at work, on `CLOCK_MONOTONIC`.
    pub(super) fn beat_at(&self, monotonic_ns: u64) {
        self.segment.store(self.at + word::BEAT, monotonic_ns, Ordering::Relaxed);
    }

    /// Adds to a count.
    ///
    /// # Real time
    /// Wait-free.
    pub fn add(&self, counter: Counter, count: u64) {
        self.segment.add(self.at + word::COUNTERS + counter as usize, count);
    }

    /// Sets a count that somebody else keeps.
    ///
    /// # Real time
    /// Wait-free.
    pub fn set(&self, counter: Counter, count: u64) {
        self.segment.store(self.at + word::COUNTERS + counter as usize, count, Ordering::Relaxed);
    }
}

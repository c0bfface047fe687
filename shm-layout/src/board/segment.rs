//! The board's memory: a POSIX segment by the `shared_memory` crate, reached through atomics here and only here.
#![expect(unsafe_code, reason = "atomics inside a shared segment")]

use rustix::fs::{FallocateFlags, Mode, OFlags};
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the system keeps such segments as files.
const FOLDER: &str = "/dev/shm";

/// Words that every process of this user may read and write.
pub(super) struct Segment {
    memory: Shmem,
}

// SAFETY: the memory is reached through atomics alone, by `word`, and lives as long as the value.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("name", &self.memory.get_os_id()).finish_non_exhaustive()
    }
}

impl Segment {
    /// Makes a segment of zeros, all of it there: the crate only sets its length, and where memory is full by the time
    /// a page is touched, touching it would kill the process. Removed when this value is dropped.
    pub(super) fn create(name: &str, bytes: usize) -> io::Result<Self> {
        let memory = ShmemConf::new().os_id(format!("/{name}")).size(bytes).create().map_err(other)?;
        let file = rustix::fs::open(file_of(name), OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
        Ok(Self { memory })
    }

    /// Opens a segment that somebody made. It stays when this value is dropped.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let memory = ShmemConf::new().os_id(format!("/{name}")).open().map_err(other)?;
        Ok(Self { memory })
    }

    /// Removes a segment whose owner is dead.
    pub(super) fn remove(name: &str) {
        if let Ok(mut memory) = ShmemConf::new().os_id(format!("/{name}")).open() {
            memory.set_owner(true);
        }
    }

    /// The names of all segments.
    pub(super) fn names() -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(FOLDER) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    pub(super) fn words(&self) -> usize {
        self.memory.len() / 8
    }

    /// One word. Beyond the end there is none.
    fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.words() {
            return None;
        }
        // SAFETY: `index` lies inside the segment, which is mapped at a page's beginning, so the word is aligned. Nobody
        // has a plain reference to it: every process uses atomics. It lives as long as `self`.
        Some(unsafe { AtomicU64::from_ptr(self.memory.as_ptr().cast::<u64>().add(index)) })
    }

    pub(super) fn load(&self, index: usize, order: Ordering) -> u64 {
        self.word(index).map_or(0, |word| word.load(order))
    }

    pub(super) fn add(&self, index: usize, count: u64) {
        if let Some(word) = self.word(index) {
            word.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn store(&self, index: usize, value: u64, order: Ordering) {
        if let Some(word) = self.word(index) {
            word.store(value, order);
        }
    }
}

fn file_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn other(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MapOpenFailed(code) | ShmemError::MapCreateFailed(code) | ShmemError::UnknownOsError(code) => {
            i32::try_from(code).map_or_else(io::Error::other, io::Error::from_raw_os_error)
        }
        error => io::Error::other(error.to_string()),
    }
}

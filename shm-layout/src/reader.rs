//! A reader: maps read-only, believes nothing, disturbs nobody.

use crate::directory::{ring_file, stream_link};
use crate::header::{self, AttachError, RingInfo, RingState, at};
use crate::memory::Mapping;
use crate::table::{self, Entry, GapSpan};
use crate::writer::parts;
use crate::{Epoch, FrameIndex, process};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why frames cannot be read.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The reader was lapped: exactly these frames are lost to it. Go on at `to`, the oldest safe frame.
    #[error("frames {from}..{to} were overwritten before they were read")]
    Lost {
        /// First lost frame.
        from: FrameIndex,
        /// One past the last lost frame.
        to: FrameIndex,
    },
    /// Not all of the frames are written yet.
    #[error("frames up to {available} are written so far")]
    NotYet {
        /// One past the newest frame.
        available: FrameIndex,
    },
    /// The epoch begins later.
    #[error("the ring begins at frame {first}")]
    BeforeFirst {
        /// Its first frame.
        first: FrameIndex,
    },
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Frames beyond the given one can be read, up to this one.
    Ready(FrameIndex),
    /// The ring ended in order, at this frame, and nothing is left to read.
    Closed(FrameIndex),
    /// The writer died, the last whole frame was before this one, and nothing is left to read.
    Crashed(FrameIndex),
    /// Nothing came in time.
    TimedOut,
}

/// One attached ring.
#[derive(Debug)]
pub struct RingReader {
    map: Mapping,
    info: RingInfo,
    path: PathBuf,
}

impl RingReader {
    /// Attaches to a ring file.
    ///
    /// # Errors
    /// [`AttachError`]: the file is missing, not private, not a ring, or of another version.
    pub fn attach(path: &Path) -> Result<Self, AttachError> {
        let (map, info) = open(path, OFlags::RDONLY, Mapping::read_only, None)?;
        Ok(Self { map, info, path: path.to_owned() })
    }

    /// Attaches to the newest epoch of a stream.
    ///
    /// # Errors
    /// As [`RingReader::attach`].
    pub fn attach_stream(dir: &Path, stream: &str) -> Result<Self, AttachError> {
        Self::attach(&dir.join(stream_link(stream)))
    }

    /// Attaches to one epoch of a stream.
    ///
    /// # Errors
    /// As [`RingReader::attach`].
    pub fn attach_epoch(dir: &Path, stream: &str, epoch: Epoch) -> Result<Self, AttachError> {
        Self::attach(&dir.join(ring_file(stream, epoch)))
    }

    /// What never changes.
    #[must_use]
    pub const fn info(&self) -> &RingInfo {
        &self.info
    }

    /// The file it was attached by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One past the newest frame that can be read.
    #[must_use]
    pub fn commit(&self) -> FrameIndex {
        // Pairs with the Release store in `RingWriter::write`.
        FrameIndex(self.map.load_u64(at::COMMIT, Ordering::Acquire)).max(self.info.first_frame)
    }

    /// The oldest frame worth asking for: a little younger than the oldest that is there, so that a reader that
    /// resumes here is not lapped at once.
    #[must_use]
    pub fn oldest(&self) -> FrameIndex {
        self.oldest_for(self.map.load_u64(at::RESERVE, Ordering::Relaxed))
    }

    fn oldest_for(&self, reserve: u64) -> FrameIndex {
        let oldest = reserve.saturating_sub(self.info.capacity_frames);
        if oldest <= self.info.first_frame.0 {
            return self.info.first_frame;
        }
        FrameIndex(oldest + self.info.capacity_frames / 64)
    }

    /// Copies frames `position..position + frames` out as `[channels][frames]`. On an error the contents of
    /// `planar` mean nothing.
    ///
    /// # Errors
    /// [`ReadError`]; what was lost is stated exactly.
    ///
    /// # Panics
    /// If `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// Wait-free; does not allocate, makes no system call.
    pub fn read(&self, position: FrameIndex, planar: &mut [f32], frames: usize) -> Result<(), ReadError> {
        assert!(planar.len() == self.info.channels as usize * frames, "wrong shape");
        if position < self.info.first_frame {
            return Err(ReadError::BeforeFirst { first: self.info.first_frame });
        }
        let available = self.commit();
        let end = position.0.checked_add(frames as u64);
        if end.is_none_or(|end| end > available.0) {
            return Err(ReadError::NotYet { available });
        }
        if frames == 0 {
            return Ok(());
        }
        if frames as u64 <= self.info.capacity_frames {
            for (channel, samples) in planar.chunks_exact_mut(frames).enumerate() {
                for (offset, part) in parts(&self.info, channel, position, frames) {
                    self.map.copy_out(offset, &mut samples[part]);
                }
            }
        }
        // Pairs with the Release fence in `RingWriter::write`: if one of the samples was a newer one, the `reserve`
        // that came before it is seen here.
        fence(Ordering::Acquire);
        let reserve = self.map.load_u64(at::RESERVE, Ordering::Relaxed);
        if position.0.checked_add(self.info.capacity_frames).is_some_and(|safe| reserve <= safe) {
            return Ok(());
        }
        Err(ReadError::Lost { from: position, to: self.oldest_for(reserve).max(position.plus(1)) })
    }

    /// Sleeps until a frame at or after `beyond` can be read, the ring ends, or the time is over. No spinning.
    #[must_use]
    pub fn wait(&self, beyond: FrameIndex, timeout: Duration) -> Wait {
        let deadline = Instant::now() + timeout;
        loop {
            // Pairs with the Release in `RingWriter::wake`: if nothing is new below, the word is still this one
            // when we go to sleep, or the sleep returns at once.
            let word = self.map.load_u32(at::FUTEX, Ordering::Acquire);
            let state = self.state();
            let commit = self.commit();
            if commit > beyond {
                return Wait::Ready(commit);
            }
            match state {
                RingState::Closed => return Wait::Closed(commit),
                RingState::Crashed => return Wait::Crashed(commit),
                RingState::Live => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.timed_out(beyond);
            }
            self.map.futex_wait(at::FUTEX, word, left);
        }
    }

    /// Nobody wrote in time: with the supervisor dead too, a reader finds the writer's death itself.
    fn timed_out(&self, beyond: FrameIndex) -> Wait {
        if process::is_alive(self.info.writer_pid, self.info.writer_start_time) {
            return Wait::TimedOut;
        }
        match (self.commit(), self.state()) {
            (commit, _) if commit > beyond => Wait::Ready(commit),
            (commit, RingState::Closed) => Wait::Closed(commit),
            (commit, _) => Wait::Crashed(commit),
        }
    }

    /// Whether the ring is being written, as far as its header says.
    #[must_use]
    pub fn state(&self) -> RingState {
        // Pairs with the Release store in `RingWriter::close` and the exchange in `RingWarden::mark_crashed`.
        RingState::from_bits(self.map.load_u32(at::STATE, Ordering::Acquire))
    }

    /// The gaps that touch frames `from..to`, oldest first.
    #[must_use]
    pub fn gaps(&self, from: FrameIndex, to: FrameIndex) -> Vec<GapSpan> {
        let touches = |entry| match entry {
            Entry::Gap(gap) if gap.from < to && gap.to > from => Some(gap),
            _ => None,
        };
        table::entries(&self.map, &self.info).into_iter().filter_map(touches).collect()
    }

    /// Frames of this epoch that were never captured, so far.
    #[must_use]
    pub fn gap_frames(&self) -> u64 {
        self.map.load_u64(at::GAP_FRAMES, Ordering::Relaxed)
    }

    /// When a frame was committed, on `CLOCK_MONOTONIC`, in nanoseconds: from the nearest entry of the time table and
    /// the rate.
    #[must_use]
    pub fn instant_of(&self, frame: FrameIndex) -> Option<u64> {
        let times = table::entries(&self.map, &self.info).into_iter().filter_map(|entry| match entry {
            Entry::Time { frame, monotonic_ns, .. } => Some((frame, monotonic_ns)),
            Entry::Gap(_) => None,
        });
        let (anchor, anchor_ns) = times.min_by_key(|(at, _)| at.0.abs_diff(frame.0))?;
        let rate = u128::from(self.info.sample_rate_hz);
        let ns = |frames: u64| u64::try_from(u128::from(frames) * 1_000_000_000 / rate).ok();
        if frame >= anchor {
            anchor_ns.checked_add(ns(frame.since(anchor))?)
        } else {
            anchor_ns.checked_sub(ns(anchor.since(frame))?)
        }
    }
}

/// Opens and checks a ring file. `bytes` limits the mapping (the warden maps the hot lines only).
pub(crate) fn open(
    path: &Path,
    access: OFlags,
    map: fn(&File, usize) -> io::Result<Mapping>,
    bytes: Option<usize>,
) -> Result<(Mapping, RingInfo), AttachError> {
    let name = || path.display().to_string();
    let io = |source: io::Error| AttachError::Io { path: name(), source };
    // NOFOLLOW and NONBLOCK: neither a symbolic link nor a FIFO may lead or hold us anywhere.
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Err(AttachError::Missing(name())),
        Err(rustix::io::Errno::LOOP) => return Err(AttachError::Untrusted { path: name(), why: "a symbolic link" }),
        Err(e) => return Err(io(e.into())),
    };
    let meta = file.metadata().map_err(io)?;
    let untrusted = |why| Err(AttachError::Untrusted { path: name(), why });
    if !meta.is_file() {
        return untrusted("not a regular file");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return untrusted("it belongs to another user");
    }
    if meta.mode() & 0o022 != 0 {
        return untrusted("others may write it");
    }
    let file_bytes = usize::try_from(meta.len()).map_err(|e| io(io::Error::other(e)))?;
    if file_bytes < header::TABLE_OFFSET {
        return Err(AttachError::Malformed("shorter than its header"));
    }
    let map = map(&file, bytes.unwrap_or(file_bytes)).map_err(io)?;
    let info = header::parse(&map, meta.len())?;
    Ok((map, info))
}

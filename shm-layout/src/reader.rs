//! A reader: maps read-only, believes nothing, disturbs nobody.

use crate::directory::{ring_file, stream_link};
use crate::header::{RingInfo, RingState};
use crate::memory::Mapping;
use crate::offset as at;
use crate::open::open;
use crate::overview::Extent;
use crate::parse::AttachError;
use crate::sync::{AtomicU32, Ordering, fence};
use crate::table::{self, Entry, GapSpan, Time};
use crate::writer::Pieces;
use crate::{Epoch, FrameIndex, process};
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};
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

/// How often a waiting reader looks whether the writer's process lives: its death is noticed within a second.
const WRITER_LOOK: Duration = Duration::from_millis(500);
/// A reader sleeps long only when the futex word has not changed for so long; until then it sleeps as long at the most.
/// More than the writer's bursts last.
pub(crate) const SETTLED: Duration = Duration::from_micros(100);

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
        Ok(Self::over(map, info, path.to_owned()))
    }

    /// Over a checked ring.
    pub(crate) const fn over(map: Mapping, info: RingInfo, path: PathBuf) -> Self {
        Self { map, info, path }
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
        self.can_read(position, frames)?;
        if frames == 0 {
            return Ok(());
        }
        let pieces = Pieces::new(&self.info, position, frames);
        for (channel, samples) in planar.chunks_exact_mut(frames).enumerate() {
            for (offset, piece) in pieces.of(channel) {
                self.map.copy_out(offset, &mut samples[piece]);
            }
        }
        self.confirm(position)
    }

    /// Copies the newest frames out, as [`RingReader::read`] does; returns the first one's position.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::NotYet`] where there are not so many yet.
    ///
    /// # Panics
    /// If `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// As [`RingReader::read`].
    pub fn read_newest(&self, planar: &mut [f32], frames: usize) -> Result<FrameIndex, ReadError> {
        let available = self.commit();
        if available.since(self.info.first_frame) < frames as u64 {
            return Err(ReadError::NotYet { available });
        }
        let position = available.back(frames as u64);
        self.read(position, planar, frames).map(|()| position)
    }

    /// Looks at frames `position..position + frames` where they lie, without a copy. What `look` returns counts only if
    /// nothing was overwritten meanwhile; whatever else it did with the samples, it must be able to take back.
    ///
    /// # Errors
    /// [`ReadError`]; what was lost is stated exactly. More frames than the capacity are never there.
    ///
    /// # Real time
    /// Wait-free, if `look` is.
    pub fn in_place<R>(
        &self,
        position: FrameIndex,
        frames: usize,
        look: impl FnOnce(InPlace<'_>) -> R,
    ) -> Result<R, ReadError> {
        self.can_read(position, frames)?;
        let seen = look(InPlace { reader: self, position, frames });
        self.confirm(position).map(|()| seen)
    }

    /// Copies bins `first..first + extents.len()` of the overview of a channel out. Bin `b` covers frames
    /// `b * bin_frames..(b + 1) * bin_frames`; the one that `commit` lies in, what there is of it.
    ///
    /// # Errors
    /// [`ReadError`], in frames; [`ReadError::NotYet`] too where the writer keeps no overview.
    ///
    /// # Panics
    /// If there is no such channel.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub fn read_overview(&self, channel: usize, first: u64, extents: &mut [Extent]) -> Result<(), ReadError> {
        assert!(channel < self.info.channels as usize, "no such channel");
        let available = self.commit();
        let Some(overview) = &self.info.overview else { return Err(ReadError::NotYet { available }) };
        let frames_of = |bin: u64| bin.checked_mul(overview.bin_frames);
        let last = first.checked_add(extents.len() as u64).and_then(|end| end.checked_sub(1));
        let (Some(begin), Some(last_begin)) = (frames_of(first), last.and_then(frames_of)) else {
            return Err(ReadError::NotYet { available });
        };
        if begin.saturating_add(overview.bin_frames) <= self.info.first_frame.0 {
            return Err(ReadError::BeforeFirst { first: self.info.first_frame });
        }
        if last_begin >= available.0 {
            return Err(ReadError::NotYet { available });
        }
        for (extent, bin) in extents.iter_mut().zip(first..) {
            *extent = Extent::from_bits(self.map.load_u64(overview.at(channel, bin), Ordering::Relaxed));
        }
        // As in `confirm`, for a ring of so many bins.
        fence(Ordering::Acquire);
        let reserve = self.map.load_u64(at::RESERVE, Ordering::Relaxed);
        let safe = overview.bins.checked_mul(overview.bin_frames).and_then(|frames| begin.checked_add(frames));
        if safe.is_some_and(|safe| reserve <= safe) {
            return Ok(());
        }
        Err(self.lost(FrameIndex(begin), reserve))
    }

    fn can_read(&self, position: FrameIndex, frames: usize) -> Result<(), ReadError> {
        if position < self.info.first_frame {
            return Err(ReadError::BeforeFirst { first: self.info.first_frame });
        }
        let available = self.commit();
        let end = position.0.checked_add(frames as u64);
        if end.is_none_or(|end| end > available.0) {
            return Err(ReadError::NotYet { available });
        }
        // More than the capacity was overwritten before it was asked for, and has no place.
        if frames as u64 > self.info.capacity_frames {
            return Err(self.lost(position, self.map.load_u64(at::RESERVE, Ordering::Relaxed)));
        }
        Ok(())
    }

    /// Whether what was read from this position on was not overwritten before or meanwhile.
    fn confirm(&self, position: FrameIndex) -> Result<(), ReadError> {
        // Pairs with the Release fence in `RingWriter::write`: if one of the samples was a newer one, the `reserve`
        // that came before it is seen here.
        fence(Ordering::Acquire);
        let reserve = self.map.load_u64(at::RESERVE, Ordering::Relaxed);
        if position.0.checked_add(self.info.capacity_frames).is_some_and(|safe| reserve <= safe) {
            return Ok(());
        }
        Err(self.lost(position, reserve))
    }

    /// What is lost, from a position that was overwritten. Counters that no writer could have made do no harm.
    fn lost(&self, from: FrameIndex, reserve: u64) -> ReadError {
        ReadError::Lost { from, to: self.oldest_for(reserve).max(FrameIndex(from.0.saturating_add(1))) }
    }

    /// Sleeps until a frame at or after `beyond` can be read, the ring ends, or the time is over. No spinning.
    ///
    /// The death of the writer is noticed by looking for its process twice a second, should nobody say it.
    #[must_use]
    pub fn wait(&self, beyond: FrameIndex, timeout: Duration) -> Wait {
        let deadline = Instant::now().checked_add(timeout);
        // The futex word as it was last, and since when at the latest.
        let mut last: Option<(u32, Instant)> = None;
        loop {
            let now = Instant::now();
            // Pairs with the Release in `RingWriter::call`: if nothing is new below, the word is still this one
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
            // In a burst of writes only the first one wakes (see `LAYOUT.md`).
            let settled = last.is_some_and(|(same, since)| same == word && now.duration_since(since) >= SETTLED);
            if last.is_none_or(|(before, _)| before != word) {
                last = Some((word, Instant::now()));
            }
            let left = deadline.map_or(WRITER_LOOK, |at| at.saturating_duration_since(Instant::now()));
            self.map.futex_wait(at::FUTEX, word, left.min(if settled { WRITER_LOOK } else { SETTLED }));
            // Look again, unless the time was over before the last look: a word that never rests holds nobody up.
            let changed = self.map.load_u32(at::FUTEX, Ordering::Relaxed) != word;
            if (changed || (!settled && left > SETTLED)) && !left.is_zero() {
                continue;
            }
            if !process::is_alive(self.info.writer_pid, self.info.writer_start_time) {
                return self.writer_gone(beyond);
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                return Wait::TimedOut;
            }
        }
    }

    /// Sleeps until so many frames from `position` on can be read; otherwise as [`RingReader::wait`].
    #[must_use]
    pub fn wait_for(&self, position: FrameIndex, frames: u64, timeout: Duration) -> Wait {
        self.wait(FrameIndex(position.0.saturating_add(frames).saturating_sub(1)), timeout)
    }

    /// With the supervisor dead too, a reader finds the writer's death itself.
    fn writer_gone(&self, beyond: FrameIndex) -> Wait {
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

    /// A gap as `LAYOUT.md` lets anybody read an entry: by its stamp alone, whatever the count says.
    #[cfg(loom)]
    #[must_use]
    pub fn gap_by_its_stamp(&self, index: u64) -> Option<GapSpan> {
        match table::read(&self.map, &self.info, index)? {
            Entry::Gap(gap) => Some(gap),
            Entry::Time(_) => None,
        }
    }

    /// Entries of the table so far, as `LAYOUT.md` lets anybody read the count.
    #[cfg(loom)]
    #[must_use]
    pub fn entries_counted(&self) -> u64 {
        table::count(&self.map)
    }

    /// Frames of this epoch that were never captured, so far.
    #[must_use]
    pub fn gap_frames(&self) -> u64 {
        self.map.load_u64(at::GAP_FRAMES, Ordering::Relaxed)
    }

    /// When the newest frames were committed, on `CLOCK_MONOTONIC`, in nanoseconds; 0 before the first. Read after
    /// [`commit`](Self::commit) it may be that of later frames, and never of earlier ones.
    #[must_use]
    pub fn commit_time_ns(&self) -> u64 {
        self.map.load_u64(at::COMMIT_TIME, Ordering::Relaxed)
    }

    /// When a frame was committed, on `CLOCK_MONOTONIC`, in nanoseconds: from the nearest entry of the time table and
    /// the rate.
    #[must_use]
    pub fn instant_of(&self, frame: FrameIndex) -> Option<u64> {
        let (anchor, anchor_ns) = self.times(Time::monotonic).min_by_key(|(at, _)| at.0.abs_diff(frame.0))?;
        let rate = u128::from(self.info.sample_rate_hz);
        let ns = |frames: u64| u64::try_from(u128::from(frames) * 1_000_000_000 / rate).ok();
        if frame >= anchor {
            anchor_ns.checked_add(ns(frame.since(anchor))?)
        } else {
            anchor_ns.checked_sub(ns(anchor.since(frame))?)
        }
    }

    /// The frame that was committed at this time on `CLOCK_MONOTONIC`, in nanoseconds; it may not be there yet, or no
    /// more.
    #[must_use]
    pub fn frame_at(&self, monotonic_ns: u64) -> Option<FrameIndex> {
        self.frame_near(monotonic_ns, Time::monotonic)
    }

    /// The frame that was committed at this time of the day (`CLOCK_REALTIME`), in nanoseconds.
    #[must_use]
    pub fn frame_at_wall(&self, wall_ns: u64) -> Option<FrameIndex> {
        self.frame_near(wall_ns, Time::wall)
    }

    fn frame_near(&self, ns: u64, clock: fn(&Time) -> u64) -> Option<FrameIndex> {
        let (anchor, anchor_ns) = self.times(clock).min_by_key(|(_, at)| at.abs_diff(ns))?;
        let frames = u128::from(anchor_ns.abs_diff(ns)) * u128::from(self.info.sample_rate_hz) / 1_000_000_000;
        let frames = u64::try_from(frames).ok()?;
        let frame = if ns >= anchor_ns { anchor.0.checked_add(frames) } else { anchor.0.checked_sub(frames) };
        frame.map(FrameIndex).filter(|frame| *frame >= self.info.first_frame)
    }

    fn times(&self, clock: fn(&Time) -> u64) -> impl Iterator<Item = (FrameIndex, u64)> {
        table::entries(&self.map, &self.info).into_iter().filter_map(move |entry| match entry {
            Entry::Time(time) => Some((time.frame, clock(&time))),
            Entry::Gap(_) => None,
        })
    }
}

/// Frames where they lie. Another process may write them at any time, so that each sample is loaded by itself.
#[derive(Debug, Clone, Copy)]
pub struct InPlace<'a> {
    reader: &'a RingReader,
    position: FrameIndex,
    frames: usize,
}

impl<'a> InPlace<'a> {
    /// The samples of a channel, oldest first: the bits of f32 in one or two pieces, the second one empty where the
    /// frames do not go over the ring's end.
    ///
    /// # Panics
    /// If there is no such channel.
    #[must_use]
    pub fn bits(&self, channel: usize) -> [&'a [AtomicU32]; 2] {
        let info = &self.reader.info;
        assert!(channel < info.channels as usize, "no such channel");
        let mut pieces = Pieces::new(info, self.position, self.frames)
            .of(channel)
            .map(|(offset, part)| self.reader.map.samples(offset, part.len()));
        [pieces.next().unwrap_or(&[]), pieces.next().unwrap_or(&[])]
    }

    /// The samples of a channel, oldest first.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn samples(&self, channel: usize) -> impl Iterator<Item = f32> + use<'a> {
        let [first, second] = self.bits(channel);
        first.iter().chain(second).map(|bits| f32::from_bits(bits.load(Ordering::Relaxed)))
    }
}

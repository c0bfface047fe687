//! The one writer of a ring.

use crate::directory::{ring_file, stream_link};
use crate::header::{
    self, CHANNELS_MAX, DATA_OFFSET, NAME_BYTES_MAX, RingInfo, RingState, SAMPLE_RATE_HZ_MAX, TABLE_ENTRIES,
    TABLE_ENTRY_BYTES, TABLE_OFFSET,
};
use crate::memory::Mapping;
use crate::offset as at;
use crate::overview::{OverviewInfo, OverviewWriter};
use crate::sync::{Ordering, fence};
use crate::table::{Entry, GapSpan, TableWriter, Time};
use crate::{Epoch, FrameIndex, SessionId, process};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What a ring is to be.
#[derive(Debug, Clone)]
pub struct RingSpec {
    /// Name of the stream: a file name of at most 64 bytes.
    pub stream: String,
    /// The session its frame indices belong to.
    pub session: SessionId,
    /// Which life of the stream; each file has its own.
    pub epoch: Epoch,
    /// The life before.
    pub previous_epoch: Option<Epoch>,
    /// 1 to 192,000.
    pub sample_rate_hz: u32,
    /// 1 to 64.
    pub channels: u32,
    /// Frames of history, at least 1.
    pub capacity_frames: u64,
    /// Index of the first frame that will be written.
    pub first_frame: FrameIndex,
    /// What each channel is, such as `left`, in at most 32 bytes each; none at all is fine.
    pub labels: Vec<String>,
    /// Whether an overview is kept: a 64th of the memory more, and little time.
    pub overview: bool,
}

/// Why a ring cannot be made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The wish is outside of the layout's bounds.
    #[error("a ring cannot have {0}")]
    Invalid(&'static str),
    /// The file system is too full.
    #[error("no room for the rings in {path}: {} MB free, at least {} MB needed", free_bytes >> 20, needed_bytes.div_ceil(1 << 20))]
    NoRoom {
        /// Where.
        path: String,
        /// What is there.
        free_bytes: u64,
        /// What the shortest history needs.
        needed_bytes: u64,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Writes one epoch of one stream. Dropped without [`RingWriter::close`], the ring counts as crashed.
#[derive(Debug)]
pub struct RingWriter {
    map: Mapping,
    info: RingInfo,
    path: PathBuf,
    table: TableWriter,
    overview: OverviewWriter,
    next: FrameIndex,
    time_due: FrameIndex,
    /// Before the last write after which the readers were woken.
    woken_ns: u64,
}

/// A write this soon after one that woke the readers does not wake them again. Less than [`crate::reader::SETTLED`]. A
/// model has no time: there every write does.
const BURST_NS: u64 = if cfg!(loom) { 0 } else { 25_000 };

impl RingWriter {
    /// Allocates the whole file, fills its header, prefaults the first second and publishes it by rename, as
    /// `<stream>.<epoch>.ring` and as a hard link `<stream>.ring`.
    ///
    /// # Errors
    /// [`CreateError`]; no file is left behind then.
    pub fn create(dir: &Path, spec: &RingSpec) -> Result<Self, CreateError> {
        let info = plan(spec)?;
        let path = dir.join(ring_file(&spec.stream, spec.epoch));
        let draft = dir.join(format!(".{}.{}.draft", spec.stream, spec.epoch));
        let io = |source: io::Error| CreateError::Io { path: path.display().to_string(), source };
        let _ = std::fs::remove_file(&draft);
        let made = allocate(&draft, info.total_bytes).and_then(|file| {
            let bytes = usize::try_from(info.total_bytes).map_err(io::Error::other)?;
            Mapping::read_write(&file, bytes)
        });
        let publish = made.and_then(|map| {
            header::fill(&map, &info);
            let ring = Self::over(map, info.clone(), path.clone());
            ring.prefaulter().run_first_second();
            std::fs::rename(&draft, &path)?;
            let link = dir.join(format!(".{}.link", spec.stream));
            let _ = std::fs::remove_file(&link);
            std::fs::hard_link(&path, &link)?;
            std::fs::rename(&link, dir.join(stream_link(&spec.stream)))?;
            Ok(ring)
        });
        publish.map_err(|e| {
            let _ = std::fs::remove_file(&draft);
            if e.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) {
                let free_bytes = rustix::fs::statvfs(dir).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
                return CreateError::NoRoom {
                    path: dir.display().to_string(),
                    free_bytes,
                    needed_bytes: info.total_bytes,
                };
            }
            io(e)
        })
    }

    /// Over a ring in which nothing is written yet.
    pub(crate) fn over(map: Mapping, info: RingInfo, path: PathBuf) -> Self {
        Self {
            map,
            table: TableWriter::default(),
            overview: OverviewWriter::new(info.channels),
            next: info.first_frame,
            time_due: info.first_frame,
            woken_ns: 0,
            path,
            info,
        }
    }

    /// Writes `frames` frames, given as `[channels][frames]`, and wakes the readers.
    ///
    /// # Panics
    /// If `planar` is not `channels * frames` long, or `frames` more than the capacity.
    ///
    /// # Real time
    /// Wait-free: no allocation, no lock; at most one system call (`FUTEX_WAKE`, which does not block), and none in a
    /// burst. The cost does not grow with the number of readers that do not wait.
    pub fn write(&mut self, planar: &[f32], frames: usize) {
        let channels = self.info.channels as usize;
        assert!(planar.len() == channels * frames && frames as u64 <= self.info.capacity_frames, "wrong shape");
        if frames == 0 {
            return;
        }
        let end = self.next.plus(frames as u64);
        // Readers whose frames lie beyond `end - capacity` are safe; the others must see this before any new sample.
        self.map.store_u64(at::RESERVE, end.0, Ordering::Relaxed);
        // Pairs with the Acquire fence in `RingReader::read`: who saw one of the samples below sees `reserve`.
        fence(Ordering::Release);
        let pieces = Pieces::new(&self.info, self.next, frames);
        for (channel, samples) in planar.chunks_exact(frames).enumerate() {
            for (offset, piece) in pieces.of(channel) {
                self.map.copy_in(offset, &samples[piece]);
            }
            if let Some(overview) = &self.info.overview {
                self.overview.write(&self.map, overview, channel, self.next, samples);
            }
        }
        let now_ns = clock_ns(ClockId::Monotonic);
        if end >= self.time_due {
            let wall_ns = clock_ns(ClockId::Realtime);
            self.table.push(&self.map, &self.info, Entry::Time(Time::new(end, now_ns, wall_ns)));
            self.time_due = end.plus(u64::from(self.info.sample_rate_hz));
        }
        self.map.store_u64(at::COMMIT_TIME, now_ns, Ordering::Relaxed);
        // Pairs with the Acquire load of `commit` in `RingReader`.
        self.map.store_u64(at::COMMIT, end.0, Ordering::Release);
        self.next = end;
        // In a burst nobody is woken again: a reader sleeps long only after the futex word has not changed for `SETTLED`,
        // so one that sleeps now will look by itself. Both times are read on the safe side of their change of the word:
        // that of the last write that woke before it, this one after it.
        let woken_ns = self.woken_ns;
        if self.call(|| clock_ns(ClockId::Monotonic).saturating_sub(woken_ns) >= BURST_NS) {
            self.woken_ns = now_ns;
        }
    }

    /// Names frames `from..to` as never captured. Comes before the write that covers them with zeros; gaps that
    /// continue one another become one.
    ///
    /// # Real time
    /// Wait-free.
    pub fn mark_gap(&mut self, from: FrameIndex, to: FrameIndex, cause: u32) {
        if from < to {
            self.table.push_gap(&self.map, &self.info, GapSpan { from, to, cause });
            let frames = self.map.load_u64(at::GAP_FRAMES, Ordering::Relaxed) + to.since(from);
            self.map.store_u64(at::GAP_FRAMES, frames, Ordering::Relaxed);
        }
    }

    /// Where the next write goes: one past the newest committed frame.
    #[must_use]
    pub const fn next_frame(&self) -> FrameIndex {
        self.next
    }

    /// Samples a frame.
    #[must_use]
    pub const fn channels(&self) -> u32 {
        self.info.channels
    }

    /// Frames of history.
    #[must_use]
    pub const fn capacity_frames(&self) -> u64 {
        self.info.capacity_frames
    }

    /// A reader over this writer's own mapping, as no process has it.
    #[cfg(test)]
    pub(crate) fn reader_beside(&self) -> crate::RingReader {
        crate::RingReader::over(self.map.for_reader(), self.info.clone(), self.path.clone())
    }

    /// What was published.
    #[must_use]
    pub const fn info(&self) -> &RingInfo {
        &self.info
    }

    /// The file of this epoch.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The addresses in this process of its header, the hot lines among it: for who keeps them in memory.
    #[must_use]
    pub fn header_addresses(&self) -> Range<usize> {
        self.map.addresses(0, at::HEADER_END)
    }

    /// Touches the ring's pages from another thread, so that the writer's first lap takes no page faults.
    #[must_use]
    pub fn prefaulter(&self) -> Prefaulter {
        Prefaulter { map: self.map.clone(), info: self.info.clone() }
    }

    /// Ends the ring in order: its readers read to the end and then learn that it is closed.
    pub fn close(self) {
        // Pairs with the Acquire load in `RingReader::state`: who sees it closed sees the last commit.
        self.map.store_u32(at::STATE, RingState::Closed.to_bits(), Ordering::Release);
        self.call(|| true);
    }

    /// Tells the readers that something is new, and wakes those that sleep where that `is_wanted`; whether it was.
    fn call(&self, is_wanted: impl FnOnce() -> bool) -> bool {
        // The word changes before the wake, so a reader that is about to sleep does not. Pairs with the Acquire
        // load in `RingReader::wait`.
        self.map.add_u32(at::FUTEX, Ordering::Release);
        let wanted = is_wanted();
        if wanted {
            self.map.futex_wake_all(at::FUTEX);
        }
        wanted
    }
}

/// 33 cache lines: 64 channels of a ring whose capacity is a power of two then spread over 128 KiB, which is what a way of
/// the second cache covers at most.
const STRIDE_SKEW_BYTES: u64 = 33 * 64;

/// See [`RingWriter::prefaulter`].
#[derive(Debug)]
pub struct Prefaulter {
    map: Mapping,
    info: RingInfo,
}

impl Prefaulter {
    /// Touches all pages once, in the order in which the writer will reach them, and returns. Changes no byte.
    pub fn run(&self) {
        let second = u64::from(self.info.sample_rate_hz);
        let mut done = 0;
        while done < self.info.capacity_frames {
            self.touch(done, second.min(self.info.capacity_frames - done));
            done += second;
        }
    }

    fn run_first_second(&self) {
        self.map.touch(0, TABLE_OFFSET * 5);
        self.touch(0, u64::from(self.info.sample_rate_hz).min(self.info.capacity_frames));
    }

    fn touch(&self, after: u64, frames: u64) {
        let first = self.info.first_frame.plus(after);
        let pieces = Pieces::new(&self.info, first, usize::try_from(frames).unwrap_or(usize::MAX));
        for channel in 0..self.info.channels as usize {
            for (offset, piece) in pieces.of(channel) {
                self.map.touch(offset, piece.len() * 4);
            }
        }
    }
}

/// Where some frames lie in each channel's plane: in one piece, or in two around the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces {
    plane: usize,
    stride: usize,
    at: usize,
    before_wrap: usize,
    frames: usize,
}

impl Pieces {
    #[expect(clippy::cast_possible_truncation, reason = "offsets inside a mapping fit usize")]
    pub(crate) fn new(info: &RingInfo, position: FrameIndex, frames: usize) -> Self {
        let index = (position.0 % info.capacity_frames) as usize;
        Self {
            plane: info.data_offset as usize,
            stride: info.stride_bytes as usize,
            at: index * 4,
            before_wrap: frames.min(info.capacity_frames as usize - index),
            frames,
        }
    }

    /// A channel's: byte offset, and which of the frames.
    pub(crate) fn of(self, channel: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let plane = self.plane + channel * self.stride;
        let pieces = [(plane + self.at, 0..self.before_wrap), (plane, self.before_wrap..self.frames)];
        pieces.into_iter().filter(|(_, piece)| !piece.is_empty())
    }
}

fn plan(spec: &RingSpec) -> Result<RingInfo, CreateError> {
    let name_fits = (1..=NAME_BYTES_MAX).contains(&spec.stream.len());
    if !name_fits || spec.stream.contains(['/', '\0']) || spec.stream.starts_with('.') {
        return Err(CreateError::Invalid("this name"));
    }
    if spec.channels == 0 || u64::from(spec.channels) > CHANNELS_MAX {
        return Err(CreateError::Invalid("this number of channels: 1 to 64"));
    }
    if spec.sample_rate_hz == 0 || u64::from(spec.sample_rate_hz) > SAMPLE_RATE_HZ_MAX {
        return Err(CreateError::Invalid("this rate: up to 192,000 Hz"));
    }
    if spec.epoch.0 == 0 || spec.first_frame.0 > u64::MAX / 2 {
        return Err(CreateError::Invalid("this epoch or first frame"));
    }
    // 2^40 frames of 64 channels stay far below 2^64 bytes.
    if spec.capacity_frames == 0 || spec.capacity_frames > 1 << 40 {
        return Err(CreateError::Invalid("this capacity"));
    }
    let label_fits = |label: &String| label.len() <= at::LABEL_BYTES && !label.contains('\0');
    if !(spec.labels.is_empty() || spec.labels.len() == spec.channels as usize) || !spec.labels.iter().all(label_fits) {
        return Err(CreateError::Invalid("these labels: one of at most 32 bytes for each channel, or none"));
    }
    // Not a multiple of a power of two: the same frames of all channels would share a few sets of each cache.
    let stride_bytes = (spec.capacity_frames * 4).next_multiple_of(4096) + STRIDE_SKEW_BYTES;
    let planes_end = DATA_OFFSET + stride_bytes * u64::from(spec.channels);
    let overview = spec.overview.then(|| OverviewInfo::plan(spec.capacity_frames, planes_end));
    let overview_bytes = overview.map_or(0, |overview| overview.stride_bytes * u64::from(spec.channels));
    Ok(RingInfo {
        stream: spec.stream.clone(),
        session: spec.session,
        epoch: spec.epoch,
        previous_epoch: spec.previous_epoch,
        sample_rate_hz: spec.sample_rate_hz,
        channels: spec.channels,
        capacity_frames: spec.capacity_frames,
        first_frame: spec.first_frame,
        writer_pid: std::process::id(),
        writer_start_time: process::start_time_of(std::process::id()).unwrap_or(0),
        labels: spec.labels.clone(),
        overview,
        stride_bytes,
        data_offset: DATA_OFFSET,
        table_offset: TABLE_OFFSET as u64,
        table_entries: TABLE_ENTRIES,
        table_entry_bytes: TABLE_ENTRY_BYTES,
        total_bytes: (planes_end + overview_bytes).next_multiple_of(4096),
    })
}

/// A new private file of this size, with its blocks: no space is an error here and never a SIGBUS later.
pub(crate) fn allocate(path: &Path, bytes: u64) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
    Ok(File::from(file))
}

#[expect(clippy::cast_sign_loss, reason = "both clocks are far past zero")]
pub(crate) fn clock_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

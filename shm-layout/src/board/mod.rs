//! The status board: one small segment in which every process of an instance has a slot of its own, and which anybody of
//! the same user may look at without asking anybody.
//!
//! It is advisory. Each slot has one writer, which stores single words: what is read is never torn within a word, and may
//! be from two moments between words. A meter's reading is read whole, or not at all. Life and death are not decided here.
//!
//! The segment is named after its owner's pid and start time, so that one whose owner was killed is known for stale, and
//! removed by the next [`Board::create`]. A file `board` in the runtime folder holds the name.
//!
//! ```
//! use shm_layout::board::{Beat, Board, Counter, View};
//! let folder = tempfile::tempdir()?;
//! let board = Board::create(folder.path())?;
//! let slot = Beat::claim(folder.path(), 1, 7)?;
//! slot.beat();
//! slot.add(Counter::Done, 3);
//! let seen = View::open(folder.path())?.slot(1).expect("claimed");
//! assert_eq!((seen.pid, seen.generation, seen.counter(Counter::Done)), (std::process::id(), 7, 3));
//! # drop(board);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beat;
mod heart;
mod meter;
mod meter_view;
mod reading;
mod segment;

pub use beat::{Beat, Counter};
pub use heart::{Heart, Pulse};
pub use meter::{METERS, Meter, Meters, READINGS};
pub use meter_view::MeterView;
pub use reading::{Level, Loudness, READING_CHANNELS, Reading};

use crate::process::{is_alive, start_time_of};
use segment::Segment;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

const MAGIC: u64 = u64::from_le_bytes(*b"TYMPANSB");
const VERSION: u64 = 2;
/// Words of the head and of each slot.
const HEAD_WORDS: usize = 8;
const SLOT_WORDS: usize = 32;
/// Slots of a board: a supervisor, an engine, a listener, and more workers than anybody starts.
pub const SLOTS: usize = 72;

/// Words of a whole board: head, slots, meters.
const WORDS: usize = meter::FIRST_WORD + METERS * meter::WORDS;

mod head {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 1;
    pub(super) const SLOTS: usize = 2;
    pub(super) const SLOT_WORDS: usize = 3;
    pub(super) const METERS: usize = 4;
    pub(super) const METER_WORDS: usize = 5;
}

/// What the head says of the rest.
const SHAPE: [(usize, usize); 4] =
    [(head::SLOTS, SLOTS), (head::SLOT_WORDS, SLOT_WORDS), (head::METERS, METERS), (head::METER_WORDS, meter::WORDS)];

mod word {
    pub(super) const PID: usize = 0;
    pub(super) const START: usize = 1;
    pub(super) const GENERATION: usize = 2;
    pub(super) const BEAT: usize = 3;
    pub(super) const COUNTERS: usize = 8;
}

/// Why there is no board.
#[derive(Debug, Error)]
pub enum BoardError {
    /// No instance has one here.
    #[error("no status board in {0}")]
    Missing(String),
    /// The operating system refused; a full memory does, too.
    #[error("the status board {name}: {source}")]
    Io {
        /// The segment, or the file that names it.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The bytes are no board of this version.
    #[error("the status board {0} is none, or of another version")]
    Malformed(String),
}

/// A board, with its owner. Dropped, it is removed.
#[derive(Debug)]
pub struct Board {
    segment: Arc<Segment>,
    file: PathBuf,
}

impl Board {
    /// Makes a board for the instance of this runtime folder, and removes what killed owners have left.
    ///
    /// # Errors
    /// [`BoardError::Io`]; nothing is left behind then. An instance can do without.
    pub fn create(runtime: &Path) -> Result<Self, BoardError> {
        remove_stale();
        let name = new_name();
        let io = |source| BoardError::Io { name: name.clone(), source };
        let segment = Segment::create(&name, WORDS * 8).map_err(io)?;
        for (word, value) in SHAPE {
            segment.store(word, value as u64, Ordering::Relaxed);
        }
        segment.store(head::VERSION, VERSION, Ordering::Relaxed);
        // The magic last: pairs with the Acquire load in `check`.
        segment.store(head::MAGIC, MAGIC, Ordering::Release);
        let file = runtime.join("board");
        let draft = runtime.join(".board.draft");
        let _ = std::fs::remove_file(&draft);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        made.and_then(|mut file| file.write_all(name.as_bytes()))
            .and_then(|()| std::fs::rename(&draft, &file))
            .map_err(io)?;
        Ok(Self { segment: Arc::new(segment), file })
    }

    /// A look at it.
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<Slot> {
        slot_of(&self.segment, index)
    }

    /// When this very life of a process last said that it is at work, as in [`Slot::beat_ns`]; `None` before the first
    /// time. Unlike [`Board::slot`] it asks the kernel nothing.
    #[must_use]
    pub fn beat_ns(&self, index: usize, pid: u32, generation: u64) -> Option<u64> {
        let at = place_of(index)?;
        // Pairs with the Release store in `Beat::claim`.
        let same = self.segment.load(at + word::PID, Ordering::Acquire) == u64::from(pid)
            && self.segment.load(at + word::GENERATION, Ordering::Relaxed) == generation;
        Some(self.segment.load(at + word::BEAT, Ordering::Relaxed)).filter(|&beat_ns| same && beat_ns > 0)
    }

    /// The streams' meters.
    #[must_use]
    pub fn meters(&self) -> Vec<MeterView> {
        MeterView::all(&self.segment)
    }

    /// Asks for counts, held peaks and loudness to begin anew in this stream's meter; false where it has none. The next
    /// readings show it.
    pub fn reset_meter(&self, stream: &str) -> bool {
        let meters = self.meters();
        let found = meters.iter().find(|meter| meter.stream() == stream);
        found.inspect(|meter| meter.reset()).is_some()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Somebody else's look at a board.
#[derive(Debug)]
pub struct View {
    segment: Arc<Segment>,
}

impl View {
    /// Opens the board of this runtime folder.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn open(runtime: &Path) -> Result<Self, BoardError> {
        open(runtime).map(|segment| Self { segment: Arc::new(segment) })
    }

    /// What a slot says; `None` where nobody has claimed it, or its process is gone.
    #[must_use]
    pub fn slot(&self, index: usize) -> Option<Slot> {
        slot_of(&self.segment, index)
    }

    /// The streams' meters.
    #[must_use]
    pub fn meters(&self) -> Vec<MeterView> {
        MeterView::all(&self.segment)
    }
}

/// What a process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its process id.
    pub pid: u32,
    /// Which life of its part it is.
    pub generation: u64,
    /// When it last said that it is at work, on `CLOCK_MONOTONIC`, in nanoseconds; 0 before the first time.
    pub beat_ns: u64,
    counters: [u64; beat::COUNTERS],
}

impl Slot {
    /// A count.
    #[must_use]
    pub const fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }
}

fn place_of(index: usize) -> Option<usize> {
    (index < SLOTS).then(|| HEAD_WORDS + index * SLOT_WORDS)
}

fn slot_of(segment: &Segment, index: usize) -> Option<Slot> {
    let at = place_of(index)?;
    // Pairs with the Release store in `Beat::claim`.
    let pid = u32::try_from(segment.load(at + word::PID, Ordering::Acquire)).ok().filter(|&pid| pid > 0)?;
    let load = |word: usize| segment.load(at + word, Ordering::Relaxed);
    if !is_alive(pid, load(word::START)) {
        return None;
    }
    let counters = std::array::from_fn(|counter| load(word::COUNTERS + counter));
    Some(Slot { pid, generation: load(word::GENERATION), beat_ns: load(word::BEAT), counters })
}

fn open(runtime: &Path) -> Result<Segment, BoardError> {
    let file = runtime.join("board");
    let name = match std::fs::read_to_string(&file) {
        Ok(name) => name,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(BoardError::Missing(runtime.display().to_string()));
        }
        Err(source) => return Err(BoardError::Io { name: file.display().to_string(), source }),
    };
    // A name, not a path to elsewhere.
    if owner_of(&name).is_none() {
        return Err(BoardError::Malformed(file.display().to_string()));
    }
    let segment = Segment::open(&name).map_err(|source| BoardError::Io { name: name.clone(), source })?;
    // Pairs with the Release store in `Board::create`.
    let known = segment.load(head::MAGIC, Ordering::Acquire) == MAGIC
        && segment.load(head::VERSION, Ordering::Relaxed) == VERSION
        && SHAPE.iter().all(|&(word, value)| segment.load(word, Ordering::Relaxed) == value as u64)
        && segment.words() >= WORDS;
    if known { Ok(segment) } else { Err(BoardError::Malformed(name)) }
}

fn prefix() -> String {
    format!("tympan-{}.", rustix::process::geteuid().as_raw())
}

/// A name that no other board has had.
fn new_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{}{pid}.{}.{count}.board", prefix(), start_time_of(pid).unwrap_or(0))
}

/// Pid and start time of the owner that a segment is named after.
fn owner_of(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(&prefix())?.strip_suffix(".board")?.split('.');
    let owner = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()?.parse::<u64>().is_ok() && parts.next().is_none()).then_some(owner)
}

fn remove_stale() {
    for name in Segment::names() {
        if owner_of(&name).is_some_and(|(pid, start)| !is_alive(pid, start)) {
            Segment::remove(&name);
        }
    }
}

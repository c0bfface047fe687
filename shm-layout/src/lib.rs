//! The bytes that Tympan's processes share: audio rings in memory-mapped files.
//!
//! One writer, any number of readers, nobody waits. A writer publishes planar f32 frames under a
//! frame index that never restarts in its session; a reader copies them out and then learns whether
//! the copy is good. A reader that was lapped learns exactly which frames it lost ([`ReadError::Lost`]);
//! frames that were never captured are zeros and stand in the ring's table as a gap ([`GapSpan`]).
//!
//! What it never does: hand out references to shared samples, trust a byte it reads, block a writer,
//! or let a reader write. `LAYOUT.md` has the byte tables and both protocols.
//!
//! ```
//! use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingWriter, SessionId};
//! let dir = tempfile::tempdir()?;
//! let spec = RingSpec {
//!     stream: "mic".into(), session: SessionId([7; 16]), epoch: Epoch(1), previous_epoch: None,
//!     sample_rate_hz: 48_000, channels: 1, capacity_frames: 48_000, first_frame: FrameIndex(0),
//!     labels: vec!["mono".into()], overview: false,
//! };
//! let mut writer = RingWriter::create(dir.path(), &spec)?;
//! let reader = RingReader::attach_stream(dir.path(), "mic")?;
//! writer.write(&[0.25, 0.5], 2);
//! let mut planar = [0.0; 2];
//! reader.read(FrameIndex(0), &mut planar, 2)?;
//! assert_eq!(planar, [0.25, 0.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(all(target_os = "linux", target_endian = "little")))]
compile_error!(
    "Tympan's rings are little-endian and wake their readers by futex: Linux on a little-endian processor is needed"
);

pub mod board;
#[cfg(not(loom))]
mod copy;
mod directory;
mod follow;
mod frame;
mod header;
#[cfg_attr(loom, path = "memory_loom.rs")]
mod memory;
#[cfg(loom)]
pub mod model;
mod offset;
mod open;
mod overview;
mod parse;
mod process;
#[cfg(all(test, not(loom)))]
mod race;
mod reader;
mod room;
mod sync;
mod table;
pub mod v1;
mod warden;
mod writer;

pub use directory::{RingEntry, epochs_of, list_rings, ring_file, stream_link};
pub use follow::{Follow, Follower, Lapped};
pub use frame::{Epoch, FrameIndex, SessionId};
pub use header::{RingInfo, RingState};
pub use overview::{Extent, OverviewInfo};
pub use parse::AttachError;
pub use process::{is_alive, start_time_of};
pub use reader::{InPlace, ReadError, RingReader, Wait};
pub use room::fit_history;
pub use table::GapSpan;
pub use warden::RingWarden;
pub use writer::{CreateError, Prefaulter, RingSpec, RingWriter};

/// The README's reader compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

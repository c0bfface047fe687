//! The header: where each field lies, how it is filled, and what a reader believes of it.

use crate::memory::Mapping;
use crate::{Epoch, FrameIndex, SessionId};
use std::io;
use std::sync::atomic::Ordering;
use thiserror::Error;

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"AUDITAB!");
pub(crate) const VERSION: u64 = 2;

/// Byte offsets. `LAYOUT.md` has the table.
pub(crate) mod at {
    // Line 0, the hot line. Offsets 0..56 are those of version 1.
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 8;
    pub(crate) const SAMPLE_RATE: usize = 16;
    pub(crate) const CHANNELS: usize = 24;
    pub(crate) const CAPACITY: usize = 32;
    pub(crate) const COMMIT: usize = 40;
    pub(crate) const SAMPLES_PER_WRITE: usize = 48;
    pub(crate) const RESERVE: usize = 56;
    // Line 1: waking and life.
    pub(crate) const FUTEX: usize = 64;
    pub(crate) const STATE: usize = 68;
    pub(crate) const COMMIT_TIME: usize = 72;
    // Line 2: counters.
    pub(crate) const TABLE_COUNT: usize = 128;
    pub(crate) const GAP_FRAMES: usize = 136;
    // From here on nothing changes once the file is published.
    pub(crate) const HEADER_BYTES: usize = 256;
    pub(crate) const TOTAL_BYTES: usize = 264;
    pub(crate) const SAMPLE_FORMAT: usize = 272;
    pub(crate) const CHECKSUM: usize = 276;
    pub(crate) const REQUIRED: usize = 280;
    pub(crate) const OPTIONAL: usize = 288;
    pub(crate) const SESSION: usize = 296;
    pub(crate) const EPOCH: usize = 312;
    pub(crate) const PREVIOUS_EPOCH: usize = 320;
    pub(crate) const FIRST_FRAME: usize = 328;
    pub(crate) const WRITER_PID: usize = 336;
    pub(crate) const WRITER_START: usize = 344;
    pub(crate) const STRIDE: usize = 352;
    pub(crate) const DATA: usize = 360;
    pub(crate) const TABLE: usize = 368;
    pub(crate) const TABLE_ENTRIES: usize = 376;
    pub(crate) const TABLE_ENTRY_BYTES: usize = 384;
    pub(crate) const NAME_BYTES: usize = 392;
    pub(crate) const NAME: usize = 400;
    pub(crate) const IMMUTABLE_END: usize = 512;
}

pub(crate) const NAME_BYTES_MAX: usize = 64;
pub(crate) const CHANNELS_MAX: u64 = 64;
pub(crate) const SAMPLE_RATE_HZ_MAX: u64 = 192_000;
pub(crate) const FORMAT_F32_PLANAR: u32 = 1;
pub(crate) const TABLE_OFFSET: usize = 4096;
pub(crate) const TABLE_ENTRIES: u64 = 256;
pub(crate) const TABLE_ENTRY_BYTES: u64 = 64;
pub(crate) const DATA_OFFSET: u64 = TABLE_OFFSET as u64 + TABLE_ENTRIES * TABLE_ENTRY_BYTES;

/// Whether a ring is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingState {
    /// A writer has it.
    Live,
    /// Its writer ended it in order.
    Closed,
    /// Its writer died.
    Crashed,
}

impl RingState {
    pub(crate) const fn to_bits(self) -> u32 {
        match self {
            Self::Live => 1,
            Self::Closed => 2,
            Self::Crashed => 3,
        }
    }

    /// An unknown value is as good as a crash: nobody of ours is writing there.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::Live,
            2 => Self::Closed,
            _ => Self::Crashed,
        }
    }

    /// The word users see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Closed => "closed",
            Self::Crashed => "crashed",
        }
    }
}

/// What never changes in a ring's life, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingInfo {
    /// Name of the stream.
    pub stream: String,
    /// The session its frame indices belong to.
    pub session: SessionId,
    /// Which life of the stream.
    pub epoch: Epoch,
    /// The life before, in the same session.
    pub previous_epoch: Option<Epoch>,
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Samples a frame, 1 to 64.
    pub channels: u32,
    /// Frames of history.
    pub capacity_frames: u64,
    /// The first frame of this epoch.
    pub first_frame: FrameIndex,
    /// Who writes.
    pub writer_pid: u32,
    /// When the writer's process started (clock ticks since boot): a pid alone is used again.
    pub writer_start_time: u64,
    pub(crate) stride_bytes: u64,
    pub(crate) data_offset: u64,
    pub(crate) table_offset: u64,
    pub(crate) table_entries: u64,
    pub(crate) table_entry_bytes: u64,
    pub(crate) total_bytes: u64,
}

/// Why a file is not a ring that can be read.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is no such file (yet).
    #[error("there is no ring {0}")]
    Missing(String),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Not a regular file of this user that others cannot write.
    #[error("{path}: not a private regular file: {why}")]
    Untrusted {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another version of the layout.
    #[error("the ring has layout version {actual}, this program reads version {VERSION}")]
    Version {
        /// The file's version.
        actual: u64,
    },
    /// A feature this program does not know and the ring cannot be read without.
    #[error("the ring needs features {unknown:#x} that this program does not know")]
    Feature {
        /// The unknown bits.
        unknown: u64,
    },
    /// The bytes are not a ring.
    #[error("not a ring: {0}")]
    Malformed(&'static str),
}

pub(crate) fn fill(map: &Mapping, info: &RingInfo) {
    let word = |offset, value| map.store_u64(offset, value, Ordering::Relaxed);
    word(at::SAMPLE_RATE, u64::from(info.sample_rate_hz));
    word(at::CHANNELS, u64::from(info.channels));
    word(at::CAPACITY, info.capacity_frames);
    word(at::COMMIT, info.first_frame.0);
    word(at::SAMPLES_PER_WRITE, 1);
    word(at::RESERVE, info.first_frame.0);
    map.store_u32(at::STATE, RingState::Live.to_bits(), Ordering::Relaxed);
    word(at::HEADER_BYTES, TABLE_OFFSET as u64);
    word(at::TOTAL_BYTES, info.total_bytes);
    map.store_u32(at::SAMPLE_FORMAT, FORMAT_F32_PLANAR, Ordering::Relaxed);
    for (half, bytes) in info.session.0.as_chunks::<8>().0.iter().enumerate() {
        word(at::SESSION + half * 8, u64::from_le_bytes(*bytes));
    }
    word(at::REQUIRED, 0);
    word(at::OPTIONAL, 0);
    word(at::EPOCH, info.epoch.0);
    word(at::PREVIOUS_EPOCH, info.previous_epoch.map_or(0, |e| e.0));
    word(at::FIRST_FRAME, info.first_frame.0);
    word(at::WRITER_PID, u64::from(info.writer_pid));
    word(at::WRITER_START, info.writer_start_time);
    word(at::STRIDE, info.stride_bytes);
    word(at::DATA, info.data_offset);
    word(at::TABLE, info.table_offset);
    word(at::TABLE_ENTRIES, info.table_entries);
    word(at::TABLE_ENTRY_BYTES, info.table_entry_bytes);
    word(at::NAME_BYTES, info.stream.len() as u64);
    for (piece, bytes) in info.stream.as_bytes().chunks(8).enumerate() {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word(at::NAME + piece * 8, u64::from_le_bytes(padded));
    }
    map.store_u32(at::CHECKSUM, checksum(map), Ordering::Relaxed);
    word(at::MAGIC, MAGIC);
    // The version is stored last: it is the sign that all the rest is there.
    map.store_u64(at::VERSION, VERSION, Ordering::Release);
}

/// CRC-32 (IEEE 802.3, as zlib's) of what never changes: bytes 16..40 and 256..512 with the checksum itself as zero.
pub(crate) fn checksum(map: &Mapping) -> u32 {
    let mut bytes = [0; at::IMMUTABLE_END];
    map.copy_bytes(0, &mut bytes);
    bytes[at::CHECKSUM..at::CHECKSUM + 4].fill(0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[at::SAMPLE_RATE..at::COMMIT]);
    crc.update(&bytes[at::HEADER_BYTES..]);
    crc.finalize()
}

/// What the first page says, believed only as far as it is consistent with itself and the file's length.
pub(crate) fn parse(map: &Mapping, file_bytes: u64) -> Result<RingInfo, AttachError> {
    use AttachError::Malformed;
    if map.bytes() < at::IMMUTABLE_END {
        return Err(Malformed("shorter than its header"));
    }
    let word = |offset| map.load_u64(offset, Ordering::Relaxed);
    // Pairs with the Release store in `fill`.
    let version = map.load_u64(at::VERSION, Ordering::Acquire);
    if word(at::MAGIC) != MAGIC {
        return Err(Malformed("no AUDITAB! at its beginning"));
    }
    if version != VERSION {
        return Err(AttachError::Version { actual: version });
    }
    if map.load_u32(at::CHECKSUM, Ordering::Relaxed) != checksum(map) {
        return Err(Malformed("wrong checksum"));
    }
    if word(at::REQUIRED) != 0 {
        return Err(AttachError::Feature { unknown: word(at::REQUIRED) });
    }
    if map.load_u32(at::SAMPLE_FORMAT, Ordering::Relaxed) != FORMAT_F32_PLANAR {
        return Err(Malformed("unknown sample format"));
    }
    let (rate, channels, capacity) = (word(at::SAMPLE_RATE), word(at::CHANNELS), word(at::CAPACITY));
    if rate == 0 || rate > SAMPLE_RATE_HZ_MAX || channels == 0 || channels > CHANNELS_MAX || capacity == 0 {
        return Err(Malformed("impossible rate, channels or capacity"));
    }
    let (stride, data, total) = (word(at::STRIDE), word(at::DATA), word(at::TOTAL_BYTES));
    let planes_end = stride.checked_mul(channels).and_then(|planes| planes.checked_add(data));
    let plane = capacity.checked_mul(4);
    if total != file_bytes || planes_end.is_none_or(|end| end > total) || plane.is_none_or(|plane| plane > stride) {
        return Err(Malformed("samples outside of the file"));
    }
    if !stride.is_multiple_of(64) || !data.is_multiple_of(64) || data < at::IMMUTABLE_END as u64 {
        return Err(Malformed("unaligned samples"));
    }
    let (table, entries, entry_bytes) = (word(at::TABLE), word(at::TABLE_ENTRIES), word(at::TABLE_ENTRY_BYTES));
    let table_end = entries.checked_mul(entry_bytes).and_then(|bytes| bytes.checked_add(table));
    if entries == 0
        || entry_bytes < TABLE_ENTRY_BYTES
        || !entry_bytes.is_multiple_of(8)
        || !table.is_multiple_of(8)
        || table < at::IMMUTABLE_END as u64
        || table_end.is_none_or(|end| end > data)
    {
        return Err(Malformed("table outside of its place"));
    }
    let first_frame = FrameIndex(word(at::FIRST_FRAME));
    if first_frame.0 > u64::MAX / 2 {
        return Err(Malformed("impossible first frame"));
    }
    let mut session = [0; 16];
    map.copy_bytes(at::SESSION, &mut session);
    Ok(RingInfo {
        stream: parse_name(map)?,
        session: SessionId(session),
        epoch: Epoch(word(at::EPOCH)),
        previous_epoch: Some(word(at::PREVIOUS_EPOCH)).filter(|&e| e != 0).map(Epoch),
        sample_rate_hz: u32::try_from(rate).map_err(|_| Malformed("impossible rate"))?,
        channels: u32::try_from(channels).map_err(|_| Malformed("impossible channels"))?,
        capacity_frames: capacity,
        first_frame,
        writer_pid: u32::try_from(word(at::WRITER_PID)).map_err(|_| Malformed("impossible pid"))?,
        writer_start_time: word(at::WRITER_START),
        stride_bytes: stride,
        data_offset: data,
        table_offset: table,
        table_entries: entries,
        table_entry_bytes: entry_bytes,
        total_bytes: total,
    })
}

fn parse_name(map: &Mapping) -> Result<String, AttachError> {
    let length = usize::try_from(map.load_u64(at::NAME_BYTES, Ordering::Relaxed)).unwrap_or(usize::MAX);
    if length == 0 || length > NAME_BYTES_MAX {
        return Err(AttachError::Malformed("no name"));
    }
    let mut bytes = [0; NAME_BYTES_MAX];
    map.copy_bytes(at::NAME, &mut bytes);
    let name = str::from_utf8(&bytes[..length]).map_err(|_| AttachError::Malformed("name is not UTF-8"))?;
    if name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(AttachError::Malformed("name is not a file name"));
    }
    Ok(name.to_owned())
}

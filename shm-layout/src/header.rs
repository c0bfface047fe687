//! The header: what it says of a ring, and how it is filled.

use crate::memory::Mapping;
use crate::offset as at;
use crate::overview::OverviewInfo;
use crate::sync::Ordering;
use crate::{Epoch, FrameIndex, SessionId};

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"AUDITAB!");
pub(crate) const VERSION: u64 = 2;

pub(crate) const NAME_BYTES_MAX: usize = 64;
pub(crate) const CHANNELS_MAX: u64 = 64;
pub(crate) const SAMPLE_RATE_HZ_MAX: u64 = 192_000;
pub(crate) const FORMAT_F32_PLANAR: u32 = 1;
/// Optional feature: minima and maxima of blocks of frames, for pictures.
pub(crate) const FEATURE_OVERVIEW: u64 = 1;
/// Optional feature: a name for each channel.
pub(crate) const FEATURE_LABELS: u64 = 2;
pub(crate) const TABLE_OFFSET: usize = at::HEADER_END;
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
    /// What each channel is, such as `left`; empty when nobody said.
    pub labels: Vec<String>,
    /// The overview, where the writer keeps one.
    pub overview: Option<OverviewInfo>,
    pub(crate) stride_bytes: u64,
    pub(crate) data_offset: u64,
    pub(crate) table_offset: u64,
    pub(crate) table_entries: u64,
    pub(crate) table_entry_bytes: u64,
    pub(crate) total_bytes: u64,
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
    word(at::HEADER_BYTES, at::HEADER_END as u64);
    word(at::TOTAL_BYTES, info.total_bytes);
    map.store_u32(at::SAMPLE_FORMAT, FORMAT_F32_PLANAR, Ordering::Relaxed);
    for (half, bytes) in info.session.0.as_chunks::<8>().0.iter().enumerate() {
        word(at::SESSION + half * 8, u64::from_le_bytes(*bytes));
    }
    word(at::REQUIRED, 0);
    let overview = if info.overview.is_some() { FEATURE_OVERVIEW } else { 0 };
    let labels = if info.labels.is_empty() { 0 } else { FEATURE_LABELS };
    word(at::OPTIONAL, overview | labels);
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
    let text = |offset: usize, text: &str| {
        for (piece, bytes) in text.as_bytes().chunks(8).enumerate() {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word(offset + piece * 8, u64::from_le_bytes(padded));
        }
    };
    text(at::NAME, &info.stream);
    for (channel, label) in info.labels.iter().enumerate() {
        text(at::LABELS + channel * at::LABEL_BYTES, label);
    }
    if let Some(overview) = &info.overview {
        word(at::OVERVIEW, overview.offset);
        word(at::OVERVIEW_BINS, overview.bins);
        word(at::OVERVIEW_BIN_FRAMES, overview.bin_frames);
        word(at::OVERVIEW_STRIDE, overview.stride_bytes);
    }
    map.store_u32(at::CHECKSUM, checksum(map), Ordering::Relaxed);
    word(at::MAGIC, MAGIC);
    // The version is stored last: it is the sign that all the rest is there.
    map.store_u64(at::VERSION, VERSION, Ordering::Release);
}

/// CRC-32 (IEEE 802.3, as zlib's) of what never changes: bytes 16..40 and 256..4096 with the checksum itself as zero.
pub(crate) fn checksum(map: &Mapping) -> u32 {
    let mut bytes = [0; at::HEADER_END];
    map.copy_bytes(0, &mut bytes);
    bytes[at::CHECKSUM..at::CHECKSUM + 4].fill(0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[at::SAMPLE_RATE..at::COMMIT]);
    crc.update(&bytes[at::HEADER_BYTES..]);
    crc.finalize()
}

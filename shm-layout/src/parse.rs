//! What a reader believes of a header: only what is consistent with itself and with the file's length.

use crate::header::{
    CHANNELS_MAX, FEATURE_LABELS, FEATURE_OVERVIEW, FORMAT_F32_PLANAR, MAGIC, NAME_BYTES_MAX, RingInfo,
    SAMPLE_RATE_HZ_MAX, TABLE_ENTRY_BYTES, VERSION, checksum,
};
use crate::memory::Mapping;
use crate::offset as at;
use crate::overview::OverviewInfo;
use crate::sync::Ordering;
use crate::{Epoch, FrameIndex, SessionId};
use std::io;
use thiserror::Error;

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
    #[error("the ring has layout version {actual}, and version {expected} was to be read")]
    Version {
        /// The file's version.
        actual: u64,
        /// The version that was asked for.
        expected: u64,
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

/// What the first page says, believed only as far as it is consistent with itself and the file's length.
pub(crate) fn parse(map: &Mapping, file_bytes: u64) -> Result<RingInfo, AttachError> {
    use AttachError::Malformed;
    if map.bytes() < at::HEADER_END {
        return Err(Malformed("shorter than its header"));
    }
    let word = |offset| map.load_u64(offset, Ordering::Relaxed);
    // Pairs with the Release store in `fill`.
    let version = map.load_u64(at::VERSION, Ordering::Acquire);
    if word(at::MAGIC) != MAGIC {
        return Err(Malformed("no AUDITAB! at its beginning"));
    }
    if version != VERSION {
        return Err(AttachError::Version { actual: version, expected: VERSION });
    }
    if map.load_u32(at::CHECKSUM, Ordering::Relaxed) != checksum(map) {
        return Err(Malformed("wrong checksum"));
    }
    // None is known yet that a reader must know.
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
    // A later layout may have a longer header; none has a shorter one.
    if word(at::HEADER_BYTES) < at::HEADER_END as u64 || word(at::HEADER_BYTES) > data {
        return Err(Malformed("impossible header length"));
    }
    if !stride.is_multiple_of(64) || !data.is_multiple_of(64) || data < at::HEADER_END as u64 {
        return Err(Malformed("unaligned samples"));
    }
    let (table, entries, entry_bytes) = (word(at::TABLE), word(at::TABLE_ENTRIES), word(at::TABLE_ENTRY_BYTES));
    let table_end = entries.checked_mul(entry_bytes).and_then(|bytes| bytes.checked_add(table));
    if entries == 0
        || entry_bytes < TABLE_ENTRY_BYTES
        || !entry_bytes.is_multiple_of(8)
        || !table.is_multiple_of(8)
        || table < at::HEADER_END as u64
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
        labels: parse_labels(map, channels)?,
        overview: parse_overview(map, capacity, channels, total)?,
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

fn parse_labels(map: &Mapping, channels: u64) -> Result<Vec<String>, AttachError> {
    if map.load_u64(at::OPTIONAL, Ordering::Relaxed) & FEATURE_LABELS == 0 {
        return Ok(Vec::new());
    }
    let label = |channel: usize| {
        let mut bytes = [0; at::LABEL_BYTES];
        map.copy_bytes(at::LABELS + channel * at::LABEL_BYTES, &mut bytes);
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        str::from_utf8(&bytes[..end]).map(str::to_owned).map_err(|_| AttachError::Malformed("label is not UTF-8"))
    };
    (0..usize::try_from(channels).unwrap_or(0)).map(label).collect()
}

fn parse_overview(
    map: &Mapping,
    capacity: u64,
    channels: u64,
    total: u64,
) -> Result<Option<OverviewInfo>, AttachError> {
    let word = |offset| map.load_u64(offset, Ordering::Relaxed);
    if word(at::OPTIONAL) & FEATURE_OVERVIEW == 0 {
        return Ok(None);
    }
    let (offset, bins) = (word(at::OVERVIEW), word(at::OVERVIEW_BINS));
    let (bin_frames, stride_bytes) = (word(at::OVERVIEW_BIN_FRAMES), word(at::OVERVIEW_STRIDE));
    let end = stride_bytes.checked_mul(channels).and_then(|bytes| bytes.checked_add(offset));
    let outside = end.is_none_or(|end| end > total) || bins.checked_mul(8).is_none_or(|bytes| bytes > stride_bytes);
    let covers = bins.checked_mul(bin_frames).is_some_and(|frames| frames >= capacity);
    if outside
        || !covers
        || offset < at::HEADER_END as u64
        || !offset.is_multiple_of(8)
        || !stride_bytes.is_multiple_of(8)
    {
        return Err(AttachError::Malformed("overview outside of its place"));
    }
    Ok(Some(OverviewInfo { bins, bin_frames, offset, stride_bytes }))
}

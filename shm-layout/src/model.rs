//! Rings for loom: the real writer, readers and warden over words of the model checker (`RUSTFLAGS="--cfg loom"`).

use crate::header::{RingInfo, TABLE_ENTRY_BYTES, TABLE_OFFSET};
use crate::memory::Mapping;
use crate::overview::OverviewInfo;
use crate::{Epoch, FrameIndex, RingReader, RingWarden, RingWriter, SessionId, process, v1};
use std::path::PathBuf;

/// A ring so small that a model checker can look at all of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Samples a frame.
    pub channels: u32,
    /// Frames of history.
    pub capacity_frames: u64,
    /// Index of the first frame that will be written.
    pub first_frame: FrameIndex,
    /// Slots of the table.
    pub table_entries: u64,
    /// Frames of a bin; `None`: no overview.
    pub bin_frames: Option<u64>,
    /// How many stores the writer makes before it dies; `None`: it lives.
    pub writer_stores: Option<usize>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            channels: 1,
            capacity_frames: 4,
            first_frame: FrameIndex(0),
            table_entries: 2,
            bin_frames: None,
            writer_stores: None,
        }
    }
}

/// A ring with its three users, in no file.
#[must_use]
pub fn ring(plan: &Plan) -> (RingWriter, RingReader, RingWarden) {
    let info = info(plan);
    let map = Mapping::of_ring(&info);
    let writers = plan.writer_stores.map_or_else(|| map.clone(), |stores| map.for_mortal(stores));
    (
        RingWriter::over(writers, info.clone(), PathBuf::new()),
        RingReader::over(map.for_reader(), info.clone(), PathBuf::new()),
        RingWarden::over(map, info),
    )
}

/// A version 1 ring with its two users, in no file.
///
/// # Panics
/// If it is too large for this machine.
#[must_use]
pub fn ring_v1(info: v1::Info) -> (v1::Writer, v1::Reader) {
    let samples = usize::try_from(info.capacity_frames * u64::from(info.channels)).expect("a model is small");
    let map = Mapping::of_version_1(samples);
    let reader = v1::Reader::over(map.for_reader(), info);
    (v1::Writer::over(map, info), reader)
}

fn info(plan: &Plan) -> RingInfo {
    let data_offset = 5 * TABLE_OFFSET as u64;
    let planes_end = data_offset + 4096 * u64::from(plan.channels);
    let overview = plan.bin_frames.map(|bin_frames| {
        let bins = plan.capacity_frames.div_ceil(bin_frames) + 1;
        OverviewInfo { bins, bin_frames, offset: planes_end, stride_bytes: bins * 8 }
    });
    // The writer is this process, which lives: who waits is not to find it dead.
    let pid = std::process::id();
    RingInfo {
        stream: "model".into(),
        session: SessionId([0; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        // No time entry but the first in a model.
        sample_rate_hz: 48_000,
        channels: plan.channels,
        capacity_frames: plan.capacity_frames,
        first_frame: plan.first_frame,
        writer_pid: pid,
        writer_start_time: process::start_time_of(pid).unwrap_or(0),
        labels: Vec::new(),
        overview,
        stride_bytes: 4096,
        data_offset,
        table_offset: TABLE_OFFSET as u64,
        table_entries: plan.table_entries,
        table_entry_bytes: TABLE_ENTRY_BYTES,
        total_bytes: planes_end + 4096,
    }
}

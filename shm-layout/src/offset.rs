//! Where each field of the header lies, in bytes. `LAYOUT.md` has the table.

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
// With the optional feature of an overview.
pub(crate) const OVERVIEW: usize = 464;
pub(crate) const OVERVIEW_BINS: usize = 472;
pub(crate) const OVERVIEW_BIN_FRAMES: usize = 480;
pub(crate) const OVERVIEW_STRIDE: usize = 488;
// With the optional feature of labels: one a channel.
pub(crate) const LABELS: usize = 512;
pub(crate) const LABEL_BYTES: usize = 32;
/// The header of this version: the first page.
pub(crate) const HEADER_END: usize = 4096;

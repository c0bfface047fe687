//! Supervisor and audio engine.

use crate::{
    BoardPlace, Delays, Exit, Hello, Master, OutputFigures, OutputSpec, Processing, Resampling, StreamName, Strip,
    bounds,
};
use serde::{Deserialize, Serialize};
use shm_layout::{Epoch, FrameIndex, SessionId};

/// What the engine's tick follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockKind {
    /// Deadlines on `CLOCK_MONOTONIC`: live.
    Monotonic,
    /// Credit from the supervisor: as fast as the readers allow.
    Virtual,
}

/// Everything an engine needs before its sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineConfig {
    /// The private folder of the rings.
    #[serde(with = "bounds::path")]
    pub runtime_dir: String,
    /// The session all frame indices belong to.
    pub session: SessionId,
    /// Epoch of every ring this engine opens, unless [`ToEngine::RingEpoch`] names another.
    pub epoch: Epoch,
    /// The first index this engine may write, at `first_frame_ns`.
    #[serde(with = "bounds::frame")]
    pub first_frame: FrameIndex,
    /// The `CLOCK_MONOTONIC` time, in nanoseconds, at which `first_frame` is due. Later starts add to the index.
    pub first_frame_ns: u64,
    /// Rate of all rings.
    pub sample_rate_hz: u32,
    /// Frames of one tick.
    pub block_frames: u32,
    /// History wanted in each ring.
    pub history_ms: u32,
    /// What the tick follows.
    pub clock: ClockKind,
    /// Its place on the status board.
    pub board: BoardPlace,
}

/// One source to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Name of the stream and of its ring.
    pub stream: StreamName,
    /// `device:`, `file:`, `stdin:`, `ring:`, `test:` or `virtual:` URI.
    #[serde(with = "bounds::uri")]
    pub uri: String,
    /// Frames (at the engine's rate) of the source that were delivered before; not zero after a restart.
    #[serde(with = "bounds::frames")]
    pub resume_frames: u64,
}

/// Supervisor to engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToEngine {
    /// The greeting.
    Hello(Hello),
    /// First, once.
    Configure(EngineConfig),
    /// Once a source. Before [`ToEngine::Start`] all of them begin together; on the monotonic clock they may also come
    /// later, while others run.
    AddSource(SourceSpec),
    /// Open the rings and begin.
    Start,
    /// Virtual clock only: frames before `until` may be written.
    Credit {
        /// One past the last frame allowed.
        #[serde(with = "bounds::frame")]
        until: FrameIndex,
    },
    /// Stop capturing: write what has been captured, close the rings, say [`FromEngine::Stopped`].
    Close,
    /// End the process.
    Shutdown,
    /// Which epoch the next ring of this stream has; said before its source is added, or for the mix before the start. A
    /// stream that comes again in the life of one engine has another epoch each time.
    RingEpoch {
        /// Its stream.
        stream: StreamName,
        /// Its epoch: no ring of the session has had it before under this name.
        epoch: Epoch,
        /// The epoch of the stream's ring before.
        previous: Option<Epoch>,
    },
    /// Capture this source no more: what it has captured is written, its ring closed, its memory freed; then
    /// [`FromEngine::SourceRemoved`]. The others go on, and without any the mix is silent.
    RemoveSource {
        /// Its stream.
        stream: StreamName,
    },
    /// How a stream goes into the mix, from the next block on; of a stream that is not there, when it comes.
    SetStrip {
        /// The stream.
        stream: StreamName,
        /// How.
        strip: Strip,
    },
    /// What is done to the sum, from the next block on.
    SetMaster(Master),
    /// How the sources are resampled that come from now on.
    Resampling(Resampling),
    /// What a stream passes before its strip, from the next block on; of a stream that is not there, when it comes.
    SetProcessing {
        /// The stream.
        stream: StreamName,
        /// What.
        processing: Processing,
    },
    /// Play a stream to a device. What this output played before goes on until the device is open; where it cannot be
    /// opened, it stays. Live clocks only.
    SetOutput(OutputSpec),
    /// Play nothing there any more.
    CloseOutput {
        /// Which output.
        number: u32,
    },
    /// What is kept in the queues of devices that come from now on, for callbacks that are late. Unsaid, it is the engine's
    /// choice.
    Cushion {
        /// So much, in milliseconds.
        ms: u32,
    },
}

/// Why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The source delivered nothing in time.
    Underrun,
    /// The queue from the device was full.
    Overrun,
    /// The device itself reported a glitch.
    Xrun,
    /// The device went away, or who wrote the ring.
    Disappeared,
    /// The engine was not running.
    EngineDown,
}

/// Why a source ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceError {
    /// What, on what, why, for people.
    #[serde(with = "bounds::reason")]
    pub reason: String,
    /// What a process ends with whose work this was.
    pub exit: Exit,
}

/// The most sources of an engine at a time.
pub const SOURCES_MAX: usize = 64;

/// Engine to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromEngine {
    /// The greeting.
    Hello(Hello),
    /// A source is open. Comes before its [`FromEngine::RingOpened`].
    SourceOpened {
        /// Its stream.
        stream: StreamName,
        /// What it is, for people: a device's name, a file's name and format.
        #[serde(with = "bounds::description")]
        description: String,
        /// The rate it delivers.
        sample_rate_hz: u32,
        /// The channels it delivers.
        channels: u32,
        /// Whether it has an own clock (a device) and so loses what nobody takes.
        live: bool,
        /// The URI to open after a restart where that differs (a WAV header on standard input is gone by then).
        #[serde(with = "bounds::uri_option")]
        resume_uri: Option<String>,
        /// Its whole length at the engine's rate, where known: for progress.
        #[serde(with = "bounds::frames_option")]
        total_frames: Option<u64>,
    },
    /// A source cannot be opened; no ring of this name will come.
    SourceFailed {
        /// Its stream.
        stream: StreamName,
        /// What, on what, why, and what to do.
        #[serde(with = "bounds::reason")]
        reason: String,
        /// Whether trying again may help (a busy device) or not (a missing file).
        retry: bool,
        /// What a process ends with whose only source this was.
        exit: Exit,
    },
    /// A ring can be attached.
    RingOpened {
        /// Its stream.
        stream: StreamName,
        /// Its epoch.
        epoch: Epoch,
        /// Its first frame.
        #[serde(with = "bounds::frame")]
        first_frame: FrameIndex,
        /// Channels.
        channels: u32,
        /// Frames of history.
        #[serde(with = "bounds::frames")]
        capacity_frames: u64,
    },
    /// Frames `from..to` were never captured and are zeros in the ring.
    Gap {
        /// Its stream.
        stream: StreamName,
        /// First missing frame.
        #[serde(with = "bounds::frame")]
        from: FrameIndex,
        /// One past the last missing frame.
        #[serde(with = "bounds::frame")]
        to: FrameIndex,
        /// Why.
        cause: GapCause,
    },
    /// A source has come to its end; its ring is closed at this frame.
    SourceEnded {
        /// Its stream.
        stream: StreamName,
        /// One past its last frame.
        #[serde(with = "bounds::frame")]
        at: FrameIndex,
        /// An error in the middle (a truncated file), where it was one.
        error: Option<SourceError>,
    },
    /// Everything captured is written and all rings are closed.
    Stopped,
    /// The engine cannot go on (no room for the rings); it exits after this.
    Fault(#[serde(with = "bounds::reason")] String),
    /// A source that ran ahead of the engine's clock lost more frames than the gap that marks the place: the gap takes
    /// up one frame, and these besides are gone.
    Dropped {
        /// Its stream.
        stream: StreamName,
        /// Where.
        #[serde(with = "bounds::frame")]
        at: FrameIndex,
        /// How many, besides those of the gap.
        #[serde(with = "bounds::frames")]
        frames: u64,
    },
    /// A source was removed as [`ToEngine::RemoveSource`] asked; its ring, where it had one, is closed at this frame.
    SourceRemoved {
        /// Its stream.
        stream: StreamName,
        /// One past its last frame.
        #[serde(with = "bounds::frame")]
        at: FrameIndex,
    },
    /// The engine's clock follows this device, whose frames pass as they are; every other one is resampled. Without a
    /// device or an output that leads it follows the computer's clock, which needs not be told in the beginning.
    Leads {
        /// Its stream.
        stream: Option<StreamName>,
    },
    /// What lies between a live source's sound and its ring: about once a second.
    Delays {
        /// Its stream.
        stream: StreamName,
        /// As measured.
        delays: Delays,
    },
    /// A source of `virtual:impulse` was given an impulse.
    Impulse {
        /// Its stream.
        stream: StreamName,
        /// When it sounded, on `CLOCK_MONOTONIC`, in nanoseconds.
        at_ns: u64,
    },
    /// Frames `from..to` of a stream were not processed in time and are silent in the mix. Its own ring has them.
    Unprocessed {
        /// Its stream.
        stream: StreamName,
        /// First silent frame.
        #[serde(with = "bounds::frame")]
        from: FrameIndex,
        /// One past the last silent frame.
        #[serde(with = "bounds::frame")]
        to: FrameIndex,
    },
    /// An output is open, for the first time or again.
    OutputOpened {
        /// Which output.
        number: u32,
        /// Of which wish.
        wish: u32,
        /// What it is, for people.
        #[serde(with = "bounds::description")]
        description: String,
        /// Its rate.
        sample_rate_hz: u32,
        /// Its channels.
        channels: u32,
    },
    /// An output cannot be opened, and is given up; what was played there before still is.
    OutputFailed {
        /// Which output.
        number: u32,
        /// Of which wish.
        wish: u32,
        /// What, on what, why, and what to do.
        #[serde(with = "bounds::reason")]
        reason: String,
        /// What a process ends with that wanted nothing else.
        exit: Exit,
    },
    /// An output is gone, or silent, or another one is the default now; it is tried again.
    OutputLost {
        /// Which output.
        number: u32,
        /// Of which wish.
        wish: u32,
        /// Why.
        #[serde(with = "bounds::reason")]
        reason: String,
    },
    /// How an output does, once a second while it is open.
    OutputPlays {
        /// Which output.
        number: u32,
        /// Of which wish.
        wish: u32,
        /// How.
        figures: OutputFigures,
    },
    /// The device of a source is gone, silent, or another one is meant now; it is looked for. The gap is told besides.
    DeviceLost {
        /// Its stream.
        stream: StreamName,
        /// Why.
        #[serde(with = "bounds::reason")]
        reason: String,
    },
    /// The device of a source delivers again.
    DeviceBack {
        /// Its stream.
        stream: StreamName,
        /// What it is now, for people, where it may be another one.
        #[serde(with = "bounds::description_option")]
        description: Option<String>,
    },
    /// The engine's clock follows this output, whose frames pass as they are; every device that is captured is resampled.
    OutputLeads {
        /// Which output.
        number: u32,
    },
    /// Whether the tick has real-time priority. Once, when it begins; never on a virtual clock, where nobody asks for it.
    RealTime {
        /// Or it was refused: under load there may be gaps.
        granted: bool,
    },
    /// An output of `virtual:?listen=1` has played an impulse.
    ImpulsePlayed {
        /// Which output.
        number: u32,
        /// When its frame was played, on `CLOCK_MONOTONIC`, in nanoseconds.
        at_ns: u64,
    },
}

//! Supervisor and listener.

use crate::{BoardPlace, Hello, Job, JobId, StreamName, bounds};
use serde::{Deserialize, Serialize};
use shm_layout::{Epoch, FrameIndex};

/// Everything a listener needs before its streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerConfig {
    /// The folder of the rings.
    #[serde(with = "bounds::path")]
    pub runtime_dir: String,
    /// The folder for spilled utterances.
    #[serde(with = "bounds::path")]
    pub spill_dir: String,
    /// The voice detector's model file.
    #[serde(with = "bounds::path")]
    pub vad_model: String,
    /// Whether pieces are as long as the recogniser takes (recordings) or end at the first pause (live).
    pub offline: bool,
    /// Whether the supervisor wants to hear of utterances before they have ended.
    pub early: bool,
    /// How long a pause ends an utterance, in milliseconds, live.
    pub hangover_ms: u16,
    /// Its place on the status board.
    pub board: BoardPlace,
    /// The folder for utterances that nobody could write down.
    #[serde(with = "bounds::path")]
    pub aside_dir: String,
}

/// How far a stream has been dealt with: from here on a new listener begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which ring file.
    pub epoch: Epoch,
    /// Everything before is in a job or holds no speech.
    #[serde(with = "bounds::frame")]
    pub frame: FrameIndex,
}

/// Supervisor to listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToListener {
    /// The greeting.
    Hello(Hello),
    /// First, once.
    Configure(ListenerConfig),
    /// Follow this stream, through all its epochs.
    Listen {
        /// Which.
        stream: StreamName,
        /// Where to begin; a little before it is re-read to warm up. `None`: at the oldest frame of the newest ring.
        mark: Option<Mark>,
    },
    /// An open job of an earlier listener, now yours to keep safe.
    Adopt(Job),
    /// This job is done, or lost for good: forget it (and remove its spill file).
    JobDone(JobId),
    /// Spill every open job now, then say [`FromListener::SpilledAll`].
    SpillAll,
    /// End the process.
    Shutdown,
    /// This job ended too many workers: keep its sound for a look, forget it, and say [`FromListener::SetAside`].
    SetAside(JobId),
    /// From this frame on the stream is not listened to, or listened to again. Said before the frame is reached or soon
    /// after, and in the order of the frames; to a new listener again, before [`ToListener::Listen`].
    Pause {
        /// Which stream.
        stream: StreamName,
        /// The first frame it is about.
        #[serde(with = "bounds::frame")]
        at: FrameIndex,
        /// Whether the stream is not listened to from here on.
        paused: bool,
    },
    /// The stream has ended, all of it was reported, and no later epoch is expected: follow it no further, until
    /// [`ToListener::Listen`] names it again.
    Forget {
        /// Which stream.
        stream: StreamName,
    },
}

/// Listener to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromListener {
    /// The greeting.
    Hello(Hello),
    /// The model is loaded.
    Ready,
    /// A whole utterance. The mark of its stream moves to `job.to` with it.
    Utterance(Job),
    /// The utterance being spoken has grown to this (kind `Partial`), or may have ended with it (kind `Tentative`); `id` is
    /// the one its final will have.
    Growing(Job),
    /// Nothing was said up to `mark`; everything up to `position` has been looked at.
    Scanned {
        /// Which stream.
        stream: StreamName,
        /// Where a new listener would begin.
        mark: Mark,
        /// One past the last frame looked at.
        #[serde(with = "bounds::frame")]
        position: FrameIndex,
    },
    /// The samples of a job are now in this file of the spill folder.
    Spilled {
        /// Which job.
        id: JobId,
        /// The file's name.
        #[serde(with = "bounds::file_name")]
        file: String,
    },
    /// All open jobs are spilled.
    SpilledAll,
    /// Frames that were overwritten before they were looked at.
    Lost {
        /// Which stream.
        stream: StreamName,
        /// First frame lost.
        #[serde(with = "bounds::frame")]
        from: FrameIndex,
        /// One past the last frame lost.
        #[serde(with = "bounds::frame")]
        to: FrameIndex,
    },
    /// The stream is closed and all of it has been reported.
    Finished {
        /// Which stream.
        stream: StreamName,
        /// One past its last frame.
        #[serde(with = "bounds::frame")]
        at: FrameIndex,
    },
    /// The listener cannot go on; it exits after this.
    Fault(#[serde(with = "bounds::reason")] String),
    /// The samples of a job were set aside.
    SetAside {
        /// Which job.
        id: JobId,
        /// The file's name in the folder for them; `None` where they could not be kept.
        #[serde(with = "bounds::file_name_option")]
        file: Option<String>,
    },
}

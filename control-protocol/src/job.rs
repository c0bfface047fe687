//! A job names frames; it carries no audio and never crosses an epoch.

use crate::{StreamName, bounds};
use serde::{Deserialize, Serialize};
use shm_layout::{Epoch, FrameIndex};

/// One piece of speech to be written down. Unique in a session: the listener's generation and a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

impl JobId {
    /// The `count`-th job of a listener's life.
    #[must_use]
    pub const fn new(generation: u32, count: u32) -> Self {
        Self(((generation as u64) << 32) | count as u64)
    }
}

/// How a job's text will be used, and so how it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobKind {
    /// A whole utterance of a live stream.
    Final,
    /// An utterance that is still being spoken; thrown away when a final waits.
    Partial,
    /// A long piece of a recording, with times inside it.
    Offline,
    /// An utterance that may have ended: its final, computed while it is still waited whether speech goes on.
    Tentative,
}

/// Where a job's samples are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Samples {
    /// In the ring of the job's stream and epoch.
    Ring,
    /// In a WAV file (16 kHz, mono, f32) in the spill folder: its file name.
    Spill(#[serde(with = "bounds::file_name")] String),
}

/// Frames `from..to` of one epoch of one stream, to be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it is for.
    pub kind: JobKind,
    /// Whose sound.
    pub stream: StreamName,
    /// Which ring file.
    pub epoch: Epoch,
    /// First frame.
    #[serde(with = "bounds::frame")]
    pub from: FrameIndex,
    /// One past the last frame.
    #[serde(with = "bounds::frame")]
    pub to: FrameIndex,
    /// The frame at which the speech itself ended; the hang-over follows.
    #[serde(with = "bounds::frame")]
    pub speech_end: FrameIndex,
    /// Where the samples are.
    pub samples: Samples,
}

/// A job as a worker gets it: with what was said before, which the worker alone cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The frames to be written down.
    pub job: Job,
    /// From here on the worker should listen, where the ring still has it: at `job.from`, or earlier to hear what the words
    /// follow, or later where the beginning is written down already. In the job's epoch.
    #[serde(with = "bounds::frame")]
    pub hear_from: FrameIndex,
    /// What was said before `hear_from`.
    #[serde(with = "bounds::prompt")]
    pub prompt: String,
    /// ISO 639-1 code of the spoken language, or `auto`; an `.en` model knows English only.
    #[serde(with = "bounds::language")]
    pub language: String,
    /// Which of the worker's models: its place in [`crate::WorkerConfig::models`].
    #[serde(with = "bounds::model")]
    pub model: u8,
}

/// Why a worker could not do a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobFault {
    /// The frames are not in the ring any more.
    Overwritten {
        /// First frame lost.
        #[serde(with = "bounds::frame")]
        from: FrameIndex,
        /// One past the last frame lost.
        #[serde(with = "bounds::frame")]
        to: FrameIndex,
    },
    /// The ring or the spill file cannot be read.
    Unreadable(#[serde(with = "bounds::reason")] String),
    /// The recogniser refused.
    Recogniser(#[serde(with = "bounds::reason")] String),
}

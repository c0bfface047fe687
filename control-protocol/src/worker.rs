//! Supervisor and worker.

use crate::{BoardPlace, Hello, Job, JobFault, JobId, bounds};
use serde::{Deserialize, Serialize};
use shm_layout::FrameIndex;

/// Everything a worker needs before its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerConfig {
    /// The folder of the rings.
    #[serde(with = "bounds::path")]
    pub runtime_dir: String,
    /// The folder of spilled utterances.
    #[serde(with = "bounds::path")]
    pub spill_dir: String,
    /// The recogniser's model file.
    #[serde(with = "bounds::path")]
    pub model: String,
    /// Threads of one computation.
    pub threads: u32,
    /// ISO 639-1 code, or `auto`; an `.en` model knows English only.
    #[serde(with = "bounds::language")]
    pub language: String,
    /// Its place on the status board.
    pub board: BoardPlace,
}

/// Supervisor to worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The greeting.
    Hello(Hello),
    /// First, once.
    Configure(WorkerConfig),
    /// Write this down. One at a time.
    Transcribe(Job),
    /// End the process.
    Shutdown,
}

/// Worker to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The greeting.
    Hello(Hello),
    /// The model is loaded.
    Ready {
        /// How long loading took.
        load_ms: u32,
    },
    /// A part of a job's text, in order. Counts only when [`FromWorker::Done`] follows.
    Segment {
        /// Which job.
        id: JobId,
        /// Where its speech begins.
        #[serde(with = "bounds::frame")]
        from: FrameIndex,
        /// One past where it ends.
        #[serde(with = "bounds::frame")]
        to: FrameIndex,
        /// What was said. Not longer than [`crate::TEXT_BYTES_MAX`]: longer text goes on in the next message.
        #[serde(with = "bounds::words")]
        text: String,
        /// Whether this continues the text of the message before.
        continued: bool,
    },
    /// All parts of a job have been sent.
    Done {
        /// Which job.
        id: JobId,
        /// How long the computation took.
        compute_ms: u32,
    },
    /// A job cannot be done.
    Failed {
        /// Which job.
        id: JobId,
        /// Why.
        fault: JobFault,
    },
    /// The worker cannot go on; it exits after this.
    Fault(#[serde(with = "bounds::reason")] String),
}

//! Supervisor and worker.

use crate::{BoardPlace, Hello, JobFault, JobId, Task, Word, bounds};
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
    /// The recognisers' model files: at most [`crate::MODELS_MAX`], and all of them are loaded.
    #[serde(with = "bounds::models")]
    pub models: Vec<String>,
    /// Threads of one computation.
    pub threads: u32,
    /// The language that most tasks will be in: one that the model does not know is refused at once.
    #[serde(with = "bounds::language")]
    pub language: String,
    /// Whether words are aligned with the sound; without, they have the times of their lines.
    pub word_times: bool,
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
    Transcribe(Task),
    /// End the process.
    Shutdown,
}

/// What a worker had to hear for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hearing {
    /// Where it began to listen.
    #[serde(with = "bounds::frame")]
    pub from: FrameIndex,
    /// How far the speech stood out of the noise, in dB; 255 is 255 and more.
    pub snr_db: u8,
}

/// Where speech stands out of the noise by less than this, in dB, words are doubtful: more is computed for them, and they
/// settle later.
pub const CLEAR_DB: u8 = 23;

/// Worker to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The greeting.
    Hello(Hello),
    /// The models are loaded.
    Ready {
        /// How long loading took.
        load_ms: u32,
    },
    /// Words of a job, in order; more follow. They count only when [`FromWorker::Done`] comes.
    Words {
        /// Which job.
        id: JobId,
        /// At most [`crate::WORDS_MAX`].
        #[serde(with = "bounds::words")]
        words: Vec<Word>,
    },
    /// A job is done.
    Done {
        /// Which job.
        id: JobId,
        /// Its last words.
        #[serde(with = "bounds::words")]
        words: Vec<Word>,
        /// What was heard.
        hearing: Hearing,
        /// How long the job took.
        compute_ms: u32,
        /// How much of it was the recogniser's own.
        recogniser_ms: u32,
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

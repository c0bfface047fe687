//! The messages between Tympan's supervisor and its children.
//!
//! What it does: names every message, gives it bytes and bounds, and types the exit codes that the
//! restart policy reads, and the errors that have one ([`mod@refusal`]). What it never does: I/O. Carrying the bytes is `control-link`'s work.
//!
//! The rules of the format:
//! - Variant 0 of every enum is [`Hello`], for ever, so that two versions can tell each other apart.
//! - Variants are append-only; golden bytes pin them.
//! - A message is at most [`MESSAGE_BYTES_MAX`] bytes, and each of its fields has a bound of its own. Audio never travels
//!   here: a job *names* frames.
//!
//! ```
//! use control_protocol::{decode, encode, Hello, Role, ToWorker};
//! let bytes = encode(&ToWorker::Hello(Hello::new(Role::Supervisor, 0)))?;
//! assert!(matches!(decode::<ToWorker>(&bytes)?, ToWorker::Hello(_)));
//! # Ok::<(), control_protocol::CodecError>(())
//! ```

mod bounds;
mod codec;
mod delays;
mod engine;
mod exit;
mod greeting;
mod job;
mod listener;
mod name;
mod output;
mod processing;
pub mod refusal;
mod role;
mod strip;
mod word;
mod worker;

pub use bounds::{
    DESCRIPTION_BYTES_MAX, FILE_NAME_BYTES_MAX, FRAMES_MAX, LANGUAGE_BYTES_MAX, MODELS_BYTES_MAX, MODELS_MAX,
    PATH_BYTES_MAX, PROMPT_BYTES_MAX, REASON_BYTES_MAX, URI_BYTES_MAX,
};
pub use codec::{CodecError, MESSAGE_BYTES_MAX, decode, encode};
pub use delays::{Delays, Resampling};
pub use engine::{ClockKind, EngineConfig, FromEngine, GapCause, SOURCES_MAX, SourceError, SourceSpec, ToEngine};
pub use exit::Exit;
pub use greeting::{greet, greeting, version_of};
pub use job::{Job, JobFault, JobId, JobKind, Samples, Task};
pub use listener::{FromListener, ListenerConfig, Mark, ToListener};
pub use name::{NameError, StreamName};
pub use output::{OutputFigures, OutputSpec};
pub use processing::{
    BandDb, Beyond, Compressor, Equaliser, GateDb, HighPassHz, Processing, ProcessingError, Ratio, ThresholdDb, Within,
};
pub use role::{BoardPlace, Hello, PROTOCOL_VERSION, Role};
pub use strip::{GAIN_MAX, Gain, Master, Pan, Strip, StripError};
pub use word::{WORD_BYTES_MAX, WORDS_MAX, Word, text_of};
pub use worker::{CLEAR_DB, FromWorker, Hearing, ToWorker, WorkerConfig};

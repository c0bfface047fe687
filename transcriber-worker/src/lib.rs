//! Rings to text: voice detection, utterances, Whisper.
//!
//! Two roles of one program, each a process of its own:
//! - the *listener* ([`listener`]) follows rings, finds utterances, keeps their samples safe;
//! - the *worker* ([`worker`]) reads the frames a job names and writes them down.
//!
//! Neither ever writes to a ring, sends audio in a message, or knows the other: the supervisor carries the jobs. Both
//! die with the supervisor, and both can be killed at any time: what they were doing is done again by the next.
//!
//! Two more roles start nothing: [`direct`] is the peer that tests and benches compare with, and [`check`] says whether
//! the program fits this processor.
//!
//! ```
//! use transcriber_worker::segment::{LOOK_SAMPLES, Look, Policy, Segmenter};
//! let mut segmenter = Segmenter::new(Policy::LIVE, 0, 0);
//! let spoken = (0..200).filter_map(|i| {
//!     let probability = if (50..100).contains(&i) { 0.9 } else { 0.0 };
//!     segmenter.push(Look { probability, power: probability })
//! });
//! let ends: Vec<u64> = spoken.map(|utterance| utterance.speech_end / LOOK_SAMPLES).collect();
//! assert_eq!(ends, [100]);
//! ```

pub mod blas;
pub mod check;
pub mod direct;
pub mod illegal;
pub mod listener;
pub mod processor;
pub mod recogniser;
pub mod samples;
pub mod segment;
mod stop;
mod text;
pub mod timeline;
pub mod vad;
mod vitals;
pub mod worker;

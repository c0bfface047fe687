//! How soon live words are certain, beside how many of them are wrong.
//!
//! Joins of the clips are played to the listener's segmenter, the supervisor's queue and its agreement on a virtual clock, so
//! that every run has the same answers in the same order, and a minute of speech takes as long as its passes. The recogniser
//! is the real one; only the time that a pass takes is a formula ([`bench::play`]). To see what a change costs, change the
//! product's code and run it again: what the recogniser heard is kept, and only new windows are computed.

#[path = "../../../supervisor/src/agreement.rs"]
#[allow(dead_code, reason = "the supervisor uses all of it")]
mod agreement;
mod bench;
#[path = "../../../supervisor/src/queue.rs"]
#[allow(dead_code, reason = "the supervisor uses all of it")]
mod queue;

use clap::Parser;
use control_protocol::refusal;
use std::path::PathBuf;

/// Errors and latencies of live words, on a virtual clock.
#[derive(Debug, Parser)]
struct Args {
    /// The recogniser's model file.
    #[arg(long)]
    model: PathBuf,
    /// The voice detector's model file.
    #[arg(long)]
    vad: PathBuf,
    /// The folder of clips.
    #[arg(long)]
    speech: PathBuf,
    /// Where what the recogniser heard is kept.
    #[arg(long)]
    kept: PathBuf,
    /// How many joins: of the seeds 1, 2, …, as `tympan bench --seed` has them.
    #[arg(long, default_value_t = 6)]
    joins: u64,
    /// Only the join of this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Noise beside them, so many dB below the speech.
    #[arg(long)]
    noise: Option<f64>,
    /// How long a pause ends an utterance, in ms.
    #[arg(long, default_value_t = 280)]
    hangover: u64,
    /// How often a growing utterance is heard, in ms.
    #[arg(long, default_value_t = 500)]
    every: u64,
    /// What a pass takes with the shortest context, in ms; in proportion with a longer one.
    #[arg(long, default_value_t = 160.0)]
    pass: f64,
    /// What each word takes besides, in ms.
    #[arg(long, default_value_t = 9.0)]
    word: f64,
    /// Nothing is heard before an utterance ends.
    #[arg(long)]
    finals_only: bool,
    /// Tell every text as it comes.
    #[arg(long)]
    trace: bool,
}

fn main() -> anyhow::Result<()> {
    bench::run(&Args::parse())
}

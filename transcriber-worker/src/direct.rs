//! whisper-rs called directly: the peer that tests and benches compare with.
//!
//! Whole 16 kHz mono WAV files, greedy decoding, full context, default parameters; no voice detection, no pieces, none
//! of what [`crate::recogniser`] adds. One JSON object a file goes to standard output:
//! `{"file", "text", "audio_ms", "compute_ms"}`.

use anyhow::{Context as _, ensure};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    text: String,
    audio_ms: u128,
    compute_ms: u128,
}

/// Transcribes files one after the other, a line of JSON each.
///
/// # Errors
/// The model or a file cannot be read, a file is not 16 kHz mono, or Whisper fails.
pub fn run(model: &Path, threads: u32, files: &[PathBuf], out: &mut impl Write) -> anyhow::Result<()> {
    whisper_rs::install_logging_hooks();
    let context = WhisperContext::new_with_params(model, WhisperContextParameters::default())
        .with_context(|| format!("speech model {}", model.display()))?;
    let mut state = context.create_state().context("no memory to run the model")?;
    for file in files {
        let samples = crate::samples::read_wav(file)?;
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(i32::try_from(threads.max(1))?);
        params.set_print_progress(false);
        params.set_print_timestamps(false);
        let begin = Instant::now();
        state.full(params, &samples).with_context(|| format!("Whisper failed on {}", file.display()))?;
        let compute_ms = begin.elapsed().as_millis();
        let mut text = String::new();
        for segment in state.as_iter() {
            text += &segment.to_str_lossy()?;
        }
        let audio_ms = samples.len() as u128 / 16;
        ensure!(!samples.is_empty(), "{} is empty", file.display());
        writeln!(out, "{}", serde_json::to_string(&Line { file, text: text.trim().into(), audio_ms, compute_ms })?)?;
    }
    Ok(())
}

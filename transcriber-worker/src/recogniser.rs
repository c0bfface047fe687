//! Samples to words: Whisper, by whisper-rs.
//!
//! Two ways, by what the words are for ([`JobKind`]):
//! - `Offline` (`recogniser/offline.rs`): what whisper-rs does when called directly (greedy, its own fallbacks), with the
//!   times of its lines, over what the sound takes of the context and a roomy margin. An answer that got stuck, or says
//!   more than anybody can, is computed once more with the full context.
//! - `Partial`, `Tentative`, `Final` (`recogniser/live.rs`): one pass over little more than the sound, with what was said
//!   before it in the same utterance as prompt; of what stays, in noise, the best of several texts. An answer that got
//!   stuck, or ran on, is computed once more with the full context and Whisper's fallbacks.
//!
//! Word times come from the alignment of Whisper's cross-attention with the text (dynamic time warping, as OpenAI's
//! `timing.py`), fitted to the sound's loudness (`recogniser/fit.rs`). Nothing of one call is remembered in the next.

mod context;
mod fit;
mod heads;
mod levels;
mod live;
mod offline;
mod tokens;

use crate::stop;
use crate::vad::SAMPLE_RATE_HZ;
use control_protocol::JobKind;
pub use levels::snr_db;
use std::collections::HashMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;
pub use tokens::Word;
use tokens::{Token, samples_at};
use whisper_rs::{
    DtwMode, DtwParameters, FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState,
};

/// Samples of one unit of the encoder's context: 20 ms.
const CONTEXT_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 50;
/// The whole context: 30 s.
const CONTEXT_MAX: usize = 1_500;
/// Whisper answers nothing to less than 100 ms, and badly to less than this.
const SAMPLES_MIN: usize = SAMPLE_RATE_HZ as usize;
/// Where no sample is as loud as this (three steps of 16 bits) nothing was recorded.
const SILENCE: f32 = 1e-4;
/// What the alignment may take, whisper.cpp's own default.
const ALIGNMENT_BYTES: usize = 128 << 20;

/// Why there is no text.
#[derive(Debug, Error)]
pub enum RecogniserError {
    /// The model file cannot be used.
    #[error("speech model {path}: {reason} (`tympan model fetch` fetches it)", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model does not know the language.
    #[error("the speech model does not know the language {0:?}: use an ISO 639-1 code or `auto`")]
    Language(String),
    /// Whisper failed on these samples.
    #[error("Whisper failed: {0}")]
    Failed(String),
}

/// What is to be written down.
#[derive(Debug, Clone, Copy)]
pub struct Speech<'a> {
    /// What it is for.
    pub kind: JobKind,
    /// 16 kHz mono.
    pub samples: &'a [f32],
    /// One past the last sample of speech.
    pub speech_end: usize,
    /// What was said before.
    pub prompt: &'a str,
    /// An ISO 639-1 code or `auto`.
    pub language: &'a str,
}

/// A loaded model.
pub struct Recogniser {
    context: WhisperContext,
    state: WhisperState,
    threads: c_int,
    word_times: bool,
    /// Parameters by language and beams: each set holds memory that whisper-rs never frees.
    params: HashMap<(String, c_int), FullParams<'static, 'static>>,
    /// How long Whisper itself has computed since the last [`Recogniser::spent`].
    spent: Duration,
}

impl Recogniser {
    /// Loads a model; takes a tenth of a second and more. With `word_times` words are aligned, which costs a tenth more.
    ///
    /// # Errors
    /// [`RecogniserError::Model`]; [`RecogniserError::Language`] for a language that it does not know.
    pub fn load(path: &Path, threads: u32, language: &str, word_times: bool) -> Result<Self, RecogniserError> {
        whisper_rs::install_logging_hooks();
        let refuse = |reason: &str| RecogniserError::Model { path: path.to_owned(), reason: reason.into() };
        // Whisper's own words about a missing file go to a log that nobody keeps.
        std::fs::File::open(path).map_err(|e| refuse(&e.to_string()))?;
        let mode = if word_times {
            heads::of(path).map_err(|_| refuse("not a Whisper model, or damaged"))?
        } else {
            DtwMode::None
        };
        let mut wish = WhisperContextParameters::default();
        wish.dtw_parameters(DtwParameters { mode, dtw_mem_size: ALIGNMENT_BYTES });
        let context =
            WhisperContext::new_with_params(path, wish).map_err(|_| refuse("not a Whisper model, or damaged"))?;
        let state = context.create_state().map_err(|e| refuse(&format!("no memory to run it: {e}")))?;
        let threads = c_int::try_from(threads.max(1)).unwrap_or(c_int::MAX);
        let mut loaded = Self { context, state, threads, word_times, params: HashMap::new(), spent: Duration::ZERO };
        loaded.params(language, 1)?;
        Ok(loaded)
    }

    /// Writes samples down, in samples from their beginning. Silence and sounds that are no speech give nothing.
    ///
    /// # Errors
    /// [`RecogniserError`]; the recogniser can be used again.
    pub fn transcribe(&mut self, speech: &Speech<'_>) -> Result<Vec<Word>, RecogniserError> {
        // Whisper hears "you" in nothing at all.
        if speech.samples.iter().all(|sample| sample.abs() < SILENCE) {
            return Ok(Vec::new());
        }
        match speech.kind {
            // whisper.cpp ends the process where the last of several windows is too short to be aligned.
            JobKind::Offline if self.word_times => {
                Err(RecogniserError::Failed("words are aligned here, not lines".into()))
            }
            JobKind::Offline => self.offline(speech),
            JobKind::Final | JobKind::Partial | JobKind::Tentative => self.live(speech),
        }
    }

    /// How long Whisper itself has computed since this was asked last.
    pub fn spent(&mut self) -> Duration {
        std::mem::take(&mut self.spent)
    }

    fn run(&mut self, mut params: FullParams<'_, '_>, samples: &[f32]) -> Result<(), RecogniserError> {
        stop::watch(&mut params);
        let begin = Instant::now();
        let ran = self.state.full(params, samples).map_err(|e| RecogniserError::Failed(e.to_string()));
        self.spent += begin.elapsed();
        ran
    }

    /// whisper-rs's own parameters, silent: greedy, or with so many beams.
    fn params(&mut self, language: &str, beams: c_int) -> Result<FullParams<'static, 'static>, RecogniserError> {
        let language = if self.context.is_multilingual() { language } else { "en" };
        let key = (language.to_owned(), beams);
        if let Some(params) = self.params.get(&key) {
            return Ok(params.clone());
        }
        if language != "auto" && whisper_rs::get_lang_id(language).is_none() {
            return Err(RecogniserError::Language(language.into()));
        }
        let mut params = FullParams::new(match beams {
            ..=1 => SamplingStrategy::Greedy { best_of: 1 },
            // Whisper.cpp does not know patience.
            beam_size => SamplingStrategy::BeamSearch { beam_size, patience: -1.0 },
        });
        // whisper-rs copies it, and never frees the copy; its signature wants it for ever all the same.
        params.set_language(Some(String::leak(language.to_owned())));
        params.set_n_threads(self.threads);
        params.set_no_context(true);
        params.set_print_special(false);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        self.params.insert(key, params.clone());
        Ok(params)
    }

    /// The text that the last run gave. `origin` is the sample where it began.
    fn tokens(&self, origin: usize) -> Result<Vec<Token>, RecogniserError> {
        let mut tokens = Vec::new();
        for segment in self.state.as_iter() {
            let mut line = true;
            for at in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(at) else { break };
                let data = token.token_data();
                if data.id >= self.context.token_eot() {
                    continue;
                }
                let bytes = token.to_bytes().map_err(|e| RecogniserError::Failed(e.to_string()))?.to_vec();
                let end = (data.t_dtw >= 0).then(|| origin + samples_at(data.t_dtw));
                tokens.push(Token { bytes, probability: data.p, end, line });
                line = false;
            }
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_damaged_model_is_named() {
        let missing = Recogniser::load(Path::new("/nowhere/model.bin"), 1, "en", true).err().map(|e| e.to_string());
        assert!(missing.is_some_and(|m| m.contains("/nowhere/model.bin") && m.contains("tympan model fetch")));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"no model").expect("written");
        let damaged = Recogniser::load(file.path(), 1, "en", true).err().map(|e| e.to_string());
        assert!(damaged.is_some_and(|m| m.contains("damaged")));
    }
}

//! Samples to text: Whisper, by whisper-rs.
//!
//! Three ways, by what the text is for ([`JobKind`]):
//! - `Offline`: what whisper-rs does when called directly (greedy, its own fallbacks), with times. Of its context the
//!   encoder computes all that the sound takes, and a roomy margin. An answer that got stuck, or says more than anybody
//!   can, is computed once more with the full context.
//! - `Final`, `Partial`: one text and no times. The encoder looks at as much as there is and little more
//!   ([`audio_ctx`]), which is two to three times as fast. Decoding is cut off in proportion to the sound, and an answer
//!   that got stuck is computed once more the first way. A final is decoded with five beams, which makes up for what
//!   the short context costs and is cheap beside the encoder.
//!
//! Nothing of one call is remembered in the next.

use crate::stop;
use crate::text::{is_stuck, spoken};
use crate::vad::SAMPLE_RATE_HZ;
use control_protocol::JobKind;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use thiserror::Error;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

/// Samples of one unit of the encoder's context: 20 ms.
const CONTEXT_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 50;
/// The whole context: 30 s.
const CONTEXT_MAX: usize = 1_500;
/// Contexts that are multiples of this are computed faster: ggml's matrices are tiled so.
const CONTEXT_TILE: usize = 16;
/// Shorter contexts than these make the decoder loop, and the shortest one costs words.
const CONTEXT_PARTIAL_MIN: usize = 512;
const CONTEXT_FINAL_MIN: usize = 768;
/// What is left empty behind the sound: where it fills the context, invented words follow.
const CONTEXT_MARGIN: usize = 128;
const CONTEXT_MARGIN_MIN: usize = 64;
/// Finals longer than this have the whole context.
const FINAL_SHORT_SAMPLES: usize = 13 * SAMPLE_RATE_HZ as usize;
/// Whisper answers nothing to less than 100 ms, and badly to less than this.
const SAMPLES_MIN: usize = SAMPLE_RATE_HZ as usize;

/// Beams of a final, as many as Whisper's makers use.
const BEAMS: c_int = 5;
const GREEDY: SamplingStrategy = SamplingStrategy::Greedy { best_of: 1 };
/// Where no sample is as loud as this (three steps of 16 bits) nothing was recorded.
const SILENCE: f32 = 1e-4;
/// What Whisper hears at once.
const WINDOW_SAMPLES: usize = CONTEXT_MAX * CONTEXT_SAMPLES;
/// Less speech than this after Whisper's last word is its imprecision.
const LEFT_SAMPLES_MIN: usize = 2 * SAMPLE_RATE_HZ as usize;

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

/// A piece of text and where it stands, in 16 kHz samples from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// First sample.
    pub from: usize,
    /// One past the last sample.
    pub to: usize,
    /// What was said.
    pub text: String,
}

/// A loaded model.
pub struct Recogniser {
    state: WhisperState,
    threads: c_int,
    language: String,
}

impl Recogniser {
    /// Loads a model; takes a tenth of a second and more. `language` is an ISO 639-1 code or `auto`; a model for
    /// English only takes it for English.
    ///
    /// # Errors
    /// [`RecogniserError::Model`], [`RecogniserError::Language`].
    pub fn load(path: &Path, threads: u32, language: &str) -> Result<Self, RecogniserError> {
        whisper_rs::install_logging_hooks();
        let refuse = |reason: &str| RecogniserError::Model { path: path.to_owned(), reason: reason.into() };
        // Whisper's own words about a missing file go to a log that nobody keeps.
        std::fs::File::open(path).map_err(|e| refuse(&e.to_string()))?;
        let context = WhisperContext::new_with_params(path, WhisperContextParameters::default())
            .map_err(|_| refuse("not a Whisper model, or damaged"))?;
        let language = if context.is_multilingual() { language } else { "en" };
        if language != "auto" && whisper_rs::get_lang_id(language).is_none() {
            return Err(RecogniserError::Language(language.into()));
        }
        let state = context.create_state().map_err(|e| refuse(&format!("no memory to run it: {e}")))?;
        let threads = c_int::try_from(threads.max(1)).unwrap_or(c_int::MAX);
        Ok(Self { state, threads, language: language.into() })
    }

    /// Writes 16 kHz mono samples down, which hold speech up to the sample `speech_end`. Silence and sounds that are
    /// no speech give nothing.
    ///
    /// # Errors
    /// [`RecogniserError::Failed`]; the recogniser can be used again.
    pub fn transcribe(
        &mut self,
        kind: JobKind,
        samples: &[f32],
        speech_end: usize,
    ) -> Result<Vec<Piece>, RecogniserError> {
        // Whisper hears "you" in nothing at all.
        if samples.iter().all(|sample| sample.abs() < SILENCE) {
            return Ok(Vec::new());
        }
        if kind == JobKind::Offline {
            return self.whole(samples, speech_end);
        }
        let mut padded = Vec::new();
        let heard = if samples.len() < SAMPLES_MIN {
            padded.extend_from_slice(samples);
            padded.resize(SAMPLES_MIN, 0.0);
            &padded
        } else {
            samples
        };
        let cap = 16 + heard.len() / (SAMPLE_RATE_HZ as usize / 10);
        let (mut text, tokens) = self.live(kind, cap, heard)?;
        if tokens >= cap || is_stuck(&text) {
            let pieces = self.whole(heard, speech_end)?;
            text = pieces.into_iter().map(|piece| piece.text).collect::<Vec<_>>().join(" ");
        }
        let text = spoken(&text);
        let piece = Piece { from: 0, to: samples.len(), text };
        Ok(if piece.text.is_empty() { Vec::new() } else { vec![piece] })
    }

    /// One pass over a part of the context: its text, and how many tokens it took.
    fn live(&mut self, kind: JobKind, cap: usize, samples: &[f32]) -> Result<(String, usize), RecogniserError> {
        let language = self.language.clone();
        let strategy = match kind {
            JobKind::Final => SamplingStrategy::BeamSearch { beam_size: BEAMS, patience: -1.0 },
            JobKind::Partial | JobKind::Offline => GREEDY,
        };
        let mut params = params(strategy, &language, self.threads);
        params.set_audio_ctx(c_int::try_from(audio_ctx(kind, samples.len())).unwrap_or(0));
        params.set_max_tokens(c_int::try_from(cap).unwrap_or(0));
        params.set_single_segment(true);
        params.set_no_timestamps(true);
        params.set_temperature_inc(0.0);
        self.run(params, samples)?;
        let mut text = String::new();
        let mut tokens = 0;
        for segment in self.state.as_iter() {
            text += &segment.to_str_lossy().map_err(|e| RecogniserError::Failed(e.to_string()))?;
            tokens += usize::try_from(segment.n_tokens()).unwrap_or(0);
        }
        Ok((text, tokens))
    }

    /// All of it, full context. Where Whisper ends early although speech goes on (it skips the rest of its window
    /// after some sentences), it is asked again from there.
    fn whole(&mut self, samples: &[f32], speech_end: usize) -> Result<Vec<Piece>, RecogniserError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut begin = 0;
        loop {
            let (first, window_end) = (pieces.len(), samples.len().min(begin + WINDOW_SAMPLES));
            for piece in self.fitted(&samples[begin..])? {
                pieces.push(Piece { from: begin + piece.from, to: begin + piece.to, text: piece.text });
            }
            let Some(heard_to) = pieces[first..].last().map(|piece| piece.to) else { return Ok(pieces) };
            if window_end < samples.len() || heard_to + LEFT_SAMPLES_MIN > speech_end || heard_to < begin + SAMPLES_MIN
            {
                return Ok(pieces);
            }
            begin = heard_to;
        }
    }

    /// With as much context as the sound takes; once more with all of it where the answer cannot be believed.
    fn fitted(&mut self, samples: &[f32]) -> Result<Vec<Piece>, RecogniserError> {
        let cap = 16 + samples.len() / (SAMPLE_RATE_HZ as usize / 10);
        let pieces = self.offline(samples, audio_ctx(JobKind::Offline, samples.len()), cap)?;
        let tokens: usize = self.state.as_iter().map(|part| usize::try_from(part.n_tokens()).unwrap_or(0)).sum();
        let text = pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ");
        if tokens < cap && !is_stuck(&text) {
            return Ok(pieces);
        }
        self.offline(samples, CONTEXT_MAX, 0)
    }

    /// One pass; no more than `cap` tokens a window, or as many as fit when it is 0.
    fn offline(&mut self, samples: &[f32], context: usize, cap: usize) -> Result<Vec<Piece>, RecogniserError> {
        let language = self.language.clone();
        let mut params = params(GREEDY, &language, self.threads);
        params.set_audio_ctx(c_int::try_from(context).unwrap_or(0));
        params.set_max_tokens(c_int::try_from(cap).unwrap_or(0));
        self.run(params, samples)?;
        let place = |centiseconds: i64| {
            usize::try_from(centiseconds).unwrap_or(0).saturating_mul(SAMPLE_RATE_HZ as usize / 100).min(samples.len())
        };
        let mut pieces = Vec::new();
        for segment in self.state.as_iter() {
            let text = spoken(&segment.to_str_lossy().map_err(|e| RecogniserError::Failed(e.to_string()))?);
            if !text.is_empty() {
                let from = place(segment.start_timestamp());
                pieces.push(Piece { from, to: place(segment.end_timestamp()).max(from), text });
            }
        }
        Ok(pieces)
    }

    fn run(&mut self, mut params: FullParams<'_, '_>, samples: &[f32]) -> Result<(), RecogniserError> {
        stop::watch(&mut params);
        self.state.full(params, samples).map_err(|e| RecogniserError::Failed(e.to_string()))
    }
}

/// whisper-rs's own parameters, silent.
fn params(strategy: SamplingStrategy, language: &str, threads: c_int) -> FullParams<'_, 'static> {
    let mut params = FullParams::new(strategy);
    params.set_language(Some(language));
    params.set_n_threads(threads);
    params.set_no_context(true);
    params.set_print_special(false);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params
}

/// How much of its context the encoder computes for so many samples, in units of 20 ms: all of the sound and a margin.
#[must_use]
pub fn audio_ctx(kind: JobKind, samples: usize) -> usize {
    let sound = samples.div_ceil(CONTEXT_SAMPLES);
    let wanted = sound + CONTEXT_MARGIN;
    let context = match kind {
        JobKind::Partial => wanted.max(CONTEXT_PARTIAL_MIN),
        JobKind::Offline => wanted.max(CONTEXT_FINAL_MIN),
        JobKind::Final if samples <= FINAL_SHORT_SAMPLES => wanted.max(CONTEXT_FINAL_MIN),
        JobKind::Final => CONTEXT_MAX,
    };
    let tiles_max = CONTEXT_MAX / CONTEXT_TILE * CONTEXT_TILE;
    match context.next_multiple_of(CONTEXT_TILE) {
        tiled if tiled <= tiles_max => tiled,
        _ if sound + CONTEXT_MARGIN_MIN <= tiles_max => tiles_max,
        _ => CONTEXT_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_covers_the_sound() {
        for kind in [JobKind::Partial, JobKind::Final, JobKind::Offline] {
            for samples in (0..=30 * SAMPLE_RATE_HZ as usize).step_by(1_000) {
                let context = audio_ctx(kind, samples);
                assert!(context * CONTEXT_SAMPLES >= samples && context <= CONTEXT_MAX, "{kind:?} {samples}");
            }
        }
        assert_eq!(audio_ctx(JobKind::Final, 16_000), 768);
        assert_eq!(audio_ctx(JobKind::Partial, 16_000), 512);
        assert_eq!(audio_ctx(JobKind::Final, 14 * 16_000), 1_488, "all but what is no whole tile");
        assert_eq!(audio_ctx(JobKind::Offline, 20 * 16_000), 1_136);
        assert_eq!(audio_ctx(JobKind::Offline, 30 * 16_000), 1_500);
    }

    #[test]
    fn a_missing_or_damaged_model_is_named() {
        let missing = Recogniser::load(Path::new("/nowhere/model.bin"), 1, "en").err().map(|e| e.to_string());
        assert!(missing.is_some_and(|m| m.contains("/nowhere/model.bin") && m.contains("tympan model fetch")));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"no model").expect("written");
        let damaged = Recogniser::load(file.path(), 1, "en").err().map(|e| e.to_string());
        assert!(damaged.is_some_and(|m| m.contains("damaged")));
    }
}

//! Live speech: one pass over what there is, judged before it is believed.

use super::context::{ROOMY, SHORT, fitted};
use super::levels::snr_db;
use super::tokens::{Token, words};
use super::{CONTEXT_MAX, Recogniser, RecogniserError, SAMPLES_MIN, Speech, Word, fit::fit};
use crate::text::{echoes, is_stuck, keep_spoken};
use crate::vad::SAMPLE_RATE_HZ;
use control_protocol::{CLEAR_DB, JobKind};
use std::ffi::c_int;

/// Layers of the encoder of the smallest models, tiny and tiny.en: their finals want a roomy context.
const LAYERS_OF_TINY: c_int = 4;
/// Texts that are followed at once in noise, where what is heard stays (beam search): with noise 10 dB below the speech tiny.en
/// has 109 errors in 920 words so, 130 without.
const BEAMS_IN_NOISE: c_int = 5;
/// Nobody says more than this in a tenth of a second; and some for the punctuation.
const TOKENS_PER_TENTH: usize = 1;
const TOKENS_MORE: usize = 16;
/// What Whisper's own fallback takes for a failure (OpenAI's `transcribe.py` has the same).
const LOGPROB_MIN: f32 = -1.0;
const NO_SPEECH_MAX: f32 = 0.6;
/// The entropy of the last tokens below which a text repeats itself (whisper.cpp's `entropy_thold`), and how many count.
const ENTROPY_MIN: f32 = 2.4;
const ENTROPY_TOKENS: usize = 32;
/// Less speech than this after Whisper's last word is its imprecision, or a breath.
const LEFT_SAMPLES_MIN: usize = SAMPLE_RATE_HZ as usize * 3 / 2;
/// How often it is asked again.
const AGAIN_MAX: usize = 3;
/// Parts of a word that follow one another so often are heard again with the full context ("old-est-est"), as phrases that
/// are said twice are, for somebody may have said so; and are not believed where they do it more often.
const DOUBTFUL_TIMES: usize = 2;
const STUCK_TIMES: usize = 3;
/// The prompt's last tokens that are used: each costs as much as one that is written.
const PROMPT_TOKENS_MAX: usize = 64;

impl Recogniser {
    /// What is said in some samples. Where Whisper ends although speech goes on, as it does after a sentence and a pause, it
    /// is asked again from there.
    pub(super) fn live(&mut self, speech: &Speech<'_>) -> Result<Vec<Word>, RecogniserError> {
        let mut words = self.believed(speech, speech.samples)?;
        for _ in 0..AGAIN_MAX {
            let Some(heard_to) = words.last().map(|word| word.to) else { break };
            if heard_to + LEFT_SAMPLES_MIN > speech.speech_end {
                break;
            }
            let more = self.believed(&Speech { prompt: "", ..*speech }, &speech.samples[heard_to..])?;
            if more.is_empty() {
                break;
            }
            let later = |word: Word| Word { from: heard_to + word.from, to: heard_to + word.to, ..word };
            words.extend(more.into_iter().map(later));
        }
        Ok(words)
    }

    /// One pass; a second one with the full context where the first one's answer cannot be believed.
    fn believed(&mut self, speech: &Speech<'_>, samples: &[f32]) -> Result<Vec<Word>, RecogniserError> {
        let mut padded = Vec::new();
        let heard = if samples.len() < SAMPLES_MIN {
            padded.extend_from_slice(samples);
            padded.resize(SAMPLES_MIN, 0.0);
            &padded
        } else {
            samples
        };
        let cap = tokens_max(heard.len());
        let prompt = self.prompt(speech.prompt);
        let mut tokens = self.pass(speech, heard, self.audio_ctx(speech.kind, heard.len()), cap, &prompt)?;
        if tokens.len() >= cap || repeats(&tokens) || is_doubtful(&tokens) {
            tokens = self.pass(speech, heard, CONTEXT_MAX, cap, &[])?;
            if tokens.len() >= cap || repeats(&tokens) {
                return Ok(Vec::new());
            }
        }
        if self.no_speech() > NO_SPEECH_MAX && mean_logprob(&tokens) < LOGPROB_MIN {
            return Ok(Vec::new());
        }
        let mut words = keep_spoken(words(&tokens, 0, samples.len()));
        fit(&mut words, samples);
        Ok(words)
    }

    /// How much of its context the encoder computes for so many samples, in units of 20 ms: all of the sound and a margin.
    #[must_use]
    pub fn audio_ctx(&self, kind: JobKind, samples: usize) -> usize {
        let is_tiny = self.context.model_n_audio_layer() <= LAYERS_OF_TINY;
        fitted(samples, if is_tiny && kind != JobKind::Partial { ROOMY } else { SHORT })
    }

    fn pass(
        &mut self,
        speech: &Speech<'_>,
        samples: &[f32],
        context: usize,
        cap: usize,
        prompt: &[c_int],
    ) -> Result<Vec<Token>, RecogniserError> {
        let mut params = self.params(speech.language, beams(speech))?;
        params.set_audio_ctx(c_int::try_from(context).unwrap_or(0));
        params.set_max_tokens(c_int::try_from(cap).unwrap_or(0));
        params.set_single_segment(true);
        params.set_no_timestamps(true);
        // The full context is the second try already.
        params.set_temperature_inc(if context == CONTEXT_MAX { 0.2 } else { 0.0 });
        params.set_tokens(prompt);
        self.run(params, samples)?;
        self.tokens(0)
    }

    /// The tokens of what was said before.
    fn prompt(&self, text: &str) -> Vec<c_int> {
        // A token has a byte at least: there is always room.
        let mut tokens = self.context.tokenize(text, text.len() + 1).unwrap_or_default();
        tokens.drain(..tokens.len().saturating_sub(PROMPT_TOKENS_MAX));
        tokens
    }

    fn no_speech(&self) -> f32 {
        self.state.get_segment(0).map_or(1.0, |segment| segment.no_speech_probability())
    }
}

/// More tokens than anybody says in so many samples.
pub(super) fn tokens_max(samples: usize) -> usize {
    TOKENS_MORE + TOKENS_PER_TENTH * samples / (SAMPLE_RATE_HZ as usize / 10)
}

/// How many texts are followed at once. In noise the likeliest next token is often not part of the likeliest text.
fn beams(speech: &Speech<'_>) -> c_int {
    let stays = speech.kind != JobKind::Partial;
    if stays && snr_db(speech.samples) < CLEAR_DB { BEAMS_IN_NOISE } else { 1 }
}

/// Whether a text may go round in circles, or be said so.
fn is_doubtful(tokens: &[Token]) -> bool {
    echoes(&text_of(tokens)) || stutters(tokens, DOUBTFUL_TIMES)
}

fn text_of(tokens: &[Token]) -> String {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.bytes.iter().copied()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a text goes round in circles.
pub(super) fn repeats(tokens: &[Token]) -> bool {
    is_stuck(&text_of(tokens))
        || stutters(tokens, STUCK_TIMES)
        || entropy(tokens).is_some_and(|entropy| entropy < ENTROPY_MIN)
}

/// Whether parts of a word follow one another so many times ("old-est-est-est").
fn stutters(tokens: &[Token], times: usize) -> bool {
    let inside = |token: &Token| token.bytes.first().is_some_and(|byte| *byte != b' ');
    // Double letters and the three dots are no stutter.
    let lengths = if times > DOUBTFUL_TIMES { 1..=3 } else { 2..=3 };
    lengths.into_iter().any(|length| {
        tokens.windows(length * times).any(|window| {
            let mut parts = window.chunks(length);
            let same = |part: &[Token]| part.iter().zip(window).all(|(a, b)| a.bytes == b.bytes);
            window.iter().all(inside) && parts.all(same)
        })
    })
}

/// The entropy of the last tokens, in nats, where there are enough of them.
#[expect(clippy::cast_precision_loss, reason = "32 at most")]
fn entropy(tokens: &[Token]) -> Option<f32> {
    let last = tokens.last_chunk::<ENTROPY_TOKENS>()?;
    let share =
        |token: &Token| last.iter().filter(|other| other.bytes == token.bytes).count() as f32 / ENTROPY_TOKENS as f32;
    // Each of n equal tokens brings an n-th of their part.
    Some(last.iter().map(|token| -share(token).ln() / ENTROPY_TOKENS as f32).sum())
}

#[expect(clippy::cast_precision_loss, reason = "some hundred")]
fn mean_logprob(tokens: &[Token]) -> f32 {
    let sum: f32 = tokens.iter().map(|token| token.probability.max(1e-9).ln()).sum();
    sum / tokens.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[&str]) -> Vec<Token> {
        texts
            .iter()
            .map(|text| Token { bytes: text.as_bytes().into(), probability: 0.5, end: None, line: false })
            .collect()
    }

    #[test]
    fn circles_are_seen_and_speech_is_not() {
        let few = ["a", "b", "c", "d", "e", "f", "g", "h"].repeat(5);
        assert!(repeats(&tokens(&few)), "eight tokens again and again");
        let many: Vec<String> = (0..40).map(|n| format!(" w{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(!repeats(&tokens(&many)));
        assert!(!repeats(&tokens(&[" a"; 4])), "too few to say");
        assert!(repeats(&tokens(&[" old", "-", "est", "-", "est", "-", "est"])));
        assert!(!repeats(&tokens(&[" no", ",", " no", ",", " no", ",", " no"])));
        let twice = tokens(&[" old", "-", "est", "-", "est", "."]);
        assert!(!repeats(&twice) && stutters(&twice, DOUBTFUL_TIMES));
        assert!(!stutters(&tokens(&[" Mis", "s", "s", "ip", "p", "i", ".", ".", "."]), DOUBTFUL_TIMES));
        assert!((mean_logprob(&tokens(&["a", "b"])) - 0.5_f32.ln()).abs() < 1e-6);
    }
}

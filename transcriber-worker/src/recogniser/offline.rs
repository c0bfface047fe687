//! Recordings: all of it, in lines.

use super::context::{ROOMY, fitted};
use super::live::{repeats, tokens_max};
use super::tokens::{samples_at, words};
use super::{CONTEXT_MAX, CONTEXT_SAMPLES, Recogniser, RecogniserError, SAMPLES_MIN, Speech, Word};
use crate::text::keep_spoken;
use crate::vad::SAMPLE_RATE_HZ;
use std::ffi::c_int;

/// What Whisper hears at once.
const WINDOW_SAMPLES: usize = CONTEXT_MAX * CONTEXT_SAMPLES;
/// Less speech than this after Whisper's last word is its imprecision.
const LEFT_SAMPLES_MIN: usize = 2 * SAMPLE_RATE_HZ as usize;

impl Recogniser {
    /// All of it. Where Whisper ends early although speech goes on (it skips the rest of its window after some
    /// sentences), it is asked again from there.
    pub(super) fn offline(&mut self, speech: &Speech<'_>) -> Result<Vec<Word>, RecogniserError> {
        let samples = speech.samples;
        let mut all: Vec<Word> = Vec::new();
        let mut begin = 0;
        loop {
            let window_end = samples.len().min(begin + WINDOW_SAMPLES);
            self.window(speech.language, &samples[begin..])?;
            let heard = self.lines(begin, samples.len())?;
            let heard_to = heard.last().map(|word| word.to);
            all.extend(heard);
            let Some(heard_to) = heard_to else { return Ok(all) };
            let left = heard_to + LEFT_SAMPLES_MIN <= speech.speech_end;
            if window_end < samples.len() || !left || heard_to < begin + SAMPLES_MIN {
                return Ok(all);
            }
            begin = heard_to;
        }
    }

    /// As much context as the sound takes; once more with all of it where the answer cannot be believed.
    fn window(&mut self, language: &str, samples: &[f32]) -> Result<(), RecogniserError> {
        let (context, cap) = (fitted(samples.len(), ROOMY), tokens_max(samples.len()));
        let number = |of: usize| c_int::try_from(of).unwrap_or(0);
        let mut params = self.params(language, 1)?;
        params.set_audio_ctx(number(context));
        params.set_max_tokens(number(cap));
        self.run(params, samples)?;
        let tokens = self.tokens(0)?;
        if tokens.len() >= cap || repeats(&tokens) {
            let mut params = self.params(language, 1)?;
            params.set_audio_ctx(number(CONTEXT_MAX));
            self.run(params, samples)?;
        }
        Ok(())
    }

    /// The words of the last run; those of a line have its span where they have no times of their own.
    fn lines(&self, begin: usize, end: usize) -> Result<Vec<Word>, RecogniserError> {
        let mut tokens = self.tokens(begin)?.into_iter().peekable();
        let mut all = Vec::new();
        for segment in self.state.as_iter() {
            let mut line = Vec::from_iter(tokens.next_if(|token| token.line));
            while let Some(token) = tokens.next_if(|token| !token.line) {
                line.push(token);
            }
            let place = |centiseconds| (begin + samples_at(centiseconds)).min(end);
            let from = place(segment.start_timestamp());
            all.extend(keep_spoken(words(&line, from, place(segment.end_timestamp()).max(from))));
        }
        Ok(all)
    }
}

//! What the recogniser hears: computed once, and kept for the next run.

use anyhow::{Context, Result};
use control_protocol::{Job, JobKind, Word};
use serde::{Deserialize, Serialize};
use shm_layout::FrameIndex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use transcriber_worker::recogniser::{Recogniser, Speech, snr_db};

/// An answer of the recogniser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pass {
    /// Its words, in samples of the join.
    pub words: Vec<Word>,
    /// How far the speech stood out of the noise.
    pub snr_db: u8,
}

/// All answers.
pub(super) struct Passes {
    recogniser: Recogniser,
    known: BTreeMap<String, Pass>,
    file: PathBuf,
    /// How many were not known.
    pub computed: usize,
}

impl Passes {
    /// Those that are in this file, and a recogniser for more.
    ///
    /// # Errors
    /// When either cannot be read.
    pub(super) fn open(model: &Path, file: &Path) -> Result<Self> {
        let known = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{}: not mine", file.display()))?,
            Err(_) => BTreeMap::new(),
        };
        let recogniser = Recogniser::load(model, 1, "en", true)?;
        Ok(Self { recogniser, known, file: file.to_owned(), computed: 0 })
    }

    /// What is heard in a job of this join from a sample on.
    ///
    /// # Errors
    /// When the recogniser fails.
    pub(super) fn of(
        &mut self,
        join: &str,
        samples: &[f32],
        job: &Job,
        from: FrameIndex,
        prompt: &str,
    ) -> Result<Pass> {
        let (first, last) = (usize::try_from(from.0)?, usize::try_from(job.to.0)?);
        let heard = samples.get(first..last).context("a job beyond the end")?;
        // Whatever decides the answer.
        let name =
            format!("{join} {first} {last} {} {} {prompt}", job.speech_end.0, self.audio_ctx(job.kind, heard.len()));
        if let Some(known) = self.known.get(&name) {
            return Ok(known.clone());
        }
        let speech_end = usize::try_from(job.speech_end.since(from))?.min(heard.len());
        let speech = Speech { kind: job.kind, samples: heard, speech_end, prompt, language: "en" };
        let place = |sample: usize| from.plus(sample as u64).min(job.to);
        let words = self.recogniser.transcribe(&speech)?.into_iter().map(|word| Word {
            text: word.text,
            from: place(word.from),
            to: place(word.to),
            confidence: word.confidence,
            line: word.line,
        });
        let pass = Pass { words: words.collect(), snr_db: snr_db(heard) };
        self.computed += 1;
        self.known.insert(name, pass.clone());
        Ok(pass)
    }

    /// How much the encoder computes for so many samples.
    pub(super) fn audio_ctx(&self, kind: JobKind, samples: usize) -> usize {
        self.recogniser.audio_ctx(kind, samples)
    }

    /// Writes them down.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) fn keep(&self) -> Result<()> {
        std::fs::write(&self.file, serde_json::to_vec(&self.known)?).with_context(|| self.file.display().to_string())
    }
}

//! Words: what goes with a job to a worker, and what its answer becomes.

use super::Session;
use crate::agreement::{Heard, Spoken};
use crate::queue::{Answer, Finished, Unwritten};
use crate::report::{Report, Span, WordTime};
use control_protocol::{Job, JobKind, StreamName, Task, Word, text_of};
use shm_layout::FrameIndex;

impl Session<'_> {
    /// A job with what the worker alone cannot know.
    pub(super) fn task(&mut self, job: Job) -> Task {
        let language = self.plan.languages.of(&job.stream).to_owned();
        let model = self.plan.models.place_of(&job.stream);
        let (hear_from, prompt) = match job.kind {
            JobKind::Offline => (job.from, String::new()),
            JobKind::Final | JobKind::Partial | JobKind::Tentative => self.spoken_in(&job.stream).window(&job),
        };
        Task { job, hear_from, prompt, language, model }
    }

    /// The answer about an utterance that may go on.
    pub(super) fn heard(&mut self, job: Job, answer: Answer) {
        self.is_worded(&job);
        let Heard { committed, fixed, text, words } =
            self.spoken_in(&job.stream).hear(&job, answer.heard_from, answer.words);
        if !self.plan.partials {
            return;
        }
        if let (Some(first), Some(last)) = (committed.first(), committed.last()) {
            let span = self.span(&job.stream, first.from, last.to);
            let text = text_of(&committed);
            self.reporter.report(Report::Committed { span, text, words: self.times(&committed) });
        }
        if let (Some(first), Some(last)) = (words.first(), words.last()) {
            let span = self.span(&job.stream, first.from.max(job.from), last.to.max(job.from));
            self.reporter.report(Report::Partial { span, text, committed: fixed });
        }
    }

    /// A job's last answer, or why there is none.
    pub(super) fn written(&mut self, Finished { job, outcome }: Finished) {
        self.is_worded(&job);
        match outcome {
            Err(unwritten) => {
                // What was said to stay stays.
                let committed = self.spoken_in(&job.stream).give_up(job.id);
                self.report_final(&job, &committed);
                if let Unwritten::Lost(why) = unwritten {
                    self.report_lost(job.stream, job.from, job.to, &why);
                }
            }
            Ok(answer) if job.kind == JobKind::Offline => self.report_lines(&job, &answer.words),
            Ok(answer) => {
                let words = self.spoken_in(&job.stream).settle(&job, answer.heard_from, answer.words);
                self.report_final(&job, &words);
            }
        }
    }

    /// Nothing of this job waits for words any more, for now.
    fn is_worded(&mut self, job: &Job) {
        if let Some(stream) = self.streams.get_mut(&job.stream) {
            stream.worded = stream.worded.max(job.to);
        }
    }

    fn report_final(&mut self, job: &Job, words: &[Word]) {
        let text = text_of(words);
        if !text.is_empty() {
            let end = FrameIndex(job.speech_end.0.clamp(job.from.0, job.to.0));
            let span = self.span(&job.stream, job.from, end);
            self.reporter.report(Report::Final { span, text, words: self.times(words) });
        }
    }

    /// The lines of a recording.
    fn report_lines(&mut self, job: &Job, words: &[Word]) {
        for line in words.chunk_by(|_, next| !next.line) {
            let (Some(first), Some(last), text) = (line.first(), line.last(), text_of(line)) else { continue };
            if !text.is_empty() {
                let span = self.span(&job.stream, first.from, last.to);
                self.reporter.report(Report::Final { span, text, words: Vec::new() });
            }
        }
    }

    fn spoken_in(&mut self, stream: &StreamName) -> &mut Spoken {
        let rate = self.plan.sample_rate_hz;
        self.spoken.entry(stream.clone()).or_insert_with(|| Spoken::new(rate))
    }

    fn span(&self, stream: &StreamName, from: FrameIndex, to: FrameIndex) -> Span {
        Span::new(stream.clone(), from, to, self.plan.sample_rate_hz)
    }

    fn times(&self, words: &[Word]) -> Vec<WordTime> {
        words.iter().map(|word| WordTime::new(word, self.plan.sample_rate_hz)).collect()
    }
}

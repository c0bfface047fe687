//! Words: what goes with a job to a worker, and what its answer becomes.

use super::Session;
use crate::agreement::{Ended, Heard, Spoken};
use crate::queue::{Answer, Finished, Unwritten};
use crate::report::{Report, Span, WordTime};
use control_protocol::{Job, JobKind, Mark, StreamName, Task, Word, text_of};
use shm_layout::{Epoch, FrameIndex};

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

    /// The listener names an utterance.
    pub(super) fn met(&mut self, job: &Job) {
        if job.kind == JobKind::Offline {
            return;
        }
        let queue = &self.queue;
        let ended = self.spoken.get_mut(&job.stream).map(|spoken| spoken.meet(job, |id| queue.comes(id)));
        self.report_ended(&job.stream, ended.unwrap_or_default());
    }

    /// Of what is before this mark the listener has named all.
    pub(super) fn passed(&mut self, stream: &StreamName, mark: Mark) {
        let queue = &self.queue;
        let spoken = self.spoken.get_mut(stream);
        let ended = spoken.map(|spoken| spoken.pass(mark.epoch, mark.frame, |id| queue.comes(id)));
        self.report_ended(stream, ended.unwrap_or_default());
    }

    /// The run is over: nothing more comes of any utterance.
    pub(super) fn end_texts(&mut self) {
        for stream in self.streams.keys().cloned().collect::<Vec<_>>() {
            self.end_text_of(&stream);
        }
    }

    /// Nothing more comes of this stream.
    pub(super) fn end_text_of(&mut self, stream: &StreamName) {
        self.passed(stream, Mark { epoch: Epoch(u64::MAX), frame: FrameIndex(u64::MAX) });
    }

    /// Utterances that have no last answer: their listener died, or they turned out to lie in a pause.
    fn report_ended(&mut self, stream: &StreamName, ended: Vec<Ended>) {
        // Nobody has seen a word of them otherwise.
        let watched = self.wants_partials();
        for ended in ended.into_iter().filter(|_| watched) {
            let end = ended.words.last().map_or(ended.to, |last| last.to.max(ended.from));
            self.report_end(stream, ended.from, end, &ended);
        }
    }

    /// The answer about an utterance that may go on.
    pub(super) fn heard(&mut self, job: Job, answer: Answer) {
        // Words never come before those of the utterance before; and what was in a pause is no utterance.
        let mark = self.streams.get(&job.stream).and_then(|stream| stream.mark);
        let is_passed = mark.is_some_and(|mark| (job.epoch, job.to) <= (mark.epoch, mark.frame));
        if is_passed || self.queue.has_open(&job.stream) {
            return;
        }
        let Some(heard) = self.spoken_in(&job.stream).hear(&job, answer.hearing, answer.words) else { return };
        self.is_worded(&job);
        if !self.wants_partials() {
            return;
        }
        let Heard { committed, fixed, text, words } = heard;
        if let (Some(first), Some(last)) = (committed.first(), committed.last()) {
            let span = self.span(&job.stream, first.from, last.to);
            let text = text_of(&committed);
            self.tell_early(Report::Committed { span, text, words: self.times(&committed) });
        }
        if let (Some(first), Some(last)) = (words.first(), words.last()) {
            let span = self.span(&job.stream, first.from.max(job.from), last.to.max(job.from));
            self.tell_early(Report::Partial { span, text, committed: fixed });
        }
    }

    /// A job's last answer, or why there is none.
    pub(super) fn written(&mut self, Finished { job, outcome }: Finished) {
        self.is_worded(&job);
        match outcome {
            Err(unwritten) => {
                // What was said to stay stays.
                if let Some(ended) = self.spoken_in(&job.stream).give_up(job.id) {
                    self.report_final(&job, &ended);
                }
                if let Unwritten::Lost(why) = unwritten {
                    self.report_lost(job.stream, job.from, job.to, &why);
                }
            }
            Ok(answer) if job.kind == JobKind::Offline => self.report_lines(&job, &answer.words),
            Ok(answer) => {
                let ended = self.spoken_in(&job.stream).settle(&job, answer.hearing, answer.words);
                self.report_final(&job, &ended);
            }
        }
    }

    /// Nothing of this job waits for words any more, for now.
    fn is_worded(&mut self, job: &Job) {
        if let Some(stream) = self.streams.get_mut(&job.stream) {
            stream.worded = stream.worded.max(job.to);
        }
    }

    fn report_final(&mut self, job: &Job, ended: &Ended) {
        // Words that another listener heard may stand before the utterance.
        let before = ended.words.first().filter(|first| first.to <= job.from).map(|first| first.from);
        let end = FrameIndex(job.speech_end.0.clamp(job.from.0, job.to.0));
        self.report_end(&job.stream, before.unwrap_or(job.from), end, ended);
    }

    /// The end of an utterance: its words, or that those before it are taken back.
    fn report_end(&mut self, stream: &StreamName, from: FrameIndex, to: FrameIndex, ended: &Ended) {
        let (span, text) = (self.span(stream, from, to), text_of(&ended.words));
        if !text.is_empty() {
            self.tell(Report::Final { span, text, words: self.times(&ended.words) });
        } else if ended.worded {
            self.tell_early(Report::Partial { span, text, committed: String::new() });
        }
    }

    /// The lines of a recording.
    fn report_lines(&mut self, job: &Job, words: &[Word]) {
        for line in words.chunk_by(|_, next| !next.line) {
            let (Some(first), Some(last), text) = (line.first(), line.last(), text_of(line)) else { continue };
            if !text.is_empty() {
                let span = self.span(&job.stream, first.from, last.to);
                self.tell(Report::Final { span, text, words: Vec::new() });
            }
        }
    }

    pub(super) fn spoken_in(&mut self, stream: &StreamName) -> &mut Spoken {
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

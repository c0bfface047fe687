//! The listener's side of the supervisor: marks, utterances, and what it keeps safe.

use super::streams::Growing;
use super::{Part, Session};
use crate::report::{Report, Span};
use control_protocol::{ClockKind, FromListener, Job, JobKind, ListenerConfig, Mark, StreamName, ToListener};
use shm_layout::FrameIndex;

impl Session<'_> {
    pub(super) fn configure_listener(&mut self) {
        self.tell_listener(ToListener::Configure(ListenerConfig {
            runtime_dir: self.plan.folders.runtime.display().to_string(),
            spill_dir: self.plan.folders.spill().display().to_string(),
            aside_dir: self.plan.folders.aside().display().to_string(),
            vad_model: self.plan.vad_model.display().to_string(),
            offline: self.plan.offline,
            early: !self.plan.offline && self.plan.clock == ClockKind::Monotonic,
            hangover_ms: self.plan.hangover_ms,
            board: self.board_place(Part::Listener),
        }));
    }

    pub(super) fn listener_said(&mut self, message: FromListener) {
        match message {
            FromListener::Hello(_) => {}
            FromListener::Ready => {
                self.mark_ready(Part::Listener);
                self.hand_over();
            }
            FromListener::Utterance(job) => {
                self.met(&job);
                let (stream, mark) = (job.stream.clone(), Mark { epoch: job.epoch, frame: job.to });
                // Known before the mark says that all before it are.
                self.queue.push(job);
                self.move_mark(&stream, mark);
            }
            FromListener::Growing(job) if self.wants_partials() || job.kind == JobKind::Tentative => {
                if let Some(known) = self.streams.get_mut(&job.stream) {
                    known.growing = Some(Growing { from: job.from, to: job.to });
                }
                self.met(&job);
                self.queue.push_early(job);
            }
            FromListener::Growing(_) => {}
            FromListener::Scanned { stream, mark, position } => {
                self.move_mark(&stream, mark);
                self.report_progress(stream, position);
            }
            FromListener::Spilled { id, file } => self.queue.spilled(id, &file),
            FromListener::SpilledAll => self.spilled_all(),
            FromListener::SetAside { id, file } => {
                let file = file.map(|name| self.plan.folders.aside().join(name));
                self.queue.set_aside(id, file.as_deref());
            }
            FromListener::Lost { stream, from, to } => self.listener_lost(stream, from, to),
            FromListener::Finished { stream, at } => self.listened_to_all(&stream, at),
            FromListener::Fault(why) => self.blame(Part::Listener, why),
        }
    }

    /// Gives a new listener what the one before it had: the streams with their marks, and the open jobs.
    fn hand_over(&mut self) {
        // What is done it never hears of.
        self.done_untold.clear();
        for job in self.queue.open_jobs() {
            self.tell_listener(ToListener::Adopt(job.clone()));
        }
        self.queue.ask_again_to_set_aside();
        self.streams.values_mut().for_each(|known| known.growing = None);
        for (stream, known) in self.streams.iter().filter(|(_, known)| known.mark.is_some() && !known.finished) {
            self.tell_pauses(stream);
            self.tell_listener(ToListener::Listen { stream: stream.clone(), mark: known.mark });
        }
    }

    /// A stream has got its first ring.
    pub(super) fn listen(&self, stream: StreamName) {
        // A listener that is not ready yet is handed all streams when it is.
        if self.is_ready(Part::Listener) {
            let mark = self.streams.get(&stream).and_then(|known| known.mark);
            self.tell_pauses(&stream);
            self.tell_listener(ToListener::Listen { stream, mark });
        }
    }

    /// A stream's ring was read to its end. Where another one follows already, it was the ring before.
    fn listened_to_all(&mut self, stream: &StreamName, at: FrameIndex) {
        let first = self.rings.of(stream).map(|ring| ring.info().first_frame);
        let stopped = self.rings.stopped;
        let Some(known) = self.streams.get_mut(stream) else { return };
        let follows = known.wants_source() && !stopped && first.is_none_or(|first| at < first);
        known.finished |= !follows;
    }

    fn move_mark(&mut self, stream: &StreamName, mark: Mark) {
        if let Some(known) = self.streams.get_mut(stream) {
            known.move_mark(mark);
        }
        self.passed(stream, mark);
    }

    fn report_progress(&mut self, stream: StreamName, position: FrameIndex) {
        let rate = self.plan.sample_rate_hz;
        let Some(known) = self.streams.get_mut(&stream) else { return };
        known.position = known.position.max(position);
        if self.plan.offline {
            let total_s = known.total_frames.map(|frames| FrameIndex(frames).seconds(rate));
            self.reporter.report(Report::Progress { stream, done_s: position.seconds(rate), total_s });
        }
    }

    fn listener_lost(&mut self, stream: StreamName, from: FrameIndex, to: FrameIndex) {
        let is_job = |job: &&Job| job.stream == stream && job.from == from && job.to == to;
        let lost_job = self.queue.open_jobs().find(is_job).map(|job| job.id);
        match lost_job {
            // A whole utterance: reported in its turn, with the jobs.
            Some(id) => self.queue.lose(id, "overwritten before it could be kept"),
            None => self.report_lost(stream, from, to, "overwritten before it was listened to"),
        }
    }

    pub(super) fn report_lost(&mut self, stream: StreamName, from: FrameIndex, to: FrameIndex, cause: &str) {
        self.report_lost_frames(stream, from, to, to.since(from), cause);
    }

    /// `frames` lost at `from..to`.
    pub(super) fn report_lost_frames(
        &mut self,
        stream: StreamName,
        from: FrameIndex,
        to: FrameIndex,
        frames: u64,
        cause: &str,
    ) {
        *self.outcome.lost_frames.entry(stream.clone()).or_default() += frames;
        let span = Span::new(stream, from, to, self.plan.sample_rate_hz);
        self.reporter.report(Report::Lost { span, frames, cause: cause.to_owned() });
    }
}

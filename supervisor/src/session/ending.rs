//! How a run ends: capture is closed, what was said is written down or kept, the processes go.

use super::{Part, Session};
use crate::recovery::keep_spilled;
use crate::report::Report;
use control_protocol::{Samples, ToEngine, ToListener};
use std::collections::HashSet;
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// How long an interrupted run still writes down what was said.
const DRAIN: Duration = Duration::from_millis(1_500);
/// How long the listener may take to keep the rest.
const SPILL: Duration = Duration::from_millis(200);
/// How long a child may take to end by itself.
pub(super) const LEAVE: Duration = Duration::from_millis(150);

/// Where a run is.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// Capturing.
    Running,
    /// Capture is over; the words are still coming. Without a deadline at the end of a file.
    Draining { deadline: Option<Instant>, reason: String },
    /// What is not written down is being kept.
    Spilling { deadline: Instant, reason: String },
    /// The children are leaving, those first that depend on others.
    Stopping { grace: Duration, reason: String },
    /// All are gone.
    Over,
}

impl Phase {
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Running | Self::Stopping { .. } | Self::Over => None,
            Self::Draining { deadline, .. } => *deadline,
            Self::Spilling { deadline, .. } => Some(*deadline),
        }
    }
}

impl Session<'_> {
    /// The user asks for the end: the first time in order, the second time at once.
    pub(super) fn end_asked(&mut self) {
        if self.outcome.interrupted {
            self.leave("ended at once".to_owned(), Duration::ZERO);
            return;
        }
        self.outcome.interrupted = true;
        self.end("interrupted");
    }

    /// Closes capture and drains for a bounded time.
    pub(super) fn end(&mut self, reason: &str) {
        let soon = Some(Instant::now() + DRAIN);
        match &mut self.phase {
            Phase::Running => {
                self.phase = Phase::Draining { deadline: soon, reason: reason.to_owned() };
                self.tell_engine(ToEngine::Close);
                let now = self.now();
                let engine = self.places.get_mut(&Part::Engine);
                // `Close` asks it already; from here on no other life follows.
                let _asked = engine.map(|place| place.life.stop(now, DRAIN + SPILL, false));
                if self.places.get(&Part::Engine).is_none_or(|place| place.child.is_none()) {
                    self.close_dead_rings();
                }
            }
            // The end of a file was being drained without limit.
            Phase::Draining { deadline, reason: why } if deadline.is_none() => {
                *deadline = soon;
                reason.clone_into(why);
            }
            _ => {}
        }
    }

    /// Moves on while phases have reached their goals or their deadlines: nothing happens that would wake the loop for the
    /// next one.
    pub(super) fn advance_phases(&mut self) {
        loop {
            let before = discriminant(&self.phase);
            self.advance_phase();
            if discriminant(&self.phase) == before {
                return;
            }
        }
    }

    fn advance_phase(&mut self) {
        let now = Instant::now();
        match &self.phase {
            Phase::Running if self.rings.stopped => {
                self.phase = Phase::Draining { deadline: None, reason: "end of input".to_owned() };
            }
            Phase::Draining { deadline, reason } => {
                let all_said = self.streams.values().all(|s| s.mark.is_none() || s.finished);
                let reason = reason.clone();
                if all_said && self.queue.is_empty() {
                    self.leave(reason, LEAVE);
                } else if deadline.is_some_and(|at| at <= now) && self.plan.offline {
                    // The recording is still there: nothing of it needs keeping.
                    self.leave(reason, LEAVE);
                } else if deadline.is_some_and(|at| at <= now) {
                    self.phase = Phase::Spilling { deadline: now + SPILL, reason };
                    self.tell_all_done();
                    self.tell_listener(ToListener::SpillAll);
                }
            }
            Phase::Spilling { deadline, reason } if *deadline <= now => {
                let reason = reason.clone();
                self.leave(reason, LEAVE);
            }
            Phase::Stopping { grace, reason } => {
                let (grace, reason) = (*grace, reason.clone());
                if self.all_leave(grace) {
                    self.finish(reason);
                }
            }
            _ => {}
        }
    }

    pub(super) fn spilled_all(&mut self) {
        if let Phase::Spilling { reason, .. } = &self.phase {
            let reason = reason.clone();
            self.leave(reason, LEAVE);
        }
    }

    fn leave(&mut self, reason: String, grace: Duration) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.phase = Phase::Stopping { grace, reason };
    }

    /// Ends the children in the reverse order of their start: workers, listener, engine. Whether all are gone.
    fn all_leave(&mut self, grace: Duration) -> bool {
        let rank = |part: &Part| match part {
            Part::Engine => 0,
            Part::Listener => 1,
            Part::Worker(_) => 2,
        };
        let Some(last) =
            self.places.iter().filter(|(_, place)| place.life.has_child()).map(|(part, _)| rank(part)).max()
        else {
            return true;
        };
        let parts: Vec<_> = self.places.keys().copied().filter(|part| rank(part) == last).collect();
        for part in parts {
            // A worker in the middle of a computation would only hear it afterwards.
            let busy = matches!(part, Part::Worker(worker) if self.queue.is_busy(worker));
            self.stop(part, if busy { Duration::ZERO } else { grace }, false);
        }
        self.tick_lives();
        false
    }

    fn finish(&mut self, reason: String) {
        let open: Vec<_> = self.queue.open_jobs().cloned().collect();
        let mut kept = HashSet::new();
        for job in open {
            match job.samples {
                Samples::Spill(file) => {
                    self.queue.keep(job.id);
                    kept.insert(file);
                }
                Samples::Ring => self.queue.lose(job.id, "not written down before the end"),
            }
        }
        self.publish();
        let folders = &self.plan.folders;
        match keep_spilled(&folders.spill(), &folders.pending(), |file| kept.contains(file)) {
            Ok(kept) => self.outcome.pending = kept,
            Err(e) => self.notice(format!("{e:#}")),
        }
        if self.outcome.pending > 0 {
            let pending = folders.pending();
            let text = format!(
                "{} utterances were not written down in time and are kept in {dir}; `tympan transcribe {dir}/*.wav` does it",
                self.outcome.pending,
                dir = pending.display()
            );
            self.notice(text);
        }
        self.end_texts();
        let lost_frames = self.outcome.lost_frames.values().sum();
        self.reporter.report(Report::Stopped { reason, pending: self.outcome.pending, lost_frames });
        self.phase = Phase::Over;
    }
}

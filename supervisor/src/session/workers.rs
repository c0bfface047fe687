//! The workers' side of the supervisor: jobs out, words in.

use super::{Part, Session};
use control_protocol::{ClockKind, FromWorker, Job, JobFault, Samples, ToListener, ToWorker, WorkerConfig};

/// So many jobs may be done before the listener hears of it. It is a process to wake.
const UNTOLD_MAX: usize = 64;

impl Session<'_> {
    pub(super) fn configure_worker(&mut self, worker: u32) {
        let config = WorkerConfig {
            runtime_dir: self.plan.folders.runtime.display().to_string(),
            spill_dir: self.plan.folders.spill().display().to_string(),
            models: self.plan.models.files().iter().map(|path| path.display().to_string()).collect(),
            threads: self.plan.threads,
            language: self.plan.languages.common().to_owned(),
            word_times: !self.plan.offline,
            board: self.board_place(Part::Worker(worker)),
        };
        self.tell_worker(worker, ToWorker::Configure(config));
    }

    pub(super) fn worker_said(&mut self, worker: u32, message: FromWorker) {
        match message {
            FromWorker::Hello(_) => {}
            FromWorker::Ready { .. } => self.mark_ready(Part::Worker(worker)),
            FromWorker::Words { id, words } => self.queue.words(worker, id, words),
            FromWorker::Done { id, words, hearing, .. } => {
                self.queue.words(worker, id, words);
                if let Some((job, answer)) = self.queue.done(worker, id, hearing) {
                    self.heard(job, answer);
                }
            }
            FromWorker::Failed { id, fault } => {
                // Overwritten in the ring, but kept in a file meanwhile: then there is a second way to read it.
                let kept = self.queue.open_jobs().any(|job| job.id == id && matches!(job.samples, Samples::Spill(_)));
                let (why, again) = match fault {
                    JobFault::Overwritten { .. } => ("overwritten before it was written down".to_owned(), kept),
                    JobFault::Unreadable(why) | JobFault::Recogniser(why) => (why, true),
                };
                self.queue.failed(worker, id, &why, again);
            }
            FromWorker::Fault(why) => self.blame(Part::Worker(worker), why),
        }
        self.end_if_asked(worker);
        self.publish();
    }

    /// Publishes what is done, in its order.
    pub(super) fn publish(&mut self) {
        if self.is_ready(Part::Listener) {
            for id in self.queue.newly_aside() {
                self.tell_listener(ToListener::SetAside(id));
            }
        }
        while let Some(finished) = self.queue.release() {
            self.tell_done(&finished.job);
            self.written(finished);
        }
    }

    /// Tells the listener that a job is done: at once where a file is to go, or where the ring goes on without a clock and
    /// soon overwrites what nobody needs; else within half a second, which is less than any live history's margin.
    fn tell_done(&mut self, job: &Job) {
        self.done_untold.push(job.id);
        let soon_gone = self.plan.clock == ClockKind::Virtual || job.samples != Samples::Ring;
        if soon_gone || self.done_untold.len() >= UNTOLD_MAX {
            self.tell_all_done();
        }
    }

    /// Tells the listener of all jobs that are done.
    pub(super) fn tell_all_done(&mut self) {
        for id in std::mem::take(&mut self.done_untold) {
            self.tell_listener(ToListener::JobDone(id));
        }
    }

    /// Gives idle workers something to do.
    pub(super) fn dispatch(&mut self) {
        self.publish();
        let worker_of = |part: &Part| if let Part::Worker(worker) = part { Some(*worker) } else { None };
        let workers: Vec<u32> = self.places.keys().filter(|part| self.is_ready(**part)).filter_map(worker_of).collect();
        let mut idle: Vec<u32> = workers.iter().copied().filter(|&w| !self.queue.is_busy(w)).collect();
        while let Some(worker) = idle.pop() {
            // One worker stays free for a final, unless there is but one.
            let partial_allowed = !idle.is_empty() || workers.len() == 1;
            match self.queue.assign(worker, partial_allowed) {
                Some(job) => {
                    let task = self.task(job);
                    self.tell_worker(worker, ToWorker::Transcribe(task));
                }
                None => return,
            }
        }
    }
}

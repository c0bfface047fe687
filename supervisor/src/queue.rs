//! The jobs: who waits, who works on what and since when, what is done. No I/O.
//!
//! A job is published at most once and tried at least once: its parts count when the worker that has it says it is
//! done, and a worker that dies gives it back to the front. Texts leave in the order in which they were spoken, stream
//! by stream, whichever worker is done first.
//!
//! Finals come first, in order. Then the tentative ones: finals that are computed while it is still waited whether speech
//! goes on, and used when it does not. Then partials, of which an utterance has one at work at most: a newer one takes the
//! place of one that still waits.

use control_protocol::{Hearing, Job, JobId, JobKind, Samples, StreamName, Word};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::Instant;

/// Tries that end by the worker's own fault before a job is set aside.
const TRIES_MAX: u32 = 3;

/// What a worker made of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    /// What there was to hear.
    pub hearing: Hearing,
    /// What it heard.
    pub words: Vec<Word>,
}

/// Why a job has no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// Its words are lost, for this reason.
    Lost(String),
    /// Its sound is kept in a file for later.
    Kept,
}

/// A job with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The job.
    pub job: Job,
    /// Its text, or why there is none.
    pub outcome: Result<Answer, Unwritten>,
}

#[derive(Debug)]
struct Running {
    job: Job,
    since: Instant,
    words: Vec<Word>,
}

#[derive(Debug)]
enum Open {
    /// Waiting or running.
    Pending { tries: u32 },
    /// It ended too many workers: its sound is being kept for a look.
    Aside { why: String, asked: bool },
    /// Done; held back until the jobs before it are done.
    Done(Finished),
}

/// Counts for people.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    /// Jobs no worker has begun.
    pub waiting: usize,
    /// Jobs in work (partial ones too).
    pub running: usize,
    /// Jobs with their text delivered.
    pub done: u64,
    /// Jobs set aside; each was reported.
    pub lost: u64,
    /// Partials that gave way to newer ones, or to their finals.
    pub merged: u64,
}

/// See the module's head. `W` names a worker.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    waiting: VecDeque<Job>,
    /// Of each stream the newest, with its turn.
    partials: HashMap<StreamName, (u64, Job)>,
    tentative: HashMap<StreamName, Job>,
    /// Tentative ones that are done, and may be their utterance's last word.
    ready: HashMap<StreamName, (Job, Answer)>,
    running: HashMap<W, Running>,
    /// Open jobs of each stream in the order they were spoken.
    order: HashMap<StreamName, VecDeque<JobId>>,
    open: HashMap<JobId, (Job, Open)>,
    done: u64,
    lost: u64,
    merged: u64,
    turns: u64,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            partials: HashMap::new(),
            tentative: HashMap::new(),
            ready: HashMap::new(),
            running: HashMap::new(),
            order: HashMap::new(),
            open: HashMap::new(),
            done: 0,
            lost: 0,
            merged: 0,
            turns: 0,
        }
    }
}

impl<W: Copy + Eq + std::hash::Hash> Queue<W> {
    /// Takes a final or offline job. One that is known already is not taken twice; one that was computed in advance, or
    /// is being computed, is not computed again.
    pub(crate) fn push(&mut self, job: Job) {
        self.merged += u64::from(self.partials.remove(&job.stream).is_some());
        self.tentative.remove(&job.stream);
        let ready = self.ready.remove(&job.stream);
        if self.open.contains_key(&job.id) {
            return;
        }
        self.order.entry(job.stream.clone()).or_default().push_back(job.id);
        self.open.insert(job.id, (job.clone(), Open::Pending { tries: 0 }));
        if let Some((_, answer)) = ready.filter(|(done, _)| foresaw(done, &job)) {
            self.settle(job.id, Ok(answer));
        } else if let Some(running) = self.running.values_mut().find(|running| foresaw(&running.job, &job)) {
            running.job = job;
        } else {
            self.waiting.push_back(job);
        }
    }

    /// Takes a partial or tentative job; a newer one of the same stream replaces it.
    pub(crate) fn push_early(&mut self, job: Job) {
        if self.open.contains_key(&job.id) {
            return;
        }
        // What was foreseen has not come: speech went on.
        self.ready.remove(&job.stream);
        self.tentative.remove(&job.stream);
        if job.kind == JobKind::Tentative {
            self.merged += u64::from(self.partials.remove(&job.stream).is_some());
            self.tentative.insert(job.stream.clone(), job);
            return;
        }
        let turn = match self.partials.remove(&job.stream) {
            Some((turn, _)) => {
                self.merged += 1;
                turn
            }
            None => {
                self.turns += 1;
                self.turns
            }
        };
        self.partials.insert(job.stream.clone(), (turn, job));
    }

    /// The next job for an idle worker; a partial only when `partial_allowed`.
    pub(crate) fn assign(&mut self, worker: W, partial_allowed: bool) -> Option<Job> {
        let job = match self.next_waiting().or_else(|| self.next_tentative()) {
            Some(job) => job,
            None if partial_allowed => self.next_partial()?,
            None => return None,
        };
        self.running.insert(worker, Running { job: job.clone(), since: Instant::now(), words: Vec::new() });
        Some(job)
    }

    /// The first one; of recordings the longest, so that no worker has a long one left when the others have nothing.
    fn next_waiting(&mut self) -> Option<Job> {
        let length = |job: &Job| if job.kind == JobKind::Offline { job.to.0 - job.from.0 } else { u64::MAX };
        let (first, _) = self.waiting.iter().enumerate().rev().max_by_key(|(_, job)| length(job))?;
        self.waiting.remove(first)
    }

    fn next_tentative(&mut self) -> Option<Job> {
        let stream = self.tentative.keys().next()?.clone();
        self.tentative.remove(&stream)
    }

    /// The partial that has waited longest, of those whose utterance has none at work.
    fn next_partial(&mut self) -> Option<Job> {
        let at_work = |job: &Job| self.running.values().any(|running| running.job.id == job.id);
        let waiting = self.partials.iter().filter(|(_, (_, job))| !at_work(job));
        let stream = waiting.min_by_key(|(_, (turn, _))| *turn)?.0.clone();
        self.partials.remove(&stream).map(|(_, job)| job)
    }

    /// Words of the job this worker has. Those of other jobs are stale and dropped.
    pub(crate) fn words(&mut self, worker: W, id: JobId, words: Vec<Word>) {
        if let Some(running) = self.running.get_mut(&worker).filter(|running| running.job.id == id) {
            running.words.extend(words);
        }
    }

    /// The worker is done with its job. For one that came early: its answer, unless the final is known already.
    pub(crate) fn done(&mut self, worker: W, id: JobId, hearing: Hearing) -> Option<(Job, Answer)> {
        let Running { job, words, .. } = self.take(worker, id)?;
        let answer = Answer { hearing, words };
        if !is_early(job.kind) {
            self.settle(id, Ok(answer));
            return None;
        }
        if self.open.contains_key(&id) {
            return None;
        }
        let newer = self.partials.get(&job.stream).is_some_and(|(_, newer)| newer.id == id);
        if job.kind == JobKind::Tentative && !newer {
            self.ready.insert(job.stream.clone(), (job.clone(), answer.clone()));
        }
        Some((job, answer))
    }

    /// The job cannot be done as it is; `again` if another try may help.
    pub(crate) fn failed(&mut self, worker: W, id: JobId, why: &str, again: bool) {
        if let Some(running) = self.take(worker, id) {
            self.return_job(running.job, why, true, again);
        }
    }

    /// The worker died. Its job goes to the front, unless it took too many workers with it by their own fault.
    pub(crate) fn worker_died(&mut self, worker: W, by_own_fault: bool, why: &str) {
        if let Some(running) = self.running.remove(&worker) {
            self.return_job(running.job, why, by_own_fault, true);
        }
    }

    /// The samples of a job have moved to a file.
    pub(crate) fn spilled(&mut self, id: JobId, file: &str) {
        if let Some((job, _)) = self.open.get_mut(&id) {
            job.samples = Samples::Spill(file.to_owned());
        }
        if let Some(job) = self.waiting.iter_mut().find(|job| job.id == id) {
            job.samples = Samples::Spill(file.to_owned());
        }
    }

    /// Jobs whose sound is to be set aside, each named once.
    pub(crate) fn newly_aside(&mut self) -> Vec<JobId> {
        let name = |(id, (_, open)): (&JobId, &mut (Job, Open))| match open {
            Open::Aside { asked, .. } => (!std::mem::replace(asked, true)).then_some(*id),
            _ => None,
        };
        self.open.iter_mut().filter_map(name).collect()
    }

    /// Whoever was asked to set them aside is gone.
    pub(crate) fn ask_again_to_set_aside(&mut self) {
        for (_, open) in self.open.values_mut() {
            if let Open::Aside { asked, .. } = open {
                *asked = false;
            }
        }
    }

    /// The sound of a job was set aside in this file, or could not be.
    pub(crate) fn set_aside(&mut self, id: JobId, file: Option<&Path>) {
        let Some((_, Open::Aside { why, .. })) = self.open.get(&id) else { return };
        let place = file.map_or_else(
            || "its sound could not be kept".to_owned(),
            |file| format!("its sound is kept in {}", file.display()),
        );
        let text = format!("{TRIES_MAX} workers failed over it, at last: {why}; {place}");
        self.settle(id, Err(Unwritten::Lost(text)));
    }

    /// The frames of a job are gone for good.
    pub(crate) fn lose(&mut self, id: JobId, why: &str) {
        self.waiting.retain(|job| job.id != id);
        self.running.retain(|_, running| running.job.id != id);
        self.settle(id, Err(Unwritten::Lost(why.to_owned())));
    }

    /// The run ends before the job was written down; its sound is kept.
    pub(crate) fn keep(&mut self, id: JobId) {
        self.waiting.retain(|job| job.id != id);
        self.settle(id, Err(Unwritten::Kept));
    }

    /// The next finished job whose turn it is.
    pub(crate) fn release(&mut self) -> Option<Finished> {
        let first_is_done = |ids: &VecDeque<JobId>| {
            ids.front().filter(|id| matches!(self.open.get(id), Some((_, Open::Done(_))))).copied()
        };
        let id = self.order.values().find_map(first_is_done)?;
        let (job, open) = self.open.remove(&id)?;
        if let Some(ids) = self.order.get_mut(&job.stream) {
            ids.pop_front();
        }
        let Open::Done(finished) = open else { return None };
        match &finished.outcome {
            Ok(_) => self.done += 1,
            Err(Unwritten::Lost(_)) => self.lost += 1,
            Err(Unwritten::Kept) => {}
        }
        Some(finished)
    }

    /// Jobs without a text so far, in no order.
    pub(crate) fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.open.values().filter(|(_, open)| !matches!(open, Open::Done(_))).map(|(job, _)| job)
    }

    /// Whether the last answer about this utterance is still to be released.
    pub(crate) fn comes(&self, id: JobId) -> bool {
        self.open.contains_key(&id)
    }

    /// Whether last answers about this stream are still to be released.
    pub(crate) fn has_open(&self, stream: &StreamName) -> bool {
        self.order.get(stream).is_some_and(|ids| !ids.is_empty())
    }

    /// Whether every job has been released.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a worker has something to do.
    pub(crate) fn is_busy(&self, worker: W) -> bool {
        self.running.contains_key(&worker)
    }

    /// What a worker has in work, and since when.
    pub(crate) fn at_work(&self, worker: W) -> Option<(&Job, Instant)> {
        self.running.get(&worker).map(|running| (&running.job, running.since))
    }

    /// Counts for people.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            waiting: self.waiting.len(),
            running: self.running.len(),
            done: self.done,
            lost: self.lost,
            merged: self.merged,
        }
    }

    fn take(&mut self, worker: W, id: JobId) -> Option<Running> {
        if self.running.get(&worker)?.job.id != id {
            return None;
        }
        self.running.remove(&worker)
    }

    fn return_job(&mut self, job: Job, why: &str, count: bool, again: bool) {
        if is_early(job.kind) {
            return;
        }
        let Some((newest, Open::Pending { tries })) = self.open.get_mut(&job.id) else { return };
        *tries += u32::from(count);
        let too_often = *tries >= TRIES_MAX;
        if again && too_often && job.kind == JobKind::Final {
            if let Some((_, open)) = self.open.get_mut(&job.id) {
                *open = Open::Aside { why: why.to_owned(), asked: false };
            }
        } else if !again || too_often {
            // A recording is still there.
            self.settle(job.id, Err(Unwritten::Lost(why.to_owned())));
        } else {
            // Not `job`: its samples may have been spilled meanwhile.
            self.waiting.push_front(newest.clone());
        }
    }

    fn settle(&mut self, id: JobId, outcome: Result<Answer, Unwritten>) {
        if let Some((job, open)) = self.open.get_mut(&id)
            && !matches!(open, Open::Done(_))
        {
            *open = Open::Done(Finished { job: job.clone(), outcome });
        }
    }
}

/// Whether a job may never be asked for.
const fn is_early(kind: JobKind) -> bool {
    matches!(kind, JobKind::Partial | JobKind::Tentative)
}

/// Whether a tentative job is what its utterance has become.
fn foresaw(early: &Job, job: &Job) -> bool {
    early.kind == JobKind::Tentative && (early.id, early.from, early.to) == (job.id, job.from, job.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shm_layout::{Epoch, FrameIndex};
    use std::collections::BTreeMap;

    fn job(count: u32, kind: JobKind) -> Job {
        Job {
            id: JobId::new(1, count),
            kind,
            stream: StreamName::new(if count.is_multiple_of(3) { "a" } else { "b" }).unwrap(),
            epoch: Epoch(1),
            from: FrameIndex(u64::from(count) * 100),
            to: FrameIndex(u64::from(count) * 100 + 90),
            speech_end: FrameIndex(u64::from(count) * 100 + 80),
            samples: Samples::Ring,
        }
    }

    const HEARD: Hearing = Hearing { from: FrameIndex(7), snr_db: 40 };

    fn word(text: &str) -> Word {
        Word { text: text.into(), from: FrameIndex(0), to: FrameIndex(1), confidence: 90, line: false }
    }

    #[test]
    fn texts_leave_in_the_order_they_were_spoken() {
        let mut queue = Queue::default();
        for count in [1, 2, 3] {
            queue.push(job(count, JobKind::Final));
        }
        for worker in [1, 2, 3] {
            queue.assign(worker, true).unwrap();
        }
        queue.done(2, JobId::new(1, 2), HEARD);
        assert_eq!(queue.release(), None);
        queue.done(3, JobId::new(1, 3), HEARD);
        assert_eq!(queue.release().unwrap().job.id, JobId::new(1, 3));
        queue.done(1, JobId::new(1, 1), HEARD);
        assert_eq!(queue.release().unwrap().job.id, JobId::new(1, 1));
        assert_eq!(queue.release().unwrap().job.id, JobId::new(1, 2));
        assert!(queue.is_empty());
    }

    #[test]
    fn of_recordings_the_longest_piece_is_begun_first() {
        let mut queue = Queue::default();
        for (count, frames) in [(1, 90), (2, 400), (3, 90), (4, 400)] {
            let job = job(count, JobKind::Offline);
            queue.push(Job { to: FrameIndex(job.from.0 + frames), ..job });
        }
        let begun: Vec<_> = (1..=4).map(|worker| queue.assign(worker, true).unwrap().id).collect();
        assert_eq!(begun, [2, 4, 1, 3].map(|count| JobId::new(1, count)));
    }

    #[test]
    fn the_text_of_a_dead_worker_does_not_count_and_its_job_goes_first() {
        let mut queue = Queue::default();
        queue.push(job(1, JobKind::Final));
        queue.push(job(2, JobKind::Final));
        queue.assign(1, true).unwrap();
        queue.words(1, JobId::new(1, 1), vec![word("half")]);
        queue.spilled(JobId::new(1, 1), "1.wav");
        queue.worker_died(1, false, "killed");
        let again = queue.assign(2, true).unwrap();
        assert_eq!((again.id, again.samples), (JobId::new(1, 1), Samples::Spill("1.wav".into())));
        // The old worker's last words arrive late.
        assert_eq!(queue.done(1, JobId::new(1, 1), HEARD), None);
        queue.words(2, JobId::new(1, 1), vec![word("who")]);
        queue.words(2, JobId::new(1, 1), vec![word("le")]);
        queue.done(2, JobId::new(1, 1), HEARD);
        assert_eq!(
            queue.release().unwrap().outcome.unwrap(),
            Answer { hearing: HEARD, words: vec![word("who"), word("le")] }
        );
    }

    #[test]
    fn a_job_that_crashes_three_workers_is_set_aside_and_one_that_sees_kills_is_not() {
        let mut queue = Queue::default();
        queue.push(job(1, JobKind::Final));
        for _ in 0..100 {
            queue.assign(1, true).unwrap();
            queue.worker_died(1, false, "killed");
        }
        for _ in 0..3 {
            queue.assign(1, true).unwrap();
            queue.worker_died(1, true, "crashed");
        }
        assert_eq!((queue.release(), queue.assign(1, true)), (None, None));
        assert_eq!((queue.newly_aside(), queue.newly_aside()), (vec![JobId::new(1, 1)], vec![]));
        queue.ask_again_to_set_aside();
        assert_eq!(queue.newly_aside(), [JobId::new(1, 1)]);
        queue.set_aside(JobId::new(1, 1), Some(Path::new("/x/1.wav")));
        let Err(Unwritten::Lost(why)) = queue.release().unwrap().outcome else { panic!("written") };
        assert!(why.contains("crashed") && why.contains("/x/1.wav"), "{why}");
        assert!(queue.is_empty());
    }

    #[test]
    fn partials_come_last_and_never_after_their_final() {
        let mut queue = Queue::default();
        queue.push_early(job(1, JobKind::Partial));
        assert_eq!(queue.assign(1, false), None);
        assert_eq!(queue.assign(1, true).unwrap().kind, JobKind::Partial);
        queue.push(job(1, JobKind::Final));
        assert_eq!(queue.done(1, JobId::new(1, 1), HEARD), None, "the final is known: the partial is stale");
        queue.push_early(job(1, JobKind::Partial));
        assert_eq!(queue.assign(1, true).unwrap().kind, JobKind::Final);
        assert_eq!(queue.assign(2, true), None);
    }

    /// A final of this length, named in advance.
    fn tentative(count: u32, to: u64) -> Job {
        Job { to: FrameIndex(to), ..job(count, JobKind::Tentative) }
    }

    #[test]
    fn what_was_computed_in_advance_is_not_computed_again() {
        let whole = |count| Job { to: FrameIndex(500), ..job(count, JobKind::Final) };
        // Done before its final comes.
        let mut queue = Queue::default();
        queue.push_early(tentative(1, 500));
        assert_eq!(queue.assign(1, false).unwrap().kind, JobKind::Tentative);
        queue.words(1, JobId::new(1, 1), vec![word("yes")]);
        assert!(queue.done(1, JobId::new(1, 1), HEARD).is_some());
        queue.push(whole(1));
        assert_eq!(queue.release().unwrap().outcome.unwrap().words, [word("yes")]);
        // Still at work when its final comes, and lost with its worker.
        queue.push_early(tentative(2, 500));
        queue.assign(1, false).unwrap();
        queue.push(whole(2));
        assert_eq!(queue.assign(2, true), None);
        queue.worker_died(1, false, "killed");
        assert_eq!(queue.assign(2, true).unwrap(), whole(2));
        assert_eq!(queue.done(2, JobId::new(1, 2), HEARD), None);
        assert!(queue.release().unwrap().outcome.is_ok());
        // Still waiting when its final comes.
        queue.push_early(tentative(3, 500));
        queue.push(whole(3));
        assert_eq!((queue.assign(1, true).unwrap(), queue.assign(2, true)), (whole(3), None));
    }

    #[test]
    fn what_was_foreseen_and_has_not_come_is_forgotten() {
        let mut queue = Queue::default();
        queue.push_early(tentative(1, 500));
        queue.assign(1, false).unwrap();
        queue.done(1, JobId::new(1, 1), HEARD).unwrap();
        // Speech went on, and ended elsewhere.
        queue.push_early(job(1, JobKind::Partial));
        queue.push(Job { to: FrameIndex(900), ..job(1, JobKind::Final) });
        assert_eq!(queue.release(), None);
        assert_eq!(queue.assign(1, true).unwrap().to, FrameIndex(900));
    }

    #[test]
    fn an_utterance_has_one_partial_at_work_and_streams_take_turns() {
        let mut queue = Queue::default();
        queue.push_early(job(1, JobKind::Partial));
        queue.push_early(job(3, JobKind::Partial));
        queue.push_early(job(1, JobKind::Partial));
        assert_eq!(queue.counts().merged, 1);
        assert_eq!(queue.assign(1, true).unwrap().id, JobId::new(1, 1), "its turn stays");
        queue.push_early(job(1, JobKind::Partial));
        assert_eq!(queue.assign(2, true).unwrap().id, JobId::new(1, 3));
        assert_eq!(queue.assign(3, true), None);
        queue.done(1, JobId::new(1, 1), HEARD).unwrap();
        assert_eq!(queue.assign(1, true).unwrap().id, JobId::new(1, 1));
    }

    proptest! {
        /// Whatever happens, each job leaves exactly once.
        #[test]
        fn every_job_is_published_once(steps in prop::collection::vec((0_u8..8, 0_u32..3), 0..300)) {
            let mut queue = Queue::default();
            let (mut pushed, mut released) = (0, BTreeMap::<JobId, u32>::new());
            let mut at_work = HashMap::new();
            for (step, worker) in steps {
                match step {
                    0 => { pushed += 1; queue.push(job(pushed, JobKind::Final)); }
                    1 if !queue.is_busy(worker) => { if let Some(job) = queue.assign(worker, true) { at_work.insert(worker, job.id); } }
                    2 => { if let Some(id) = at_work.remove(&worker) { queue.done(worker, id, HEARD); } }
                    3 => { at_work.remove(&worker); queue.worker_died(worker, true, "crashed"); }
                    6 => queue.push_early(tentative(pushed + 1, u64::from(pushed + 1) * 100 + 90)),
                    7 => queue.push_early(job(pushed + 1, JobKind::Partial)),
                    4 => { at_work.remove(&worker); queue.worker_died(worker, false, "killed"); }
                    _ => if let Some(finished) = queue.release() { *released.entry(finished.job.id).or_default() += 1; },
                }
            }
            for worker in 0..3 { queue.worker_died(worker, false, "killed"); }
            while let Some(job) = queue.assign(9, true) { queue.done(9, job.id, HEARD); }
            for id in queue.newly_aside() { queue.set_aside(id, None); }
            while let Some(finished) = queue.release() { *released.entry(finished.job.id).or_default() += 1; }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(released.len(), pushed as usize);
            prop_assert!(released.values().all(|&times| times == 1));
        }
    }
}

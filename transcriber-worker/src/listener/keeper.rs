//! Safe keeping: a job's samples stay readable until the job is done.
//!
//! As long as they are far from being overwritten they stay where they are, in the ring. Before that happens they
//! go to disk, as 16 kHz mono, and the supervisor is told the file's name.

use super::Report;
use crate::samples::{self, SamplesError};
use control_protocol::{FromListener, Job, JobId, ListenerConfig, Samples};
use shm_layout::{FrameIndex, ReadError, RingReader};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often jobs are looked at while there are any.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The most time before its overwriting at which a job is spilled, in seconds.
const MARGIN_S_MAX: u64 = 10;

/// What the keeper is asked to do.
#[derive(Debug)]
pub(super) enum Errand {
    /// Keep the samples of this job.
    Keep(Job),
    /// Forget it.
    Done(JobId),
    /// Spill everything now.
    SpillAll,
    /// Keep its samples for a look, and forget it.
    SetAside(JobId),
}

struct Kept {
    job: Job,
    safe: bool,
}

/// Keeps jobs.
pub(super) struct Keeper<R> {
    runtime_dir: PathBuf,
    spill_dir: PathBuf,
    aside_dir: PathBuf,
    report: R,
    jobs: BTreeMap<JobId, Kept>,
    rings: HashMap<(String, u64), RingReader>,
}

impl<R: Report> Keeper<R> {
    /// # Errors
    /// The spill folder cannot be made.
    pub(super) fn new(config: &ListenerConfig, report: R) -> io::Result<Self> {
        let spill_dir = PathBuf::from(&config.spill_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&spill_dir)?;
        Ok(Self {
            runtime_dir: PathBuf::from(&config.runtime_dir),
            spill_dir,
            aside_dir: PathBuf::from(&config.aside_dir),
            report,
            jobs: BTreeMap::new(),
            rings: HashMap::new(),
        })
    }

    /// Runs errands until nobody sends any more.
    pub(super) fn run(mut self, errands: &Receiver<Errand>) {
        loop {
            let idle = self.jobs.values().all(|kept| kept.safe);
            let errand = if idle { errands.recv().map_err(Into::into) } else { errands.recv_timeout(LOOK_EVERY) };
            match errand {
                Ok(errand) => self.take(errand),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Errands first: what is done need not be spilled.
            while let Ok(errand) = errands.try_recv() {
                self.take(errand);
            }
            self.spill(Self::is_near_its_end);
        }
    }

    pub(super) fn take(&mut self, errand: Errand) {
        match errand {
            Errand::Keep(job) => {
                let safe = matches!(job.samples, Samples::Spill(_));
                self.jobs.insert(job.id, Kept { job, safe });
            }
            Errand::Done(id) => self.forget(id),
            Errand::SpillAll => {
                self.spill(|_, _| true);
                self.report.say(FromListener::SpilledAll);
            }
            Errand::SetAside(id) => {
                let file = self.set_aside(id);
                self.report.say(FromListener::SetAside { id, file });
            }
        }
    }

    /// Moves a job's samples to where somebody may look at them; the file's name there.
    fn set_aside(&mut self, id: JobId) -> Option<String> {
        self.spill(|job, _| job.id == id);
        let kept = self.jobs.remove(&id)?;
        let Samples::Spill(file) = &kept.job.samples else { return None };
        // The spill folder is named after its session's process.
        let session = self.spill_dir.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{session}-{file}");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.aside_dir);
        match made.and_then(|()| fs::rename(self.spill_dir.join(file), self.aside_dir.join(&name))) {
            Ok(()) => Some(name),
            Err(e) => {
                log::error!("{name} could not be kept in {}: {e}", self.aside_dir.display());
                None
            }
        }
    }

    fn forget(&mut self, id: JobId) {
        let Some(kept) = self.jobs.remove(&id) else { return };
        if let Samples::Spill(file) = &kept.job.samples
            && let Err(e) = fs::remove_file(self.spill_dir.join(file))
        {
            log::warn!("{file} was not removed: {e}");
        }
        let jobs = &self.jobs;
        let open = |stream: &str, epoch| {
            jobs.values().any(|kept| !kept.safe && kept.job.stream.as_str() == stream && kept.job.epoch.0 == epoch)
        };
        // An unmapped ring can be removed by the supervisor and its memory used again.
        self.rings.retain(|(stream, epoch), _| open(stream, *epoch));
    }

    /// Spills the jobs that are not safe and of which `when` says so.
    pub(super) fn spill(&mut self, when: impl Fn(&Job, &RingReader) -> bool) {
        let open: Vec<JobId> = self.jobs.iter().filter(|(_, kept)| !kept.safe).map(|(&id, _)| id).collect();
        for id in open {
            let Some(job) = self.jobs.get(&id).map(|kept| kept.job.clone()) else { continue };
            self.attach(&job);
            let samples = match self.rings.get(&ring_key(&job)) {
                Some(ring) if !when(&job, ring) => continue,
                Some(ring) => self.save(ring, &job),
                None => self.lose(&job, job.to),
            };
            if let Some(kept) = self.jobs.get_mut(&id) {
                kept.safe = true; // or beyond saving
                kept.job.samples = samples;
            }
        }
    }

    /// Whether a job's first frame will be overwritten soon.
    pub(super) fn is_near_its_end(job: &Job, ring: &RingReader) -> bool {
        let info = ring.info();
        let margin = (u64::from(info.sample_rate_hz) * MARGIN_S_MAX).min(info.capacity_frames / 3);
        ring.commit().since(job.from) + margin > info.capacity_frames
    }

    fn save(&self, ring: &RingReader, job: &Job) -> Samples {
        let mut readable = job.from;
        // Every round begins at least a sixty-fourth of the ring later than the one before.
        let samples = loop {
            match samples::read_ring(ring, job.from, job.to, readable) {
                Ok(samples) => break samples,
                Err(SamplesError::Ring(ReadError::Lost { to, .. })) if to < job.to => readable = to.max(readable),
                Err(SamplesError::Ring(ReadError::Lost { .. })) => return self.lose(job, job.to),
                Err(e) => {
                    log::error!("speech of {} at frame {} cannot be kept: {e}", job.stream, job.from);
                    return self.lose(job, job.to);
                }
            }
        };
        if readable > job.from {
            self.lose(job, readable);
        }
        let file = format!("{}.wav", job.id.0);
        match samples::write_wav(&self.spill_dir.join(&file), &samples) {
            Ok(()) => {
                self.report.say(FromListener::Spilled { id: job.id, file: file.clone() });
                Samples::Spill(file)
            }
            Err(e) => {
                // The ring has it still; a worker may come in time.
                log::error!("speech of {} at frame {} cannot be spilled: {e}", job.stream, job.from);
                Samples::Ring
            }
        }
    }

    /// Reports the frames of a job before `to` as lost.
    fn lose(&self, job: &Job, to: FrameIndex) -> Samples {
        self.report.say(FromListener::Lost { stream: job.stream.clone(), from: job.from, to });
        Samples::Ring
    }

    fn attach(&mut self, job: &Job) {
        let key = ring_key(job);
        if !self.rings.contains_key(&key) {
            match RingReader::attach_epoch(&self.runtime_dir, job.stream.as_str(), job.epoch) {
                Ok(ring) => drop(self.rings.insert(key, ring)),
                Err(e) => log::error!("{e}"),
            }
        }
    }
}

fn ring_key(job: &Job) -> (String, u64) {
    (job.stream.to_string(), job.epoch.0)
}

//! One join on a virtual clock: two workers, one of which stays free for finals, as the supervisor has it.

use super::join::Joined;
use super::listener::Listener;
use super::passes::{Pass, Passes};
use crate::Args;
use crate::agreement::Spoken;
use crate::queue::{Finished, Queue};
use anyhow::Result;
use control_protocol::{Hearing, Job, JobId, JobKind, Word, text_of};
use shm_layout::FrameIndex;
use std::collections::BTreeMap;
use transcriber_worker::vad::{Detector, FRAME_SAMPLES, SAMPLE_RATE_HZ};

/// The context with which a pass takes as long as it is said to.
const PASS_CONTEXT: f64 = 448.0;
/// From a sound to the listener: the engine's block, and the wait for a look.
const CAPTURE_S: f64 = 0.025;
const WORKERS: u32 = 2;
/// Looks of silence in which the last answers come.
const LAST_LOOKS: usize = 200;

/// What was heard of a join, and when.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The texts of the utterances.
    pub finals: Vec<String>,
    /// Of each word, when it ended and when it was certain.
    pub words: Vec<(f64, f64)>,
    /// Of each clip, when something of it was shown, and when its last final came.
    pub first_s: BTreeMap<usize, f64>,
    pub final_s: BTreeMap<usize, f64>,
    /// How long the workers computed.
    pub busy_s: f64,
}

struct Running {
    until_s: f64,
    id: JobId,
    from: FrameIndex,
    pass: Pass,
}

/// See the module's head.
pub(super) struct Player<'a> {
    args: &'a Args,
    joined: &'a Joined,
    samples: Vec<f32>,
    passes: &'a mut Passes,
    name: &'a str,
    queue: Queue<u32>,
    spoken: Spoken,
    running: BTreeMap<u32, Running>,
    /// Words of the open utterance that are certain.
    committed: usize,
    heard: Heard,
}

impl<'a> Player<'a> {
    pub(super) fn new(args: &'a Args, joined: &'a Joined, passes: &'a mut Passes, name: &'a str) -> Self {
        let samples = joined.samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        let (queue, spoken) = (Queue::default(), Spoken::new(SAMPLE_RATE_HZ));
        let (running, heard) = (BTreeMap::new(), Heard::default());
        Self { args, joined, samples, passes, name, queue, spoken, running, committed: 0, heard }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// When a model fails.
    pub(super) fn play(mut self, detector: &mut Detector) -> Result<Heard> {
        detector.reset();
        let mut listener = Listener::new(self.args.hangover, self.args.every)?;
        let (looks, _) = self.samples.as_chunks::<FRAME_SAMPLES>();
        let (looks, silence) = (looks.to_vec(), [[0.0; FRAME_SAMPLES]; LAST_LOOKS]);
        for (count, frame) in (1_u64..).zip(looks.iter().chain(&silence)) {
            let now_s = seconds(count * FRAME_SAMPLES as u64) + CAPTURE_S;
            self.until(now_s)?;
            let job = if count as usize <= looks.len() { listener.look(detector, frame) } else { None };
            if let Some(job) = job {
                self.spoken.meet(&job, |id| self.queue.comes(id));
                match job.kind {
                    JobKind::Final => self.queue.push(job),
                    _ => self.queue.push_early(job),
                }
                self.publish(now_s);
            }
            self.dispatch(now_s)?;
        }
        Ok(self.heard)
    }

    /// What the workers are done with before this time.
    fn until(&mut self, now_s: f64) -> Result<()> {
        let done = |running: &BTreeMap<u32, Running>| {
            let done = running.iter().filter(|(_, running)| running.until_s <= now_s);
            done.min_by(|a, b| a.1.until_s.total_cmp(&b.1.until_s)).map(|(worker, _)| *worker)
        };
        while let Some(worker) = done(&self.running) {
            let Some(Running { until_s, id, from, pass }) = self.running.remove(&worker) else { continue };
            self.queue.words(worker, id, pass.words);
            if let Some((job, answer)) = self.queue.done(worker, id, Hearing { from, snr_db: pass.snr_db })
                && !self.queue.has_open(&job.stream)
                && !self.args.finals_only
                && let Some(heard) = self.spoken.hear(&job, answer.hearing, answer.words)
            {
                self.trace(until_s, job.kind, &heard.text);
                self.committed += heard.committed.len();
                self.certain(&heard.committed, until_s);
                if let Some(first) = heard.words.first() {
                    // A word's time may be a little early.
                    let clip = self.joined.clip_at(seconds(first.from.0) + 0.3);
                    self.heard.first_s.entry(clip).or_insert(until_s);
                }
            }
            self.publish(until_s);
            self.dispatch(until_s)?;
        }
        Ok(())
    }

    fn dispatch(&mut self, now_s: f64) -> Result<()> {
        let mut idle: Vec<u32> = (0..WORKERS).filter(|&worker| !self.queue.is_busy(worker)).collect();
        while let Some(worker) = idle.pop() {
            let partial_allowed = !idle.is_empty() && !self.args.finals_only;
            let Some(job) = self.queue.assign(worker, partial_allowed) else { return Ok(()) };
            let (from, prompt) = self.spoken.window(&job);
            let pass = self.passes.of(self.name, &self.samples, &job, from, &prompt)?;
            let took_s = self.duration_s(&job, from, &pass);
            self.heard.busy_s += took_s;
            self.running.insert(worker, Running { until_s: now_s + took_s, id: job.id, from, pass });
        }
        Ok(())
    }

    fn publish(&mut self, at_s: f64) {
        while let Some(Finished { job, outcome }) = self.queue.release() {
            let Ok(answer) = outcome else { continue };
            let ended = self.spoken.settle(&job, answer.hearing, answer.words);
            let text = text_of(&ended.words);
            self.trace(at_s, JobKind::Final, &text);
            let known = std::mem::take(&mut self.committed).min(ended.words.len());
            self.certain(&ended.words[known..], at_s);
            if !text.is_empty() {
                self.heard.finals.push(text);
                let clip = self.joined.clip_at(seconds(job.speech_end.0));
                self.heard.final_s.insert(clip, at_s);
                self.heard.first_s.entry(clip).or_insert(at_s);
            }
        }
    }

    fn certain(&mut self, words: &[Word], at_s: f64) {
        self.heard.words.extend(words.iter().map(|word| (seconds(word.to.0), at_s)));
    }

    /// What a pass is taken to last.
    fn duration_s(&self, job: &Job, from: FrameIndex, pass: &Pass) -> f64 {
        let samples = usize::try_from(job.to.since(from)).unwrap_or(usize::MAX).max(SAMPLE_RATE_HZ as usize);
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let (context, words) = (self.passes.audio_ctx(job.kind, samples) as f64, pass.words.len() as f64);
        (self.args.pass * context / PASS_CONTEXT + self.args.word * words) / 1_000.0
    }

    fn trace(&self, at_s: f64, kind: JobKind, text: &str) {
        if self.args.trace {
            eprintln!("{at_s:7.2} {kind:?} {text}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "some minutes")]
fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE_HZ)
}

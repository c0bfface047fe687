//! The worker: takes one job after the other, reads the frames it names, and sends the text.
//!
//! It holds nothing that could be lost: a worker that dies costs its job a second try, elsewhere. A second thread
//! takes the supervisor's messages, so that the end is noticed while Whisper computes.

use crate::recogniser::{self, Recogniser, RecogniserError, Speech};
use crate::samples::{self, SamplesError};
use crate::stop;
use crate::timeline::Timeline;
use crate::vitals::Vitals;
use control_link::{LinkError, LinkReceiver, LinkSender};
use control_protocol::{
    Exit, FromWorker, Hearing, Job, JobFault, Role, Samples, Task, ToWorker, WORD_BYTES_MAX, WORDS_MAX, Word,
    WorkerConfig,
};
use shm_layout::board::{Counter, Pulse};
use shm_layout::{Epoch, FrameIndex, ReadError, RingReader};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Rings that stay mapped between jobs.
const RINGS_MAX: usize = 8;

/// Runs the worker until the supervisor ends it. With a `refusal` of [`crate::processor`] it says that and ends.
///
/// # Errors
/// [`LinkError`] when the supervisor cannot be reached at all.
pub fn run(refusal: Option<String>) -> Result<Exit, LinkError> {
    let (sender, receiver) = control_link::connect(Role::Worker)?;
    if let Some(refusal) = refusal {
        if sender.send(&FromWorker::Fault(refusal.clone())).is_err() {
            log::error!("{refusal}");
        }
        return Ok(Exit::CpuUnfit);
    }
    let (inbox, messages) = mpsc::channel();
    let listen = move || listen(receiver, &inbox);
    thread::Builder::new().name("messages".into()).spawn(listen)?;
    Ok(serve(&sender, &messages))
}

/// What the second thread hands on.
enum Order {
    Configure(WorkerConfig),
    Transcribe(Task),
    End(Exit),
}

fn listen(mut receiver: LinkReceiver<ToWorker>, inbox: &mpsc::Sender<Order>) {
    loop {
        let order = match receiver.recv() {
            Ok(ToWorker::Configure(config)) => Order::Configure(config),
            Ok(ToWorker::Transcribe(task)) => Order::Transcribe(task),
            Ok(ToWorker::Shutdown) => Order::End(Exit::Clean),
            Ok(ToWorker::Hello(_)) => continue,
            Err(LinkError::Codec(e)) => {
                log::warn!("a message could not be understood: {e}");
                continue;
            }
            Err(_) => Order::End(Exit::Orphaned),
        };
        let last = matches!(order, Order::End(_));
        if last {
            stop::now();
        }
        if inbox.send(order).is_err() || last {
            return;
        }
    }
}

fn serve(sender: &LinkSender<FromWorker>, orders: &mpsc::Receiver<Order>) -> Exit {
    let mut at_work: Option<Worker> = None;
    while let Ok(order) = orders.recv() {
        let said = match (order, &mut at_work) {
            (Order::End(exit), _) => return exit,
            (Order::Configure(config), None) => {
                let begin = Instant::now();
                let vitals = Vitals::claim(&config.runtime_dir, config.board);
                match load(&config) {
                    Ok(recognisers) => {
                        let pulse = vitals.pulse();
                        pulse.rest();
                        at_work = Some(Worker { config, recognisers, rings: Vec::new(), vitals, pulse });
                        sender.send(&FromWorker::Ready { load_ms: millis(begin.elapsed()) })
                    }
                    Err(e) => {
                        log::error!("{e}");
                        let _ = sender.send(&FromWorker::Fault(e.to_string())); // the exit code says it too
                        return Exit::Refused;
                    }
                }
            }
            (Order::Transcribe(task), Some(worker)) => worker.work(&task, |message| sender.send(&message)),
            (Order::Configure(_), Some(_)) | (Order::Transcribe(_), None) => {
                log::warn!("a message out of order was ignored");
                Ok(())
            }
        };
        match said {
            Ok(()) => {}
            Err(LinkError::Codec(e)) => log::error!("a message was not sent: {e}"),
            Err(_) => return Exit::Orphaned,
        }
    }
    Exit::Orphaned
}

/// All models, in their order.
fn load(config: &WorkerConfig) -> Result<Vec<Recogniser>, RecogniserError> {
    let load = |path| Recogniser::load(Path::new(path), config.threads, &config.language, config.word_times);
    config.models.iter().map(load).collect()
}

struct Worker {
    config: WorkerConfig,
    recognisers: Vec<Recogniser>,
    /// The rings of the last jobs, the newest last.
    rings: Vec<RingReader>,
    vitals: Vitals,
    /// Computes, or rests between jobs.
    pulse: Arc<Pulse>,
}

impl Worker {
    /// Does one job: its words and `Done`, or `Failed`.
    fn work(&mut self, task: &Task, mut say: impl FnMut(FromWorker) -> Result<(), LinkError>) -> Result<(), LinkError> {
        let (begin, id) = (Instant::now(), task.job.id);
        self.pulse.compute();
        let heard = self.words(task);
        self.pulse.rest();
        self.vitals.add(Counter::Done, 1);
        match heard {
            Ok((hearing, words)) => {
                let mut messages = messages(&words);
                let words = messages.pop().unwrap_or_default();
                messages.into_iter().try_for_each(|words| say(FromWorker::Words { id, words }))?;
                let (compute_ms, recogniser_ms) = (millis(begin.elapsed()), millis(self.spent()));
                say(FromWorker::Done { id, words, hearing, compute_ms, recogniser_ms })
            }
            Err(fault) => say(FromWorker::Failed { id, fault }),
        }
    }

    /// How long Whisper itself has computed since this was asked last.
    fn spent(&mut self) -> Duration {
        self.recognisers.iter_mut().map(Recogniser::spent).sum()
    }

    /// What there was to hear, and the words of it.
    fn words(&mut self, task: &Task) -> Result<(Hearing, Vec<Word>), JobFault> {
        let job = &task.job;
        let unreadable = |e: SamplesError| JobFault::Unreadable(e.to_string());
        let (heard_from, samples, sample_rate_hz) = match &job.samples {
            Samples::Ring => self.ring_samples(job, task.hear_from)?,
            Samples::Spill(file) => {
                // A name, not a path.
                let file = Path::new(file).file_name().unwrap_or_default();
                let samples = samples::read_wav(&Path::new(&self.config.spill_dir).join(file)).map_err(unreadable)?;
                // A spill file does not say how fast its ring was, but how many frames it stands for.
                let rate = rate_of(job, samples.len());
                (job.from, samples, rate)
            }
        };
        let timeline = Timeline { origin: heard_from, sample_rate_hz };
        let speech_end = usize::try_from(timeline.sample_of(job.speech_end)).unwrap_or(usize::MAX);
        let speech = Speech {
            kind: job.kind,
            samples: &samples,
            speech_end: speech_end.min(samples.len()),
            prompt: &task.prompt,
            language: &task.language,
        };
        let recogniser = self.recognisers.get_mut(usize::from(task.model));
        let recogniser = recogniser.ok_or_else(|| JobFault::Recogniser(format!("there is no model {}", task.model)))?;
        let heard = recogniser.transcribe(&speech).map_err(|e: RecogniserError| JobFault::Recogniser(e.to_string()))?;
        let hearing = Hearing { from: heard_from, snr_db: recogniser::snr_db(&samples) };
        Ok((hearing, heard.into_iter().flat_map(|word| placed(job, timeline, word)).collect()))
    }

    /// The samples of a job from `hear_from` on, or from its own beginning where the ring does not go back so far: where
    /// they begin, they themselves, and the ring's rate.
    fn ring_samples(&mut self, job: &Job, hear_from: FrameIndex) -> Result<(FrameIndex, Vec<f32>, u32), JobFault> {
        let ring = self.ring_of(job).map_err(JobFault::Unreadable)?;
        let rate = ring.info().sample_rate_hz;
        let fault = |e| match e {
            SamplesError::Ring(ReadError::Lost { to, .. }) => {
                JobFault::Overwritten { from: job.from, to: to.min(job.to) }
            }
            other => JobFault::Unreadable(other.to_string()),
        };
        if hear_from < job.from
            && let Ok(samples) = samples::read_ring(ring, hear_from, job.to, hear_from)
        {
            return Ok((hear_from, samples, rate));
        }
        let from = hear_from.max(job.from).min(job.to);
        Ok((from, samples::read_ring(ring, from, job.to, from).map_err(fault)?, rate))
    }

    fn ring_of(&mut self, job: &Job) -> Result<&RingReader, String> {
        let name = job.stream.as_str();
        let known = |ring: &RingReader| ring.info().epoch == job.epoch && ring.info().stream == name;
        let ring = match self.rings.iter().position(known) {
            Some(at) => self.rings.remove(at),
            None => {
                // Mappings of past epochs keep their memory from being used again.
                self.rings.retain(|ring| ring.info().stream != name);
                attach(&self.config.runtime_dir, name, job.epoch)?
            }
        };
        if self.rings.len() == RINGS_MAX {
            self.rings.remove(0);
        }
        self.rings.push(ring);
        self.rings.last().ok_or_else(|| "no ring".into())
    }
}

fn attach(dir: &str, stream: &str, epoch: Epoch) -> Result<RingReader, String> {
    RingReader::attach_epoch(Path::new(dir), stream, epoch).map_err(|e| e.to_string())
}

/// The rate at which so many samples are a job's frames; right to one sample over the whole job.
fn rate_of(job: &Job, samples: usize) -> u32 {
    let frames = u128::from(job.to.since(job.from));
    let rate = frames * u128::from(crate::vad::SAMPLE_RATE_HZ) / (samples as u128).max(1);
    u32::try_from(rate).unwrap_or(u32::MAX).max(1)
}

/// A word with its frames; one that no message could carry in several parts.
fn placed(job: &Job, timeline: Timeline, word: recogniser::Word) -> Vec<Word> {
    let frame_of = |sample: usize| timeline.frame_of(sample as u64).min(job.to);
    let (from, to) = (frame_of(word.from), frame_of(word.to));
    let mut rest = word.text.as_str();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let most = rest.len().min(WORD_BYTES_MAX);
        let cut = (0..=most).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(cut);
        let line = word.line && parts.is_empty();
        parts.push(Word { text: text.to_owned(), from, to: to.max(from), confidence: word.confidence, line });
        rest = tail;
    }
    parts
}

/// Words in portions of one message each.
fn messages(words: &[Word]) -> Vec<Vec<Word>> {
    words.chunks(WORDS_MAX).map(<[Word]>::to_vec).collect()
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_protocol::{JobId, JobKind, StreamName};

    fn job() -> Job {
        Job {
            id: JobId::new(1, 2),
            kind: JobKind::Final,
            stream: StreamName::new("mic").expect("a name"),
            epoch: Epoch(1),
            from: FrameIndex(1_000),
            to: FrameIndex(49_000),
            speech_end: FrameIndex(40_000),
            samples: Samples::Ring,
        }
    }

    fn word(text: &str, from: usize, to: usize) -> recogniser::Word {
        recogniser::Word { text: text.into(), from, to, confidence: 90, line: true }
    }

    #[test]
    fn times_become_frames_of_the_ring() {
        let timeline = Timeline { origin: FrameIndex(400), sample_rate_hz: 48_000 };
        let [placed] = &placed(&job(), timeline, word(" x", 8_000, 99_000))[..] else { panic!("one word") };
        assert_eq!((placed.from.0, placed.to.0, placed.confidence), (24_400, 49_000, 90));
    }

    #[test]
    fn every_word_fits_into_a_message_and_all_of_them_arrive() {
        let long = "ä".repeat(WORD_BYTES_MAX);
        let timeline = Timeline { origin: FrameIndex(0), sample_rate_hz: 48_000 };
        let words = (0..80).map(|n| if n % 2 == 0 { word(&long, 0, 9) } else { word(" end", 9, 20) });
        let words: Vec<Word> = words.flat_map(|word| placed(&job(), timeline, word)).collect();
        let messages = messages(&words);
        assert!(messages.len() > 3 && messages.concat() == words);
        assert_eq!(control_protocol::text_of(&words), format!("{long} end").repeat(40));
        assert_eq!(words.iter().filter(|word| word.line).count(), 80, "a part is no word");
        for words in messages {
            assert!(control_protocol::encode(&FromWorker::Words { id: JobId(1), words }).is_ok());
        }
    }

    #[test]
    fn a_spill_file_has_the_rate_of_its_ring() {
        assert_eq!(rate_of(&job(), 16_000), 48_000);
        assert!(rate_of(&job(), 0) > 0, "an empty file divides nothing by zero");
    }
}

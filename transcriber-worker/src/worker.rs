//! The worker: takes one job after the other, reads the frames it names, and sends the text.
//!
//! It holds nothing that could be lost: a worker that dies costs its job a second try, elsewhere. A second thread
//! takes the supervisor's messages, so that the end is noticed while Whisper computes.

use crate::recogniser::{Piece, Recogniser};
use crate::samples::{self, SamplesError};
use crate::stop;
use crate::timeline::Timeline;
use crate::vitals::Vitals;
use control_link::{LinkError, LinkReceiver, LinkSender};
use control_protocol::{Exit, FromWorker, Job, JobFault, JobKind, Role, Samples, ToWorker, WorkerConfig, split_text};
use shm_layout::board::{Counter, Pulse};
use shm_layout::{Epoch, ReadError, RingReader};
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
    Transcribe(Job),
    End(Exit),
}

fn listen(mut receiver: LinkReceiver<ToWorker>, inbox: &mpsc::Sender<Order>) {
    loop {
        let order = match receiver.recv() {
            Ok(ToWorker::Configure(config)) => Order::Configure(config),
            Ok(ToWorker::Transcribe(job)) => Order::Transcribe(job),
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
                match Recogniser::load(Path::new(&config.model), config.threads, &config.language) {
                    Ok(recogniser) => {
                        let pulse = vitals.pulse();
                        pulse.rest();
                        at_work = Some(Worker { config, recogniser, rings: Vec::new(), vitals, pulse });
                        sender.send(&FromWorker::Ready { load_ms: millis(begin.elapsed()) })
                    }
                    Err(e) => {
                        log::error!("{e}");
                        let _ = sender.send(&FromWorker::Fault(e.to_string())); // the exit code says it too
                        return Exit::Refused;
                    }
                }
            }
            (Order::Transcribe(job), Some(worker)) => worker.work(&job, |message| sender.send(&message)),
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

struct Worker {
    config: WorkerConfig,
    recogniser: Recogniser,
    /// The rings of the last jobs, the newest last.
    rings: Vec<RingReader>,
    vitals: Vitals,
    /// Computes, or rests between jobs.
    pulse: Arc<Pulse>,
}

impl Worker {
    /// Does one job: its segments and `Done`, or `Failed`.
    fn work(&mut self, job: &Job, mut say: impl FnMut(FromWorker) -> Result<(), LinkError>) -> Result<(), LinkError> {
        let begin = Instant::now();
        self.pulse.compute();
        let pieces = self.pieces(job);
        self.pulse.rest();
        self.vitals.add(Counter::Done, 1);
        match pieces {
            Ok((timeline, pieces)) => {
                let compute_ms = millis(begin.elapsed());
                for piece in pieces {
                    for segment in segments(job, timeline, &piece) {
                        say(segment)?;
                    }
                }
                say(FromWorker::Done { id: job.id, compute_ms })
            }
            Err(fault) => say(FromWorker::Failed { id: job.id, fault }),
        }
    }

    fn pieces(&mut self, job: &Job) -> Result<(Timeline, Vec<Piece>), JobFault> {
        let unreadable = |e: SamplesError| JobFault::Unreadable(e.to_string());
        let (samples, sample_rate_hz) = match &job.samples {
            Samples::Ring => self.ring_samples(job)?,
            Samples::Spill(file) => {
                // A name, not a path.
                let file = Path::new(file).file_name().unwrap_or_default();
                let samples = samples::read_wav(&Path::new(&self.config.spill_dir).join(file)).map_err(unreadable)?;
                (samples, None)
            }
        };
        // A spill file does not say how fast its ring was, but how many frames it stands for.
        let timeline = match sample_rate_hz {
            Some(sample_rate_hz) => Timeline { origin: job.from, sample_rate_hz },
            None => Timeline { origin: job.from, sample_rate_hz: rate_of(job, samples.len()) },
        };
        let speech_end = usize::try_from(timeline.sample_of(job.speech_end)).unwrap_or(usize::MAX);
        let pieces = self
            .recogniser
            .transcribe(job.kind, &samples, speech_end.min(samples.len()))
            .map_err(|e| JobFault::Recogniser(e.to_string()))?;
        Ok((timeline, pieces))
    }

    fn ring_samples(&mut self, job: &Job) -> Result<(Vec<f32>, Option<u32>), JobFault> {
        let ring = self.ring_of(job).map_err(JobFault::Unreadable)?;
        let samples = samples::read_ring(ring, job.from, job.to, job.from).map_err(|e| match e {
            SamplesError::Ring(ReadError::Lost { to, .. }) => {
                JobFault::Overwritten { from: job.from, to: to.min(job.to) }
            }
            other => JobFault::Unreadable(other.to_string()),
        })?;
        Ok((samples, Some(ring.info().sample_rate_hz)))
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

/// The messages of one piece of text.
fn segments(job: &Job, timeline: Timeline, piece: &Piece) -> Vec<FromWorker> {
    let (from, to) = if job.kind == JobKind::Offline {
        let frame_of = |sample: usize| timeline.frame_of(sample as u64).clamp(job.from, job.to);
        (frame_of(piece.from), frame_of(piece.to))
    } else {
        (job.from, job.speech_end.clamp(job.from, job.to))
    };
    let message = |(i, text): (usize, &str)| FromWorker::Segment {
        id: job.id,
        from,
        to: to.max(from),
        text: text.into(),
        continued: i > 0,
    };
    split_text(&piece.text).into_iter().enumerate().map(message).collect()
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_protocol::{JobId, StreamName, TEXT_BYTES_MAX};
    use shm_layout::FrameIndex;

    fn job(kind: JobKind) -> Job {
        Job {
            id: JobId::new(1, 2),
            kind,
            stream: StreamName::new("mic").expect("a name"),
            epoch: Epoch(1),
            from: FrameIndex(1_000),
            to: FrameIndex(49_000),
            speech_end: FrameIndex(40_000),
            samples: Samples::Ring,
        }
    }

    #[test]
    fn long_text_goes_in_pieces_that_say_so() {
        let text = "word ".repeat(TEXT_BYTES_MAX / 4);
        let timeline = Timeline { origin: FrameIndex(1_000), sample_rate_hz: 48_000 };
        let messages = segments(&job(JobKind::Final), timeline, &Piece { from: 0, to: 16_000, text: text.clone() });
        let mut joined = String::new();
        for (i, message) in messages.iter().enumerate() {
            let FromWorker::Segment { text, continued, from, to, .. } = message else { panic!("{message:?}") };
            assert_eq!((*continued, from.0, to.0), (i > 0, 1_000, 40_000));
            assert!(control_protocol::encode(message).is_ok());
            joined += text;
        }
        assert_eq!((messages.len(), joined), (2, text));
    }

    #[test]
    fn times_of_a_recording_become_frames_of_the_job() {
        let timeline = Timeline { origin: FrameIndex(1_000), sample_rate_hz: 48_000 };
        let piece = Piece { from: 8_000, to: 99_000, text: "x".into() };
        let [FromWorker::Segment { from, to, .. }] = &segments(&job(JobKind::Offline), timeline, &piece)[..] else {
            panic!("one message")
        };
        assert_eq!((from.0, to.0), (25_000, 49_000));
    }

    #[test]
    fn a_spill_file_has_the_rate_of_its_ring() {
        assert_eq!(rate_of(&job(JobKind::Final), 16_000), 48_000);
        assert!(rate_of(&job(JobKind::Final), 0) > 0, "an empty file divides nothing by zero");
    }
}

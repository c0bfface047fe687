//! Stands in for `transcriber-worker` where only the supervisor is looked at: as a listener it names 100 jobs a second, as
//! a worker it answers each at once with a text.

use anyhow::{Result, bail};
use control_link::{LinkReceiver, LinkSender};
use control_protocol::{
    BoardPlace, FromListener, FromWorker, Job, JobId, JobKind, Mark, Role, Samples, StreamName, Task, ToListener,
    ToWorker, Word,
};
use shm_layout::board::{Beat, Heart};
use shm_layout::{Epoch, FrameIndex};
use std::path::Path;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(10);
/// Frames of one job: as many as a period has at 48 kHz.
const FRAMES: u64 = 480;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--role", "listener"] => listen(),
        ["--role", "worker"] => work(),
        _ => bail!("a listener's or a worker's place is taken, and no other"),
    }
}

/// A heart that beats for as long as this process lives.
fn live(runtime: &str, place: BoardPlace) -> Result<Heart> {
    Ok(Heart::start(Beat::claim(Path::new(runtime), place.slot as usize, place.generation.into())?)?)
}

fn listen() -> Result<()> {
    let (sender, mut receiver): (LinkSender<FromListener>, LinkReceiver<ToListener>) =
        control_link::connect(Role::Listener)?;
    let mut heart = None;
    loop {
        match receiver.recv()? {
            ToListener::Configure(config) => {
                heart = Some(live(&config.runtime_dir, config.board)?);
                sender.send(&FromListener::Ready)?;
            }
            ToListener::Listen { stream, mark: Some(mark) } => {
                let sender = sender.clone();
                // It ends with the process.
                std::thread::spawn(move || name_jobs(&sender, &stream, mark));
            }
            ToListener::SpillAll => sender.send(&FromListener::SpilledAll)?,
            ToListener::Shutdown => {
                drop(heart);
                return Ok(());
            }
            _ => {}
        }
    }
}

fn name_jobs(sender: &LinkSender<FromListener>, stream: &StreamName, mark: Mark) -> Result<()> {
    let begin = Instant::now();
    for count in 1_u32.. {
        std::thread::sleep((begin + count * PERIOD).saturating_duration_since(Instant::now()));
        let from = mark.frame.plus(u64::from(count) * FRAMES);
        sender.send(&FromListener::Utterance(job(count, stream, mark.epoch, from)))?;
    }
    Ok(())
}

fn job(count: u32, stream: &StreamName, epoch: Epoch, from: FrameIndex) -> Job {
    let to = from.plus(FRAMES);
    let (id, stream) = (JobId::new(1, count), stream.clone());
    Job { id, kind: JobKind::Final, stream, epoch, from, to, speech_end: to, samples: Samples::Ring }
}

fn work() -> Result<()> {
    let (sender, mut receiver): (LinkSender<FromWorker>, LinkReceiver<ToWorker>) = control_link::connect(Role::Worker)?;
    let mut heart = None;
    loop {
        match receiver.recv()? {
            ToWorker::Configure(config) => {
                heart = Some(live(&config.runtime_dir, config.board)?);
                sender.send(&FromWorker::Ready { load_ms: 0 })?;
            }
            ToWorker::Transcribe(Task { job: Job { id, from, to, .. }, .. }) => {
                let text = format!(" What was said from frame {} on, in a sentence of the usual length.", from.0);
                let words = text.split_inclusive(' ').map(|text| Word {
                    text: text.into(),
                    from,
                    to,
                    confidence: 100,
                    line: false,
                });
                let words = words.collect();
                sender.send(&FromWorker::Done { id, words, heard_from: from, compute_ms: 0, recogniser_ms: 0 })?;
            }
            ToWorker::Shutdown => {
                drop(heart);
                return Ok(());
            }
            ToWorker::Hello(_) => {}
        }
    }
}

//! Stands in for `transcriber-worker` where only the supervisor is looked at: as a listener it names 100 jobs a second, as
//! a worker it answers each at once with a text.
//!
//! Where `SLOW_LISTENER` names a folder it is a listener to whom orders come late: it is ready when there is a file `ready`
//! in it, and writes to the file `orders` how many pauses began and ended before it was told to listen. Then it names two
//! utterances that grow, and when there are files `pass1` and `pass2` it is beyond them, and they were none: they were in a pause.

use anyhow::{Result, bail};
use control_link::{LinkReceiver, LinkSender};
use control_protocol::{
    BoardPlace, FromListener, FromWorker, Hearing, Job, JobId, JobKind, Mark, Role, Samples, StreamName, Task,
    ToListener, ToWorker, Word,
};
use shm_layout::board::{Beat, Heart};
use shm_layout::{Epoch, FrameIndex};
use std::path::{Path, PathBuf};
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
    let slow = std::env::var_os("SLOW_LISTENER").map(PathBuf::from);
    let (mut heart, mut orders) = (None, 0);
    loop {
        match receiver.recv()? {
            ToListener::Configure(config) => {
                heart = Some(live(&config.runtime_dir, config.board)?);
                if let Some(folder) = &slow {
                    wait_for(&folder.join("ready"));
                }
                sender.send(&FromListener::Ready)?;
            }
            ToListener::Pause { .. } => orders += 1,
            ToListener::Listen { stream, mark } => {
                let sender = sender.clone();
                // They end with the process.
                match (slow.clone(), mark) {
                    (Some(folder), _) => {
                        std::fs::write(folder.join("orders"), format!("{orders}"))?;
                        std::thread::spawn(move || name_what_is_in_a_pause(&sender, &stream, &folder));
                    }
                    (None, Some(mark)) => drop(std::thread::spawn(move || name_jobs(&sender, &stream, mark))),
                    (None, None) => {}
                }
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

fn wait_for(file: &Path) {
    while !file.exists() {
        std::thread::sleep(PERIOD);
    }
}

fn name_what_is_in_a_pause(sender: &LinkSender<FromListener>, stream: &StreamName, folder: &Path) -> Result<()> {
    let second = |n: u64| FrameIndex(48_000 * n);
    // Of the first one nothing is certain so soon; of the second one most is.
    for (count, from, ends) in [(1, second(10), [14_400, 18_000]), (2, second(20), [72_000, 96_000])] {
        let from_to =
            |frames| Job { kind: JobKind::Partial, from, to: from.plus(frames), ..job(count, stream, Epoch(1), from) };
        for frames in ends {
            sender.send(&FromListener::Growing(from_to(frames)))?;
            std::thread::sleep(20 * PERIOD);
        }
        wait_for(&folder.join(format!("pass{count}")));
        let (mark, position) = (Mark { epoch: Epoch(1), frame: from.plus(100_000) }, from.plus(100_000));
        sender.send(&FromListener::Scanned { stream: stream.clone(), mark, position })?;
        // An answer that comes late.
        sender.send(&FromListener::Growing(from_to(ends[1])))?;
        std::thread::sleep(20 * PERIOD);
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
                // About as much as is said in three seconds.
                let text = format!("This was said from frame {} on.", from.0);
                let each = to.since(from) / text.split(' ').count() as u64;
                let words = (0..).zip(text.split(' ')).map(|(n, text)| Word {
                    text: format!(" {text}"),
                    from: from.plus(n * each),
                    to: from.plus((n + 1) * each),
                    confidence: 100,
                    line: false,
                });
                let words = words.collect();
                sender.send(&FromWorker::Done {
                    id,
                    words,
                    hearing: Hearing { from, snr_db: 40 },
                    compute_ms: 0,
                    recogniser_ms: 0,
                })?;
            }
            ToWorker::Shutdown => {
                drop(heart);
                return Ok(());
            }
            ToWorker::Hello(_) => {}
        }
    }
}

//! The real program in both roles: a ring goes in, words come out, and the end is in order.

mod common;

use control_link::{LinkReceiver, LinkSender, LinkServer, environment};
use control_protocol::{
    BoardPlace, Exit, FromListener, FromWorker, Job, JobFault, JobId, JobKind, ListenerConfig, Mark, Role, Samples,
    StreamName, Task, ToListener, ToWorker, Word, WorkerConfig, text_of,
};
use serde::{Serialize, de::DeserializeOwned};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(120);

/// A child and its link; killed when the test is over.
struct Process<Out, In> {
    child: Child,
    sender: Option<LinkSender<Out>>,
    messages: Receiver<In>,
}

impl<Out: Serialize, In: DeserializeOwned + Send + 'static> Process<Out, In> {
    fn start(role: Role) -> Self {
        Self::started_by(role, Command::new(env!("CARGO_BIN_EXE_transcriber-worker")))
    }

    fn started_by(role: Role, mut command: Command) -> Self {
        let server = LinkServer::new().expect("a server");
        let child = command
            .args(["--role", role.as_str()])
            .envs(environment(&server, 5))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let (_, sender, mut receiver): (_, LinkSender<Out>, LinkReceiver<In>) =
            server.accept(role, 5).expect("a greeting");
        let (inbox, messages) = channel();
        std::thread::spawn(move || {
            while let Ok(message) = receiver.recv() {
                if inbox.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, sender: Some(sender), messages }
    }

    fn say(&self, message: &Out) {
        self.sender.as_ref().expect("not yet closed").send(message).expect("sent");
    }

    fn next(&self) -> In {
        self.messages.recv_timeout(WATCHDOG).expect("a message in time")
    }

    /// The exit code and what was said to the terminal.
    fn end(mut self) -> (Option<Exit>, String, String) {
        let deadline = Instant::now() + WATCHDOG;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it never ended");
            std::thread::sleep(Duration::from_millis(10));
        };
        let text = |stream: Option<&mut dyn std::io::Read>| {
            let mut text = String::new();
            stream.expect("piped").read_to_string(&mut text).expect("text");
            text
        };
        let out = text(self.child.stdout.as_mut().map(|s| s as _));
        let err = text(self.child.stderr.as_mut().map(|s| s as _));
        (status.code().and_then(Exit::from_code), out, err)
    }
}

impl<Out, In> Drop for Process<Out, In> {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended already where all went well
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn stream() -> StreamName {
    StreamName::new("mic").expect("a name")
}

/// A ring of 44.1 kHz stereo, of which both channels are the clip and a second of silence.
fn ring(dir: &Path, clip: &[f32]) -> RingWriter {
    let spec = RingSpec {
        stream: "mic".into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 44_100,
        channels: 2,
        capacity_frames: 44_100 * 30,
        first_frame: FrameIndex(1_000_000),
        labels: Vec::new(),
        overview: false,
    };
    let mut ring = RingWriter::create(dir, &spec).expect("a ring");
    let mut converter = audio_dsp::RateConverter::new(16_000, 44_100, 1).expect("rates");
    let mut out = [Vec::new()];
    converter.process(clip, clip.len(), &mut out);
    converter.finish(&mut out);
    out[0].resize(out[0].len() + 44_100, 0.0);
    for part in out[0].chunks(441) {
        ring.write(&[part, part].concat(), part.len());
    }
    ring
}

fn worker_config(dir: &Path, word_times: bool) -> WorkerConfig {
    WorkerConfig {
        runtime_dir: text(dir),
        spill_dir: text(&dir.join("spill")),
        models: vec![text(&common::model(common::WHISPER))],
        threads: 1,
        language: "en".into(),
        word_times,
        board: BoardPlace::default(),
    }
}

fn task(job: &Job) -> ToWorker {
    let (job, hear_from) = (job.clone(), job.from);
    ToWorker::Transcribe(Task { job, hear_from, prompt: String::new(), language: "en".into(), model: 0 })
}

/// The words of a job.
fn words(worker: &Process<ToWorker, FromWorker>, job: &Job) -> Vec<Word> {
    worker.say(&task(job));
    let mut all = Vec::new();
    loop {
        match worker.next() {
            FromWorker::Words { id, words } if id == job.id => all.extend(words),
            FromWorker::Done { id, words, hearing, .. } if id == job.id => {
                assert_eq!(hearing.from, job.from);
                all.extend(words);
                return all;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_in_a_ring_is_heard_kept_and_written_down() {
    let dir = tempfile::tempdir().expect("a folder");
    let clip = common::clips().swap_remove(5);
    let ring = ring(dir.path(), &clip.samples);
    let end = ring.next_frame();

    let listener: Process<ToListener, FromListener> = Process::start(Role::Listener);
    listener.say(&ToListener::Configure(ListenerConfig {
        runtime_dir: text(dir.path()),
        spill_dir: text(&dir.path().join("spill")),
        aside_dir: text(&dir.path().join("aside")),
        vad_model: text(&common::model(common::VAD)),
        offline: false,
        early: true,
        hangover_ms: 352,
        board: BoardPlace { slot: 2, generation: 5 },
    }));
    assert!(matches!(listener.next(), FromListener::Ready));
    let mark = Some(Mark { epoch: Epoch(1), frame: FrameIndex(1_000_000) });
    listener.say(&ToListener::Listen { stream: stream(), mark });
    ring.close();
    let mut job = None;
    loop {
        match listener.next() {
            FromListener::Utterance(utterance) => assert!(job.replace(utterance).is_none(), "one sentence"),
            FromListener::Finished { at, .. } => break assert_eq!(at, end),
            FromListener::Growing(_) | FromListener::Scanned { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let job = job.expect("an utterance");
    assert_eq!(job.id, JobId::new(5, 0));

    let worker: Process<ToWorker, FromWorker> = Process::start(Role::Worker);
    worker.say(&ToWorker::Configure(worker_config(dir.path(), true)));
    assert!(matches!(worker.next(), FromWorker::Ready { .. }));
    let from_ring = words(&worker, &job);
    assert_eq!(common::errors(&text_of(&from_ring), &clip.transcript), 0, "{from_ring:?}");
    // Each word has a place of its own, in order, inside the job.
    let places = from_ring.iter().flat_map(|word| [word.from, word.to]);
    assert!(places.clone().is_sorted() && places.clone().all(|at| (job.from..=job.to).contains(&at)), "{from_ring:?}");
    assert!(from_ring.iter().all(|word| word.from < word.to), "{from_ring:?}");

    let recorder: Process<ToWorker, FromWorker> = Process::start(Role::Worker);
    recorder.say(&ToWorker::Configure(worker_config(dir.path(), false)));
    assert!(matches!(recorder.next(), FromWorker::Ready { .. }));
    let offline = words(&recorder, &Job { kind: JobKind::Offline, ..job.clone() });
    assert_eq!(common::errors(&text_of(&offline), &clip.transcript), 0, "{offline:?}");
    assert!(offline[0].line && job.from <= offline[0].from && offline[0].from < offline[0].to, "{offline:?}");

    // Spilled, the same samples say the same.
    listener.say(&ToListener::SpillAll);
    let FromListener::Spilled { id, file } = listener.next() else { panic!("not spilled") };
    assert!(id == job.id && matches!(listener.next(), FromListener::SpilledAll));
    let spilled = Job { samples: Samples::Spill(file.clone()), ..job.clone() };
    assert_eq!(text_of(&words(&worker, &spilled)), text_of(&from_ring));
    listener.say(&ToListener::JobDone(job.id));
    let deadline = Instant::now() + WATCHDOG;
    while dir.path().join("spill").join(&file).exists() {
        assert!(Instant::now() < deadline, "the spill file stays");
        std::thread::sleep(Duration::from_millis(10));
    }

    // What is not there is said to be missing, and the worker works on.
    let before = Job { from: FrameIndex(0), to: FrameIndex(100_000), ..job.clone() };
    worker.say(&task(&before));
    assert!(matches!(worker.next(), FromWorker::Failed { fault: JobFault::Unreadable(_), .. }));
    worker.say(&task(&Job { epoch: Epoch(2), ..job.clone() }));
    assert!(matches!(worker.next(), FromWorker::Failed { fault: JobFault::Unreadable(_), .. }));
    // Nor is another model taken for one that it does not have.
    let ToWorker::Transcribe(other) = task(&job) else { panic!("a task") };
    worker.say(&ToWorker::Transcribe(Task { model: 1, ..other }));
    let FromWorker::Failed { fault: JobFault::Recogniser(why), .. } = worker.next() else { panic!("no fault") };
    assert_eq!(why, "there is no model 1");

    listener.say(&ToListener::Shutdown);
    worker.say(&ToWorker::Shutdown);
    recorder.say(&ToWorker::Shutdown);
    for (exit, out, err) in [listener.end(), worker.end(), recorder.end()] {
        assert_eq!((exit, out.as_str()), (Some(Exit::Clean), ""), "{err}");
        assert!(err.lines().all(|line| line.starts_with("error: there is no ring") || line.is_empty()), "{err}");
    }
}

#[test]
fn a_worker_without_its_model_says_what_to_do_and_is_not_to_be_restarted() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = dir.path().join("no-model.bin");
    let there = text(&common::model(common::WHISPER));
    for models in [vec![text(&model)], vec![there, text(&model)]] {
        let worker: Process<ToWorker, FromWorker> = Process::start(Role::Worker);
        worker.say(&ToWorker::Configure(WorkerConfig { models, ..worker_config(dir.path(), true) }));
        let FromWorker::Fault(reason) = worker.next() else { panic!("no fault") };
        assert!(reason.contains(&text(&model)) && reason.contains("tympan model fetch"), "{reason}");
        assert_eq!(worker.end().0, Some(Exit::Refused));
    }
}

#[test]
fn a_listener_without_its_model_says_what_to_do_and_is_not_to_be_restarted() {
    let dir = tempfile::tempdir().expect("a folder");
    let listener: Process<ToListener, FromListener> = Process::start(Role::Listener);
    std::fs::write(dir.path().join("damaged.onnx"), b"no model").expect("written");
    listener.say(&ToListener::Configure(ListenerConfig {
        runtime_dir: text(dir.path()),
        spill_dir: text(&dir.path().join("spill")),
        aside_dir: text(&dir.path().join("aside")),
        vad_model: text(&dir.path().join("damaged.onnx")),
        offline: false,
        early: true,
        hangover_ms: 352,
        board: BoardPlace::default(),
    }));
    let FromListener::Fault(reason) = listener.next() else { panic!("no fault") };
    assert!(reason.contains("damaged.onnx") && reason.contains("tympan model fetch"), "{reason}");
    assert_eq!(listener.end().0, Some(Exit::Refused));
}

#[test]
fn a_program_without_a_supervisor_ends() {
    for role in ["listener", "worker"] {
        let status = Command::new(env!("CARGO_BIN_EXE_transcriber-worker"))
            .args(["--role", role])
            .stderr(Stdio::null())
            .status()
            .expect("started");
        assert_eq!(status.code().and_then(Exit::from_code), Some(Exit::Orphaned), "{role}");
    }
}

#[test]
fn a_closed_link_ends_both_roles() {
    let listener: Process<ToListener, FromListener> = Process::start(Role::Listener);
    let worker: Process<ToWorker, FromWorker> = Process::start(Role::Worker);
    assert_eq!(closed(listener), Some(Exit::Orphaned));
    assert_eq!(closed(worker), Some(Exit::Orphaned));
}

fn closed<Out: Serialize, In: DeserializeOwned + Send + 'static>(mut process: Process<Out, In>) -> Option<Exit> {
    process.sender = None;
    process.end().0
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_worker_on_an_older_processor_says_so_and_ends() {
    let mut emulator = Command::new("qemu-x86_64");
    emulator.args(["-cpu", "Nehalem", env!("CARGO_BIN_EXE_transcriber-worker")]);
    let worker: Process<ToWorker, FromWorker> = Process::started_by(Role::Worker, emulator);
    let FromWorker::Fault(reason) = worker.next() else { panic!("it goes on") };
    assert!(reason.contains("built for another processor, one with avx"), "{reason}");
    // Said once: who is told prints it.
    let (exit, out, err) = worker.end();
    let err: String = err.lines().filter(|line| !line.starts_with("qemu-")).collect();
    assert!(exit == Some(Exit::CpuUnfit) && out.is_empty() && err.is_empty(), "{exit:?} {out:?} {err:?}");
}

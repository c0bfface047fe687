//! The real process: greeted, configured, fed and ended as the supervisor does it.

use control_link::{LinkReceiver, LinkSender, LinkServer, environment};
use control_protocol::{
    BoardPlace, ClockKind, EngineConfig, Exit, FRAMES_MAX, FromEngine, Role, SourceSpec, StreamName, ToEngine,
};
use shm_layout::{Epoch, FrameIndex, RingReader, SessionId};
use sound_files::DEMO_CLIP;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ENGINE: &str = env!("CARGO_BIN_EXE_audio-engine");

struct Engine {
    child: Child,
    tell: LinkSender<ToEngine>,
    news: LinkReceiver<FromEngine>,
}

fn start() -> Engine {
    let server = LinkServer::new().unwrap();
    let child = Command::new(ENGINE).arg("run").envs(environment(&server, 7)).stdin(Stdio::piped()).spawn().unwrap();
    let (hello, tell, news) = server.accept(Role::Engine, 7).unwrap();
    assert_eq!(hello.pid, child.id());
    Engine { child, tell, news }
}

impl Engine {
    fn begin(&self, dir: &std::path::Path, uri: &str) {
        let config = EngineConfig {
            runtime_dir: dir.to_str().unwrap().into(),
            session: SessionId([9; 16]),
            epoch: Epoch(3),
            first_frame: FrameIndex(500),
            first_frame_ns: 0,
            sample_rate_hz: 16_000,
            block_frames: 160,
            history_ms: 12_000,
            clock: ClockKind::Virtual,
            board: BoardPlace::default(),
        };
        self.tell.send(&ToEngine::Configure(config)).unwrap();
        let spec = SourceSpec { stream: StreamName::new("talk").unwrap(), uri: uri.into(), resume_frames: 0 };
        self.tell.send(&ToEngine::AddSource(spec)).unwrap();
        self.tell.send(&ToEngine::Start).unwrap();
        self.tell.send(&ToEngine::Credit { until: FrameIndex(FRAMES_MAX) }).unwrap();
    }
}

fn exit_code(child: &mut Child) -> Option<i32> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if since.elapsed() > Duration::from_secs(30) {
            let _ = child.kill();
            panic!("the engine does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_wav_on_standard_input_arrives_sample_by_sample() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = start();
    let mut input = engine.child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || input.write_all(DEMO_CLIP));
    engine.begin(dir.path(), "stdin:");
    let mut heard = Vec::new();
    while !matches!(heard.last(), Some(FromEngine::Stopped)) {
        heard.push(engine.news.recv().unwrap());
    }
    feeding.join().unwrap().unwrap();
    let FromEngine::SourceOpened { resume_uri, live, total_frames, .. } = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(resume_uri.as_deref(), Some("stdin:rate=16000&channels=1&format=s16le"));
    assert_eq!((*live, *total_frames), (false, Some(176_000)));
    assert!(matches!(&heard[1], FromEngine::RingOpened { epoch: Epoch(3), first_frame: FrameIndex(500), .. }));

    let ring = RingReader::attach_epoch(dir.path(), "talk", Epoch(3)).unwrap();
    assert_eq!(ring.commit(), FrameIndex(176_500));
    let mut samples = vec![0.0; 176_000];
    ring.read(FrameIndex(500), &mut samples, 176_000).unwrap();
    let expected = hound::WavReader::new(DEMO_CLIP).unwrap().into_samples::<i16>();
    assert!(expected.zip(&samples).all(|(a, b)| f32::from(a.unwrap()) / 32_768.0 == *b));

    engine.tell.send(&ToEngine::Shutdown).unwrap();
    assert_eq!(exit_code(&mut engine.child), Some(i32::from(Exit::Clean.code())));
}

#[test]
fn without_its_supervisor_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = start();
    engine.begin(dir.path(), "test:count");
    while !matches!(engine.news.recv().unwrap(), FromEngine::RingOpened { .. }) {}
    let Engine { mut child, tell, news } = engine;
    drop((tell, news));
    assert_eq!(exit_code(&mut child), Some(i32::from(Exit::Orphaned.code())));
}

#[test]
fn started_by_hand_it_says_who_starts_it() {
    let output = Command::new(ENGINE).env_remove("TYMPAN_LINK").output().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(Exit::Orphaned.code())));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by tympan"));
    assert!(output.stdout.is_empty());
}

#[test]
fn the_one_shot_commands_print_json() {
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = Command::new(ENGINE).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert!(json(&["devices"]).is_array());
    let demo = json(&["probe", "demo:"]);
    assert_eq!((&demo["ok"], &demo["sample_rate_hz"], &demo["channels"]), (&true.into(), &16_000.into(), &1.into()));
    assert_eq!(json(&["probe", "virtual:count?period=100"])["ok"], true);
    let bad = json(&["probe", "test:tone?hertz=3"]);
    assert_eq!(bad["ok"], false);
    assert!(bad["reason"].as_str().unwrap().contains("hertz"));
}

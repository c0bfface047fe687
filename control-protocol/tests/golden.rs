//! The bytes of every message, pinned: `golden.txt` has a line for each. Its lines never change and never go; a new
//! variant stands behind the others of its enum and gets a line of its own. Fuzzing begins with them.

use control_protocol::*;
use serde::{Serialize, de::DeserializeOwned};
use shm_layout::{Epoch, FrameIndex, SessionId};
use std::collections::BTreeSet;
use std::fmt::Debug;

const GOLDEN: &str = include_str!("golden.txt");

fn hello() -> Hello {
    Hello { protocol: 1, role: Role::Worker, pid: 300, generation: 2 }
}

fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

fn board() -> BoardPlace {
    BoardPlace { slot: 3, generation: 4 }
}

fn job(kind: JobKind, samples: Samples) -> Job {
    let (epoch, from, to) = (Epoch(3), FrameIndex(100), FrameIndex(300));
    Job { id: JobId::new(2, 7), kind, stream: name("mic"), epoch, from, to, speech_end: FrameIndex(290), samples }
}

/// Lines of some messages of one enum, and all kinds that it has.
fn lines<M: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, messages: &[M]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for message in messages {
        let bytes = encode(message).unwrap();
        assert_eq!(decode::<M>(&bytes).unwrap(), *message);
        seen.insert(bytes[0]);
        let kind: String = format!("{message:?}").chars().take_while(|c| c.is_alphanumeric()).collect();
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("{name}::{kind} = {}", hex.join(" ")));
    }
    // What is no kind is refused for that; what is one misses the rest of it.
    let kinds: BTreeSet<u8> =
        (0..128).filter(|&kind| !matches!(decode::<M>(&[kind]), Err(CodecError::OutOfBounds))).collect();
    assert_eq!(seen, kinds, "{name}: a kind of message without a line");
    lines
}

fn to_engine() -> Vec<String> {
    let config = |clock| EngineConfig {
        runtime_dir: "/run".into(),
        session: SessionId(*b"sixteen bytes id"),
        epoch: Epoch(1),
        first_frame: FrameIndex(48_000),
        first_frame_ns: 1_000_000_000,
        sample_rate_hz: 48_000,
        block_frames: 480,
        history_ms: 30_000,
        clock,
        board: board(),
    };
    let source = SourceSpec { stream: name("mic"), uri: "device:".into(), resume_frames: 5 };
    let messages = [
        ToEngine::Hello(hello()),
        ToEngine::Configure(config(ClockKind::Monotonic)),
        ToEngine::Configure(config(ClockKind::Virtual)),
        ToEngine::AddSource(source),
        ToEngine::Start,
        ToEngine::Credit { until: FrameIndex(1) },
        ToEngine::Close,
        ToEngine::Shutdown,
        ToEngine::RingEpoch { stream: name("mic"), epoch: Epoch(4), previous: Some(Epoch(2)) },
        ToEngine::RingEpoch { stream: StreamName::mix(), epoch: Epoch(1), previous: None },
        ToEngine::RemoveSource { stream: name("mic") },
        ToEngine::SetStrip {
            stream: name("mic"),
            strip: Strip { gain: Gain::of_factor(0.5).unwrap(), pan: Pan::new(-1.0).unwrap(), mute: true, solo: false },
        },
        ToEngine::SetMaster(Master { gain: Gain::of_factor(2.0).unwrap(), ceiling: Gain::UNITY }),
        ToEngine::Resampling(Resampling::Fast),
        ToEngine::Resampling(Resampling::Normal),
        ToEngine::Resampling(Resampling::Best),
        ToEngine::Cushion { ms: 300 },
        ToEngine::SetProcessing {
            stream: name("mic"),
            processing: Processing {
                high_pass: Processing::read_high_pass("80Hz").ok(),
                gate: Processing::read_gate("-50dB").ok(),
                equaliser: "-3,0,+2".parse().ok(),
                compressor: "-20dB:4".parse().ok(),
            },
        },
        ToEngine::SetProcessing { stream: name("mic"), processing: Processing::default() },
        ToEngine::SetOutput(OutputSpec {
            number: 0,
            wish: 3,
            device: "default".into(),
            stream: StreamName::mix(),
            keep_trying: true,
        }),
        ToEngine::CloseOutput { number: 0 },
    ];
    lines("ToEngine", &messages)
}

fn from_engine() -> Vec<String> {
    let delays = |hardware_us| Delays {
        hardware_us,
        period_us: 2,
        queue_us: 3,
        resampler_us: 4,
        block_us: 300,
        tick_us: 5,
        mix_us: 6,
    };
    let opened = |resume_uri, total_frames| FromEngine::SourceOpened {
        stream: name("mic"),
        description: "a microphone".into(),
        sample_rate_hz: 44_100,
        channels: 1,
        live: true,
        resume_uri,
        total_frames,
    };
    let mut messages = vec![
        FromEngine::Hello(hello()),
        opened(None, None),
        opened(Some("stdin:rate=8000".into()), Some(300)),
        FromEngine::RingOpened {
            stream: name("mic"),
            epoch: Epoch(1),
            first_frame: FrameIndex(2),
            channels: 2,
            capacity_frames: 1_440_000,
        },
        FromEngine::SourceEnded { stream: name("mic"), at: FrameIndex(1), error: None },
        FromEngine::SourceEnded {
            stream: name("mix"),
            at: FrameIndex(1),
            error: Some(SourceError { reason: "r".into(), exit: Exit::CutOff }),
        },
        FromEngine::Stopped,
        FromEngine::Fault("why".into()),
        FromEngine::Dropped { stream: StreamName::mix(), at: FrameIndex(1), frames: 2 },
        FromEngine::SourceRemoved { stream: name("mic"), at: FrameIndex(300) },
        FromEngine::Leads { stream: Some(name("mic")) },
        FromEngine::Leads { stream: None },
        FromEngine::Delays { stream: name("mic"), delays: delays(Some(1)) },
        FromEngine::Delays { stream: name("mic"), delays: delays(None) },
        FromEngine::Impulse { stream: name("mic"), at_ns: 300 },
        FromEngine::Unprocessed { stream: name("mic"), from: FrameIndex(1), to: FrameIndex(300) },
        FromEngine::OutputOpened {
            number: 0,
            wish: 3,
            description: "a speaker".into(),
            sample_rate_hz: 44_100,
            channels: 2,
        },
        FromEngine::OutputFailed { number: 0, wish: 3, reason: "r".into(), exit: Exit::NoDevice },
        FromEngine::OutputLost { number: 0, wish: 3, reason: "r".into() },
        FromEngine::DeviceLost { stream: name("mic"), reason: "r".into() },
        FromEngine::DeviceBack { stream: name("mic"), description: None },
        FromEngine::DeviceBack { stream: name("mic"), description: Some("a microphone".into()) },
        FromEngine::OutputLeads { number: 0 },
        FromEngine::RealTime { granted: true },
        FromEngine::RealTime { granted: false },
        FromEngine::ImpulsePlayed { number: 1, at_ns: 300 },
        FromEngine::OutputPlays {
            number: 0,
            wish: 3,
            figures: OutputFigures {
                underruns: 1,
                underrun_frames: 480,
                xruns: 2,
                skipped_frames: 300,
                queued_frames: 720,
                delay_us: 27_000,
                ppm_thousandths: -1_500,
            },
        },
    ];
    let causes = [GapCause::Underrun, GapCause::Overrun, GapCause::Xrun, GapCause::Disappeared, GapCause::EngineDown];
    // Rings carry these numbers in their tables.
    assert_eq!(causes.map(|cause| cause as u32), [0, 1, 2, 3, 4]);
    messages.extend(causes.map(|cause| FromEngine::Gap {
        stream: name("mic"),
        from: FrameIndex(1),
        to: FrameIndex(2),
        cause,
    }));
    messages.extend(Exit::ALL.map(|exit| FromEngine::SourceFailed {
        stream: StreamName::mix(),
        reason: "r".into(),
        retry: true,
        exit,
    }));
    lines("FromEngine", &messages)
}

fn to_listener() -> Vec<String> {
    let config = ListenerConfig {
        runtime_dir: "/run".into(),
        spill_dir: "/spill".into(),
        vad_model: "/vad".into(),
        offline: true,
        early: true,
        hangover_ms: 352,
        board: board(),
        aside_dir: "/aside".into(),
    };
    let mark = Mark { epoch: Epoch(1), frame: FrameIndex(2) };
    let messages = [
        ToListener::Hello(hello()),
        ToListener::Configure(config),
        ToListener::Listen { stream: name("mic"), mark: None },
        ToListener::Listen { stream: name("mic"), mark: Some(mark) },
        ToListener::Adopt(job(JobKind::Final, Samples::Ring)),
        ToListener::JobDone(JobId::new(2, 7)),
        ToListener::SpillAll,
        ToListener::Shutdown,
        ToListener::SetAside(JobId::new(2, 7)),
        ToListener::Pause { stream: name("mic"), at: FrameIndex(300), paused: true },
        ToListener::Pause { stream: name("mic"), at: FrameIndex(300), paused: false },
        ToListener::Forget { stream: name("mic") },
    ];
    lines("ToListener", &messages)
}

fn from_listener() -> Vec<String> {
    let (stream, from, to) = (name("mic"), FrameIndex(1), FrameIndex(2));
    let messages = [
        FromListener::Hello(hello()),
        FromListener::Ready,
        FromListener::Utterance(job(JobKind::Offline, Samples::Ring)),
        FromListener::Growing(job(JobKind::Partial, Samples::Ring)),
        FromListener::Growing(job(JobKind::Tentative, Samples::Ring)),
        FromListener::Scanned {
            stream: stream.clone(),
            mark: Mark { epoch: Epoch(1), frame: FrameIndex(2) },
            position: FrameIndex(3),
        },
        FromListener::Spilled { id: JobId(1), file: "a.wav".into() },
        FromListener::SpilledAll,
        FromListener::Lost { stream: stream.clone(), from, to },
        FromListener::Finished { stream, at: to },
        FromListener::Fault("why".into()),
        FromListener::SetAside { id: JobId(1), file: None },
        FromListener::SetAside { id: JobId(1), file: Some("a.wav".into()) },
    ];
    lines("FromListener", &messages)
}

fn to_worker() -> Vec<String> {
    let config = WorkerConfig {
        runtime_dir: "/run".into(),
        spill_dir: "/spill".into(),
        models: vec!["/model".into(), "/other".into()],
        threads: 1,
        language: "en".into(),
        word_times: true,
        board: board(),
    };
    let messages = [
        ToWorker::Hello(hello()),
        ToWorker::Configure(config),
        ToWorker::Transcribe(Task {
            job: job(JobKind::Final, Samples::Spill("a.wav".into())),
            hear_from: FrameIndex(0),
            prompt: "and so".into(),
            language: "en".into(),
            model: 1,
        }),
        ToWorker::Shutdown,
    ];
    lines("ToWorker", &messages)
}

fn from_worker() -> Vec<String> {
    let (id, from, to) = (JobId(1), FrameIndex(1), FrameIndex(300));
    let failed = |fault| FromWorker::Failed { id, fault };
    let word = |text: &str| Word { text: text.into(), from, to, confidence: 99, line: false };
    let messages = [
        FromWorker::Hello(hello()),
        FromWorker::Ready { load_ms: 200 },
        FromWorker::Words { id, words: vec![word(" so"), word(" it")] },
        FromWorker::Done {
            id,
            words: vec![word(" was.")],
            hearing: Hearing { from, snr_db: 40 },
            compute_ms: 5,
            recogniser_ms: 4,
        },
        failed(JobFault::Overwritten { from, to }),
        failed(JobFault::Unreadable("why".into())),
        failed(JobFault::Recogniser("why".into())),
        FromWorker::Fault("why".into()),
    ];
    lines("FromWorker", &messages)
}

#[test]
fn the_bytes_of_every_message_are_what_they_were() {
    let now = [to_engine(), from_engine(), to_listener(), from_listener(), to_worker(), from_worker()].concat();
    let golden: Vec<&str> = GOLDEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let new: Vec<&str> = now.iter().map(String::as_str).filter(|line| !golden.contains(line)).collect();
    assert!(
        new.is_empty(),
        "this is not in golden.txt:\n{}\nWhat is new is added there; what was there must not change, or a process of \
         another build misunderstands it",
        new.join("\n")
    );
    for line in golden {
        assert!(now.iter().any(|now| now == line), "nothing has these bytes any more:\n{line}");
    }
}

#[test]
fn the_greeting_is_variant_0_of_every_enum_for_ever() {
    let golden = [0, 1, 3, 0xac, 0x02, 2];
    assert_eq!(greet(hello()).unwrap(), golden);
    assert_eq!(encode(&ToEngine::Hello(hello())).unwrap(), golden);
    assert_eq!(encode(&FromEngine::Hello(hello())).unwrap(), golden);
    assert_eq!(encode(&ToListener::Hello(hello())).unwrap(), golden);
    assert_eq!(encode(&FromListener::Hello(hello())).unwrap(), golden);
    assert_eq!(encode(&ToWorker::Hello(hello())).unwrap(), golden);
    assert_eq!(encode(&FromWorker::Hello(hello())).unwrap(), golden);
    // A later version may add fields behind: the greeting is still understood.
    assert_eq!(greeting(&[&golden[..], &[9, 9, 9]].concat()).unwrap(), hello());
    // It may know other roles and say other things: its version is still where it was.
    assert_eq!(version_of(&[0, 99, 200, 1]), Ok(99));
    assert!(greeting(&[0, 99, 200, 1]).is_err());
    assert!(version_of(&[1, 99]).is_err() && version_of(&[0]).is_err() && version_of(&[]).is_err());
}

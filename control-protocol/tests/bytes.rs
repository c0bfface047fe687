//! The bytes of the protocol: bounded, and safe against strangers. The same cases as in `control-protocol/fuzz`, without
//! a fuzzer; `scripts/prove fuzz` searches on.

#[path = "../fuzz/src/bodies.rs"]
#[expect(unreachable_pub, reason = "public in the fuzz package")]
mod bodies;

use control_protocol::*;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use shm_layout::{Epoch, FrameIndex, SessionId};

const GOLDEN: &str = include_str!("golden.txt");

/// A text of so many bytes.
fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn longest_name() -> StreamName {
    StreamName::new(text(StreamName::BYTES_MAX)).unwrap()
}

const LAST: FrameIndex = FrameIndex(FRAMES_MAX);

fn board() -> BoardPlace {
    BoardPlace { slot: u32::MAX, generation: u32::MAX }
}

fn job(file: String) -> Job {
    Job {
        id: JobId(u64::MAX),
        kind: JobKind::Offline,
        stream: longest_name(),
        epoch: Epoch(u64::MAX),
        from: LAST,
        to: LAST,
        speech_end: LAST,
        samples: Samples::Spill(file),
    }
}

fn engine_config(runtime_dir: String) -> ToEngine {
    ToEngine::Configure(EngineConfig {
        runtime_dir,
        session: SessionId([255; 16]),
        epoch: Epoch(u64::MAX),
        first_frame: LAST,
        first_frame_ns: u64::MAX,
        sample_rate_hz: u32::MAX,
        block_frames: u32::MAX,
        history_ms: u32::MAX,
        clock: ClockKind::Virtual,
        board: board(),
    })
}

fn listener_config(paths: [String; 4]) -> ToListener {
    let [runtime_dir, spill_dir, aside_dir, vad_model] = paths;
    ToListener::Configure(ListenerConfig {
        runtime_dir,
        spill_dir,
        aside_dir,
        vad_model,
        offline: true,
        early: true,
        hangover_ms: 352,
        board: board(),
    })
}

fn worker_config(paths: [String; 2], models: Vec<String>, language: String) -> ToWorker {
    let [runtime_dir, spill_dir] = paths;
    ToWorker::Configure(WorkerConfig {
        runtime_dir,
        spill_dir,
        models,
        threads: u32::MAX,
        language,
        word_times: true,
        board: board(),
    })
}

fn source(uri: String) -> ToEngine {
    ToEngine::AddSource(SourceSpec { stream: longest_name(), uri, resume_frames: FRAMES_MAX })
}

fn output(device: String) -> ToEngine {
    let (number, wish) = (u32::MAX, u32::MAX);
    ToEngine::SetOutput(OutputSpec { number, wish, device, stream: longest_name(), keep_trying: true })
}

fn opened(description: String, uri: String) -> FromEngine {
    FromEngine::SourceOpened {
        stream: longest_name(),
        description,
        sample_rate_hz: u32::MAX,
        channels: u32::MAX,
        live: true,
        resume_uri: Some(uri),
        total_frames: Some(FRAMES_MAX),
    }
}

fn word(text: String) -> Word {
    Word { text, from: LAST, to: LAST, confidence: u8::MAX, line: true }
}

fn words(count: usize, bytes: usize) -> FromWorker {
    let words = vec![word(text(bytes)); count];
    FromWorker::Done {
        id: JobId(u64::MAX),
        words,
        hearing: Hearing { from: LAST, snr_db: u8::MAX },
        compute_ms: u32::MAX,
        recogniser_ms: u32::MAX,
    }
}

fn task(file: String, prompt: String, language: String) -> ToWorker {
    ToWorker::Transcribe(task_for(u8::try_from(MODELS_MAX - 1).unwrap(), file, prompt, language))
}

fn task_for(model: u8, file: String, prompt: String, language: String) -> Task {
    Task { job: job(file), hear_from: LAST, prompt, language, model }
}

/// It has bytes, and the same comes back.
fn fits<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &M) {
    assert_eq!(decode::<M>(&encode(message).unwrap()).unwrap(), *message);
}

#[test]
fn a_message_with_all_its_fields_at_their_largest_fits() {
    let path = || text(PATH_BYTES_MAX);
    fits(&engine_config(path()));
    fits(&listener_config([path(), path(), path(), path()]));
    let models = |count: usize| vec![text(MODELS_BYTES_MAX / count); count];
    for count in [2, MODELS_MAX] {
        fits(&worker_config([path(), path()], models(count), text(LANGUAGE_BYTES_MAX)));
    }
    fits(&source(text(URI_BYTES_MAX)));
    fits(&opened(text(DESCRIPTION_BYTES_MAX), text(URI_BYTES_MAX)));
    fits(&words(WORDS_MAX, WORD_BYTES_MAX));
    fits(&FromWorker::Words { id: JobId(u64::MAX), words: vec![word(text(WORD_BYTES_MAX)); WORDS_MAX] });
    fits(&task(text(FILE_NAME_BYTES_MAX), text(PROMPT_BYTES_MAX), text(LANGUAGE_BYTES_MAX)));
    fits(&FromListener::SetAside { id: JobId(u64::MAX), file: Some(text(FILE_NAME_BYTES_MAX)) });
    fits(&ToListener::Pause { stream: longest_name(), at: LAST, paused: true });
    fits(&FromListener::Spilled { id: JobId(u64::MAX), file: text(FILE_NAME_BYTES_MAX) });
    let reason = || text(REASON_BYTES_MAX);
    fits(&FromWorker::Failed { id: JobId(u64::MAX), fault: JobFault::Recogniser(reason()) });
    fits(&FromListener::Fault(reason()));
    let error = Some(SourceError { reason: reason(), exit: Exit::CutOff });
    fits(&FromEngine::SourceEnded { stream: longest_name(), at: LAST, error });
    fits(&FromEngine::OutputFailed { number: u32::MAX, wish: u32::MAX, reason: reason(), exit: Exit::NoDevice });
    fits(&FromEngine::DeviceLost { stream: longest_name(), reason: reason() });
    fits(&FromEngine::DeviceBack { stream: longest_name(), description: Some(text(DESCRIPTION_BYTES_MAX)) });
    fits(&output(text(URI_BYTES_MAX)));
    fits(&FromEngine::SourceFailed { stream: longest_name(), reason: reason(), retry: true, exit: Exit::NoDevice });
}

#[test]
fn what_must_be_whole_has_no_bytes_when_it_is_too_long() {
    fn refused<M: Serialize>(message: &M) {
        assert_eq!(encode(message), Err(CodecError::OutOfBounds));
    }
    let long = || text(PATH_BYTES_MAX + 1);
    refused(&engine_config(long()));
    fn one_is<const N: usize>(at: usize, long: &str) -> [String; N] {
        std::array::from_fn(|n| if n == at { long.to_owned() } else { text(9) })
    }
    for at in 0..4 {
        refused(&listener_config(one_is(at, &long())));
    }
    for at in 0..2 {
        refused(&worker_config(one_is(at, &long()), vec![text(9)], text(2)));
    }
    for models in [vec![], vec![long()], vec![text(9); MODELS_MAX + 1], vec![text(MODELS_BYTES_MAX / 4 + 1); 4]] {
        refused(&worker_config([text(9), text(9)], models, text(2)));
    }
    refused(&worker_config([text(9), text(9)], vec![text(9)], text(LANGUAGE_BYTES_MAX + 1)));
    refused(&ToWorker::Transcribe(task_for(u8::try_from(MODELS_MAX).unwrap(), text(9), text(9), text(2))));
    refused(&source(text(URI_BYTES_MAX + 1)));
    refused(&output(text(URI_BYTES_MAX + 1)));
    refused(&opened(text(9), text(URI_BYTES_MAX + 1)));
    refused(&words(WORDS_MAX, WORD_BYTES_MAX + 1));
    refused(&words(WORDS_MAX + 1, 1));
    refused(&task(text(9), text(PROMPT_BYTES_MAX + 1), text(2)));
    refused(&task(text(9), text(9), text(LANGUAGE_BYTES_MAX + 1)));
    refused(&ToEngine::Credit { until: FrameIndex(FRAMES_MAX + 1) });
    for no_name in ["", ".", "..", "../a.wav", "/etc/passwd", "a\0b", &text(FILE_NAME_BYTES_MAX + 1)] {
        refused(&task(no_name.to_owned(), text(9), text(2)));
        refused(&FromListener::Spilled { id: JobId(1), file: no_name.to_owned() });
        refused(&FromListener::SetAside { id: JobId(1), file: Some(no_name.to_owned()) });
    }
}

#[test]
fn an_explanation_is_cut_and_arrives() {
    let FromWorker::Fault(said) = decode(&encode(&FromWorker::Fault("ä".repeat(50_000))).unwrap()).unwrap() else {
        panic!("another message")
    };
    assert!(said.len() <= REASON_BYTES_MAX && said.len() > REASON_BYTES_MAX - 5 && said.ends_with("ä..."), "{said}");
    let said = decode(&encode(&opened(text(50_000), text(9))).unwrap()).unwrap();
    assert!(matches!(said, FromEngine::SourceOpened { description, .. } if description.len() == DESCRIPTION_BYTES_MAX));
}

#[test]
fn what_another_process_says_is_held_to_the_same_bounds() {
    /// A number as the format has it.
    fn number(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 128 {
            bytes.push(u8::try_from(value & 127).unwrap() | 128);
            value >>= 7;
        }
        bytes.push(u8::try_from(value).unwrap());
        bytes
    }
    let said = |bytes: usize| [number(bytes as u64), vec![b'x'; bytes]].concat();
    let fault = |bytes: usize| decode::<FromWorker>(&[vec![5], said(bytes)].concat());
    assert!(fault(REASON_BYTES_MAX).is_ok());
    assert_eq!(fault(REASON_BYTES_MAX + 1), Err(CodecError::OutOfBounds));
    // A length that is not there is not believed.
    let lie = [vec![5], number(u64::MAX)].concat();
    assert!(matches!(decode::<FromWorker>(&lie), Err(CodecError::Malformed(_))));
    let finished = |frame: u64| decode::<FromListener>(&[vec![8, 1, b'a'], number(frame)].concat());
    assert!(finished(FRAMES_MAX).is_ok());
    assert_eq!(finished(FRAMES_MAX + 1), Err(CodecError::OutOfBounds));
    let configure = |models: &[&str]| {
        let paths = models.iter().flat_map(|path| [number(path.len() as u64), path.as_bytes().to_vec()].concat());
        let rest = [1, 2, b'e', b'n', 1, 3, 4];
        let begin = [1, 0, 0, u8::try_from(models.len()).unwrap()];
        decode::<ToWorker>(&begin.into_iter().chain(paths).chain(rest).collect::<Vec<u8>>())
    };
    assert!(configure(&["a"; MODELS_MAX]).is_ok());
    for models in [&[][..], &["a"; MODELS_MAX + 1], &[&text(PATH_BYTES_MAX + 1)], &[text(501).as_str(); 4]] {
        assert_eq!(configure(models), Err(CodecError::OutOfBounds), "{models:?}");
    }
    let spilled = |name: &str| decode::<FromListener>(&[vec![5, 1], number(name.len() as u64), name.into()].concat());
    assert!(spilled("a.wav").is_ok());
    assert_eq!(spilled("../a.wav"), Err(CodecError::OutOfBounds));
    assert_eq!(decode::<FromListener>(&[8, 1, b'/', 0]), Err(CodecError::OutOfBounds), "no name of a stream");
    assert!(matches!(decode::<FromWorker>(&[0; MESSAGE_BYTES_MAX + 1]), Err(CodecError::TooLarge { .. })));
    assert!(matches!(decode::<ToWorker>(&[3, 0]), Err(CodecError::Malformed(_))), "a byte too many");
}

#[test]
fn every_field_says_its_bound() {
    let files = [
        ("engine.rs", include_str!("../src/engine.rs")),
        ("job.rs", include_str!("../src/job.rs")),
        ("listener.rs", include_str!("../src/listener.rs")),
        ("role.rs", include_str!("../src/role.rs")),
        ("word.rs", include_str!("../src/word.rs")),
        ("worker.rs", include_str!("../src/worker.rs")),
    ];
    let mut bounded = 0;
    for (file, source) in files {
        let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for (at, line) in code.iter().enumerate() {
            let field = line.trim().strip_suffix(',').unwrap_or_default();
            let kind = field.rsplit_once(": ").map_or(field, |(_, kind)| kind);
            let many = kind.contains("Vec<") || kind.contains("Map<");
            assert!(!many || code[at - 1].contains("serde(with"), "{file}: how many may there be? {line}");
            // Nanoseconds and names of jobs are compared, and not counted with.
            let wants =
                kind.contains("String") || kind == "FrameIndex" || kind.ends_with("Option<u64>") || kind == "u64";
            if wants && !field.contains("_ns: ") {
                assert!(line.contains("serde(with") || code[at - 1].contains("serde(with"), "{file}: no bound: {line}");
                bounded += 1;
            }
        }
    }
    assert!(bounded > 40, "{bounded} fields seen: the test looks at the wrong place");
}

#[test]
fn fuzzing_begins_with_every_message() {
    let children = bodies::seeds(GOLDEN, false);
    let supervisors = bodies::seeds(GOLDEN, true);
    assert_eq!(children.len() + supervisors.len(), GOLDEN.lines().filter(|line| line.contains(" = ")).count());
    assert!(children.iter().all(|seed| bodies::from_child(seed)));
    assert!(supervisors.iter().all(|seed| bodies::to_child(seed)));
}

proptest! {
    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        bodies::from_child(&bytes);
        bodies::to_child(&bytes);
    }

    #[test]
    fn messages_with_some_bytes_changed_do_no_harm(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        for (towards_child, body) in [(false, bodies::from_child as fn(&[u8]) -> bool), (true, bodies::to_child)] {
            let seeds = bodies::seeds(GOLDEN, towards_child);
            let mut bytes = seed.get(&seeds).clone();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            body(&bytes);
        }
    }

    #[test]
    fn stream_names_are_file_names(name in "\\PC{0,40}") {
        if let Ok(name) = StreamName::new(name) {
            prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b)));
            prop_assert!((1..=StreamName::BYTES_MAX).contains(&name.as_str().len()));
        }
    }
}

//! The bytes of the protocol: pinned, bounded, and safe against strangers.

use control_protocol::*;
use proptest::prelude::*;
use shm_layout::{Epoch, FrameIndex};

fn hello() -> Hello {
    Hello { protocol: 1, role: Role::Worker, pid: 300, generation: 2 }
}

fn job() -> Job {
    Job {
        id: JobId::new(2, 7),
        kind: JobKind::Final,
        stream: StreamName::new("mic").unwrap(),
        epoch: Epoch(3),
        from: FrameIndex(100),
        to: FrameIndex(300),
        speech_end: FrameIndex(290),
        samples: Samples::Spill("a.wav".into()),
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
}

#[test]
fn golden_bytes() {
    let expected = [
        2, 0x87, 0x80, 0x80, 0x80, 0x20, 0, 3, b'm', b'i', b'c', 3, 100, 0xac, 0x02, 0xa2, 0x02, 1, 5, b'a', b'.',
        b'w', b'a', b'v',
    ];
    assert_eq!(encode(&ToWorker::Transcribe(job())).unwrap(), expected);
    assert_eq!(decode::<ToWorker>(&expected).unwrap(), ToWorker::Transcribe(job()));
    assert_eq!(encode(&ToWorker::Shutdown).unwrap(), [3]);
    assert_eq!(encode(&FromWorker::Done { id: JobId(1), compute_ms: 5 }).unwrap(), [3, 1, 5]);
    assert_eq!(encode(&ToEngine::Credit { until: FrameIndex(1) }).unwrap(), [4, 1]);
    assert_eq!(encode(&FromListener::SpilledAll).unwrap(), [6]);
    assert_eq!(encode(&FromEngine::Stopped).unwrap(), [6]);
    let dropped = FromEngine::Dropped { stream: StreamName::mix(), at: FrameIndex(1), frames: 2 };
    assert_eq!(encode(&dropped).unwrap(), [8, 3, b'm', b'i', b'x', 1, 2]);
    let failed =
        FromEngine::SourceFailed { stream: StreamName::mix(), reason: "r".into(), retry: true, exit: Exit::NoDevice };
    assert_eq!(encode(&failed).unwrap(), [2, 3, b'm', b'i', b'x', 1, b'r', 1, 10]);
    let error = Some(SourceError { reason: "r".into(), exit: Exit::CutOff });
    let ended = FromEngine::SourceEnded { stream: StreamName::mix(), at: FrameIndex(1), error };
    assert_eq!(encode(&ended).unwrap(), [5, 3, b'm', b'i', b'x', 1, 1, 1, b'r', 13]);
    // Rings carry these numbers in their tables.
    let causes = [GapCause::Underrun, GapCause::Overrun, GapCause::Xrun, GapCause::Disappeared, GapCause::EngineDown];
    assert_eq!(causes.map(|cause| cause as u32), [0, 1, 2, 3, 4]);
}

#[test]
fn bounds_hold() {
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    assert!(matches!(encode(&FromWorker::Fault(text)), Err(CodecError::TooLarge { .. })));
    assert!(matches!(decode::<FromWorker>(&[0; MESSAGE_BYTES_MAX + 1]), Err(CodecError::TooLarge { .. })));
    assert!(matches!(decode::<ToWorker>(&[3, 0]), Err(CodecError::Malformed(_))));
    // A segment with the longest text fits with all else at its largest.
    let segment = FromWorker::Segment {
        id: JobId(u64::MAX),
        from: FrameIndex(u64::MAX),
        to: FrameIndex(u64::MAX),
        text: "y".repeat(TEXT_BYTES_MAX),
        continued: true,
    };
    assert!(encode(&segment).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_at_all_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<ToEngine>(&bytes);
        let _ = decode::<FromEngine>(&bytes);
        let _ = decode::<ToListener>(&bytes);
        let _ = decode::<FromListener>(&bytes);
        let _ = decode::<ToWorker>(&bytes);
        let _ = decode::<FromWorker>(&bytes);
        let _ = greeting(&bytes);
    }

    #[test]
    fn split_text_joins_to_itself(text in "\\PC{0,3000}") {
        let pieces = split_text(&text);
        prop_assert!(pieces.iter().all(|p| p.len() <= TEXT_BYTES_MAX));
        prop_assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn stream_names_are_file_names(name in "\\PC{0,40}") {
        if let Ok(name) = StreamName::new(name) {
            prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b)));
            prop_assert!((1..=StreamName::BYTES_MAX).contains(&name.as_str().len()));
        }
    }
}

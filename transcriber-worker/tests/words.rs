//! Word errors of what we do, against whisper-rs's own parameters on whole clips.

mod common;

use common::{Clip, clips, errors};
use control_protocol::JobKind;
use transcriber_worker::recogniser::Recogniser;
use transcriber_worker::segment::{Look, Policy, Segmenter, Utterance};
use transcriber_worker::vad::{Detector, FRAME_SAMPLES};

/// A second of silence behind each clip.
const PAUSE_SAMPLES: usize = 16_000;

fn recogniser() -> Recogniser {
    Recogniser::load(&common::model(common::WHISPER), 1, "en").expect("the model")
}

fn utterances(detector: &mut Detector, samples: &[f32], policy: Policy) -> Vec<Utterance> {
    detector.reset();
    let mut segmenter = Segmenter::new(policy, 0, 0);
    let mut found: Vec<Utterance> = samples
        .as_chunks::<FRAME_SAMPLES>()
        .0
        .iter()
        .filter_map(|frame| {
            let probability = detector.probability(frame).expect("an answer");
            segmenter.push(Look { probability, power: frame.iter().map(|s| s * s).sum() })
        })
        .collect();
    found.extend(segmenter.finish(samples.len() as u64));
    found
}

fn write_down(recogniser: &mut Recogniser, kind: JobKind, samples: &[f32], utterances: &[Utterance]) -> String {
    let mut text = Vec::new();
    for utterance in utterances {
        let place = |sample: u64| usize::try_from(sample).expect("small");
        let (from, to) = (place(utterance.from), place(utterance.to));
        let begin = std::time::Instant::now();
        let pieces = recogniser.transcribe(kind, &samples[from..to], place(utterance.speech_end) - from);
        let pieces = pieces.expect("a text");
        eprintln!("{kind:?} {:.2} s in {:?}", (to - from) as f64 / 16e3, begin.elapsed());
        text.extend(pieces.into_iter().map(|piece| piece.text));
    }
    text.join(" ")
}

fn joined(clips: &[Clip]) -> (Vec<f32>, String) {
    let mut samples = Vec::new();
    for clip in clips {
        samples.extend_from_slice(&clip.samples);
        samples.resize(samples.len() + PAUSE_SAMPLES, 0.0);
    }
    (samples, clips.iter().map(|clip| clip.transcript.as_str()).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_recording_is_written_down_as_well_as_by_whisper_alone() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    let mut recogniser = recogniser();
    let files: Vec<_> = clips().iter().map(|clip| common::folder().join(&clip.file)).collect();
    let mut direct = Vec::new();
    transcriber_worker::direct::run(&common::model(common::WHISPER), 1, &files, &mut direct).expect("whisper-rs");
    let direct = String::from_utf8(direct).expect("JSON");
    for (clip, line) in clips().iter().zip(direct.lines()) {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let alone = errors(line["text"].as_str().expect("a text"), &clip.transcript);
        let found = utterances(&mut detector, &clip.samples, Policy::OFFLINE);
        let ours = write_down(&mut recogniser, JobKind::Offline, &clip.samples, &found);
        let errors = errors(&ours, &clip.transcript);
        eprintln!("{}: whisper-rs {alone}, ours {errors}", clip.file);
        assert!(errors <= alone, "{}: {errors} errors in {ours:?}, whisper-rs makes {alone}", clip.file);
    }
}

#[test]
fn live_speech_costs_two_words_at_most() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    let mut recogniser = recogniser();
    let (samples, transcript) = joined(&clips());
    let whole = utterances(&mut detector, &samples, Policy::OFFLINE);
    let pieces = utterances(&mut detector, &samples, Policy::LIVE);
    assert!(whole.len() < pieces.len() && pieces.len() >= 6, "{whole:?} {pieces:?}");
    let offline = write_down(&mut recogniser, JobKind::Offline, &samples, &whole);
    let live = write_down(&mut recogniser, JobKind::Final, &samples, &pieces);
    let (offline_errors, live_errors) = (errors(&offline, &transcript), errors(&live, &transcript));
    eprintln!("offline {offline_errors}: {offline}\nlive {live_errors}: {live}");
    assert!(offline_errors <= 5, "{offline_errors} errors in {offline:?}");
    assert!(live_errors <= offline_errors + 2, "{live_errors} errors in {live:?}, offline {offline_errors}");
}

#[test]
fn what_is_no_speech_gives_no_text() {
    let mut recogniser = recogniser();
    let silence = vec![0.0; 3 * 16_000];
    for kind in [JobKind::Final, JobKind::Partial] {
        let pieces = recogniser.transcribe(kind, &silence, 0).expect("an answer");
        eprintln!("{kind:?} silence: {pieces:?}");
    }
    assert_eq!(recogniser.transcribe(JobKind::Final, &[0.0; 160], 0).expect("an answer"), []);
}

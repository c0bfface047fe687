//! Word errors of what we do, against whisper-rs's own parameters on whole clips.

mod common;

use audio_dsp::{Signal, SignalSource};
use common::{Clip, clips, errors};
use control_protocol::JobKind;
use std::sync::OnceLock;
use transcriber_worker::recogniser::{Recogniser, Speech};
use transcriber_worker::segment::{Look, Policy, Segmenter, Utterance};
use transcriber_worker::vad::{Detector, FRAME_SAMPLES};

/// A second of silence behind each clip.
const PAUSE_SAMPLES: usize = 16_000;

fn recogniser(kind: JobKind) -> Recogniser {
    Recogniser::load(&common::model(common::WHISPER), 1, "en", kind != JobKind::Offline).expect("the model")
}

fn utterances(detector: &mut Detector, samples: &[f32], policy: Policy) -> Vec<Utterance> {
    detector.reset();
    let mut segmenter = Segmenter::new(policy, 0, 0);
    let mut found: Vec<Utterance> = samples
        .as_chunks::<FRAME_SAMPLES>()
        .0
        .iter()
        .filter_map(|frame| {
            let probability = detector.probability(frame);
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
        let (samples, speech_end) = (&samples[from..to], place(utterance.speech_end) - from);
        let speech = Speech { kind, samples, speech_end, prompt: "", language: "en" };
        text.extend(recogniser.transcribe(&speech).expect("a text").into_iter().map(|word| word.text));
    }
    text.concat()
}

fn joined(clips: &[Clip]) -> (Vec<f32>, String) {
    let mut samples = Vec::new();
    for clip in clips {
        samples.extend_from_slice(&clip.samples);
        samples.resize(samples.len() + PAUSE_SAMPLES, 0.0);
    }
    (samples, clips.iter().map(|clip| clip.transcript.as_str()).collect::<Vec<_>>().join(" "))
}

/// Word errors of ours and of whisper-rs alone in each clip, as a recording; counted once.
fn recorded() -> &'static [(usize, usize)] {
    static ERRORS: OnceLock<Vec<(usize, usize)>> = OnceLock::new();
    ERRORS.get_or_init(|| {
        let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
        let mut recogniser = recogniser(JobKind::Offline);
        let files: Vec<_> = clips().iter().map(|clip| common::folder().join(&clip.file)).collect();
        let mut direct = Vec::new();
        transcriber_worker::direct::run(&common::model(common::WHISPER), 1, &files, &mut direct).expect("whisper-rs");
        let direct = String::from_utf8(direct).expect("JSON");
        assert_eq!(direct.lines().count(), 6);
        let count = |(clip, line): (&Clip, &str)| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let alone = errors(line["text"].as_str().expect("a text"), &clip.transcript);
            let found = utterances(&mut detector, &clip.samples, Policy::OFFLINE);
            (errors(&write_down(&mut recogniser, JobKind::Offline, &clip.samples, &found), &clip.transcript), alone)
        };
        clips().iter().zip(direct.lines()).map(count).collect()
    })
}

#[test]
fn a_recording_is_written_down_as_well_as_by_whisper_alone() {
    for (clip, &(ours, alone)) in clips().iter().zip(recorded()) {
        assert!(ours <= alone, "{}: {ours} errors, whisper-rs alone makes {alone}", clip.file);
    }
}

#[test]
fn live_speech_costs_two_words_at_most() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    let (mut recorder, mut recogniser) = (recogniser(JobKind::Offline), recogniser(JobKind::Final));
    let (samples, transcript) = joined(&clips());
    let whole = utterances(&mut detector, &samples, Policy::OFFLINE);
    let pieces = utterances(&mut detector, &samples, Policy::LIVE);
    assert!(whole.len() < pieces.len() && pieces.len() >= 6, "{whole:?} {pieces:?}");
    let recorded: usize = recorded().iter().map(|&(ours, _)| ours).sum();
    let offline = write_down(&mut recorder, JobKind::Offline, &samples, &whole);
    let live = write_down(&mut recogniser, JobKind::Final, &samples, &pieces);
    let (offline_errors, live_errors) = (errors(&offline, &transcript), errors(&live, &transcript));
    eprintln!("clips {recorded}\njoined {offline_errors}: {offline}\nlive {live_errors}: {live}");
    assert!(offline_errors <= recorded, "{offline_errors} errors in {offline:?}, clip by clip {recorded}");
    assert!(live_errors <= recorded + 2, "{live_errors} errors in {live:?}, clip by clip {recorded}");
}

#[test]
fn what_is_no_speech_gives_no_text() {
    let (mut recorder, mut recogniser) = (recogniser(JobKind::Offline), recogniser(JobKind::Final));
    let nothing = Speech { kind: JobKind::Final, samples: &[], speech_end: 0, prompt: "", language: "en" };
    for signal in [Signal::Silence, Signal::Noise, Signal::Tone { hz: 440.0 }] {
        let mut samples = vec![0.0; 3 * 16_000];
        SignalSource::new(signal, 16_000).fill(&mut samples, 1);
        samples.iter_mut().for_each(|sample| *sample *= 0.1);
        for kind in [JobKind::Final, JobKind::Partial, JobKind::Offline] {
            let speech = Speech { kind, samples: &samples, speech_end: samples.len(), ..nothing };
            let by = if kind == JobKind::Offline { &mut recorder } else { &mut recogniser };
            assert_eq!(by.transcribe(&speech).expect("an answer"), [], "{signal:?} as {kind:?}");
        }
    }
    assert_eq!(recogniser.transcribe(&nothing).expect("an answer"), []);
}

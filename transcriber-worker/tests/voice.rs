//! The voice detector on real speech and on what is no speech.

mod common;

use audio_dsp::{Signal, SignalSource};
use transcriber_worker::vad::{Detector, FRAME_SAMPLES};

fn probabilities(detector: &mut Detector, samples: &[f32]) -> Vec<f32> {
    detector.reset();
    let frames = samples.as_chunks::<FRAME_SAMPLES>().0;
    frames.iter().map(|frame| detector.probability(frame)).collect()
}

fn share_of_speech(probabilities: &[f32]) -> f64 {
    let spoken = u32::try_from(probabilities.iter().filter(|&&p| p >= 0.5).count()).expect("few");
    f64::from(spoken) / f64::from(u32::try_from(probabilities.len()).expect("few"))
}

#[test]
fn speech_is_heard() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    for clip in common::clips() {
        let share = share_of_speech(&probabilities(&mut detector, &clip.samples));
        assert!(share > 0.6, "{}: only {share:.2} of it", clip.file);
    }
}

#[test]
fn silence_noise_and_tones_are_not_heard() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    for signal in [Signal::Silence, Signal::Noise, Signal::Tone { hz: 440.0 }, Signal::Tone { hz: 1_000.0 }] {
        let mut samples = vec![0.0; 10 * 16_000];
        SignalSource::new(signal, 16_000).fill(&mut samples, 1);
        let heard = probabilities(&mut detector, &samples);
        assert_eq!(share_of_speech(&heard), 0.0, "{signal:?}");
        assert_eq!(heard.len(), 312);
    }
}

#[test]
fn a_stream_is_remembered_and_forgotten() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    let clip = &common::clips()[0].samples;
    let first = probabilities(&mut detector, clip);
    assert_eq!(probabilities(&mut detector, clip), first, "a reset detector is as new");
    assert_eq!(probabilities(&mut detector.sibling(), clip), first, "a sibling is as new");
    let cold: Vec<f32> = clip
        .as_chunks::<FRAME_SAMPLES>()
        .0
        .iter()
        .map(|frame| {
            detector.reset();
            detector.probability(frame)
        })
        .collect();
    assert_ne!(cold, first, "the detector remembers what it heard");
}

#[test]
fn a_minute_of_a_gliding_tone_makes_nobody_deaf() {
    let mut detector = Detector::load(&common::model(common::VAD)).expect("the model");
    let mut phase = 0.0;
    let siren = (0_u16..60 * 50).flat_map(|turn| {
        // 20 ms each, and as long a way up as down.
        let hz = 500.0 * 2_f32.powf((f32::from(turn) / 25.0).sin());
        std::iter::repeat_n(hz, 320)
    });
    let siren: Vec<f32> = siren
        .map(|hz| {
            phase = (phase + hz / 16_000.0) % 1.0;
            0.3 * (std::f32::consts::TAU * phase).sin()
        })
        .collect();
    let mut heard_after = |before: &[f32], clip: &[f32]| {
        let heard = probabilities(&mut detector, &[before, &[0.0; 16_000], clip].concat());
        let begin = (before.len() + 16_000) / FRAME_SAMPLES;
        assert!(heard[..begin].iter().all(|&p| p < 0.5), "a siren is nobody's voice");
        heard[begin..].iter().position(|&p| p >= 0.5).expect("the voice is heard")
    };
    for clip in common::clips() {
        let (quiet, loud) = (heard_after(&[], &clip.samples), heard_after(&siren, &clip.samples));
        // What is heard before the first sign of speech counts as speech, and is longer.
        assert!(loud < quiet + 14, "{}: {} ms later", clip.file, (loud - quiet) * 32);
    }
}

#[test]
fn another_model_is_refused_by_name() {
    let refused = Detector::load(&common::model(common::WHISPER)).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|reason| reason.contains(common::WHISPER)));
}

//! What a recogniser takes for good: as much as the longest sound that it has heard needs, and nothing for each one heard.

mod common;

use control_protocol::JobKind;
use transcriber_worker::recogniser::{Recogniser, Speech};

/// How much of a clip partials hear, in samples: 1.5 s, 3 s, 4.5 s…
const STEP_SAMPLES: usize = 24_000;
/// After so many rounds, memory has reached what the longest of these sounds needs.
const FIRST_ROUNDS: usize = 3;
/// Rounds that follow.
const MORE_ROUNDS: usize = 4;
/// How much these may add, in kB. They are 16 jobs, and each has some 40 MB of its own while it lasts.
const GROWTH_KB_MAX: u64 = 512;

/// Anonymous memory of this process.
fn anonymous_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("my status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn the_same_sounds_again_and_again_take_no_more_memory() {
    let mut recogniser = Recogniser::load(&common::model(common::WHISPER), 1, "en", true).expect("the model");
    let clips = common::clips();
    let clip = clips.iter().find(|clip| clip.file == "librivox_0890.wav").expect("a clip of 5.3 s");
    let mut round = |number: usize| {
        let mut hear = |kind, samples: &[f32]| {
            let speech = Speech { kind, samples, speech_end: samples.len(), prompt: "", language: "en" };
            assert!(!recogniser.transcribe(&speech).expect("a text").is_empty(), "round {number}: nothing was heard");
        };
        for heard in (STEP_SAMPLES..clip.samples.len()).step_by(STEP_SAMPLES) {
            hear(JobKind::Partial, &clip.samples[..heard]);
        }
        hear(JobKind::Final, &clip.samples);
        anonymous_kb()
    };
    let first: Vec<u64> = (0..FIRST_ROUNDS).map(&mut round).collect();
    let more: Vec<u64> = (FIRST_ROUNDS..FIRST_ROUNDS + MORE_ROUNDS).map(&mut round).collect();
    let (before, after) = (first.iter().max().expect("rounds"), more.iter().max().expect("rounds"));
    assert!(*after <= before + GROWTH_KB_MAX, "memory has grown from {first:?} to {more:?} kB");
}

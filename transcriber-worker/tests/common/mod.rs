//! What several tests need: the models, the clips, and a count of word errors.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};

/// The voice detector's file name.
pub const VAD: &str = "silero_vad_16k_op15.onnx";
/// The recogniser's file name.
pub const WHISPER: &str = "ggml-tiny.en.bin";

/// A model of the cache folder. Tests that need one fail without it, loudly.
pub fn model(name: &str) -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = || variable("XDG_CACHE_HOME").unwrap_or_else(home).join("tympan/models");
    let path = variable("TYMPAN_MODELS").unwrap_or_else(cache).join(name);
    assert!(path.is_file(), "{} is missing: run scripts/fetch-model", path.display());
    path
}

/// One clip of the project.
pub struct Clip {
    /// Its file name.
    pub file: String,
    /// 16 kHz, mono.
    pub samples: Vec<f32>,
    /// What is said.
    pub transcript: String,
}

/// Where the clips are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../speech")
}

/// The six clips of the project.
pub fn clips() -> Vec<Clip> {
    let manifest = std::fs::read_to_string(folder().join("manifest.json")).expect("the clips' manifest");
    let manifest: Vec<serde_json::Value> = serde_json::from_str(&manifest).expect("valid JSON");
    let clips: Vec<Clip> = manifest
        .iter()
        .map(|entry| {
            let file = entry["file"].as_str().expect("a name").to_owned();
            let transcript = entry["transcript"].as_str().expect("a transcript").to_owned();
            let samples = transcriber_worker::samples::read_wav(&folder().join(&file)).expect("a clip");
            Clip { file, samples, transcript }
        })
        .collect();
    assert_eq!(clips.len(), 6);
    clips
}

/// Words of a text: lower case, no punctuation, hyphens apart, "mr" spelt out.
fn words(text: &str) -> Vec<String> {
    let plain = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let spelt = |word: String| if word == "mr" { "mister".into() } else { word };
    let text = text.to_lowercase().replace('-', " ");
    text.split_whitespace().map(plain).filter(|word| !word.is_empty()).map(spelt).collect()
}

/// Words that have to be changed, left out or added to make one text the other.
pub fn errors(text: &str, truth: &str) -> usize {
    let (text, truth) = (words(text), words(truth));
    let mut row: Vec<usize> = (0..=truth.len()).collect();
    for (i, word) in text.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, true_word) in truth.iter().enumerate() {
            let changed = diagonal + usize::from(word != true_word);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[truth.len()]
}

//! The six clips, alone and joined.

use crate::{TimedWord, workspace_root};
use anyhow::{Context, Result, ensure};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use serde::Deserialize;
use std::io::{Cursor, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The files of `speech/`.
pub const CLIPS: [&str; 6] = [
    "jfk.wav",
    "librivox_0870.wav",
    "librivox_0880.wav",
    "librivox_0890.wav",
    "librivox_0920.wav",
    "librivox_0930.wav",
];

/// Rate of all clips.
const RATE_HZ: u32 = 16_000;

/// A clip as the manifest has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Clip {
    /// Its file name.
    pub file: String,
    /// What is said in it.
    pub transcript: String,
}

/// When the words of a clip are heard, as `times.json` has it.
#[derive(Debug, Deserialize)]
struct Times {
    file: String,
    words: Vec<Time>,
}

#[derive(Debug, Deserialize)]
struct Time {
    word: String,
    start_s: f64,
    end_s: f64,
}

/// The path of a clip.
#[must_use]
pub fn clip_file(name: &str) -> PathBuf {
    workspace_root().join("speech").join(name)
}

/// A file of several clips with pauses before, between and after them.
#[derive(Debug)]
pub struct Speech {
    folder: TempDir,
    samples: Vec<i16>,
    clips: Vec<(Clip, Range<f64>)>,
}

impl Speech {
    /// Joins clips by pauses of about a second: quiet noise, drawn from a fixed seed.
    ///
    /// # Errors
    /// When a clip is missing.
    pub fn join(names: &[&str]) -> Result<Self> {
        let manifest: Vec<Clip> = serde_json::from_str(&std::fs::read_to_string(clip_file("manifest.json"))?)?;
        let mut noise = Noise(0x5EED);
        let mut samples = Vec::new();
        let mut clips = Vec::new();
        for name in names {
            noise.pause(&mut samples);
            let clip = manifest
                .iter()
                .find(|clip| clip.file == *name)
                .with_context(|| format!("{name}: not in the manifest"))?;
            let from_s = seconds(samples.len());
            let mut reader = WavReader::open(clip_file(name)).with_context(|| (*name).to_owned())?;
            let spec = reader.spec();
            ensure!(
                spec.sample_rate == RATE_HZ && spec.channels == 1 && spec.bits_per_sample == 16,
                "{name}: {spec:?}"
            );
            for sample in reader.samples::<i16>() {
                samples.push(sample?);
            }
            clips.push((clip.clone(), from_s..seconds(samples.len())));
        }
        noise.pause(&mut samples);
        noise.pause(&mut samples);
        let speech = Self { folder: tempfile::tempdir()?, samples, clips };
        std::fs::write(speech.file(), speech.wav()?)?;
        Ok(speech)
    }

    /// The joined file: WAV, 16 kHz, mono, 16 bit.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("joined.wav")
    }

    /// `file:` and its path.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("file:{}", self.file().display())
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds(self.samples.len())
    }

    /// The clips' file names, in their order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.clips.iter().map(|(clip, _)| clip.file.as_str())
    }

    /// When the `n`-th clip is heard, in seconds from the beginning of the file.
    #[must_use]
    pub fn span_s(&self, n: usize) -> Range<f64> {
        self.clips[n].1.clone()
    }

    /// All that is said.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.clips.iter().map(|(clip, _)| clip.transcript.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// All that is said, word by word, with the times that another aligner found.
    ///
    /// # Errors
    /// When the times of a clip are missing.
    pub fn timed(&self) -> Result<Vec<TimedWord>> {
        let known: Vec<Times> = serde_json::from_str(&std::fs::read_to_string(clip_file("times.json"))?)?;
        let mut words = Vec::new();
        for (clip, span_s) in &self.clips {
            let times = known.iter().find(|times| times.file == clip.file);
            let times = times.with_context(|| format!("{}: no times", clip.file))?;
            words.extend(times.words.iter().map(|word| TimedWord {
                text: word.word.clone(),
                start_s: span_s.start + word.start_s,
                end_s: span_s.start + word.end_s,
            }));
        }
        Ok(words)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// Never in practice: memory takes all.
    pub fn wav(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let spec = WavSpec { channels: 1, sample_rate: RATE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::new(&mut bytes, spec)?;
        self.samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
        writer.finalize()?;
        Ok(bytes.into_inner())
    }

    /// Writes the file as fast as it would be spoken, a fiftieth of a second at a time, then closes.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn speak_into(&self, mut to: impl Write) -> Result<()> {
        let begin = Instant::now();
        let wav = self.wav()?;
        let piece_bytes = 2 * RATE_HZ as usize / 50;
        for (n, piece) in (0_u32..).zip(wav.chunks(piece_bytes)) {
            let due = begin + n * Duration::from_millis(20);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            to.write_all(piece)?;
            to.flush()?;
        }
        Ok(())
    }

    /// Where it lies, for other files of the same test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn seconds(frames: usize) -> f64 {
    frames as f64 / f64::from(RATE_HZ)
}

/// xorshift64: the same pauses in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0.95 to 1.05 s of noise 80 dB below full scale.
    fn pause(&mut self, samples: &mut Vec<i16>) {
        let frames = 15_200 + self.next() % 1_600;
        for _ in 0..frames {
            samples.push(i16::try_from(self.next() % 7).unwrap_or(0) - 3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_clips_lie_where_they_say() {
        let speech = Speech::join(&CLIPS).expect("clips");
        assert!((41.0..45.0).contains(&speech.seconds()), "{}", speech.seconds());
        assert!(speech.transcript().starts_with("and so my fellow americans"));
        let words = speech.timed().expect("times");
        assert!(words.is_sorted_by(|a, b| a.start_s <= b.start_s) && words.len() > 80, "{} words", words.len());
        assert!(words[0].start_s > speech.span_s(0).start && words[0].text == "and", "{:?}", words[0]);
        let third = speech.span_s(2);
        assert!((third.end - third.start - 2.99).abs() < 0.01, "{third:?}");
        let bytes = std::fs::read(speech.file()).expect("file");
        assert_eq!(bytes, Speech::join(&CLIPS).expect("clips").wav().expect("wav"), "the same in every run");
        assert_eq!(WavReader::new(&bytes[..]).expect("wav").duration() as usize, speech.samples.len());
    }
}

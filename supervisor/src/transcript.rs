//! Transcripts of recordings, in four formats.

use crate::cli::Format;
use serde::Serialize;
use std::fmt::Write;

/// A stretch of speech with its words. Times are seconds from the beginning of the recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TimedText {
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
    /// The words.
    pub text: String,
}

/// A recording, written down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Transcript {
    /// The recording, as it was named.
    pub file: String,
    /// All words.
    pub text: String,
    /// The words with their times.
    pub segments: Vec<TimedText>,
    /// The recogniser's model.
    pub model: String,
    /// How long the recording is, where known.
    pub duration_s: Option<f64>,
    /// Frames (at 16 kHz) whose words are missing.
    pub lost_frames: u64,
    /// What went wrong, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Transcript {
    /// The transcript as a file of this format.
    ///
    /// # Errors
    /// Never for these types; JSON could refuse.
    pub(crate) fn render(&self, format: Format) -> serde_json::Result<String> {
        Ok(match format {
            Format::Txt => {
                format!("{}\n", self.segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join("\n"))
            }
            Format::Json => format!("{}\n", serde_json::to_string(self)?),
            Format::Srt => {
                let mut out = String::new();
                for (at, segment) in self.segments.iter().enumerate() {
                    let (from, to) = (stamp(segment.start_s, ','), stamp(segment.end_s, ','));
                    let _ = write!(out, "{}\n{from} --> {to}\n{}\n\n", at + 1, cue(&segment.text));
                }
                out
            }
            Format::Vtt => {
                let mut out = "WEBVTT\n\n".to_owned();
                for segment in &self.segments {
                    let (from, to) = (stamp(segment.start_s, '.'), stamp(segment.end_s, '.'));
                    let text = segment.text.replace('&', "&amp;").replace('<', "&lt;");
                    let _ = write!(out, "{from} --> {to}\n{}\n\n", cue(&text));
                }
                out
            }
        })
    }
}

/// A cue ends at an empty line and may not hold an arrow.
fn cue(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("-->", "->")
}

/// `hh:mm:ss,mmm` (SubRip) or `hh:mm:ss.mmm` (WebVTT, W3C).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are finite, not negative, and small"
)]
fn stamp(seconds: f64, point: char) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (s, m, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    format!("{h:02}:{:02}:{:02}{point}{:03}", m % 60, s % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Transcript {
        let segment = |start_s, end_s, text: &str| TimedText { start_s, end_s, text: text.into() };
        Transcript {
            file: "a.wav".into(),
            text: "Hello. A < B & C".into(),
            segments: vec![segment(0.5, 1.25, "Hello."), segment(3661.0, 3662.0005, "A < B\n\n& C")],
            model: "ggml-tiny.en.bin".into(),
            duration_s: None,
            lost_frames: 0,
            error: None,
        }
    }

    #[test]
    fn subtitles_have_their_stamps_and_no_empty_line_inside() {
        let srt = sample().render(Format::Srt).unwrap();
        let expected = "1\n00:00:00,500 --> 00:00:01,250\nHello.\n\n2\n01:01:01,000 --> 01:01:02,001\nA < B & C\n\n";
        assert_eq!(srt, expected);
        let vtt = sample().render(Format::Vtt).unwrap();
        assert!(vtt.starts_with("WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nHello.\n\n"));
        assert!(vtt.ends_with("A &lt; B &amp; C\n\n"));
    }

    #[test]
    fn json_has_what_programs_read() {
        let value: serde_json::Value = serde_json::from_str(&sample().render(Format::Json).unwrap()).unwrap();
        assert_eq!(value["segments"][0]["start_s"], 0.5);
        assert_eq!(value["lost_frames"], 0);
        assert_eq!(value["model"], "ggml-tiny.en.bin");
    }
}

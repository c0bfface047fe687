//! A word, where it was spoken.

use crate::bounds;
use serde::{Deserialize, Serialize};
use shm_layout::FrameIndex;

/// The longest word, in bytes; a longer one is sent as several that join without a space.
pub const WORD_BYTES_MAX: usize = 128;

/// The most words of one message.
pub const WORDS_MAX: usize = 24;

/// A word as it was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// As it joins the text before: with the space between them, and with its punctuation.
    #[serde(with = "bounds::word")]
    pub text: String,
    /// Its first frame.
    #[serde(with = "bounds::frame")]
    pub from: FrameIndex,
    /// One past its last frame.
    #[serde(with = "bounds::frame")]
    pub to: FrameIndex,
    /// The recogniser's probability for the least sure part of it, in percent.
    pub confidence: u8,
    /// Whether it begins a line, as recordings have them.
    pub line: bool,
}

/// The text of some words.
#[must_use]
pub fn text_of(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<String>().trim().to_owned()
}

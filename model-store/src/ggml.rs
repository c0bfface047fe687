//! Whether a file is a Whisper model as whisper.cpp reads it, and whole: the header is read, and every tensor's place
//! is followed to the end of the file, without reading the weights.

use crate::walk::Walk;
use std::fmt;
use std::path::Path;
use thiserror::Error;

/// Whisper's vocabulary for many languages; the English one is smaller by one.
const WORDS_MULTILINGUAL: u32 = 51_865;

/// What the beginning of a model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Words in its vocabulary.
    pub words: u32,
    /// Layers of its encoder.
    pub audio_layers: u32,
    /// How its weights are stored, by ggml's number.
    pub weights_kind: u32,
}

/// Why a file is no Whisper model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotGgml {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// A folder, a device.
    #[error("it is not a file")]
    NotAFile,
    /// Another beginning.
    #[error("it is not a whisper.cpp model (ggml){}", hint(.0))]
    Magic([u8; 4]),
    /// Sizes that no Whisper model has.
    #[error("its header makes no sense ({0})")]
    Header(String),
    /// It ends before its end.
    #[error("it ends too soon: {has} bytes are there and its header promises more; copy or fetch it again")]
    Truncated {
        /// Its size.
        has: u64,
    },
    /// Its weights are damaged, or not of 16 or 32 bits, and were to be made smaller.
    #[error("its weights cannot be made smaller: {0}")]
    Weights(String),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

fn hint(magic: &[u8; 4]) -> &'static str {
    match magic {
        b"GGUF" => "; it is GGUF, which other programs use",
        b"PK\x03\x04" => "; it is an archive, perhaps OpenAI's own format: whisper.cpp converts that",
        [b'<', ..] => "; it is a web page, not the file that the page is about",
        b"vers" => "; it is a Git LFS pointer: fetch the file itself",
        _ => "",
    }
}

impl Header {
    /// Whether it knows more languages than English.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.words >= WORDS_MULTILINGUAL
    }

    /// How its weights are stored.
    #[must_use]
    pub fn weights(&self) -> &'static str {
        // The version of a quantisation is kept in thousands.
        match self.weights_kind % 1_000 {
            0 => "f32",
            1 => "f16",
            2 => "q4_0",
            3 => "q4_1",
            7 => "q8_0",
            8 => "q5_0",
            9 => "q5_1",
            10 => "q2_k",
            11 => "q3_k",
            12 => "q4_k",
            13 => "q5_k",
            14 => "q6_k",
            _ => "other",
        }
    }

    /// The size of model, by the depth of its encoder.
    #[must_use]
    pub fn size(&self) -> &'static str {
        match self.audio_layers {
            4 => "tiny",
            6 => "base",
            12 => "small",
            24 => "medium",
            32 => "large",
            _ => "other",
        }
    }

    /// Reads the header of a file and sees that all it promises is there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Self, NotGgml> {
        let mut walk = Walk::begin(path)?;
        let header = walk.header()?;
        while let Some(tensor) = walk.tensor()? {
            walk.skip(tensor.bytes)?;
        }
        Ok(header)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let languages = if self.is_multilingual() { "multilingual" } else { "English" };
        write!(f, "{}, {languages}, {}", self.size(), self.weights())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::walk::MAGIC;

    /// A model of one word and two tensors.
    pub(crate) fn small_model() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |numbers: &[u32]| numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
        put(&[MAGIC, 51_864, 1_500, 384, 6, 4, 448, 384, 6, 4, 80, 1]);
        put(&[80, 201]);
        put(&vec![0; 80 * 201]);
        put(&[1, 2]);
        bytes.extend_from_slice(b"hi");
        // F16, 4 × 2.
        for number in [2_u32, 5, 1, 4, 2] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(b"first");
        bytes.extend_from_slice(&[7; 16]);
        // Q8_0, 64 values.
        for number in [1_u32, 6, 8, 64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(b"second");
        bytes.extend_from_slice(&[7; 68]);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Header, NotGgml> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Header::read(file.path())
    }

    #[test]
    fn a_whole_model_says_what_it_is() {
        let header = read(&small_model()).unwrap();
        assert_eq!(header.to_string(), "tiny, English, f16");
        assert!(!header.is_multilingual());
    }

    #[test]
    fn a_model_cut_anywhere_is_noticed() {
        let whole = small_model();
        // Cut between the tensors it is a model of one tensor: only the hash can tell.
        let between = whole.len() - (16 + 6 + 68);
        for length in (1..whole.len()).rev().step_by(37).chain([1, 4, 47, whole.len() - 1]) {
            if length != between {
                assert!(matches!(read(&whole[..length]), Err(NotGgml::Truncated { .. })), "cut at {length}");
            }
        }
        assert!(read(&whole[..between]).is_ok());
    }

    #[test]
    fn other_files_are_named() {
        let why = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert_eq!(why(b""), "it is empty");
        assert!(why(b"GGUF and more").contains("GGUF"));
        assert!(why(b"<!DOCTYPE html>").contains("web page"));
        assert!(why(b"version https://git-lfs").contains("LFS"));
        assert!(why(b"RIFF and more").contains("not a whisper.cpp model"));
        let mut huge = small_model();
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(why(&huge).contains("words"));
        assert_eq!(Header::read(Path::new("/")), Err(NotGgml::NotAFile));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = small_model();
        let mut seed = 1_u32;
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                let at = if at.is_multiple_of(3) { at % 60 } else { at };
                bytes[at] = seed.to_le_bytes()[2];
            }
            // Whatever it says, it says it.
            let _ = read(&bytes);
        }
    }
}

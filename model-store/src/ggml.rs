//! Whether a file is a Whisper model as whisper.cpp reads it, and whole: the header is read, and every tensor's place
//! is followed to the end of the file, without reading the weights.
//!
//! The format: 12 numbers of 32 bits (magic, eleven sizes), the filters of the spectrogram, the words, then the
//! tensors, each with its shape, its name and its values. All little-endian.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use thiserror::Error;

/// `ggml`, as a number.
const MAGIC: u32 = 0x6767_6d6c;

/// Whisper's vocabulary for many languages; the English one is smaller by one.
const WORDS_MULTILINGUAL: u32 = 51_865;

/// No Whisper model has nearly as many.
const TENSORS_MAX: u32 = 10_000;

/// Longest name of a tensor, and of a word.
const NAME_BYTES_MAX: u32 = 4_096;

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
        let unreadable = |e: io::Error| NotGgml::Unreadable(e.to_string());
        let file = File::open(path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if !meta.is_file() {
            return Err(NotGgml::NotAFile);
        }
        if meta.len() == 0 {
            return Err(NotGgml::Empty);
        }
        let mut walk = Walk { file: BufReader::with_capacity(64 << 10, file), at: 0, bytes: meta.len() };
        let header = walk.header()?;
        walk.tensors()?;
        Ok(header)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let languages = if self.is_multilingual() { "multilingual" } else { "English" };
        write!(f, "{}, {languages}, {}", self.size(), self.weights())
    }
}

/// A walk through a file, from front to back.
struct Walk {
    file: BufReader<File>,
    at: u64,
    bytes: u64,
}

impl Walk {
    fn header(&mut self) -> Result<Header, NotGgml> {
        let mut magic = [0; 4];
        self.take(&mut magic)?;
        if u32::from_le_bytes(magic) != MAGIC {
            return Err(NotGgml::Magic(magic));
        }
        let mut numbers = [0; 11];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let [
            words,
            audio_ctx,
            audio_state,
            audio_heads,
            audio_layers,
            text_ctx,
            text_state,
            text_heads,
            text_layers,
            mels,
            weights,
        ] = numbers;
        let sizes = [
            ("words", words, 1..200_000),
            ("audio context", audio_ctx, 1..100_000),
            ("audio state", audio_state, 1..20_000),
            ("audio heads", audio_heads, 1..1_000),
            ("audio layers", audio_layers, 1..1_000),
            ("text context", text_ctx, 1..100_000),
            ("text state", text_state, 1..20_000),
            ("text heads", text_heads, 1..1_000),
            ("text layers", text_layers, 1..1_000),
            ("spectrogram bands", mels, 1..1_000),
        ];
        for (what, size, range) in sizes {
            if !range.contains(&size) {
                return Err(NotGgml::Header(format!("{what}: {size}")));
            }
        }
        let (bands, width) = (self.number()?, self.number()?);
        if bands != mels || !(1..10_000).contains(&width) {
            return Err(NotGgml::Header(format!("filters: {bands} × {width}")));
        }
        self.skip(u64::from(bands) * u64::from(width) * 4)?;
        let listed = self.number()?;
        if listed > words {
            return Err(NotGgml::Header(format!("{listed} words of {words}")));
        }
        for _ in 0..listed {
            let length = self.number()?;
            if length > NAME_BYTES_MAX {
                return Err(NotGgml::Header(format!("a word of {length} bytes")));
            }
            self.skip(length.into())?;
        }
        Ok(Header { words, audio_layers, weights_kind: weights })
    }

    fn tensors(&mut self) -> Result<(), NotGgml> {
        for count in 0..=TENSORS_MAX {
            if self.at == self.bytes {
                return if count == 0 { Err(NotGgml::Truncated { has: self.bytes }) } else { Ok(()) };
            }
            let (dimensions, name_bytes, kind) = (self.number()?, self.number()?, self.number()?);
            if !(1..=4).contains(&dimensions) || name_bytes > NAME_BYTES_MAX {
                return Err(NotGgml::Header(format!("a tensor of {dimensions} dimensions")));
            }
            let mut values = 1_u64;
            for _ in 0..dimensions {
                values = values.saturating_mul(self.number()?.into());
            }
            let Some((group_bytes, group_values)) = group_of(kind) else {
                return Err(NotGgml::Header(format!("weights of an unknown kind, {kind}")));
            };
            self.skip(name_bytes.into())?;
            self.skip((values / group_values).saturating_mul(group_bytes))?;
        }
        Err(NotGgml::Header("too many tensors".into()))
    }

    fn number(&mut self) -> Result<u32, NotGgml> {
        let mut bytes = [0; 4];
        self.take(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), NotGgml> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(NotGgml::Truncated { has: self.bytes }),
            Err(e) => Err(NotGgml::Unreadable(e.to_string())),
        }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), NotGgml> {
        if bytes > self.bytes - self.at {
            return Err(NotGgml::Truncated { has: self.bytes });
        }
        let by = i64::try_from(bytes).map_err(|_| NotGgml::Truncated { has: self.bytes })?;
        self.file.seek_relative(by).map_err(|e| NotGgml::Unreadable(e.to_string()))?;
        self.at += bytes;
        Ok(())
    }
}

/// Bytes and values of the smallest group that is stored together, by ggml's number of the kind.
fn group_of(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (4, 1),
        1 => (2, 1),
        2 => (18, 32),
        3 => (20, 32),
        6 => (22, 32),
        7 => (24, 32),
        8 => (34, 32),
        10 => (84, 256),
        11 => (110, 256),
        12 => (144, 256),
        13 => (176, 256),
        14 => (210, 256),
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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

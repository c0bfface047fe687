//! A walk through a Whisper model, from front to back. What a file says of itself is believed only as far as the file
//! goes.
//!
//! The format: 12 numbers of 32 bits (magic, eleven sizes), the filters of the spectrogram, the words, then the
//! tensors, each with its shape, its name and its values. All little-endian.

use crate::ggml::{Header, NotGgml};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// `ggml`, as a number.
pub(crate) const MAGIC: u32 = 0x6767_6d6c;

/// No Whisper model has nearly as many.
const TENSORS_MAX: u32 = 10_000;

/// Longest name of a tensor, and of a word.
const NAME_BYTES_MAX: u32 = 4_096;

/// Where a walk is.
pub(crate) struct Walk {
    file: BufReader<File>,
    at: u64,
    bytes: u64,
    tensors: u32,
}

/// A tensor, as the file describes it. Its values are what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Length along each dimension, the first of which is the one that is contiguous.
    pub shape: Vec<u32>,
    /// Its name.
    pub name: Vec<u8>,
    /// How its values are stored, by ggml's number.
    pub kind: u32,
    /// The size of its values; as many are there.
    pub bytes: u64,
}

impl Walk {
    /// Stands at the beginning of a file.
    pub(crate) fn begin(path: &Path) -> Result<Self, NotGgml> {
        let file = File::open(path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if !meta.is_file() {
            return Err(NotGgml::NotAFile);
        }
        if meta.len() == 0 {
            return Err(NotGgml::Empty);
        }
        Ok(Self { file: BufReader::with_capacity(64 << 10, file), at: 0, bytes: meta.len(), tensors: 0 })
    }

    /// How far it has come.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Walks to the first tensor.
    pub(crate) fn header(&mut self) -> Result<Header, NotGgml> {
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

    /// Walks to the values of the next tensor; `None` at the end of the file. From the values of the one before, these
    /// have to be taken or skipped.
    pub(crate) fn tensor(&mut self) -> Result<Option<Tensor>, NotGgml> {
        if self.at == self.bytes {
            return if self.tensors == 0 { Err(NotGgml::Truncated { has: self.bytes }) } else { Ok(None) };
        }
        if self.tensors == TENSORS_MAX {
            return Err(NotGgml::Header("too many tensors".into()));
        }
        self.tensors += 1;
        let (dimensions, name_bytes, kind) = (self.number()?, self.number()?, self.number()?);
        if !(1..=4).contains(&dimensions) || name_bytes > NAME_BYTES_MAX {
            return Err(NotGgml::Header(format!("a tensor of {dimensions} dimensions")));
        }
        let shape = (0..dimensions).map(|_| self.number()).collect::<Result<Vec<u32>, _>>()?;
        let values = shape.iter().fold(1_u64, |values, &length| values.saturating_mul(length.into()));
        let Some((group_bytes, group_values)) = group_of(kind) else {
            return Err(NotGgml::Header(format!("weights of an unknown kind, {kind}")));
        };
        let mut name = vec![0; name_bytes as usize];
        self.take(&mut name)?;
        let bytes = (values / group_values).saturating_mul(group_bytes);
        if bytes > self.bytes - self.at {
            return Err(NotGgml::Truncated { has: self.bytes });
        }
        Ok(Some(Tensor { shape, name, kind, bytes }))
    }

    fn number(&mut self) -> Result<u32, NotGgml> {
        let mut bytes = [0; 4];
        self.take(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, bytes: &mut [u8]) -> Result<(), NotGgml> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(NotGgml::Truncated { has: self.bytes }),
            Err(e) => Err(unreadable(e)),
        }
    }

    /// Goes on behind the next bytes.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), NotGgml> {
        if bytes > self.bytes.saturating_sub(self.at) {
            return Err(NotGgml::Truncated { has: self.bytes });
        }
        let by = i64::try_from(bytes).map_err(|_| NotGgml::Truncated { has: self.bytes })?;
        self.file.seek_relative(by).map_err(unreadable)?;
        self.at += bytes;
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(e: io::Error) -> NotGgml {
    NotGgml::Unreadable(e.to_string())
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

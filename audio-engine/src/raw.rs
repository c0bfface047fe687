//! Raw samples in a byte stream, and the WAV header that names their form.

use crate::limits::ShapeError;
use control_protocol::Exit;
use std::io::{self, Read};
use thiserror::Error;

/// How one sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    kind: Kind,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    S8,
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
}

impl Encoding {
    /// 16-bit signed, little-endian.
    pub const S16LE: Self = Self { kind: Kind::S16, big_endian: false };

    /// What [`Encoding::from_name`] takes, for messages.
    pub const NAMES: &str = "one of s8, u8, s16le, s24le, s32le, f32le, f64le, or be for le";

    /// The encoding of a name such as `s16le`, `s16be` or `s16` (little-endian).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (kind, big_endian) = match name.strip_suffix("be") {
            Some(kind) => (kind, true),
            None => (name.strip_suffix("le").unwrap_or(name), false),
        };
        let kind = match kind {
            "s8" | "i8" => Kind::S8,
            "u8" => Kind::U8,
            "s16" | "i16" => Kind::S16,
            "s24" | "i24" => Kind::S24,
            "s32" | "i32" => Kind::S32,
            "f32" => Kind::F32,
            "f64" => Kind::F64,
            _ => return None,
        };
        Some(Self { kind, big_endian })
    }

    /// The name, as [`Encoding::from_name`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.kind, self.big_endian) {
            (Kind::S8, _) => "s8",
            (Kind::U8, _) => "u8",
            (Kind::S16, false) => "s16le",
            (Kind::S16, true) => "s16be",
            (Kind::S24, false) => "s24le",
            (Kind::S24, true) => "s24be",
            (Kind::S32, false) => "s32le",
            (Kind::S32, true) => "s32be",
            (Kind::F32, false) => "f32le",
            (Kind::F32, true) => "f32be",
            (Kind::F64, false) => "f64le",
            (Kind::F64, true) => "f64be",
        }
    }

    /// Bytes of one sample.
    #[must_use]
    pub fn sample_bytes(self) -> usize {
        match self.kind {
            Kind::S8 | Kind::U8 => 1,
            Kind::S16 => 2,
            Kind::S24 => 3,
            Kind::S32 | Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }

    /// The value of one sample; `bytes` has [`Encoding::sample_bytes`] of them. Full scale is 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f32 is what the rings hold")]
    fn value(self, bytes: &[u8]) -> f32 {
        let mut word = [0_u8; 8];
        let used = &mut word[..bytes.len()];
        used.copy_from_slice(bytes);
        if self.big_endian {
            used.reverse();
        }
        let word = u64::from_le_bytes(word);
        match self.kind {
            Kind::S8 => f32::from((word as u8).cast_signed()) / 128.0,
            Kind::U8 => (f32::from(word as u8) - 128.0) / 128.0,
            Kind::S16 => f32::from((word as u16).cast_signed()) / 32_768.0,
            Kind::S24 => ((word as u32).cast_signed() << 8) as f32 / 2_147_483_648.0,
            Kind::S32 => (word as u32).cast_signed() as f32 / 2_147_483_648.0,
            Kind::F32 => f32::from_bits(word as u32),
            Kind::F64 => f64::from_bits(word) as f32,
        }
    }
}

/// The form of raw frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFormat {
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Channels, interleaved.
    pub channels: u32,
    /// How a sample is written.
    pub encoding: Encoding,
}

impl RawFormat {
    /// Bytes of one frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.encoding.sample_bytes() * self.channels as usize
    }

    /// The URI that opens the same stream without a header.
    #[must_use]
    pub fn uri(&self) -> String {
        let Self { sample_rate_hz, channels, encoding } = self;
        format!("stdin:rate={sample_rate_hz}&channels={channels}&format={}", encoding.name())
    }

    /// Appends the whole frames of `bytes` to `planar` (one `Vec` a channel) and returns how many there were.
    pub fn decode(&self, bytes: &[u8], planar: &mut [Vec<f32>]) -> usize {
        let frames = bytes.chunks_exact(self.frame_bytes());
        let count = frames.len();
        for frame in frames {
            for (channel, sample) in planar.iter_mut().zip(frame.chunks_exact(self.encoding.sample_bytes())) {
                channel.push(self.encoding.value(sample));
            }
        }
        count
    }
}

/// Why a byte stream is no WAV that can be read as it comes.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// Reading failed.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// Nothing came.
    #[error("it is empty (0 bytes): did the program that writes into the pipe fail?")]
    Empty,
    /// The stream ended inside the header.
    #[error("it ends inside the WAV header")]
    Short,
    /// It does not begin like a WAV.
    #[error(
        "it is no WAV; for another format: ffmpeg -i FILE -f wav - | tympan run stdin:, for raw samples: \
         stdin:rate=16000&channels=1&format=s16le"
    )]
    NoWav,
    /// A WAV whose samples are coded in a way that cannot be read from a pipe.
    #[error("WAV with samples coded as {0}; PCM and float are possible here, others as file:")]
    Coding(String),
    /// More than the engine takes.
    #[error("{0}")]
    Shape(ShapeError),
}

impl HeaderError {
    /// What a process ends with that could do nothing but read this.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Io(_) => Exit::NoInput,
            Self::Empty | Self::Short | Self::NoWav | Self::Coding(_) => Exit::NotAudio,
            Self::Shape(_) => Exit::BadShape,
        }
    }
}

/// Reads a WAV header up to the first sample: the form, and the bytes of samples that follow where the header says so.
///
/// # Errors
/// [`HeaderError`]; what was read is gone.
pub fn read_wav_header(input: &mut impl Read) -> Result<(RawFormat, Option<u64>), HeaderError> {
    let mut riff = [0; 12];
    let first = loop {
        match input.read(&mut riff[..1]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    if first == 0 {
        return Err(HeaderError::Empty);
    }
    riff[1..].copy_from_slice(&take::<11>(input)?);
    if !matches!(&riff[..4], b"RIFF" | b"RF64") || &riff[8..] != b"WAVE" {
        return Err(HeaderError::NoWav);
    }
    let mut format = None;
    let mut bytes_64 = None;
    loop {
        let head: [u8; 8] = take(input)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        match &head[..4] {
            b"data" => {
                let format = format.ok_or_else(|| HeaderError::Coding("nothing (no fmt part)".into()))?;
                // Programs that write into a pipe do not know the length: 0 and the largest values mean "to the end".
                let known = (1..0x7FFF_F000).contains(&length).then_some(u64::from(length));
                return Ok((format, known.or(bytes_64)));
            }
            b"fmt " => {
                let part = take_part(input, length)?;
                format = Some(wav_format(&part)?);
            }
            b"ds64" => {
                let part = take_part(input, length)?;
                bytes_64 =
                    part.get(8..16).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default())).filter(|&n| n > 0);
            }
            _ => {
                let padded = u64::from(length) + u64::from(length % 2);
                if io::copy(&mut input.take(padded), &mut io::sink())? < padded {
                    return Err(HeaderError::Short);
                }
            }
        }
    }
}

fn take<const N: usize>(input: &mut impl Read) -> Result<[u8; N], HeaderError> {
    let mut bytes = [0; N];
    match input.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(HeaderError::Short),
        Err(e) => Err(e.into()),
    }
}

fn take_part(input: &mut impl Read, length: u32) -> Result<Vec<u8>, HeaderError> {
    let mut part = Vec::new();
    // A header part is small; a length that is not is a lie that must not become an allocation.
    input.take(u64::from(length.min(4_096))).read_to_end(&mut part)?;
    let rest = u64::from(length) - part.len() as u64 + u64::from(length % 2);
    if io::copy(&mut input.take(rest), &mut io::sink())? < rest {
        return Err(HeaderError::Short);
    }
    Ok(part)
}

fn wav_format(part: &[u8]) -> Result<RawFormat, HeaderError> {
    let u16_at = |at: usize| part.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or(HeaderError::Short);
    let mut tag = u16_at(0)?;
    let channels = u32::from(u16_at(2)?);
    let sample_rate_hz = u32::from(u16_at(4)?) | u32::from(u16_at(6)?) << 16;
    let bits = u16_at(14)?;
    if tag == 0xFFFE {
        tag = u16_at(24)?; // extensible: the sub-format's first two bytes are the plain tag
    }
    let kind = match (tag, bits) {
        (1, 8) => Kind::U8,
        (1, 16) => Kind::S16,
        (1, 24) => Kind::S24,
        (1, 32) => Kind::S32,
        (3, 32) => Kind::F32,
        (3, 64) => Kind::F64,
        _ => return Err(HeaderError::Coding(format!("tag {tag}, {bits} bits"))),
    };
    ShapeError::check(channels, sample_rate_hz).map_err(HeaderError::Shape)?;
    Ok(RawFormat { sample_rate_hz, channels, encoding: Encoding { kind, big_endian: false } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, bytes: &[u8]) -> Vec<f32> {
        let format = RawFormat { sample_rate_hz: 16_000, channels: 1, encoding: Encoding::from_name(name).unwrap() };
        let mut planar = [Vec::new()];
        format.decode(bytes, &mut planar);
        planar[0].clone()
    }

    #[test]
    fn full_scale_is_one_in_every_encoding() {
        assert_eq!(values("s8", &[0x80, 0x40]), [-1.0, 0.5]);
        assert_eq!(values("u8", &[0x00, 0x80, 0xC0]), [-1.0, 0.0, 0.5]);
        assert_eq!(values("s16le", &[0x00, 0x80, 0x00, 0x40]), [-1.0, 0.5]);
        assert_eq!(values("s16be", &[0x80, 0x00, 0x40, 0x00]), [-1.0, 0.5]);
        assert_eq!(values("s24le", &[0, 0, 0x80, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(values("s24be", &[0x80, 0, 0, 0x40, 0, 0]), [-1.0, 0.5]);
        assert_eq!(values("s32le", &i32::MIN.to_le_bytes()), [-1.0]);
        assert_eq!(values("f32be", &0.25_f32.to_be_bytes()), [0.25]);
        assert_eq!(values("f64le", &(-0.25_f64).to_le_bytes()), [-0.25]);
    }

    #[test]
    fn frames_are_separated_into_channels_and_a_half_frame_waits() {
        let format = RawFormat { sample_rate_hz: 16_000, channels: 2, encoding: Encoding::from_name("u8").unwrap() };
        let mut planar = [Vec::new(), Vec::new()];
        assert_eq!(format.decode(&[128, 192, 192, 128, 0], &mut planar), 2);
        assert_eq!(planar, [[0.0, 0.5], [0.5, 0.0]]);
    }

    #[test]
    fn names_come_back() {
        for name in
            ["s8", "u8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "f64le", "f64be"]
        {
            assert_eq!(Encoding::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Encoding::from_name("s12le"), None);
    }

    #[test]
    fn a_wav_header_is_read_up_to_the_first_sample() {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 22_050,
            bits_per_sample: 24,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for _ in 0..4 {
            writer.write_sample(1 << 22).unwrap();
        }
        writer.finalize().unwrap();
        let bytes = file.into_inner();
        let mut rest = &bytes[..];
        let (format, length) = read_wav_header(&mut rest).unwrap();
        assert_eq!((format.sample_rate_hz, format.channels, format.encoding.name()), (22_050, 2, "s24le"));
        assert_eq!(length, Some(12));
        let mut planar = [Vec::new(), Vec::new()];
        assert_eq!(format.decode(rest, &mut planar), 2);
        assert_eq!(planar[1], [0.5, 0.5]);
    }

    #[test]
    fn strange_headers_are_refused_and_never_panic() {
        assert!(matches!(read_wav_header(&mut &b"OggS............"[..]), Err(HeaderError::NoWav)));
        assert!(matches!(read_wav_header(&mut &b"RIFF"[..]), Err(HeaderError::Short)));
        let mut lie = b"RIFF\0\0\0\0WAVEfmt \xFF\xFF\xFF\xFF".to_vec();
        lie.extend([0; 40]);
        assert!(matches!(read_wav_header(&mut &lie[..]), Err(HeaderError::Short)));
        let mut law = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        law.extend([7, 0, 1, 0, 0x40, 0x1F, 0, 0, 0x40, 0x1F, 0, 0, 1, 0, 8, 0]);
        assert!(matches!(read_wav_header(&mut &law[..]), Err(HeaderError::Coding(_))));
    }
}

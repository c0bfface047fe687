//! Names of sources: `device:`, `file:`, `demo:`, `stdin:`, `ring:`, `test:` and `virtual:`.
//!
//! Options stand behind the name as `key=value`, separated by `?`, `&` or `,`. A device's name and a
//! file's path are taken verbatim, since both may hold any of these characters; a ring's but for its own options.

use crate::limits::{CHANNELS, SAMPLE_RATES_HZ};
use crate::raw::{Encoding, RawFormat};
use cpal::SampleFormat;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// What a source is, before it is opened.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceUri {
    /// An input device; `None` is the default one.
    Device(Option<String>),
    /// An audio file.
    File(PathBuf),
    /// The clip inside this program.
    Demo,
    /// Standard input; `None` is a WAV found by its header.
    Stdin(Option<RawFormat>),
    /// A ring that another program writes.
    Ring(RingUri),
    /// A device without hardware.
    Virtual(VirtualSpec),
}

/// A ring that another program writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingUri {
    /// Its name, or with a `/` in it the path of its file.
    pub ring: String,
    /// Rate in Hz and channels, where they are known beforehand: then it need not be there yet.
    pub shape: Option<(u32, u32)>,
}

impl RingUri {
    /// The same ring, of a known form.
    #[must_use]
    pub fn shaped(&self, sample_rate_hz: u32, channels: u32) -> String {
        format!("ring:{}?rate={sample_rate_hz}&channels={channels}", self.ring)
    }
}

/// A device without hardware, and the faults it is to have.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualSpec {
    /// What it hears.
    pub signal: SignalKind,
    /// Its rate, in Hz; `None` is the engine's.
    pub sample_rate_hz: Option<u32>,
    /// Its channels; all hear the same.
    pub channels: u32,
    /// The format its callback delivers.
    pub format: SampleFormat,
    /// Its length in seconds; `None` has no end.
    pub seconds: Option<f64>,
    /// Frames of one callback.
    pub period_frames: u32,
    /// How much its clock is faster than ours, in parts per million.
    pub drift_ppm: f64,
    /// It drops one period and reports an xrun every so many seconds.
    pub xrun_every_s: Option<f64>,
    /// It disappears after so many seconds.
    pub vanish_after_s: Option<f64>,
    /// It can be opened again so many seconds after it disappeared.
    pub return_after_s: Option<f64>,
    /// The rate that it has when it comes back, in Hz, and its channels.
    pub return_rate_hz: Option<u32>,
    /// See above.
    pub return_channels: Option<u32>,
}

/// The signals of `test:` and `virtual:`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SignalKind {
    /// A sine.
    Tone {
        /// Its frequency.
        hz: f64,
    },
    /// A sine that rises from 20 Hz to 0.45 of the rate, over and over.
    Sweep,
    /// White noise.
    Noise,
    /// Zeros.
    Silence,
    /// Frame n carries n.
    Count,
    /// An impulse of one frame, twice a second.
    Impulse,
}

impl std::fmt::Display for SignalKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tone { hz } => write!(f, "tone of {hz} Hz"),
            Self::Sweep => f.write_str("sweep"),
            Self::Noise => f.write_str("noise"),
            Self::Silence => f.write_str("silence"),
            Self::Count => f.write_str("count"),
            Self::Impulse => f.write_str("impulses"),
        }
    }
}

/// Why a URI is refused.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum UriError {
    /// No scheme, or one that does not exist.
    #[error("source {0:?}: unknown kind; there are device:, file:, demo:, stdin:, ring:, test: and virtual:")]
    Scheme(String),
    /// A name is missing or does not exist.
    #[error("source {uri:?}: unknown signal {name:?}; there are tone, sweep, noise, silence, count and impulse")]
    Signal {
        /// The whole URI.
        uri: String,
        /// The name.
        name: String,
    },
    /// An option that does not exist here.
    #[error("source {uri:?}: unknown option {key:?}; allowed are {allowed}")]
    Key {
        /// The whole URI.
        uri: String,
        /// The option.
        key: String,
        /// What exists.
        allowed: String,
    },
    /// An option whose value does not fit.
    #[error("source {uri:?}: {key}={value}: {expected}")]
    Value {
        /// The whole URI.
        uri: String,
        /// The option.
        key: String,
        /// What was given.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// Nothing behind the colon where something is needed.
    #[error("source {0:?}: a path is needed, as in file:/home/me/talk.wav")]
    NoPath(String),
    /// The same for a ring.
    #[error("source {0:?}: a ring's name is needed, or the path of its file; `tympan rings` shows those there are")]
    NoRing(String),
    /// Half of a form.
    #[error("source {0:?}: rate and channels belong together, as in ring:call?rate=48000&channels=1")]
    HalfShape(String),
}

impl FromStr for SourceUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        let (scheme, rest) = uri.split_once(':').ok_or_else(|| UriError::Scheme(uri.into()))?;
        match scheme {
            "device" => Ok(Self::Device((!rest.is_empty()).then(|| rest.into()))),
            "file" if rest.is_empty() => Err(UriError::NoPath(uri.into())),
            "file" => Ok(Self::File(rest.into())),
            "demo" if rest.is_empty() => Ok(Self::Demo),
            "demo" => Err(Options::new(uri, rest, &[]).err().unwrap_or(UriError::Scheme(uri.into()))),
            "stdin" => stdin(uri, rest),
            "ring" => ring(uri, rest),
            "test" => virtual_device(uri, rest, &[]),
            "virtual" => virtual_device(uri, rest, &FAULT_KEYS),
            _ => Err(UriError::Scheme(uri.into())),
        }
    }
}

const SIGNAL_KEYS: [&str; 5] = ["rate", "channels", "format", "seconds", "period"];
const FAULT_KEYS: [&str; 6] =
    ["drift_ppm", "xrun_every_s", "vanish_after_s", "return_after_s", "return_rate", "return_channels"];

fn stdin(uri: &str, rest: &str) -> Result<SourceUri, UriError> {
    let options = Options::new(uri, rest, &["rate", "channels", "format"])?;
    if options.given.is_empty() {
        return Ok(SourceUri::Stdin(None));
    }
    let encoding = match options.get("format") {
        Some(name) => Encoding::from_name(name).ok_or_else(|| options.bad("format", Encoding::NAMES))?,
        None => Encoding::S16LE,
    };
    Ok(SourceUri::Stdin(Some(RawFormat {
        sample_rate_hz: options.rate()?.unwrap_or(16_000),
        channels: options.channels()?.unwrap_or(1),
        encoding,
    })))
}

/// Options of a ring stand behind the last `?`; what is none of them is a part of the name.
fn ring(uri: &str, rest: &str) -> Result<SourceUri, UriError> {
    const KEYS: [&str; 2] = ["rate", "channels"];
    let is_options = |text: &str| KEYS.iter().any(|key| text.starts_with(&format!("{key}=")));
    let (ring, options) = rest.rsplit_once('?').filter(|(_, text)| is_options(text)).unwrap_or((rest, ""));
    if ring.is_empty() {
        return Err(UriError::NoRing(uri.into()));
    }
    let options = Options::new(uri, options, &KEYS)?;
    let shape = match (options.rate()?, options.channels()?) {
        (Some(rate_hz), Some(channels)) => Some((rate_hz, channels)),
        (None, None) => None,
        _ => return Err(UriError::HalfShape(uri.into())),
    };
    Ok(SourceUri::Ring(RingUri { ring: ring.into(), shape }))
}

fn virtual_device(uri: &str, rest: &str, faults: &[&str]) -> Result<SourceUri, UriError> {
    let cut = rest.find(SEPARATORS).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(cut);
    let mut keys: Vec<&str> = SIGNAL_KEYS.iter().chain(faults).copied().collect();
    if name == "tone" {
        keys.push("hz");
    }
    let options = Options::new(uri, rest, &keys);
    let signal = match name {
        "tone" => {
            let hz = options.as_ref().map_or(Ok(None), |o| o.number("hz", 1.0, 96_000.0))?;
            SignalKind::Tone { hz: hz.unwrap_or(440.0) }
        }
        "sweep" => SignalKind::Sweep,
        "noise" => SignalKind::Noise,
        "silence" => SignalKind::Silence,
        "count" => SignalKind::Count,
        "impulse" => SignalKind::Impulse,
        _ => return Err(UriError::Signal { uri: uri.into(), name: name.into() }),
    };
    let options = options?;
    let format = match options.get("format") {
        Some(name) => sample_format(name).ok_or_else(|| options.bad("format", FORMAT_NAMES))?,
        None => SampleFormat::F32,
    };
    let period_frames = options.integer("period", 1, 65_536)?.unwrap_or(480);
    Ok(SourceUri::Virtual(VirtualSpec {
        signal,
        sample_rate_hz: options.rate()?,
        channels: options.channels()?.unwrap_or(1),
        format,
        seconds: options.number("seconds", 0.0, 1e9)?,
        period_frames,
        drift_ppm: options.number("drift_ppm", -100_000.0, 100_000.0)?.unwrap_or(0.0),
        xrun_every_s: options.number("xrun_every_s", 0.001, 1e9)?,
        vanish_after_s: options.number("vanish_after_s", 0.0, 1e9)?,
        return_after_s: options.number("return_after_s", 0.0, 1e9)?,
        return_rate_hz: options.rate_of("return_rate")?,
        return_channels: options.channels_of("return_channels")?,
    }))
}

const FORMAT_NAMES: &str = "one of i8, i16, i24, i32, i64, u8, u16, u24, u32, u64, f32, f64";

fn sample_format(name: &str) -> Option<SampleFormat> {
    Some(match name {
        "i8" | "s8" => SampleFormat::I8,
        "i16" | "s16" | "s16le" => SampleFormat::I16,
        "i24" | "s24" | "s24le" => SampleFormat::I24,
        "i32" | "s32" | "s32le" => SampleFormat::I32,
        "i64" | "s64" => SampleFormat::I64,
        "u8" => SampleFormat::U8,
        "u16" => SampleFormat::U16,
        "u24" => SampleFormat::U24,
        "u32" => SampleFormat::U32,
        "u64" => SampleFormat::U64,
        "f32" | "f32le" => SampleFormat::F32,
        "f64" | "f64le" => SampleFormat::F64,
        _ => return None,
    })
}

const SEPARATORS: [char; 3] = ['?', '&', ','];

struct Options<'a> {
    uri: &'a str,
    given: Vec<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    fn new(uri: &'a str, text: &'a str, allowed: &[&str]) -> Result<Self, UriError> {
        let mut given = Vec::new();
        for part in text.split(SEPARATORS).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if !allowed.contains(&key) {
                let allowed = if allowed.is_empty() { "none".into() } else { allowed.join(", ") };
                return Err(UriError::Key { uri: uri.into(), key: key.into(), allowed });
            }
            given.push((key, value));
        }
        Ok(Self { uri, given })
    }

    /// The last value given for a key.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.given.iter().rev().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    fn bad(&self, key: &str, expected: impl Into<String>) -> UriError {
        let value = self.get(key).unwrap_or_default().into();
        UriError::Value { uri: self.uri.into(), key: key.into(), value, expected: expected.into() }
    }

    fn integer(&self, key: &str, min: u32, max: u32) -> Result<Option<u32>, UriError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.replace('_', "").parse() {
            Ok(value) if (min..=max).contains(&value) => Ok(Some(value)),
            _ => Err(self.bad(key, format!("a whole number from {min} to {max}"))),
        }
    }

    fn number(&self, key: &str, min: f64, max: f64) -> Result<Option<f64>, UriError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.parse() {
            Ok(value) if (min..=max).contains(&value) => Ok(Some(value)),
            _ => Err(self.bad(key, format!("a number from {min} to {max}"))),
        }
    }

    fn rate(&self) -> Result<Option<u32>, UriError> {
        self.rate_of("rate")
    }

    fn rate_of(&self, key: &str) -> Result<Option<u32>, UriError> {
        self.integer(key, *SAMPLE_RATES_HZ.start(), *SAMPLE_RATES_HZ.end())
    }

    fn channels(&self) -> Result<Option<u32>, UriError> {
        self.channels_of("channels")
    }

    fn channels_of(&self, key: &str) -> Result<Option<u32>, UriError> {
        self.integer(key, *CHANNELS.start(), *CHANNELS.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<SourceUri, UriError> {
        uri.parse()
    }

    fn spec(uri: &str) -> VirtualSpec {
        match parse(uri).unwrap() {
            SourceUri::Virtual(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_and_paths_are_verbatim() {
        assert_eq!(parse("device:").unwrap(), SourceUri::Device(None));
        assert_eq!(parse("device:hw:CARD=0,DEV=0").unwrap(), SourceUri::Device(Some("hw:CARD=0,DEV=0".into())));
        assert_eq!(parse("file:a?b&c,d=e.wav").unwrap(), SourceUri::File("a?b&c,d=e.wav".into()));
        assert_eq!(parse("file:").unwrap_err(), UriError::NoPath("file:".into()));
        assert_eq!(parse("demo:").unwrap(), SourceUri::Demo);
    }

    #[test]
    fn stdin_takes_all_separators() {
        let raw = RawFormat { sample_rate_hz: 44_100, channels: 2, encoding: Encoding::from_name("f32le").unwrap() };
        for uri in ["stdin:rate=44100&channels=2&format=f32le", "stdin:?rate=44100,channels=2,format=f32"] {
            assert_eq!(parse(uri).unwrap(), SourceUri::Stdin(Some(raw)), "{uri}");
        }
        assert_eq!(parse("stdin:").unwrap(), SourceUri::Stdin(None));
    }

    #[test]
    fn a_ring_is_a_name_or_a_path_and_may_have_a_form() {
        let ring = |text: &str, shape| SourceUri::Ring(RingUri { ring: text.into(), shape });
        assert_eq!(parse("ring:call").unwrap(), ring("call", None));
        assert_eq!(parse("ring:/tmp/a?b=c.ring").unwrap(), ring("/tmp/a?b=c.ring", None));
        assert_eq!(parse("ring:/a?b?rate=44100&channels=2").unwrap(), ring("/a?b", Some((44_100, 2))));
        let known = RingUri { ring: "call".into(), shape: None };
        assert_eq!(parse(&known.shaped(8_000, 3)).unwrap(), ring("call", Some((8_000, 3))));
        assert!(matches!(parse("ring:").unwrap_err(), UriError::NoRing(_)));
        assert!(matches!(parse("ring:call?rate=8000").unwrap_err(), UriError::HalfShape(_)));
        assert!(matches!(parse("ring:call?rate=1&channels=1").unwrap_err(), UriError::Value { .. }));
    }

    #[test]
    fn a_test_signal_is_a_virtual_device_without_faults() {
        let plain = spec("test:tone?hz=1000&rate=16000&channels=2&format=i16&seconds=1.5");
        assert_eq!(plain, spec("virtual:tone,hz=1000,rate=16000,channels=2,format=s16,seconds=1.5"));
        assert_eq!(plain.signal, SignalKind::Tone { hz: 1000.0 });
        let faulty = spec("virtual:count?period=256&drift_ppm=-100&xrun_every_s=2&vanish_after_s=3&return_after_s=1");
        assert_eq!((faulty.period_frames, faulty.drift_ppm), (256, -100.0));
        assert_eq!((faulty.vanish_after_s, faulty.return_after_s), (Some(3.0), Some(1.0)));
    }

    #[test]
    fn errors_name_the_key_and_what_is_allowed() {
        let text = |uri: &str| parse(uri).unwrap_err().to_string();
        assert!(text("test:count?hz=3").contains("\"hz\""));
        assert!(text("test:count?hz=3").contains("rate, channels, format, seconds"));
        assert!(text("test:count?drift_ppm=3").contains("drift_ppm"));
        assert!(text("stdin:speed=3").contains("rate, channels, format"));
        assert!(text("test:count?channels=65").contains("1 to 64"));
        assert!(text("test:count?rate=7999").contains("8000 to 192000"));
        assert!(text("test:count?format=mp3").contains("f64"));
        assert!(text("test:bell").contains("sweep"));
        assert!(text("demo:x").contains("none"));
        assert!(text("http://x").contains("device:"));
        assert!(text("talk.wav").contains("file:"));
    }
}

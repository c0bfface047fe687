//! Input devices by name, and the form in which one is opened.

use crate::inputs::{self, Input, Kind, id_of, name_of};
use crate::limits::{CHANNELS, SAMPLE_RATES_HZ};
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, Device, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange};
use sound_files::channels_text;
use thiserror::Error;

/// Why there is no such device.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// No name fits.
    #[error("no input device {name:?}; {there}")]
    Unknown {
        /// The name.
        name: String,
        /// What exists, and where more is said.
        there: String,
    },
    /// More than one fits.
    #[error("input device {name:?} could be any of: {fitting}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Which.
        fitting: String,
    },
    /// No device at all.
    #[error("no default input device ({reason}); file:PATH, stdin: and demo: work without one")]
    NoDefault {
        /// Why.
        reason: String,
    },
    /// No output fits the name.
    #[error("no output {name:?}; there are: {there}; `tympan output list` shows them")]
    UnknownOutput {
        /// The name.
        name: String,
        /// What exists.
        there: String,
    },
    /// More than one output fits the name.
    #[error("output {name:?} could be any of: {fitting}")]
    AmbiguousOutput {
        /// The name.
        name: String,
        /// Which.
        fitting: String,
    },
    /// No output at all.
    #[error("no default output is known; `tympan output list` shows what there is")]
    NoDefaultOutput,
    /// It exists and nothing can be played to it.
    #[error("output {name:?}: {reason}")]
    OutputRefused {
        /// The name.
        name: String,
        /// Why.
        reason: String,
        /// Whether it may work later.
        retry: bool,
    },
    /// It exists and cannot be used.
    #[error("input device {name:?}: {reason}")]
    Refused {
        /// The name.
        name: String,
        /// Why.
        reason: String,
        /// Whether it may work later.
        retry: bool,
    },
}

impl DeviceError {
    /// The sound system's own words about a device.
    #[must_use]
    pub fn refused(name: &str, error: &cpal::Error) -> Self {
        use cpal::ErrorKind::{
            DeviceBusy, DeviceNotAvailable, HostUnavailable, InvalidInput, PermissionDenied, UnsupportedConfig,
            UnsupportedOperation,
        };
        let retry = !matches!(error.kind(), UnsupportedConfig | UnsupportedOperation | InvalidInput);
        let advice = match error.kind() {
            DeviceBusy => "; another program has it: close that, or let a sound server share it",
            PermissionDenied => FORBIDDEN,
            UnsupportedConfig => {
                "; 8 to 192 kHz, up to 64 channels and no DSD can be taken: set it to such a format, or let a sound server convert it"
            }
            DeviceNotAvailable | HostUnavailable => "; is it plugged in, and does its sound server run?",
            _ => "",
        };
        let said = error.to_string();
        let said = said.trim_end_matches('.');
        if name == DEFAULT {
            let advice = if error.kind() == DeviceNotAvailable { forbidden().unwrap_or_default() } else { advice };
            return Self::NoDefault { reason: format!("{said}{advice}") };
        }
        let reason = format!("{said}{advice}");
        Self::Refused { name: name.into(), reason, retry }
    }
}

/// What the default device is called in messages.
pub const DEFAULT: &str = "default";

/// A device that was found, and the channels that it has where its plug-in would offer any number.
pub struct Found {
    /// The device.
    pub device: Device,
    /// For people.
    pub name: String,
    /// What `device:ID` takes.
    pub id: String,
    channels: Option<u16>,
}

/// The device of a name: its id or name, or a part of one of them that fits one device only; `None` is the default.
///
/// # Errors
/// [`DeviceError`].
pub fn find(name: Option<&str>) -> Result<Found, DeviceError> {
    let host = cpal::default_host();
    let Some(name) = name else {
        let device = host.default_input_device();
        let device = device.ok_or_else(|| DeviceError::NoDefault { reason: "none is known".into() })?;
        let name = inputs::name_of_default().unwrap_or_else(|| name_of(&device));
        return Ok(Found { name, id: id_of(&device), device, channels: None });
    };
    let mut there = inputs::all(&host).map_err(|e| DeviceError::refused(name, &e))?;
    let at = choose(name, &there)?;
    let Input { device, id, name, source, .. } = there.swap_remove(at);
    Ok(Found { device, id, name, channels: source.map(|source| source.channels) })
}

/// The place of the one device that a name means. Where it could mean several, a microphone comes before a plug-in that
/// leads to it.
fn choose(name: &str, there: &[Input]) -> Result<usize, DeviceError> {
    if let Some(at) = there.iter().position(|input| input.id == name) {
        return Ok(at);
    }
    let wanted = name.to_lowercase();
    let fitting = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let fits = |input: &Input| fits(&input.id.to_lowercase()) || fits(&input.name.to_lowercase());
        (0..there.len()).filter(|&at| fits(&there[at])).collect()
    };
    let whole = fitting(&|key| key == wanted);
    let mut found = if whole.is_empty() { fitting(&|key| key.contains(&wanted)) } else { whole };
    let rank = |at: &usize| (there[*at].kind, there[*at].source.is_none());
    let Some(first) = found.iter().map(rank).min() else {
        // A list of ALSA's plug-ins alone would look like a choice.
        let real = there.iter().any(|input| input.kind != Kind::Plugin);
        let there = match real {
            true => format!("there are: {}; `tympan devices` shows more of them", shown(there.iter())),
            false => format!("there is none at all here{}; `tympan doctor` says why", forbidden().unwrap_or_default()),
        };
        return Err(DeviceError::Unknown { name: name.into(), there });
    };
    found.retain(|at| rank(at) == first);
    match found[..] {
        [at] => Ok(at),
        _ => Err(DeviceError::Ambiguous { name: name.into(), fitting: shown(found.iter().map(|&at| &there[at])) }),
    }
}

/// Inputs for a message: those that a person would name, or plug-ins if there is nothing else.
fn shown<'a>(inputs: impl Iterator<Item = &'a Input> + Clone) -> String {
    let ids = |plug_ins: bool| -> Vec<String> {
        let shown = inputs.clone().filter(|input| plug_ins || input.kind != Kind::Plugin);
        let mut ids = Vec::new();
        let mut shown: Vec<&Input> = shown.collect();
        shown.sort_by_key(|input| (input.kind, input.source.is_none()));
        for input in shown {
            let text = if input.source.is_some() { format!("{} ({})", input.id, input.name) } else { input.id.clone() };
            if !ids.contains(&text) {
                ids.push(text);
            }
        }
        ids
    };
    let without = ids(false);
    let ids = if without.is_empty() { ids(true) } else { without };
    if ids.is_empty() { format!("none{}", forbidden().unwrap_or_default()) } else { ids.join(", ") }
}

/// What to do where the kernel's sound devices are there and may not be used.
pub(crate) fn forbidden() -> Option<&'static str> {
    let mut devices = std::fs::read_dir("/dev/snd").ok()?.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("pcm") && (name.ends_with('c') || name.ends_with('p'))
    });
    let may = |entry: &std::fs::DirEntry| rustix::fs::access(entry.path(), rustix::fs::Access::READ_OK).is_ok();
    let first = devices.next()?;
    let none = !may(&first) && !devices.any(|entry| may(&entry));
    none.then_some(FORBIDDEN)
}

const FORBIDDEN: &str =
    "; you may not use the devices in /dev/snd: sudo usermod -aG audio $USER, then log out and in again";

/// An error of cpal with what libasound said beside it: that a server is away is said only there.
#[must_use]
pub fn explained(error: cpal::Error, said: &str) -> cpal::Error {
    if said.contains("Unable to connect") {
        let away = "its sound server (PulseAudio or PipeWire) does not answer";
        return cpal::Error::with_message(cpal::ErrorKind::HostUnavailable, away);
    }
    error
}

/// How a device is opened: at the engine's rate where it can, with as many channels as it prefers.
///
/// # Errors
/// What the device says, or that none of its forms can be used.
pub fn form(found: &Found, sample_rate_hz: u32) -> Result<(StreamConfig, SampleFormat), cpal::Error> {
    let Found { device, channels, .. } = found;
    let preferred = device.default_input_config()?;
    let ranges: Vec<_> = device.supported_input_configs()?.collect();
    let (range, rate_hz) =
        best(&ranges, channels.unwrap_or(preferred.channels()), preferred.sample_rate(), sample_rate_hz)
            .ok_or_else(|| cpal::Error::from(cpal::ErrorKind::UnsupportedConfig))?;
    let wanted = rate_hz / 100;
    let buffer_size = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(wanted.clamp(min, max.max(min))),
        SupportedBufferSize::Unknown => BufferSize::Fixed(wanted),
    };
    Ok((StreamConfig { channels: range.channels(), sample_rate: rate_hz, buffer_size }, range.sample_format()))
}

/// The same for one that takes the place of another in a queue of a certain form: with its rate and channels.
#[must_use]
pub fn same_form(found: &Found, config: StreamConfig) -> Option<(StreamConfig, SampleFormat)> {
    let ranges = found.device.supported_input_configs().ok()?;
    let fits = |range: &SupportedStreamConfigRange| {
        range.channels() == config.channels
            && range.contains_rate(config.sample_rate)
            && !range.sample_format().is_dsd()
    };
    let range = ranges.filter(fits).max_by(SupportedStreamConfigRange::cmp_default_heuristics)?;
    let wanted = config.sample_rate / 100;
    let frames = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } => wanted.clamp(min, max.max(min)),
        SupportedBufferSize::Unknown => wanted,
    };
    Some((StreamConfig { buffer_size: BufferSize::Fixed(frames), ..config }, range.sample_format()))
}

/// A device as users are told of it.
#[must_use]
pub fn described(found: &Found, config: &StreamConfig, format: SampleFormat) -> String {
    format!(
        "{} ({}): {} kHz, {}, {format}",
        found.name,
        found.id,
        f64::from(config.sample_rate) / 1_000.0,
        channels_text(config.channels.into()),
    )
}

pub(crate) fn best(
    ranges: &[SupportedStreamConfigRange],
    channels: u16,
    preferred_hz: u32,
    wanted_hz: u32,
) -> Option<(SupportedStreamConfigRange, u32)> {
    let usable = ranges.iter().copied().filter(|range| {
        CHANNELS.contains(&u32::from(range.channels()))
            && !range.sample_format().is_dsd()
            && range.max_sample_rate() >= *SAMPLE_RATES_HZ.start()
            && range.min_sample_rate() <= *SAMPLE_RATES_HZ.end()
    });
    let rate = |range: &SupportedStreamConfigRange| {
        let hz = if range.contains_rate(wanted_hz) { wanted_hz } else { preferred_hz };
        let hz = hz.clamp(range.min_sample_rate(), range.max_sample_rate());
        hz.clamp(*SAMPLE_RATES_HZ.start(), *SAMPLE_RATES_HZ.end())
    };
    usable
        .max_by(|a, b| {
            let rank = |r: &SupportedStreamConfigRange| (r.contains_rate(wanted_hz), r.channels() == channels);
            rank(a).cmp(&rank(b)).then_with(|| a.cmp_default_heuristics(b))
        })
        .map(|range| (range, rate(&range)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound_server::ServerSource;
    use crate::uri::SourceUri;
    use crate::virtual_device::VirtualDevice;

    fn there() -> Vec<Input> {
        let device = cpal::platform::CustomDevice::from_device(VirtualDevice::new(
            match "test:silence".parse().unwrap() {
                SourceUri::Virtual(spec) => spec,
                other => panic!("{other:?}"),
            },
            48_000,
            0,
        ));
        let source = |name: &str| ServerSource {
            name: name.into(),
            description: "Yeti".into(),
            sample_rate_hz: 48_000,
            channels: 2,
            format: "i16",
            muted: false,
            is_monitor: false,
            is_default: false,
        };
        [
            ("hw:CARD=0,DEV=0", "USB Audio, Mic", Kind::Microphone, None),
            ("hw:CARD=1,DEV=0", "USB Audio, Line", Kind::Microphone, None),
            ("plughw:CARD=0,DEV=0", "USB Audio, Mic", Kind::Plugin, None),
            ("plughw:CARD=2,DEV=0", "Bluetooth", Kind::Plugin, None),
            ("vmon", "Monitor of sink", Kind::Monitor, None),
            ("hw:CARD=Yeti,DEV=0", "Yeti", Kind::Microphone, None),
            ("alsa_input.yeti", "Yeti", Kind::Microphone, Some(source("alsa_input.yeti"))),
        ]
        .map(|(id, name, kind, source)| Input {
            device: device.clone().into(),
            id: id.into(),
            name: name.into(),
            kind,
            source,
        })
        .into()
    }

    #[test]
    fn an_id_or_a_unique_part_names_a_device() {
        let chosen = |name: &str| there()[choose(name, &there()).unwrap()].id.clone();
        assert_eq!(chosen("hw:CARD=0,DEV=0"), "hw:CARD=0,DEV=0");
        assert_eq!(chosen("plughw:card=0"), "plughw:CARD=0,DEV=0");
        assert_eq!(chosen("blue"), "plughw:CARD=2,DEV=0");
        assert_eq!(chosen("monitor"), "vmon");
        // The same microphone by several ways: the server's, which shares it, comes first.
        assert_eq!(chosen("yeti"), "alsa_input.yeti");
    }

    #[test]
    fn unknown_and_ambiguous_names_list_what_there_is() {
        let text = choose("drum", &there()).unwrap_err().to_string();
        assert!(text.contains("there are: alsa_input.yeti (Yeti), hw:CARD=0,DEV=0,"), "{text}");
        assert!(text.contains("DEV=0, vmon;") && !text.contains("plughw"), "{text}");
        let text = choose("usb", &there()).unwrap_err().to_string();
        assert!(text.contains("could be any of: hw:CARD=0,DEV=0, hw:CARD=1,DEV=0") && !text.contains("vmon"), "{text}");
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = |name: &str, kind: cpal::ErrorKind| DeviceError::refused(name, &kind.into()).to_string();
        assert!(refused("hw:0", cpal::ErrorKind::DeviceBusy).contains("another program has it"));
        assert!(refused("hw:0", cpal::ErrorKind::UnsupportedConfig).contains("let a sound server convert it"));
        assert!(refused("hw:0", cpal::ErrorKind::PermissionDenied).contains("usermod -aG audio"));
        assert!(refused("hw:0", cpal::ErrorKind::DeviceNotAvailable).contains("plugged in"));
        let text = refused(DEFAULT, cpal::ErrorKind::DeviceBusy);
        assert!(text.contains("no default input device") && text.contains("another program has it"), "{text}");
    }

    #[test]
    fn the_engines_rate_comes_before_the_preferred_channels() {
        let range = |channels, min, max| {
            SupportedStreamConfigRange::new(channels, min, max, SupportedBufferSize::Unknown, SampleFormat::I16)
        };
        let (chosen, hz) = best(&[range(1, 44_100, 44_100), range(2, 8_000, 48_000)], 1, 44_100, 48_000).unwrap();
        assert_eq!((chosen.channels(), hz), (2, 48_000));
        let (chosen, hz) = best(&[range(1, 44_100, 44_100), range(2, 22_050, 44_100)], 1, 44_100, 48_000).unwrap();
        assert_eq!((chosen.channels(), hz), (1, 44_100));
        assert!(best(&[range(1, 384_000, 384_000)], 1, 384_000, 48_000).is_none());
    }
}

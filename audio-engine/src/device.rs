//! Input devices by name, and the form in which one is opened.

use crate::limits::{CHANNELS, SAMPLE_RATES_HZ};
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, Device, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange};
use serde::Serialize;
use thiserror::Error;

/// Why there is no such device.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// No name fits.
    #[error("no input device {name:?}; there are: {there}")]
    Unknown {
        /// The name.
        name: String,
        /// What exists.
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
            DeviceBusy, DeviceNotAvailable, HostUnavailable, InvalidInput, UnsupportedConfig, UnsupportedOperation,
        };
        if name == DEFAULT {
            return Self::NoDefault { reason: error.to_string().trim_end_matches('.').into() };
        }
        let retry = !matches!(error.kind(), UnsupportedConfig | UnsupportedOperation | InvalidInput);
        let advice = match error.kind() {
            DeviceBusy => "; another program has it",
            DeviceNotAvailable | HostUnavailable => "; is it plugged in, and does its sound server run?",
            _ => "",
        };
        let reason = format!("{}{advice}", error.to_string().trim_end_matches('.'));
        Self::Refused { name: name.into(), reason, retry }
    }
}

/// What the default device is called in messages.
pub const DEFAULT: &str = "default";

/// A line of `audio-engine devices`.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceLine {
    /// The sound system.
    pub host: String,
    /// What `device:ID` takes.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whether `device:` means this one, and it can be opened.
    pub default: bool,
    /// The rate it prefers.
    pub default_sample_rate_hz: u32,
    /// The most channels it has.
    pub channels: u16,
    /// Lowest and highest rate.
    pub sample_rates: [u32; 2],
    /// Sample formats.
    pub formats: Vec<String>,
}

/// All input devices that answer. Asks each of them, so it may take long or, with a broken sound system, for ever.
///
/// # Errors
/// When the sound system itself cannot be asked.
pub fn list() -> Result<Vec<DeviceLine>, cpal::Error> {
    let host = cpal::default_host();
    let default = host.default_input_device();
    let mut lines: Vec<DeviceLine> = Vec::new();
    for device in default.iter().cloned().chain(named(&host)?) {
        let id = id_of(&device);
        let is_default = default.as_ref().is_some_and(|d| id_of(d) == id);
        if lines.iter().any(|line| line.id == id) {
            continue;
        }
        if let Some(mut line) = line(&host, &device) {
            line.default = is_default;
            lines.push(line);
        }
    }
    Ok(lines)
}

/// ALSA's device that hears nothing, as fast as one asks.
const DEAF: &str = "null";

fn named(host: &cpal::Host) -> Result<impl Iterator<Item = Device> + use<>, cpal::Error> {
    Ok(host.input_devices()?.filter(|device| id_of(device) != DEAF))
}

fn line(host: &cpal::Host, device: &Device) -> Option<DeviceLine> {
    let ranges: Vec<_> = device.supported_input_configs().ok()?.filter(|r| !r.sample_format().is_dsd()).collect();
    let mut formats: Vec<String> = ranges.iter().map(|r| r.sample_format().to_string()).collect();
    formats.sort();
    formats.dedup();
    let config = device.default_input_config().ok();
    Some(DeviceLine {
        host: host.id().to_string(),
        id: id_of(device),
        name: name_of(device),
        default: false,
        default_sample_rate_hz: config.map_or(0, |c| c.sample_rate()),
        channels: ranges.iter().map(SupportedStreamConfigRange::channels).max()?,
        sample_rates: [
            ranges.iter().map(SupportedStreamConfigRange::min_sample_rate).min()?,
            ranges.iter().map(SupportedStreamConfigRange::max_sample_rate).max()?,
        ],
        formats,
    })
}

/// What `device:ID` takes.
#[must_use]
pub fn id_of(device: &Device) -> String {
    device.id().map_or_else(|_| name_of(device), |id| id.id().to_owned())
}

/// The device's name, on one line.
#[must_use]
pub fn name_of(device: &Device) -> String {
    device.description().map_or_else(|_| "unnamed".into(), |d| d.name().replace('\n', ", "))
}

/// The device of a name: its id or name, or a part of one of them that fits one device only; `None` is the default.
///
/// # Errors
/// [`DeviceError`].
pub fn find(name: Option<&str>) -> Result<Device, DeviceError> {
    let host = cpal::default_host();
    let Some(name) = name else {
        return host.default_input_device().ok_or_else(|| DeviceError::NoDefault { reason: "none is known".into() });
    };
    let there: Vec<Device> =
        named(&host).map_err(|e| DeviceError::refused(name, &e))?.chain(host.default_input_device()).collect();
    let keys: Vec<[String; 2]> = there.iter().map(|d| [id_of(d), name_of(d)]).collect();
    choose(name, &keys).map(|at| there[at].clone())
}

/// The place of the one device a name means.
fn choose(name: &str, keys: &[[String; 2]]) -> Result<usize, DeviceError> {
    if let Some(at) = keys.iter().position(|[id, _]| id == name) {
        return Ok(at);
    }
    let wanted = name.to_lowercase();
    let fitting = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..keys.len()).filter(|&at| keys[at].iter().any(|key| fits(&key.to_lowercase()))).collect()
    };
    let whole = fitting(&|key| key == wanted);
    let found = if whole.is_empty() { fitting(&|key| key.contains(&wanted)) } else { whole };
    let text = |places: &mut dyn Iterator<Item = usize>| {
        let mut ids: Vec<&str> = places.map(|at| keys[at][0].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() { "none".into() } else { ids.join(", ") }
    };
    match found[..] {
        [at] => Ok(at),
        [] => Err(DeviceError::Unknown { name: name.into(), there: text(&mut (0..keys.len())) }),
        _ => Err(DeviceError::Ambiguous { name: name.into(), fitting: text(&mut found.into_iter()) }),
    }
}

/// How a device is opened: at the engine's rate where it can, with as many channels as it prefers.
///
/// # Errors
/// What the device says, or that none of its forms can be used.
pub fn form(device: &Device, sample_rate_hz: u32) -> Result<(StreamConfig, SampleFormat), cpal::Error> {
    let preferred = device.default_input_config()?;
    let ranges: Vec<_> = device.supported_input_configs()?.collect();
    let (range, rate_hz) = best(&ranges, preferred.channels(), preferred.sample_rate(), sample_rate_hz)
        .ok_or_else(|| cpal::Error::from(cpal::ErrorKind::UnsupportedConfig))?;
    let wanted = rate_hz / 100;
    let buffer_size = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(wanted.clamp(min, max.max(min))),
        SupportedBufferSize::Unknown => BufferSize::Fixed(wanted),
    };
    Ok((StreamConfig { channels: range.channels(), sample_rate: rate_hz, buffer_size }, range.sample_format()))
}

fn best(
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

    fn keys() -> Vec<[String; 2]> {
        [["hw:CARD=0,DEV=0", "USB Audio, Mic"], ["plughw:CARD=0,DEV=0", "USB Audio, Mic"], ["vmon", "Monitor of sink"]]
            .map(|pair| pair.map(String::from))
            .to_vec()
    }

    #[test]
    fn an_id_or_a_unique_part_names_a_device() {
        assert_eq!(choose("hw:CARD=0,DEV=0", &keys()).unwrap(), 0);
        assert_eq!(choose("plughw", &keys()).unwrap(), 1);
        assert_eq!(choose("monitor", &keys()).unwrap(), 2);
    }

    #[test]
    fn unknown_and_ambiguous_names_list_what_there_is() {
        assert!(
            choose("drum", &keys()).unwrap_err().to_string().contains("hw:CARD=0,DEV=0, plughw:CARD=0,DEV=0, vmon")
        );
        let text = choose("usb", &keys()).unwrap_err().to_string();
        assert!(text.contains("could be any of") && !text.contains("vmon"), "{text}");
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

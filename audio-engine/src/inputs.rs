//! All inputs of this machine, with the names that people know them by.

use crate::asound::{self, Bridge, Hush};
use crate::sound_server::{self, ServerSource};
use alsa::Direction;
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{Device, SupportedStreamConfigRange};
use serde::Serialize;

/// What an input is to a person; in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A microphone or a line.
    Microphone,
    /// What a speaker plays.
    Monitor,
    /// What somebody has configured.
    Other,
    /// A way of ALSA's to one of the others.
    Plugin,
}

/// An input that can be opened.
pub struct Input {
    /// The device.
    pub device: Device,
    /// What `device:ID` takes.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What the sound server knows of it, if it is the server's.
    pub source: Option<ServerSource>,
}

/// A line of `audio-engine devices`.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceLine {
    /// The sound system.
    pub host: String,
    /// What `device:ID` takes.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether `device:` means this one.
    pub default: bool,
    /// Whether it is muted, where the sound system says so.
    pub muted: Option<bool>,
    /// The rate it prefers.
    pub default_sample_rate_hz: u32,
    /// The most channels it has.
    pub channels: u16,
    /// Lowest and highest rate.
    pub sample_rates: [u32; 2],
    /// Sample formats.
    pub formats: Vec<String>,
}

/// ALSA's device that hears nothing, as fast as one asks.
pub(crate) const DEAF: &str = "null";
/// The one that `device:` opens.
const DEFAULT: &str = "default";

/// What can be opened by a name. Opens nothing.
///
/// # Errors
/// When the sound system cannot be asked.
pub fn all(host: &cpal::Host) -> Result<Vec<Input>, cpal::Error> {
    Ok(with_server(host)?.1)
}

fn with_server(host: &cpal::Host) -> Result<(Option<&'static str>, Vec<Input>), cpal::Error> {
    let mut devices: Vec<Device> = host.input_devices()?.collect();
    let has = |id: &str| devices.iter().any(|device| id_of(device) == id);
    let bridge = if has("pulse") { Some(Bridge::Pulse) } else { has("pipewire").then_some(Bridge::PipeWire) };
    let server = bridge.and_then(|_| sound_server::ask());
    let mut sources = Vec::new();
    if let (Some(bridge), Some(server)) = (bridge, &server) {
        let reached = server.sources.iter().filter(|source| bridge == Bridge::Pulse || !source.is_monitor);
        sources = reached.cloned().collect();
        if asound::add(bridge, Direction::Capture, &sources) {
            devices = host.input_devices()?.collect();
        }
    }
    let mut inputs: Vec<Input> = Vec::new();
    for device in devices {
        let pcm = id_of(&device);
        if pcm == DEAF || inputs.iter().any(|input| input.id == pcm) {
            continue;
        }
        let source = sources.iter().find(|source| asound::pcm_of(&source.name) == pcm).cloned();
        // One that the server had before and has no more.
        if asound::is_added(&pcm) && source.is_none() {
            continue;
        }
        inputs.push(match source {
            Some(source) => Input {
                device,
                id: source.name.clone(),
                name: source.description.clone(),
                kind: if source.is_monitor { Kind::Monitor } else { Kind::Microphone },
                source: Some(source),
            },
            None => Input { kind: kind_of(&pcm, &name_of(&device)), name: name_of(&device), id: pcm, device, source },
        });
    }
    // A card is named by its number, too, which is no use where it has a name.
    let is_named = inputs.iter().any(|input| input.kind == Kind::Microphone && input.id.starts_with("hw:"));
    for input in inputs.iter_mut().filter(|input| is_named && is_numbered(&input.id)) {
        input.kind = Kind::Plugin;
    }
    Ok((server.map(|server| server.name), inputs))
}

/// All inputs that answer, in the order in which people look for one. Asks each of them, so it may take long or, with a
/// broken sound system, for ever. With `plug_ins`, ALSA's ways to the others, too.
///
/// # Errors
/// When the sound system itself cannot be asked.
pub fn list(plug_ins: bool) -> Result<Vec<DeviceLine>, cpal::Error> {
    let _hush = Hush::new();
    let host = cpal::default_host();
    let (server, inputs) = with_server(&host)?;
    let server = server.unwrap_or_default();
    let leads_to_server = inputs.iter().any(|input| input.source.is_some()) && default_leads_to_server();
    let is_default = |input: &Input| match &input.source {
        Some(source) => leads_to_server && source.is_default,
        None => input.id == DEFAULT,
    };
    let default_is_shown = inputs.iter().any(|input| input.source.is_some() && is_default(input));
    let jack_runs = jack_runs();
    let mut lines: Vec<DeviceLine> = Vec::new();
    for input in &inputs {
        let is_twice = input.id == DEFAULT && default_is_shown;
        let is_asleep = input.id == "jack" && !jack_runs;
        if is_asleep || ((input.kind == Kind::Plugin || is_twice) && !plug_ins) {
            continue;
        }
        let line = match &input.source {
            Some(source) => Some(line_of_source(server, input, source)),
            None => line(&host, input),
        };
        lines.extend(line.map(|line| DeviceLine { default: is_default(input) && !is_twice, ..line }));
    }
    if !inputs.iter().any(|input| input.id == DEFAULT)
        && !default_is_shown
        && let Some(device) = host.default_input_device()
    {
        let (id, name) = (DEFAULT.into(), name_of(&device));
        let line = line(&host, &Input { device, id, name, kind: Kind::Microphone, source: None });
        lines.extend(line.map(|line| DeviceLine { default: true, ..line }));
    }
    lines.sort_by_key(|line| (!line.default, line.kind));
    Ok(lines)
}

fn line_of_source(server: &str, input: &Input, source: &ServerSource) -> DeviceLine {
    DeviceLine {
        host: server.into(),
        id: input.id.clone(),
        name: input.name.clone(),
        kind: input.kind,
        default: false,
        muted: Some(source.muted),
        default_sample_rate_hz: source.sample_rate_hz,
        channels: source.channels,
        sample_rates: [source.sample_rate_hz; 2],
        formats: vec![source.format.into()],
    }
}

fn line(host: &cpal::Host, input: &Input) -> Option<DeviceLine> {
    let device = &input.device;
    let ranges: Vec<_> = device.supported_input_configs().ok()?.filter(|r| !r.sample_format().is_dsd()).collect();
    let mut formats: Vec<String> = ranges.iter().map(|r| r.sample_format().to_string()).collect();
    formats.sort();
    formats.dedup();
    let config = device.default_input_config().ok();
    Some(DeviceLine {
        host: if host.id() == cpal::HostId::Alsa { "ALSA".into() } else { host.id().to_string() },
        id: input.id.clone(),
        name: input.name.clone(),
        kind: input.kind,
        default: false,
        muted: None,
        default_sample_rate_hz: config.map_or(0, |c| c.sample_rate()),
        channels: ranges.iter().map(SupportedStreamConfigRange::channels).max()?,
        sample_rates: [
            ranges.iter().map(SupportedStreamConfigRange::min_sample_rate).min()?,
            ranges.iter().map(SupportedStreamConfigRange::max_sample_rate).max()?,
        ],
        formats,
    })
}

/// What the sound server calls the device behind ALSA's default one, where that leads to a server.
pub(crate) fn name_of_default() -> Option<String> {
    let source = sound_server::ask()?.sources.into_iter().find(|source| source.is_default)?;
    default_leads_to_server().then_some(source.description)
}

/// Whether ALSA's default device is the server's plug-in. Opens it.
fn default_leads_to_server() -> bool {
    asound::leads_to_server(DEFAULT, Direction::Capture)
}

/// Whether a JACK server of this user runs. Its plug-in is not opened where none does: it would leave a file behind.
pub(crate) fn jack_runs() -> bool {
    let uid = rustix::process::getuid().as_raw();
    let Ok(files) = std::fs::read_dir("/dev/shm") else { return false };
    files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("jack_") && name.contains(&format!("_{uid}_"))
    })
}

/// Devices that are a way to another one, by the beginning of their name.
pub(crate) const PLUG_INS: [&str; 29] = [
    "plughw",
    "sysdefault",
    "front",
    "rear",
    "center_lfe",
    "side",
    "surround",
    "iec958",
    "spdif",
    "hdmi",
    "modem",
    "phoneline",
    "dmix",
    "dsnoop",
    "dshare",
    "oss",
    "lavrate",
    "samplerate",
    "speexrate",
    "speex",
    "jack",
    "upmix",
    "vdownmix",
    "usbstream",
    "usb_stream",
    "pulse",
    "pipewire",
    "a52",
    "arcam",
];

fn kind_of(pcm: &str, name: &str) -> Kind {
    let plug_in = pcm.split(':').next().unwrap_or(pcm);
    if name.to_lowercase().contains("monitor") {
        Kind::Monitor
    } else if pcm == DEFAULT || plug_in == "hw" {
        Kind::Microphone
    } else if PLUG_INS.iter().any(|known| plug_in.starts_with(known)) {
        Kind::Plugin
    } else {
        Kind::Other
    }
}

/// `hw:CARD=0,DEV=0` and the like.
pub(crate) fn is_numbered(pcm: &str) -> bool {
    let card = pcm.strip_prefix("hw:CARD=").and_then(|rest| rest.split(',').next());
    card.is_some_and(|card| card.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What ALSA calls a device.
#[must_use]
pub fn id_of(device: &Device) -> String {
    device.id().map_or_else(|_| name_of(device), |id| id.id().to_owned())
}

/// The device's name, on one line.
#[must_use]
pub fn name_of(device: &Device) -> String {
    device.description().map_or_else(|_| "unnamed".into(), |d| d.name().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_from_the_ways_to_it() {
        for pcm in ["plughw:CARD=0,DEV=0", "surround51:CARD=PCH,DEV=0", "lavrate", "pulse", "usbstream:CARD=PCH"] {
            assert_eq!(kind_of(pcm, "HDA Intel PCH"), Kind::Plugin, "{pcm}");
        }
        assert_eq!(kind_of("hw:CARD=PCH,DEV=0", "HDA Intel PCH, ALC257 Analog"), Kind::Microphone);
        assert_eq!(kind_of("default", "Default Audio Device"), Kind::Microphone);
        assert_eq!(kind_of("vmon", "Monitor of the null sink"), Kind::Monitor);
        assert_eq!(kind_of("studio", "studio"), Kind::Other);
        assert!(is_numbered("hw:CARD=12,DEV=0") && !is_numbered("hw:CARD=PCH,DEV=0") && !is_numbered("default"));
    }
}

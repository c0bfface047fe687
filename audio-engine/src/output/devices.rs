//! The outputs of this machine, by the names that people know them by.

use crate::asound::{self, Bridge, Hush};
use crate::device::{DeviceError, best, forbidden};
use crate::inputs::{DEAF, PLUG_INS, id_of, is_numbered, jack_runs, name_of};
use crate::sound_server::{self, ServerSource, SoundServer};
use alsa::Direction;
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, Device, SampleFormat, StreamConfig, SupportedBufferSize};
use serde::Serialize;

/// What ALSA calls the device that is taken unasked.
const DEFAULT: &str = "default";

/// What an output is to a person; in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A speaker, a headphone, a line.
    Speaker,
    /// What somebody has configured.
    Other,
    /// A way of ALSA's to one of the others.
    Plugin,
}

/// A line of `audio-engine outputs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputLine {
    /// The sound system.
    pub host: String,
    /// What `tympan output set` takes.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether `default` means this one.
    pub default: bool,
    /// Whether it is muted, where the sound system says so.
    pub muted: Option<bool>,
    /// The rate it has, where the sound server says so.
    pub sample_rate_hz: Option<u32>,
    /// Its channels, where the sound server says so.
    pub channels: Option<u16>,
}

/// An output that can be opened.
struct Speaker {
    device: Device,
    id: String,
    name: String,
    kind: Kind,
    sink: Option<ServerSource>,
}

/// An output that was found, and how it is to be opened.
pub(super) struct Found {
    pub device: Device,
    /// For people.
    pub name: String,
    /// What `tympan output set` takes.
    pub id: String,
    pub config: StreamConfig,
    pub format: SampleFormat,
    /// Its callbacks are a sound server's, which real-time priority would only harm: what they wait for has none.
    pub of_server: bool,
}

/// All outputs that answer, as people look for them; with `plug_ins`, ALSA's ways to the others, too. Asks the sound
/// system, so it may take long or, with a broken one, for ever.
///
/// # Errors
/// When the sound system itself cannot be asked.
pub fn list(plug_ins: bool) -> Result<Vec<OutputLine>, cpal::Error> {
    let _hush = Hush::new();
    let (server, speakers) = all(&cpal::default_host())?;
    let of_server =
        speakers.iter().any(|speaker| speaker.sink.is_some()) && asound::leads_to_server(DEFAULT, Direction::Playback);
    let is_default = |speaker: &Speaker| match &speaker.sink {
        Some(sink) => of_server && sink.is_default,
        None => speaker.id == DEFAULT && !of_server,
    };
    let asleep = |speaker: &Speaker| speaker.id == "jack" && !jack_runs();
    let shown = speakers.iter().filter(|speaker| plug_ins || speaker.kind != Kind::Plugin || is_default(speaker));
    let shown = shown.filter(|speaker| !asleep(speaker) && (plug_ins || speaker.id != DEFAULT || is_default(speaker)));
    let line = |speaker: &Speaker| OutputLine {
        host: if speaker.sink.is_some() { server.as_ref().map_or("ALSA", |s| s.name) } else { "ALSA" }.into(),
        id: speaker.id.clone(),
        name: speaker.name.clone(),
        kind: speaker.kind,
        default: is_default(speaker),
        muted: speaker.sink.as_ref().map(|sink| sink.muted),
        sample_rate_hz: speaker.sink.as_ref().map(|sink| sink.sample_rate_hz),
        channels: speaker.sink.as_ref().map(|sink| sink.channels),
    };
    let mut lines: Vec<OutputLine> = shown.map(line).collect();
    lines.sort_by_key(|line| (!line.default, line.kind));
    Ok(lines)
}

fn all(host: &cpal::Host) -> Result<(Option<SoundServer>, Vec<Speaker>), cpal::Error> {
    let mut devices: Vec<Device> = host.output_devices()?.collect();
    let has = |id: &str| devices.iter().any(|device| id_of(device) == id);
    let bridge = if has("pulse") { Some(Bridge::Pulse) } else { has("pipewire").then_some(Bridge::PipeWire) };
    let server = bridge.and_then(|_| sound_server::ask());
    let sinks: &[ServerSource] = server.as_ref().map_or(&[], |server| &server.sinks);
    if let Some(bridge) = bridge
        && asound::add(bridge, Direction::Playback, sinks)
    {
        devices = host.output_devices()?.collect();
    }
    let mut speakers: Vec<Speaker> = Vec::new();
    for device in devices {
        let pcm = id_of(&device);
        let sink = sinks.iter().find(|sink| asound::pcm_of(&sink.name) == pcm).cloned();
        let is_past = asound::is_added(&pcm) && sink.is_none();
        if pcm == DEAF || is_past || speakers.iter().any(|speaker| speaker.id == pcm) {
            continue;
        }
        speakers.push(match sink {
            Some(sink) => Speaker {
                device,
                id: sink.name.clone(),
                name: sink.description.clone(),
                kind: Kind::Speaker,
                sink: Some(sink),
            },
            None => Speaker { kind: kind_of(&pcm), name: name_of(&device), id: pcm, device, sink: None },
        });
    }
    // A card is named by its number, too, which is no use where it has a name.
    let is_named = speakers.iter().any(|s| s.kind == Kind::Speaker && s.id.starts_with("hw:") && !is_numbered(&s.id));
    speakers.iter_mut().filter(|s| is_named && is_numbered(&s.id)).for_each(|speaker| speaker.kind = Kind::Plugin);
    Ok((server, speakers))
}

fn kind_of(pcm: &str) -> Kind {
    let plug_in = pcm.split(':').next().unwrap_or(pcm);
    if pcm == DEFAULT || plug_in == "hw" {
        Kind::Speaker
    } else if PLUG_INS.iter().any(|known| plug_in.starts_with(known)) {
        Kind::Plugin
    } else {
        Kind::Other
    }
}

/// The output of a name: its id or name, or a part of one of them that fits one output only; `None` is the default.
///
/// # Errors
/// [`DeviceError`], which names those that there are.
pub(super) fn find(name: Option<&str>, sample_rate_hz: u32) -> Result<Found, DeviceError> {
    let host = cpal::default_host();
    let (device, id, label, sink) = match name {
        None => {
            let device = host.default_output_device().ok_or(DeviceError::NoDefaultOutput)?;
            let sink = default_sink();
            let label = sink.as_ref().map_or_else(|| name_of(&device), |sink| sink.description.clone());
            (device, DEFAULT.to_owned(), label, sink)
        }
        Some(name) => {
            let (_, mut there) = all(&host).map_err(|e| refused(name, &e))?;
            let at = choose(name, &there)?;
            let Speaker { device, id, name, sink, .. } = there.swap_remove(at);
            (device, id, name, sink)
        }
    };
    let asked = name.unwrap_or(DEFAULT);
    let (config, format) =
        form(&device, sink.as_ref().map(|sink| sink.channels), sample_rate_hz).map_err(|e| refused(asked, &e))?;
    let of_server = sink.is_some() || asound::leads_to_server(&id_of(&device), Direction::Playback);
    Ok(Found { device, name: label, id, config, format, of_server })
}

/// The sink that ALSA's default device plays to, where a sound server has it.
pub(super) fn default_sink() -> Option<ServerSource> {
    let sink = sound_server::ask()?.sinks.into_iter().find(|sink| sink.is_default)?;
    asound::leads_to_server(DEFAULT, Direction::Playback).then_some(sink)
}

/// The sound system's own words about an output.
pub(super) fn refused(name: &str, error: &cpal::Error) -> DeviceError {
    match DeviceError::refused(name, error) {
        DeviceError::Refused { name, reason, retry } => DeviceError::OutputRefused { name, reason, retry },
        DeviceError::NoDefault { reason } => DeviceError::OutputRefused { name: name.into(), reason, retry: true },
        other => other,
    }
}

/// The place of the one output that a name means.
fn choose(name: &str, there: &[Speaker]) -> Result<usize, DeviceError> {
    if let Some(at) = there.iter().position(|speaker| speaker.id == name) {
        return Ok(at);
    }
    let wanted = name.to_lowercase();
    let fitting = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let fits = |speaker: &Speaker| fits(&speaker.id.to_lowercase()) || fits(&speaker.name.to_lowercase());
        (0..there.len()).filter(|&at| fits(&there[at])).collect()
    };
    let whole = fitting(&|key| key == wanted);
    let mut found = if whole.is_empty() { fitting(&|key| key.contains(&wanted)) } else { whole };
    // The server's, which shares it, before ALSA's way to the same.
    let rank = |at: &usize| (there[*at].kind, there[*at].sink.is_none());
    let Some(first) = found.iter().map(rank).min() else {
        return Err(DeviceError::UnknownOutput { name: name.into(), there: shown(there.iter()) });
    };
    found.retain(|at| rank(at) == first);
    match found[..] {
        [at] => Ok(at),
        _ => {
            Err(DeviceError::AmbiguousOutput { name: name.into(), fitting: shown(found.iter().map(|&at| &there[at])) })
        }
    }
}

/// Outputs for a message: those that a person would name.
fn shown<'a>(speakers: impl Iterator<Item = &'a Speaker>) -> String {
    let mut texts: Vec<String> = Vec::new();
    for speaker in speakers.filter(|speaker| speaker.kind != Kind::Plugin) {
        let text =
            if speaker.sink.is_some() { format!("{} ({})", speaker.id, speaker.name) } else { speaker.id.clone() };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.is_empty() { format!("none{}", forbidden().unwrap_or_default()) } else { texts.join(", ") }
}

/// How an output is opened: at the engine's rate where it can, with as many channels as it has.
fn form(
    device: &Device,
    channels: Option<u16>,
    sample_rate_hz: u32,
) -> Result<(StreamConfig, SampleFormat), cpal::Error> {
    let preferred = device.default_output_config()?;
    let ranges: Vec<_> = device.supported_output_configs()?.collect();
    let channels = channels.unwrap_or(preferred.channels());
    let (range, rate_hz) = best(&ranges, channels, preferred.sample_rate(), sample_rate_hz)
        .ok_or_else(|| cpal::Error::from(cpal::ErrorKind::UnsupportedConfig))?;
    let wanted = rate_hz / 100;
    let buffer_size = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } => BufferSize::Fixed(wanted.clamp(min, max.max(min))),
        SupportedBufferSize::Unknown => BufferSize::Fixed(wanted),
    };
    Ok((StreamConfig { channels: range.channels(), sample_rate: rate_hz, buffer_size }, range.sample_format()))
}

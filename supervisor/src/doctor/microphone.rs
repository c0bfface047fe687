//! The microphone: opened, and listened to for some seconds.

use super::Case;
use super::finding::{Finding, Severity};
use super::outside::{count, quoted, run};
use super::server::{Server, Servers};
use crate::settings::keys;
use crate::siblings::Siblings;
use crate::sources;
use control_protocol::Exit;
use serde::Deserialize;
use std::time::Duration;

pub(super) const NAME: &str = "microphone";
/// How long it is listened to.
pub(super) const LISTEN_S: u32 = 5;
/// How long the sound libraries may take beside that.
const PATIENCE: Duration = Duration::from_secs(20);
/// Below this even whispering from afar is louder.
const QUIET_DBFS: f64 = -60.0;
/// From here on a sample is cut off.
const CLIPPED: f64 = 0.999;

/// What `audio-engine probe` says.
#[derive(Debug, Clone, Default, Deserialize)]
struct Probe {
    ok: bool,
    description: Option<String>,
    sample_rate_hz: Option<u32>,
    channels: Option<u32>,
    reason: Option<String>,
    exit: Option<i32>,
    captured_s: Option<f64>,
    peak: Option<f64>,
    rms_dbfs: Option<f64>,
    zeros: Option<bool>,
}

/// A line of `audio-engine devices`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Listed {
    id: String,
    name: String,
    default: bool,
    #[serde(default)]
    kind: String,
    /// Where the sound server tells it.
    #[serde(default)]
    muted: Option<bool>,
}

/// What was heard.
struct Heard {
    uri: String,
    /// Whether a microphone is wanted: no other sources are configured.
    wanted: bool,
    probe: Result<Probe, String>,
    /// What the sound libraries know of it.
    listed: Option<Listed>,
    /// Who has an input open, by ALSA.
    holder: Option<(u32, String)>,
    server: Server,
    /// Whether it was to be listened to.
    listened: bool,
}

/// Opens the microphone and listens.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let Ok(siblings) = Siblings::find() else {
        return vec![Finding::note(NAME, "not looked at").means("the program that opens it is missing, as said above")];
    };
    let (uri, wanted) = source(case);
    let seconds = LISTEN_S.to_string();
    let mut args = vec!["probe", &uri];
    if !case.quick {
        args.extend(["--seconds", &seconds]);
    }
    let probe = run(&siblings.engine, &args, PATIENCE + Duration::from_secs(u64::from(LISTEN_S)))
        .and_then(|ran| serde_json::from_str(&ran.stdout).map_err(|_| format!("audio-engine: {}", ran.last_words())));
    let server = case.servers.get().map_or(Server::None, Servers::main);
    let works = probe.as_ref().is_ok_and(|probe: &Probe| probe.ok);
    let listed = (works && !case.quick).then(|| listed(&siblings, &uri)).flatten();
    findings(&Heard { uri, wanted, probe, listed, holder: holder(), server, listened: !case.quick })
}

/// The device that was named, else the first that is configured, else the default.
fn source(case: &Case) -> (String, bool) {
    if let Some(name) = &case.device {
        return (format!("device:{}", name.strip_prefix("device:").unwrap_or(name)), true);
    }
    let configured = sources::parse(&case.settings.list(&keys::SOURCES)).unwrap_or_default();
    let device = configured.iter().find(|(_, uri)| uri.starts_with("device:")).map(|(_, uri)| uri.clone());
    let wanted = configured.is_empty() || device.is_some();
    (device.unwrap_or_else(|| "device:".to_owned()), wanted)
}

/// What the sound libraries know of a device.
fn listed(siblings: &Siblings, uri: &str) -> Option<Listed> {
    let ran = run(&siblings.engine, &["devices"], PATIENCE).ok()?;
    chosen(serde_json::from_str(&ran.stdout).ok()?, uri)
}

fn chosen(all: Vec<Listed>, uri: &str) -> Option<Listed> {
    let wanted = uri.strip_prefix("device:").unwrap_or(uri).to_lowercase();
    if wanted.is_empty() {
        return all.into_iter().find(|one| one.default);
    }
    let exactly = all.iter().position(|one| one.id.to_lowercase() == wanted);
    let partly = |one: &Listed| one.id.to_lowercase().contains(&wanted) || one.name.to_lowercase().contains(&wanted);
    let at = exactly.or_else(|| all.iter().position(partly))?;
    all.into_iter().nth(at)
}

/// The process that has an input open.
fn holder() -> Option<(u32, String)> {
    let below = |dir: &str, begin: &str, end: &str| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with(begin) && name.ends_with(end))
            .map(|name| format!("{dir}/{name}"))
            .collect()
    };
    let cards = below("/proc/asound", "card", "");
    let inputs = cards.iter().flat_map(|card| below(card, "pcm", "c"));
    let mut status = inputs.flat_map(|input| below(&input, "sub", "")).map(|sub| format!("{sub}/status"));
    let pid = status.find_map(|path| owner(&std::fs::read_to_string(path).ok()?))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim().to_owned()))
}

/// `owner_pid   : 1234`
fn owner(status: &str) -> Option<u32> {
    let line = status.lines().find(|line| line.starts_with("owner_pid"))?;
    line.split_once(':')?.1.trim().parse().ok()
}

fn findings(heard: &Heard) -> Vec<Finding> {
    let probe = match &heard.probe {
        Ok(probe) if probe.ok => probe,
        refused => return vec![refusal(heard, refused.as_ref())],
    };
    let description = probe.description.clone().unwrap_or_else(|| heard.uri.clone());
    let shape = match (probe.sample_rate_hz, probe.channels) {
        (Some(rate_hz), Some(channels)) if !description.contains("Hz") => {
            format!(", {} kHz, {}", f64::from(rate_hz) / 1_000.0, count(channels, "channel"))
        }
        _ => String::new(),
    };
    let what = format!("{description}{shape}");
    if !heard.listened {
        return vec![Finding::good(NAME, format!("{what}: opens; not listened to"))];
    }
    let level = level(heard, probe, what);
    let Some(listed) = heard.listed.as_ref().filter(|listed| listed.kind == "monitor") else { return vec![level] };
    let text = format!("{} is what a speaker plays, no microphone", listed.name);
    let plays = level.severity < Severity::Warning;
    let finding =
        if plays { Finding::note(NAME, text) } else { Finding::warning(NAME, format!("{text}; it is silent")) };
    vec![finding.means("the sound server has no microphone, or this one was chosen before it").mend("tympan devices")]
}

/// What was heard of one that works.
fn level(heard: &Heard, probe: &Probe, what: String) -> Finding {
    let captured_s = probe.captured_s.unwrap_or(0.0);
    if captured_s < f64::from(LISTEN_S) / 2.0 {
        return Finding::warning(NAME, format!("{what}: delivered {captured_s:.1} s of sound in {LISTEN_S} s"))
            .means("words would be missing; a device or a server that stutters")
            .mend(restart(heard.server));
    }
    let peak = probe.peak.unwrap_or(0.0);
    if probe.zeros.unwrap_or(peak == 0.0) {
        return silence(heard, format!("{what}: only zeros for {captured_s:.0} s"));
    }
    let peak_dbfs = 20.0 * peak.log10();
    let level = match probe.rms_dbfs {
        Some(rms_dbfs) => format!("peak {peak_dbfs:.0} dBFS, rms {rms_dbfs:.0} dBFS"),
        None => format!("peak {peak_dbfs:.0} dBFS"),
    };
    let what = format!("{what}: {level}");
    if peak_dbfs < QUIET_DBFS {
        return Finding::note(NAME, format!("{what}; very quiet"))
            .means("fine if nobody spoke; else the wrong microphone, or turned down")
            .mend(louder(heard.server));
    }
    if peak >= CLIPPED {
        return Finding::note(NAME, format!("{what}; too loud"))
            .means("loud sound is cut off, which harms the words; turn it down")
            .mend(softer(heard.server));
    }
    Finding::good(NAME, what)
}

/// Why nothing comes but zeros.
fn silence(heard: &Heard, what: String) -> Finding {
    let finding = Finding::warning(NAME, what);
    let named = heard.listed.as_ref().filter(|_| heard.uri != "device:");
    let unmute = match (named, heard.server) {
        (Some(listed), Server::PipeWire | Server::PulseAudio) => {
            let id = quoted(&listed.id);
            format!("pactl set-source-mute {id} 0 && pactl set-source-volume {id} 80%")
        }
        _ => unmute(heard.server).to_owned(),
    };
    match heard.listed.as_ref().and_then(|listed| listed.muted) {
        Some(true) => finding.means("the sound server has muted it").mend(unmute),
        Some(false) => finding
            .means(
                "the sound server has not muted it: it is muted by a switch or a key of its own, turned down to \
                 nothing, or this program is not permitted to hear it",
            )
            .mend(unmute),
        None => finding
            .means("it is muted (also by a switch or a key of its own), or this program is not permitted to hear it")
            .mend(unmute),
    }
}

/// It could not be opened.
fn refusal(heard: &Heard, refused: Result<&Probe, &String>) -> Finding {
    let (text, exit) = match refused {
        Err(text) => (format!("{}: {text}", heard.uri), Exit::NoDevice),
        Ok(probe) => {
            let exit = probe.exit.and_then(Exit::from_code).filter(|exit| *exit != Exit::Clean);
            (
                probe.reason.clone().unwrap_or_else(|| format!("{} cannot be used", heard.uri)),
                exit.unwrap_or(Exit::NoDevice),
            )
        }
    };
    if !heard.wanted {
        return Finding::note(NAME, text).means("the sources that are configured need none");
    }
    let hangs = refused.is_err() || text.contains("not answer");
    let finding = Finding::fault(NAME, exit, text);
    if let Some((pid, name)) = &heard.holder
        && !hangs
    {
        return finding
            .means(format!("{name} (pid {pid}) has the input; without a sound server only one program at a time can"))
            .mend(format!("kill {pid}"));
    }
    if hangs {
        return finding.means("the sound system hangs").mend(restart(heard.server));
    }
    finding
        .means("see the findings about sound above; `tympan run demo:` and recordings work without a microphone")
        .mend("tympan devices --all")
}

fn unmute(server: Server) -> &'static str {
    match server {
        Server::PipeWire => "wpctl set-mute @DEFAULT_AUDIO_SOURCE@ 0 && wpctl set-volume @DEFAULT_AUDIO_SOURCE@ 0.8",
        Server::PulseAudio => {
            "pactl set-source-mute @DEFAULT_SOURCE@ 0 && pactl set-source-volume @DEFAULT_SOURCE@ 80%"
        }
        Server::Jack | Server::None => "amixer sset Capture cap 80%",
    }
}

fn louder(server: Server) -> &'static str {
    match server {
        Server::PipeWire => "wpctl set-volume @DEFAULT_AUDIO_SOURCE@ 10%+",
        Server::PulseAudio => "pactl set-source-volume @DEFAULT_SOURCE@ +10%",
        Server::Jack | Server::None => "amixer sset Capture 10%+",
    }
}

fn softer(server: Server) -> &'static str {
    match server {
        Server::PipeWire => "wpctl set-volume @DEFAULT_AUDIO_SOURCE@ 10%-",
        Server::PulseAudio => "pactl set-source-volume @DEFAULT_SOURCE@ -10%",
        Server::Jack | Server::None => "amixer sset Capture 10%-",
    }
}

fn restart(server: Server) -> &'static str {
    match server {
        Server::PipeWire => "systemctl --user restart pipewire pipewire-pulse wireplumber",
        Server::PulseAudio => "pulseaudio --kill; pulseaudio --start",
        Server::Jack | Server::None => "sudo alsactl restore",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(probe: Result<Probe, String>) -> Heard {
        Heard {
            uri: "device:".into(),
            wanted: true,
            probe,
            listed: None,
            holder: None,
            server: Server::PipeWire,
            listened: true,
        }
    }

    fn of_level(peak: f64) -> Probe {
        let zeros = peak == 0.0;
        Probe {
            ok: true,
            description: Some("Default".into()),
            sample_rate_hz: Some(48_000),
            channels: Some(1),
            captured_s: Some(5.0),
            peak: Some(peak),
            rms_dbfs: (!zeros).then_some(-40.0),
            zeros: Some(zeros),
            ..Probe::default()
        }
    }

    fn found(heard: &Heard) -> Finding {
        findings(heard).remove(0)
    }

    #[test]
    fn what_was_heard_decides() {
        for (peak, severity, word) in [
            (0.0, Severity::Warning, "only zeros"),
            (0.000_5, Severity::Note, "very quiet"),
            (0.3, Severity::Good, "peak -10 dBFS"),
            (1.0, Severity::Note, "too loud"),
        ] {
            let finding = found(&heard(Ok(of_level(peak))));
            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(finding.what.contains(word) && finding.what.contains("48 kHz, 1 channel"), "{finding:?}");
        }
        let muted = found(&heard(Ok(of_level(0.0))));
        assert!(muted.means.unwrap().contains("muted") && muted.mend.unwrap().starts_with("wpctl set-mute"));
        let muted = found(&Heard { server: Server::None, ..heard(Ok(of_level(0.0))) });
        assert!(muted.mend.unwrap().starts_with("amixer"));
    }

    #[test]
    fn what_the_server_knows_is_said() {
        let of = |kind: &str, muted, peak| {
            let listed = Listed { id: "yeti".into(), name: "Yeti".into(), default: true, kind: kind.into(), muted };
            found(&Heard { listed: Some(listed), ..heard(Ok(of_level(peak))) })
        };
        assert_eq!(of("microphone", Some(true), 0.0).means.as_deref(), Some("the sound server has muted it"));
        assert!(of("microphone", Some(false), 0.0).means.unwrap().contains("a switch"));
        assert_eq!(of("microphone", Some(false), 0.3).severity, Severity::Good);
        let monitor = of("monitor", Some(false), 0.3);
        assert!(monitor.severity == Severity::Note && monitor.what.contains("no microphone"), "{monitor:?}");
        assert_eq!(of("monitor", Some(false), 0.0).severity, Severity::Warning);
    }

    #[test]
    fn the_line_of_a_device_is_found_as_the_engine_finds_it() {
        let one =
            |id: &str, name: &str, default| Listed { id: id.into(), name: name.into(), default, ..Listed::default() };
        let all = vec![one("usb.yeti", "Blue Yeti", false), one("yeti", "Other", true)];
        let id = |uri: &str| chosen(all.clone(), uri).map(|listed| listed.id);
        assert_eq!(id("device:").as_deref(), Some("yeti"));
        assert_eq!(id("device:yeti").as_deref(), Some("yeti"));
        assert_eq!(id("device:blue").as_deref(), Some("usb.yeti"));
        assert_eq!(id("device:nowhere"), None);
    }

    #[test]
    fn one_that_stutters_is_not_called_silent() {
        let finding = found(&heard(Ok(Probe { captured_s: Some(1.0), ..of_level(0.0) })));
        assert!(finding.severity == Severity::Warning && finding.what.contains("1.0 s of sound in 5 s"), "{finding:?}");
        let quick = Heard { listened: false, ..heard(Ok(of_level(0.0))) };
        assert_eq!(found(&quick).severity, Severity::Good);
    }

    #[test]
    fn a_refusal_has_the_code_of_its_reason() {
        let none = Probe { reason: Some("no default".into()), exit: Some(10), ..Probe::default() };
        let finding = found(&heard(Ok(none.clone())));
        assert_eq!((finding.exit, finding.what.as_str()), (Exit::NoDevice, "no default"));
        let shape = Probe { exit: Some(14), ..none.clone() };
        assert_eq!(found(&heard(Ok(shape))).exit, Exit::BadShape);
        let busy = Heard { holder: Some((77, "obs".into())), ..heard(Ok(none.clone())) };
        assert!(found(&busy).means.unwrap().contains("obs (pid 77)"));
        let other = Heard { wanted: false, ..heard(Ok(none)) };
        assert_eq!(found(&other).severity, Severity::Note);
        let hangs = found(&heard(Err("did not answer in 25 s".into())));
        assert!(hangs.exit == Exit::NoDevice && hangs.mend.unwrap().contains("restart pipewire"));
    }

    #[test]
    fn the_answer_is_read_with_and_without_levels() {
        let probe: Probe =
            serde_json::from_str(r#"{"ok":true,"description":"x","sample_rate_hz":48000,"channels":2,"reason":null}"#)
                .unwrap();
        assert!(probe.ok && probe.peak.is_none());
        let probe: Probe = serde_json::from_str(
            r#"{"ok":true,"description":"x","reason":null,"exit":0,"captured_s":5.0,"peak":0.0,"rms_dbfs":null,"zeros":true}"#,
        )
        .unwrap();
        assert_eq!((probe.zeros, probe.rms_dbfs), (Some(true), None));
    }

    #[test]
    fn the_owner_of_an_input_is_read() {
        assert_eq!(owner("state: RUNNING\nowner_pid   : 1234\ntrigger_time: 0\n"), Some(1_234));
        assert_eq!(owner("closed\n"), None);
    }
}

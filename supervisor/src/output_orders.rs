//! `tympan output set`, `off` and `list`: what the running instance plays, and to which device.

use crate::cli::{DevicesArgs, OutputCommand};
use crate::control;
use crate::oneshot::ask_program;
use crate::output::{columns, print, print_json, table};
use crate::paths::Folders;
use crate::refusal::{Refusal, refusal, refuse};
use crate::settings::{Settings, keys};
use crate::siblings::Siblings;
use anyhow::Result;
use control_protocol::{Exit, StreamName};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// What plays nothing.
const OFF: [&str; 2] = ["off", "none"];
/// How long the sound libraries may take to name the outputs.
const LIST_PATIENCE: Duration = Duration::from_secs(15);
/// How often the instance is asked whether it is done, and for how long: a sound server may take seconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// What is configured: a device, and what is played there.
///
/// # Errors
/// [`Refusal`], when there is no such stream.
pub(crate) fn configured(
    settings: &Settings,
    sources: &[(StreamName, String)],
) -> Result<Option<(String, StreamName)>, Refusal> {
    let text = |key| settings.text(key).unwrap_or_default();
    let device = text(&keys::OUTPUT);
    if device.is_empty() || OFF.contains(&device.as_str()) {
        return Ok(None);
    }
    let (name, (_, origin)) = (text(&keys::OUTPUT_STREAM), settings.shown(&keys::OUTPUT_STREAM));
    let stream = StreamName::new(name.as_str()).map_err(|e| refusal!(Usage, "{origin}: {e}"))?;
    if stream != StreamName::mix() && !sources.iter().any(|(known, _)| *known == stream) {
        let names: Vec<_> = sources.iter().map(|(known, _)| known.as_str()).chain(["mix"]).collect();
        return Err(refusal!(Usage, "{origin}: there is no stream {stream}; there is {}", names.join(", ")));
    }
    Ok(Some((device, stream)))
}

/// Carries out one of the commands.
///
/// # Errors
/// When no instance runs here, or it cannot do it.
pub(crate) fn output(command: &OutputCommand, settings: &Settings) -> Result<()> {
    let socket = || Folders::of_running(settings).map(|folders| folders.socket());
    match command {
        OutputCommand::Set { device, .. } if OFF.contains(&device.as_str()) => off(&socket()?),
        OutputCommand::Off => off(&socket()?),
        OutputCommand::Set { device, stream } => set(&socket()?, device, stream),
        OutputCommand::List(args) => {
            // Devices can be shown without an instance.
            let playing = socket().ok().and_then(|socket| rows(&socket).ok());
            list(*args, &playing.unwrap_or_else(|| json!([])))
        }
    }
}

fn off(socket: &Path) -> Result<()> {
    control::ask(socket, &json!({"command": "output_off"}))?;
    print("nothing is played\n")
}

/// Returns when it is open.
fn set(socket: &Path, device: &str, stream: &str) -> Result<()> {
    control::ask(socket, &json!({"command": "output_set", "device": device, "stream": stream}))?;
    let begin = Instant::now();
    loop {
        let rows = rows(socket)?;
        let next = &rows[0]["next"];
        if next["device"] == device && next["stream"] == stream && next["state"] == "failed" {
            let exit = next["exit"].as_i64().and_then(|code| Exit::from_code(i32::try_from(code).ok()?));
            let reason = next["reason"].as_str().unwrap_or_default();
            return Err(Refusal::new(exit.unwrap_or(Exit::Fault), reason).into());
        }
        if next.is_null() {
            return print(&shown(&rows));
        }
        if begin.elapsed() > PATIENCE {
            refuse!(
                Fault,
                "{device} is still being opened after {} s; `tympan status` shows what the processes do",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn list(args: DevicesArgs, playing: &Value) -> Result<()> {
    let asked: &[&str] = if args.all { &["outputs", "--all"] } else { &["outputs"] };
    let devices: Value = ask_program(&Siblings::find()?.engine, asked, LIST_PATIENCE)?;
    if args.json {
        return print_json(&json!({"devices": devices, "outputs": playing}));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |device: &Value| {
        let muted = if device["muted"] == true { " (muted)" } else { "" };
        let rate = device["sample_rate_hz"].as_f64().map_or_else(|| "-".into(), |hz| format!("{} kHz", hz / 1_000.0));
        [
            format!("{}{}", if device["default"] == true { "* " } else { "  " }, text(&device["id"])),
            format!("{}{muted}", text(&device["name"])),
            rate,
            device["channels"].as_u64().map_or_else(|| "-".into(), |channels| channels.to_string()),
            text(&device["host"]),
        ]
    };
    let rows: Vec<_> = devices.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        eprintln!("tympan: no output device; `tympan doctor` says what is there of a sound system");
        return print(&shown(playing));
    }
    print(&format!("{}{}", table(["  output", "name", "rate", "channels", "host"], &rows, columns()), shown(playing)))
}

fn rows(socket: &Path) -> Result<Value> {
    Ok(control::ask(socket, &json!({"command": "output_list"}))?["outputs"].clone())
}

/// What is played, a line each.
pub(crate) fn shown(rows: &Value) -> String {
    let mut out = String::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for row in rows.as_array().into_iter().flatten() {
        let (stream, what) = (text(&row["stream"]), text(&row["description"]));
        // Writing into a string cannot fail.
        let _ = match row["state"].as_str() {
            Some("open") => {
                let delay =
                    row["delay_ms"].as_f64().map_or_else(String::new, |ms| format!(", {ms:.0} ms behind its ring"));
                let way = if row["leads"] == true { "it leads the clock" } else { "resampled to its clock" };
                let underruns = match row["underruns"].as_u64() {
                    Some(1) => "1 underrun".into(),
                    count => format!("{} underruns", count.unwrap_or(0)),
                };
                writeln!(out, "playing {stream} to {what}, {way}{delay}; {underruns}")
            }
            Some("away") => {
                writeln!(out, "{stream} is not played to {what}: {}; it is tried again", text(&row["reason"]))
            }
            _ => Ok(()),
        };
        let next = &row["next"];
        let _ = match next["state"].as_str() {
            Some("opening") => writeln!(out, "{} is being opened", text(&next["device"])),
            Some("failed") => writeln!(out, "{}: {}", text(&next["device"]), text(&next["reason"])),
            _ => Ok(()),
        };
    }
    out
}

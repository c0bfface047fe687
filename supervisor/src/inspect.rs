//! `tympan status` and `rings`: looking without disturbing.

use crate::control;
use crate::last_exit;
use crate::output::{columns, harmless, print, print_json, table};
use crate::output_orders;
use crate::paths::Folders;
use crate::refusal::refuse;
use crate::settings::Settings;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Shows the processes, streams and jobs of the running instance.
///
/// # Errors
/// When none runs here.
pub(crate) fn status(settings: &Settings, as_json: bool) -> Result<()> {
    let status = control::ask(&Folders::of_running(settings)?.socket(), &json!({"command": "status"}))?;
    if as_json { print_json(&status) } else { print(&table_of(&status)) }
}

fn table_of(status: &Value) -> String {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.1}", n.as_f64().unwrap_or(0.0)),
        other => other.to_string(),
    };
    fn rows_of<const N: usize>(list: &Value, keys: [&str; N], text: impl Fn(&Value) -> String) -> String {
        let rows: Vec<[String; N]> =
            list.as_array().into_iter().flatten().map(|row| keys.map(|key| text(&row[key]))).collect();
        table(keys, &rows, columns())
    }
    let mut out = rows_of(&status["processes"], ["role", "pid", "state", "restarts", "uptime_s", "heartbeat_s"], text);
    out.push_str(&last_exit::lines(&status["processes"]));
    let mut of_streams = status["streams"].clone();
    for stream in of_streams.as_array_mut().into_iter().flatten() {
        if stream["paused"] == true && stream["state"] == "open" {
            stream["state"] = json!("paused");
        }
        let model = stream["model"].as_str().and_then(|path| Path::new(path).file_name()?.to_str()).unwrap_or("-");
        stream["model"] = json!(model.strip_prefix("ggml-").unwrap_or(model).trim_end_matches(".bin"));
    }
    let streams =
        ["stream", "state", "epoch", "position_s", "words_lag_s", "peak_dbfs", "lost_frames", "model", "description"];
    let _ = write!(out, "\n{}", rows_of(&of_streams, streams, text));
    out.push_str(&failures(&of_streams));
    if let Some(leader) = status["leader"].as_str() {
        let _ = writeln!(out, "\nclock: {leader} leads");
    }
    if status["real_time"] == false {
        let _ = writeln!(out, "\nreal time: refused; `tympan doctor` says how to allow it");
    }
    out.push_str(&output_orders::shown(&status["outputs"]));
    let queue = &status["queue"];
    let _ = writeln!(
        out,
        "\nutterances: {} waiting, {} in work, {} done, {} lost; {} partial texts left out",
        queue["waiting"], queue["running"], queue["done"], queue["lost"], queue["merged"]
    );
    for stream in status["streams"].as_array().into_iter().flatten() {
        let how = match stream["pace"].as_str() {
            Some("fewer_partials") => "text comes less often than it should",
            Some("late_finals") => "words come late",
            _ => continue,
        };
        let _ = writeln!(
            out,
            "{}: more is spoken than the workers can write down, so {how}; {} waiting, {} of them in files",
            text(&stream["stream"]),
            stream["utterances"],
            stream["kept"]
        );
    }
    out
}

/// Why streams could not be opened or broke off, and what to do.
fn failures(streams: &Value) -> String {
    let mut out = String::new();
    for stream in streams.as_array().into_iter().flatten() {
        let [Some(name), Some(reason)] = ["stream", "reason"].map(|key| stream[key].as_str()) else { continue };
        let mend = stream["mend"].as_str().map(|mend| format!("; `{mend}` tries it again")).unwrap_or_default();
        let _ = writeln!(out, "{name}: {}", harmless(&format!("{reason}{mend}")));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

#[derive(Serialize)]
struct RingRow {
    name: String,
    path: PathBuf,
    session: String,
    epoch: u64,
    sample_rate_hz: u32,
    channels: u32,
    capacity_frames: u64,
    first_frame: u64,
    commit_frame: u64,
    gap_frames: u64,
    state: &'static str,
    writer_pid: u32,
}

/// Shows the rings that programs can read. Asks nobody: the folder is read.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn rings(settings: &Settings, as_json: bool) -> Result<()> {
    let runtime = Folders::of_running(settings)?.runtime;
    let found = match shm_layout::list_rings(&runtime) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", runtime.display())),
    };
    let row = |ring: shm_layout::RingEntry| RingRow {
        name: ring.info.stream,
        path: ring.path,
        session: ring.info.session.to_string(),
        epoch: ring.info.epoch.0,
        sample_rate_hz: ring.info.sample_rate_hz,
        channels: ring.info.channels,
        capacity_frames: ring.info.capacity_frames,
        first_frame: ring.info.first_frame.0,
        commit_frame: ring.commit.0,
        gap_frames: ring.gap_frames,
        state: ring.state.as_str(),
        writer_pid: ring.info.writer_pid,
    };
    let rows: Vec<_> = found.into_iter().map(row).collect();
    if as_json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        refuse!(NotRunning, "there is no ring in {}; `tympan run` makes them", runtime.display());
    }
    let row = |ring: &RingRow| {
        let history_s = ring.capacity_frames / u64::from(ring.sample_rate_hz.max(1));
        [
            ring.name.clone(),
            ring.epoch.to_string(),
            ring.state.to_owned(),
            format!("{} Hz", ring.sample_rate_hz),
            ring.channels.to_string(),
            format!("{history_s} s"),
            ring.path.display().to_string(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    print(&table(["ring", "epoch", "state", "rate", "channels", "history", "path"], &rows, columns()))
}

//! `tympan status`, `rings` and `devices`: looking without disturbing.

use crate::control;
use crate::oneshot::ask_program;
use crate::paths::Folders;
use crate::siblings::Siblings;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// How long the sound libraries may take to list their devices.
const DEVICES: Duration = Duration::from_secs(15);

#[expect(clippy::print_stdout, reason = "the answer is these commands' data")]
fn print(text: &str) {
    print!("{text}");
}

/// Shows the processes, streams and jobs of the running instance.
///
/// # Errors
/// When none runs here.
pub(crate) fn status(as_json: bool) -> Result<()> {
    let status = control::ask(&Folders::of_user()?.socket(), &json!({"command": "status"}))?;
    print(&if as_json { format!("{status}\n") } else { table_of(&status) });
    Ok(())
}

fn table_of(status: &Value) -> String {
    let mut out = String::new();
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.1}", n.as_f64().unwrap_or(0.0)),
        other => other.to_string(),
    };
    let mut rows = |title: &str, list: &Value, columns: &[&str]| {
        let _ = writeln!(out, "{title}");
        let names: Vec<_> = columns.iter().map(|c| format!("{c:<12}")).collect();
        let _ = writeln!(out, "  {}", names.join(" ").trim_end());
        for row in list.as_array().into_iter().flatten() {
            let cells: Vec<_> = columns.iter().map(|c| format!("{:<12}", text(&row[*c]))).collect();
            let _ = writeln!(out, "  {}", cells.join(" ").trim_end());
        }
    };
    rows("processes", &status["processes"], &["role", "pid", "state", "restarts", "uptime_s"]);
    rows(
        "streams",
        &status["streams"],
        &["stream", "state", "epoch", "position_s", "lag_s", "lost_frames", "description"],
    );
    let queue = &status["queue"];
    let _ = writeln!(
        out,
        "utterances: {} waiting, {} in work, {} done, {} lost",
        queue["waiting"], queue["running"], queue["done"], queue["lost"]
    );
    out
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
pub(crate) fn rings(as_json: bool) -> Result<()> {
    let runtime = Folders::of_user()?.runtime;
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
        print(&format!("{}\n", serde_json::to_string(&rows)?));
        return Ok(());
    }
    if rows.is_empty() {
        bail!("there is no ring in {}; `tympan run` makes them", runtime.display());
    }
    let mut out =
        format!("{:<12} {:>5} {:<8} {:>8} {:>4} {:>9}  path\n", "name", "epoch", "state", "rate", "ch", "history");
    for r in &rows {
        let history_s = r.capacity_frames / u64::from(r.sample_rate_hz.max(1));
        let (name, path) = (&r.name, r.path.display());
        let _ = writeln!(
            out,
            "{name:<12} {:>5} {:<8} {:>8} {:>4} {history_s:>7} s  {path}",
            r.epoch, r.state, r.sample_rate_hz, r.channels
        );
    }
    print(&out);
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Device {
    host: String,
    id: String,
    name: String,
    #[serde(default)]
    default: bool,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// Shows the inputs that the sound libraries know, asked in a process of its own.
///
/// # Errors
/// When they do not answer.
pub(crate) fn devices(as_json: bool) -> Result<()> {
    let siblings = Siblings::find()?;
    let mut devices: Vec<Device> = ask_program(&siblings.engine, &["devices"], DEVICES)?;
    devices.sort_by_key(|device| !device.default);
    if as_json {
        print(&format!("{}\n", serde_json::to_string(&devices)?));
        return Ok(());
    }
    if devices.is_empty() {
        eprintln!("tympan: no input device; `tympan run demo:` and `tympan run file:talk.wav` work without one");
    }
    let mut out = String::new();
    for device in &devices {
        let mark = if device.default { '*' } else { ' ' };
        let _ = writeln!(out, "{mark} {:<8} {:<32} device:{}", device.host, device.name, device.id);
    }
    print(&out);
    Ok(())
}

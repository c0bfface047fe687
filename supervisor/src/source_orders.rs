//! `tympan source add`, `remove` and `list`: sources of the running instance.

use crate::cli::SourceCommand;
use crate::control;
use crate::output::{columns, print, print_json, table};
use crate::paths::Folders;
use crate::refusal::{Refusal, refuse};
use crate::settings::Settings;
use crate::sources::parse_one_more;
use anyhow::Result;
use control_protocol::{Exit, StreamName};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the instance is asked whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A sound server may take seconds to open a device; an engine that has just died comes again sooner than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries out one of them.
///
/// # Errors
/// When no instance runs here, or it cannot do it.
pub(crate) fn source(command: &SourceCommand, settings: &Settings) -> Result<()> {
    let socket = Folders::of_running(settings)?.socket();
    match command {
        SourceCommand::Add { source } => add(&socket, source),
        SourceCommand::Remove { name } => remove(&socket, name),
        SourceCommand::List(args) => list(&socket, args.json),
    }
}

/// Returns when it is open.
fn add(socket: &Path, text: &str) -> Result<()> {
    let there = rows(socket)?;
    // The name of one that never came is free.
    let here = there.iter().filter(|row| row["state"] != "failed");
    let names = here.filter_map(|row| StreamName::new(row["stream"].as_str()?).ok());
    let (name, uri) = parse_one_more(text, &names.collect::<Vec<_>>())?;
    control::ask(socket, &json!({"command": "source_add", "stream": name, "uri": uri}))?;
    let row = wait(socket, &name, |row| row.is_none_or(|row| row["state"] != "opening"))?;
    let Some(row) = row else { refuse!(Refused, "{name} was removed before it was open") };
    let said = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    if row["state"] == "failed" {
        let exit = row["exit"].as_i64().and_then(|code| Exit::from_code(i32::try_from(code).ok()?));
        return Err(Refusal::new(exit.unwrap_or(Exit::Fault), said("reason")).into());
    }
    print(&format!("listening to {name}: {}\n", said("description")))
}

/// Returns when it is gone.
fn remove(socket: &Path, name: &str) -> Result<()> {
    let answer = control::ask(socket, &json!({"command": "source_remove", "stream": name}))?;
    let name = StreamName::new(answer["stream"].as_str().unwrap_or(name))?;
    wait(socket, &name, |row| row.is_none_or(|row| row["state"] != "leaving"))?;
    print(&format!("{name} is removed\n"))
}

fn list(socket: &Path, as_json: bool) -> Result<()> {
    let rows = rows(socket)?;
    if as_json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        return print("there is no source; `tympan source add` adds one\n");
    }
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |row: &Value| {
        let rate = row["sample_rate_hz"].as_u64().map_or_else(|| "-".to_owned(), |rate| format!("{rate} Hz"));
        // Why it failed is what is wanted to be known of it then.
        let what = ["reason", "description", "uri"].map(|field| row[field].as_str().unwrap_or_default());
        let what = what.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let [state, channels, gaps, lost] =
            ["state", "channels", "gap_frames", "lost_frames"].map(|key| text(&row[key]));
        [text(&row["stream"]), state, rate, channels, gaps, lost, what.to_owned()]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let keys = ["source", "state", "rate", "channels", "gap_frames", "lost_frames", "description"];
    print(&table(keys, &rows, columns()))
}

fn rows(socket: &Path) -> Result<Vec<Value>> {
    let answer = control::ask(socket, &json!({"command": "source_list"}))?;
    Ok(answer["sources"].as_array().cloned().unwrap_or_default())
}

/// Waits until this source has got as far as wished, or is not there any more: what is listed of it then.
fn wait(socket: &Path, name: &StreamName, is_done: impl Fn(Option<&Value>) -> bool) -> Result<Option<Value>> {
    let begin = Instant::now();
    loop {
        let row = rows(socket)?.into_iter().find(|row| row["stream"] == name.as_str());
        if is_done(row.as_ref()) {
            return Ok(row);
        }
        if begin.elapsed() > PATIENCE {
            let state = row.as_ref().and_then(|row| row["state"].as_str()).unwrap_or("gone").to_owned();
            refuse!(
                Fault,
                "{name} is still {state} after {} s; `tympan status` shows what the processes do",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

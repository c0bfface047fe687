//! `tympan scale`, `restart`, `pause`, `resume` and `toggle`: orders to the running instance, and how they are carried out.

use crate::control;
use crate::output::{print, print_json};
use crate::paths::Folders;
use crate::refusal::refuse;
use crate::settings::Settings;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the instance is asked whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A sentence in work takes seconds; a large model takes longer to load.
const PATIENCE: Duration = Duration::from_secs(120);
/// After this much waiting it is said what is waited for.
const SILENT: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// How many of what, such as workers=4
    #[arg(value_name = "workers=COUNT", value_parser = count_of_workers)]
    pub workers: u32,
}

fn count_of_workers(text: &str) -> Result<u32, String> {
    let count = text.strip_prefix("workers=").unwrap_or(text);
    count.parse().map_err(|_| "workers=COUNT is meant, such as workers=4".into())
}

/// What can be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Sources to rings: costs the gap that is reported
    Engine,
    /// Rings to utterances
    Listener,
    /// Utterances to text: all of them, or the one with --number
    Worker,
    /// All of these
    All,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Which processes
    #[arg(value_enum)]
    pub role: Target,
    /// Only the worker with this number, as `tympan status` shows it
    #[arg(long, value_name = "NUMBER")]
    pub number: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct StreamsArgs {
    /// Only these, as `tympan status` shows them
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tympan pause`, `resume` and `toggle`: by the name of the request. The instance has done it when it answers.
///
/// # Errors
/// When none runs here, or it has no such stream.
pub(crate) fn pause(command: &str, args: &StreamsArgs, settings: &Settings) -> Result<()> {
    let socket = Folders::of_running(settings)?.socket();
    let answer = control::ask(&socket, &json!({"command": command, "streams": args.streams}))?;
    if args.json {
        return print_json(&json!({"paused": answer["paused"], "listening": answer["listening"]}));
    }
    let names = |list: &Value| {
        let names: Vec<_> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        names.join(", ")
    };
    for (what, list) in [("paused", &answer["paused"]), ("listening", &answer["listening"])] {
        let names = names(list);
        if !names.is_empty() {
            print(&format!("{what}: {names}\n"))?;
        }
    }
    Ok(())
}

/// `tympan scale`.
///
/// # Errors
/// When none runs here, or it cannot.
pub(crate) fn scale(args: &ScaleArgs, settings: &Settings) -> Result<()> {
    let socket = Folders::of_running(settings)?.socket();
    control::ask(&socket, &json!({"command": "scale", "workers": args.workers}))?;
    let count = args.workers;
    wait(&socket, &format!("{count} workers"), |status| {
        let workers: Vec<_> = children(status).filter(|child| child["role"] == "worker").collect();
        workers.len() == count as usize && workers.iter().all(|worker| is_settled(worker))
    })?;
    print(&format!("{count} {}\n", if count == 1 { "worker" } else { "workers" }))
}

/// `tympan restart`.
///
/// # Errors
/// When none runs here, or it cannot.
pub(crate) fn restart(args: &RestartArgs, settings: &Settings) -> Result<()> {
    let socket = Folders::of_running(settings)?.socket();
    let role = match args.role {
        Target::Engine => Some("engine"),
        Target::Listener => Some("listener"),
        Target::Worker => Some("worker"),
        Target::All => None,
    };
    let is_meant = |child: &Value| {
        role.is_none_or(|role| child["role"] == role) && args.number.is_none_or(|number| child["worker"] == number)
    };
    let before = control::ask(&socket, &json!({"command": "status"}))?;
    let old: Vec<_> = children(&before).filter(|child| is_meant(child)).map(|child| child["pid"].clone()).collect();
    let answer = control::ask(&socket, &json!({"command": "restart", "role": role, "worker": args.number}))?;
    wait(&socket, "the new processes", |status| {
        let mut meant = children(status).filter(|child| is_meant(child));
        meant.all(|child| is_settled(child) && (child["state"] != "running" || !old.contains(&child["pid"])))
    })?;
    let restarted = &answer["restarted"];
    print(&format!("{restarted} {}\n", if *restarted == 1 { "process restarted" } else { "processes restarted" }))
}

fn children(status: &Value) -> impl Iterator<Item = &Value> {
    status["processes"].as_array().into_iter().flatten().filter(|process| process["role"] != "supervisor")
}

/// Whether it has come to where it will stay.
fn is_settled(child: &Value) -> bool {
    matches!(child["state"].as_str(), Some("running" | "failed"))
}

/// Waits until the instance looks as wished; refuses when a part of it has failed.
fn wait(socket: &Path, what: &str, is_done: impl Fn(&Value) -> bool) -> Result<()> {
    let begin = Instant::now();
    let mut said = false;
    loop {
        let status = control::ask(socket, &json!({"command": "status"}))?;
        if is_done(&status) {
            if let Some(failed) = children(&status).find(|child| child["state"] == "failed") {
                let reason = failed["reason"].as_str().unwrap_or("for an unknown reason");
                refuse!(Fault, "the {} has failed: {reason}", failed["role"].as_str().unwrap_or("process"));
            }
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            refuse!(Fault, "{what} are not there after {} s; `tympan status` shows how far it is", PATIENCE.as_secs());
        }
        if begin.elapsed() > SILENT && !said && std::io::stderr().is_terminal() {
            eprintln!("tympan: waiting for {what}; a worker first finishes the sentence it has in work");
            said = true;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::count_of_workers;

    #[test]
    fn a_count_is_named_or_not() {
        assert_eq!(count_of_workers("workers=4"), Ok(4));
        assert_eq!(count_of_workers("4"), Ok(4));
        assert!(count_of_workers("engines=4").is_err() && count_of_workers("workers=-1").is_err());
    }
}

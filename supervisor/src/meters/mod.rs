//! `tympan meters`: how loud every stream is. Reads the status board and asks nobody.

mod join;
mod json;
mod lines;
mod live;
mod screen;
mod watch;

use crate::control;
use crate::output::{print, print_on};
use crate::paths::{Folders, lives};
use crate::refusal::refuse;
use crate::settings::Settings;
use anyhow::{Context, Result};
use clap::Args;
use join::Join;
use serde_json::json;
use shm_layout::board::{BoardError, Reading, View};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use watch::{News, Watch};

/// Readings a second that there are.
pub(super) const READINGS_HZ: u32 = 60;
/// How often is looked for new ones: more often than they come.
const LOOK_EVERY: Duration = Duration::from_millis(8);
/// What `--once` tells is the sound of so many readings: a tenth of a second.
const ONCE_READINGS: u64 = 6;
/// How long is waited for the first reading where somebody runs.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// As a shell says of a program that Ctrl-C has ended.
const EXIT_ON_SIGNAL: i32 = 130;

#[derive(Debug, Args)]
pub(crate) struct MetersArgs {
    /// Only these; mix is the sum
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Print one JSON object a line, for each reading of each stream
    #[arg(long)]
    pub json: bool,
    /// Readings a second, 1 to 60 [default: 60; 1 in plain lines]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=i64::from(READINGS_HZ)))]
    pub rate: Option<u32>,
    /// Print the levels of the last tenth of a second, and end
    #[arg(long, conflicts_with = "rate")]
    pub once: bool,
    /// Begin to count clips, to hold peaks and to integrate loudness anew, and end
    #[arg(long, conflicts_with_all = ["rate", "once", "json"])]
    pub reset: bool,
}

/// Shows the meters until Ctrl-C, or until the instance ends.
///
/// # Errors
/// When no instance runs here, or it has no such stream.
pub(crate) fn meters(args: &MetersArgs, settings: &Settings) -> Result<()> {
    let folders = Folders::of_running(settings)?;
    if args.reset {
        let request = json!({"command": "meters_reset", "streams": args.streams});
        let answer = control::ask(&folders.socket(), &request)?;
        let reset: Vec<_> = answer["reset"].as_array().into_iter().flatten().filter_map(|name| name.as_str()).collect();
        return print(&format!("counting anew: {}\n", reset.join(", ")));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the second signal finds the flag set.
        flag::register_conditional_shutdown(signal, EXIT_ON_SIGNAL, Arc::clone(&stop))
            .context("cannot watch signals")?;
        flag::register(signal, Arc::clone(&stop)).context("cannot watch signals")?;
    }
    let mut watch = Watch::new(open(&folders.runtime)?, args.streams.clone());
    wait_for_streams(&mut watch, &args.streams, &stop)?;
    if args.once {
        return once(&watch, args.json);
    }
    let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty());
    let live = !args.json && able && std::io::stdout().is_terminal();
    if live {
        let reset = || control::ask(&folders.socket(), &json!({"command": "meters_reset", "streams": args.streams}));
        live::live(&mut watch, args.rate.unwrap_or(READINGS_HZ), &stop, || drop(reset()))?;
    } else {
        print_lines(&mut watch, args, &stop)?;
    }
    if watch.is_over() {
        eprintln!("tympan: the instance has ended");
    }
    Ok(())
}

/// The board of the instance that runs here.
fn open(runtime: &Path) -> Result<View> {
    match View::open(runtime) {
        Ok(view) => Ok(view),
        Err(BoardError::Malformed(name)) if lives(runtime) => {
            refuse!(Refused, "the status board {name} is of another version than this tympan; start the instance anew")
        }
        Err(e) if lives(runtime) => Err(e).context("this instance shows no levels"),
        Err(_) => control::nobody(&crate::paths::socket_of(runtime)),
    }
}

/// Waits for the first readings where an instance is about to start, and refuses a name that no stream has.
fn wait_for_streams(watch: &mut Watch, wanted: &[String], stop: &AtomicBool) -> Result<()> {
    let deadline = Instant::now() + FIRST_PATIENCE;
    while !watch.find() && Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
    }
    let known = watch.known();
    if known.is_empty() {
        refuse!(Refused, "no stream is measured; `tympan status` says what the instance does");
    }
    if let Some(stranger) = wanted.iter().find(|name| !known.contains(name)) {
        refuse!(Refused, "there is no meter of {stranger}; there is {}", known.join(", "));
    }
    Ok(())
}

fn once(watch: &Watch, as_json: bool) -> Result<()> {
    let readings = watch.recent(ONCE_READINGS);
    if as_json {
        return print(&readings.iter().map(|(stream, reading)| json::line(stream, reading, 0)).collect::<String>());
    }
    let rows: Vec<_> = readings.iter().map(|(stream, reading)| lines::row(stream, reading)).collect();
    print(&lines::table(&rows))
}

/// For whoever reads lines: JSON, or columns.
fn print_lines(watch: &mut Watch, args: &MetersArgs, stop: &AtomicBool) -> Result<()> {
    let rate = args.rate.unwrap_or(if args.json { READINGS_HZ } else { 1 });
    let mut joins: BTreeMap<String, Join> = BTreeMap::new();
    let mut columns = lines::Columns::default();
    let mut shown = |stream: &str, reading: &Reading, missed: u64| {
        if args.json { json::line(stream, reading, missed) } else { columns.line(stream, reading) }
    };
    while !stop.load(Ordering::Relaxed) && !watch.is_over() {
        let mut out = String::new();
        for news in watch.look() {
            match news {
                News::Reading { stream, reading, missed } => {
                    let join = joins.entry(stream.clone()).or_insert_with(|| Join::new(rate));
                    join.take(&reading, missed, |joined, missed| out.push_str(&shown(&stream, joined, missed)));
                }
                News::Gone { stream } => {
                    if let Some((rest, missed)) = joins.get_mut(&stream).and_then(Join::rest) {
                        out.push_str(&shown(&stream, &rest, missed));
                    }
                    out.push_str(&if args.json { json::gone(&stream) } else { lines::gone(&stream) });
                }
            }
        }
        if !out.is_empty() && !print_on(&out)? {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

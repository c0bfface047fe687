//! What the whole system costs, measured from outside on real processes; prints the table of `scripts/bench` and
//! writes it as JSON. Rows that arrive on standard input, a line of JSON each, come first.
//!
//! `cargo bench -p system-tests -- [FILTER] [--quick] [--out FILE]`

mod commands;
mod crowd;
mod endings;
mod finals;
mod footprint;
mod mix_set;
mod page;
mod restarts;
#[path = "../../audio-engine/benches/rows.rs"]
mod rows;
mod sixteen;
mod transcribe;
mod viewer;
#[path = "../tests/web/mod.rs"]
#[allow(dead_code, reason = "the tests of the page need more of it")]
mod web;

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};
use rows::{Measure, Plan, Row};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MEASURES: &[Measure] = &[
    finals::MEASURE,
    finals::FLOODED,
    transcribe::TINY,
    transcribe::BASE,
    footprint::MEMORY,
    footprint::IDLE,
    crowd::MEASURE,
    sixteen::MEASURE,
    restarts::WORKER,
    restarts::ENGINE,
    restarts::TOLD,
    mix_set::OWN_CLOCK,
    mix_set::DEVICE,
    commands::STATUS,
    endings::CTRL_C,
    endings::ORPHANS,
    viewer::STEREO,
    viewer::WIDE,
    page::MEASURE,
];

fn main() -> ExitCode {
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("FAILED: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every row could be measured.
fn bench() -> Result<bool> {
    let (mut plan, mut out) = (Plan::default(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => plan.quick = true,
            "--out" => out = Some(PathBuf::from(arguments.next().context("--out needs a file")?)),
            // cargo's own.
            "--bench" => {}
            filter => plan.filter = filter.into(),
        }
    }
    // What was started ends first and takes its folders along; a second signal ends at once.
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let mut table = Table::default();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        for line in stdin.lock().lines() {
            let line = line?;
            table.add(serde_json::from_str(&line).with_context(|| format!("no row: {line:?}"))?)?;
        }
    }
    let mut whole = true;
    for measure in MEASURES {
        if interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        match plan.rows_of(measure) {
            Ok(rows) => rows.into_iter().try_for_each(|row| table.add(row))?,
            Err(e) => {
                whole = false;
                table.failed(measure, &e)?;
            }
        }
    }
    if table.rows.is_empty() && whole {
        bail!("no row's name contains {:?}", plan.filter);
    }
    if let Some(file) = out {
        std::fs::write(&file, serde_json::to_string_pretty(&table.rows)? + "\n")
            .with_context(|| file.display().to_string())?;
    }
    Ok(whole)
}

/// Prints rows as they come, and keeps them.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    begun: bool,
}

impl Table {
    fn add(&mut self, row: Row) -> Result<()> {
        let Row { name, value, unit, peer, ratio, n } = &row;
        let ratio = ratio.map_or_else(|| "-".into(), |ratio| ratio.to_string());
        let peer = peer.as_deref().unwrap_or("-");
        self.print(&format!("{name:<46} {value:>9} {unit:<16} {ratio:>8} {n:>6}  {peer}"))?;
        self.rows.push(row);
        Ok(())
    }

    fn failed(&mut self, measure: &Measure, error: &anyhow::Error) -> Result<()> {
        eprintln!("FAILED: {}: {error:#}", measure.names.join("; "));
        let (first, more) = (measure.names[0], measure.names.len() - 1);
        self.print(&format!("{first:<46} FAILED, and {more} more: {error:#}"))
    }

    fn print(&mut self, line: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if !self.begun {
            self.begun = true;
            writeln!(out, "{:<46} {:>9} {:<16} {:>8} {:>6}  peer", "name", "value", "unit", "ratio", "n")?;
        }
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }
}

/// Seconds of `CLOCK_MONOTONIC`, as `emitted_s` has them.
fn now_s() -> Result<f64> {
    seconds_of(ClockId::CLOCK_MONOTONIC)
}

fn seconds_of(clock: ClockId) -> Result<f64> {
    let now = clock_gettime(clock)?;
    Ok(now.tv_sec() as f64 + now.tv_nsec() as f64 / 1e9)
}

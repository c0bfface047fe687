//! What the ring costs beside iceoryx2, a bare futex and memcpy, in the same run. Rows go to standard output, a line of
//! JSON each: `scripts/bench` puts them into its table.
//!
//! `peers [FILTER] [--quick]`; rings lie in `TMPDIR`, which belongs on tmpfs. `rows.txt` has the rows' names, for who wants
//! to know before a build whether one of them is wanted.

mod bindings;
mod child;
mod delivery;
mod iceoryx;
mod os;
mod publish;
#[path = "../../../audio-engine/benches/rows.rs"]
mod rows;
mod stage;
mod wake;
mod wide;

use anyhow::{Result, bail, ensure};
use rows::{Measure, Plan};
use std::io::Write;
use std::process::ExitCode;

const MEASURES: &[Measure] = &[
    publish::PUBLISH,
    publish::ATTACHED,
    publish::OVERVIEW,
    wake::MEASURE,
    delivery::SMALL,
    delivery::LARGE,
    delivery::WIDE,
    wide::MEASURE,
    bindings::C,
    bindings::PYTHON,
    bindings::NODE,
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("FAILED: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every wanted row could be measured.
fn run() -> Result<bool> {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == child::CHILD).is_some() {
        let (role, args) = child::begin(args)?;
        return as_child(&role, &args).map(|()| true);
    }
    let mut plan = Plan::default();
    for argument in args {
        match argument.as_str() {
            "--quick" => plan.quick = true,
            _ => plan.filter = argument,
        }
    }
    let listed: Vec<&str> = include_str!("../rows.txt").lines().collect();
    let named: Vec<&str> = MEASURES.iter().flat_map(|measure| measure.names).copied().collect();
    ensure!(listed == named, "rows.txt is not the list of the rows: {named:#?}");
    stage::clean_up_at_signals()?;
    iceoryx::remove_leftovers();
    let mut whole = true;
    for measure in MEASURES {
        match plan.rows_of(measure) {
            Ok(rows) => {
                let mut out = std::io::stdout().lock();
                for row in rows {
                    writeln!(out, "{}", serde_json::to_string(&row)?)?;
                }
                out.flush()?;
            }
            Err(e) => {
                eprintln!("FAILED: {}: {e:#}", measure.names.join("; "));
                whole = false;
            }
        }
        iceoryx::remove_leftovers();
    }
    Ok(whole)
}

fn as_child(role: &str, args: &[String]) -> Result<()> {
    match role {
        publish::HOLDER => publish::hold(args),
        wake::READER => wake::read(args),
        delivery::READER => delivery::read(args),
        wide::READER => wide::read(args),
        _ => bail!("no role {role:?}"),
    }
}

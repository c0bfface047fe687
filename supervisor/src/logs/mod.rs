//! `tympan logs`: what the processes said, and what happened to them.

mod filter;
mod show;
mod tail;

use crate::log::files_of;
use crate::output::{may_colour, print_on};
use crate::paths::Folders;
use crate::refusal::refuse;
use crate::settings::Settings;
use anyhow::{Context, Result};
use clap::Args;
use filter::{Line, Since, Who};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::time::Duration;
use tail::Tail;

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Lines before those that are followed.
const BEFORE_FOLLOWED: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only of these: supervisor, engine, listener, worker, or one worker, as in `worker 1` or worker.1
    #[arg(value_name = "ROLE", num_args = 0..=2)]
    pub who: Vec<String>,
    /// Go on with what comes, over restarts too, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// The newest lines only [default: all; 10 with -f]
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub lines: Option<usize>,
    /// From this time on, of earlier instances too: 10m, 2h, 3d, or 2026-11-21T17:42 (UTC) [default: the running, or last, instance]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Shows the log.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(crate) fn logs(args: &LogsArgs, settings: &Settings) -> Result<()> {
    let who = Who::of(&args.who)?;
    let since = args.since.as_deref().map(Since::of).transpose()?;
    let path = Folders::of_running(settings)?.log;
    if !args.follow && !files_of(&path).iter().any(|file| file.exists()) {
        refuse!(NotRunning, "no tympan has run here yet ({} is not there); `tympan run` starts one", path.display());
    }
    let read = |tail: &mut Tail| tail.lines().with_context(|| format!("cannot read {}", path.display()));
    let colour = may_colour() && !args.json;
    let shown = |raw: &str, line: &Line| if args.json { format!("{raw}\n") } else { show::shown(line, colour) };

    let mut tail = Tail::new(path.clone());
    let there: Vec<(String, Line)> = parsed(read(&mut tail)?).collect();
    // What is asked for is the running or the last instance, unless a time is named.
    let instance = there.last().map(|(_, line)| line.instance.clone());
    let wanted = |line: &Line| match &since {
        Some(since) => since.is_before(&line.time),
        None => Some(&line.instance) == instance.as_ref(),
    };
    let chosen: Vec<_> = there.iter().filter(|(_, line)| wanted(line) && who.is(line)).collect();
    let most = args.lines.unwrap_or(if args.follow && since.is_none() { BEFORE_FOLLOWED } else { usize::MAX });
    let mut out = String::new();
    for (raw, line) in &chosen[chosen.len().saturating_sub(most)..] {
        out.push_str(&shown(raw, line));
    }
    let mut more = print_on(&out)?;
    if chosen.is_empty() && !args.follow {
        eprintln!("tympan: nothing of this in {}", path.display());
    }
    drop((there, out));
    while args.follow && more && !nobody_reads() {
        std::thread::sleep(LOOK_EVERY);
        let new = parsed(read(&mut tail)?).filter(|(_, line)| who.is(line));
        let out: String = new.map(|(raw, line)| shown(&raw, &line)).collect();
        more = out.is_empty() || print_on(&out)?;
    }
    Ok(())
}

/// The lines that are ours: half a line of a process that was killed is none.
fn parsed(lines: Vec<String>) -> impl Iterator<Item = (String, Line)> {
    lines.into_iter().filter_map(|raw| serde_json::from_str(&raw).ok().map(|line| (raw, line)))
}

/// Whether the other end of standard output's pipe is gone, as after `| head -1`.
fn nobody_reads() -> bool {
    let out = std::io::stdout();
    let mut polled = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::ERR)
}

//! `tympan run`: a live session.

use crate::cli::{RunArgs, WordArgs};
use crate::event::Event;
use crate::oneshot::ask_program;
use crate::paths::Folders;
use crate::printer::Printer;
use crate::recovery::{self, InstanceLock};
use crate::report::Reporter;
use crate::session::{Outcome, Plan, Session};
use crate::show::{ForPeople, JsonLines};
use crate::siblings::Siblings;
use crate::{control, models, sources};
use anyhow::{Context, Result, bail};
use control_protocol::{ClockKind, Exit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long a device may take to show that it works.
const PROBE: Duration = Duration::from_secs(15);

#[derive(serde::Deserialize)]
struct Probe {
    ok: bool,
}

/// Runs until the sources end or the user ends it.
///
/// # Errors
/// When it cannot begin.
pub(crate) fn run(args: &RunArgs) -> Result<Exit> {
    let siblings = Siblings::find()?;
    let wanted = if args.sources.is_empty() { vec![default_source(&siblings)] } else { args.sources.clone() };
    let sources = sources::parse(&wanted)?;
    if args.fast
        && let Some((_, uri)) =
            sources.iter().find(|(_, uri)| !uri.starts_with("file:") && !uri.starts_with("stdin:") && uri != "demo:")
    {
        bail!("--fast works with file:, stdin: and demo:; {uri} has a clock of its own");
    }
    let folders = Folders::of_user()?;
    let plan = plan(&args.words, siblings, folders.clone(), sources)?;
    let plan = Plan {
        clock: if args.fast { ClockKind::Virtual } else { ClockKind::Monotonic },
        sample_rate_hz: args.rate,
        history_ms: args.history * 1000,
        partials: !args.fast,
        ..plan
    };

    let made_runtime = !folders.runtime.exists();
    folders.create()?;
    let lock = InstanceLock::take(&folders.runtime)?;
    recovery::clear_runtime(&folders.runtime);
    recovery::clear_orphaned_recordings(&folders.runtime);
    let kept = recovery::keep_orphaned_spills(&folders)?;
    if kept > 0 {
        let dir = folders.pending();
        eprintln!("tympan: {kept} utterances of an instance that was killed are kept in {}", dir.display());
    }
    let (events, inbox) = channel();
    control::serve(&folders.socket(), events.clone())?;
    let printer = Printer::new(events.clone())?;
    let mut reporter: Box<dyn Reporter> = if args.json {
        Box::new(JsonLines::new(printer))
    } else {
        Box::new(ForPeople::new(printer, plan.sources.len() > 1))
    };
    let outcome = supervise(&plan, reporter.as_mut(), events, &inbox);
    drop(reporter);
    recovery::clear_runtime(&folders.runtime);
    drop(lock);
    if made_runtime {
        // Another instance may have begun there meanwhile: then it is not empty and stays.
        let _ = std::fs::remove_dir(&folders.runtime);
    }
    Ok(exit_of(&outcome?))
}

/// What all commands that make words have in common; live by default.
///
/// # Errors
/// When a model is missing.
pub(crate) fn plan(
    words: &WordArgs,
    siblings: Siblings,
    folders: Folders,
    sources: Vec<(control_protocol::StreamName, String)>,
) -> Result<Plan> {
    Ok(Plan {
        folders,
        siblings,
        sources,
        clock: ClockKind::Monotonic,
        offline: false,
        sample_rate_hz: 48_000,
        history_ms: 30_000,
        model: models::recogniser(&words.model)?,
        vad_model: models::voice_detector()?,
        language: words.language.clone(),
        workers: words.workers,
        threads: words.threads,
        partials: false,
        verbose: words.verbose,
    })
}

/// Runs a session with signals bound to it. Files of ipc-channel go to the runtime folder.
///
/// # Errors
/// When no child can be started.
pub(crate) fn supervise(
    plan: &Plan,
    reporter: &mut dyn Reporter,
    events: Sender<Event>,
    inbox: &Receiver<Event>,
) -> Result<Outcome> {
    // Already set by the batch before this one: the folder is the same.
    let _ = tempfile::env::override_temp_dir(&plan.folders.runtime);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch signals")?;
    let handle = signals.handle();
    let asked = events.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if asked.send(Event::EndAsked).is_err() {
                return;
            }
        }
    })?;
    let outcome = Session::new(plan, reporter, events, inbox).run();
    handle.close();
    outcome
}

/// The exit code of a run.
pub(crate) fn exit_of(outcome: &Outcome) -> Exit {
    if let Some(error) = &outcome.error {
        eprintln!("tympan: {error}");
        return Exit::Fault;
    }
    if !outcome.failed.is_empty() || outcome.lost_frames.values().any(|&frames| frames > 0) {
        return Exit::Incomplete;
    }
    Exit::Clean
}

/// The default microphone, or the demo when there is none that works.
fn default_source(siblings: &Siblings) -> String {
    let probe = ask_program::<Probe>(&siblings.engine, &["probe", "device:"], PROBE);
    if probe.is_ok_and(|probe| probe.ok) {
        return "device:".to_owned();
    }
    eprintln!("tympan: no microphone works here, so this plays the demo clip; `tympan devices` shows what there is");
    "demo:".to_owned()
}

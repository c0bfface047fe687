//! `tympan run`: a live session.

use crate::cli::RunArgs;
use crate::event::{Event, inbox};
use crate::oneshot::ask_program;
use crate::paths::{self, Folders};
use crate::printer::Printer;
use crate::recovery::{self, InstanceLock};
use crate::refusal::refuse;
use crate::report::Reporter;
use crate::session::{Outcome, Plan, Session};
use crate::settings::{Settings, keys};
use crate::show::{ForPeople, JsonLines};
use crate::siblings::Siblings;
use crate::{control, language, models, sources};
use anyhow::{Context, Result};
use control_protocol::{ClockKind, Exit, PATH_BYTES_MAX};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::mpsc::{Receiver, SyncSender};
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
pub(crate) fn run(args: &RunArgs, mut settings: Settings) -> Result<Exit> {
    args.settings.over(&mut settings);
    let siblings = Siblings::find()?;
    let mut wanted = if args.sources.is_empty() { settings.list(&keys::SOURCES) } else { args.sources.clone() };
    if wanted.is_empty() {
        // Before it is said what plays: without a model nothing does.
        models::wanted(&settings)?;
        wanted.push(default_source(&siblings));
    }
    let sources = sources::parse(&wanted)?;
    if args.fast
        && let Some((_, uri)) =
            sources.iter().find(|(_, uri)| !uri.starts_with("file:") && !uri.starts_with("stdin:") && uri != "demo:")
    {
        refuse!(Usage, "--fast works with file:, stdin: and demo:; {uri} has a clock of its own");
    }
    let folders = Folders::of_new(&settings)?;
    let plan = plan(&settings, siblings, folders.clone(), sources)?;
    let plan = Plan {
        clock: if args.fast { ClockKind::Virtual } else { ClockKind::Monotonic },
        partials: !args.fast,
        verbose: args.verbose,
        ..plan
    };

    // One in the other usual place would leave it open whom a command means.
    if let Some(other) =
        paths::runtime_places(&settings).iter().find(|dir| **dir != folders.runtime && paths::lives(dir))
    {
        refuse!(AlreadyRuns, "another tympan runs in {}; end it, or choose a TYMPAN_RUNTIME_DIR", other.display());
    }
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
    let (events, inbox) = inbox();
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
    Ok(exit_of(&outcome?, plan.sources.len()))
}

/// What all commands that make words have in common; live by default.
///
/// # Errors
/// When a model is missing.
pub(crate) fn plan(
    settings: &Settings,
    siblings: Siblings,
    folders: Folders,
    sources: Vec<(control_protocol::StreamName, String)>,
) -> Result<Plan> {
    let (model, vad_model) = models::wanted(settings)?;
    let language = language::of(settings, &model)?;
    let model_bytes = std::fs::metadata(&model).map_or(0, |meta| meta.len());
    for path in [&folders.runtime, &folders.spill(), &model, &vad_model] {
        let bytes = path.as_os_str().len();
        if bytes > PATH_BYTES_MAX {
            refuse!(
                Usage,
                "{} has {bytes} bytes, and a path at most {PATH_BYTES_MAX}; a link to it is shorter",
                path.display()
            );
        }
    }
    Ok(Plan {
        folders,
        siblings,
        sources,
        clock: ClockKind::Monotonic,
        offline: false,
        sample_rate_hz: settings.count(&keys::RATE),
        history_ms: settings.count(&keys::HISTORY) * 1_000,
        model,
        vad_model,
        language,
        workers: settings.count(&keys::WORKERS),
        threads: settings.count(&keys::THREADS),
        worker_memory_bytes: worker_memory_bytes(settings.count(&keys::MEMORY), model_bytes),
        partials: false,
        verbose: false,
    })
}

/// The memory a worker may take: as set, in MB, or what its model lets expect and plenty more.
fn worker_memory_bytes(set_mb: u32, model_bytes: u64) -> u64 {
    if set_mb > 0 { u64::from(set_mb) * 1_000_000 } else { 4 * model_bytes + 1_000_000_000 }
}

/// Runs a session with signals bound to it. Files of ipc-channel go to the runtime folder.
///
/// # Errors
/// When no child can be started.
pub(crate) fn supervise(
    plan: &Plan,
    reporter: &mut dyn Reporter,
    events: SyncSender<Event>,
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

/// The exit code of a run of so many sources.
fn exit_of(outcome: &Outcome, sources: usize) -> Exit {
    if let Some(error) = &outcome.error {
        eprintln!("tympan: {error}");
        return error.exit;
    }
    if let Some(failure) = outcome.failed.first() {
        return if outcome.failed.len() == sources { failure.exit } else { Exit::Incomplete };
    }
    if outcome.lost_frames.values().any(|&frames| frames > 0) {
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
    eprintln!("tympan: no microphone works here, so this plays the demo clip; `tympan doctor` says why");
    "demo:".to_owned()
}

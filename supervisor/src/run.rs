//! `tympan run`: a live session.

use crate::background::{InBackground, Starter};
use crate::cli::RunArgs;
use crate::event::{Event, inbox};
use crate::log::{Level, Log, Logged};
use crate::mailbox::{Mailbox, Post};
use crate::oneshot::ask_program;
use crate::paths::{self, Folders};
use crate::printer::Printer;
use crate::recovery::{self, InstanceLock};
use crate::refusal::refuse;
use crate::report::Reporter;
use crate::session::{Outcome, Plan, Session};
use crate::settings::{Settings, each, keys};
use crate::show::{ForPeople, JsonLines};
use crate::siblings::Siblings;
use crate::voice::Voice;
use crate::words::WordsFile;
use crate::{control, language, mix_wish, models, output_orders, sources};
use anyhow::{Context, Result};
use control_protocol::{ClockKind, Exit, MODELS_BYTES_MAX, PATH_BYTES_MAX, Resampling};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::time::Duration;

/// How long the last lines of the log may take to reach the disk.
const LOG_FLUSH: Duration = Duration::from_millis(500);
/// How long a device may take to show that it works.
const PROBE: Duration = Duration::from_secs(15);

#[derive(serde::Deserialize)]
struct Probe {
    ok: bool,
}

/// Runs until the sources end or the user ends it; in the background, if there is a `starter` who waits.
///
/// # Errors
/// When it cannot begin.
pub(crate) fn run(args: &RunArgs, mut settings: Settings, starter: Option<Starter>) -> Result<Exit> {
    args.settings.over(&mut settings);
    let siblings = Siblings::find()?;
    let mut wanted = if args.sources.is_empty() { settings.list(&keys::SOURCES) } else { args.sources.clone() };
    if wanted.is_empty() {
        // Before it is said what plays: without a model nothing does.
        if models::read(&settings)?.own.is_empty() {
            models::wanted(&settings, &[])?;
        }
        wanted.push(default_source(&siblings));
    }
    let sources = sources::parse(&wanted)?;
    if args.fast
        && let Some((_, uri)) =
            sources.iter().find(|(_, uri)| !uri.starts_with("file:") && !uri.starts_with("stdin:") && uri != "demo:")
    {
        refuse!(Usage, "--fast works with file:, stdin: and demo:; {uri} has a clock of its own");
    }
    if starter.is_some() && sources.iter().any(|(_, uri)| uri.starts_with("stdin:")) {
        refuse!(Usage, "stdin: in the background nobody can pipe sound into it; `tympan run` reads a pipe");
    }
    each::check_streams(&keys::LANGUAGE, &args.settings.words.language, &sources)?;
    each::check_streams(&keys::MODEL, &args.settings.words.model, &sources)?;
    let folders = Folders::of_new(&settings)?;
    let plan = plan(&settings, siblings, folders.clone(), sources)?;
    let voice = Voice::new()?;
    let output = output_orders::configured(&settings, &plan.sources)?;
    if args.fast && args.settings.output.is_some() {
        refuse!(Usage, "--output plays what is live; --fast is as fast as it goes");
    }
    let plan = Plan {
        output: output.filter(|_| !args.fast),
        clock: if args.fast { ClockKind::Virtual } else { ClockKind::Monotonic },
        // A file keeps what was said in the end.
        partials: !args.fast && starter.is_none(),
        voice: args.verbose.then(|| voice.clone()),
        ..plan
    };

    // One in the other usual place would leave it open whom a command means.
    if let Some(other) =
        paths::runtime_places(&settings).iter().find(|dir| **dir != folders.runtime && paths::lives(dir))
    {
        refuse!(
            AlreadyRuns,
            "another tympan runs in {}; `tympan stop` ends it, or choose a TYMPAN_RUNTIME_DIR",
            other.display()
        );
    }
    let made_runtime = !folders.runtime.exists();
    folders.create()?;
    let lock = InstanceLock::take(&folders.runtime)?;
    let log = opened_log(&folders);
    let plan = Plan { log: log.clone(), ..plan };
    recovery::clear_runtime(&folders.runtime);
    recovery::clear_orphaned_recordings(&folders.runtime);
    let kept = recovery::keep_orphaned_spills(&folders)?;
    if kept > 0 {
        let dir = folders.pending();
        let text = format!("{kept} utterances of an instance that was killed are kept in {}", dir.display());
        eprintln!("tympan: {text}");
        log.note("notice", None, text);
    }
    let (events, mut inbox) = inbox();
    control::serve(&folders.socket(), events.clone())?;
    let mut reporter: Box<dyn Reporter> = match starter {
        Some(starter) => {
            starter.watch(events.clone())?;
            let words = WordsFile::create(&folders, log.clone())?;
            Box::new(InBackground::new(starter, words, &folders, voice.clone(), events.clone())?)
        }
        None => {
            let printer = Printer::on_stdout(events.clone())?;
            if args.json {
                Box::new(JsonLines::new(printer, voice.clone()))
            } else {
                Box::new(ForPeople::new(printer, voice.clone(), plan.sources.len() > 1))
            }
        }
    };
    let outcome = supervise(&plan, &mut Logged::new(reporter.as_mut(), log.clone()), events, &mut inbox);
    if let Err(e) = &outcome {
        log.note("failed", Some(Level::Error), format!("{e:#}"));
    } else if let Ok(Outcome { error: Some(error), .. }) = &outcome {
        log.note("failed", Some(Level::Error), &error.text);
    }
    drop(reporter);
    voice.flush();
    log.flush(LOG_FLUSH);
    recovery::clear_runtime(&folders.runtime);
    drop(lock);
    if made_runtime {
        // Another instance may have begun there meanwhile: then it is not empty and stays.
        let _ = std::fs::remove_dir(&folders.runtime);
    }
    Ok(exit_of(&outcome?))
}

/// The log of a new instance. Without one, everything goes on.
fn opened_log(folders: &Folders) -> Log {
    let log = Log::open(folders).unwrap_or_else(|e| {
        eprintln!("tympan: there will be no log: {e:#}");
        Log::default()
    });
    log.remember_panics();
    let version = env!("CARGO_PKG_VERSION");
    log.note("starting", None, format!("tympan {version} begins in {}", folders.runtime.display()));
    log
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
    let names: Vec<_> = sources.iter().map(|(name, _)| name).collect();
    let (models, vad_model) = models::wanted(settings, &names)?;
    let languages = language::of(settings, &models, &names)?;
    let models_bytes = models.bytes();
    let files = models.files();
    for path in [&*folders.runtime, &*folders.spill(), &*vad_model].iter().chain(&files) {
        let bytes = path.as_os_str().len();
        if bytes > PATH_BYTES_MAX {
            refuse!(
                Usage,
                "{} has {bytes} bytes, and a path at most {PATH_BYTES_MAX}; a link to it is shorter",
                path.display()
            );
        }
    }
    let paths_bytes: usize = files.iter().map(|path| path.as_os_str().len()).sum();
    if paths_bytes > MODELS_BYTES_MAX {
        refuse!(
            Usage,
            "the paths of the models have {paths_bytes} bytes together, and at most {MODELS_BYTES_MAX} can be told to a \
             worker; links to them are shorter"
        );
    }
    Ok(Plan {
        folders,
        siblings,
        sources,
        resampling: resampling(settings),
        cushion_ms: Some(settings.count(&keys::CUSHION)).filter(|&ms| ms > 0),
        mix: mix_wish::configured(settings)?,
        output: None,
        clock: ClockKind::Monotonic,
        offline: false,
        sample_rate_hz: settings.count(&keys::RATE),
        history_ms: settings.count(&keys::HISTORY) * 1_000,
        models,
        vad_model,
        languages,
        workers: settings.count(&keys::WORKERS),
        threads: settings.count(&keys::THREADS),
        worker_memory_bytes: worker_memory_bytes(settings.count(&keys::MEMORY), models_bytes),
        partials: false,
        hangover_ms: u16::try_from(settings.count(&keys::HANGOVER)).unwrap_or(u16::MAX),
        voice: None,
        log: Log::default(),
    })
}

/// How much resamplers compute: nothing else than these can be set.
fn resampling(settings: &Settings) -> Resampling {
    match settings.text(&keys::RESAMPLING).as_deref() {
        Some("fast") => Resampling::Fast,
        Some("best") => Resampling::Best,
        _ => Resampling::Normal,
    }
}

/// The memory a worker may take: as set, in MB, or what all of its models let expect and plenty more.
fn worker_memory_bytes(set_mb: u32, models_bytes: u64) -> u64 {
    if set_mb > 0 { u64::from(set_mb) * 1_000_000 } else { 4 * models_bytes + 1_000_000_000 }
}

/// Runs a session with signals bound to it. Files of ipc-channel go to the runtime folder.
///
/// # Errors
/// When no child can be started.
pub(crate) fn supervise(
    plan: &Plan,
    reporter: &mut dyn Reporter,
    events: Post<Event>,
    inbox: &mut Mailbox<Event>,
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
fn exit_of(outcome: &Outcome) -> Exit {
    if let Some(error) = &outcome.error {
        eprintln!("tympan: {error}");
        return error.exit;
    }
    if let Some(failure) = outcome.failed.first() {
        return if outcome.failed.len() == outcome.sources { failure.exit } else { Exit::Incomplete };
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

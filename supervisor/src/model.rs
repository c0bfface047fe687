//! `tympan model`: the models that are known, here, and to be had.

mod bar;

use crate::output::{columns, print, print_json, table};
use crate::refusal::{Refusal, refuse};
use crate::settings::{Settings, keys};
use crate::{models, paths};
use anyhow::{Context, Result};
use bar::Bar;
use clap::{Args, Subcommand};
use control_protocol::Exit;
use model_store::catalogue::{self, Kind, VOICE_DETECTOR};
use model_store::{Fetch, Fetched, Listed, Presence, Store, StoreError, Verdict, Way, megabytes};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Columns below which the list leaves out what names say.
const NARROW: usize = 68;

const EXAMPLES: &str = "\
Examples:
  tympan model list
  tympan model fetch                    # what a run needs
  tympan model fetch base.en small-q5_1
  tympan model add ~/Downloads/ggml-mine.bin
  tympan run --model mine";

const FETCH_HELP: &str = "\
Files come from where they are published; where that cannot be reached, some are made from Python packages, and \
what ends in q8_0 from the same model with 16 bits, which is fetched if it is not here, and stays. \
HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY count. TYMPAN_MODEL_URL (or models.url in the configuration) \
names a mirror: a folder of files under their published names when it ends in /, else one file. The hash is checked \
in every case. A download that was broken off goes on where it stopped.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Show the models that are published, and those that are here
    List(ListArgs),
    /// Fetch models; without a name, what a run needs
    #[command(after_long_help = FETCH_HELP)]
    Fetch(FetchArgs),
    /// Compare the files that are here with the hashes that they should have
    Verify(VerifyArgs),
    /// Take in any Whisper model in ggml's format, or a published file brought from elsewhere
    Add(AddArgs),
    /// Remove models, and downloads that were broken off
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// Names that `tympan model list` shows
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Fetch anew what is here
    #[arg(long)]
    force: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Say nothing when nothing is missing
    #[arg(long, conflicts_with = "force")]
    if_missing: bool,
    /// Give up on a line that brings less than 1 kB/s for so long
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3_600))]
    patience: u16,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Names that `tympan model list` shows; all that are here when none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The file; it stays where it is
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What to call it [default: from the file's name]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// Names that `tympan model list` shows
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Carries the command out.
///
/// # Errors
/// What was not done, and what to do.
pub(crate) fn model(args: &ModelArgs, settings: &Settings) -> Result<Exit> {
    let store = Store::new(paths::models(settings)?);
    match &args.command {
        ModelCommand::List(args) => list(&store, settings, args.json),
        ModelCommand::Fetch(args) => fetch(&store, settings, args),
        ModelCommand::Verify(args) => verify(&store, args),
        ModelCommand::Add(args) => add(&store, args),
        ModelCommand::Remove(args) => remove(&store, args),
    }
}

/// An error of the store, with its exit code.
pub(crate) fn refused(error: StoreError) -> anyhow::Error {
    Refusal::new(exit_of(&error), error.to_string()).into()
}

/// What a script reacts to.
pub(crate) fn exit_of(error: &StoreError) -> Exit {
    if error.is_about_room() {
        return Exit::NoRoom;
    }
    match error {
        StoreError::Unknown { .. }
        | StoreError::Missing { .. }
        | StoreError::NothingThere { .. }
        | StoreError::NoFile { .. } => Exit::NoModel,
        StoreError::WrongSize { .. }
        | StoreError::WrongHash { .. }
        | StoreError::NotGgml { .. }
        | StoreError::Unreadable { .. }
        | StoreError::NotFetched { wrong: true, .. } => Exit::BadModel,
        StoreError::NotFetched { .. } => Exit::NotFetched,
        StoreError::NoRoom { .. } => Exit::NoRoom,
        StoreError::Address(_) => Exit::BadConfig,
        StoreError::Name(_) => Exit::Usage,
        StoreError::Stopped | StoreError::Io { .. } => Exit::Fault,
    }
}

/// The recognisers that a run uses when no flag names another, each once.
fn chosen(settings: &Settings) -> Result<Vec<String>> {
    let each = models::read(settings)?;
    let mut chosen = vec![models::common(&each).to_owned()];
    chosen.extend(each.own.into_values());
    let mut seen = BTreeSet::new();
    chosen.retain(|name| seen.insert(name.clone()));
    Ok(chosen)
}

/// A line of `list --json`.
#[derive(Debug, Serialize)]
struct ListedJson<'a> {
    name: &'a str,
    kind: &'a str,
    path: &'a std::path::Path,
    bytes: u64,
    english_only: Option<bool>,
    weights: &'a str,
    published: bool,
    state: &'a str,
    here_bytes: u64,
    default: bool,
}

fn list(store: &Store, settings: &Settings, json: bool) -> Result<Exit> {
    let (models, chosen) = (store.list().map_err(refused)?, chosen(settings)?);
    if json {
        let all: Vec<_> = models.iter().map(|model| listed_json(model, &chosen)).collect();
        print_json(&all)?;
        return Ok(Exit::Clean);
    }
    let rows: Vec<_> = models.iter().map(|model| row(model, &chosen)).collect();
    let text = match columns() {
        // The name says the language and the weights too.
        0..NARROW => {
            let short: Vec<_> = rows.into_iter().map(|[name, size, _, _, state]| [name, size, state]).collect();
            table(["  model", "size", "state"], &short, columns())
        }
        wide => table(["  model", "size", "languages", "weights", "state"], &rows, wide),
    };
    print(&text)?;
    eprintln!("* is used when nothing else is said. Folder: {}", store.folder().display());
    Ok(Exit::Clean)
}

fn listed_json<'a>(model: &'a Listed, chosen: &[String]) -> ListedJson<'a> {
    let (state, here_bytes) = match model.presence {
        Presence::Absent => ("absent", 0),
        Presence::Part(bytes) => ("part", bytes),
        Presence::Here => ("here", model.bytes),
        Presence::Damaged => ("damaged", model.path.metadata().map_or(0, |meta| meta.len())),
    };
    ListedJson {
        name: &model.name,
        kind: if model.kind == Kind::VoiceDetector { "voice-detector" } else { "recogniser" },
        path: &model.path,
        bytes: model.bytes,
        english_only: model.english_only,
        weights: &model.weights,
        published: model.published,
        state,
        here_bytes,
        default: is_default(model, chosen),
    }
}

fn is_default(model: &Listed, chosen: &[String]) -> bool {
    chosen.contains(&model.name) || model.kind == Kind::VoiceDetector
}

fn row(model: &Listed, chosen: &[String]) -> [String; 5] {
    let languages = match model.english_only {
        Some(true) => "English",
        Some(false) => "many",
        None if model.kind == Kind::VoiceDetector => "(voice detector)",
        None => "?",
    };
    let state = match (model.presence, model.published) {
        (Presence::Absent, _) => String::new(),
        (Presence::Part(bytes), _) => format!("{} of it", megabytes(bytes)),
        (Presence::Here, true) => "here".into(),
        (Presence::Here, false) => "here, added".into(),
        (Presence::Damaged, _) => "damaged".into(),
    };
    [
        format!("{}{}", if is_default(model, chosen) { "* " } else { "  " }, model.name),
        megabytes(model.bytes),
        languages.to_owned(),
        model.weights.clone(),
        state,
    ]
}

fn fetch(store: &Store, settings: &Settings, args: &FetchArgs) -> Result<Exit> {
    let mut names: Vec<String> = args.names.clone();
    if names.is_empty() {
        // One that was added, or is named by its path, cannot be fetched.
        names.extend(chosen(settings)?.into_iter().filter(|name| catalogue::find(name).is_some()));
        names.push(VOICE_DETECTOR.into());
    }
    let how = Fetch {
        mirror: settings.text(&keys::MODEL_URL),
        force: args.force,
        patience: Duration::from_secs(args.patience.into()),
    };
    let mut bar = Bar::new(args.quiet).context("cannot watch signals")?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fetched = store.fetch(&names, &how, &mut bar);
    bar.clear();
    if let Err(StoreError::Stopped) = fetched {
        refuse!(
            NotFetched,
            "stopped; what a download brought is kept, and the next `tympan model fetch` goes on there"
        );
    }
    for one in fetched.map_err(refused)? {
        let silent = args.quiet || (args.if_missing && one.way == Way::WasHere);
        if !silent {
            eprintln!("tympan: {}", told(&one));
        }
    }
    Ok(Exit::Clean)
}

fn told(one: &Fetched) -> String {
    let (path, size) = (one.path.display(), megabytes(one.bytes));
    match &one.way {
        Way::WasHere => format!("{} is here and right: {path}", one.name),
        Way::Address(_) => format!("fetched {} ({size}): {path}", one.name),
        Way::Model(source) => format!("made {} ({size}) from {source}: {path}", one.name),
        Way::Package(package) => format!("made {} ({size}) from the package {package}: {path}", one.name),
    }
}

/// A line of `verify --json`.
#[derive(Debug, Serialize)]
struct VerdictJson<'a> {
    name: &'a str,
    path: &'a std::path::Path,
    bytes: u64,
    state: &'a str,
    error: Option<String>,
}

fn verify(store: &Store, args: &VerifyArgs) -> Result<Exit> {
    let mut bar = Bar::new(false).context("cannot watch signals")?;
    let verdicts = store.verify(&args.names, &mut bar);
    bar.clear();
    let verdicts = verdicts.map_err(refused)?;
    let wrong = verdicts.iter().filter_map(|verdict| verdict.result.as_ref()?.as_ref().err());
    if args.json {
        let all: Vec<_> = verdicts.iter().map(verdict_json).collect();
        print_json(&all)?;
    } else {
        let lines = verdicts.iter().map(|verdict| format!("{}  {}\n", verdict.name, state_of(verdict)));
        print(&lines.collect::<String>())?;
        if verdicts.is_empty() {
            eprintln!("tympan: no model is here; `tympan model fetch` fetches what a run needs");
        }
    }
    let wrong: Vec<&StoreError> = wrong.collect();
    for error in &wrong {
        eprintln!("tympan: {error}");
    }
    Ok(if wrong.is_empty() { Exit::Clean } else { Exit::BadModel })
}

fn state_of(verdict: &Verdict) -> &'static str {
    match verdict.result {
        Some(Ok(())) => "right",
        Some(Err(_)) => "damaged",
        None => "unknown: nothing to compare it with",
    }
}

fn verdict_json(verdict: &Verdict) -> VerdictJson<'_> {
    VerdictJson {
        name: &verdict.name,
        path: &verdict.path,
        bytes: verdict.bytes,
        state: state_of(verdict).split(':').next().unwrap_or_default(),
        error: verdict.result.as_ref().and_then(|result| result.as_ref().err()).map(ToString::to_string),
    }
}

fn add(store: &Store, args: &AddArgs) -> Result<Exit> {
    let mut bar = Bar::new(false).context("cannot watch signals")?;
    let added = store.add(&args.path, args.name.as_deref(), &mut bar);
    bar.clear();
    let added = added.map_err(refused)?;
    let what = match added.header {
        Some(header) => format!(" ({header}, {})", megabytes(added.bytes)),
        None => String::new(),
    };
    let how = if added.linked { "a second name for the same file" } else { "a copy" };
    let published = if added.published { ", byte for byte the published file" } else { "" };
    eprintln!("tympan: added {}{what}{published}: {} ({how})", added.name, added.path.display());
    if added.header.is_some() {
        eprintln!("tympan: `tympan run --model {}` uses it", added.name);
    }
    Ok(Exit::Clean)
}

fn remove(store: &Store, args: &RemoveArgs) -> Result<Exit> {
    let mut bar = Bar::new(false).context("cannot watch signals")?;
    let removed = store.remove(&args.names, &mut bar);
    bar.clear();
    for one in removed.map_err(refused)? {
        let freed = match one.freed_bytes {
            0 => "no room is free again: the file has another name elsewhere".to_owned(),
            bytes => format!("{} are free again", megabytes(bytes)),
        };
        eprintln!("tympan: removed {}; {freed}", one.name);
    }
    Ok(Exit::Clean)
}

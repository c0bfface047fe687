//! `tympan bench`: how right, how fast and how costly the words are, on this machine, with this model.
//!
//! It measures from outside: it starts `tympan transcribe` and `tympan run` in a room of its own and reads what they
//! print, as any other program could. Where speech begins and ends it finds by the energy of the recordings, and when
//! words are heard it takes from the recordings' own times, so that nothing is measured by what it is to measure.

mod answer;
mod child;
mod clips;
mod errors;
mod join;
mod latency;
mod live;
mod machine;
mod normalise;
mod numbers;
mod offline;
mod promises;
mod recordings;
mod room;
mod said;
mod sound;
mod spelling;
mod stability;
mod usage;

use crate::cli::BenchArgs;
use crate::output::{print, print_json};
use crate::refusal::Refusal;
use crate::settings::{Settings, each, keys};
use crate::siblings::Siblings;
use crate::{language, models};
use answer::{Answer, Material, Setup};
use anyhow::{Context, Result};
use control_protocol::Exit;
use join::Joined;
use machine::Machine;
use recordings::Recording;
use room::Room;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::cell::Cell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Recordings of a quick bench: the shortest.
const QUICK: usize = 2;
/// Silence in which the processor is watched: a part of the speech before it, but so many seconds.
const QUIET_PART: f64 = 1.0 / 6.0;
const QUIET_S: (f64, f64) = (3.0, 10.0);

/// Others that use more than this make everything slower.
const DISTURBANCE_CORES: f64 = 0.2;

/// What is measured, and how.
pub(crate) struct Asked {
    program: PathBuf,
    flags: Vec<std::ffi::OsString>,
    stop: Arc<AtomicBool>,
    terminal: bool,
    incomplete: Cell<bool>,
}

impl Asked {
    /// A command of `tympan` that is measured.
    fn command(&self, room: &Room, name: &str) -> Command {
        let mut command = room.tympan(&self.program);
        command.arg(name).args(&self.flags);
        command
    }

    /// Ends what is done when somebody wants its end.
    fn heed(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Refusal::new(Exit::Incomplete, "interrupted; nothing was measured to its end").into());
        }
        Ok(())
    }

    /// Says how far it is, on a terminal.
    fn say(&self, how_far: &str) {
        if self.terminal {
            eprint!("\r\x1b[K{how_far}");
        }
    }

    /// Takes that away.
    fn hush(&self) {
        self.say("");
    }

    /// Something is missing in what was measured.
    fn incomplete(&self) {
        self.incomplete.set(true);
    }
}

/// Milliseconds, thousandths, and whatever else is not worth more digits.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Measures, and prints what came of it.
///
/// # Errors
/// When it cannot be measured: no recordings, no model, no room.
pub(crate) fn bench(args: &BenchArgs, config: Option<&Path>, mut settings: Settings) -> Result<Exit> {
    args.words.over(&mut settings);
    args.hearing.over(&mut settings);
    for (key, flags) in [(&keys::LANGUAGE, &args.words.language), (&keys::MODEL, &args.words.model)] {
        each::refuse_streams(key, flags)?;
        settings.forget_streams(key);
    }
    let siblings = Siblings::find()?;
    let (models, _) = models::wanted(&settings, &[])?;
    let language = language::of(&settings, &models, &[])?.common();
    let asked = asked(config, &settings, models.first(), language)?;
    let setup = Setup {
        model: models::file_name(models.first()),
        language: language.to_owned(),
        workers: settings.count(&keys::WORKERS),
        threads: settings.count(&keys::THREADS),
        hangover_ms: settings.count(&keys::HANGOVER),
    };
    let room = Room::new(&settings)?;
    let done = measure(args, &asked, setup, &siblings, &room);
    asked.hush();
    let answer = done?;
    if args.json {
        print_json(&answer)?
    } else {
        print(&answer.table())?
    }
    if let Some(cores) = answer.live.cores_of_others.filter(|&cores| cores > DISTURBANCE_CORES) {
        eprintln!("tympan: other programs used {cores:.1} cores meanwhile; on a machine at rest it is faster");
    }
    if asked.incomplete.get() {
        eprintln!("tympan: words are missing, or a process had to be replaced; the numbers are of what there was");
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Clean)
}

fn asked(config: Option<&Path>, settings: &Settings, model: &Path, language: &str) -> Result<Asked> {
    let mut flags: Vec<std::ffi::OsString> = Vec::new();
    if let Some(config) = config {
        flags.extend(["--config".into(), config.into()]);
    }
    flags.extend(["--model".into(), model.into()]);
    flags.extend(["--language".into(), language.into()]);
    for (flag, key) in [("--workers", &keys::WORKERS), ("--threads", &keys::THREADS), ("--memory", &keys::MEMORY)] {
        flags.extend([flag.into(), settings.count(key).to_string().into()]);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone()).context("cannot watch signals")?;
    }
    Ok(Asked {
        program: std::env::current_exe().context("the path of this program")?,
        flags,
        stop,
        terminal: std::io::stderr().is_terminal(),
        incomplete: Cell::new(false),
    })
}

fn measure(args: &BenchArgs, asked: &Asked, setup: Setup, siblings: &Siblings, room: &Room) -> Result<Answer> {
    let machine = Machine::look(siblings);
    let folder = match &args.folder {
        Some(folder) => std::path::absolute(folder)?,
        None => {
            clips::unpack(&room.at("clips"))?;
            room.at("clips")
        }
    };
    let found = join::shuffled(recordings::find(&folder)?, args.seed);
    let mut all = Vec::new();
    for (n, recording) in found.into_iter().enumerate() {
        asked.heed()?;
        asked.say(&format!("{n} recordings read"));
        let samples = sound::decode(&siblings.engine, &recording.path)?;
        all.push((recording, samples.len(), Some(samples).filter(|_| live_may_hold(&all, args))));
    }
    if args.quick {
        all.sort_by_key(|(_, samples, _)| *samples);
        all.truncate(QUICK);
    }
    let recordings: Vec<Recording> = all.iter().map(|(recording, ..)| recording.clone()).collect();
    let seconds = all.iter().map(|(_, samples, _)| sound::seconds(*samples)).sum();
    let offline = offline::measure(asked, room, &recordings, seconds)?;
    let joined = joined(args, &mut all);
    let played = live::play(asked, room, &joined, setup.hangover_ms)?;
    let same = Recording { path: room.at(live::FILE), transcript: joined.transcript(), times: None };
    let same = offline::measure(asked, room, &[same], joined.seconds())?;
    Ok(Answer {
        setup,
        machine,
        material: Material {
            folder: args.folder.as_ref().map(|_| folder.display().to_string()),
            recordings: recordings.len(),
            seconds: rounded(seconds),
        },
        live: answer::of_live(&joined, &played, same, args.seed, args.noise),
        offline,
    })
}

/// Whether the samples of another recording are worth their memory.
fn live_may_hold(all: &[(Recording, usize, Option<Vec<i16>>)], args: &BenchArgs) -> bool {
    let held: usize = all.iter().filter_map(|(_, _, samples)| samples.as_ref()).map(Vec::len).sum();
    args.quick || sound::seconds(held) < f64::from(args.live)
}

/// As many recordings as are to be played, in one.
fn joined(args: &BenchArgs, all: &mut [(Recording, usize, Option<Vec<i16>>)]) -> Joined {
    let mut parts: Vec<(&Recording, Vec<i16>)> = Vec::new();
    let mut held = 0;
    for (recording, samples, own) in all {
        if let Some(own) = own.take().filter(|_| parts.is_empty() || sound::seconds(held) < f64::from(args.live)) {
            held += *samples;
            parts.push((recording, own));
        }
    }
    let quiet_s = (QUIET_PART * sound::seconds(held)).clamp(QUIET_S.0, QUIET_S.1);
    join::join(parts, join::Plan { seed: args.seed, noise_db: args.noise, quiet_s })
}

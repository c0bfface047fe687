//! `tympan doctor`: what is wrong on this machine, what it means, and the command that mends it.
//!
//! Each check is a function from what it saw to its findings, and one that looks. Looks happen in threads that are left
//! behind when they take too long, for a sound server, a network disk or a driver may hang for ever.

mod bridge;
mod cards;
mod configuration;
mod disk;
mod finding;
mod folders;
mod inputs;
mod instance;
mod leftovers;
mod memory;
mod microphone;
mod model;
mod outside;
mod processor;
mod programs;
mod real_time;
mod server;
mod show;
mod surroundings;
mod terminal;

pub(crate) use outside::quoted;

use crate::cli::DoctorArgs;
use crate::output::{print, print_json};
use crate::paths::Folders;
use crate::settings::{ConfigFile, Mistake, Settings};
use anyhow::Result;
use control_protocol::Exit;
use finding::{Finding, worst};
use instance::Instance;
use server::Servers;
use show::Screen;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use surroundings::Surroundings;

/// What the checks know: what was set, where this is, and what checks before have found out.
struct Case {
    file: Option<ConfigFile>,
    settings: Settings,
    mistakes: Vec<Mistake>,
    /// Or why there is no place for files.
    folders: Result<Folders, String>,
    here: Surroundings,
    quick: bool,
    device: Option<String>,
    instances: OnceLock<Vec<Instance>>,
    servers: OnceLock<Servers>,
    /// Files of recognisers, each once.
    models: OnceLock<Vec<PathBuf>>,
}

/// A check: its name, how long it may take, and what it does.
struct Check(&'static str, Duration, fn(&Case) -> Vec<Finding>);

const SHORT: Duration = Duration::from_secs(10);
/// A large model is read once, to see that it is what it should be.
const LONG: Duration = Duration::from_secs(180);

/// In this order, which is that of the findings: what nothing works without comes first, and what takes long last.
const CHECKS: [Check; 15] = [
    Check(programs::NAME, Duration::from_secs(20), programs::look),
    Check(configuration::NAME, SHORT, configuration::look),
    Check(folders::NAME, SHORT, folders::look),
    Check(instance::NAME, SHORT, instance::look),
    Check(leftovers::NAME, SHORT, leftovers::look),
    Check(memory::NAME, SHORT, memory::look),
    Check(disk::NAME, SHORT, disk::look),
    Check(model::NAME, LONG, model::look),
    Check(processor::NAME, Duration::from_secs(20), processor::look),
    Check(real_time::NAME, SHORT, real_time::look),
    Check(terminal::NAME, SHORT, terminal::look),
    Check(server::NAME, SHORT, server::look),
    Check(bridge::NAME, SHORT, bridge::look),
    Check(cards::NAME, SHORT, cards::look),
    Check(microphone::NAME, Duration::from_secs(40), microphone::look),
];

/// Carries out `tympan doctor`. Findings are shown as they come.
///
/// # Errors
/// When standard output takes no more.
pub(crate) fn doctor(args: &DoctorArgs, named: Option<&Path>) -> Result<Exit> {
    let file = ConfigFile::find(named);
    let (settings, mut mistakes) = Settings::gather(file.as_ref());
    mistakes.extend(settings.misread());
    let case = Arc::new(Case {
        folders: Folders::of_new(&settings).map_err(|e| format!("{e:#}")),
        here: Surroundings::look(),
        file,
        settings,
        mistakes,
        quick: args.quick,
        device: args.device.clone(),
        instances: OnceLock::new(),
        servers: OnceLock::new(),
        models: OnceLock::new(),
    });
    let screen = Screen::here();
    let mut findings = Vec::new();
    for check in &CHECKS {
        let waiting = (check.0 == microphone::NAME && !args.quick).then(Waiting::show);
        let found = examined(check, &case);
        drop(waiting);
        if !args.json {
            print(&found.iter().map(|finding| screen.lines(finding)).collect::<String>())?;
        }
        findings.extend(found);
    }
    let exit = worst(&findings);
    if args.json {
        print_json(&findings)?;
    } else {
        print(&screen.summary(&findings, exit.code()))?;
    }
    Ok(exit)
}

fn examined(check: &Check, case: &Arc<Case>) -> Vec<Finding> {
    let &Check(name, patience, look) = check;
    let case = Arc::clone(case);
    outside::within(patience, move || look(&case)).unwrap_or_else(|| {
        vec![
            Finding::warning(name, format!("no answer in {} s", patience.as_secs()))
                .means("a disk, a driver or a server hangs; what it is about could not be checked"),
        ]
    })
}

/// A word on standard error while nothing else can be seen to happen.
struct Waiting {
    erasable: bool,
}

impl Waiting {
    fn show() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let erasable = terminal && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if terminal {
            let text = format!("listening to the microphone for {} s ...", microphone::LISTEN_S);
            if erasable { eprint!("{text}") } else { eprintln!("{text}") }
        }
        Self { erasable }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.erasable {
            eprint!("\r\x1b[2K");
        }
    }
}

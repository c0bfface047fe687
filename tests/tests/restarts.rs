//! A thousand restarts, and what is left of them: nothing.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use system_tests::*;

/// Kills in the full run.
const KILLS: u64 = 1_000;
const WORKERS: usize = 6;
/// An engine, a listener and the workers: as many as are killed at once.
const CHILDREN: usize = 2 + WORKERS;
/// How much more memory of its own the supervisor may have at the end than after a fifth of the restarts: threads come and
/// go, and the allocator keeps pages for each that there was at once. Lives that left 4 kB each would show.
const GROWTH_KB: u64 = 4_096;
/// How much it may have at all.
const OWN_MEMORY_KB_MAX: u64 = 15_000;

/// What a supervisor holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
    own_memory_kb: u64,
    mappings: usize,
}

impl Held {
    fn by(pid: u32) -> Result<Self> {
        let entries = |what: &str| Ok::<_, anyhow::Error>(std::fs::read_dir(format!("/proc/{pid}/{what}"))?.count());
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("RssAnon")?;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        Ok(Self {
            descriptors: entries("fd")?,
            threads: entries("task")?,
            own_memory_kb: line.trim().trim_end_matches(" kB").parse()?,
            mappings: maps.lines().filter(|line| !line.ends_with(".ring")).count(),
        })
    }
}

/// Everybody is ready, and none of these is there any more.
fn wait_whole(instance: &Instance, gone: &[Process]) -> Result<Vec<Process>> {
    wait_until("everybody's successor", watchdog(4.0), || {
        let status = instance.status()?;
        let mut processes = status.processes.iter();
        let fresh = |pid: Option<u32>| gone.iter().all(|process| Some(process.pid) != pid);
        if !processes.all(|process| process.state == "running" && fresh(process.pid)) {
            return Ok(None);
        }
        let children = status.processes.iter().filter(|process| process.role != "supervisor");
        Ok(Some(children.filter_map(|child| Process::of(child.pid?)).collect()))
    })
}

#[test]
fn a_thousand_restarts_leave_nothing() -> Result<()> {
    let rounds = scaled(KILLS).div_ceil(CHILDREN as u64);
    let setup = Setup::run(&["test:silence"]).arg("--workers").arg(WORKERS.to_string()).arg("--history").arg("5");
    let mut instance = setup.start()?;
    instance.wait_ready()?;
    let (mut children, mut kills, mut early) = (wait_whole(&instance, &[])?, BTreeMap::<String, u64>::new(), None);
    for round in 1..=rounds {
        ensure!(children.len() == CHILDREN, "{children:?}");
        for child in &children {
            ensure!(child.kill(), "it ended by itself: {child:?}");
            let role = child.command.rsplit(' ').next().unwrap_or_default().to_owned();
            *kills.entry(role).or_default() += 1;
        }
        children = wait_whole(&instance, &children)?;
        if round == rounds.div_ceil(5) {
            early = Some(Held::by(instance.pid())?);
        }
    }
    let early = early.context("too few rounds")?;
    // What belongs to an end goes a moment after it.
    let mut late = early;
    let flat = wait_until("the end of what was held", watchdog(1.0), || {
        late = Held::by(instance.pid())?;
        let flat = late.descriptors <= early.descriptors
            && late.threads <= early.threads
            && late.mappings <= early.mappings + WORKERS
            && late.own_memory_kb <= OWN_MEMORY_KB_MAX.min(early.own_memory_kb + GROWTH_KB);
        Ok(flat.then_some(()))
    });
    eprintln!("kills {kills:?}; the supervisor held {early:?}, and {late:?} at the end");
    flat?;
    ensure!(kills.len() == 3 && kills.values().sum::<u64>() >= scaled(KILLS), "{kills:?}");
    // Each kill was seen, and counted as nobody's fault.
    let ended = instance.log().all()?.iter().filter(|e| e.is("process") && e.fields["state"] == "exited").count();
    ensure!(ended as u64 == kills.values().sum::<u64>(), "{ended} ends were told");
    let family = family_of(instance.pid())?;
    ensure!(family.len() == CHILDREN && family.iter().all(|state| *state != 'Z'), "its children: {family:?}");
    ensure!(processes_of(&instance.folders().runtime()).len() == 1 + CHILDREN, "somebody is left of those killed");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// The states of a process's children.
fn family_of(parent: u32) -> Result<Vec<char>> {
    let mut states = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, in brackets, may hold anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next().and_then(|state| state.chars().next()).context("a state")?;
        if fields.next().and_then(|parent| parent.parse().ok()) == Some(parent) {
            states.push(state);
        }
    }
    Ok(states)
}

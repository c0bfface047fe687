//! The kinds of blows, and until when the system is whole again after each.

use crate::clients;
use crate::room::Fill;
use crate::system::{END_S, End, System};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use system_tests::*;

/// A child that was killed from outside: SPECIFICATION.md promises its successor within this time.
const KILLED_S: f64 = 1.0;
/// A child that hangs: found after 3 s without a sign of life, with a look every half second.
const HANGS_S: f64 = 5.0;
/// A part that was given up for a time, and is tried again by command.
const AGAIN_S: f64 = 3.0;
/// A worker that goes first finishes the sentence it has in work.
const ORDERED_S: f64 = 5.0;
/// The pause after a fault, and a start.
const FAULT_S: f64 = 2.0;
/// Nothing should happen at all.
const HARMLESS_S: f64 = 1.0;

/// Epochs whose rings may have to give way before there is no room for more.
const FILLS_MAX: usize = 5;

/// What happens to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL to a child of this role.
    Kill(&'static str),
    /// SIGTERM to one.
    Terminate(&'static str),
    /// SIGSTOP to one, and no SIGCONT.
    Hang(&'static str),
    /// SIGKILL to the supervisor; it is started again.
    KillSupervisor,
    /// SIGTERM to the supervisor; it is started again.
    TerminateSupervisor,
    /// SIGSTOP to anybody, and SIGCONT soon.
    Pause,
    /// Another number of workers.
    Scale,
    /// A part, or all, replaced by command.
    Restart,
    /// Clients of the control socket that send garbage.
    GarbageClients,
    /// Clients that say nothing.
    SilentClients,
    /// A worker whose messages mean nothing.
    GarbagePayload,
    /// The disk is full, and children are killed meanwhile.
    FullDisk,
    /// The disk is full while the supervisor is asked to end, and started again.
    FullDiskAtTheEnd,
    /// No room in shared memory, and no disk to write a word of it, when the engine needs new rings.
    FullMemory,
    /// The wall clock jumps.
    ClockJump,
}

impl Blow {
    /// All of them, and how often each is wanted in one round. Those that end a session are rare, so that there is time to
    /// say something in one.
    const ROUND: [(Self, usize); 21] = [
        (Self::Kill("worker"), 5),
        (Self::Kill("listener"), 4),
        (Self::Kill("engine"), 2),
        (Self::Terminate("worker"), 3),
        (Self::Terminate("listener"), 3),
        (Self::Terminate("engine"), 1),
        (Self::Hang("worker"), 2),
        (Self::Hang("listener"), 2),
        (Self::Hang("engine"), 1),
        (Self::KillSupervisor, 1),
        (Self::TerminateSupervisor, 1),
        (Self::Pause, 4),
        (Self::Scale, 4),
        (Self::Restart, 3),
        (Self::GarbageClients, 3),
        (Self::SilentClients, 2),
        (Self::GarbagePayload, 2),
        (Self::FullDisk, 2),
        (Self::FullDiskAtTheEnd, 1),
        (Self::FullMemory, 1),
        (Self::ClockJump, 3),
    ];

    /// The blows of one round.
    pub(crate) fn round() -> Vec<Self> {
        Self::ROUND.iter().flat_map(|&(blow, times)| std::iter::repeat_n(blow, times)).collect()
    }

    /// Strikes, and waits until all is whole again.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn strike(self, system: &mut System, chance: &mut Chance) -> Result<()> {
        match self {
            Self::Kill(role) => signal_one(system, chance, role, Signal::SIGKILL, KILLED_S),
            Self::Terminate(role) => signal_one(system, chance, role, Signal::SIGTERM, KILLED_S),
            Self::Hang(role) => signal_one(system, chance, role, Signal::SIGSTOP, HANGS_S),
            Self::KillSupervisor => system.end_and_begin(Signal::SIGKILL, End::Killed),
            Self::TerminateSupervisor => system.end_and_begin(Signal::SIGTERM, End::Asked),
            Self::Pause => pause(system, chance),
            Self::Scale => {
                let others = [1, 2, 3].into_iter().filter(|&count| count != system.workers).collect::<Vec<_>>();
                system.workers = one_of(chance, others)?;
                system.instance()?.command(&["scale", &format!("workers={}", system.workers)])?.expect_success()?;
                system.whole(ORDERED_S, &[]).map(drop)
            }
            Self::Restart => {
                let role = one_of(chance, vec!["engine", "listener", "worker", "all"])?;
                system.instance()?.command(&["restart", role])?.expect_success()?;
                system.whole(ORDERED_S, &[]).map(drop)
            }
            Self::GarbageClients => {
                let clients = clients::garbage(&system.runtime()?, chance)?;
                unharmed(system, || drop(clients))
            }
            Self::SilentClients => {
                let clients = clients::silent(&system.runtime()?, chance)?;
                unharmed(system, || drop(clients))
            }
            Self::GarbagePayload => garbage_payload(system, chance),
            Self::FullDisk => {
                let disk = Fill::of(&std::env::temp_dir())?;
                signal_one(system, chance, "worker", Signal::SIGKILL, KILLED_S)?;
                signal_one(system, chance, "listener", Signal::SIGKILL, KILLED_S)?;
                drop(disk);
                system.whole(HARMLESS_S, &[]).map(drop)
            }
            Self::FullDiskAtTheEnd => {
                let disk = Fill::of(&std::env::temp_dir())?;
                system.end_and_begin(Signal::SIGTERM, End::Asked)?;
                drop(disk);
                system.whole(HARMLESS_S, &[]).map(drop)
            }
            Self::FullMemory => full_memory(system),
            Self::ClockJump => {
                let looks = system.clock.looks()?;
                // Up to a month, back or forth.
                let by_s = i64::try_from(chance.below(60 * 86_400))? - 30 * 86_400;
                system.clock.jump(by_s)?;
                wait_until("a look at the clock", watchdog(1.0), || Ok((system.clock.looks()? > looks).then_some(())))?;
                unharmed(system, || ())
            }
        }
    }
}

fn one_of<T>(chance: &mut Chance, mut these: Vec<T>) -> Result<T> {
    ensure!(!these.is_empty(), "nothing to choose from");
    Ok(these.swap_remove(usize::try_from(chance.below(these.len() as u64))?))
}

/// A signal to one process of a role, which then is another.
fn signal_one(system: &mut System, chance: &mut Chance, role: &str, signal: Signal, within_s: f64) -> Result<()> {
    let victim = one_of(chance, system.processes(role)?)?;
    ensure!(end_process(victim.pid, signal), "the {role} ended by itself");
    system.whole(within_s, &[victim]).map(drop)
}

/// Everybody is who he was, while it lasts and afterwards.
fn unharmed(system: &mut System, end: impl FnOnce()) -> Result<()> {
    let pids = |status: &Status| status.processes.iter().map(|process| process.pid).collect::<Vec<_>>();
    let runtime = system.runtime()?;
    let before = pids(&clients::status(&runtime)?);
    std::thread::sleep(Duration::from_millis(300));
    let during = pids(&clients::status(&runtime)?);
    end();
    let after = pids(&system.whole(HARMLESS_S, &[])?);
    ensure!(before == during && during == after, "{before:?} {during:?} {after:?}");
    Ok(())
}

/// For less than what counts as hanging; nobody is replaced for it.
fn pause(system: &mut System, chance: &mut Chance) -> Result<()> {
    let role = one_of(chance, vec!["supervisor", "engine", "listener", "worker"])?;
    let victim = one_of(chance, system.processes(role)?)?;
    ensure!(end_process(victim.pid, Signal::SIGSTOP), "the {role} ended by itself");
    std::thread::sleep(Duration::from_millis(100 + chance.below(1_400)));
    ensure!(end_process(victim.pid, Signal::SIGCONT), "the {role} was ended in its pause");
    unharmed(system, || ())?;
    ensure!(victim.is_alive(), "the {role} was replaced for a short pause");
    Ok(())
}

/// Puts a program in the place of another, at once.
fn put(program: &Path, place: &Path) -> Result<()> {
    let draft = place.with_extension("draft");
    symlink(program, &draft)?;
    Ok(std::fs::rename(&draft, place)?)
}

/// The next worker sends bytes that are no message, is cut off, and the one after it is as it should be.
fn garbage_payload(system: &mut System, chance: &mut Chance) -> Result<()> {
    let place = system.program("transcriber-worker");
    let since = system.instance()?.log().len();
    put(&program("garbler")?, &place)?;
    let victim = one_of(chance, system.processes("worker")?)?;
    ensure!(victim.kill(), "the worker ended by itself");
    let is_next = |e: &Event| e.fields["role"] == "worker" && e.fields["pid"] != victim.pid;
    let log = system.instance()?.log().clone();
    let started = log.wait(since, "the garbler", watchdog(KILLED_S), |e| is_next(e) && e.fields["state"] == "starting");
    put(&program("transcriber-worker")?, &place)?;
    let garbler = started?.whole("pid")?;
    let end = log
        .wait(since, "its end", watchdog(KILLED_S), |e| e.fields["pid"] == garbler && e.fields["state"] == "exited")?;
    let reason = end.text("reason")?;
    ensure!(reason.contains("of the message"), "{reason}");
    system.whole(FAULT_S, &[]).map(drop)
}

/// The engine dies where no room is for its next rings: it is given up for a time, and the rest goes on.
fn full_memory(system: &mut System) -> Result<()> {
    let disk = Fill::of(&std::env::temp_dir())?;
    let (log, mut memory) = (system.instance()?.log().clone(), Vec::new());
    // Old rings that nobody needs give way to new ones. Then they are gone.
    for _ in 0..FILLS_MAX {
        memory.push(Fill::of(Path::new("/dev/shm"))?);
        let since = log.len();
        let engine = system.processes("engine")?.into_iter().next().context("no engine")?;
        ensure!(engine.kill(), "the engine ended by itself");
        let is_over = |e: &Event| e.is_process("engine", "failed") || e.is_process("engine", "ready");
        if log.wait(since, "its successor's start or end", watchdog(END_S), is_over)?.fields["state"] == "failed" {
            break;
        }
    }
    let status = clients::status(&system.runtime()?)?;
    let (engines, others): (Vec<_>, Vec<_>) = status.processes.iter().partition(|process| process.role == "engine");
    ensure!(engines.iter().all(|engine| engine.state == "failed"), "there was room: {status:?}");
    ensure!(others.len() == 2 + system.workers, "{status:?}");
    ensure!(others.iter().all(|process| process.state == "running"), "{status:?}");
    drop((memory, disk));
    system.instance()?.command(&["restart", "engine"])?.expect_success()?;
    system.whole(AGAIN_S, &[]).map(drop)
}

//! The status board of a running instance: who lives, how loud it is, and who hangs.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use shm_layout::board::{Counter, View};
use std::time::Duration;
use system_tests::*;

/// How long a process may show no life, and the look that finds it.
const FOUND_WITHIN_S: f64 = 4.0;
/// A tone at half of full scale.
const TONE: &str = "test:tone";
/// The session's rate, in frames a second.
const RATE_HZ: f64 = 48_000.0;

#[test]
fn everybody_sees_hearts_and_levels_without_asking() -> Result<()> {
    let mut instance = Setup::run(&[TONE]).start()?;
    instance.wait_ready()?;
    let view = View::open(&instance.folders().runtime())?;
    wait_until("a level", watchdog(1.0), || {
        let meters = view.meters();
        Ok(meters.iter().any(|meter| meter.stream() == "test" && meter.newest().is_some()).then_some(()))
    })?;
    let status = wait_until("all hearts", watchdog(1.0), || {
        let status = instance.status()?;
        let mut children = status.processes.iter().filter(|process| process.role != "supervisor");
        Ok(children.all(|child| child.heartbeat_s.is_some_and(|age| age < 2.0)).then_some(status))
    })?;
    let stream = status.streams.first().context("a stream")?;
    let (peak, rms) = (stream.peak_dbfs.context("a peak")?, stream.rms_dbfs.context("a mean")?);
    // A sine's mean is 3 dB below its peak.
    ensure!((peak + 6.02).abs() < 0.1 && (rms + 9.03).abs() < 0.1, "{peak} dBFS, {rms} dBFS");
    for (slot, role) in [(0, "supervisor"), (1, "engine"), (2, "listener"), (3, "worker"), (4, "worker")] {
        let seen = view.slot(slot).with_context(|| format!("slot {slot}"))?;
        ensure!(status.of_role(role).any(|process| process.pid == Some(seen.pid)), "slot {slot}: {seen:?}");
        ensure!(seen.beat_ns > 0, "slot {slot}: {seen:?}");
    }
    let blocks = |view: &View| Ok::<_, anyhow::Error>(view.slot(1).context("engine")?.counter(Counter::Done));
    let before = blocks(&view)?;
    wait_until("another second of blocks", watchdog(1.0), || Ok((blocks(&view)? >= before + 100).then_some(())))?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    ensure!(View::open(&instance.folders().runtime()).is_err(), "the board is still there");
    instance.assert_clean()
}

#[test]
fn a_process_that_hangs_is_ended_and_replaced() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    for role in ["engine", "listener", "worker"] {
        let hanging = instance.processes(role)?.swap_remove(0);
        let since = instance.log().len();
        ensure!(end_process(hanging.pid, Signal::SIGSTOP), "{role} ended by itself");
        let end = instance.log().wait(since, "its end", watchdog(FOUND_WITHIN_S), |e| {
            e.is_process(role, "exited") && e.fields["pid"] == hanging.pid
        })?;
        let reason = end.fields["reason"].as_str().context("a reason")?;
        ensure!(reason.contains("no sign of life"), "{reason}");
        ensure!(!hanging.is_alive());
        instance.log().wait(since, "its successor", watchdog(2.0), |e| e.is_process(role, "ready"))?;
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn whoever_was_stopped_itself_blames_nobody_for_its_own_pause() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let since = instance.log().len();
    ensure!(end_process(instance.pid(), Signal::SIGSTOP), "it ended by itself");
    // All of them, as when the machine sleeps: nobody has beaten for longer than it takes to be found hanging.
    let children: Vec<_> =
        ["engine", "listener", "worker"].into_iter().filter_map(|role| find(&instance, role)).collect();
    ensure!(children.len() == 3, "{children:?}");
    ensure!(children.iter().all(|child| end_process(child.pid, Signal::SIGSTOP)));
    std::thread::sleep(Duration::from_secs_f64(FOUND_WITHIN_S + 1.0));
    ensure!(end_process(instance.pid(), Signal::SIGCONT));
    std::thread::sleep(Duration::from_millis(1_200));
    ensure!(children.iter().all(|child| end_process(child.pid, Signal::SIGCONT)), "ended while it slept");
    std::thread::sleep(Duration::from_secs(2));
    ensure!(children.iter().all(Process::is_alive), "{children:?}");
    ensure!(!instance.log().all()?.iter().skip(since).any(|e| e.fields["state"] == "exited"), "somebody was ended");
    instance.interrupt()?;
    // A device does not wait for an engine that sleeps: what was lost is stated, and no more than the nap was long.
    let status = instance.wait_exit(watchdog(2.0))?;
    let stopped = instance.log().all()?.pop().filter(|last| last.is("stopped")).context("no end")?;
    let lost_s = stopped.whole("lost_frames")? as f64 / RATE_HZ;
    ensure!(lost_s < FOUND_WITHIN_S + 3.0, "{lost_s} s lost");
    ensure!(status.code() == Some(if lost_s > 0.0 { 5 } else { 0 }), "{status} with {lost_s} s lost");
    instance.assert_clean()
}

/// A child of this role, without asking the supervisor.
fn find(instance: &Instance, role: &str) -> Option<Process> {
    let program = if role == "engine" { "audio-engine run".to_owned() } else { format!("--role {role}") };
    processes_of(&instance.folders().runtime()).into_iter().find(|process| process.command.contains(&program))
}

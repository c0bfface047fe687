//! Real-time scheduling and locked memory where they are allowed, and a word where they are not: as a plain user, and as one
//! who may.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::process::Command;
use system_tests::*;

/// What the notice begins with.
const NOTICE: &str = "no real-time priority";

fn notices(instance: &Instance) -> Result<Vec<String>> {
    let all = instance.log().all()?;
    let notices = all.iter().filter(|event| event.is("notice")).map(|event| event.text("text").map(str::to_owned));
    let notices: Vec<String> = notices.collect::<Result<_>>()?;
    Ok(notices.into_iter().filter(|text| text.starts_with(NOTICE)).collect())
}

/// Policy and priority of the threads of a process, by their names.
fn scheduling(process: &Process) -> Result<BTreeMap<String, (u32, u32)>> {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", process.pid))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let (begin, end) = stat.rsplit_once(") ").context("proc(5)")?;
        let name = begin.split_once('(').context("proc(5)")?.1.to_owned();
        // The first of these is the third of proc(5).
        let field = |number: usize| end.split(' ').nth(number - 3).and_then(|text| text.trim().parse().ok());
        let (policy, priority) = (field(41).context("policy")?, field(40).context("priority")?);
        threads.insert(name, (policy, priority));
    }
    Ok(threads)
}

/// Memory of a process that cannot be paged out.
fn locked_kb(process: &Process) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).context("VmLck")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// How much of the mappings of its rings a process has locked, ring by ring.
fn locked_of_rings(process: &Process) -> Result<BTreeMap<String, u64>> {
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", process.pid))?;
    let (mut rings, mut path, mut size_kb) = (BTreeMap::new(), "", 0);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default() {
            "Size:" => size_kb = words.next().context("a number")?.parse::<u64>()?,
            // `Locked:` is the share of one process, of pages that several have.
            "VmFlags:" if path.ends_with(".ring") => {
                let locked_kb = if words.any(|flag| flag == "lo") { size_kb } else { 0 };
                *rings.entry(path.to_owned()).or_default() += locked_kb;
            }
            first if !first.ends_with(':') => path = words.last().unwrap_or_default(),
            _ => {}
        }
    }
    Ok(rings)
}

/// Whether no limit holds for this one: `CAP_IPC_LOCK`.
fn may_lock() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).context("CapEff")?;
    Ok(u64::from_str_radix(line.trim(), 16)? & (1 << 14) != 0)
}

/// What a plain user may lock here: less than the queue of a device.
const LOCKED_KB_MAX: u64 = 64;

/// `SCHED_FIFO`.
const FIFO: u32 = 1;

/// Nothing is granted to what is started from now on, but to one who needs no limits.
fn take_limits_away() -> Result<()> {
    for (resource, most) in [(Resource::Rtprio, 0), (Resource::Memlock, LOCKED_KB_MAX << 10)] {
        let maximum = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })?;
    }
    Ok(())
}

/// How far the stream has been listened to. Its ring is another user's, which nobody but that one may read.
fn heard_s(instance: &Instance) -> Result<f64> {
    let status = instance.json("status")?;
    status["streams"][0]["position_s"].as_f64().with_context(|| format!("no position in {status}"))
}

fn wait_heard(instance: &Instance, until_s: f64) -> Result<()> {
    wait_until("sound", watchdog(2.0), || Ok((heard_s(instance)? >= until_s).then_some(())))
}

#[test]
fn a_plain_user_is_told_once_and_everything_works() -> Result<()> {
    take_limits_away()?;
    let mut instance = Setup::run(&["test:count"]).folders(Folders::of_plain_user()?).start()?;
    instance.wait_ready()?;
    wait_heard(&instance, 1.0)?;
    instance.wait_event("the notice", watchdog(2.0), |event| event.is("notice"))?;
    let engine = instance.processes("engine")?.pop().context("an engine")?;
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{}", engine.pid))?);
    ensure!(owner != 0, "the engine is root's: this proves nothing");
    let threads = scheduling(&engine)?;
    ensure!(threads.contains_key("tick") && threads.values().all(|(policy, _)| *policy != FIFO), "{threads:?}");
    ensure!(locked_kb(&engine)? <= LOCKED_KB_MAX, "{} kB", locked_kb(&engine)?);
    ensure!(instance.status()?.real_time == Some(false), "{:?}", instance.status()?);
    let shown = instance.command(&["status"])?.stdout;
    ensure!(shown.contains("real time: refused"), "{shown}");

    // The next engine is refused, too, and nobody hears of it again.
    let before = instance.log().len();
    instance.kill_role("engine")?;
    instance.log().wait(before, "the next engine", watchdog(2.0), |e| e.is_process("engine", "ready"))?;
    wait_until("its refusal", watchdog(2.0), || Ok((instance.status()?.real_time == Some(false)).then_some(())))?;
    wait_heard(&instance, heard_s(&instance)? + 1.0)?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    let told = notices(&instance)?;
    ensure!(told.len() == 1 && told[0].contains("tympan doctor") && told[0].contains("counted"), "{told:?}");
    instance.assert_clean()
}

#[test]
fn nobody_asks_on_a_virtual_clock() -> Result<()> {
    take_limits_away()?;
    let folders = Folders::of_plain_user()?;
    let finished = run_to_end(
        tympan(&folders)?.args(["run", "--fast", "--model"]).arg(folders.model()?).arg("demo:"),
        watchdog(20.0),
    )?;
    finished.expect_success()?;
    ensure!(!finished.stdout.is_empty() && !finished.stderr.contains(NOTICE), "{finished:?}");
    folders.assert_clean()
}

#[test]
fn who_may_has_it_and_is_told_nothing() -> Result<()> {
    let may = Command::new("chrt").args(["-f", "12", "true"]).output()?.status.success();
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("test")?;
    instance.wait_captured(&ring, 1.0)?;
    wait_until("an answer", watchdog(2.0), || Ok(instance.status()?.real_time))?;
    let engine = instance.processes("engine")?.pop().context("an engine")?;
    // Two seconds of one channel, and named regions only.
    let locked = locked_kb(&engine)?;
    ensure!(!may_lock()? || (384..8 << 10).contains(&locked), "{locked} kB are locked");
    // Of a ring the header, with its hot lines.
    let rings = locked_of_rings(&engine)?;
    ensure!(rings.len() == 2 && (!may_lock()? || rings.values().all(|kb| *kb == 4)), "{rings:?}");
    ensure!(instance.status()?.real_time == Some(may), "{:?}, and it may: {may}", instance.status()?);
    if may {
        let threads = scheduling(&engine)?;
        // The device's keeper asks for its callback.
        for (name, priority) in [("rack", 8), ("tick", 10), ("virtual device", 12)] {
            ensure!(threads.get(name) == Some(&(FIFO, priority)), "{name}: {threads:?}");
        }
        let fifo = threads.values().filter(|(policy, _)| *policy == FIFO).count();
        ensure!(fifo == 3, "others, too: {threads:?}");
    } else {
        eprintln!("not shown: this user may not have real-time priority");
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    let told = notices(&instance)?;
    ensure!(told.is_empty() == may, "{told:?}");
    instance.assert_clean()
}

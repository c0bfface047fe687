//! Memory of each process at work, and what all of them take of the processor while nothing is said.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::seconds_of;
use anyhow::{Context, Result, ensure};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use system_tests::{Instance, Setup, clip_file, model, program, watchdog};

pub(crate) const MEMORY: Measure = Measure {
    names: &[
        "memory RSS, supervisor",
        "memory RSS, engine",
        "memory RSS, listener",
        "memory RSS, worker",
        "memory PSS, supervisor",
        "memory PSS, engine",
        "memory PSS, listener",
        "memory PSS, worker",
        "memory anonymous, supervisor",
        "memory anonymous, engine",
        "memory anonymous, listener",
        "memory anonymous, worker",
    ],
    run: memory,
};

pub(crate) const IDLE: Measure = Measure {
    names: &[
        "processor while nothing is said, all",
        "processor while nothing is said, supervisor",
        "processor while nothing is said, engine",
        "processor while nothing is said, listener",
        "processor while nothing is said, workers",
    ],
    run: idle,
};

const ROLES: [&str; 4] = ["supervisor", "engine", "listener", "worker"];
const KINDS: [(&str, &str); 3] = [("RSS", "Rss"), ("PSS", "Pss"), ("anonymous", "Anonymous")];

/// MB of each kind, in the order of [`KINDS`].
type Megabytes = [f64; 3];

fn megabytes_of(pid: u32) -> Result<Megabytes> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mut megabytes = [0.0; 3];
    for (megabytes, (_, field)) in megabytes.iter_mut().zip(KINDS) {
        let kilobytes =
            text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
        let kilobytes: f64 = kilobytes.with_context(|| format!("no {field} in smaps_rollup"))?.trim().parse()?;
        *megabytes = kilobytes / 1_024.0;
    }
    Ok(megabytes)
}

fn larger(a: Megabytes, b: Megabytes) -> Megabytes {
    std::array::from_fn(|at| a[at].max(b[at]))
}

/// While the first clip is heard, until its words are there: the most that was seen, and of two workers the larger.
fn memory(_plan: &Plan) -> Result<Vec<Row>> {
    let mut instance = Setup::run(&["demo:"]).start()?;
    instance.wait_ready()?;
    let pids = pids(&instance)?;
    let mut most: BTreeMap<&str, Megabytes> = BTreeMap::new();
    let (begin, mut looks) = (Instant::now(), 0);
    while !instance.log().all()?.iter().any(|event| event.is("final")) {
        ensure!(begin.elapsed() < watchdog(12.0), "watchdog: no final came");
        for &(role, pid) in &pids {
            let seen = most.entry(role).or_default();
            *seen = larger(*seen, megabytes_of(pid)?);
        }
        looks += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    let direct = direct_megabytes()?;
    let mut rows = Vec::new();
    for (kind, (name, _)) in KINDS.into_iter().enumerate() {
        for role in ROLES {
            let megabytes = most.get(role).with_context(|| format!("no {role} was seen"))?[kind];
            let row = Row::new(&format!("memory {name}, {role}"), megabytes, "MB", looks);
            rows.push(if role == "worker" { row.against("whisper-rs directly", direct[kind]) } else { row });
        }
    }
    Ok(rows)
}

/// The most that whisper-rs takes when it is called directly on the same clip.
fn direct_megabytes() -> Result<Megabytes> {
    let mut command = Command::new(program("transcriber-worker")?);
    command.args(["--role", "direct", "--model"]).arg(model()?).arg(clip_file("jfk.wav"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let (begin, mut most) = (Instant::now(), [0.0; 3]);
    while child.try_wait()?.is_none() {
        if begin.elapsed() > watchdog(10.0) {
            child.kill()?;
        }
        // It may end between the two looks.
        if let Ok(megabytes) = megabytes_of(child.id()) {
            most = larger(most, megabytes);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(child.wait()?.success(), "whisper-rs directly has failed");
    Ok(most)
}

fn pids(instance: &Instance) -> Result<Vec<(&'static str, u32)>> {
    let status = instance.status()?;
    let mut pids = Vec::new();
    for role in ROLES {
        pids.extend(status.of_role(role).filter_map(|process| Some((role, process.pid?))));
    }
    ensure!(pids.len() == 5, "an engine, a listener and two workers under a supervisor: {status:?}");
    Ok(pids)
}

/// From five seconds after the start on, in which nobody asks for anything; the median of several spans.
fn idle(plan: &Plan) -> Result<Vec<Row>> {
    let mut instance = Setup::run(&["test:silence"]).start()?;
    instance.wait_ready()?;
    let pids = pids(&instance)?;
    std::thread::sleep(Duration::from_secs(5));
    let spans = plan.times(3);
    let mut shares: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..spans {
        let (begin, before) = (Instant::now(), used_by(&pids)?);
        std::thread::sleep(Duration::from_secs(7));
        let (seconds, after) = (begin.elapsed().as_secs_f64(), used_by(&pids)?);
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (&(role, pid), (before, after)) in pids.iter().zip(before.iter().zip(&after)) {
            let share = (after.seconds - before.seconds) / seconds * 100.0;
            *sums.entry(role).or_default() += share;
            *sums.entry("all").or_default() += share;
            for (thread, ns) in &after.threads {
                let ns = ns.saturating_sub(before.threads.get(thread).copied().unwrap_or(0));
                eprintln!("{role} {pid}, thread {thread:?}: {:.3} % of a core", ns as f64 / 1e7 / seconds);
            }
        }
        sums.into_iter().for_each(|(role, share)| shares.entry(role).or_default().push(share));
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    let roles = ["all", "supervisor", "engine", "listener", "worker"];
    let rows = IDLE.names.iter().zip(roles).map(|(name, role)| {
        let shares = shares.get_mut(role).with_context(|| format!("no {role}"))?;
        Ok(Row::new(name, quantile(shares, 0.5), "% of a core", spans))
    });
    rows.collect()
}

/// What a process has used of the processors so far.
struct Used {
    /// All its threads, also those that have ended.
    seconds: f64,
    /// Nanoseconds of each thread, by its id and name.
    threads: BTreeMap<(String, String), u64>,
}

fn used_by(pids: &[(&str, u32)]) -> Result<Vec<Used>> {
    let used = pids.iter().map(|&(_, pid)| {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
        Ok(Used { seconds: seconds_of(clock)?, threads: threads_of(pid)? })
    });
    used.collect()
}

fn threads_of(pid: u32) -> Result<BTreeMap<(String, String), u64>> {
    let mut threads = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file));
        // A thread may end between the two looks, and not every kernel counts.
        if let (Ok(name), Ok(schedule)) = (read("comm"), read("schedstat")) {
            let ns = schedule.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            threads.insert((entry.file_name().to_string_lossy().into_owned(), name.trim().into()), ns);
        }
    }
    Ok(threads)
}

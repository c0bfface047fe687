//! What the supervisor itself takes for many workers and many jobs: nobody computes, so that all that is seen is its own.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::seconds_of;
use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use system_tests::{Instance, Setup, program, watchdog};

pub(crate) const MEASURE: Measure = Measure {
    names: &["supervisor: processor, 8 workers, 100 jobs a s", "supervisor: memory anonymous, 8 workers, 100 jobs a s"],
    run: measure,
};

/// How long is looked at once.
const SPAN: Duration = Duration::from_secs(10);
/// For each job: its name, its order, its words, and the listener's leave to forget it.
const MESSAGES_PER_JOB: usize = 4;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let programs = tempfile::tempdir()?;
    symlink(program("audio-engine")?, programs.path().join("audio-engine"))?;
    symlink(program("quick-transcriber")?, programs.path().join("transcriber-worker"))?;
    let setup = Setup::run(&["test:silence"]).arg("--workers").arg("8").env("TYMPAN_LIBEXEC", programs.path());
    let mut instance = setup.start()?;
    instance.wait_ready()?;
    instance.wait_event("the first texts", watchdog(5.0), |e| e.is("final"))?;

    let spans = plan.times(3);
    let (mut shares, mut bare, mut megabytes) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..spans {
        let before = finals(&instance)?;
        let (begin, used) = (Instant::now(), used_s(instance.pid())?);
        std::thread::sleep(SPAN);
        let (seconds, used) = (begin.elapsed().as_secs_f64(), used_s(instance.pid())? - used);
        let jobs = finals(&instance)? - before;
        let per_s = jobs as f64 / seconds;
        ensure!((95.0..105.0).contains(&per_s), "{per_s} texts a second");
        shares.push(used / seconds * 100.0);
        bare.push(bare_socket_s(jobs * MESSAGES_PER_JOB)? / seconds * 100.0);
        megabytes = megabytes.max(anonymous_mb(instance.pid())?);
    }
    instance.interrupt()?;
    instance.wait_exit(watchdog(3.0))?;
    let share = Row::new(MEASURE.names[0], quantile(&mut shares, 0.5), "% of a core", spans);
    let share = share.against("as many messages on a bare socket", quantile(&mut bare, 0.5));
    Ok(vec![share, Row::new(MEASURE.names[1], megabytes, "MB", spans)])
}

fn finals(instance: &Instance) -> Result<usize> {
    Ok(instance.log().all()?.iter().filter(|event| event.is("final")).count())
}

/// Seconds of the processors that a process has used so far.
fn used_s(pid: u32) -> Result<f64> {
    seconds_of(clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?)
}

fn anonymous_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1_024.0)
}

/// What one side of a bare socket takes for so many small messages, half of them each way, at the pace of the jobs.
fn bare_socket_s(messages: usize) -> Result<f64> {
    let (ours, theirs) = UnixDatagram::pair()?;
    let echo = std::thread::spawn(move || {
        let mut bytes = [0; 128];
        while let Ok(length @ 1..) = theirs.recv(&mut bytes) {
            if theirs.send(&bytes[..length]).is_err() {
                return;
            }
        }
    });
    let side = std::thread::spawn(move || -> Result<f64> {
        let (begin, used) = (Instant::now(), seconds_of(ClockId::CLOCK_THREAD_CPUTIME_ID)?);
        let (rounds, mut bytes) = (messages / 2, [7; 128]);
        for round in 0..rounds {
            let due = begin + SPAN.mul_f64(round as f64 / rounds as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            ours.send(&bytes)?;
            ours.recv(&mut bytes)?;
        }
        let used = seconds_of(ClockId::CLOCK_THREAD_CPUTIME_ID)? - used;
        // An empty message ends the other side.
        ours.send(&[])?;
        Ok(used)
    });
    let used = side.join().ok().context("a panic")??;
    echo.join().ok().context("a panic")?;
    Ok(used)
}

//! Other processes: this program again, in a role. Each ends with its [`Child`], or with the bench.

use crate::os;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(20);

/// The argument that makes this program a child.
pub(crate) const CHILD: &str = "--child";

/// A process of ours; killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts one and waits until it says that it is ready.
    pub(crate) fn start(role: &str, args: &[&OsStr]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([CHILD, &std::process::id().to_string(), role])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take();
        let child = Self { process };
        let mut out = out.context("a child without an output")?;
        // A child that hangs is killed by the watchdog, which ends its output.
        let (tell, told) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut byte = [0];
            let _ = tell.send(out.read_exact(&mut byte).is_ok());
        });
        let ready = told.recv_timeout(WATCHDOG);
        ensure!(ready == Ok(true), "a reader of the role {role} did not get ready");
        let _ = reading.join();
        Ok(child)
    }

    /// Stops it (SIGSTOP) where it sleeps.
    pub(crate) fn stop(&self) -> Result<()> {
        self.wait_state('S')?;
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, Signal::STOP)?;
        self.wait_state('T')
    }

    /// Waits until it is in a state of `/proc/PID/stat`.
    pub(crate) fn wait_state(&self, wanted: char) -> Result<()> {
        let begin = Instant::now();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            if state == Some(wanted) {
                return Ok(());
            }
            if begin.elapsed() > WATCHDOG {
                bail!("watchdog: a reader is not in the state {wanted}: {stat}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it ends by itself, and whether that was in order.
    pub(crate) fn wait_end(mut self) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < WATCHDOG {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "a reader failed: {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("watchdog: a reader does not end")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Said by a child: it is attached, and its work begins.
pub(crate) fn ready() -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(b"!")?;
    out.flush()?;
    Ok(())
}

/// What a child does first; returns its role and its arguments.
pub(crate) fn begin(mut args: impl Iterator<Item = String>) -> Result<(String, Vec<String>)> {
    let parent = args.next().and_then(|pid| pid.parse().ok()).context("who started this?")?;
    os::die_with_parent(parent)?;
    Ok((args.next().context("no role")?, args.collect()))
}

//! A `tympan` that is measured: its lines as they come, its words on standard error, its orderly end.

use super::room::Room;
use crate::refusal::Refusal;
use anyhow::{Context, Result};
use control_protocol::Exit;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long an instance may take to end in order.
const END: Duration = Duration::from_secs(5);

/// A running one. Dropped, it is ended.
#[derive(Debug)]
pub(super) struct Measured {
    child: Child,
    stderr: PathBuf,
    /// Its lines on standard output; closed at their end.
    pub lines: Receiver<String>,
}

impl Measured {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(room: &Room, mut command: Command) -> Result<Self> {
        let stderr = room.at("stderr");
        let log = File::create(&stderr).with_context(|| format!("cannot write {}", stderr.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // A Ctrl-C is for this program, which ends the other in order.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdout = child.stdout.take();
        let (sender, lines) = channel();
        let this = Self { child, stderr, lines };
        let stdout = stdout.context("no pipe")?;
        std::thread::Builder::new().name("lines".into()).spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(this)
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, which is near; the exit code that it has for a person, where it is one of ours.
    ///
    /// # Errors
    /// Its own words, unless it ended well or incompletely.
    pub(super) fn end(mut self) -> Result<Exit> {
        let status = self.wait(END)?;
        let exit = status.code().and_then(|code| Exit::ALL.into_iter().find(|exit| i32::from(exit.code()) == code));
        match exit {
            Some(exit @ (Exit::Clean | Exit::Incomplete)) => Ok(exit),
            _ => {
                let said = std::fs::read_to_string(&self.stderr).unwrap_or_default();
                let last = said.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
                let text = if last.is_empty() { format!("tympan ended with {status}") } else { last.join("\n") };
                let text = text.strip_prefix("tympan: ").unwrap_or(&text).to_owned();
                Err(Refusal::new(exit.unwrap_or(Exit::Fault), text).into())
            }
        }
    }

    fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begin.elapsed() > patience {
                self.child.kill()?;
                return Ok(self.child.wait()?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Ok(pid) = i32::try_from(self.child.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
            }
            let _ = self.wait(END);
        }
    }
}

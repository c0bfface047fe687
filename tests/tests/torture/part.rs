//! The processes of the torture: a writer, and readers in every language.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use system_tests::*;

pub(crate) const CHANNELS: u64 = 64;
pub(crate) const CAPACITY_FRAMES: u64 = 4 * WRITE_FRAMES;
const WRITE_FRAMES: u64 = 32_768;

/// What a reader is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tongue {
    Rust,
    C,
    Python,
    Node,
}

impl Tongue {
    pub(crate) const ALL: [Self; 4] = [Self::Rust, Self::C, Self::Python, Self::Node];

    fn reader(self, readers: &Readers) -> Command {
        match self {
            Self::Rust => Command::new(env!("CARGO_BIN_EXE_torture-reader")),
            Self::C => readers.built("torture"),
            Self::Python => readers.python("tests/torture.py"),
            Self::Node => readers.node("tests/torture.js"),
        }
    }
}

/// A process that goes with its test.
pub(crate) struct Part(Child);

impl Part {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Ok(Self(child.with_context(|| format!("{command:?}"))?))
    }

    pub(crate) fn reader(readers: &Readers, tongue: Tongue, folder: &Path, args: &[&str]) -> Result<Self> {
        Self::start(tongue.reader(readers).arg(folder).args(args))
    }

    pub(crate) fn writer(folder: &Path, epoch: u64, first: u64, writes: u64) -> Result<Self> {
        let numbers = [epoch, first, CHANNELS, CAPACITY_FRAMES, WRITE_FRAMES, writes];
        let mut command = Command::new(env!("CARGO_BIN_EXE_torture-writer"));
        Self::start(command.arg(folder).args(numbers.map(|number| number.to_string())))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(end_process(self.0.id(), signal), "it has ended before it was signalled");
        Ok(())
    }

    /// Stops it, and returns when it stands still.
    pub(crate) fn hold(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let pid = Pid::from_raw(self.0.id().try_into()?);
        match waitpid(pid, Some(WaitPidFlag::WUNTRACED))? {
            WaitStatus::Stopped(..) => Ok(()),
            other => anyhow::bail!("it was to be held: {other:?}"),
        }
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.0.try_wait()? {
            anyhow::bail!("it ended by itself, with {status}");
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// What it says at its end.
    pub(crate) fn answer(mut self) -> Result<Value> {
        let status = wait_until("the end of a part", watchdog(6.0), || Ok(self.0.try_wait()?))?;
        ensure!(status.success(), "{status}");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.0.stdout.take().context("piped")?, &mut text)?;
        serde_json::from_str(&text).with_context(|| text)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

//! A writer of the tests' pattern in a process of its own.

use anyhow::{Context, Result, ensure};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use system_tests::*;

/// A writer of the tests' pattern in a process of its own.
pub(crate) struct Writer(Child);

impl Writer {
    pub(crate) const CAPACITY: u64 = 96_000;
    const BLOCK: u64 = 480;

    pub(crate) fn start(dir: &Path, epoch: u64, first: u64, pause_us: u64) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ring-writer"));
        command
            .arg(dir)
            .arg("pattern")
            .args([epoch, first, Self::CAPACITY, Self::BLOCK, pause_us].map(|n| n.to_string()));
        let writer = Self(command.stdin(Stdio::piped()).spawn()?);
        let ring = dir.join(format!("pattern.{epoch}.ring"));
        wait_until("the ring", watchdog(1.0), || Ok(ring.exists().then_some(())))?;
        Ok(writer)
    }

    /// Lets it end its ring in order.
    pub(crate) fn close(mut self) -> Result<()> {
        self.0.stdin.take().context("piped")?.write_all(b"c")?;
        ensure!(self.0.wait()?.success(), "the writer failed");
        Ok(())
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

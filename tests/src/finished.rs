//! A command run to its end.

use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a command left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it said on standard output.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
}

impl Finished {
    /// It ended with code 0.
    ///
    /// # Errors
    /// All it said, when not.
    pub fn expect_success(&self) -> Result<()> {
        ensure!(self.code == Some(0), "exit code {:?}, standard error:\n{}", self.code, self.stderr);
        Ok(())
    }

    /// It refused with this code and these words.
    ///
    /// # Errors
    /// As [`expect_refusal`](Self::expect_refusal).
    pub fn expect_exit(&self, code: u8, named: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code.into()), "exit code {:?} instead of {code}: {}", self.code, self.stderr);
        self.expect_refusal(named)
    }

    /// It refused as a good program does: a code that is neither 0 nor a panic's, nothing on standard output,
    /// and every one of `named` on standard error.
    ///
    /// # Errors
    /// What was not so.
    pub fn expect_refusal(&self, named: &[&str]) -> Result<()> {
        ensure!(matches!(self.code, Some(code) if code != 0 && code != 101), "exit code {:?}: {self:?}", self.code);
        ensure!(self.stdout.is_empty(), "standard output is data: {:?}", self.stdout);
        for name in named {
            ensure!(self.stderr.contains(name), "standard error does not name {name:?}: {:?}", self.stderr);
        }
        ensure!(!self.stderr.contains("panicked at"), "a panic: {}", self.stderr);
        Ok(())
    }
}

/// Runs a command without standard input.
///
/// # Errors
/// When it cannot start, or `limit` passes first (it is killed then).
pub fn run_to_end(command: &mut Command, limit: Duration) -> Result<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let stdout = read_all(child.stdout.take().context("piped")?);
    let stderr = read_all(child.stderr.take().context("piped")?);
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("watchdog: {command:?} did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let said = |reader: JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Finished { code: status.code(), stdout: said(stdout), stderr: said(stderr) })
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has said what it had to say.
        from.read_to_end(&mut bytes).ok();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

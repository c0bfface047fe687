//! The process that drives the browser: one for all tests of a program, as a browser's start takes longer than many a job.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use system_tests::{wait_until, watchdog, workspace_root};

/// What `scripts/setup test` brings, under its names elsewhere.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// It ends where its input does, thus with this process, however that ends.
static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

struct Driver {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

/// Has the browser do a job (`viz-reader/web/test/jobs.mjs`), which may take so long: what it saw.
pub(super) fn drive(mut job: Value, limit: Duration) -> Result<Value> {
    job["chromium"] = json!(browser()?);
    let name = job["name"].to_string();
    let mut shared = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    // One that fails to answer is not asked again.
    let mut driver = shared.take().map_or_else(Driver::start, Ok)?;
    let line = driver.ask(&job, limit).with_context(|| format!("job {name}"))?;
    *shared = Some(driver);
    drop(shared);
    let mut answer: Value = serde_json::from_str(&line).with_context(|| format!("job {name}: {line}"))?;
    if let Some(error) = answer["error"].as_str() {
        bail!("job {name}: {error}");
    }
    Ok(answer["seen"].take())
}

impl Driver {
    fn start() -> Result<Self> {
        let web = workspace_root().join("viz-reader/web");
        ensure!(
            web.join("node_modules/playwright-core").is_dir(),
            "playwright-core is missing: run scripts/build-web --check"
        );
        let mut command = Command::new("node");
        command.arg("test/browser.mjs").current_dir(&web).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("piped")?);
        Ok(Self { child, input, answers: super::lines(output) })
    }

    fn ask(&mut self, job: &Value, limit: Duration) -> Result<String> {
        writeln!(self.input.as_mut().context("its input is closed")?, "{job}")?;
        self.answers.recv_timeout(limit).with_context(|| format!("watchdog: no answer within {limit:?}"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.input.take());
        if wait_until("the driver's end", watchdog(1.0), || Ok(self.child.try_wait()?)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn browser() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").context("PATH")?;
    let all = std::env::split_paths(&path).flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
    all.into_iter().find(|file| file.is_file()).context("no Chromium is here: run scripts/setup test")
}

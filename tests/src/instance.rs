//! One `tympan run --json`, watched and ended.

use crate::{
    Event, EventLog, Finished, Folders, Process, Status, processes_of, run_to_end, tympan, wait_until, watchdog,
};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use shm_layout::{AttachError, RingReader};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

/// How an instance is to be started.
#[derive(Debug)]
pub struct Setup {
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folders: Option<Folders>,
    stdin: Stdio,
}

impl Setup {
    /// `tympan run --json --model tiny.en SOURCES`.
    #[must_use]
    pub fn run(sources: &[&str]) -> Self {
        Self {
            args: sources.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            folders: None,
            stdin: Stdio::null(),
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// In these folders instead of new ones.
    #[must_use]
    pub fn folders(mut self, folders: Folders) -> Self {
        self.folders = Some(folders);
        self
    }

    /// With a pipe for standard input.
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.stdin = Stdio::piped();
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the program or the model is missing.
    pub fn start(self) -> Result<Instance> {
        let folders = self.folders.map_or_else(Folders::new, Ok)?;
        let stderr = folders.notes().join("stderr");
        let mut command = tympan(&folders)?;
        command.args(["run", "--json", "--model"]).arg(folders.model()?).args(&self.args).envs(self.environment);
        command.stdin(self.stdin).stdout(Stdio::piped()).stderr(File::create(&stderr)?);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let log = EventLog::default();
        log.follow(child.stdout.take().context("piped")?);
        Ok(Instance { folders: Some(folders), child, log, stderr })
    }
}

/// A running (or ended) instance. Dropped, it kills every process that is left of it.
#[derive(Debug)]
pub struct Instance {
    folders: Option<Folders>,
    child: Child,
    log: EventLog,
    stderr: std::path::PathBuf,
}

impl Instance {
    /// Its folders.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        self.folders.as_ref().expect("taken only by into_folders")
    }

    /// The supervisor's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its events.
    #[must_use]
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// What it said on standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// The pipe into it, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The first event that fits, from the beginning on.
    ///
    /// # Errors
    /// As [`EventLog::wait`].
    pub fn wait_event(&self, what: &str, limit: Duration, fits: impl FnMut(&Event) -> bool) -> Result<Event> {
        self.log.wait(0, what, limit, fits)
    }

    /// Waits until sound is captured and every process is ready to use it.
    ///
    /// # Errors
    /// When one of them does not come.
    pub fn wait_ready(&self) -> Result<Event> {
        let started = self.wait_event("started", watchdog(10.0), |e| e.is("started"))?;
        for role in ["engine", "listener", "worker"] {
            self.wait_event(role, watchdog(10.0), |e| e.is_process(role, "ready"))?;
        }
        wait_until("readiness of every process", watchdog(10.0), || {
            Ok(self.status()?.processes.iter().all(|process| process.state == "running").then_some(()))
        })?;
        Ok(started)
    }

    /// All finals so far, in the order of their frames.
    ///
    /// # Errors
    /// When an event is malformed.
    pub fn finals(&self) -> Result<Vec<Event>> {
        let mut finals: Vec<Event> = self.log.all()?.into_iter().filter(|event| event.is("final")).collect();
        finals.sort_by_key(|event| event.whole("start_frame").unwrap_or(0));
        Ok(finals)
    }

    /// The text of all finals so far, in the order of their frames.
    ///
    /// # Errors
    /// When an event is malformed.
    pub fn said(&self) -> Result<String> {
        let finals = self.finals()?;
        let texts: Result<Vec<&str>> = finals.iter().map(|event| event.text("text")).collect();
        Ok(texts?.join(" "))
    }

    /// No frame is in two finals: nothing was written down twice.
    ///
    /// # Errors
    /// The two.
    pub fn assert_once(&self) -> Result<()> {
        let finals = self.finals()?;
        ensure!(!finals.is_empty(), "no finals at all");
        for pair in finals.windows(2) {
            let (a, b) = (pair[0].span()?, pair[1].span()?);
            let apart = pair[0].fields["stream"] != pair[1].fields["stream"] || a.end <= b.start;
            ensure!(apart, "written down twice: {} and {}", pair[0].fields, pair[1].fields);
        }
        Ok(())
    }

    /// A command on this instance, run to its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn command(&self, args: &[&str]) -> Result<Finished> {
        run_to_end(tympan(self.folders())?.args(args), watchdog(2.0))
    }

    /// What a command with `--json` says.
    ///
    /// # Errors
    /// When it fails or its output is no JSON.
    pub fn json(&self, command: &str) -> Result<Value> {
        let finished = self.command(&[command, "--json"])?;
        finished.expect_success()?;
        serde_json::from_str(&finished.stdout).with_context(|| format!("{command} --json said {:?}", finished.stdout))
    }

    /// What the control socket answers.
    ///
    /// # Errors
    /// When it does not, or its answer is no JSON.
    pub fn json_of_request(&self, command: &str) -> Result<Value> {
        let mut socket = UnixStream::connect(self.folders().runtime().join("control.sock"))?;
        socket.set_read_timeout(Some(watchdog(1.0)))?;
        socket.write_all(format!("{{\"command\":\"{command}\"}}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{command} was answered with {line:?}"))
    }

    /// `status --json`.
    ///
    /// # Errors
    /// When it fails or a field is missing.
    pub fn status(&self) -> Result<Status> {
        let said = self.json("status")?;
        serde_json::from_value(said.clone()).with_context(|| format!("status --json said {said}"))
    }

    /// The newest ring of a stream, as soon as there is one.
    ///
    /// # Errors
    /// When there is none in time or it cannot be read.
    pub fn ring(&self, stream: &str) -> Result<RingReader> {
        wait_until(&format!("the ring of {stream}"), watchdog(5.0), || {
            match RingReader::attach_stream(&self.folders().runtime(), stream) {
                Ok(ring) => Ok(Some(ring)),
                Err(AttachError::Missing(_)) => Ok(None),
                Err(e) => Err(e.into()),
            }
        })
    }

    /// Waits until a ring has `seconds` of sound, counted from its first frame.
    ///
    /// # Errors
    /// When it takes ten times as long (and 10 s more).
    pub fn wait_captured(&self, ring: &RingReader, seconds: f64) -> Result<()> {
        let info = ring.info();
        wait_until(&format!("{seconds} s of sound"), watchdog(seconds + 1.0), || {
            let captured = ring.commit().since(info.first_frame);
            Ok((captured as f64 >= seconds * f64::from(info.sample_rate_hz)).then_some(()))
        })
    }

    /// The living processes of a role.
    ///
    /// # Errors
    /// When `status` fails.
    pub fn processes(&self, role: &str) -> Result<Vec<Process>> {
        let status = self.status()?;
        Ok(status.of_role(role).filter_map(|process| Process::of(process.pid?)).collect())
    }

    /// SIGKILL to all processes of a role; waits until they are gone. Fails when there was none to kill.
    ///
    /// # Errors
    /// As said.
    pub fn kill_role(&self, role: &str) -> Result<Vec<Process>> {
        let mut killed = self.processes(role)?;
        killed.retain(Process::kill);
        ensure!(!killed.is_empty(), "there was no {role} to kill");
        wait_until("their end", watchdog(1.0), || Ok(killed.iter().all(|p| !p.is_alive()).then_some(())))?;
        Ok(killed)
    }

    /// Ctrl-C as a program would send it: SIGINT to the supervisor alone.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn interrupt(&self) -> Result<()> {
        ensure!(crate::end_process(self.pid(), Signal::SIGINT), "tympan has ended before it was interrupted");
        Ok(())
    }

    /// Waits for the end of the supervisor and of its output.
    ///
    /// # Errors
    /// When `limit` passes first.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = wait_until("the end of tympan", limit, || Ok(self.child.try_wait()?))?;
        self.log.wait_end(watchdog(1.0))?;
        Ok(status)
    }

    /// Waits for a good end: exit code 0, and `stopped` as the last event, which is returned.
    ///
    /// # Errors
    /// What was not so.
    pub fn wait_stopped(&mut self, limit: Duration) -> Result<Event> {
        let status = self.wait_exit(limit)?;
        if !status.success() {
            let told = self.log.all()?;
            let told: Vec<_> = told.iter().rev().take(20).rev().map(|event| event.fields.to_string()).collect();
            bail!(
                "tympan ended with {status}; its last events:\n{}\nits standard error:\n{}",
                told.join("\n"),
                self.stderr()
            );
        }
        match self.log.all()?.pop() {
            Some(last) if last.is("stopped") => Ok(last),
            last => bail!("the last event is {last:?}"),
        }
    }

    /// Neither process nor file is left.
    ///
    /// # Errors
    /// What is left.
    pub fn assert_clean(&self) -> Result<()> {
        self.folders().assert_clean()
    }

    /// The folders, for another instance in the same place. Every process of this one is ended.
    #[must_use]
    pub fn into_folders(mut self) -> Folders {
        self.end();
        self.folders.take().expect("taken once")
    }

    fn end(&mut self) {
        let Some(folders) = &self.folders else { return };
        // Shown by the test runner when the test fails, and only then.
        eprintln!("standard error of tympan:\n{}", self.stderr());
        self.child.kill().ok();
        self.child.wait().ok();
        // What outlived its supervisor is a fault that a test must see before; here it only has to go.
        for process in processes_of(&folders.runtime()) {
            let _gone_already = process.kill();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end();
    }
}

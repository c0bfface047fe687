//! `tympan start`: an instance that goes on when its terminal is closed.
//!
//! The command starts itself once more, in a session of its own and without standard input, and waits at a pipe until
//! that one says that it is ready. Until then both write on the same standard error; whoever ends the command before that
//! ends both.

use crate::event::Event;
use crate::inherited;
use crate::mailbox::Post;
use crate::output::print_json;
use crate::printer::Printer;
use crate::report::{Report, Reporter, models_shown};
use crate::show::JsonLines;
use crate::voice::Voice;
use crate::words::{WordsFile, make_latest};
use anyhow::{Context, Result};
use control_protocol::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The flag by which the second one knows itself. It stands first, so that no `--` can hide it.
pub(crate) const FLAG: &str = "--in-background";

/// What the instance says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    pid: u32,
    runtime: PathBuf,
    words: PathBuf,
    /// None where it could not be opened.
    log: Option<PathBuf>,
}

/// Starts an instance and waits until it is ready.
///
/// # Errors
/// When it cannot be started. What goes wrong in it, it says itself; its exit code is passed on.
pub(crate) fn start(as_json: bool) -> Result<Exit> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut child = Command::new(&program)
        .arg(FLAG)
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).context("cannot hear the instance")?;
    }
    let Ok(ready) = serde_json::from_str::<Ready>(&line) else {
        let status = child.wait().context("cannot wait for the instance")?;
        if let Some(signal) = status.signal() {
            eprintln!("tympan: the instance was ended by signal {signal} before it was ready");
        }
        return Ok(status.code().and_then(Exit::from_code).unwrap_or(Exit::Fault));
    };
    if as_json {
        print_json(&ready)?;
    } else {
        eprintln!("tympan: goes on in the background (pid {}); `tympan stop` ends it", ready.pid);
        eprintln!("tympan: words go to {}", ready.words.display());
        if let Some(log) = &ready.log {
            eprintln!("tympan: the log is {}; `tympan logs` shows it", log.display());
        }
    }
    Ok(Exit::Clean)
}

/// The way back to the command that waits.
#[derive(Debug)]
pub(crate) struct Starter {
    pipe: File,
    over: Arc<AtomicBool>,
}

impl Starter {
    /// Leaves the session and the terminal of the command. Standard error stays until the instance is ready. To be called
    /// before anything is opened.
    ///
    /// # Errors
    /// When this process was not started by [`start`].
    pub(crate) fn leave() -> Result<Self> {
        inherited::close_all();
        rustix::process::setsid().context("cannot begin a session of its own")?;
        let pipe = std::io::stdout();
        let pipe = rustix::io::fcntl_dupfd_cloexec(&pipe, 3).context("cannot keep the pipe")?;
        rustix::stdio::dup2_stdout(nowhere()?).context("cannot close standard output")?;
        Ok(Self { pipe: pipe.into(), over: Arc::default() })
    }

    /// Ends the run when the command is ended before the instance is ready.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn watch(&self, events: Post<Event>) -> Result<()> {
        let (pipe, over) = (self.pipe.try_clone()?, Arc::clone(&self.over));
        let each = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        std::thread::Builder::new().name("starter".into()).spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let mut polled = [PollFd::new(&pipe, PollFlags::empty())];
                let seen = poll(&mut polled, Some(&each));
                let closed = seen.is_ok() && polled[0].revents().contains(PollFlags::ERR);
                // Once it has heard, it may go.
                if closed && !over.load(Ordering::Relaxed) {
                    let _ = events.send(Event::EndAsked);
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// Says that the instance is ready, and takes it off the terminal.
    fn tell(self, ready: &Ready) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        rustix::stdio::dup2_stderr(nowhere()?).context("cannot close standard error")?;
        writeln!(&self.pipe, "{}", serde_json::to_string(ready)?).context("nobody waits")
    }
}

fn nowhere() -> Result<File> {
    File::options().read(true).write(true).open("/dev/null").context("/dev/null")
}

/// Shows a run by its file of words, and its beginning on standard error.
pub(crate) struct InBackground {
    lines: Option<JsonLines>,
    starter: Option<Starter>,
    ready: Ready,
    voice: Voice,
    ending: Arc<AtomicBool>,
    events: Post<Event>,
}

impl InBackground {
    /// Writes into this file.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(
        starter: Starter,
        words: WordsFile,
        folders: &crate::paths::Folders,
        voice: Voice,
        events: Post<Event>,
    ) -> Result<Self> {
        let ready = Ready {
            pid: std::process::id(),
            runtime: folders.runtime.clone(),
            words: words.path().to_owned(),
            log: words.has_log().then(|| folders.log.clone()),
        };
        let ending = words.ending();
        let printer = Printer::new(words, events.clone())?;
        Ok(Self {
            lines: Some(JsonLines::new(printer, voice.clone())),
            starter: Some(starter),
            ready,
            voice,
            ending,
            events,
        })
    }
}

impl Reporter for InBackground {
    fn report(&mut self, report: Report) {
        let begun = matches!(report, Report::Started { .. });
        if let Report::Started { streams, sample_rate_hz, model, .. } = &report
            && self.starter.is_some()
        {
            for opened in streams {
                self.voice.say(&format!("tympan: listening to {}: {}", opened.stream, opened.description));
            }
            self.voice.say(&format!("tympan: {sample_rate_hz} Hz, {}", models_shown(model, streams)));
        }
        if let Some(lines) = &mut self.lines {
            lines.report(report);
        }
        if begun && let Some(starter) = self.starter.take() {
            // What was said so far is for the terminal.
            self.voice.flush();
            let told = make_latest(&self.ready.words).map_err(Into::into).and_then(|()| starter.tell(&self.ready));
            if told.is_err() {
                // Whoever wanted it is gone.
                let _ = self.events.send(Event::EndAsked);
            }
        }
    }
}

impl Drop for InBackground {
    /// Waits until all is written.
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        self.lines = None;
        if self.starter.is_some() {
            // It has never begun: the command says why, and nobody looks for words.
            let _ = std::fs::remove_file(&self.ready.words);
        }
    }
}

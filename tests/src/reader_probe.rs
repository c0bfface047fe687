//! The readers of `shm-layout/bindings`, each behind the same small program: `attach`, `follow` and `hammer`.

use crate::{Finished, run_to_end, workspace_root};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tempfile::TempDir;

/// A language that rings can be read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// C, optimised.
    C,
    /// C under AddressSanitizer and UndefinedBehaviorSanitizer.
    CSanitized,
    /// The same header in C++.
    Cpp,
    /// Python with numpy.
    Python,
    /// JavaScript in Node.
    Node,
}

/// The folder of the readers.
#[must_use]
pub fn bindings() -> PathBuf {
    workspace_root().join("shm-layout/bindings")
}

/// The readers, built and installed in a folder of their own.
#[derive(Debug)]
pub struct Readers {
    built: TempDir,
    python: PathBuf,
}

impl Readers {
    /// Compiles the C reader, and installs the Python one with pip from (a copy of) its folder, without a network.
    ///
    /// # Errors
    /// When a tool is missing, or a compiler has anything to say.
    pub fn build() -> Result<Self> {
        let python = workspace_root().join("target/python/bin/python");
        ensure!(python.exists(), "{} is missing: run scripts/setup-python", python.display());
        let node =
            run_to_end(Command::new("node").arg("--version"), LIMIT).context("node is missing: scripts/setup test")?;
        node.expect_success()?;
        let major = node.stdout.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
        ensure!(major.is_some_and(|major| major >= 18), "node is {}, and 18 is the least", node.stdout.trim());
        let readers = Self { built: tempfile::tempdir()?, python };
        let sanitize = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        readers.compile("cc", "tests/probe.c", &["-std=c11", "-O2"], "probe-c")?;
        readers.compile("cc", "tests/probe.c", &[&["-std=c11"], &sanitize[..]].concat(), "probe-sanitized")?;
        readers.compile("c++", "tests/probe.c", &["-x", "c++", "-std=c++11", "-O2"], "probe-cpp")?;
        readers.compile("cc", "tests/torture.c", &["-std=c11", "-O2"], "torture")?;
        readers.compile("cc", "examples/level-meter.c", &["-std=c11", "-O2"], "level-meter")?;
        readers.compile("cc", "examples/bench.c", &["-std=c11", "-O2"], "bench")?;
        if Command::new("clang").arg("--version").output().is_ok() {
            readers.compile("clang", "tests/probe.c", &["-std=c11", "-O2"], "probe-clang")?;
        }
        readers.install_python()?;
        Ok(readers)
    }

    fn compile(&self, compiler: &str, source: &str, flags: &[&str], name: &str) -> Result<()> {
        let folder = bindings().join("c");
        let mut command = Command::new(compiler);
        command.args(flags).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(&folder);
        command.arg(folder.join(source)).args(["-lm", "-o"]).arg(self.built.path().join(name));
        run_to_end(&mut command, LIMIT).with_context(|| format!("{compiler} is missing"))?.expect_success()
    }

    fn install_python(&self) -> Result<()> {
        // Building leaves files beside the sources; the checkout stays as it is.
        let copy = self.built.path().join("python");
        run_to_end(Command::new("cp").arg("-r").arg(bindings().join("python")).arg(&copy), LIMIT)?.expect_success()?;
        let mut pip = Command::new(&self.python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]);
        pip.args(["--no-build-isolation", "--target"]).arg(self.site()).arg(&copy);
        run_to_end(&mut pip, LIMIT)?.expect_success()
    }

    fn site(&self) -> PathBuf {
        self.built.path().join("site")
    }

    /// What was built from C under this name.
    #[must_use]
    pub fn built(&self, name: &str) -> Command {
        Command::new(self.built.path().join(name))
    }

    /// A Python program of the readers' folder.
    #[must_use]
    pub fn python(&self, script: &str) -> Command {
        let mut command = Command::new(&self.python);
        // What is installed is tested, not what lies in the checkout.
        command.arg(bindings().join("python").join(script));
        command.env("PYTHONPATH", self.site()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A Node program of the readers' folder.
    #[must_use]
    pub fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(bindings().join("node").join(script));
        command
    }

    /// The probe of a language, ready for arguments.
    #[must_use]
    pub fn probe(&self, language: Language) -> Command {
        match language {
            Language::C => self.built("probe-c"),
            Language::CSanitized => self.built("probe-sanitized"),
            Language::Cpp => self.built("probe-cpp"),
            Language::Python => self.python("tests/probe.py"),
            Language::Node => self.node("tests/probe.js"),
        }
    }

    /// A probe that attaches to what it is asked to.
    ///
    /// # Errors
    /// When it does not start.
    pub fn attacher(&self, language: Language) -> Result<Attacher> {
        let mut child = self.probe(language).arg("attach").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let (sender, answers) = channel();
        let stdout = BufReader::new(child.stdout.take().context("piped")?);
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Attacher { language, child, stdin, answers })
    }

    /// A probe that follows a stream.
    ///
    /// # Errors
    /// When it does not start.
    pub fn follower(&self, language: Language, dir: &Path, stream: &str) -> Result<Following> {
        let mut child = self.probe(language).arg("follow").arg(dir).arg(stream).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("piped")?;
        let (sender, events) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let event = read_event(&mut stdout);
                let over = !matches!(event, Ok(Some(_)));
                if sender.send(event).is_err() || over {
                    return;
                }
            }
        });
        Ok(Following { language, child, events })
    }
}

const LIMIT: Duration = Duration::from_secs(120);

/// A probe that answers each path with what is there.
#[derive(Debug)]
pub struct Attacher {
    language: Language,
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Attacher {
    /// Which language it is.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// What is at this path.
    ///
    /// # Errors
    /// When it does not answer, as when it crashed.
    pub fn ask(&mut self, path: &Path) -> Result<String> {
        let stdin = self.stdin.as_mut().context("open until the end")?;
        writeln!(stdin, "{}", path.display()).with_context(|| format!("{:?} is gone", self.language))?;
        self.answers
            .recv_timeout(LIMIT)
            .with_context(|| format!("{:?} did not answer: {:?}", self.language, self.child.try_wait()))
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn end(mut self) -> Result<()> {
        drop(self.stdin.take());
        ensure!(self.answers.recv_timeout(LIMIT).is_err(), "an answer too many");
        let status = self.child.wait()?;
        ensure!(status.success(), "{:?} ended with {status}", self.language);
        Ok(())
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a reader saw next in a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ReaderEvent {
    /// A ring was entered; the frames of `gap` (often none) nobody captured.
    Epoch {
        /// Which.
        epoch: u64,
        /// Its first frame.
        first: u64,
        /// The gap before it.
        gap: (u64, u64),
    },
    /// A gap that touches the frames that come next.
    Gap(u64, u64),
    /// Frames from here on, as `[channels][frames]`.
    Frames {
        /// The first of them.
        from: u64,
        /// How many.
        frames: usize,
        /// Their samples.
        planar: Vec<f32>,
    },
    /// Frames that were overwritten unread.
    Lost(u64, u64),
    /// The stream ended in order.
    Closed(u64),
    /// The writer died.
    Crashed(u64),
    /// Nothing came for a second.
    Waiting,
}

fn read_event(stdout: &mut impl BufRead) -> Result<Option<ReaderEvent>> {
    let mut line = String::new();
    if stdout.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let (name, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
    let numbers: Vec<u64> = rest
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().with_context(|| format!("{line:?}")))
        .collect::<Result<_>>()?;
    Ok(Some(match (name, numbers.as_slice()) {
        ("epoch", &[epoch, first, from, to]) => ReaderEvent::Epoch { epoch, first, gap: (from, to) },
        ("gap", &[from, to, _cause]) => ReaderEvent::Gap(from, to),
        ("frames", &[from, frames, channels]) => {
            let frames = usize::try_from(frames)?;
            let mut bytes = vec![0; frames * usize::try_from(channels)? * 4];
            stdout.read_exact(&mut bytes)?;
            let planar = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            ReaderEvent::Frames { from, frames, planar }
        }
        ("lost", &[from, to]) => ReaderEvent::Lost(from, to),
        ("closed", &[at]) => ReaderEvent::Closed(at),
        ("crashed", &[at]) => ReaderEvent::Crashed(at),
        ("waiting", []) => ReaderEvent::Waiting,
        _ => bail!("a probe said {line:?}"),
    }))
}

/// A probe that follows a stream.
#[derive(Debug)]
pub struct Following {
    language: Language,
    child: Child,
    events: Receiver<Result<Option<ReaderEvent>>>,
}

impl Following {
    /// Which language it is.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next event; `None` at the end of its output.
    ///
    /// # Errors
    /// When nothing comes in time, or nonsense.
    pub fn next(&mut self, limit: Duration) -> Result<Option<ReaderEvent>> {
        match self.events.recv_timeout(limit) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => bail!("watchdog: {:?} said nothing for {limit:?}", self.language),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// How it ended, after its last event.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn ended(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a program of the readers to its end.
///
/// # Errors
/// When it does not end, or not in order.
pub fn run_reader(command: &mut Command) -> Result<Finished> {
    let finished = run_to_end(command, LIMIT)?;
    finished.expect_success()?;
    Ok(finished)
}

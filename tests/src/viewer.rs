//! `tympan viz` on a terminal of its own, whose screen is read as a terminal would show it.

use crate::{Folders, program, wait_until};
use anyhow::{Context, Result, ensure};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What was shown.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

/// A viewer on a pseudo-terminal. Dropped, it is killed.
pub struct Viewer {
    keyboard: File,
    /// Closed, it has the thread that reads the screen end.
    reading: Option<PipeWriter>,
    /// The program's side, kept open so that its settings can be looked at after the program's end.
    line: OwnedFd,
    before: Termios,
    shown: Arc<Mutex<Shown>>,
    child: Child,
}

/// Waits until there is something to be read; false if the other one is closed before.
fn is_readable_before(screen: &File, stop: &PipeReader) -> bool {
    let mut polled = [PollFd::new(screen, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
    let _ = poll(&mut polled, None);
    polled[1].revents().is_empty()
}

const fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn cells(number: u16) -> Result<NonZero<u16>> {
    NonZero::new(number).context("a terminal without cells")
}

impl Viewer {
    /// Opens a terminal of so many columns and rows and starts `tympan viz` in it, with these variables beside
    /// `xterm-256color`, true colour and UTF-8; an empty one is not set.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn start(folders: &Folders, size: (u16, u16), args: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let pty = openpty(&winsize(size), None)?;
        // A terminal hangs up when nobody has its side of it any more: not the viewer itself either.
        fcntl_setfd(&pty.master, FdFlags::CLOEXEC)?;
        let before = tcgetattr(&pty.slave)?;
        // `setsid --ctty` gives a new session this terminal; started here it need not fork, so that its id is the viewer's.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program("tympan")?).arg("viz").args(args);
        folders.apply(&mut command);
        command
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR");
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave.try_clone()?);
        let child = command.spawn().context("setsid")?;
        let keyboard = File::from(pty.master);
        let parser = vt100::Parser::new(cells(size.1)?, cells(size.0)?, 0);
        let shown = Arc::new(Mutex::new(Shown { parser, bytes: Vec::new() }));
        let (mut from, to) = (keyboard.try_clone()?, shown.clone());
        let (stop, reading) = pipe()?;
        std::thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            while is_readable_before(&from, &stop)
                && let Ok(n @ 1..) = from.read(&mut bytes)
            {
                let mut shown = to.lock().unwrap_or_else(PoisonError::into_inner);
                shown.parser.process(&bytes[..n]);
                shown.bytes.extend_from_slice(&bytes[..n]);
            }
        });
        Ok(Self { keyboard, reading: Some(reading), line: pty.slave, before, shown, child })
    }

    /// Closes the terminal's window, or breaks the connection to it: what it is afterwards, nobody can see or press a key
    /// in.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn hang_up(&mut self) -> Result<()> {
        drop(self.reading.take());
        self.keyboard = File::open("/dev/null")?;
        Ok(())
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The screen as it is now.
    #[must_use]
    pub fn screen(&self) -> vt100::Screen {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).parser.screen().clone()
    }

    /// The screen's rows as text.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        let screen = self.screen();
        screen.rows(0, screen.size().1.get()).collect()
    }

    /// Everything that was sent so far, control sequences and all.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }

    /// Waits until the screen shows something.
    ///
    /// # Errors
    /// When it does not, in time; says what it shows instead.
    pub fn wait(&mut self, what: &str, limit: Duration, fits: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        let seen = wait_until(&format!("{what} on the screen"), limit, || {
            let rows = self.rows();
            if fits(&rows) {
                return Ok(Some(rows));
            }
            let ended = self.child.try_wait()?;
            ensure!(ended.is_none(), "ended with {ended:?}");
            Ok(None)
        });
        seen.with_context(|| format!("the screen:\n{}", self.rows().join("\n")))
    }

    /// Presses keys.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Gives the terminal another size.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) -> Result<()> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.parser.screen_mut().set_size(cells(rows)?, cells(columns)?);
        drop(shown);
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.keyboard, size)?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(crate::end_process(self.pid(), signal), "it has ended");
        Ok(())
    }

    /// Whether it is stopped, as by Ctrl-Z.
    ///
    /// # Errors
    /// When it has ended.
    pub fn is_stopped(&self) -> Result<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        Ok(stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')))
    }

    /// Whether the terminal's settings are those from before the start.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn is_line_restored(&self) -> Result<bool> {
        Ok(tcgetattr(&self.line)? == self.before)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        wait_until("the end of tympan viz", limit, || Ok(self.child.try_wait()?))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

//! `tympan run` as a person has it: on a terminal of its own.

use crate::{Folders, model, program, tympan, wait_until, watchdog};
use anyhow::{Context, Result, ensure};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An instance on a pseudo-terminal.
#[derive(Debug)]
pub struct Terminal {
    folders: Folders,
    /// What a person types into.
    keyboard: File,
    /// The program's side, kept open so that its settings can be looked at after the program's end.
    line: OwnedFd,
    before: Termios,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    /// Opens a terminal of 100 columns and starts `tympan run` in it.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn run(sources: &[&str]) -> Result<Self> {
        let model = model()?;
        let model = model.to_str().context("path")?;
        Self::start(100, &[&["run", "--model", model][..], sources].concat(), &[])
    }

    /// Opens a terminal of so many columns and starts `tympan` in it, with these variables.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn start(columns: u16, args: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let size = Winsize { ws_row: 30, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None)?;
        let before = tcgetattr(&pty.slave)?;
        let folders = Folders::new()?;
        // `setsid --ctty` gives a new session this terminal, without which Ctrl-C is only a byte.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program("tympan")?).args(args);
        folders.apply(&mut command);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(variables.iter().copied());
        command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave.try_clone()?);
        let child = command.spawn().context("setsid")?;
        let keyboard = File::from(pty.master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (keyboard.try_clone()?, screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..n]);
            }
        });
        Ok(Self { folders, keyboard, line: pty.slave, before, screen, child })
    }

    /// The settings of the line before the program started.
    #[must_use]
    pub const fn settings_before(&self) -> &Termios {
        &self.before
    }

    /// The settings of the line now.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn settings(&self) -> Result<Termios> {
        Ok(tcgetattr(&self.line)?)
    }

    /// Everything shown so far, control sequences and all.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until something is shown.
    ///
    /// # Errors
    /// When it is not, in time.
    pub fn wait_shown(&mut self, what: &str, limit: Duration, fits: impl Fn(&str) -> bool) -> Result<()> {
        let mut ended_since = None;
        wait_until(&format!("{what} on the terminal"), limit, || {
            let shown = self.shown();
            if fits(&shown) {
                return Ok(Some(()));
            }
            if let Some(status) = self.child.try_wait()? {
                // Its last words may still be on their way.
                let since = *ended_since.get_or_insert_with(Instant::now);
                ensure!(since.elapsed() < watchdog(0.1), "ended with {status}, showing {shown:?}");
            }
            Ok(None)
        })
    }

    /// Presses Ctrl-C.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press_ctrl_c(&mut self) -> Result<()> {
        self.press("\x03")
    }

    /// Presses keys.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        wait_until("the end of tympan on its terminal", limit, || Ok(self.child.try_wait()?))
    }

    /// Its folders.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// A command on this instance.
    ///
    /// # Errors
    /// As [`crate::run_to_end`].
    pub fn command(&self, args: &[&str]) -> Result<crate::Finished> {
        crate::run_to_end(tympan(&self.folders)?.args(args), watchdog(2.0))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        eprintln!("shown on the terminal: {:?}", self.shown());
        self.child.kill().ok();
        self.child.wait().ok();
        for process in crate::processes_of(&self.folders.runtime()) {
            let _gone_already = process.kill();
        }
    }
}

//! The terminal while meters move on it, and as it was before afterwards.

use crate::output::columns;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, raise};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use rustix::time::Timespec;
use signal_hook::consts::SIGTSTP;
use signal_hook::flag;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Another page, on which nothing is kept, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// What a terminal has that does not say.
const USUAL: (usize, usize) = (80, 24);

/// A page of the terminal, with a keyboard where standard input is one. Dropped, all is as it was.
pub(super) struct Screen {
    before: Option<Termios>,
    suspend: Arc<AtomicBool>,
    open: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it takes nothing.
    pub(super) fn enter() -> Result<Self> {
        let suspend = Arc::new(AtomicBool::new(false));
        flag::register(SIGTSTP, Arc::clone(&suspend)).context("cannot watch signals")?;
        let stdin = std::io::stdin();
        let before = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        let mut screen = Self { before, suspend, open: false };
        screen.open()?;
        Ok(screen)
    }

    /// Columns and rows as they are now.
    pub(super) fn size() -> (usize, usize) {
        let rows = tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_row));
        let columns = match columns() {
            usize::MAX => USUAL.0,
            columns => columns,
        };
        (columns, if rows > 0 { rows } else { USUAL.1 })
    }

    /// Shows these lines and nothing else; false when nobody is there any more.
    pub(super) fn show(&mut self, lines: &[String]) -> Result<bool> {
        if self.suspend.swap(false, Ordering::Relaxed) {
            self.leave();
            raise(Signal::SIGSTOP).context("cannot stop")?;
            self.open()?;
        }
        // In place: what is not drawn again is cleared behind the last letter, so that nothing flickers.
        let page = format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"));
        written(&page)
    }

    /// Waits so long, or until a key is pressed, which is returned; `None` too when nobody can press one any more.
    pub(super) fn key(&self, wait: Duration) -> Option<u8> {
        if self.before.is_none() {
            std::thread::sleep(wait);
            return Some(0);
        }
        let stdin = std::io::stdin();
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        if !poll(&mut polled, Some(&wait)).is_ok_and(|ready| ready > 0) {
            return Some(0);
        }
        let mut key = [0];
        match stdin.lock().read(&mut key) {
            Ok(0) => None,
            Ok(_) => Some(key[0]),
            Err(e) => matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock).then_some(0),
        }
    }

    fn open(&mut self) -> Result<()> {
        if let Some(before) = &self.before {
            let mut own = before.clone();
            // Keys come at once and are not shown; Ctrl-C and Ctrl-Z are signals as ever.
            own.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &own);
        }
        self.open = true;
        written(ENTER).map(|_| ())
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        // Whose terminal is gone has nothing to be put back.
        let _ = written(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Whether the terminal is still there.
fn written(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // EIO: it hung up.
        Err(e) if e.kind() == ErrorKind::BrokenPipe || e.raw_os_error() == Some(nix::libc::EIO) => Ok(false),
        written => written.map(|()| true).context("standard output"),
    }
}

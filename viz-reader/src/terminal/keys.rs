//! What a person does at the terminal, and whether there is still one.

use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{IsTerminal, stdin};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// What came.
pub(super) enum Came {
    Nothing,
    Event(Event),
    /// The terminal is gone: its window was closed, or the connection to it broke.
    HungUp,
}

/// The terminal's keys.
///
/// crossterm reads a terminal that has hung up again and again and never returns (0.29, `event/source/unix/mio.rs`). So it
/// is waited for events here, and crossterm is asked only while there is a terminal.
pub(super) struct Keys {
    /// Where standard input is something else, crossterm reads the terminal by its name, too.
    own: Option<File>,
}

impl Keys {
    pub(super) fn open() -> Result<Self> {
        let by_name = || File::options().read(true).write(true).open("/dev/tty").context("the terminal's keys");
        Ok(Self { own: if stdin().is_terminal() { None } else { Some(by_name()?) } })
    }

    /// Waits for so long at most. After an event there may be another one, and only zero is no wait for it.
    pub(super) fn next(&self, wait: Duration) -> Result<Came> {
        let input = stdin();
        if is_hung_up(self.own.as_ref().map_or(input.as_fd(), AsFd::as_fd), wait)? {
            return Ok(Came::HungUp);
        }
        if event::poll(Duration::ZERO).context("the terminal's keys")? {
            return Ok(Came::Event(event::read().context("the terminal's keys")?));
        }
        Ok(Came::Nothing)
    }
}

/// Waits until there is something to be read or the other end is gone: whether it is. A signal ends the wait, such as that
/// of another size.
fn is_hung_up(line: BorrowedFd<'_>, wait: Duration) -> Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(line, PollFlags::IN)];
    match poll(&mut polled, Some(&Timespec::try_from(wait)?)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error).context("the terminal's keys"),
    }
    Ok(polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
}

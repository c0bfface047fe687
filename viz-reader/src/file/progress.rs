//! How far it is, on a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// What takes less is not told.
const QUIET: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_millis(200);

/// A line on standard error that is drawn over and over; nothing where that is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    terminal: bool,
    drawn: bool,
    last: Instant,
}

impl Progress {
    pub(super) fn new(name: &str) -> Self {
        let last = Instant::now() + QUIET - EVERY;
        Self { name: name.to_owned(), terminal: std::io::stderr().is_terminal(), drawn: false, last }
    }

    /// Says it, if it is time.
    pub(super) fn at(&mut self, part: f64) {
        if self.terminal && Instant::now().saturating_duration_since(self.last) >= EVERY {
            // Who cannot be told need not be.
            let _ = write!(std::io::stderr(), "\r\x1b[Ktympan: {}: {:.0} %", self.name, part * 100.0);
            (self.drawn, self.last) = (true, Instant::now());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

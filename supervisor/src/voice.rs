//! Standard error of a running session, on a thread of its own: nobody who supervises waits for whoever reads it.
//!
//! Words must all come, so [`Printer`](crate::printer::Printer) keeps as many as it has to; a notice is worth less, so the
//! queue here is bounded, and what finds no room is counted and the count told.

use crate::mailbox::{Mailbox, Post, mailbox};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Pieces that may wait for a slow reader.
const ROOM: usize = 256;
/// How long whoever has nothing else to do waits for a slow reader.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to standard error. Clones speak to the same thread.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    pieces: Post<Piece>,
    unheard: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// Everything before this is written.
    Flush(SyncSender<()>),
}

impl Voice {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new() -> io::Result<Self> {
        Self::to(io::stderr())
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (pieces, queue) = mailbox(ROOM);
        let unheard = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&unheard);
        std::thread::Builder::new().name("voice".into()).spawn(move || speak(out, queue, &counted))?;
        Ok(Self { pieces, unheard })
    }

    /// A line, later.
    pub(crate) fn say(&self, text: &str) {
        self.print(format!("{text}\n"));
    }

    /// A text as it is, later.
    pub(crate) fn print(&self, text: String) {
        if self.pieces.try_send(Piece::Text(text)).is_err() {
            self.unheard.fetch_add(1, Relaxed);
        }
    }

    /// Waits until all is written, or half a second.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.pieces.try_send(Piece::Flush(done)).is_ok() {
            // A reader that is stuck has had its time.
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

/// Writes until nobody has more to say.
fn speak(mut out: impl Write, mut queue: Mailbox<Piece>, unheard: &AtomicU64) {
    loop {
        let pieces = queue.take(1, None);
        if pieces.is_empty() {
            return;
        }
        for piece in pieces {
            // Where nobody reads any more there is nobody to tell.
            match piece {
                Piece::Text(text) => drop(out.write_all(text.as_bytes())),
                Piece::Flush(done) => drop(done.try_send(())),
            }
            let unheard = unheard.swap(0, Relaxed);
            if unheard > 0 {
                let _ = writeln!(out, "tympan: {unheard} messages are missing here: nobody read in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::time::Instant;

    #[test]
    fn what_is_said_is_written_in_order() {
        let (said, out) = io::pipe().expect("pipe");
        let voice = Voice::to(out).expect("thread");
        voice.say("one");
        voice.clone().print("two, ".into());
        voice.say("three");
        voice.flush();
        drop(voice);
        let lines: Vec<String> = BufReader::new(said).lines().map(|line| line.expect("text")).collect();
        assert_eq!(lines, ["one", "two, three"]);
    }

    #[test]
    fn nobody_waits_for_a_reader_that_is_stuck_and_he_learns_what_he_missed() {
        let (mut said, out) = io::pipe().expect("pipe");
        let voice = Voice::to(out).expect("thread");
        let line = "x".repeat(1_023);
        let begin = Instant::now();
        for _ in 0..1_000 {
            voice.say(&line);
        }
        voice.flush();
        assert!(begin.elapsed() < Duration::from_secs(10), "it waited");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            said.read_to_string(&mut text).map(|_| text)
        });
        drop(voice);
        let text = reader.join().expect("no panic").expect("text");
        let written = text.lines().filter(|read| **read == line).count();
        let missing =
            text.lines().find_map(|line| line.strip_prefix("tympan: ")?.split(' ').next()?.parse::<usize>().ok());
        assert!((ROOM..1_000).contains(&written), "{written}");
        assert_eq!(written + missing.expect("told"), 1_000);
    }
}

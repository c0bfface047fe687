//! Standard output, or the file in its place, on a thread of its own: a reader or a disk that is slow, or gone, never
//! holds the loop.

use crate::event::Event;
use crate::mailbox::{Mailbox, Post, mailbox};
use std::io::{self, Write};
use std::thread::JoinHandle;

/// Pieces that are taken out of the queue together.
const AT_ONCE: usize = 64;

/// Prints pieces of text in order, each flushed.
#[derive(Debug)]
pub(crate) struct Printer {
    pieces: Option<Post<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Printer {
    /// Starts the thread. When nothing more can be written, `events` learns it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(out: Box<dyn Write + Send>, events: Post<Event>) -> io::Result<Self> {
        let (pieces, queue) = mailbox(usize::MAX);
        let thread =
            std::thread::Builder::new().name("printer".into()).spawn(move || print_all(out, queue, &events))?;
        Ok(Self { pieces: Some(pieces), thread: Some(thread) })
    }

    /// Prints, later.
    pub(crate) fn print(&self, text: String) {
        if let Some(pieces) = &self.pieces {
            // The thread ends when standard output is closed; then nobody reads this.
            let _ = pieces.send(text);
        }
    }
}

impl Drop for Printer {
    /// Waits until all is printed.
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn print_all(mut out: Box<dyn Write + Send>, mut queue: Mailbox<String>, events: &Post<Event>) {
    loop {
        let pieces = queue.take(AT_ONCE, None);
        if pieces.is_empty() {
            return;
        }
        let printed = pieces.iter().try_for_each(|text| out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        if printed.is_err() {
            let _ = events.send(Event::OutputClosed);
            return;
        }
    }
}

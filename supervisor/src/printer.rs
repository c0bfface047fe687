//! Standard output, or the file in its place, on a thread of its own: a reader or a disk that is slow, or gone, never
//! holds the loop.

use crate::event::Event;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::JoinHandle;

/// Prints pieces of text in order, each flushed.
#[derive(Debug)]
pub(crate) struct Printer {
    pieces: Option<Sender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Printer {
    /// Starts the thread. When nothing more can be written, `events` learns it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(out: Box<dyn Write + Send>, events: SyncSender<Event>) -> io::Result<Self> {
        let (pieces, queue) = channel();
        let thread =
            std::thread::Builder::new().name("printer".into()).spawn(move || print_all(out, &queue, &events))?;
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

fn print_all(mut out: Box<dyn Write + Send>, queue: &Receiver<String>, events: &SyncSender<Event>) {
    for text in queue {
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            let _ = events.send(Event::OutputClosed);
            return;
        }
    }
}

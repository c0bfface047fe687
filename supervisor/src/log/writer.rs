//! The thread that writes the log. Only it waits for the disk.

use super::line::{Entry, Speaker};
use super::store::Append;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this.
    Line(Entry),
    /// Say when all before this is written.
    Flush(SyncSender<()>),
}

/// Writes lines, and counts those that cannot be written.
pub(super) struct Writer<A> {
    files: A,
    instance: String,
    dropped: Arc<AtomicU64>,
}

impl<A: Append> Writer<A> {
    /// Nothing is written yet.
    pub(super) const fn new(files: A, instance: String, dropped: Arc<AtomicU64>) -> Self {
        Self { files, instance, dropped }
    }

    /// Writes until nobody has more to say.
    pub(super) fn write_all(mut self, queue: &Receiver<Message>) {
        for message in queue {
            match message {
                Message::Line(entry) => self.write(&entry, 1),
                Message::Flush(done) => {
                    if self.dropped.load(Ordering::Relaxed) > 0 {
                        // Perhaps the last line for a long time: what is missing is to be known.
                        self.write(&Entry::new(Speaker::supervisor(), "dropped", None, "the log was too slow"), 0);
                    }
                    let _ = done.try_send(());
                }
            }
        }
    }

    /// Writes a line, which counts so many if it does not fit.
    fn write(&mut self, entry: &Entry, counts: u64) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if self.files.append(&entry.line(&self.instance, dropped)).is_err() {
            self.dropped.fetch_add(dropped + counts, Ordering::Relaxed);
        }
    }
}

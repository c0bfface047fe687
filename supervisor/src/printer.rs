//! Standard output, or the file in its place: a reader or a disk that is slow, or gone, never holds the loop.
//!
//! What the kernel takes at once is written at once; that is what a pipe with room does, and saves a wake-up for each
//! sentence. All else goes to a thread of its own, which may wait.

use crate::event::Event;
use crate::mailbox::{Mailbox, Post, mailbox};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Pieces that are taken out of the queue together.
const AT_ONCE: usize = 64;
/// For `pwritev2`: at the file's own position.
const HERE: u64 = u64::MAX;

/// Prints pieces of text in order, each flushed.
#[derive(Debug)]
pub(crate) struct Printer {
    pieces: Option<Post<Vec<u8>>>,
    /// Pieces that the thread has still to write.
    waiting: Arc<AtomicUsize>,
    /// Where to write without waiting.
    at_once: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Printer {
    /// Prints on standard output. When nothing more can be written, `events` learns it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn on_stdout(events: Post<Event>) -> io::Result<Self> {
        Self::on(io::stdout().as_fd().try_clone_to_owned()?, events)
    }

    fn on(out: OwnedFd, events: Post<Event>) -> io::Result<Self> {
        let mut printer = Self::new(File::from(out.try_clone()?), events)?;
        printer.at_once = Some(out);
        Ok(printer)
    }

    /// Prints on something that may always have to be waited for. When nothing more can be written, `events` learns it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(out: impl Write + Send + 'static, events: Post<Event>) -> io::Result<Self> {
        let (pieces, queue) = mailbox(usize::MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        let thread =
            std::thread::Builder::new().name("printer".into()).spawn(move || print_all(out, queue, &left, &events))?;
        Ok(Self { pieces: Some(pieces), waiting, at_once: None, thread: Some(thread) })
    }

    /// Prints, now or later.
    pub(crate) fn print(&mut self, text: String) {
        let mut bytes = text.into_bytes();
        // Acquire: what the thread has written came before this.
        if self.waiting.load(Ordering::Acquire) == 0 {
            bytes.drain(..self.write_at_once(&bytes));
        }
        if let Some(pieces) = &self.pieces
            && !bytes.is_empty()
        {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            // The thread ends when standard output is closed; then nobody reads this.
            let _ = pieces.send(bytes);
        }
    }

    /// How many of these bytes the kernel took at once.
    fn write_at_once(&mut self, bytes: &[u8]) -> usize {
        let Some(out) = &self.at_once else { return 0 };
        match pwritev2(out, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT) {
            Ok(written) => written,
            // No room now.
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // A terminal, or an older kernel; or it is broken, which the thread will tell.
            Err(_) => {
                self.at_once = None;
                0
            }
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

fn print_all(mut out: impl Write, mut queue: Mailbox<Vec<u8>>, waiting: &AtomicUsize, events: &Post<Event>) {
    loop {
        let pieces = queue.take(AT_ONCE, None);
        if pieces.is_empty() {
            return;
        }
        let printed = pieces.iter().try_for_each(|bytes| out.write_all(bytes).and_then(|()| out.flush()));
        if printed.is_err() {
            let _ = events.send(Event::OutputClosed);
            return;
        }
        waiting.fetch_sub(pieces.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::inbox;
    use std::io::{Read, pipe};
    use std::time::{Duration, Instant};

    #[test]
    fn all_comes_in_order_through_a_pipe_that_is_full_now_and_then() {
        let ((mut reader, writer), (events, mut inbox)) = (pipe().expect("pipe"), inbox());
        let mut printer = Printer::on(writer.into(), events).expect("a thread");
        // Thrice what a pipe takes: some of it at once, and the rest when there is room.
        let lines: Vec<String> = (0..3_000).map(|n| format!("{n:63}\n")).collect();
        let slow = std::thread::spawn(move || {
            let (mut said, mut bytes) = (Vec::new(), [0; 5_000]);
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                said.extend_from_slice(&bytes[..read]);
                std::thread::sleep(Duration::from_micros(100));
            }
            said
        });
        let begin = Instant::now();
        for line in &lines {
            printer.print(line.clone());
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "it waited");
        drop(printer);
        assert!(slow.join().expect("no panic") == lines.concat().into_bytes());
        assert!(inbox.take(1, Some(Instant::now())).is_empty(), "nothing is closed");
    }

    #[test]
    fn a_reader_that_goes_is_told_once_something_cannot_be_written() {
        let ((reader, writer), (events, mut inbox)) = (pipe().expect("pipe"), inbox());
        let mut printer = Printer::on(writer.into(), events).expect("a thread");
        printer.print("read\n".into());
        drop(reader);
        printer.print("not read\n".into());
        let told = inbox.take(1, Some(Instant::now() + Duration::from_secs(10)));
        assert!(matches!(told.front(), Some(Event::OutputClosed)), "{told:?}");
        drop(printer);
    }
}

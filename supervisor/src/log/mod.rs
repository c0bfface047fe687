//! The log: what the processes say and what happens to them, as JSON lines in a private file.
//!
//! Whoever has something to log hands it over and goes on; a thread of its own writes. A queue or a disk that is full
//! costs lines, which are counted, and the next line that fits says how many.

mod line;
mod reports;
mod stamp;
mod store;
mod writer;

pub(crate) use line::{Entry, Level, Speaker};
pub(crate) use reports::Logged;
pub(crate) use stamp::stamp;
pub(crate) use store::{files_of, opened};

use crate::owner::owner_tag;
use crate::paths::{Folders, SET_BY, private_dir};
use anyhow::{Context, Result};
use std::fmt;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use store::Files;
use writer::{Message, Writer};

/// Lines that may wait for the disk.
const QUEUE: usize = 512;
/// How long a panic may wait until its words are on the disk.
const PANIC_FLUSH: Duration = Duration::from_millis(200);

/// A handle on the log; clones write into the same. The default one forgets everything.
#[derive(Clone, Default)]
pub(crate) struct Log(Option<Handle>);

#[derive(Clone)]
struct Handle {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log" } else { "Log(none)" })
    }
}

impl Log {
    /// Opens the log of these folders for this process.
    ///
    /// # Errors
    /// When its folder cannot be made, or is open to others.
    pub(crate) fn open(folders: &Folders) -> Result<Self> {
        let path = folders.log.clone();
        if let Some(folder) = path.parent() {
            private_dir(folder, SET_BY)?;
        }
        let (sender, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(Files::new(path), owner_tag(), Arc::clone(&dropped));
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.write_all(&queue))
            .context("cannot start a thread")?;
        Ok(Self(Some(Handle { queue: sender, dropped })))
    }

    /// Whether it keeps anything.
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a line over. Never waits.
    pub(crate) fn say(&self, entry: Entry) {
        if let Some(handle) = &self.0
            && handle.queue.try_send(Message::Line(entry)).is_err()
        {
            handle.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something of the supervisor itself.
    pub(crate) fn note(&self, event: &'static str, level: Option<Level>, text: impl Into<String>) {
        self.say(Entry::new(Speaker::supervisor(), event, level, text));
    }

    /// Counts lines that were not even looked at.
    pub(crate) fn count_dropped(&self, lines: u64) {
        if let Some(handle) = &self.0 {
            handle.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Waits until what was said so far is written, for so long at most: a disk may hang.
    pub(crate) fn flush(&self, patience: Duration) {
        let Some(handle) = &self.0 else { return };
        let until = Instant::now() + patience;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(back) = handle.queue.try_send(message) {
            let (std::sync::mpsc::TrySendError::Full(same) | std::sync::mpsc::TrySendError::Disconnected(same)) = back;
            if Instant::now() >= until {
                return;
            }
            message = same;
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
    }

    /// From now on a panic of this process stands in the log, too.
    pub(crate) fn remember_panics(&self) {
        let (log, before) = (self.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let thread = std::thread::current();
            let text = format!("thread '{}': {info}", thread.name().unwrap_or("?"));
            log.note("said", Some(Level::Error), text);
            log.flush(PANIC_FLUSH);
            before(info);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::store::Append;
    use std::io;
    use std::sync::Mutex;

    /// A disk that takes what it has room for.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<String>, usize)>>);

    impl Append for Disk {
        fn append(&mut self, line: &[u8]) -> io::Result<()> {
            let mut disk = self.0.lock().unwrap();
            if disk.1 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1 -= 1;
            disk.0.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        }
    }

    impl Disk {
        fn lines(&self) -> Vec<serde_json::Value> {
            self.0.lock().unwrap().0.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    #[test]
    fn a_full_queue_drops_and_the_next_line_says_how_many() {
        let (sender, queue) = sync_channel(4);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Log(Some(Handle { queue: sender, dropped: Arc::clone(&dropped) }));
        for number in 0..10 {
            log.note("notice", None, number.to_string());
        }
        log.count_dropped(5);
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 100;
        let writer = Writer::new(disk.clone(), "1-2".into(), dropped);
        let writing = std::thread::spawn(move || writer.write_all(&queue));
        log.flush(Duration::from_secs(10));
        drop(log);
        writing.join().unwrap();
        let lines = disk.lines();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!((&lines[0]["text"], &lines[0]["dropped"]), (&"0".into(), &11.into()));
        assert_eq!((&lines[3]["text"], &lines[3]["dropped"]), (&"3".into(), &serde_json::Value::Null));
    }

    #[test]
    fn a_full_disk_drops_and_the_next_line_that_fits_says_how_many() {
        let (sender, queue) = sync_channel(100);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Log(Some(Handle { queue: sender, dropped: Arc::clone(&dropped) }));
        let disk = Disk::default();
        let writer = Writer::new(disk.clone(), "1-2".into(), dropped);
        let writing = std::thread::spawn(move || writer.write_all(&queue));
        for _ in 0..7 {
            log.note("notice", None, "unheard");
        }
        log.flush(Duration::from_secs(10));
        assert!(disk.lines().is_empty());
        disk.0.lock().unwrap().1 = 2;
        log.note("notice", None, "heard");
        log.flush(Duration::from_secs(10));
        drop(log);
        writing.join().unwrap();
        let lines = disk.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["text"], "heard");
        // The seven, and the line that should have said so at the first flush does not count.
        assert_eq!(lines[0]["dropped"], 7);
    }

    #[test]
    fn a_panic_of_this_process_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let folders = Folders { runtime: data.clone(), log: data.join("log/tympan.log"), data };
        let log = Log::open(&folders).unwrap();
        log.remember_panics();
        let panics = std::thread::Builder::new().name("heart".into()).spawn(|| panic!("it is broken"));
        assert!(panics.unwrap().join().is_err());
        let text = std::fs::read_to_string(&folders.log).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let said = lines.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect::<Vec<_>>().join("\n");
        assert!(said.contains("thread 'heart'") && said.contains("it is broken"), "{said}");
    }

    #[test]
    fn nobody_waits_for_a_writer_that_hangs() {
        let (sender, queue) = sync_channel(1);
        let log = Log(Some(Handle { queue: sender, dropped: Arc::default() }));
        log.note("notice", None, "fills the queue");
        log.note("notice", None, "is dropped");
        log.flush(Duration::from_millis(20));
        assert_eq!(log.0.as_ref().unwrap().dropped.load(Ordering::Relaxed), 1);
        drop(queue);
        log.flush(Duration::from_millis(20));
    }
}

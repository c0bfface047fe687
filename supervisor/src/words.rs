//! The words of an instance in the background: a private file for each, with the JSON lines of `run --json`.

use crate::log::{Level, Log, stamp};
use crate::paths::{Folders, SET_BY, private_dir};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The name that always leads to the newest file.
const LATEST: &str = "latest.jsonl";
/// How often a full disk is tried again.
const TRY_EVERY: Duration = Duration::from_millis(200);
/// How long it is tried at the end.
const LAST_TRIES: Duration = Duration::from_secs(1);

/// A file that waits for room where a disk is full: words stay in memory for so long.
#[derive(Debug)]
pub(crate) struct WordsFile {
    file: File,
    path: PathBuf,
    log: Log,
    ending: Arc<AtomicBool>,
}

impl WordsFile {
    /// Makes a file that is named after this moment.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(folders: &Folders, log: Log) -> Result<Self> {
        let folder = folders.words();
        private_dir(&folder, SET_BY)?;
        let now = stamp(SystemTime::now()).replace(':', "-");
        let second = now.split('.').next().unwrap_or(&now);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        for number in 1.. {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let path = folder.join(format!("{second}Z{more}.jsonl"));
            match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok(Self { file: file.into(), path, log, ending: Arc::default() }),
                Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(e).with_context(|| format!("cannot make {}", path.display())),
            }
        }
        unreachable!("the numbers do not end")
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a log beside it.
    pub(crate) const fn has_log(&self) -> bool {
        self.log.is_open()
    }

    /// Set when no more words come: then a full disk is not waited for without end.
    pub(crate) fn ending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ending)
    }
}

/// Lets the name of the newest file lead to this one.
pub(crate) fn make_latest(path: &Path) -> io::Result<()> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Ok(()) };
    let draft = folder.join(format!(".{LATEST}.{}", std::process::id()));
    let _ = std::fs::remove_file(&draft);
    std::os::unix::fs::symlink(name, &draft)?;
    std::fs::rename(draft, folder.join(LATEST))
}

const fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl Write for WordsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut told, mut give_up) = (false, None);
        loop {
            match self.file.write(bytes) {
                Err(e) if is_full(e.kind()) => {
                    let path = self.path.display();
                    if !std::mem::replace(&mut told, true) {
                        self.log.note("notice", Some(Level::Warn), format!("{path}: {e}; words wait in memory"));
                    }
                    if self.ending.load(Ordering::Relaxed) {
                        let until = *give_up.get_or_insert_with(|| Instant::now() + LAST_TRIES);
                        if Instant::now() >= until {
                            self.log.note("lost", Some(Level::Error), format!("{path}: {e}; the last words are lost"));
                            return Err(e);
                        }
                    }
                    std::thread::sleep(TRY_EVERY);
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_has_a_file_of_its_own_and_the_newest_a_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let data = folder.path().to_owned();
        let folders = Folders { runtime: data.clone(), log: data.join("log/tympan.log"), data };
        for text in ["one", "two", "three"] {
            let mut words = WordsFile::create(&folders, Log::default()).unwrap();
            words.write_all(text.as_bytes()).unwrap();
            make_latest(words.path()).unwrap();
            assert_eq!(words.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_to_string(folders.words().join(LATEST)).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folders.words()).unwrap().count(), 4, "three files and a link");
    }

    #[test]
    fn a_full_disk_is_waited_for_until_the_end() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut words = WordsFile { file: full, path: "/dev/full".into(), log: Log::default(), ending: Arc::default() };
        let ending = words.ending();
        let writing = std::thread::spawn(move || words.write(b"words").map_err(|e| e.kind()));
        std::thread::sleep(3 * TRY_EVERY);
        assert!(!writing.is_finished(), "given up while the run goes on");
        ending.store(true, Ordering::Relaxed);
        assert_eq!(writing.join().unwrap(), Err(ErrorKind::StorageFull));
    }
}

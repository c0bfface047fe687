//! One file from one address into its `.part`: goes on where the last attempt stopped, gives up on a line that is dead,
//! and is done when the hash is right.

use crate::catalogue::Entry;
use crate::digest::Hasher;
use crate::error::{StoreError, megabytes};
use crate::line::{Line, Piece, Trouble};
use crate::progress::{Progress, Step, TICK};
use crate::room;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A line that is slower than this for the whole of its patience is dead.
const SLOWEST_BYTES_PER_S: u64 = 1_000;

/// Broken lines that brought something, before this gives up for now.
const BREAKS_MAX: u32 = 10;

/// What a broken line must have brought for another attempt.
const GAIN_BYTES: u64 = 64 << 10;

/// Before the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Why an address did not give the file.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Another way may; `wrong` when something came and it was not the published file.
    Here { why: String, wrong: bool },
    /// No other way will either.
    Altogether(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Altogether(error)
    }
}

/// Fetches `entry` from `address` into `part`. Where it fails, `part` is empty, or what came and may be right.
pub(crate) fn download(
    entry: &Entry,
    address: &str,
    part: &Path,
    patience: Duration,
    progress: &mut dyn Progress,
) -> Result<(), Failed> {
    let shown = crate::address::shown(address);
    let mut breaks = 0;
    loop {
        let mut file = Part::open(entry, part, progress)?;
        let before = file.done;
        if file.is_right(entry)? {
            return Ok(());
        }
        room::check(part.parent().unwrap_or(part), entry.bytes - file.done)?;
        let step = Step::Downloading { file: entry.file(), from: shown.clone(), done: file.done, total: entry.bytes };
        progress.step(&step);
        let came = receive(entry, address, &mut file, patience, progress)?;
        let (gained, from_earlier) = (file.done.saturating_sub(before), file.has_earlier);
        match came {
            Ok(()) if file.is_right(entry)? => return Ok(()),
            // What was there before may have been another file's.
            Ok(()) if from_earlier => {
                let what = "what came does not fit what was there; starting anew".to_owned();
                progress.step(&Step::Trouble { what });
            }
            Ok(()) => {
                let why = "what came from there is not the published file (its SHA-256 differs)".to_owned();
                return Err(Failed::Here { why, wrong: true });
            }
            Err(Trouble::NotFromThere) if before > 0 => file.begin_anew()?,
            Err(Trouble::NotFromThere) => {
                return Err(Failed::Here { why: "it gives parts only".into(), wrong: false });
            }
            Err(Trouble::Refused(why)) => return Err(Failed::Here { why, wrong: false }),
            Err(Trouble::Broken(why)) => {
                breaks += 1;
                if gained < GAIN_BYTES || breaks > BREAKS_MAX {
                    return Err(Failed::Here { why, wrong: false });
                }
                progress.step(&Step::Trouble { what: format!("{why}; going on from {}", megabytes(file.done)) });
                pause(progress)?;
            }
        }
    }
}

fn pause(progress: &dyn Progress) -> Result<(), StoreError> {
    let begin = Instant::now();
    while begin.elapsed() < PAUSE {
        if progress.stopped() {
            return Err(StoreError::Stopped);
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// A file that is not whole yet.
struct Part<'a> {
    path: &'a Path,
    file: File,
    hasher: Hasher,
    done: u64,
    /// Whether some of it was left by an earlier attempt.
    has_earlier: bool,
}

impl<'a> Part<'a> {
    /// What an earlier attempt left, or nothing.
    fn open(entry: &Entry, path: &'a Path, progress: &mut dyn Progress) -> Result<Self, StoreError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(StoreError::io("cannot write", path))?;
        let mut part = Self { path, file, hasher: Hasher::default(), done: 0, has_earlier: false };
        let there = part.file.metadata().map_err(StoreError::io("cannot read", path))?.len();
        if there > entry.bytes {
            part.begin_anew()?;
        } else if there > 0 {
            progress.step(&Step::Checking { file: entry.file(), total: there });
            part.done = part.hasher.read_all(&mut part.file, path, progress)?;
            part.has_earlier = true;
        }
        Ok(part)
    }

    fn begin_anew(&mut self) -> Result<(), StoreError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(StoreError::io("cannot write", self.path))?;
        (self.hasher, self.done, self.has_earlier) = (Hasher::default(), 0, false);
        Ok(())
    }

    fn append(&mut self, entry: &Entry, bytes: &[u8]) -> Result<(), StoreError> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.hasher.update(bytes);
                self.done += bytes.len() as u64;
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                let folder = self.path.parent().unwrap_or(self.path);
                let free_bytes = room::free_bytes(folder).unwrap_or(0);
                Err(StoreError::NoRoom { folder: folder.into(), needed_bytes: entry.bytes - self.done, free_bytes })
            }
            Err(e) => Err(StoreError::io("cannot write", self.path)(e)),
        }
    }

    /// Whether it is whole and right. Whole and wrong, it is emptied.
    fn is_right(&mut self, entry: &Entry) -> Result<bool, StoreError> {
        if self.done < entry.bytes {
            return Ok(false);
        }
        if self.hasher.clone().finish() == entry.sha256 {
            self.file.sync_all().map_err(StoreError::io("cannot write", self.path))?;
            return Ok(true);
        }
        self.begin_anew()?;
        Ok(false)
    }
}

/// Takes what comes until the end, the fault, or the word to stop.
fn receive(
    entry: &Entry,
    address: &str,
    part: &mut Part<'_>,
    patience: Duration,
    progress: &mut dyn Progress,
) -> Result<Result<(), Trouble>, Failed> {
    let line = Line::open(address.to_owned(), part.done, patience);
    let mut pulse = Pulse::new(patience);
    loop {
        if progress.stopped() {
            return Err(StoreError::Stopped.into());
        }
        match line.next(TICK) {
            Some(Ok(Piece::Begin { from, total })) => {
                if let Some(total) = total.filter(|total| *total != entry.bytes) {
                    let why = format!("its file has {total} bytes, and the published one has {}", entry.bytes);
                    return Err(Failed::Here { why, wrong: true });
                }
                if from == 0 && part.done > 0 {
                    part.begin_anew()?;
                } else if from != part.done {
                    return Ok(Err(Trouble::NotFromThere));
                }
            }
            Some(Ok(Piece::Bytes(bytes))) => {
                if bytes.len() as u64 > entry.bytes - part.done {
                    part.begin_anew()?;
                    let why = format!("it sends more than the {} bytes of the published file", entry.bytes);
                    return Err(Failed::Here { why, wrong: true });
                }
                part.append(entry, &bytes)?;
            }
            Some(Ok(Piece::End)) if part.done == entry.bytes => return Ok(Ok(())),
            Some(Ok(Piece::End)) => return Ok(Err(Trouble::Broken("the line ended before the file did".into()))),
            Some(Err(trouble)) => return Ok(Err(trouble)),
            None => {}
        }
        progress.bytes(part.done);
        if pulse.is_dead(part.done, Instant::now()) {
            let seconds = patience.as_secs_f64();
            return Ok(Err(Trouble::Broken(format!("the line is dead: next to nothing came for {seconds:.0} s"))));
        }
    }
}

/// What came lately.
struct Pulse {
    patience: Duration,
    seen: VecDeque<(Instant, u64)>,
}

impl Pulse {
    fn new(patience: Duration) -> Self {
        Self { patience, seen: VecDeque::new() }
    }

    /// Whether too little came within the last of its patience.
    fn is_dead(&mut self, done: u64, now: Instant) -> bool {
        let begun_anew = self.seen.back().is_some_and(|(_, last)| done < *last);
        if begun_anew {
            self.seen.clear();
        }
        let between = self.patience / 20;
        if self.seen.back().is_none_or(|(at, _)| now.duration_since(*at) >= between) {
            self.seen.push_back((now, done));
        }
        // The first that is kept is the last before the time that counts.
        while self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.patience) {
            self.seen.pop_front();
        }
        let Some((at, then)) = self.seen.front() else { return false };
        let least = SLOWEST_BYTES_PER_S.saturating_mul(self.patience.as_secs().max(1));
        now.duration_since(*at) >= self.patience && done - then < least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a line with so many bytes a second dies within two minutes, and when.
    fn death_s(bytes_per_s: impl Fn(u64) -> u64) -> Option<u64> {
        let (mut pulse, begin, mut done) = (Pulse::new(Duration::from_secs(30)), Instant::now(), 0);
        (0..1_200).find_map(|tenth| {
            done += bytes_per_s(tenth / 10) / 10;
            pulse.is_dead(done, begin + Duration::from_millis(tenth * 100)).then_some(tenth / 10)
        })
    }

    #[test]
    fn a_slow_line_lives_and_a_dead_one_is_noticed() {
        assert_eq!(death_s(|_| 1_100), None);
        assert_eq!(death_s(|_| 0), Some(30));
        assert_eq!(death_s(|_| 500), Some(30));
        // A second of full speed in each half minute is slow, and alive.
        assert_eq!(death_s(|s| if s % 25 == 0 { 1_000_000 } else { 0 }), None);
        let late = death_s(|s| if s < 60 { 1_000_000 } else { 0 }).unwrap();
        assert!((89..=92).contains(&late), "{late}");
    }
}

//! Reading a log that grows, over its changes of files, without losing or doubling a line.

use crate::log::{files_of, opened};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Where a reader of the log is.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    /// The file that is read, with its inode: its name changes when it is put aside.
    open: Option<(File, u64)>,
    begun: Vec<u8>,
}

impl Tail {
    /// Before the first line of the oldest file.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, open: None, begun: Vec::new() }
    }

    /// All whole lines since the last call.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            // First looked, then read: what was put aside grows no more.
            let next = self.next_file()?;
            if let Some((file, _)) = &mut self.open {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                self.split(&bytes, &mut lines);
            }
            let Some(next) = next else { return Ok(lines) };
            self.begun.clear();
            self.open = Some(next);
        }
    }

    /// The file after the one that is read; `None` when that is the newest. The oldest at first, or when the one that was
    /// read is gone.
    fn next_file(&self) -> io::Result<Option<(File, u64)>> {
        let mut newer = None;
        for path in files_of(&self.path) {
            match opened(&path) {
                Ok((_, inode)) if self.open.as_ref().is_some_and(|(_, own)| *own == inode) => return Ok(newer),
                Ok(file) => newer = Some(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(newer)
    }

    fn split(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.last() == Some(&b'\n') {
                self.begun.pop();
                lines.push(String::from_utf8_lossy(&self.begun).into_owned());
                self.begun.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn append(path: &std::path::Path, text: &str) {
        File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_come_once_over_changes_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tympan.log");
        let files = files_of(&path);
        let mut tail = Tail::new(path.clone());
        assert!(tail.lines().unwrap().is_empty(), "no file yet");
        append(&files[2], "a\n");
        append(&files[1], "b\n");
        append(&files[0], "c\nd");
        assert_eq!(tail.lines().unwrap(), ["a", "b", "c"]);
        append(&files[0], "d\n");
        assert_eq!(tail.lines().unwrap(), ["dd"]);
        assert!(tail.lines().unwrap().is_empty());
        // Two changes between two looks.
        append(&files[0], "e\n");
        std::fs::remove_file(&files[1]).unwrap();
        std::fs::rename(&files[0], &files[2]).unwrap();
        append(&files[1], "f\n");
        append(&files[0], "g\n");
        assert_eq!(tail.lines().unwrap(), ["e", "f", "g"]);
        // The file that was read has been removed.
        std::fs::remove_file(&files[0]).unwrap();
        std::fs::remove_file(&files[1]).unwrap();
        std::fs::remove_file(&files[2]).unwrap();
        append(&files[0], "h\n");
        assert_eq!(tail.lines().unwrap(), ["h"]);
    }
}

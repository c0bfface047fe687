//! The log's files: one that grows, and some older ones.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that would grow beyond this is put aside.
const FILE_BYTES_MAX: u64 = 2_000_000;
/// Files in all, the growing one among them.
pub(super) const FILES: u32 = 4;

/// Where lines are kept.
pub(super) trait Append {
    /// Adds a line, whole or not at all.
    fn append(&mut self, line: &[u8]) -> io::Result<()>;
}

/// `tympan.log`, and before it `tympan.log.1` to `tympan.log.3`.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    bytes_max: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl Files {
    /// Opens nothing yet: a disk that is full now may have room later.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, bytes_max: FILE_BYTES_MAX, open: None }
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..FILES).rev() {
            let (from, to) = (aged(&self.path, number - 1), aged(&self.path, number));
            match std::fs::rename(from, to) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The file that was put aside so many times. The number stands last, so that the names are of one family.
fn aged(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The files of a log, the newest first.
pub(crate) fn files_of(path: &Path) -> Vec<PathBuf> {
    (0..FILES).map(|number| aged(path, number)).collect()
}

/// Opens a file of a log for reading; its inode tells it from its successors.
pub(crate) fn opened(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let inode = file.metadata()?.ino();
    Ok((file, inode))
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        let mut bytes = file.metadata()?.len();
        // Whoever was killed in the middle of a line left it without an end.
        if bytes > 0 {
            let mut last = [b'\n'];
            file.seek(SeekFrom::Start(bytes - 1))?;
            file.read_exact(&mut last)?;
            if last != [b'\n'] {
                file.write_all(b"\n")?;
                bytes += 1;
            }
        }
        Ok(Self { file, bytes })
    }

    /// Whether somebody has removed the file.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }
}

impl Append for Files {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(Open::is_removed) {
            self.open = None;
        }
        let added = line.len() as u64;
        if self.open.is_none() {
            self.open = Some(Open::new(&self.path)?);
        }
        if self.open.as_ref().is_some_and(|open| open.bytes > 0 && open.bytes + added > self.bytes_max) {
            self.put_aside()?;
            self.open = Some(Open::new(&self.path)?);
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let written = open.file.write_all(line);
        match &written {
            Ok(()) => open.bytes += added,
            // Half a line would spoil the next one, too.
            Err(_) => open.file.set_len(open.bytes)?,
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn files_grow_to_their_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tympan.log");
        let mut files = Files { bytes_max: 20, ..Files::new(path.clone()) };
        for number in 0..23 {
            files.append(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        let all: Vec<String> = files_of(&path).iter().map(|path| text(path)).collect();
        assert_eq!(all[0], "line 0022\n");
        assert_eq!(all[1], "line 0020\nline 0021\n");
        assert_eq!(all[3], "line 0016\nline 0017\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // A line that is longer than a file has a file of its own.
        files.append(&[b'x'; 50]).unwrap();
        assert_eq!((text(&path).len(), text(&aged(&path, 1)).as_str()), (50, "line 0022\n"));
    }

    #[test]
    fn the_next_process_goes_on_after_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tympan.log");
        std::fs::write(&path, "whole\nhal").unwrap();
        Files::new(path.clone()).append(b"next\n").unwrap();
        assert_eq!(text(&path), "whole\nhal\nnext\n");
    }

    #[test]
    fn a_file_that_was_removed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tympan.log");
        let mut files = Files::new(path.clone());
        files.append(b"one\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        files.append(b"two\n").unwrap();
        assert_eq!(text(&path), "two\n");
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(files.append(b"three\n").is_err());
        std::fs::create_dir(folder.path()).unwrap();
        files.append(b"four\n").unwrap();
        assert_eq!(text(&path), "four\n");
    }

    #[test]
    fn a_link_to_elsewhere_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("tympan.log"), folder.path().join("other"));
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(Files::new(path).append(b"one\n").is_err());
        assert!(!other.exists());
    }
}

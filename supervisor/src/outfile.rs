//! A file that is written whole or not at all: what stood there before stays until the new one is complete.

use crate::refusal::{Refusal, refuse};
use anyhow::{Context, Result};
use control_protocol::Exit;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The file of `--output`, opened before the work so that an hour of it is not for nothing.
#[derive(Debug)]
pub(crate) enum OutFile {
    /// A draft beside it, which takes its name at the end.
    Draft(NamedTempFile, PathBuf),
    /// A pipe, a terminal or a device, written as it is.
    Direct(File, PathBuf),
}

impl OutFile {
    /// Makes the draft.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let refused = |e: std::io::Error| {
            let exit = if e.kind() == std::io::ErrorKind::StorageFull { Exit::NoRoom } else { Exit::Fault };
            Refusal::new(exit, format!("cannot write {}: {e}", path.display()))
        };
        let meta = std::fs::metadata(path);
        if meta.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            return Err(refused(std::io::ErrorKind::IsADirectory.into()).into());
        }
        if meta.as_ref().is_ok_and(|meta| !meta.is_file()) {
            let file = File::options().write(true).open(path).map_err(refused)?;
            return Ok(Self::Direct(file, path.to_owned()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            refuse!(Fault, "cannot write {}: there is no folder {}", path.display(), folder.display());
        }
        // As a file made in the usual way: what the umask leaves.
        let mode = std::fs::Permissions::from_mode(0o666);
        let draft = tempfile::Builder::new().prefix(".tympan-").suffix(".part").permissions(mode).tempfile_in(folder);
        Ok(Self::Draft(draft.map_err(refused)?, path.to_owned()))
    }

    /// Writes the text and gives the file its name.
    ///
    /// # Errors
    /// When it cannot be written; what stood there is still there.
    pub(crate) fn finish(self, text: &str) -> Result<()> {
        match self {
            Self::Draft(mut draft, path) => {
                let written = draft.write_all(text.as_bytes()).and_then(|()| draft.as_file().sync_all());
                written.with_context(|| format!("cannot write {}", path.display()))?;
                draft
                    .persist(&path)
                    .map_err(|e| e.error)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(())
            }
            Self::Direct(mut file, path) => {
                file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_there_stays_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.txt");
        std::fs::write(&path, "before").unwrap();
        let out = OutFile::begin(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        drop(out);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a draft that was given up goes");
        OutFile::begin(&path).unwrap().finish("after").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_said_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutFile::begin(folder.path()).unwrap_err().to_string().contains("directory"));
        let nowhere = OutFile::begin(&folder.path().join("no/talk.txt")).unwrap_err().to_string();
        assert!(nowhere.contains("no/talk.txt: there is no folder"), "{nowhere}");
        OutFile::begin(Path::new("/dev/null")).unwrap().finish("gone").unwrap();
        let full = OutFile::begin(Path::new("/dev/full")).unwrap().finish("x").unwrap_err();
        assert_eq!(crate::refusal::exit_of(&full), Exit::NoRoom);
    }
}

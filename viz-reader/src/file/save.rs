//! A file that is written whole or not at all: what stood there before stays until the new one is complete.

use crate::refusal::{Refusal, refuse};
use anyhow::{Context, Result};
use control_protocol::Exit;
use std::fs::{File, Permissions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What is written.
#[derive(Debug)]
enum Draft {
    /// Beside the file whose name it takes at the end; removed when it is dropped before.
    Beside(BufWriter<NamedTempFile>),
    /// A pipe, a terminal, a device, or standard output (`-`): written as it is.
    Direct(BufWriter<File>),
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Output {
    draft: Draft,
    path: PathBuf,
}

fn refused(path: &Path, error: std::io::Error) -> anyhow::Error {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let exit = if full { Exit::NoRoom } else { Exit::Fault };
    Refusal::new(exit, format!("cannot write {}: {error}", path.display())).into()
}

impl Output {
    /// Begins it, before the work, so that an hour of that is not for nothing.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let refused = |e| refused(path, e);
        let direct = |file| Ok(Self { draft: Draft::Direct(BufWriter::new(file)), path: path.to_owned() });
        if path == Path::new("-") {
            let own = rustix::io::dup(rustix::stdio::stdout()).context("standard output")?;
            return direct(File::from(own));
        }
        let meta = path.metadata();
        if meta.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            return Err(refused(ErrorKind::IsADirectory.into()));
        }
        if meta.as_ref().is_ok_and(|meta| !meta.is_file()) {
            return direct(File::options().write(true).open(path).map_err(refused)?);
        }
        // Where a link leads, so that it stays one.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            refuse!(Fault, "cannot write {}: there is no folder {}", path.display(), folder.display());
        }
        // As a file made in the usual way: what the umask leaves.
        let mode = Permissions::from_mode(0o666);
        let draft = tempfile::Builder::new().prefix(".tympan-").suffix(".part").permissions(mode).tempfile_in(folder);
        Ok(Self { draft: Draft::Beside(BufWriter::new(draft.map_err(refused)?)), path })
    }

    /// Writes all of it, and gives it its name.
    pub(super) fn finish(self) -> Result<()> {
        let path = &self.path;
        match self.draft {
            Draft::Beside(mut draft) => {
                draft.flush().map_err(|e| refused(path, e))?;
                let draft = draft.into_inner().map_err(|e| refused(path, e.into_error()))?;
                draft.as_file().sync_all().map_err(|e| refused(path, e))?;
                draft.persist(path).map_err(|e| refused(path, e.error))?;
                Ok(())
            }
            Draft::Direct(mut file) => file.flush().map_err(|e| refused(path, e)),
        }
    }

    /// As [`Write::write_all`], with the file's name in the error.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.draft {
            Draft::Beside(draft) => draft.write_all(bytes),
            Draft::Direct(file) => file.write_all(bytes),
        };
        written.map_err(|e| refused(&self.path, e))
    }
}

//! One at a time writes into a folder of models.

use crate::error::StoreError;
use crate::progress::{Progress, Step, TICK};
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held while it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder, private, and waits until nobody else works in it.
    pub(crate) fn hold(folder: &Path, progress: &mut dyn Progress) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(StoreError::io("cannot make the folder", folder))?;
        let path = folder.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(StoreError::io("cannot write", &path))?;
        let mut told = false;
        while let Err(refused) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if refused != rustix::io::Errno::WOULDBLOCK && refused != rustix::io::Errno::INTR {
                return Err(StoreError::io("cannot lock", &path)(refused.into()));
            }
            if !told {
                progress.step(&Step::Waiting);
                told = true;
            }
            if progress.stopped() {
                return Err(StoreError::Stopped);
            }
            progress.bytes(0);
            std::thread::sleep(TICK);
        }
        Ok(Self { _file: file })
    }
}

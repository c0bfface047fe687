//! Whether there is room on a disk, asked before it is filled.

use crate::error::StoreError;
use std::path::Path;

/// What must stay free beside a model.
const SPARE_BYTES: u64 = 16 << 20;

/// Refuses when `needed_bytes` would not fit below `folder`.
pub(crate) fn check(folder: &Path, needed_bytes: u64) -> Result<(), StoreError> {
    let needed_bytes = needed_bytes.saturating_add(SPARE_BYTES);
    match free_bytes(folder) {
        Some(free_bytes) if free_bytes < needed_bytes => {
            Err(StoreError::NoRoom { folder: folder.to_owned(), needed_bytes, free_bytes })
        }
        // A file system that does not tell says so when it is full.
        _ => Ok(()),
    }
}

/// The room that this user has below a folder.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(folder).ok()?;
    Some(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_disk_holds_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(folder.path(), 1).is_ok());
        let refused = check(folder.path(), u64::MAX / 2).unwrap_err().to_string();
        assert!(refused.contains("GB are needed") && refused.contains("are free"), "{refused}");
    }
}

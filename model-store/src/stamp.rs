//! What is remembered of a file beside it, in a small hidden file: the hash it had at that size and time. A model has
//! gigabytes; it is read once after each change, not at each start.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file's size, time and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub bytes: u64,
    /// When its content last changed, in nanoseconds since 1970.
    pub changed_ns: i128,
    /// What `bytes` and `changed_ns` belong to: a file that replaced it within a tick of the clock is another one.
    pub inode: u64,
    pub sha256: String,
    /// Added by its path, and this is what it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<AddedFrom>,
}

/// Where an added file came from, and its hash at that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddedFrom {
    pub path: PathBuf,
    pub sha256: String,
}

impl Stamp {
    pub(crate) fn new(of: &Metadata, sha256: String, added: Option<AddedFrom>) -> Self {
        let changed_ns = i128::from(of.mtime()) * 1_000_000_000 + i128::from(of.mtime_nsec());
        Self { bytes: of.len(), changed_ns, inode: of.ino(), sha256, added }
    }

    /// Whether it was made for this very state of the file.
    pub(crate) fn fits(&self, now: &Metadata) -> bool {
        *self == Self::new(now, self.sha256.clone(), self.added.clone())
    }

    /// The stamp beside a file. One that cannot be read is none.
    pub(crate) fn beside(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path_beside(file)?).ok()?).ok()
    }

    /// Writes it beside a file, in one step.
    pub(crate) fn write(&self, file: &Path) -> std::io::Result<()> {
        let (Some(path), Some(folder)) = (path_beside(file), file.parent()) else { return Ok(()) };
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut new, self)?;
        new.persist(path)?;
        Ok(())
    }

    /// Removes the stamp beside a file, if there is one.
    pub(crate) fn remove(file: &Path) {
        if let Some(path) = path_beside(file) {
            // Gone is what it should be.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// `.FILE.stamp`
fn path_beside(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?;
    Some(file.with_file_name(format!(".{name}.stamp")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_fits_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.bin");
        std::fs::write(&file, b"one").unwrap();
        assert_eq!(Stamp::beside(&file), None);
        let stamp = Stamp::new(&file.metadata().unwrap(), "abc".into(), None);
        stamp.write(&file).unwrap();
        assert_eq!(Stamp::beside(&file), Some(stamp.clone()));
        assert!(stamp.fits(&file.metadata().unwrap()));

        // The same size, at another time.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        std::fs::write(&file, b"two").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        assert!(!stamp.fits(&file.metadata().unwrap()));

        std::fs::write(path_beside(&file).unwrap(), b"{").unwrap();
        assert_eq!(Stamp::beside(&file), None, "a torn stamp is none");
        Stamp::remove(&file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! Making room.

use crate::Store;
use crate::catalogue::{self, file_of};
use crate::error::StoreError;
use crate::fetch::part_of;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::stamp::Stamp;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A model that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// What people call it.
    pub name: String,
    /// The room that is free again. A file that has another name elsewhere frees none.
    pub freed_bytes: u64,
}

impl Store {
    /// Removes the files of these models, downloads that stopped included. Either all are there, or none is removed.
    ///
    /// # Errors
    /// When a name is unknown, or nothing of it is here.
    pub fn remove(&self, names: &[String], progress: &mut dyn Progress) -> Result<Vec<Removed>, StoreError> {
        let mut found: Vec<(String, PathBuf, Vec<PathBuf>)> = Vec::new();
        let others = self.other_names();
        for name in names {
            let file = match catalogue::find(name) {
                Some(entry) => entry.file(),
                None if others.contains(name) => file_of(name),
                None => return Err(catalogue::unknown(name, &others)),
            };
            let path = self.folder().join(file);
            let there: Vec<PathBuf> =
                [path.clone(), part_of(&path)].into_iter().filter(|path| path.symlink_metadata().is_ok()).collect();
            if there.is_empty() {
                return Err(StoreError::NothingThere { name: name.clone() });
            }
            if found.iter().all(|(known, ..)| known != name) {
                found.push((name.clone(), path, there));
            }
        }
        let _lock = Lock::hold(self.folder(), progress)?;
        let mut removed = Vec::new();
        for (name, path, there) in found {
            let mut freed_bytes = 0;
            for file in there {
                let meta = file.symlink_metadata().map_err(StoreError::io("cannot read", &file))?;
                std::fs::remove_file(&file).map_err(StoreError::io("cannot remove", &file))?;
                freed_bytes += if meta.nlink() == 1 { meta.len() } else { 0 };
            }
            Stamp::remove(&path);
            removed.push(Removed { name, freed_bytes });
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ggml::tests::small_model;
    use crate::progress::Silent;

    #[test]
    fn what_is_removed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("models"));
        let from = folder.path().join("mine.bin");
        std::fs::write(&from, small_model()).unwrap();
        store.add(&from, None, &mut Silent).unwrap();
        std::fs::write(store.folder().join("ggml-base.bin.part"), b"begun").unwrap();

        let name = |name: &str| vec![name.to_owned()];
        assert!(matches!(store.remove(&name("tiny"), &mut Silent), Err(StoreError::NothingThere { .. })));
        assert!(matches!(store.remove(&name("mein"), &mut Silent), Err(StoreError::Unknown { .. })));
        let both = vec!["mine".to_owned(), "tiny".to_owned()];
        assert!(store.remove(&both, &mut Silent).is_err());
        assert!(store.folder().join("ggml-mine.bin").exists(), "all or nothing");

        std::fs::remove_file(&from).unwrap();
        let removed = store.remove(&["base".to_owned(), "mine".to_owned()], &mut Silent).unwrap();
        assert_eq!(removed[0].freed_bytes, 5);
        assert_eq!(removed[1].freed_bytes, small_model().len() as u64);
        let left: Vec<_> = std::fs::read_dir(store.folder()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, [".lock"]);
    }
}

//! The file for a run. A model has up to gigabytes, so that at most starts only its size and its first words are
//! looked at; all of it is read once after each change.

use crate::Store;
use crate::catalogue::{self, Entry, Kind, file_of};
use crate::digest::sha256_of;
use crate::error::StoreError;
use crate::ggml::Header;
use crate::progress::{Progress, Step};
use crate::stamp::Stamp;
use std::path::{Path, PathBuf};

impl Store {
    /// The file of a model: published or added by its name, any other by its path (it has a `/` in it, or ends in
    /// `.bin`).
    ///
    /// A published file is compared with the catalogue: its size every time, its hash when it is new or changed since
    /// the stamp beside it was made. Of a file by its path the header is followed to the end.
    ///
    /// # Errors
    /// When it is not there, or not what it should be.
    pub fn locate(&self, name_or_path: &str, progress: &mut dyn Progress) -> Result<PathBuf, StoreError> {
        if is_path(name_or_path) {
            return by_path(Path::new(name_or_path));
        }
        if let Some(entry) = catalogue::find(name_or_path) {
            return self.locate_entry(entry, progress);
        }
        let path = self.folder().join(file_of(name_or_path));
        if !path.exists() {
            return Err(catalogue::unknown(name_or_path, &self.other_names()));
        }
        header_of(&path)?;
        if let Some((stamp, recorded)) = Stamp::beside(&path).and_then(|s| s.added.clone().map(|from| (s, from.sha256)))
        {
            self.check_content(name_or_path, &path, &recorded, Some(stamp), false, progress)?;
        }
        Ok(path)
    }

    /// The voice detector's file.
    ///
    /// # Errors
    /// As [`Store::locate`].
    pub fn locate_voice_detector(&self, progress: &mut dyn Progress) -> Result<PathBuf, StoreError> {
        self.locate_entry(catalogue::entry(catalogue::VOICE_DETECTOR)?, progress)
    }

    pub(crate) fn locate_entry(&self, entry: &Entry, progress: &mut dyn Progress) -> Result<PathBuf, StoreError> {
        let path = self.folder().join(entry.file());
        let name = entry.name.to_owned();
        match path.metadata() {
            Ok(meta) if meta.len() != entry.bytes => {
                let (expected_bytes, actual_bytes) = (entry.bytes, meta.len());
                return Err(StoreError::WrongSize { name, path, expected_bytes, actual_bytes });
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::Missing { name, path }),
            Err(source) => return Err(StoreError::Unreadable { path, source }),
        }
        readable(&path)?;
        self.check_content(entry.name, &path, entry.sha256, Stamp::beside(&path), true, progress)?;
        Ok(path)
    }

    /// Compares a file with the hash that it should have, unless a stamp says that this was done.
    fn check_content(
        &self,
        name: &str,
        path: &Path,
        expected: &str,
        stamp: Option<Stamp>,
        published: bool,
        progress: &mut dyn Progress,
    ) -> Result<(), StoreError> {
        let meta = path.metadata().map_err(StoreError::io("cannot read", path))?;
        let actual = match &stamp {
            Some(stamp) if stamp.fits(&meta) => stamp.sha256.clone(),
            _ => {
                progress.step(&Step::Checking { file: file_name(path), total: meta.len() });
                let actual = sha256_of(path, progress)?;
                let new = Stamp::new(&meta, actual.clone(), stamp.and_then(|stamp| stamp.added));
                // In a folder that is not ours to write, the file is read at each start.
                let _ = new.write(path);
                actual
            }
        };
        if actual != expected {
            let (name, path, expected) = (name.to_owned(), path.to_owned(), expected.to_owned());
            return Err(StoreError::WrongHash { name, path, expected, actual, published });
        }
        Ok(())
    }

    /// Reads all of a file, whatever its stamp says.
    pub(crate) fn check_again(
        &self,
        name: &str,
        path: &Path,
        expected: &str,
        published: bool,
        progress: &mut dyn Progress,
    ) -> Result<(), StoreError> {
        let stamp = Stamp::beside(path).map(|stamp| Stamp { changed_ns: i128::MIN, ..stamp });
        self.check_content(name, path, expected, stamp, published, progress)
    }
}

/// Whether a model is meant by its path, and not by its name.
#[must_use]
pub fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".bin")
}

/// A recogniser by its path.
fn by_path(path: &Path) -> Result<PathBuf, StoreError> {
    let path = std::path::absolute(path).map_err(StoreError::io("cannot find", path))?;
    if let Err(e) = path.metadata() {
        return Err(match e.kind() {
            std::io::ErrorKind::NotFound => StoreError::NoFile { path },
            _ => StoreError::Unreadable { path, source: e },
        });
    }
    header_of(&path)?;
    Ok(path)
}

/// Whoever may not read a model should hear that here, and not from a worker that ends.
fn readable(path: &Path) -> Result<(), StoreError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(StoreError::Unreadable { path: path.to_owned(), source }),
    }
}

/// The header of a recogniser.
pub(crate) fn header_of(path: &Path) -> Result<Header, StoreError> {
    readable(path)?;
    Header::read(path).map_err(|why| StoreError::NotGgml { path: path.to_owned(), why })
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Whether an entry is one that `--model` may name.
pub(crate) fn is_recogniser(entry: &Entry) -> bool {
    entry.kind == Kind::Recogniser
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ggml::tests::small_model;
    use crate::progress::Silent;

    #[test]
    fn each_way_to_be_absent_or_wrong_has_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let why = |name: &str| store.locate(name, &mut Silent).unwrap_err().to_string();
        assert!(why("tiny.en").contains("`tympan model fetch tiny.en`"));
        assert!(why("tiny_en").contains("did you mean tiny.en"));
        assert!(why("./none.bin").contains("there is no model file"));
        std::fs::write(folder.path().join("ggml-tiny.en.bin"), b"short").unwrap();
        assert!(why("tiny.en").contains("has 5 bytes and should have 77704715"));
        assert!(why("tiny.en").contains("`tympan model fetch --force tiny.en`"));
        assert!(why("/").contains("not a file"));
        std::fs::write(folder.path().join("ggml-mine.bin"), b"GGUF....").unwrap();
        assert!(why("mine").contains("GGUF"));
    }

    #[test]
    fn a_file_is_read_once_after_each_change() {
        #[derive(Default)]
        struct Checks(u32);
        impl Progress for Checks {
            fn step(&mut self, step: &Step) {
                self.0 += u32::from(matches!(step, Step::Checking { .. }));
            }
            fn bytes(&mut self, _: u64) {}
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let entry = catalogue::find("tiny.en").unwrap();
        let path = folder.path().join(entry.file());
        // The right size and nothing in it: a hole costs no room.
        std::fs::File::create(&path).unwrap().set_len(entry.bytes).unwrap();
        let mut checks = Checks::default();
        for _ in 0..3 {
            assert!(matches!(store.locate("tiny.en", &mut checks), Err(StoreError::WrongHash { .. })));
        }
        assert_eq!(checks.0, 1, "the stamp tells the second time");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(2)).unwrap();
        assert!(store.locate("tiny.en", &mut checks).is_err());
        assert_eq!(checks.0, 2, "a changed file is read again");
    }

    #[test]
    fn a_file_in_the_folder_has_a_name_and_any_other_has_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let path = folder.path().join("ggml-mine.bin");
        std::fs::write(&path, small_model()).unwrap();
        assert_eq!(store.locate("mine", &mut Silent).unwrap(), path);
        assert_eq!(store.locate(path.to_str().unwrap(), &mut Silent).unwrap(), path);
    }
}

//! Taking in a file that somebody has.

use crate::Store;
use crate::catalogue::{self, ENTRIES, Entry, file_of};
use crate::digest::sha256_of;
use crate::error::StoreError;
use crate::fetch::{part_of, remove_if_there};
use crate::ggml::Header;
use crate::locate::{file_name, header_of, is_recogniser};
use crate::lock::Lock;
use crate::progress::{Progress, Step};
use crate::room;
use crate::stamp::{AddedFrom, Stamp};
use std::path::{Path, PathBuf};

/// Longest name.
const NAME_CHARS_MAX: usize = 64;

/// A file that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// What `--model` takes.
    pub name: String,
    /// Where it is now.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What its header says; `None` for the voice detector.
    pub header: Option<Header>,
    /// Whether it is, byte for byte, a published file.
    pub published: bool,
    /// Whether it takes no more room, being the same file under two names.
    pub linked: bool,
}

impl Store {
    /// Takes in any ggml file, or a published file that was brought from elsewhere. The file itself stays where it is;
    /// in the folder is a second name for it, or a copy where the folder is on another disk.
    ///
    /// # Errors
    /// When it is no Whisper model, is cut off, or its name belongs to another.
    pub fn add(&self, from: &Path, name: Option<&str>, progress: &mut dyn Progress) -> Result<Added, StoreError> {
        let from = std::path::absolute(from).map_err(StoreError::io("cannot find", from))?;
        let meta = from.metadata().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => StoreError::NoFile { path: from.clone() },
            _ => StoreError::io("cannot read", &from)(e),
        })?;
        // Before gigabytes are read: whether there is any use in it.
        let published_size = ENTRIES.iter().any(|entry| entry.bytes == meta.len());
        let header = match header_of(&from) {
            Ok(header) => Some(header),
            Err(_) if published_size && meta.is_file() => None,
            Err(error) => return Err(error),
        };
        if let Some(name) = name {
            check_name(name)?;
        }
        progress.step(&Step::Checking { file: file_name(&from), total: meta.len() });
        let sha256 = sha256_of(&from, progress)?;
        let published = ENTRIES.iter().find(|entry| entry.sha256 == sha256);
        if header.is_none() && published.is_none() {
            header_of(&from)?;
        }
        let (name, file) = named(&from, name, published)?;
        let path = self.folder().join(file);
        let _lock = Lock::hold(self.folder(), progress)?;
        let linked = self.place(&from, &path, &sha256, meta.len(), published.is_some())?;
        // A download that was broken off is of no use now.
        remove_if_there(&part_of(&path))?;
        let added = AddedFrom { path: from, sha256: sha256.clone() };
        let now = path.metadata().map_err(StoreError::io("cannot read", &path))?;
        let stamp = Stamp::new(&now, sha256, published.is_none().then_some(added));
        stamp.write(&path).map_err(StoreError::io("cannot write beside", &path))?;
        Ok(Added { name, bytes: meta.len(), header, published: published.is_some(), linked, path })
    }

    /// Gives the file its second name, or copies it. Says which.
    fn place(&self, from: &Path, path: &Path, sha256: &str, bytes: u64, published: bool) -> Result<bool, StoreError> {
        if path.exists() {
            let same_file = from.canonicalize().ok() == path.canonicalize().ok();
            if same_file {
                return Ok(true);
            }
            let same = Stamp::beside(path).is_some_and(|stamp| stamp.sha256 == *sha256);
            // A published name means one content: whatever else has it is damaged.
            if !same && !published {
                return Err(StoreError::Name(format!(
                    "{} is there already and is another file; `--name` gives the new one another name",
                    path.display()
                )));
            }
        }
        let folder = self.folder();
        let work = tempfile::Builder::new().prefix(".fetch.").tempdir_in(folder);
        let work = work.map_err(StoreError::io("cannot make a folder in", folder))?;
        let new = work.path().join("new");
        // Not of a symbolic link: the link's target may be anywhere tomorrow.
        let target = from.canonicalize().map_err(StoreError::io("cannot find", from))?;
        let linked = std::fs::hard_link(&target, &new).is_ok();
        if !linked {
            room::check(folder, bytes)?;
            std::fs::copy(&target, &new).map_err(StoreError::io("cannot copy", from))?;
        }
        std::fs::rename(&new, path).map_err(StoreError::io("cannot write", path))?;
        Ok(linked)
    }
}

/// The name and the file that it goes by in the folder.
fn named(from: &Path, wanted: Option<&str>, published: Option<&'static Entry>) -> Result<(String, String), StoreError> {
    if let Some(entry) = published
        && wanted.is_none_or(|wanted| wanted == entry.name)
    {
        return Ok((entry.name.to_owned(), entry.file()));
    }
    if let Some(entry) = published.filter(|entry| !is_recogniser(entry)) {
        return Err(StoreError::Name(format!("this file is {}, and can have no other name", entry.name)));
    }
    let name = match wanted {
        Some(wanted) => wanted.to_owned(),
        None => {
            let file = file_name(from);
            let stem = file.strip_suffix(".bin").or_else(|| file.strip_suffix(".ggml")).unwrap_or(&file);
            let name = stem.strip_prefix("ggml-").unwrap_or(stem).to_owned();
            check_name(&name)?;
            name
        }
    };
    if catalogue::find(&name).is_some() {
        return Err(StoreError::Name(format!(
            "{name} is the name of a published model, and {} is another file (its SHA-256 differs); `--name` gives it \
             a name of its own",
            from.display()
        )));
    }
    let file = file_of(&name);
    Ok((name, file))
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // What ends so is taken for a path.
    let is_path = Path::new(name).extension().is_some_and(|extension| extension == "bin");
    if (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(fits) && !name.starts_with(['.', '-']) && !is_path
    {
        return Ok(());
    }
    Err(StoreError::Name(format!(
        "\"{name}\" cannot be the name of a model: letters, digits, \".\", \"-\" and \"_\", at most {NAME_CHARS_MAX}, \
         beginning with a letter or a digit, and not ending in .bin; `--name` gives another"
    )))
}

#[cfg(test)]
mod tests {
    use crate::ggml::tests::small_model;
    use crate::progress::Silent;
    use crate::{Presence, Store};

    #[test]
    fn an_added_file_is_listed_located_and_verified() {
        let (elsewhere, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let from = elsewhere.path().join("ggml-mine.bin");
        std::fs::write(&from, small_model()).unwrap();
        let store = Store::new(folder.path().join("models"));
        let added = store.add(&from, None, &mut Silent).unwrap();
        assert_eq!((added.name.as_str(), added.published), ("mine", false));
        assert_eq!(store.locate("mine", &mut Silent).unwrap(), added.path);
        let listed = store.list().unwrap();
        let mine = listed.iter().find(|model| model.name == "mine").unwrap();
        assert_eq!((mine.presence, mine.english_only), (Presence::Here, Some(true)));
        // Once more is no harm; another file of that name is refused, and has its place under another.
        store.add(&from, None, &mut Silent).unwrap();
        let mut other = small_model();
        *other.last_mut().unwrap() ^= 1;
        let from_other = elsewhere.path().join("mine.bin");
        std::fs::write(&from_other, other).unwrap();
        assert!(store.add(&from_other, None, &mut Silent).unwrap_err().to_string().contains("--name"));
        store.add(&from_other, Some("mine-2"), &mut Silent).unwrap();

        let right = |store: &Store| {
            let verdicts = store.verify(&[], &mut Silent).unwrap();
            verdicts.iter().map(|v| (v.name.clone(), matches!(v.result, Some(Ok(()))))).collect::<Vec<_>>()
        };
        assert_eq!(right(&store), [("mine".to_owned(), true), ("mine-2".to_owned(), true)]);
        // Damaged in its last byte, which no header tells.
        let path = store.folder().join("ggml-mine-2.bin");
        let mut damaged = std::fs::read(&path).unwrap();
        *damaged.last_mut().unwrap() ^= 2;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(right(&store), [("mine".to_owned(), true), ("mine-2".to_owned(), false)]);
        let refused = store.locate("mine-2", &mut Silent).unwrap_err().to_string();
        assert!(refused.contains("damaged") && refused.contains("model remove mine-2"), "{refused}");
    }

    #[test]
    fn what_is_no_model_stays_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("models"));
        let from = folder.path().join("talk.wav");
        std::fs::write(&from, b"RIFF....").unwrap();
        assert!(store.add(&from, None, &mut Silent).unwrap_err().to_string().contains("not a whisper.cpp model"));
        std::fs::write(&from, &small_model()[..40_000]).unwrap();
        assert!(store.add(&from, None, &mut Silent).unwrap_err().to_string().contains("ends too soon"));
        assert!(!store.folder().exists(), "nothing was made for nothing");
        std::fs::write(&from, small_model()).unwrap();
        for name in ["", ".x", "../x", "a b", "x.bin", &"x".repeat(65)] {
            assert!(store.add(&from, Some(name), &mut Silent).is_err(), "{name:?}");
        }
        let refused = store.add(&from, Some("tiny.en"), &mut Silent).unwrap_err().to_string();
        assert!(refused.contains("published model"), "{refused}");
        store.add(&from, Some("x"), &mut Silent).unwrap();
    }
}

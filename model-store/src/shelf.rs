//! What there is: the catalogue, what is here of it, and what was added.

use crate::Store;
use crate::catalogue::{self, ENTRIES, Entry, Kind, file_of};
use crate::error::StoreError;
use crate::fetch::part_of;
use crate::ggml::Header;
use crate::locate::header_of;
use crate::progress::Progress;
use crate::stamp::Stamp;
use std::path::PathBuf;

/// Whether a model is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing of it.
    Absent,
    /// A download that stopped after so many bytes.
    Part(u64),
    /// Here, as far as its size tells.
    Here,
    /// Here with a size that it should not have, or unreadable as a model.
    Damaged,
}

/// A model: published, or a file in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What people call it.
    pub name: String,
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Its size, as published, or as it is.
    pub bytes: u64,
    /// What it is for.
    pub kind: Kind,
    /// Whether it knows English only; `None` for what knows no language.
    pub english_only: Option<bool>,
    /// How its weights are stored.
    pub weights: String,
    /// Whether it is published.
    pub published: bool,
    /// Whether it is here.
    pub presence: Presence,
}

/// What checking a file showed.
#[derive(Debug)]
pub struct Verdict {
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Right, or what is wrong; `None` when nothing is known that it could be compared with.
    pub result: Option<Result<(), StoreError>>,
}

impl Store {
    /// All that is published, then the files that were added.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut all: Vec<Listed> = ENTRIES.iter().map(|entry| self.listed(entry)).collect();
        for name in self.names_of_others()? {
            let path = self.folder().join(file_of(&name));
            let header = Header::read(&path).ok();
            all.push(Listed {
                bytes: path.metadata().map_or(0, |meta| meta.len()),
                kind: Kind::Recogniser,
                english_only: header.map(|header| !header.is_multilingual()),
                weights: header.map_or("?", |header| header.weights()).to_owned(),
                published: false,
                presence: if header.is_some() { Presence::Here } else { Presence::Damaged },
                name,
                path,
            });
        }
        Ok(all)
    }

    /// Reads the named files, or all that are here, and compares each with the hash it should have.
    ///
    /// # Errors
    /// When a name is unknown, or nothing of it is here.
    pub fn verify(&self, names: &[String], progress: &mut dyn Progress) -> Result<Vec<Verdict>, StoreError> {
        let listed = self.list()?;
        let is_here = |model: &&Listed| matches!(model.presence, Presence::Here | Presence::Damaged);
        let mut wanted = Vec::new();
        for name in names {
            let model = listed.iter().find(|model| model.name == *name);
            let model = model.ok_or_else(|| catalogue::unknown(name, &self.other_names()))?;
            if !is_here(&model) {
                return Err(StoreError::Missing { name: name.clone(), path: model.path.clone() });
            }
            wanted.push(model);
        }
        if names.is_empty() {
            wanted.extend(listed.iter().filter(is_here));
        }
        wanted.into_iter().map(|model| self.verdict(model, progress)).collect()
    }

    fn verdict(&self, model: &Listed, progress: &mut dyn Progress) -> Result<Verdict, StoreError> {
        let bytes = model.path.metadata().map_or(0, |meta| meta.len());
        let verdict = |result| Ok(Verdict { name: model.name.clone(), path: model.path.clone(), bytes, result });
        if let Some(entry) = catalogue::find(&model.name) {
            if bytes != entry.bytes {
                let (name, path, expected_bytes) = (model.name.clone(), model.path.clone(), entry.bytes);
                return verdict(Some(Err(StoreError::WrongSize { name, path, expected_bytes, actual_bytes: bytes })));
            }
            return match self.check_again(entry.name, &model.path, entry.sha256, true, progress) {
                Err(StoreError::Stopped) => Err(StoreError::Stopped),
                result => verdict(Some(result)),
            };
        }
        if let Err(error) = header_of(&model.path) {
            return verdict(Some(Err(error)));
        }
        let Some(added) = Stamp::beside(&model.path).and_then(|stamp| stamp.added) else { return verdict(None) };
        match self.check_again(&model.name, &model.path, &added.sha256, false, progress) {
            Err(StoreError::Stopped) => Err(StoreError::Stopped),
            result => verdict(Some(result)),
        }
    }

    fn listed(&self, entry: &Entry) -> Listed {
        let path = self.folder().join(entry.file());
        let presence = match (path.metadata(), part_of(&path).metadata()) {
            (Ok(meta), _) if meta.len() == entry.bytes => Presence::Here,
            (Ok(_), _) => Presence::Damaged,
            (Err(_), Ok(part)) => Presence::Part(part.len()),
            (Err(_), Err(_)) => Presence::Absent,
        };
        Listed {
            name: entry.name.to_owned(),
            path,
            bytes: entry.bytes,
            kind: entry.kind,
            english_only: (entry.kind == Kind::Recogniser).then(|| entry.is_english_only()),
            weights: entry.weights().to_owned(),
            published: true,
            presence,
        }
    }

    /// Names of recognisers in the folder that are not published.
    fn names_of_others(&self) -> Result<Vec<String>, StoreError> {
        let entries = match std::fs::read_dir(self.folder()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("cannot read", self.folder())(e)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| {
                let file = entry.file_name();
                let name = file.to_str()?.strip_prefix("ggml-")?.strip_suffix(".bin")?;
                catalogue::find(name).is_none().then(|| name.to_owned())
            })
            .collect();
        names.sort();
        Ok(names)
    }

    /// As far as they can be known.
    pub(crate) fn other_names(&self) -> Vec<String> {
        self.names_of_others().unwrap_or_default()
    }
}

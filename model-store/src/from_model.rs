//! The third way: a model with weights of 8 bits is made, byte for byte as it is published, from the same model with
//! weights of 16. It needs nothing but that file.

use crate::Store;
use crate::address::Mirror;
use crate::catalogue::Entry;
use crate::digest::sha256_of;
use crate::error::{StoreError, Unfetched};
use crate::fetch::{Fetch, Fetched, Way, fetched, publish};
use crate::package::WORK_PREFIX;
use crate::progress::{Progress, Step};
use crate::{quantise, room};

impl Store {
    /// Fetches one, or makes it from another, which comes first in the answer when it had to be fetched.
    pub(crate) fn fetch_or_make(
        &self,
        entry: &'static Entry,
        address: Option<(&str, &str)>,
        mirror: Option<&Mirror>,
        how: &Fetch,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Fetched>, StoreError> {
        let (error, source) = match (self.fetch_one(entry, address, how, progress), entry.made_from()) {
            (Err(error @ StoreError::NotFetched { .. }), Some(source)) => (error, source),
            (result, _) => return Ok(vec![result?]),
        };
        let mut all = Vec::new();
        let whole = match self.here(source, progress)? {
            Some(here) => Ok(here),
            None => self.fetch_source(source, mirror, how, progress),
        };
        let why = match whole {
            Ok(whole) => {
                if whole.way != Way::WasHere {
                    all.push(whole);
                }
                match self.make_from(source, entry, progress) {
                    Ok(made) => {
                        all.push(made);
                        return Ok(all);
                    }
                    Err(e @ (StoreError::WrongHash { .. } | StoreError::NotGgml { .. })) => format!("{e}"),
                    Err(other) => return Err(other),
                }
            }
            Err(StoreError::NotFetched { files, .. }) => {
                files.into_iter().flat_map(|file| file.reasons).collect::<Vec<_>>().join("; ")
            }
            Err(other) => return Err(other),
        };
        Err(because(error, &format!("made from {}: {why}", source.name)))
    }

    fn fetch_source(
        &self,
        source: &'static Entry,
        mirror: Option<&Mirror>,
        how: &Fetch,
        progress: &mut dyn Progress,
    ) -> Result<Fetched, StoreError> {
        let address = match mirror {
            Some(mirror @ Mirror::Folder(_)) => mirror.address_of(source, &[source])?,
            // That is the address of the other one.
            Some(Mirror::File(_)) => None,
            None => Some(source.address()),
        };
        let how = Fetch { force: false, ..how.clone() };
        self.fetch_one(source, address.as_deref().map(|address| (address, "")), &how, progress)
    }

    fn make_from(
        &self,
        source: &Entry,
        entry: &'static Entry,
        progress: &mut dyn Progress,
    ) -> Result<Fetched, StoreError> {
        let (from, path) = (self.folder().join(source.file()), self.folder().join(entry.file()));
        room::check(self.folder(), entry.bytes)?;
        progress.step(&Step::Making { file: entry.file(), total: source.bytes });
        // Removed when it is not made whole, and by the next command when this one is killed.
        let new = tempfile::Builder::new().prefix(WORK_PREFIX).tempfile_in(self.folder());
        let new = new.map_err(StoreError::io("cannot write in", self.folder()))?;
        quantise::to_q8_0(&from, &new, progress)?;
        let actual = sha256_of(new.path(), progress)?;
        if actual != entry.sha256 {
            let (name, expected) = (entry.name.to_owned(), entry.sha256.to_owned());
            return Err(StoreError::WrongHash { name, path: from, expected, actual, published: true });
        }
        new.as_file().sync_all().map_err(StoreError::io("cannot write", &path))?;
        let new = new.into_temp_path();
        publish(entry, &new, &path)?;
        // The name it had is another one's now.
        new.keep().map_err(|e| StoreError::io("cannot write", &path)(e.error))?;
        crate::fetch::remove_if_there(&crate::fetch::part_of(&path))?;
        Ok(fetched(entry, path, Way::Model(source.name)))
    }
}

/// The same failure with one more reason.
fn because(error: StoreError, reason: &str) -> StoreError {
    match error {
        StoreError::NotFetched { files, folder, wrong } => {
            let more = |file: Unfetched| Unfetched {
                reasons: file.reasons.into_iter().chain([reason.to_owned()]).collect(),
                ..file
            };
            StoreError::NotFetched { files: files.into_iter().map(more).collect(), folder, wrong }
        }
        other => other,
    }
}

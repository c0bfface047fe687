//! Model files in a folder: a catalogue of what is published, with hashes; fetching, checking, adding and removing
//! them; and finding one for a run.
//!
//! What it does: downloads into `FILE.part`, goes on where a broken download stopped, and gives a file its name only
//! when its SHA-256 is right. What it never does: print (whoever calls hears of progress through [`Progress`]), use a
//! file whose hash is wrong, or read a whole model at every start: a [stamp](Store::locate) remembers what was checked.
//!
//! ```no_run
//! use model_store::{Silent, Store};
//! let store = Store::new("/home/me/.cache/tympan/models".into());
//! let model = store.locate("tiny.en", &mut Silent)?;
//! # Ok::<(), model_store::StoreError>(())
//! ```

mod add;
mod address;
pub mod catalogue;
mod digest;
mod download;
mod error;
mod fetch;
mod from_model;
mod ggml;
mod line;
mod locate;
mod lock;
mod package;
mod progress;
mod proxy;
mod quantise;
mod remove;
mod room;
mod shelf;
mod stamp;
mod walk;

pub use add::Added;
pub use error::{StoreError, Unfetched, megabytes};
pub use fetch::{Fetch, Fetched, Way};

pub use ggml::{Header, NotGgml};
pub use locate::is_path;
pub use progress::{Progress, Silent, Step};
pub use remove::Removed;
pub use shelf::{Listed, Presence, Verdict};

use std::path::{Path, PathBuf};

/// A folder of models. Nothing in it is touched until something is asked of it.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The models in this folder, which need not exist.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The file for a run: [`Store::locate`] without a word about progress.
///
/// # Errors
/// As there.
pub fn locate(folder: &Path, name_or_path: &str) -> Result<PathBuf, StoreError> {
    Store::new(folder.to_owned()).locate(name_or_path, &mut Silent)
}

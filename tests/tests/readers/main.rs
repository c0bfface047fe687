//! The readers in other languages: every frame is read, lost or in a gap, whoever is killed; and no bytes hurt them.

mod account;
mod answer;
mod damage;
mod examples;
mod follow;
mod refuse;
mod writer;

use anyhow::Result;
use std::sync::LazyLock;
use system_tests::{Language, Readers};
use tempfile::TempDir;

pub(crate) static READERS: LazyLock<Readers> = LazyLock::new(|| Readers::build().expect("the readers"));

pub(crate) const ALL: [Language; 5] =
    [Language::C, Language::CSanitized, Language::Cpp, Language::Python, Language::Node];

pub(crate) fn shared_folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("tympan-test-").tempdir_in("/dev/shm")?)
}

//! Where the other programs are: in `TYMPAN_LIBEXEC`, beside this one, or in `../lib/tympan`. Never by `PATH`.

use crate::refusal::refuse;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The programs this one starts.
#[derive(Debug, Clone)]
pub(crate) struct Siblings {
    /// Sources to rings.
    pub engine: PathBuf,
    /// Rings to text.
    pub transcriber: PathBuf,
}

impl Siblings {
    /// Finds them. Called once at the start: after an upgrade the running program's own path is gone.
    ///
    /// # Errors
    /// When one is missing; says where it was looked for.
    pub(crate) fn find() -> Result<Self> {
        let places = places()?;
        Ok(Self { engine: find(&places, "audio-engine")?, transcriber: find(&places, "transcriber-worker")? })
    }
}

/// The program that draws.
///
/// # Errors
/// When it is missing; says where it was looked for.
pub(crate) fn viz_reader() -> Result<PathBuf> {
    find(&places()?, "viz-reader")
}

fn places() -> Result<Vec<PathBuf>> {
    if let Some(place) = std::env::var_os("TYMPAN_LIBEXEC") {
        return Ok(vec![PathBuf::from(place)]);
    }
    let own = std::env::current_exe().context("the path of this program")?;
    let folder = own.parent();
    Ok(folder.into_iter().flat_map(|folder| [folder.to_owned(), folder.join("../lib/tympan")]).collect())
}

fn find(places: &[PathBuf], name: &str) -> Result<PathBuf> {
    let found = places.iter().map(|place| place.join(name)).find(|path| is_program(path));
    let Some(found) = found else {
        let looked: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        refuse!(
            Refused,
            "the program {name} is missing; looked in {}. `cargo build --release` builds all programs; TYMPAN_LIBEXEC names another folder",
            looked.join(" and ")
        );
    };
    Ok(found)
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

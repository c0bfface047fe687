//! Where a ring is: a name in the folder of the running instance, or the path of a file.

use crate::refusal::{Refusal, refusal};
use shm_layout::{list_rings, stream_link};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What all rings begin with.
const MAGIC: &[u8] = b"AUDITAB!";

/// Where a ring is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingPlace {
    /// What it is called in pictures.
    pub name: String,
    /// The file that readers open; of a stream, the link to its newest epoch.
    pub path: PathBuf,
    /// The stream's name in the folder, where later epochs are found by; none for a file of another program.
    pub stream: Option<String>,
}

/// The folder of the running instance's rings, and of its control socket: what `tympan viz` has found and set
/// (`TYMPAN_RUNTIME_DIR`), or where it is usually.
#[must_use]
pub fn runtime_folder() -> PathBuf {
    let set = std::env::var_os("TYMPAN_RUNTIME_DIR").filter(|value| !value.is_empty());
    let usual = || format!("/dev/shm/tympan-{}", rustix::process::geteuid().as_raw()).into();
    set.map_or_else(usual, PathBuf::from)
}

impl RingPlace {
    /// A stream of a folder.
    #[must_use]
    pub fn of_stream(folder: &Path, stream: &str) -> Self {
        Self { name: stream.to_owned(), path: folder.join(stream_link(stream)), stream: Some(stream.to_owned()) }
    }

    /// What a user calls a ring: a stream of the folder, or the path of a ring's file (with a slash, or there).
    ///
    /// # Errors
    /// [`Refusal`]: there is none of that name; says which there are.
    pub fn find(folder: &Path, name: &str) -> Result<Self, Refusal> {
        let of_folder = Self::of_stream(folder, name.strip_suffix(".ring").unwrap_or(name));
        if !name.contains('/') && of_folder.path.symlink_metadata().is_ok() {
            return Ok(of_folder);
        }
        let path = Path::new(name);
        if is_ring_file(path) {
            let own = path.file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
            // `mic.ring` is followed through its epochs, `mic.3.ring` is that one.
            let followed = path.extension().is_some_and(|extension| extension == "ring") && !own.contains('.');
            let stream = followed.then(|| own.clone());
            return Ok(Self { name: own, path: path.to_owned(), stream });
        }
        if name.contains('/') {
            return Err(match path.symlink_metadata() {
                Ok(_) => refusal!(Refused, "{name} is no ring"),
                Err(_) => refusal!(NoInput, "{name}: there is no such file"),
            });
        }
        let names: Vec<String> = all_places(folder).into_iter().map(|place| place.name).collect();
        let folder = folder.display();
        if names.is_empty() {
            return Err(refusal!(
                NotRunning,
                "there is neither a ring nor a file \"{name}\"; no ring at all is in {folder}, `tympan run` makes them"
            ));
        }
        let names = names.join(", ");
        Err(refusal!(Refused, "there is neither a ring nor a file \"{name}\"; rings in {folder}: {names}"))
    }

    /// The folder it is in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// All streams of a folder, by name.
#[must_use]
pub fn all_places(folder: &Path) -> Vec<RingPlace> {
    let rings = list_rings(folder).unwrap_or_default();
    let names: BTreeSet<String> = rings.into_iter().map(|ring| ring.info.stream).collect();
    names.into_iter().map(|stream| RingPlace::of_stream(folder, &stream)).collect()
}

/// Whether a file begins as a ring does.
#[must_use]
pub fn is_ring_file(path: &Path) -> bool {
    // A pipe is not opened: that may take for ever, and what is read of it is gone.
    if !path.metadata().is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let mut begin = [0; 8];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *MAGIC
}

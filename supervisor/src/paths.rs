//! The folders: rings on tmpfs, data that stays, models that can be fetched again.

use crate::control;
use crate::refusal::refuse;
use crate::settings::{Settings, keys};
use anyhow::{Context, Result};
use nix::errno::Errno;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The room rings need at the least: two channels, 10 s, two epochs.
const RUNTIME_FREE_BYTES: u64 = 32 << 20;

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// Rings, control socket, lock.
    pub runtime: PathBuf,
    /// What stays: spilled and pending sound, words, the log.
    pub data: PathBuf,
    /// The log's newest file. An instance that has a runtime folder of its own has a log of its own.
    pub log: PathBuf,
}

impl Folders {
    /// Where a new instance, or a recording, has its files. Nothing is created.
    ///
    /// # Errors
    /// When no home is known.
    pub(crate) fn of_new(settings: &Settings) -> Result<Self> {
        let runtime = settings.path(&keys::RUNTIME_DIR).unwrap_or_else(roomiest_runtime);
        Self::with(settings, runtime)
    }

    /// Where the running instance has its files, so that a desktop's shell and one over ssh see the same; where a new
    /// one would have them when none runs.
    ///
    /// # Errors
    /// When no home is known.
    pub(crate) fn of_running(settings: &Settings) -> Result<Self> {
        let living = runtime_places(settings).into_iter().find(|dir| lives(dir));
        living.map_or_else(|| Self::of_new(settings), |runtime| Self::with(settings, runtime))
    }

    fn with(settings: &Settings, runtime: PathBuf) -> Result<Self> {
        let data = match settings.path(&keys::DATA_DIR) {
            Some(dir) => dir,
            None => xdg("XDG_DATA_HOME", ".local/share")?.join("tympan"),
        };
        let log = data.join("log").join(match settings.path(&keys::RUNTIME_DIR) {
            Some(own) => format!("tympan-{:016x}.log", fingerprint(own.as_os_str().as_encoded_bytes())),
            None => "tympan.log".to_owned(),
        });
        Ok(Self { runtime, data, log })
    }

    /// This process's utterances that must outlive their ring.
    pub(crate) fn spill(&self) -> PathBuf {
        self.data.join("spill").join(crate::owner::owner_tag())
    }

    /// Utterances that no run has written down.
    pub(crate) fn pending(&self) -> PathBuf {
        self.data.join("pending")
    }

    /// Utterances that ended too many workers.
    pub(crate) fn aside(&self) -> PathBuf {
        self.data.join("set-aside")
    }

    /// The words of instances in the background.
    pub(crate) fn words(&self) -> PathBuf {
        self.data.join("words")
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        socket_of(&self.runtime)
    }

    /// Makes all folders, private.
    ///
    /// # Errors
    /// When one cannot be made, or is not private to this user.
    pub(crate) fn create(&self) -> Result<()> {
        for dir in [&self.runtime, &self.data, &self.data.join("spill"), &self.spill()] {
            private_dir(dir, SET_BY)?;
        }
        Ok(())
    }
}

/// The folder of models: as set, or `$XDG_CACHE_HOME/tympan/models`.
///
/// # Errors
/// When no home is known.
pub(crate) fn models(settings: &Settings) -> Result<PathBuf> {
    match settings.path(&keys::MODELS_DIR) {
        Some(dir) => Ok(dir),
        None => Ok(xdg("XDG_CACHE_HOME", ".cache")?.join("tympan/models")),
    }
}

/// Where instances of this user may be: the one place that is set, or both that are usual.
pub(crate) fn runtime_places(settings: &Settings) -> Vec<PathBuf> {
    if let Some(dir) = settings.path(&keys::RUNTIME_DIR) {
        return vec![dir];
    }
    let uid = rustix::process::geteuid().as_raw();
    let mut places = vec![PathBuf::from(format!("/dev/shm/tympan-{uid}"))];
    // A shell over ssh or under sudo may lack the variable and still mean this folder.
    let session = [from_env("XDG_RUNTIME_DIR"), Some(PathBuf::from(format!("/run/user/{uid}")))];
    for dir in session.into_iter().flatten().filter(|dir| dir.is_absolute()) {
        let place = dir.join("tympan");
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The control socket of a runtime folder.
pub(crate) fn socket_of(runtime: &Path) -> PathBuf {
    runtime.join("control.sock")
}

/// Whether an instance of this user answers in this folder.
pub(crate) fn lives(runtime: &Path) -> bool {
    let ours = std::fs::symlink_metadata(runtime)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw());
    let answers = || control::connect(&socket_of(runtime), Duration::ZERO);
    // One that is stopped lives, too.
    ours && answers().map_or_else(|e| e == Errno::EAGAIN, |_| true)
}

/// Makes a folder that only this user can enter, or checks that it is one. `set_by` is what names it elsewhere.
///
/// # Errors
/// When it belongs to somebody else or is open to others.
pub(crate) fn private_dir(dir: &Path, set_by: &str) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
        let why = std::io::Error::new(e.kind(), format!("{e}; name another folder, as {set_by}"));
        anyhow::Error::new(why).context(format!("cannot make the folder {}", dir.display()))
    })?;
    let meta = std::fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let (uid, path) = (rustix::process::geteuid().as_raw(), dir.display());
    if !meta.is_dir() {
        refuse!(NotPrivate, "{path} is not a folder; move it away, or name another folder, as {set_by}");
    }
    if meta.uid() != uid {
        refuse!(
            NotPrivate,
            "{path} belongs to user {}, not to you ({uid}); name another folder, as {set_by}",
            meta.uid()
        );
    }
    if meta.mode() & 0o077 != 0 {
        refuse!(NotPrivate, "{path} is open to other users; `chmod 700 {path}` closes it");
    }
    Ok(())
}

/// What names the folders of a run elsewhere.
pub(crate) const SET_BY: &str = "TYMPAN_RUNTIME_DIR or TYMPAN_DATA_DIR";

fn from_env(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn xdg(name: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(dir) = from_env(name).filter(|dir| dir.is_absolute()) {
        return Ok(dir);
    }
    let home = from_env("HOME").with_context(|| {
        format!("neither {name} nor HOME is set: no place for files; `export HOME=...` names your home folder")
    })?;
    Ok(home.join(below_home))
}

/// A number that stands for these bytes (FNV-1a, 64 bits), the same in every version of this program.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Free bytes of a folder's file system; 0 when it cannot be asked.
pub(crate) fn room(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// `/dev/shm/tympan-<uid>` where there is room, else `$XDG_RUNTIME_DIR/tympan`.
fn roomiest_runtime() -> PathBuf {
    let shm = PathBuf::from(format!("/dev/shm/tympan-{}", rustix::process::geteuid().as_raw()));
    if room(Path::new("/dev/shm")) >= RUNTIME_FREE_BYTES {
        return shm;
    }
    match from_env("XDG_RUNTIME_DIR").filter(|dir| room(dir) >= RUNTIME_FREE_BYTES) {
        Some(dir) => dir.join("tympan"),
        None => shm,
    }
}

//! The folders: rings on tmpfs, data that stays, models that can be fetched again.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The room rings need at the least: two channels, 10 s, two epochs.
const RUNTIME_FREE_BYTES: u64 = 32 << 20;

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// Rings, control socket, lock.
    pub runtime: PathBuf,
    /// What stays: spilled and pending sound.
    pub data: PathBuf,
}

impl Folders {
    /// The folders of this user, or those that `TYMPAN_RUNTIME_DIR` and `TYMPAN_DATA_DIR` name. Nothing is created.
    ///
    /// # Errors
    /// When no home is known.
    pub(crate) fn of_user() -> Result<Self> {
        let runtime = match from_env("TYMPAN_RUNTIME_DIR") {
            Some(dir) => absolute(&dir)?,
            None => default_runtime(),
        };
        let data = match from_env("TYMPAN_DATA_DIR") {
            Some(dir) => absolute(&dir)?,
            None => xdg("XDG_DATA_HOME", ".local/share")?.join("tympan"),
        };
        Ok(Self { runtime, data })
    }

    /// This process's utterances that must outlive their ring.
    pub(crate) fn spill(&self) -> PathBuf {
        self.data.join("spill").join(crate::owner::owner_tag())
    }

    /// Utterances that no run has written down.
    pub(crate) fn pending(&self) -> PathBuf {
        self.data.join("pending")
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// Makes all folders, private.
    ///
    /// # Errors
    /// When one cannot be made, or is not private to this user.
    pub(crate) fn create(&self) -> Result<()> {
        for dir in [&self.runtime, &self.data, &self.data.join("spill"), &self.spill()] {
            private_dir(dir)?;
        }
        Ok(())
    }
}

/// The folder of models: `$XDG_CACHE_HOME/tympan/models`.
///
/// # Errors
/// When no home is known.
pub(crate) fn models() -> Result<PathBuf> {
    Ok(xdg("XDG_CACHE_HOME", ".cache")?.join("tympan/models"))
}

/// Makes a folder that only this user can enter, or checks that it is one.
///
/// # Errors
/// When it belongs to somebody else or is open to others.
pub(crate) fn private_dir(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let meta = std::fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let uid = rustix::process::geteuid().as_raw();
    if !meta.is_dir() {
        bail!("{} is not a folder", dir.display());
    }
    if meta.uid() != uid {
        bail!(
            "{} belongs to user {}, not to you ({uid}); TYMPAN_RUNTIME_DIR or TYMPAN_DATA_DIR names another folder",
            dir.display(),
            meta.uid()
        );
    }
    if meta.mode() & 0o077 != 0 {
        bail!("{} is open to other users; `chmod 700 {}` closes it", dir.display(), dir.display());
    }
    Ok(())
}

fn from_env(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).with_context(|| format!("the folder {}", dir.display()))
}

fn xdg(name: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(dir) = from_env(name).filter(|dir| dir.is_absolute()) {
        return Ok(dir);
    }
    let home = from_env("HOME").with_context(|| format!("neither {name} nor HOME is set: no place for files"))?;
    Ok(home.join(below_home))
}

/// `/dev/shm/tympan-<uid>` where there is room, else `$XDG_RUNTIME_DIR/tympan`.
fn default_runtime() -> PathBuf {
    let shm = PathBuf::from(format!("/dev/shm/tympan-{}", rustix::process::geteuid().as_raw()));
    let room = |dir: &Path| rustix::fs::statvfs(dir).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    if room(Path::new("/dev/shm")) >= RUNTIME_FREE_BYTES {
        return shm;
    }
    match from_env("XDG_RUNTIME_DIR").filter(|dir| room(dir) >= RUNTIME_FREE_BYTES) {
        Some(dir) => dir.join("tympan"),
        None => shm,
    }
}

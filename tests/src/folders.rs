//! Private folders of one instance.

use crate::processes::processes_of;
use crate::programs::{model, program};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A runtime folder in shared memory and a data folder on disk; both go when this goes.
#[derive(Debug)]
pub struct Folders {
    shared: TempDir,
    data: TempDir,
    /// Who runs what runs here, where that is not whoever runs the tests.
    user: Option<u32>,
}

/// A user without any power: `nobody`.
const PLAIN_USER: u32 = 65_534;

/// What a run needs of the programs.
const PROGRAMS: [&str; 3] = ["tympan", "audio-engine", "transcriber-worker"];

impl Folders {
    /// New ones. Neither exists yet: making them, private, is the program's work.
    ///
    /// # Errors
    /// When there is no room.
    pub fn new() -> Result<Self> {
        let prefix = "tympan-test-";
        let shared = tempfile::Builder::new().prefix(prefix).tempdir_in("/dev/shm")?;
        std::fs::create_dir(shared.path().join("tmp"))?;
        let data = tempfile::Builder::new().prefix(prefix).tempdir()?;
        std::fs::DirBuilder::new().mode(0o700).create(data.path().join("session"))?;
        Ok(Self { shared, data, user: None })
    }

    /// Of a user who has no power, with programs and models that this one can read: root's other self, or whoever else runs
    /// the tests.
    ///
    /// # Errors
    /// When there is no room, or a program or model is missing.
    pub fn of_plain_user() -> Result<Self> {
        let folders = Self::new()?;
        if !nix::unistd::geteuid().is_root() {
            return Ok(folders);
        }
        let (data, shared) = (folders.data.path(), folders.shared.path());
        let models = data.join("cache/tympan/models");
        std::fs::create_dir_all(&models)?;
        std::fs::create_dir(data.join("programs"))?;
        for name in PROGRAMS {
            put(&program(name)?, &data.join("programs").join(name))?;
        }
        let model = model()?;
        let beside = model.parent().context("a folder of models")?;
        for file in [&model, &beside.join(crate::VAD_FILE)] {
            put(file, &models.join(file.file_name().context("a name")?))?;
        }
        let all = [data, shared, &shared.join("tmp"), &data.join("session"), &models];
        all.into_iter().try_for_each(|dir| chown(dir, Some(PLAIN_USER), Some(PLAIN_USER)))?;
        Ok(Self { user: Some(PLAIN_USER), ..folders })
    }

    /// Where a program is that these folders' user may start.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        if self.user.is_some() { Ok(self.data.path().join("programs").join(name)) } else { program(name) }
    }

    /// tiny.en, where these folders' user may read it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn model(&self) -> Result<PathBuf> {
        let file = model()?;
        let name = file.file_name().context("a name")?;
        if self.user.is_some() { Ok(self.data.path().join("cache/tympan/models").join(name)) } else { Ok(file) }
    }

    /// For `TYMPAN_RUNTIME_DIR`.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.shared.path().join("run")
    }

    /// For `TYMPAN_DATA_DIR`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// A folder beside both, for what a test itself writes.
    #[must_use]
    pub fn notes(&self) -> &Path {
        self.data.path()
    }

    /// Puts a command into these folders.
    pub fn apply(&self, command: &mut Command) {
        // Settings of whoever runs the tests would change what is tested.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TYMPAN_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", self.data.path().join("config"));
        // Where libraries look for the user's sound server, and make their own folders.
        command.env("XDG_RUNTIME_DIR", self.data.path().join("session"));
        command.env("TYMPAN_RUNTIME_DIR", self.runtime()).env("TYMPAN_DATA_DIR", self.data());
        // What libraries leave in the folder for temporary files would be left for ever.
        command.env("TMPDIR", self.shared.path().join("tmp"));
        if let Some(user) = self.user {
            command.uid(user).gid(user).current_dir(self.data.path());
            command.env("HOME", self.data.path()).env("XDG_CACHE_HOME", self.data.path().join("cache"));
        }
    }

    /// All files below the runtime folder, folders not counted.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn runtime_files(&self) -> Result<Vec<PathBuf>> {
        files_below(&self.runtime())
    }

    /// Neither a process of this instance nor a file in its runtime folder is left.
    ///
    /// # Errors
    /// What is left.
    pub fn assert_clean(&self) -> Result<()> {
        let left = processes_of(&self.runtime());
        ensure!(left.is_empty(), "processes left: {left:?}");
        let files = self.runtime_files()?;
        ensure!(files.is_empty(), "files left in the runtime folder: {files:?}");
        let temporary: Vec<_> = std::fs::read_dir(self.shared.path().join("tmp"))?.flatten().collect();
        ensure!(temporary.is_empty(), "temporary files left: {temporary:?}");
        Ok(())
    }
}

/// The same file under another name, which everybody may read; a copy where that is on another disk.
fn put(file: &Path, name: &Path) -> Result<()> {
    if file.metadata()?.permissions().mode() & 0o004 == 0 || std::fs::hard_link(file, name).is_err() {
        std::fs::copy(file, name)?;
        let mode = file.metadata()?.permissions().mode() | 0o444;
        std::fs::set_permissions(name, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(e) => return Err(e.into()),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

//! Private folders of one instance.

use crate::processes::processes_of;
use anyhow::{Result, ensure};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A runtime folder in shared memory and a data folder on disk; both go when this goes.
#[derive(Debug)]
pub struct Folders {
    shared: TempDir,
    data: TempDir,
}

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
        Ok(Self { shared, data })
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

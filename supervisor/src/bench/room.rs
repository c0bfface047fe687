//! A room of its own in shared memory: nothing of a bench touches the user's instance, words or log.

use crate::paths::{Folders, SET_BY, private_dir};
use crate::recovery::{self, RECORDING};
use crate::settings::Settings;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder; removed when it is dropped. One whose process was killed is removed by the next command that makes one.
#[derive(Debug)]
pub(super) struct Room {
    path: PathBuf,
    runtime: PathBuf,
}

impl Room {
    /// Makes it, in the runtime folder of the user.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let runtime = Folders::of_new(settings)?.runtime;
        private_dir(&runtime, SET_BY)?;
        recovery::clear_orphaned_recordings(&runtime);
        let path = runtime.join(format!("{RECORDING}{}", crate::owner::owner_tag()));
        private_dir(&path, SET_BY)?;
        Ok(Self { path, runtime })
    }

    /// A path in it.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the instance that is measured has its rings.
    pub(super) fn instance(&self) -> PathBuf {
        self.at("run")
    }

    /// `tympan` with folders in this room, and otherwise as the user has set it.
    pub(super) fn tympan(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("TYMPAN_RUNTIME_DIR", self.instance()).env("TYMPAN_DATA_DIR", self.at("data"));
        command
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        // Only if nobody else uses it.
        let _ = std::fs::remove_dir(&self.runtime);
    }
}

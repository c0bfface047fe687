//! A home folder without models, for trying how they come.

use crate::{Finished, Folders, cache_home, run_to_end, tympan, watchdog};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The file of the voice detector.
pub const VAD_FILE: &str = "silero_vad_16k_op15.onnx";

/// The file of the default recogniser.
pub const TINY_FILE: &str = "ggml-tiny.en.bin";

/// Variables that lead to a proxy.
pub const PROXIES: [&str; 8] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// The voice detector as it is published: the small file of the two.
///
/// # Errors
/// When `scripts/fetch-model` has not been run.
pub fn vad() -> Result<Vec<u8>> {
    let path = cache_home()?.join("tympan/models").join(VAD_FILE);
    fs::read(&path).with_context(|| format!("{} is missing: run scripts/fetch-model", path.display()))
}

/// A home without anything, in which nothing but an address can be fetched from: there is no Python.
#[derive(Debug)]
pub struct BareHome {
    /// Its folders.
    pub folders: Folders,
    /// The home.
    pub home: tempfile::TempDir,
}

impl BareHome {
    /// A new one.
    ///
    /// # Errors
    /// When there is no room.
    pub fn new() -> Result<Self> {
        let this = Self { folders: Folders::new()?, home: tempfile::tempdir()? };
        fs::create_dir(this.home.path().join("bin"))?;
        Ok(this)
    }

    /// Where models go.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.home.path().join("cache/tympan/models")
    }

    /// A file among them.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.models().join(name)
    }

    /// `tympan` in this home, without proxies and mirrors.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = tympan(&self.folders)?;
        command.env("HOME", self.home.path()).env("XDG_CACHE_HOME", self.home.path().join("cache"));
        command.env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command.env("PATH", self.home.path().join("bin"));
        for name in PROXIES.iter().chain(&["TYMPAN_MODEL_URL", "TYMPAN_MODELS_DIR"]) {
            command.env_remove(name);
        }
        command.args(args);
        Ok(command)
    }

    /// `tympan` run to its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn run(&self, args: &[&str]) -> Result<Finished> {
        run_to_end(&mut self.command(args)?, watchdog(30.0))
    }

    /// `tympan model fetch` from a mirror.
    ///
    /// # Errors
    /// When it does not end.
    pub fn fetch(&self, mirror: &str, args: &[&str]) -> Result<Finished> {
        let mut command = self.command(&["model", "fetch"])?;
        run_to_end(command.args(args).env("TYMPAN_MODEL_URL", mirror), watchdog(30.0))
    }

    /// The files of the folder, without what every use of it leaves.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if self.models().exists() {
            for entry in fs::read_dir(self.models())? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name != ".lock" && !name.ends_with(".stamp") {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// Nothing but the voice detector is there, and it is right.
    ///
    /// # Errors
    /// What is there instead.
    pub fn has_vad_only(&self) -> Result<()> {
        ensure!(self.files()? == [VAD_FILE], "{:?}", self.files()?);
        ensure!(fs::read(self.file(VAD_FILE))? == vad()?, "another content");
        Ok(())
    }
}

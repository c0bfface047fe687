//! Where the built programs and the models are, and the two ways to have a file written down at once.

use crate::{Folders, run_to_end, watchdog};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's folder.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// A program of the workspace: beside the folder of the running test (`target/release/deps`).
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let beside = test.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?.join(name);
    ensure!(beside.is_file(), "{} is missing: run `cargo build --release` first", beside.display());
    Ok(beside)
}

/// `$XDG_CACHE_HOME`, or where it is by default.
///
/// # Errors
/// When there is no home folder.
pub fn cache_home() -> Result<PathBuf> {
    match std::env::var_os("XDG_CACHE_HOME").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => Ok(dir.into()),
        None => Ok(Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache")),
    }
}

/// tiny.en, as `scripts/fetch-model` leaves it.
///
/// # Errors
/// When it is not there.
pub fn model() -> Result<PathBuf> {
    let file = cache_home()?.join("tympan/models/ggml-tiny.en.bin");
    ensure!(file.is_file(), "{} is missing: run scripts/fetch-model", file.display());
    Ok(file)
}

/// `tympan` in these folders, ready for arguments.
///
/// # Errors
/// When it has not been built.
pub fn tympan(folders: &Folders) -> Result<Command> {
    let mut command = Command::new(folders.program("tympan")?);
    folders.apply(&mut command);
    Ok(command)
}

/// What `tympan transcribe --format json FILE` says.
///
/// # Errors
/// When it fails or says something else than one object.
pub fn transcribe(file: &Path) -> Result<Value> {
    let folders = Folders::new()?;
    let mut command = tympan(&folders)?;
    command.args(["transcribe", "--format", "json", "--model"]).arg(model()?).arg(file);
    let finished = run_to_end(&mut command, watchdog(30.0))?;
    finished.expect_success()?;
    folders.assert_clean()?;
    serde_json::from_str(&finished.stdout).with_context(|| format!("transcribe said {:?}", finished.stdout))
}

/// What whisper-rs says to the samples of `file` when called directly: greedy, full context, the whole clip.
///
/// # Errors
/// When it fails.
pub fn direct(file: &Path) -> Result<String> {
    let mut command = Command::new(program("transcriber-worker")?);
    command.args(["--role", "direct", "--model"]).arg(model()?).arg(file);
    let finished = run_to_end(&mut command, watchdog(30.0))?;
    finished.expect_success()?;
    let said: Value =
        serde_json::from_str(&finished.stdout).with_context(|| format!("direct said {:?}", finished.stdout))?;
    Ok(said["text"].as_str().context("no text")?.to_owned())
}

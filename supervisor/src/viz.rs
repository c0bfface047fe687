//! `tympan viz`: becomes the program that draws, whose flags are its own.

use crate::cli::VizArgs;
use crate::paths::Folders;
use crate::settings::{Settings, keys};
use crate::siblings;
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Replaces this process by `viz-reader`, and tells it which folder the rings are in.
///
/// # Errors
/// When it is missing or cannot be started; otherwise it does not return.
pub(crate) fn viz(args: &VizArgs, settings: &Settings) -> Result<()> {
    let program = siblings::viz_reader()?;
    let runtime = Folders::of_running(settings)?.runtime;
    let mut command = Command::new(&program);
    let error = command.args(&args.arguments).env(keys::RUNTIME_DIR.variable, runtime).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}

//! Commands that see a small file system in the place of a folder.

use crate::{Finished, run_to_end};
use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Mounts a tmpfs over `$1` with the options `$2`, runs the rest, and lists what that left there into `$3`.
const SCRIPT: &str = r#"
dir=$1; options=$2; left=$3; shift 3
mount -t tmpfs -o "$options" tympan-test "$dir" || exit 99
"$@"
code=$?
find "$dir" -mindepth 1 >"$left"
exit $code
"#;

/// What a command did on a small file system.
#[derive(Debug)]
pub struct OnSmallDisk {
    /// How it ended.
    pub finished: Finished,
    /// The files and folders that it left there.
    pub left: Vec<PathBuf>,
}

/// Runs a command for which a new tmpfs with these mount options (`size=1m,mode=700`) stands where `dir` is. Nobody else
/// sees it (a private mount namespace; for a plain user one of users, too), and it goes with the command.
///
/// # Errors
/// When the system does not allow that, or the command does not end in time.
pub fn on_small_disk(command: &Command, dir: &Path, options: &str, limit: Duration) -> Result<OnSmallDisk> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let left = tempfile::NamedTempFile::new()?;
    let mut inside = Command::new("unshare");
    inside.arg(if geteuid().is_root() { "-m" } else { "-rm" });
    inside.args(["sh", "-c", SCRIPT, "sh"]).arg(dir).arg(options).arg(left.path());
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    let finished = run_to_end(&mut inside, limit)?;
    ensure!(finished.code != Some(99), "a tmpfs cannot be mounted in a namespace: {}", finished.stderr);
    let left = fs::read_to_string(left.path()).context("what was left")?;
    Ok(OnSmallDisk { finished, left: left.lines().map(PathBuf::from).collect() })
}

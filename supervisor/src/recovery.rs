//! What a killed instance left behind: found, saved where it can be, removed.

use crate::owner::owner_is_dead;
use crate::paths::Folders;
use crate::refusal::refuse;
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use shm_layout::{RingReader, RingState, is_alive};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The one instance of a runtime folder. While it lives, nobody else starts there.
#[derive(Debug)]
pub(crate) struct InstanceLock {
    path: PathBuf,
    _file: OwnedFd,
}

impl InstanceLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// When another instance has it; its pid is named.
    pub(crate) fn take(runtime: &Path) -> Result<Self> {
        let path = runtime.join("instance.lock");
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
                .with_context(|| format!("cannot open {}", path.display()))?;
            let mut file = File::from(file);
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                refuse!(
                    AlreadyRuns,
                    "another tympan (pid {}) runs in {}; `tympan stop` ends it in order, and with another TYMPAN_RUNTIME_DIR both can run",
                    pid.trim(),
                    runtime.display()
                );
            }
            // The instance before may have removed the file between our open and our lock.
            let still_there = std::fs::metadata(&path).is_ok_and(|m| file.metadata().is_ok_and(|f| f.ino() == m.ino()));
            if still_there {
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Self { path, _file: file.into() });
            }
        }
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what an instance leaves in the runtime folder, at its end and before the next begins. The lock stays, and so do
/// rings that another program writes there.
pub(crate) fn clear_runtime(runtime: &Path) {
    let Ok(entries) = std::fs::read_dir(runtime) else { return };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if is_of_instance(&name) && !is_written(&path) {
            let _ = std::fs::remove_file(&path);
        } else if name.starts_with(".tmp") {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Whether a file is an instance's by its name: a ring or its draft, the socket, the name of the board. (ipc-channel's are folders.)
pub(crate) fn is_of_instance(name: &str) -> bool {
    name.ends_with(".ring")
        || name == "control.sock"
        || name == "board"
        || name.ends_with(".draft")
        || name.ends_with(".link")
}

/// Whether this is a ring, and its writer lives: when no engine of ours does, another program's.
pub(crate) fn is_written(path: &Path) -> bool {
    RingReader::attach(path).is_ok_and(|ring| {
        let info = ring.info();
        ring.state() == RingState::Live && is_alive(info.writer_pid, info.writer_start_time)
    })
}

/// Subfolders named by owners that are dead.
pub(crate) fn orphaned(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let dead = |path: &PathBuf| {
        let tag = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(prefix));
        tag.is_some_and(owner_is_dead)
    };
    entries.flatten().map(|entry| entry.path()).filter(dead).collect()
}

/// Removes the rings of recordings whose process was killed.
pub(crate) fn clear_orphaned_recordings(runtime: &Path) {
    for dir in orphaned(runtime, RECORDING) {
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// The folder name of a recording's rings begins with this; its owner's tag follows.
pub(crate) const RECORDING: &str = "recording-";

/// Keeps what killed instances had spilled; how many utterances there were.
///
/// # Errors
/// When a file cannot be moved.
pub(crate) fn keep_orphaned_spills(folders: &Folders) -> Result<usize> {
    let mut kept = 0;
    for dir in orphaned(&folders.data.join("spill"), "") {
        kept += keep_spilled(&dir, &folders.pending(), |_| true)?;
    }
    Ok(kept)
}

/// Moves the wanted spilled utterances into the folder of pending ones and removes their old folder; how many there were.
///
/// # Errors
/// When a file cannot be moved.
pub(crate) fn keep_spilled(spill: &Path, pending: &Path, wanted: impl Fn(&str) -> bool) -> Result<usize> {
    let Ok(entries) = std::fs::read_dir(spill) else { return Ok(0) };
    let tag = spill.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut kept = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.ends_with(".wav") && wanted(&file) {
            crate::paths::private_dir(pending, crate::paths::SET_BY)?;
            let name = format!("{tag}-{file}");
            std::fs::rename(&path, pending.join(name)).context("cannot keep a spilled utterance")?;
            kept += 1;
        }
    }
    std::fs::remove_dir_all(spill).context("cannot remove the spill folder")?;
    Ok(kept)
}

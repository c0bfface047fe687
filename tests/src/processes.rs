//! Processes by the folder in their environment, and their ends.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A process for good: a pid alone is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub start_time: u64,
    /// Its program and arguments.
    pub command: String,
}

impl Process {
    /// The process that has this id now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let start_time = shm_layout::start_time_of(pid)?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Self { pid, start_time, command: String::from_utf8_lossy(&command).replace('\0', " ").trim_end().into() })
    }

    /// Whether it still lives (a zombie does not).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        shm_layout::is_alive(self.pid, self.start_time)
    }

    /// SIGKILL. `false` when it had ended before.
    #[must_use]
    pub fn kill(&self) -> bool {
        self.is_alive() && end_process(self.pid, Signal::SIGKILL)
    }
}

/// Sends a signal; `false` when there is no such process.
#[must_use]
pub fn end_process(pid: u32, signal: Signal) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), signal).is_ok())
}

/// Every living process whose environment has this `TYMPAN_RUNTIME_DIR`.
#[must_use]
pub fn processes_of(runtime: &Path) -> Vec<Process> {
    let mut wanted = b"TYMPAN_RUNTIME_DIR=".to_vec();
    wanted.extend_from_slice(runtime.as_os_str().as_bytes());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&b| b == 0).any(|variable| variable == wanted)
        })
        .filter_map(Process::of)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_found_by_its_environment_and_ends() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(processes_of(folder.path()).is_empty());
        let mut child =
            Command::new("sleep").arg("60").env("TYMPAN_RUNTIME_DIR", folder.path()).spawn().expect("sleep");
        let found = crate::wait_until("the process", crate::watchdog(1.0), || Ok(processes_of(folder.path()).pop()));
        let found = found.expect("found");
        assert_eq!(found.pid, child.id());
        assert!(found.kill());
        child.wait().expect("wait");
        assert!(!found.is_alive() && !found.kill());
        assert!(processes_of(folder.path()).is_empty());
    }
}

//! Whether the process that wrote something is still the one that lives.

use std::io;

/// When a process started, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)). `None`: no such process.
///
/// Together with the pid it names a process for good: a pid alone is used again.
#[must_use]
pub fn start_time_of(pid: u32) -> Option<u64> {
    start_time_in(&stat_of(pid).ok()?)
}

fn stat_of(pid: u32) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
}

fn start_time_in(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether this very process lives. A zombie does not. When it cannot be told (a reader without file descriptors left), it
/// does: nobody is called dead on a guess.
#[must_use]
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    match stat_of(pid) {
        Ok(stat) => start_time_in(&stat) == Some(start_time),
        Err(e) => {
            e.kind() != io::ErrorKind::NotFound && e.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error())
        }
    }
}

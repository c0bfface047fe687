//! Whether the process that wrote something is still the one that lives.

/// When a process started, in clock ticks since boot (field 22 of `/proc/PID/stat`, proc(5)). `None`: no such process.
///
/// Together with the pid it names a process for good: a pid alone is used again.
#[must_use]
pub fn start_time_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether this very process lives. A zombie does not.
#[must_use]
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    start_time_of(pid) == Some(start_time)
}

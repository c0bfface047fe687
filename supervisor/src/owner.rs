//! Folders that belong to one process are named after it, so that it is known when they belong to nobody.

/// A name that only this process has ever had: its pid and start time.
pub(crate) fn owner_tag() -> String {
    let pid = std::process::id();
    format!("{pid}-{}", shm_layout::start_time_of(pid).unwrap_or(0))
}

/// Whether the process of this name is gone.
pub(crate) fn owner_is_dead(tag: &str) -> bool {
    let parsed = tag.split_once('-').and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
    parsed.is_some_and(|(pid, start)| !shm_layout::is_alive(pid, start))
}

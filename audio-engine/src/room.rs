//! Why an engine cannot begin: most often, because shared memory is small.

use control_protocol::{Exit, StreamName};
use shm_layout::CreateError;
use thiserror::Error;

/// Why there are no rings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct StartError {
    /// What, where, why, and what to do.
    pub reason: String,
    /// How the process ends.
    pub exit: Exit,
}

impl StartError {
    /// One that is told and not explained.
    #[must_use]
    pub const fn refused(reason: String) -> Self {
        Self { reason, exit: Exit::Refused }
    }

    /// No history that is worth having fits.
    #[must_use]
    pub fn of_history(error: CreateError, history_ms: u32) -> Self {
        let CreateError::NoRoom { path, free_bytes, needed_bytes } = error else {
            return Self::refused(format!("rings: {error}"));
        };
        // What is needed is told for the shortest history that is made unasked.
        let (asked_ms, needed_bytes) = if history_ms < HISTORY_MS_UNASKED {
            (history_ms, needed_bytes * u64::from(history_ms) / u64::from(HISTORY_MS_UNASKED))
        } else {
            (HISTORY_MS_UNASKED, needed_bytes)
        };
        Self::no_room(&path, Room { free_bytes, needed_bytes, history_ms: asked_ms })
    }

    /// A ring could not be made.
    #[must_use]
    pub fn of_ring(name: &StreamName, error: CreateError, history_ms: u32) -> Self {
        match error {
            CreateError::NoRoom { path, free_bytes, needed_bytes } => {
                Self::no_room(&path, Room { free_bytes, needed_bytes, history_ms })
            }
            error => Self::refused(format!("ring of {name}: {error}")),
        }
    }

    fn no_room(path: &str, room: Room) -> Self {
        Self { reason: room.advice(path), exit: Exit::NoRoom }
    }
}

/// The shortest history that the rings shrink to by themselves, as `shm_layout::fit_history` says.
const HISTORY_MS_UNASKED: u32 = 10_000;
/// The shortest history that can be asked for.
const HISTORY_MS_MIN: u32 = 5_000;

struct Room {
    free_bytes: u64,
    needed_bytes: u64,
    history_ms: u32,
}

impl Room {
    fn advice(&self, path: &str) -> String {
        let megabytes = self.needed_bytes.div_ceil(1 << 20);
        let free = self.free_bytes >> 20;
        let seconds = self.history_ms / 1_000;
        let mut text = format!(
            "no room for the rings in {path}: {megabytes} MB are needed for {seconds} s of history, {free} MB are free."
        );
        let least_bytes = self.needed_bytes * u64::from(HISTORY_MS_MIN) / u64::from(self.history_ms.max(1));
        if least_bytes <= self.free_bytes {
            text.push_str(&format!(" A shorter history needs less (--history {}).", HISTORY_MS_MIN / 1_000));
        } else {
            let seconds = HISTORY_MS_MIN / 1_000;
            text.push_str(&format!(
                " Even --history {seconds} needs more than that; fewer sources, or a lower --rate, need less."
            ));
        }
        // Twice what is needed, as an even number that people like to see.
        let size_mb = (2 * megabytes).next_power_of_two().max(256);
        if path.starts_with("/dev/shm") {
            text.push_str(&format!(
                " To make it larger: mount -o remount,size={size_mb}M /dev/shm, or docker run --shm-size={size_mb}m."
            ));
        } else {
            text.push_str(" TYMPAN_RUNTIME_DIR names another folder.");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(path: &str, free_mb: u64, needed_mb: u64) -> CreateError {
        CreateError::NoRoom { path: path.into(), free_bytes: free_mb << 20, needed_bytes: needed_mb << 20 }
    }

    #[test]
    fn a_small_shared_memory_is_told_with_what_to_do() {
        let error = StartError::of_history(none("/dev/shm/tympan-0", 50, 60), 30_000);
        assert_eq!(error.exit, Exit::NoRoom);
        for part in ["60 MB are needed", "50 MB are free", "/dev/shm/tympan-0", "--history 5", "size=256M", "shm-size"]
        {
            assert!(error.reason.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_would_not_help_is_not_advised() {
        let error = StartError::of_history(none("/tmp/rings", 1, 600), 30_000);
        assert!(error.reason.contains("Even --history 5 needs more") && !error.reason.contains("/dev/shm"), "{error}");
        assert!(error.reason.contains("TYMPAN_RUNTIME_DIR"), "{error}");
        // Five seconds were asked for: half of what ten need.
        let error = StartError::of_history(none("/dev/shm", 10, 60), 5_000);
        assert!(error.reason.contains("30 MB are needed for 5 s"), "{error}");
    }

    #[test]
    fn another_fault_of_a_folder_keeps_its_name() {
        let denied =
            CreateError::Io { path: "/x/mic.1.ring".into(), source: std::io::ErrorKind::PermissionDenied.into() };
        let error = StartError::of_ring(&StreamName::mix(), denied, 30_000);
        assert_eq!(error.exit, Exit::Refused);
        assert!(error.reason.contains("/x/mic.1.ring"), "{error}");
    }
}

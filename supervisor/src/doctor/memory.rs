//! Shared memory: whether the rings that are wanted fit.

use super::Case;
use super::finding::Finding;
use super::outside::{existing, megabytes, writable};
use super::surroundings::Surroundings;
use crate::settings::keys;
use control_protocol::Exit;
use rustix::fs::{statfs, statvfs};
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "shared memory";
/// A microphone has two channels at most, as far as anybody knows before it is open.
const CHANNELS_EACH: u32 = 2;
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

/// What is wanted, and what there is.
#[derive(Debug, Clone)]
struct Room {
    dir: PathBuf,
    rate_hz: u32,
    history_s: u32,
    channels: u32,
    free_bytes: u64,
    total_bytes: u64,
    /// Whether it is memory, not a disk.
    memory: bool,
    /// Frames that fit; `None` when not even the shortest history does.
    fits_frames: Option<u64>,
    /// Whether the file system that it should be on is there.
    mounted: bool,
    /// Whether the folder is there or can be made.
    makeable: bool,
}

/// Measures the runtime folder's file system.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let Ok(folders) = &case.folders else { return Vec::new() };
    if case.instances.get().is_some_and(|all| all.iter().any(|one| one.runtime == folders.runtime)) {
        return vec![Finding::good(NAME, "in use by the instance that runs")];
    }
    let sources = u32::try_from(case.settings.list(&keys::SOURCES).len().max(1)).unwrap_or(1);
    let dir = existing(&folders.runtime);
    let (rate_hz, history_s) = (case.settings.count(&keys::RATE), case.settings.count(&keys::HISTORY));
    // And the mix, which is as wide as the widest.
    let channels = (sources + 1) * CHANNELS_EACH;
    let (Ok(room), Ok(kind)) = (statvfs(&dir), statfs(&dir)) else {
        return vec![Finding::fault(NAME, Exit::NoRoom, format!("{} does not tell its size", dir.display()))];
    };
    let fits = shm_layout::fit_history(&dir, rate_hz, channels, history_s * 1_000);
    findings(
        &Room {
            rate_hz,
            history_s,
            channels,
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
            memory: [TMPFS, RAMFS].contains(&kind.f_type),
            fits_frames: fits.ok(),
            mounted: !folders.runtime.starts_with("/dev/shm") || Path::new("/dev/shm").is_dir(),
            makeable: writable(&dir),
            dir,
        },
        &case.here,
    )
}

impl Room {
    /// The rings may have half of the room, and two epochs stand beside each other.
    fn wanted_bytes(&self, history_s: u32) -> u64 {
        u64::from(self.rate_hz) * u64::from(history_s) * u64::from(self.channels) * 4 * 4
    }

    /// A size that people like to see.
    fn size_mb(&self) -> u64 {
        (2 * (self.wanted_bytes(self.history_s) >> 20)).next_power_of_two().max(256)
    }
}

fn findings(room: &Room, here: &Surroundings) -> Vec<Finding> {
    let dir = room.dir.display();
    if !room.mounted {
        let text = "/dev/shm is not there";
        let found = if room.makeable { Finding::warning(NAME, text) } else { Finding::fault(NAME, Exit::NoRoom, text) };
        return vec![found.means("the rings are in shared memory; TYMPAN_RUNTIME_DIR names another folder").mend(
            format!(
                "{0}mkdir -p /dev/shm && {0}mount -t tmpfs -o size={1}M tmpfs /dev/shm",
                here.sudo(),
                room.size_mb()
            ),
        )];
    }
    let (free, total) = (megabytes(room.free_bytes), megabytes(room.total_bytes));
    let there = format!("{dir} has {free} free of {total}");
    let wanted = format!("{} s of history want {}", room.history_s, megabytes(room.wanted_bytes(room.history_s)));
    let wanted_frames = u64::from(room.rate_hz) * u64::from(room.history_s);
    let Some(frames) = room.fits_frames else {
        let least_s = room.history_s.min(10);
        let least = megabytes(room.wanted_bytes(least_s));
        return vec![
            Finding::fault(NAME, Exit::NoRoom, format!("no room for the rings: {there}"))
                .means(format!("{wanted}, and the least, {least_s} s, {least}"))
                .mend(larger(room, here)),
        ];
    };
    if frames < wanted_frames {
        let fits_s = frames / u64::from(room.rate_hz.max(1));
        return vec![
            Finding::warning(NAME, format!("only {fits_s} s of history fit: {there}"))
                .means(format!("{wanted}; with less, sound that waits long to be written down goes to the disk"))
                .mend(format!("{}\ntympan run --history {fits_s}", larger(room, here))),
        ];
    }
    if !room.memory {
        return vec![
            Finding::note(NAME, format!("{dir} is on a disk, not in memory"))
                .means("the rings are written all the time; a slow disk makes gaps")
                .mend("unset TYMPAN_RUNTIME_DIR"),
        ];
    }
    vec![Finding::good(NAME, format!("{there}; {wanted}"))]
}

/// What makes the file system larger, or empties it.
fn larger(room: &Room, here: &Surroundings) -> String {
    let size_mb = room.size_mb();
    if room.total_bytes >= size_mb << 20 {
        // Large enough, and full of something else.
        return format!("du -xsh {}/* | sort -h", room.dir.display());
    }
    if !room.memory {
        return "unset TYMPAN_RUNTIME_DIR".to_owned();
    }
    if here.container && room.dir.starts_with("/dev/shm") {
        return format!("docker run --shm-size={size_mb}m IMAGE");
    }
    let mount = if room.dir.starts_with("/dev/shm") { Path::new("/dev/shm") } else { &room.dir };
    format!("{}mount -o remount,size={size_mb}M {}", here.sudo(), mount.display())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::surroundings::Installer;
    use super::*;

    fn room(total_mb: u64, fits_s: Option<u64>) -> Room {
        Room {
            dir: "/dev/shm/tympan-1".into(),
            rate_hz: 48_000,
            history_s: 30,
            channels: 4,
            free_bytes: total_mb << 20,
            total_bytes: total_mb << 20,
            memory: true,
            fits_frames: fits_s.map(|s| s * 48_000),
            mounted: true,
            makeable: true,
        }
    }

    #[test]
    fn what_fits_is_said_in_seconds() {
        let mut here = Surroundings::desktop(Installer::Apt);
        let found = |room: &Room, here: &Surroundings| findings(room, here).remove(0);
        assert_eq!(found(&room(12_000, Some(30)), &here).severity, Severity::Good);
        let small = found(&room(64, Some(21)), &here);
        assert_eq!(small.exit, Exit::Incomplete);
        assert_eq!(small.mend.as_deref(), Some("sudo mount -o remount,size=256M /dev/shm\ntympan run --history 21"));
        here.container = true;
        let none = found(&room(8, None), &here);
        assert_eq!((none.exit, none.mend.as_deref()), (Exit::NoRoom, Some("docker run --shm-size=256m IMAGE")));
        assert!(none.means.unwrap().contains("10 s"), "the least is said");
    }

    #[test]
    fn a_large_one_that_is_full_is_emptied_not_enlarged() {
        let here = Surroundings::desktop(Installer::Apt);
        let full = Room { free_bytes: 1 << 20, ..room(4_096, None) };
        assert!(findings(&full, &here)[0].mend.as_deref().unwrap().starts_with("du "));
    }

    #[test]
    fn a_disk_or_nothing_is_not_shared_memory() {
        let here = Surroundings::desktop(Installer::Apt);
        let disk = Room { memory: false, ..room(9_000, Some(30)) };
        assert_eq!(findings(&disk, &here)[0].severity, Severity::Note);
        let gone = Room { mounted: false, makeable: false, ..room(9_000, Some(30)) };
        assert_eq!(findings(&gone, &here)[0].exit, Exit::NoRoom);
        assert_eq!(findings(&Room { makeable: true, ..gone }, &here)[0].severity, Severity::Warning);
    }
}

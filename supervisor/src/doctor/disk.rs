//! The disks of data and models: whether there is room, and whether they can be written.

use super::Case;
use super::finding::Finding;
use super::outside::{existing, megabytes, quoted};
use crate::paths;
use control_protocol::Exit;
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::path::PathBuf;

pub(super) const NAME: &str = "disk";
const SMALL_BYTES: u64 = 100 << 20;
/// Below this, not even one utterance can be kept.
const FULL_BYTES: u64 = 1 << 20;

/// A folder's disk.
#[derive(Debug, Clone)]
struct Disk {
    what: &'static str,
    variable: &'static str,
    folder: PathBuf,
    /// Tells file systems apart.
    id: u64,
    free_bytes: u64,
    /// Files that can still be made.
    free_files: u64,
    read_only: bool,
    /// Whether reading is enough: models that are there.
    needs_writing: bool,
}

/// Measures both disks.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let mut wanted = Vec::new();
    if let Ok(folders) = &case.folders {
        wanted.push(("data", "TYMPAN_DATA_DIR", folders.data.clone(), true));
    }
    if let Ok(models) = paths::models(&case.settings) {
        let there = std::fs::read_dir(&models).is_ok_and(|mut entries| entries.next().is_some());
        wanted.push(("models", "TYMPAN_MODELS_DIR", models, !there));
    }
    let measured = wanted.into_iter().filter_map(|(what, variable, folder, needs_writing)| {
        let told = statvfs(existing(&folder)).ok()?;
        Some(Disk {
            what,
            variable,
            folder,
            id: told.f_fsid,
            free_bytes: told.f_bavail.saturating_mul(told.f_frsize),
            // Some file systems make files as long as there is room, and tell 0 of 0.
            free_files: if told.f_files == 0 { u64::MAX } else { told.f_favail },
            read_only: told.f_flag.contains(StatVfsMountFlags::RDONLY),
            needs_writing,
        })
    });
    findings(&measured.collect::<Vec<_>>())
}

fn findings(disks: &[Disk]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen: Vec<u64> = Vec::new();
    for disk in disks {
        // One disk with both folders is one finding.
        if seen.contains(&disk.id) {
            continue;
        }
        seen.push(disk.id);
        found.push(finding(disk));
    }
    found
}

fn finding(disk: &Disk) -> Finding {
    let (folder, free) = (disk.folder.display(), megabytes(disk.free_bytes));
    let elsewhere = format!("export {}=/path/on/another/disk", disk.variable);
    let look = format!("df -h {}", quoted(existing(&disk.folder)));
    if disk.read_only && disk.needs_writing {
        return Finding::fault(NAME, Exit::Fault, format!("the disk of {} ({folder}) is read-only", disk.what))
            .means(format!("nothing can be kept there; {} names another folder", disk.variable))
            .mend(elsewhere);
    }
    if disk.read_only {
        return Finding::good(NAME, format!("{folder} is read-only, which is enough for the models that are there"));
    }
    if disk.free_files == 0 {
        return Finding::fault(NAME, Exit::NoRoom, format!("the disk of {folder} can hold no more files"))
            .means("its table of files is full, though there may be room")
            .mend(look.replace("-h", "-i"));
    }
    if disk.free_bytes < FULL_BYTES {
        return Finding::fault(NAME, Exit::NoRoom, format!("the disk of {folder} is full"))
            .means("sound that waits to be written down cannot be kept, and no model fetched")
            .mend(look);
    }
    if disk.free_bytes < SMALL_BYTES {
        return Finding::warning(NAME, format!("only {free} free for {folder}"))
            .means("the smallest model has 78 MB, a minute of sound that waits 4 MB")
            .mend(look);
    }
    Finding::good(NAME, format!("{free} free for {} ({folder})", disk.what))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    fn disk(free_bytes: u64) -> Disk {
        Disk {
            what: "data",
            variable: "TYMPAN_DATA_DIR",
            folder: "/nowhere/tympan".into(),
            id: 1,
            free_bytes,
            free_files: 10,
            read_only: false,
            needs_writing: true,
        }
    }

    #[test]
    fn room_is_judged() {
        for (bytes, severity) in [(1 << 30, Severity::Good), (50 << 20, Severity::Warning), (1_000, Severity::Fault)] {
            assert_eq!(finding(&disk(bytes)).severity, severity, "{bytes}");
        }
        assert_eq!(finding(&disk(0)).exit, Exit::NoRoom);
        assert_eq!(finding(&Disk { free_files: 0, ..disk(1 << 30) }).exit, Exit::NoRoom);
    }

    #[test]
    fn read_only_is_enough_to_read() {
        let locked = Disk { read_only: true, ..disk(1 << 30) };
        assert_eq!(finding(&locked).severity, Severity::Fault);
        assert_eq!(finding(&Disk { needs_writing: false, ..locked }).severity, Severity::Good);
    }

    #[test]
    fn one_disk_is_one_finding() {
        let other = Disk { what: "models", id: 2, ..disk(1) };
        assert_eq!(findings(&[disk(1), disk(1)]).len(), 1);
        assert_eq!(findings(&[disk(1), other]).len(), 2);
    }
}

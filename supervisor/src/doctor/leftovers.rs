//! What instances that were killed left behind, and sound that nobody has written down.

use super::Case;
use super::finding::Finding;
use super::outside::{count, megabytes, quoted};
use crate::paths::{self, Folders};
use crate::recovery::{RECORDING, is_of_instance, is_written, orphaned};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "leftovers";

/// Files, and what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    files: u64,
    bytes: u64,
    /// Of the recordings among them.
    seconds: f64,
}

/// What lies where.
#[derive(Debug, Default)]
struct Lying {
    /// In runtime folders where nobody lives: rings, sockets, rings of recordings.
    runtime: Vec<(PathBuf, Sum)>,
    /// Utterances that instances, now dead, could not keep in memory.
    spilled: Sum,
    /// Utterances that were kept.
    pending: Sum,
    pending_folder: PathBuf,
}

/// Looks into the runtime places and the data folder.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let living = |dir: &Path| case.instances.get().into_iter().flatten().any(|instance| instance.runtime == dir);
    let mut lying = Lying::default();
    for place in paths::runtime_places(&case.settings) {
        let mut files = if living(&place) { Vec::new() } else { files_in(&place, is_of_instance) };
        files.retain(|file| !is_written(file));
        for folder in orphaned(&place, RECORDING) {
            files.extend(files_in(&folder, |_| true));
        }
        if !files.is_empty() {
            lying.runtime.push((place, sum(&files)));
        }
    }
    if let Ok(folders) = &case.folders {
        lying.spilled = spilled(folders);
        lying.pending_folder = folders.pending();
        lying.pending = sum(&files_in(&lying.pending_folder, is_wav));
    }
    findings(&lying)
}

fn is_wav(name: &str) -> bool {
    name.ends_with(".wav")
}

fn spilled(folders: &Folders) -> Sum {
    let orphans = orphaned(&folders.data.join("spill"), "");
    sum(&orphans.iter().flat_map(|folder| files_in(folder, is_wav)).collect::<Vec<_>>())
}

fn files_in(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| wanted(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect()
}

/// Two names of one file are one: a stream's ring has two.
fn sum(files: &[PathBuf]) -> Sum {
    let mut seen = std::collections::HashSet::new();
    let mut sum = Sum::default();
    for path in files {
        let Ok(meta) = std::fs::symlink_metadata(path) else { continue };
        if seen.insert((meta.dev(), meta.ino())) {
            sum.files += 1;
            sum.bytes += meta.blocks() * 512;
            sum.seconds += seconds_of(path).unwrap_or(0.0);
        }
    }
    sum
}

/// How long a WAV is, by its header and its size.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds_of(path: &Path) -> Option<f64> {
    let mut file = std::fs::File::open(path).ok().filter(|_| path.extension().is_some_and(|e| e == "wav"))?;
    let mut header = [0; 44];
    file.read_exact(&mut header).ok().filter(|()| header.starts_with(b"RIFF"))?;
    let bytes_a_second = u32::from_le_bytes(header[28..32].try_into().ok()?);
    let bytes = file.metadata().ok()?.len().saturating_sub(44);
    (bytes_a_second > 0).then(|| bytes as f64 / f64::from(bytes_a_second))
}

fn findings(lying: &Lying) -> Vec<Finding> {
    let mut found = Vec::new();
    for (place, sum) in &lying.runtime {
        let text = format!(
            "{} left in {} by a tympan that was killed ({})",
            count(sum.files, "file"),
            place.display(),
            megabytes(sum.bytes)
        );
        found.push(Finding::note(NAME, text).means("the next `tympan run` removes them").mend("tympan run"));
    }
    if lying.spilled.files > 0 {
        let text = format!("{} of a tympan that was killed", utterances(&lying.spilled));
        found.push(
            Finding::note(NAME, text)
                .means("the next `tympan run` keeps them as files, and says where")
                .mend("tympan run"),
        );
    }
    if lying.pending.files > 0 {
        let folder = lying.pending_folder.display();
        let name = quoted(&lying.pending_folder);
        found.push(
            Finding::note(NAME, format!("{} wait in {folder}", utterances(&lying.pending)))
                .means("the first command writes them down, the second removes them")
                .mend(format!("tympan transcribe {name}/*.wav\nrm -r {name}")),
        );
    }
    if found.is_empty() {
        found.push(Finding::good(NAME, "none"));
    }
    found
}

fn utterances(sum: &Sum) -> String {
    format!(
        "{} that nobody has written down ({:.1} s, {})",
        count(sum.files, "utterance"),
        sum.seconds,
        megabytes(sum.bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn what_lies_there_is_told_with_what_to_do() {
        let some = Sum { files: 2, bytes: 5 << 20, seconds: 12.34 };
        let lying = Lying {
            runtime: vec![("/dev/shm/tympan-1".into(), some)],
            spilled: Sum { files: 1, ..some },
            pending: some,
            pending_folder: "/home/me/my data/pending".into(),
        };
        let found = findings(&lying);
        assert!(found.iter().all(|finding| finding.severity == Severity::Note));
        assert!(
            found[0].what.contains("2 files left in /dev/shm/tympan-1") && found[0].what.contains("5 MB"),
            "{found:?}"
        );
        assert!(found[1].what.starts_with("1 utterance that") && found[1].what.contains("12.3 s"), "{found:?}");
        let mend = found[2].mend.as_deref().unwrap();
        assert!(mend.starts_with("tympan transcribe '/home/me/my data/pending'/*.wav\nrm -r "), "{mend}");
        assert_eq!(findings(&Lying::default())[0].severity, Severity::Good);
    }

    #[test]
    fn links_count_once_and_recordings_have_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let wav = folder.path().join("a.wav");
        let mut bytes = vec![0; 44 + 64_000];
        bytes[..4].copy_from_slice(b"RIFF");
        bytes[28..32].copy_from_slice(&32_000u32.to_le_bytes());
        std::fs::write(&wav, bytes).unwrap();
        std::fs::hard_link(&wav, folder.path().join("b.wav")).unwrap();
        let found = sum(&files_in(folder.path(), is_wav));
        assert_eq!((found.files, found.seconds), (1, 2.0));
        assert!(found.bytes >= 64_000);
    }
}

//! The folder of the rings: what files are called, and which are there.

use crate::{Epoch, FrameIndex, RingInfo, RingReader, RingState};
use std::io;
use std::path::{Path, PathBuf};

/// The file of one epoch of a stream.
#[must_use]
pub fn ring_file(stream: &str, epoch: Epoch) -> String {
    format!("{stream}.{epoch}.ring")
}

/// The file readers open: a hard link to the stream's newest epoch.
#[must_use]
pub fn stream_link(stream: &str) -> String {
    format!("{stream}.ring")
}

/// A ring that is there.
#[derive(Debug, Clone)]
pub struct RingEntry {
    /// Its own file (not the link).
    pub path: PathBuf,
    /// What never changes in it.
    pub info: RingInfo,
    /// Whether it is written.
    pub state: RingState,
    /// One past its newest frame.
    pub commit: FrameIndex,
    /// Frames never captured.
    pub gap_frames: u64,
}

/// All epochs of all streams in a folder, by stream and epoch. Files that are no rings are passed over.
///
/// # Errors
/// When the folder cannot be read.
pub fn list_rings(dir: &Path) -> io::Result<Vec<RingEntry>> {
    let mut rings = Vec::new();
    for (_, _, path) in epoch_files(dir)? {
        if let Ok(reader) = RingReader::attach(&path) {
            rings.push(RingEntry {
                state: reader.state(),
                commit: reader.commit(),
                gap_frames: reader.gap_frames(),
                info: reader.info().clone(),
                path,
            });
        }
    }
    rings.sort_by(|a, b| (&a.info.stream, a.info.epoch).cmp(&(&b.info.stream, b.info.epoch)));
    Ok(rings)
}

/// The epochs of one stream that have a file, ascending.
///
/// # Errors
/// When the folder cannot be read.
pub fn epochs_of(dir: &Path, stream: &str) -> io::Result<Vec<Epoch>> {
    let mut epochs: Vec<_> =
        epoch_files(dir)?.into_iter().filter(|(name, _, _)| name == stream).map(|(_, epoch, _)| epoch).collect();
    epochs.sort_unstable();
    Ok(epochs)
}

/// `(stream, epoch, path)` of each file that is named like an epoch.
fn epoch_files(dir: &Path) -> io::Result<Vec<(String, Epoch, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let parsed = name.to_str().and_then(|name| name.strip_suffix(".ring")).and_then(|name| name.rsplit_once('.'));
        if let Some((stream, epoch)) = parsed
            && let Ok(number) = epoch.parse::<u64>()
            // `+5` and `007` are numbers, and nobody's file.
            && number.to_string() == epoch
        {
            files.push((stream.to_owned(), Epoch(number), entry.path()));
        }
    }
    Ok(files)
}

//! Finding model files for a run.

use crate::model::refused;
use anyhow::Result;
use model_store::{Progress, Step, Store, megabytes};
use std::path::{Path, PathBuf};

/// Reading less than this takes no time that a person notices.
const NOTICED_BYTES: u64 = 300_000_000;

/// The recogniser's file: a name that `tympan model list` shows, or a path.
///
/// # Errors
/// When it is not there, or not what it should be; says what to do.
pub(crate) fn recogniser(folder: &Path, model: &str) -> Result<PathBuf> {
    Store::new(folder.to_owned()).locate(model, &mut FirstRead).map_err(refused)
}

/// The voice detector's file.
///
/// # Errors
/// When it is not there, or not what it should be; says what to do.
pub(crate) fn voice_detector(folder: &Path) -> Result<PathBuf> {
    Store::new(folder.to_owned()).locate_voice_detector(&mut FirstRead).map_err(refused)
}

/// Says why a start takes some seconds once.
struct FirstRead;

impl Progress for FirstRead {
    fn step(&mut self, step: &Step) {
        if let Step::Checking { file, total } = step
            && *total >= NOTICED_BYTES
        {
            eprintln!("tympan: reading {file} ({}) to check it; this is once", megabytes(*total));
        }
    }

    fn bytes(&mut self, _: u64) {}
}

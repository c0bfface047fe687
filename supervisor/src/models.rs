//! Finding model files for a run.

use crate::model::refused;
use crate::paths;
use crate::refusal::refuse;
use crate::settings::{Settings, keys};
use anyhow::Result;
use model_store::{Progress, Step, Store, StoreError, megabytes};
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

/// Both files, in this order.
///
/// # Errors
/// When one is not there, or not what it should be; says what to do about both.
pub(crate) fn wanted(settings: &Settings) -> Result<(PathBuf, PathBuf)> {
    let store = Store::new(paths::models(settings)?);
    let model = settings.text(&keys::MODEL).unwrap_or_default();
    let recogniser = store.locate(&model, &mut FirstRead);
    let voice_detector = store.locate_voice_detector(&mut FirstRead);
    if let (Err(StoreError::Missing { name, .. }), Err(StoreError::Missing { name: other, .. })) =
        (&recogniser, &voice_detector)
    {
        let folder = store.folder().display();
        refuse!(
            NoModel,
            "the models {name} and {other} are not here (looked in {folder}); `tympan model fetch {name} {other}` \
             fetches them"
        );
    }
    Ok((recogniser.map_err(refused)?, voice_detector.map_err(refused)?))
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

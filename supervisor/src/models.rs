//! Finding model files.

use crate::refusal::refuse;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The voice detector's file.
const VAD: &str = "silero_vad_16k_op15.onnx";

/// The recogniser's file: a path as it is, a name as `ggml-NAME.bin` in the models folder.
///
/// # Errors
/// When it is not there; says what to do.
pub(crate) fn recogniser(folder: &Path, model: &str) -> Result<PathBuf> {
    if model.contains('/') || Path::new(model).extension().is_some_and(|e| e == "bin") {
        let path = std::path::absolute(model)?;
        if path.is_file() {
            return Ok(path);
        }
        refuse!(NoModel, "there is no model file {}", path.display());
    }
    let path = folder.join(format!("ggml-{model}.bin"));
    if path.is_file() {
        return Ok(path);
    }
    refuse!(
        NoModel,
        "the model {model} is not there (looked for {}); `scripts/fetch-model` fetches tiny.en",
        path.display()
    );
}

/// The voice detector's file.
///
/// # Errors
/// When it is not there; says what to do.
pub(crate) fn voice_detector(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(VAD);
    if path.is_file() {
        return Ok(path);
    }
    refuse!(
        NoModel,
        "the voice detector is not there (looked for {}); `scripts/fetch-model` fetches it",
        path.display()
    );
}

//! The clips that are built in, so that a bench needs nothing but the programs: they are inside this one, as the demo
//! clip is inside the engine, for an installed program has no checkout to read.

use anyhow::{Context, Result};
use std::path::Path;

const FILES: [(&str, &[u8]); 8] = [
    ("manifest.json", include_bytes!("../../../speech/manifest.json")),
    ("times.json", include_bytes!("../../../speech/times.json")),
    ("jfk.wav", include_bytes!("../../../speech/jfk.wav")),
    ("librivox_0870.wav", include_bytes!("../../../speech/librivox_0870.wav")),
    ("librivox_0880.wav", include_bytes!("../../../speech/librivox_0880.wav")),
    ("librivox_0890.wav", include_bytes!("../../../speech/librivox_0890.wav")),
    ("librivox_0920.wav", include_bytes!("../../../speech/librivox_0920.wav")),
    ("librivox_0930.wav", include_bytes!("../../../speech/librivox_0930.wav")),
];

/// Writes them into a folder that is made: from there on they are like a user's recordings.
///
/// # Errors
/// When there is no room.
pub(super) fn unpack(folder: &Path) -> Result<()> {
    std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, bytes) in FILES {
        let file = folder.join(name);
        std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

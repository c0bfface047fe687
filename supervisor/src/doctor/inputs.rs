//! The kernel's inputs, as device files.

use std::path::{Path, PathBuf};

/// Where they are.
pub(super) const DEVICES: &str = "/dev/snd";

/// Whether there is an input that this user may open.
pub(super) fn hears_something() -> bool {
    inputs().iter().any(|(_, allowed)| *allowed)
}

/// All inputs, and whether this user may open them: `pcmC0D0c` is card 0, device 0, capture.
pub(super) fn inputs() -> Vec<(PathBuf, bool)> {
    let entries = std::fs::read_dir(DEVICES).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_input = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with("pcmC") && n.ends_with('c'))
    };
    let allowed = |path: &Path| {
        let wanted = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
        rustix::fs::access(path, wanted).is_ok()
    };
    let mut inputs: Vec<_> = entries.filter(is_input).map(|path| (path.clone(), allowed(&path))).collect();
    inputs.sort();
    inputs
}

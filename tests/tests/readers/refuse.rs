//! Files that are no rings.

use crate::answer::{CHECKSUM, Everyone, put, ring_bytes, seal, write_private};
use crate::shared_folder;
use anyhow::{Context, Result, ensure};
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn command(program: &str, arguments: &[&Path]) -> Result<()> {
    ensure!(Command::new(program).args(arguments).status()?.success(), "{program} failed");
    Ok(())
}

/// A file that belongs to somebody else.
fn foreign(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    write_private(path, bytes)?;
    match std::os::unix::fs::chown(path, Some(65_534), None) {
        Ok(()) => Ok(path.to_owned()),
        // Only root may give a file away; to everybody else, root's files are foreign.
        Err(_) => Ok("/etc/passwd".into()),
    }
}

#[test]
fn files_that_are_no_rings_are_refused_for_their_reason() -> Result<()> {
    let folder = shared_folder()?;
    let path = |name: &str| folder.path().join(name);
    let good = ring_bytes(folder.path(), 2_500)?;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let sealed = |offset: usize, value: u64| {
        changed(&|bytes| {
            put(bytes, offset, value);
            seal(bytes);
        })
    };
    let contents: [(&str, &str, Vec<u8>); 22] = [
        ("ok", "good", good.clone()),
        ("ok", "unknown optional feature", sealed(288, 3 | 1 << 40)),
        ("ok", "no labels and no overview", sealed(288, 0)),
        ("error feature", "unknown required feature", sealed(280, 1)),
        ("error version", "version 3", sealed(8, 3)),
        ("error version", "version 1", sealed(8, 1)),
        ("error malformed", "empty", Vec::new()),
        ("error malformed", "half a header", good[..2_000].to_vec()),
        ("error malformed", "cut off", good[..good.len() - 4_096].to_vec()),
        ("error malformed", "longer", changed(&|bytes| bytes.extend([0; 4_096]))),
        ("error malformed", "another magic", sealed(0, 1)),
        ("error malformed", "a wrong checksum", changed(&|bytes| bytes[CHECKSUM] ^= 1)),
        ("error malformed", "a flipped bit", changed(&|bytes| bytes[3_000] ^= 4)),
        ("error malformed", "no channels", sealed(24, 0)),
        ("error malformed", "65 channels", sealed(24, 65)),
        ("error malformed", "a capacity beyond the file", sealed(32, 1 << 40)),
        ("error malformed", "a capacity that overflows", sealed(32, u64::MAX / 4 + 2)),
        ("error malformed", "a stride that overflows", sealed(352, 1 << 63)),
        ("error malformed", "a table behind the samples", sealed(368, 1 << 20)),
        ("error malformed", "a name of nothing", sealed(392, 0)),
        ("error malformed", "a name with a slash", sealed(400, u64::from_le_bytes(*b"../../ab"))),
        ("error malformed", "a label that is no UTF-8", sealed(512, 0xff)),
    ];
    let mut everyone = Everyone::start()?;
    for (expected, name, bytes) in &contents {
        write_private(&path(name), bytes)?;
        let said = everyone.ask(&path(name)).with_context(|| (*name).to_owned())?;
        ensure!(said.starts_with(expected), "{name}: {said}");
    }
    let (link, fifo, holes, open) = (path("a link"), path("a fifo"), path("holes"), path("open to others"));
    std::os::unix::fs::symlink(path("good"), &link)?;
    command("mkfifo", &[Path::new("-m600"), &fifo])?;
    write_private(&holes, &good[..4_096])?;
    OpenOptions::new().write(true).open(&holes)?.set_len(good.len() as u64)?;
    write_private(&open, &good)?;
    for mode in [0o644, 0o620, 0o601] {
        std::fs::set_permissions(&open, Permissions::from_mode(mode))?;
        ensure!(everyone.ask(&open)? == "error untrusted", "mode {mode:o}");
    }
    for (expected, path) in [
        ("error missing", path("nothing there")),
        ("error untrusted", link),
        ("error untrusted", fifo),
        ("error untrusted", holes),
        ("error untrusted", foreign(&path("foreign"), &good)?),
        ("error untrusted", folder.path().to_owned()),
        ("error io", path("good").join("below a file")),
    ] {
        let said = everyone.ask(&path)?;
        ensure!(said == expected, "{}: {said}, not {expected}", path.display());
    }
    everyone.end()
}

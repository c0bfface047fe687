//! Opening a ring file that somebody else made: what it is, is checked before its bytes are.

use crate::RingInfo;
use crate::memory::Mapping;
use crate::offset::HEADER_END;
use crate::parse::{AttachError, parse};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file that is what it should be; its bytes are still to be checked.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) bytes: usize,
}

/// Opens a file of this user's that nobody else can reach, and that reading cannot kill us by.
pub(crate) fn open_private(path: &Path, access: OFlags) -> Result<Opened, AttachError> {
    let name = || path.display().to_string();
    let io = |source: io::Error| AttachError::Io { path: name(), source };
    // NOFOLLOW and NONBLOCK: neither a symbolic link nor a FIFO may lead or hold us anywhere.
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Err(AttachError::Missing(name())),
        Err(rustix::io::Errno::LOOP) => return Err(AttachError::Untrusted { path: name(), why: "a symbolic link" }),
        Err(e) => return Err(io(e.into())),
    };
    let meta = file.metadata().map_err(io)?;
    let untrusted = |why| Err(AttachError::Untrusted { path: name(), why });
    if !meta.is_file() {
        return untrusted("not a regular file");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return untrusted("it belongs to another user");
    }
    if meta.mode() & 0o077 != 0 {
        return untrusted("it is open to other users");
    }
    let bytes = usize::try_from(meta.len()).map_err(|e| io(io::Error::other(e)))?;
    if bytes < HEADER_END {
        return Err(AttachError::Malformed("shorter than its header"));
    }
    // A hole is filled when it is touched, and where the file system is full by then, touching it kills the reader.
    if meta.blocks().saturating_mul(512) < meta.len() {
        return untrusted("it has holes");
    }
    Ok(Opened { file, bytes })
}

/// Opens and checks a ring file. `limit` shortens the mapping (the warden maps the hot lines only).
pub(crate) fn open(
    path: &Path,
    access: OFlags,
    map: fn(&File, usize) -> io::Result<Mapping>,
    limit: Option<usize>,
) -> Result<(Mapping, RingInfo), AttachError> {
    let Opened { file, bytes } = open_private(path, access)?;
    let io = |source: io::Error| AttachError::Io { path: path.display().to_string(), source };
    let map = map(&file, limit.unwrap_or(bytes)).map_err(io)?;
    let info = parse(&map, bytes as u64)?;
    Ok((map, info))
}

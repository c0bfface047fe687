//! Clients of the control socket: one that asks sensibly, and others.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use system_tests::{Chance, Status, watchdog};

/// Clients of one event.
const MANY: u64 = 6;

fn connect(runtime: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(runtime.join("control.sock"))?;
    stream.set_read_timeout(Some(watchdog(1.0)))?;
    stream.set_write_timeout(Some(watchdog(1.0)))?;
    Ok(stream)
}

/// What the instance says of itself.
///
/// # Errors
/// When it does not answer.
pub(crate) fn status(runtime: &Path) -> Result<Status> {
    let mut stream = connect(runtime)?;
    stream.write_all(b"{\"command\":\"status\"}\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let said: Value = serde_json::from_str(&line).with_context(|| format!("answered {line:?}"))?;
    serde_json::from_value(said.clone()).with_context(|| format!("answered {said}"))
}

/// Clients that say what means nothing, and leave or stay without reading an answer.
///
/// # Errors
/// When there is nobody to say it to.
pub(crate) fn garbage(runtime: &Path, chance: &mut Chance) -> Result<Vec<UnixStream>> {
    let mut staying = Vec::new();
    for _ in 0..MANY {
        let mut stream = connect(runtime)?;
        let bytes: Vec<u8> = (0..=chance.below(100_000)).map(|_| chance.below(256).to_le_bytes()[0]).collect();
        // It may be shut out in the middle of it.
        stream.write_all(&bytes).ok();
        if chance.below(2) == 0 {
            staying.push(stream);
        }
    }
    Ok(staying)
}

/// Clients that say nothing, or half a request, and stay.
///
/// # Errors
/// When there is nobody to say it to.
pub(crate) fn silent(runtime: &Path, chance: &mut Chance) -> Result<Vec<UnixStream>> {
    let stay = |_| {
        let mut stream = connect(runtime)?;
        if chance.below(2) == 0 {
            stream.write_all(b"{\"command\":\"sta")?;
        }
        Ok(stream)
    };
    (0..MANY).map(stay).collect()
}

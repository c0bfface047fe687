//! The control socket: a private unix socket, one JSON object a line each way. `CONTROL.md` documents it.
//!
//! Each client has a thread of its own, so a slow, stuck or hostile one harms nobody: requests are bounded in length,
//! number and time, and the loop hands its answer over without waiting.

use crate::event::{Event, Request};
use crate::refusal::refuse;
use anyhow::{Context, Result, bail};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

const CLIENTS_MAX: usize = 16;
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// How long a client may be silent, or not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the loop may take for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Opens the socket and serves it from threads of its own.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn serve(path: &Path, events: SyncSender<Event>) -> Result<()> {
    // The instance's lock is held: a socket that is there has nobody behind it.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("cannot open {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let clients = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if clients.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
                clients.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let (events, mine) = (events.clone(), Arc::clone(&clients));
            let served = std::thread::Builder::new().name("client".into()).spawn(move || {
                // A client that breaks off is nobody's fault.
                let _ = converse(&stream, &events);
                mine.fetch_sub(1, Ordering::AcqRel);
            });
            if served.is_err() {
                clients.fetch_sub(1, Ordering::AcqRel);
            }
        }
    })?;
    Ok(())
}

fn converse(stream: &UnixStream, events: &SyncSender<Event>) -> Result<()> {
    let peer = getsockopt(stream, PeerCredentials)?;
    if peer.uid() != rustix::process::geteuid().as_raw() {
        bail!("user {} asked", peer.uid());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = reader.by_ref().take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)?;
        if bytes == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let answer =
            if whole { answer(&line, events) } else { json!({"error": "a request is one line of at most 64 KiB"}) };
        writeln!(&*stream, "{answer}")?;
        if !whole {
            return Ok(());
        }
    }
}

fn answer(line: &[u8], events: &SyncSender<Event>) -> Value {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(e) => return json!({"error": format!("not a request: {e}")}),
    };
    let (sender, receiver) = sync_channel(1);
    if events.send(Event::Request(request, sender)).is_err() {
        return json!({"error": "ending"});
    }
    receiver.recv_timeout(ANSWER).unwrap_or_else(|_| json!({"error": "no answer in time"}))
}

/// Asks the instance of this socket.
///
/// # Errors
/// When no instance answers, or it answers with an error.
pub(crate) fn ask(path: &Path, request: &Value) -> Result<Value> {
    let Ok(stream) = UnixStream::connect(path) else {
        refuse!(NotRunning, "no tympan runs here ({} does not answer); `tympan run` starts one", path.display());
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    writeln!(&stream, "{request}").context("cannot ask")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).context("no answer")?;
    let answer: Value = serde_json::from_str(&line).context("an answer that is no JSON")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        bail!("{error}");
    }
    Ok(answer)
}

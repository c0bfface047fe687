//! The other end of the control socket: what a command of the same user asks.

use super::{ANSWER_BYTES_MAX, PATIENCE};
use crate::refusal::refuse;
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, getsockopt, sockopt::PeerCredentials};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often is tried again where so many wait for an instance that its system takes no more.
const AGAIN: Duration = Duration::from_millis(10);

/// Connects to the instance of this socket. One that is stopped takes nobody in, which is borne for so long.
///
/// # Errors
/// `EAGAIN` when there is one that takes nobody in, any other when there is none.
pub(crate) fn connect(path: &Path, patience: Duration) -> Result<UnixStream, Errno> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let deadline = Instant::now() + patience;
    loop {
        match socket::connect(socket.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EAGAIN) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).map_err(|_| Errno::last())?;
    Ok(stream)
}

/// Asks the instance of this socket.
///
/// # Errors
/// When no instance answers in time, or it answers with an error.
pub(crate) fn ask(path: &Path, request: &Value) -> Result<Value> {
    let stream = match connect(path, PATIENCE) {
        Ok(stream) => stream,
        Err(Errno::EAGAIN) => bail!("the instance at {} is stopped or hangs: it takes nobody in", path.display()),
        Err(_) => {
            refuse!(NotRunning, "no tympan runs here ({} does not answer); `tympan run` starts one", path.display())
        }
    };
    let deadline = Instant::now() + PATIENCE;
    let silent = || {
        let pid = getsockopt(&stream, PeerCredentials).map_or(0, |peer| peer.pid());
        format!("tympan (process {pid}) gave no answer; when `ps {pid}` shows it stopped, `kill -CONT {pid}` wakes it")
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    (&stream).write_all(format!("{request}\n").as_bytes()).with_context(silent)?;
    let line = read_line(&stream, deadline).with_context(silent)?;
    let answer: Value = serde_json::from_slice(&line).context("an answer that is no JSON")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        bail!("{error}");
    }
    Ok(answer)
}

fn read_line(mut stream: &UnixStream, deadline: Instant) -> Result<Vec<u8>> {
    let (mut line, mut piece) = (Vec::new(), [0; 16 * 1024]);
    while !line.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("{} s have passed", PATIENCE.as_secs());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => bail!("it broke off"),
            Ok(bytes) => line.extend_from_slice(&piece[..bytes]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        if line.len() > ANSWER_BYTES_MAX {
            bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
        }
    }
    Ok(line)
}

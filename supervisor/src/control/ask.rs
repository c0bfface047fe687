//! The other end of the control socket: what a command of the same user asks.

use super::{ANSWER_BYTES_MAX, PATIENCE};
use crate::refusal::{Refusal, refuse};
use anyhow::{Context, Result, bail};
use control_protocol::Exit;
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, getsockopt, sockopt::PeerCredentials};
use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often is tried again where so many wait for an instance that its system takes no more.
const AGAIN: Duration = Duration::from_millis(10);
/// How long a process that dies may take to close its socket.
const ENDING: Duration = Duration::from_millis(200);

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
        Err(_) => return nobody(path),
    };
    let deadline = Instant::now() + PATIENCE;
    let silent = || {
        let pid = getsockopt(&stream, PeerCredentials).map_or(0, |peer| peer.pid());
        format!("tympan (process {pid}) gave no answer; when `ps {pid}` shows it stopped, `kill -CONT {pid}` wakes it")
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    let written = (&stream).write_all(format!("{request}\n").as_bytes()).map_err(Into::into);
    let line = match written.and_then(|()| read_line(&stream, deadline)) {
        Err(e) if broke_off(&e) && is_gone(path) => return nobody(path),
        line => line.with_context(silent)?,
    };
    let answer: Value = serde_json::from_slice(&line).context("an answer that is no JSON")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        let exit = answer.get("exit").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok());
        if let Some(exit) = exit.and_then(Exit::from_code) {
            return Err(Refusal::new(exit, error).into());
        }
        bail!("{error}");
    }
    Ok(answer)
}

/// What is said where no instance runs.
///
/// # Errors
/// Always.
pub(crate) fn nobody<T>(path: &Path) -> Result<T> {
    refuse!(NotRunning, "no tympan runs here ({} does not answer); `tympan run` starts one", path.display())
}

/// Whether the other end is closed.
fn broke_off(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
}

/// Whether it was the end of the whole instance: the kernel closes what a process had one after the other.
fn is_gone(path: &Path) -> bool {
    let deadline = Instant::now() + ENDING;
    while matches!(connect(path, Duration::ZERO), Ok(_) | Err(Errno::EAGAIN)) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(AGAIN);
    }
    true
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
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it broke off").into()),
            Ok(bytes) => line.extend_from_slice(&piece[..bytes]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        if line.len() > ANSWER_BYTES_MAX {
            bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::exit_of;
    use control_protocol::Exit;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_instance_that_ends_under_the_question_does_not_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        let ending = std::thread::spawn(move || {
            // It takes the client in, and is gone; and its socket a moment later.
            drop(listener.accept());
            std::thread::sleep(ENDING / 10);
        });
        let error = ask(&path, &serde_json::json!({"status": {}})).expect_err("nobody answers");
        ending.join().expect("no panic");
        assert_eq!(exit_of(&error), Exit::NotRunning, "{error:#}");
    }

    #[test]
    fn an_instance_that_hangs_up_and_goes_on_is_at_fault() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let hangs_up = std::thread::spawn(move || {
            listener.set_nonblocking(true).expect("possible");
            while ended.try_recv().is_err() {
                drop(listener.accept());
                std::thread::sleep(AGAIN / 10);
            }
        });
        let error = ask(&path, &serde_json::json!({"status": {}})).expect_err("nobody answers");
        end.send(()).expect("it runs");
        hangs_up.join().expect("no panic");
        assert!(format!("{error:#}").contains("gave no answer"), "{error:#}");
    }
}

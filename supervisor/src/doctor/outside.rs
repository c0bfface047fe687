//! Looking outside without being held there: everything has a time-out.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Does something in a thread of its own. `None` when it takes longer, or fails in a way nobody thought of; then the
/// thread is left behind, for what it waits for may never come.
pub(super) fn within<T: Send + 'static>(patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = channel();
    let spawned = std::thread::Builder::new().name("look".into()).spawn(move || {
        let _ = sender.send(work());
    });
    spawned.ok()?;
    receiver.recv_timeout(patience).ok()
}

/// What a program left.
#[derive(Debug)]
pub(super) struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Whether the processor did not know an instruction.
    pub(super) fn met_unknown_instruction(&self) -> bool {
        self.status.signal() == Some(nix::sys::signal::Signal::SIGILL as i32)
    }

    /// What it says about its end, in a line.
    pub(super) fn last_words(&self) -> String {
        let last = self.stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.map_or_else(|| self.status.to_string(), str::to_owned)
    }
}

/// Runs a program to its end.
///
/// # Errors
/// Why it did not start, or that it took too long (it is killed).
pub(super) fn run<A: AsRef<OsStr>>(program: &Path, args: &[A], patience: Duration) -> Result<Ran, String> {
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot be started: {e}"))?;
    let said = (child.stdout.take().map(read_all), child.stderr.take().map(read_all));
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begin.elapsed() < patience => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not answer in {} s", patience.as_secs()));
            }
        }
    };
    // A grandchild may still hold the pipe.
    let text = |reader: Option<Receiver<String>>| {
        reader.and_then(|reader| reader.recv_timeout(Duration::from_secs(1)).ok()).unwrap_or_default()
    };
    Ok(Ran { status, stdout: text(said.0), stderr: text(said.1) })
}

fn read_all(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// What is behind the address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Nothing is there.
    Absent,
    /// It is there, and nobody listens: left by a server that died.
    Deserted,
    /// It is there, and not for this user.
    Closed,
    /// Connections are taken, or would be: it is full.
    Open,
}

/// Knocks at a unix socket.
pub(super) fn knock(path: &Path) -> Door {
    match UnixStream::connect(path) {
        Ok(_) => Door::Open,
        Err(e) => match e.kind() {
            io::ErrorKind::NotFound => Door::Absent,
            io::ErrorKind::PermissionDenied => Door::Closed,
            io::ErrorKind::WouldBlock => Door::Open,
            _ => Door::Deserted,
        },
    }
}

/// Knocks at `host:port`.
pub(super) fn knock_tcp(address: &str, patience: Duration) -> Door {
    let reached = address.to_socket_addrs().ok().into_iter().flatten();
    for address in reached {
        if TcpStream::connect_timeout(&address, patience).is_ok() {
            return Door::Open;
        }
    }
    Door::Deserted
}

/// The nearest folder that exists, upwards.
pub(super) fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|dir| dir.is_dir()).unwrap_or_else(|| Path::new("/")).to_owned()
}

/// Whether this user can make files there.
pub(super) fn writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// An environment variable that says something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A path or word as a shell takes it.
pub(crate) fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// So many of something.
pub(super) fn count(n: impl Into<u64>, what: &str) -> String {
    let n = n.into();
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Bytes as people say them.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn megabytes(bytes: u64) -> String {
    let mb = bytes as f64 / f64::from(1 << 20);
    if mb >= 10_240.0 { format!("{:.0} GB", mb / 1_024.0) } else { format!("{mb:.0} MB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let (_held, never) = channel::<()>();
        assert_eq!(within(Duration::from_millis(20), move || never.recv()), None);
        let refused = run(Path::new("/bin/sleep"), &["60"], Duration::from_millis(50)).unwrap_err();
        assert!(refused.contains("did not answer"), "{refused}");
    }

    #[test]
    fn a_program_is_heard_on_both_pipes() {
        let ran =
            run(Path::new("/bin/sh"), &["-c", "echo out; echo one >&2; echo two >&2; exit 3"], Duration::from_secs(60));
        let ran = ran.unwrap();
        assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(3), "out\n"));
        assert_eq!(ran.last_words(), "two");
        assert!(!ran.met_unknown_instruction());
        let ran = run(Path::new("/bin/sh"), &["-c", "kill -ILL $$"], Duration::from_secs(60)).unwrap();
        assert!(ran.met_unknown_instruction());
    }

    #[test]
    fn a_socket_tells_who_is_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(knock(&path), Door::Absent);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(knock(&path), Door::Open);
        drop(listener);
        assert_eq!(knock(&path), Door::Deserted);
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_stumble() {
        assert_eq!(quoted("/dev/shm/tympan-0"), "/dev/shm/tympan-0");
        assert_eq!(quoted("/my home/it's"), r"'/my home/it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}

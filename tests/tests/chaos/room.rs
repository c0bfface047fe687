//! A room of its own for a test: a small disk and a small `/dev/shm` that nobody else sees, so that both can be filled.

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use system_tests::{Process, end_process};

/// Names the room to whoever is inside.
const ROOM: &str = "CHAOS_ROOM";
/// As containers often have it.
const SHARED: &str = "size=64m,mode=1777";
const DISK: &str = "size=24m,mode=700";

/// Mounts both (options `$2` and `$3`) in the room `$1`, and runs the rest.
const SCRIPT: &str = r#"
room=$1 shared=$2 disk=$3; shift 3
mount -t tmpfs -o "$shared" tympan-test /dev/shm || exit 99
mount -t tmpfs -o "$disk" tympan-test "$room/disk" || exit 99
exec "$@"
"#;

/// Runs a test's body in a room of its own: in another process of this program, which runs this one test again.
///
/// # Errors
/// Those of the body, or that there is no room.
pub(crate) fn inside(test: &str, limit: Duration, body: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if let Some(room) = std::env::var_os(ROOM) {
        return body(Path::new(&room));
    }
    let room = tempfile::Builder::new().prefix("tympan-room-").tempdir()?;
    std::fs::create_dir(room.path().join("disk"))?;
    let mut command = Command::new("unshare");
    command.arg(if geteuid().is_root() { "-m" } else { "-rm" });
    command.args(["sh", "-c", SCRIPT, "sh"]).arg(room.path()).args([SHARED, DISK]);
    command.arg(std::env::current_exe()?).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ROOM, room.path()).env("TMPDIR", room.path().join("disk")).stdin(Stdio::null());
    let (said, theirs) = std::io::pipe()?;
    let mut child = command.stdout(theirs.try_clone()?).stderr(theirs).spawn().context("unshare")?;
    drop(command);

    let (ended, end) = channel::<()>();
    let pid = child.id();
    let watchdog = std::thread::spawn(move || {
        let too_long = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        too_long && end_process(pid, nix::sys::signal::Signal::SIGKILL)
    });
    let status = follow(BufReader::new(said), || child.try_wait());
    drop(ended);
    let barked = watchdog.join().unwrap_or_default();
    let left = inhabitants(room.path());
    let killed = left.iter().filter(|process| process.kill()).count();
    let status = status?;
    ensure!(!barked, "watchdog: the test did not end within {limit:?}");
    ensure!(status.code() != Some(99), "a tmpfs cannot be mounted in a namespace");
    ensure!(status.success(), "the test in the room failed: {status}");
    ensure!(killed == 0, "processes were left: {left:?}");
    Ok(())
}

/// Passes on what it says, until it ends.
fn follow<S>(mut said: impl BufRead, mut ended: impl FnMut() -> std::io::Result<Option<S>>) -> Result<S> {
    let mut line = String::new();
    while said.read_line(&mut line)? > 0 {
        eprint!("{line}");
        line.clear();
    }
    loop {
        if let Some(status) = ended()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every process whose environment names the room.
fn inhabitants(room: &Path) -> Vec<Process> {
    let wanted = format!("{ROOM}={}", room.display());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let lives_here = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    pids.filter(lives_here).filter_map(Process::of).collect()
}

/// A file that takes all that is left of a file system, until this goes.
pub(crate) struct Fill(PathBuf);

impl Fill {
    /// Fills the file system of a folder.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        // One may have filled it before, and others have left some of it since.
        let (mut file, path) = tempfile::Builder::new().prefix("fill-").tempfile_in(folder)?.keep()?;
        let fill = Self(path);
        // First in large steps, then to the last byte.
        for step in [1 << 20, 4_096, 1] {
            let bytes = vec![1; step];
            loop {
                match file.write(&bytes) {
                    Ok(_) => {}
                    Err(e) if e.kind() == ErrorKind::StorageFull => break,
                    Err(e) => bail!("{}: {e}", fill.0.display()),
                }
            }
        }
        Ok(fill)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

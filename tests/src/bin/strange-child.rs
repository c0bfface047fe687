//! A child of the supervisor that is not what it should be: of another build, broken, or hostile. It stands in for one
//! of the real programs under that one's name, in a folder that `TYMPAN_LIBEXEC` names.
//!
//! `STRANGE_CHILD` says what each life of a part is, as in `engine=bytes,long worker=real,version+`: the first life of
//! the engine says bytes that mean nothing, the second a message that is too long; the second life of a worker and all
//! after it are of another version; and what is not named is real, the program of that name in `STRANGE_REAL`.
//!
//! It knows the protocol by its bytes, as a stranger does, and uses none of the project's crates for it.

use anyhow::{Context, Result, bail};
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcSender, bytes_channel};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Where the supervisor's ends of both channels go.
type Ends = (IpcBytesSender, IpcBytesReceiver);

/// The protocol's version.
const VERSION: u8 = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = std::env::args().next().context("a name")?;
    let name = PathBuf::from(name).file_name().context("a name")?.to_owned();
    let (role, number) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", ..] => ("engine", 1),
        ["--role", "listener", ..] => ("listener", 2),
        ["--role", "worker", ..] => ("worker", 3),
        _ => ("", 0),
    };
    let strange = std::env::var("STRANGE_CHILD").context("STRANGE_CHILD")?;
    let lives = strange.split_whitespace().filter_map(|part| part.split_once('=')).find(|(part, _)| *part == role);
    let life: usize = std::env::var("TYMPAN_GENERATION").ok().and_then(|life| life.parse().ok()).unwrap_or(0);
    let kind = lives.and_then(|(_, lives)| {
        let kinds: Vec<&str> = lives.split(',').collect();
        let last = kinds.last().filter(|last| last.ends_with('+'));
        kinds.get(life.checked_sub(1)?).or(last).map(|kind| kind.trim_end_matches('+').to_owned())
    });
    match kind.as_deref() {
        None | Some("real") => {
            let real = PathBuf::from(std::env::var_os("STRANGE_REAL").context("STRANGE_REAL")?).join(name);
            Err(Command::new(&real).args(arguments).exec()).with_context(|| real.display().to_string())
        }
        Some(kind) => be_strange(kind, number, u32::try_from(life)?),
    }
}

/// Does it, and then waits for what the supervisor does about it.
fn be_strange(kind: &str, role: u8, life: u32) -> Result<()> {
    let link = std::env::var("TYMPAN_LINK").context("TYMPAN_LINK")?;
    if kind == "frame" {
        // Not even the first frame is what it should be.
        IpcSender::<Vec<u8>>::connect(link)?.send(vec![0xff; 300])?;
        return wait_for_the_end();
    }
    let bootstrap = IpcSender::<Ends>::connect(link)?;
    let (to_child, from_supervisor) = bytes_channel()?;
    let (to_supervisor, from_child) = bytes_channel()?;
    bootstrap.send((to_child, from_child))?;
    if kind == "version" {
        // Of a role, and with fields, that nobody here knows.
        to_supervisor.send(&[0, 99, 200, 1, 7, 7, 7, 7, 7, 7])?;
        return listen_to_the_end(&from_supervisor);
    }
    let greeting = [&[0, VERSION, role][..], &number(std::process::id()), &number(life)].concat();
    to_supervisor.send(&greeting)?;
    from_supervisor.recv().ok().context("no greeting")?;
    match kind {
        "bytes" => to_supervisor.send(&[0xa5; 300])?,
        "long" => to_supervisor.send(&vec![0; 100_000])?,
        "empty" => to_supervisor.send(&[])?,
        "trailing" => to_supervisor.send(&[greeting, vec![0; 4]].concat())?,
        "bounds" => {
            // `Fault`, which has another number in each part, with an explanation that is longer than any may be.
            let fault = [7, 9, 5][usize::from(role) - 1];
            to_supervisor.send(&[vec![fault], number(3_000), vec![b'x'; 3_000]].concat())?;
        }
        "flood" => {
            // A greeting again and again: each of them is a message, and does nothing. Until nobody takes it any more.
            while to_supervisor.send(&greeting).is_ok() {}
        }
        other => bail!("no kind of strangeness: {other}"),
    }
    listen_to_the_end(&from_supervisor)
}

/// A number as the protocol has it.
fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push(value.to_le_bytes()[0] | 128);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// It never ends by itself: that is for the supervisor to do.
fn listen_to_the_end(from_supervisor: &IpcBytesReceiver) -> Result<()> {
    while from_supervisor.recv().is_ok() {}
    wait_for_the_end()
}

/// Until it is ended, or its supervisor is no more.
fn wait_for_the_end() -> Result<()> {
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}

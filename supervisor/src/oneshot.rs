//! Asking a sibling program once, with a time-out: what needs a sound library runs in its process, not in ours.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Runs a program and reads the JSON it prints. Its exit code is not asked for: the answer says what there is to say.
///
/// # Errors
/// When it cannot be started, takes too long (it is killed), or prints no JSON.
pub(crate) fn ask_program<T: DeserializeOwned>(program: &Path, args: &[&str], patience: Duration) -> Result<T> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // libasound talks a lot, and to nobody's use.
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut stdout = child.stdout.take().context("no pipe")?;
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("answer".into()).spawn(move || {
        let mut text = Vec::new();
        let read = stdout.read_to_end(&mut text).map(|_| text);
        let _ = sender.send(read);
    })?;
    let answer = receiver.recv_timeout(patience);
    // Whether it has ended or hangs in a driver: it is not needed any more.
    let _ = child.kill();
    let _ = child.wait();
    match answer {
        Ok(text) => serde_json::from_slice(&text?).with_context(|| format!("{} gave no answer", program.display())),
        Err(_) => bail!("{} {} did not answer in {} s", program.display(), args.join(" "), patience.as_secs()),
    }
}

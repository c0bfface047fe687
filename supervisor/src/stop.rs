//! `tympan stop`: ends the running instance, and waits until it is gone.

use crate::control;
use crate::paths::Folders;
use crate::refusal::refuse;
use crate::settings::Settings;
use anyhow::{Context, Result};
use clap::Args;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;
use serde_json::json;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// After this it is said that it still takes time.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// After this it is said again, with the way to end it at once.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// An instance that is to end at once and has not by then does not listen any more.
const AT_ONCE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StopArgs {
    /// At once, without writing down what was said last, as the second Ctrl-C
    #[arg(long)]
    pub now: bool,
}

/// Ends the running instance.
///
/// # Errors
/// When none runs, or it does not end.
pub(crate) fn stop(args: StopArgs, settings: &Settings) -> Result<()> {
    let folders = Folders::of_running(settings)?;
    let socket = folders.socket();
    let (pid, instance) = owner(&socket)?;
    let asking = {
        let (socket, times) = (socket.clone(), if args.now { 2 } else { 1 });
        // One that hangs would hold this for as long as it takes to be sure.
        std::thread::spawn(move || {
            (0..times).try_for_each(|_| control::ask(&socket, &json!({"command": "stop"})).map(drop))
        })
    };
    let begin = Instant::now();
    if args.now {
        if !is_gone_within(&instance, AT_ONCE) {
            eprintln!("tympan: pid {pid} does not listen any more, so it is killed; what it was at may be lost");
            pidfd_send_signal(&instance, Signal::KILL).context("cannot kill it")?;
        }
    } else if !is_gone_within(&instance, SAY_AFTER) {
        eprintln!("tympan: ending; what was said last is still written down");
        if !is_gone_within(&instance, SAY_AGAIN_AFTER.saturating_sub(begin.elapsed())) {
            if asking.is_finished()
                && let Ok(Err(e)) = asking.join()
            {
                return Err(
                    e.context(format!("the tympan of pid {pid} does not end; `tympan stop --now` ends it at once"))
                );
            }
            eprintln!("tympan: pid {pid} is still at it; `tympan stop --now` ends it at once");
        }
    }
    while !is_gone_within(&instance, SAY_AGAIN_AFTER) {}
    Ok(())
}

/// The process that serves a socket, for good: its number may be used again.
fn owner(socket: &Path) -> Result<(i32, OwnedFd)> {
    let Ok(stream) = UnixStream::connect(socket) else {
        refuse!(NotRunning, "no tympan runs here ({} does not answer); there is nothing to stop", socket.display());
    };
    let pid = getsockopt(&stream, PeerCredentials)?.pid();
    let pidfd = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match pidfd {
        Some(Ok(pidfd)) => Ok((pid, pidfd)),
        // It was there a moment ago.
        _ => refuse!(NotRunning, "the tympan of pid {pid} has just ended"),
    }
}

fn is_gone_within(instance: &OwnedFd, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let limit = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        // Readable when the process has ended.
        match poll(&mut [PollFd::new(instance, PollFlags::IN)], Some(&limit)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

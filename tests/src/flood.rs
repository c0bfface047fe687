//! Too many requests.

use crate::Instance;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

const STATUS: &[u8] = b"{\"command\":\"status\"}\n";

/// Clients of an instance's control socket that ask as fast as they can, until this ends or goes.
#[derive(Debug)]
pub struct Flood {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    answers: Arc<[AtomicU64; 2]>,
    begin: Instant,
}

/// What a flood came to.
#[derive(Debug, Clone, Copy)]
pub struct Flooded {
    /// Answers to the clients that stay.
    pub stayed: u64,
    /// Answers to the one that comes anew for each request.
    pub came: u64,
    /// How long it was, in whole seconds.
    pub seconds: u64,
}

impl Flood {
    /// Begins: so many clients that stay and do not wait for their answers, and one that comes anew for each request.
    #[must_use]
    pub fn begin(instance: &Instance, stay: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let answers = Arc::new([const { AtomicU64::new(0) }; 2]);
        let clients = (0..=stay).map(|client| {
            let (over, answers) = (Arc::clone(&over), Arc::clone(&answers));
            let socket: PathBuf = instance.folders().runtime().join("control.sock");
            std::thread::spawn(move || {
                while !over.load(Relaxed) {
                    // Sent away for another one, or the instance has ended: then it comes again.
                    let _ =
                        if client == 0 { come(&socket, &answers[1]) } else { stay_there(&socket, &over, &answers[0]) };
                }
            })
        });
        Self { clients: clients.collect(), over, answers, begin: Instant::now() }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When a client has panicked.
    pub fn end(mut self) -> Result<Flooded> {
        self.over.store(true, Relaxed);
        for client in self.clients.drain(..) {
            client.join().ok().context("a client has panicked")?;
        }
        let [stayed, came] = [0, 1].map(|at| self.answers[at].load(Relaxed));
        Ok(Flooded { stayed, came, seconds: self.begin.elapsed().as_secs() })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        for client in self.clients.drain(..) {
            client.join().ok();
        }
    }
}

/// Asks once.
fn come(socket: &Path, answers: &AtomicU64) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(STATUS)?;
    if BufReader::new(stream).lines().next().is_some_and(|line| line.is_ok()) {
        answers.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// Asks without a pause on one thread, and reads on the other.
fn stay_there(socket: &Path, over: &AtomicBool, answers: &AtomicU64) -> std::io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut writer = stream.try_clone()?;
    let asking = std::thread::spawn(move || while writer.write_all(STATUS).is_ok() {});
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while !over.load(Relaxed) && lines.next().is_some_and(|line| line.is_ok()) {
        answers.fetch_add(1, Relaxed);
    }
    stream.shutdown(std::net::Shutdown::Both).ok();
    asking.join().ok();
    Ok(())
}

//! The control socket: a private unix socket, one JSON object a line each way. `CONTROL.md` documents it.
//!
//! One thread serves all clients and waits for none of them: what a client sends or takes slowly costs it its own turn
//! and nothing else. Requests are bounded in length, number and time, answers in length. At most one request at a time
//! is before the loop, which hands its answer over without waiting; so a flood of them delays no word.

mod ask;
mod client;
mod pace;

pub(crate) use ask::{ask, connect, nobody};

use crate::event::{Event, Request};
use crate::mailbox::Post;
use anyhow::{Context, Result};
use client::Client;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use pace::Pace;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

const CLIENTS_MAX: usize = 16;
const REQUEST_BYTES_MAX: usize = 64 * 1024;
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a client may take for a whole request, or for reading its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the loop may take for an answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Requests and new clients a second, all together: what a flood of them may cost.
const ALL_A_SECOND: u32 = 1_000;
/// The pause after something failed that will fail again at once, such as a want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// Letters of a parser's complaint, which may quote the whole request.
const COMPLAINT_CHARS: usize = 200;

/// Opens the socket and serves it from a thread of its own.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn serve(path: &Path, events: Post<Event>) -> Result<()> {
    // The instance's lock is held: a socket that is there has nobody behind it.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("cannot open {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let mut desk = Desk { listener, events, clients: Vec::new(), pace: Pace::new(ALL_A_SECOND, Instant::now()) };
    std::thread::Builder::new().name("control".into()).spawn(move || {
        loop {
            desk.wait();
            desk.turn();
        }
    })?;
    Ok(())
}

struct Desk {
    listener: UnixListener,
    events: Post<Event>,
    /// Whose turn is next stands first.
    clients: Vec<Client>,
    /// Of all clients together.
    pace: Pace,
}

impl Desk {
    /// Until somebody comes, speaks or reads, or a time is up.
    fn wait(&self) {
        let now = Instant::now();
        let open = self.pace.allowed_at();
        let listens = if open <= now { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut sockets = vec![PollFd::new(self.listener.as_fd(), listens)];
        sockets.extend(self.clients.iter().filter_map(|client| client.waits_for(now)));
        let later = (open > now).then_some(open);
        let wake = self.clients.iter().map(|client| client.wake_at(now, open)).chain(later).min();
        let timeout = wake.map_or(PollTimeout::NONE, |at| {
            // Rounded up, or it would wake and find nothing to do.
            let left = at.saturating_duration_since(now).as_micros().div_ceil(1_000);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        if poll(&mut sockets, timeout).is_err_and(|e| e != nix::errno::Errno::EINTR) {
            std::thread::sleep(PAUSE);
        }
    }

    /// Does whatever can be done without waiting: takes one client in, and serves each once.
    fn turn(&mut self) {
        if self.pace.allows(Instant::now()) {
            self.take_in();
        }
        for client in &mut self.clients {
            client.exchange(Instant::now());
            let now = Instant::now();
            if self.pace.allows(now)
                && let Some(line) = client.request(now)
            {
                self.pace.take(now);
                let answer = line.map_or_else(|fault| json!({"error": fault}), |line| answer(&line, &self.events));
                client.reply(line_of(answer), Instant::now());
            }
        }
        let now = Instant::now();
        self.clients.retain(|client| !client.is_over(now));
        if self.clients.len() > 1 {
            self.clients.rotate_left(1);
        }
    }

    fn take_in(&mut self) {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => {
                // Most likely there is no descriptor left; the one who needs his least gives it back.
                self.send_one_away();
                return std::thread::sleep(PAUSE);
            }
        };
        let now = Instant::now();
        self.pace.take(now);
        if stream.set_nonblocking(true).is_err() || !is_own(&stream) {
            return;
        }
        if self.clients.len() >= CLIENTS_MAX {
            self.send_one_away();
        }
        self.clients.push(Client::new(stream, now));
    }

    /// Whoever is there must not keep others out: the one that has been silent longest goes.
    fn send_one_away(&mut self) {
        let longest = self.clients.iter().enumerate().min_by_key(|(_, client)| client.last_word());
        if let Some((at, _)) = longest {
            self.clients.remove(at);
        }
    }
}

/// Whether it is this user who asks; others are told so.
fn is_own(mut stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match getsockopt(&stream, PeerCredentials) {
        Ok(peer) if peer.uid() == own => true,
        Ok(peer) => {
            let error = format!("this instance is of user {own}, and user {} asks", peer.uid());
            // Whether it is heard is not our care.
            let _ = stream.write_all(&line_of(json!({ "error": error })));
            false
        }
        Err(_) => false,
    }
}

fn answer(line: &[u8], events: &Post<Event>) -> Value {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(e) => return json!({"error": shortened(&format!("not a request: {e}"), COMPLAINT_CHARS)}),
    };
    let (sender, receiver) = sync_channel(1);
    if events.send(Event::Request(request, sender)).is_err() {
        return json!({"error": "ending"});
    }
    receiver.recv_timeout(ANSWER).unwrap_or_else(|e| match e {
        RecvTimeoutError::Timeout => json!({"error": "no answer in time"}),
        RecvTimeoutError::Disconnected => json!({"error": "ending"}),
    })
}

/// An answer as one line, of at most [`ANSWER_BYTES_MAX`]: in a longer one texts are cut, the more the longer it is.
fn line_of(mut answer: Value) -> Vec<u8> {
    for chars_max in [usize::MAX, 1_000, 200, 50] {
        if chars_max < usize::MAX {
            shorten(&mut answer, chars_max);
        }
        let mut line = answer.to_string().into_bytes();
        line.push(b'\n');
        if line.len() <= ANSWER_BYTES_MAX {
            return line;
        }
    }
    let error = format!("the answer has more than {ANSWER_BYTES_MAX} bytes");
    format!("{}\n", json!({ "error": error })).into_bytes()
}

fn shorten(value: &mut Value, chars_max: usize) {
    match value {
        Value::String(text) => *text = shortened(text, chars_max),
        Value::Array(list) => list.iter_mut().for_each(|value| shorten(value, chars_max)),
        Value::Object(fields) => fields.values_mut().for_each(|value| shorten(value, chars_max)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_bounded_and_texts_are_cut_before_it_is_refused() {
        let small = json!({"uri": "x".repeat(5_000)});
        assert_eq!(line_of(small.clone()), format!("{small}\n").into_bytes());
        let rows: Vec<_> = (0..64).map(|n| json!({"stream": n, "uri": "\u{1}".repeat(3_000)})).collect();
        let line = line_of(json!({ "streams": rows }));
        assert!(line.len() <= ANSWER_BYTES_MAX && line.ends_with(b"\n"));
        let read: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(read["streams"].as_array().unwrap().len(), 64);
        assert!(read["streams"][63]["uri"].as_str().unwrap().ends_with("..."));
        let numbers: Vec<u32> = (0..100_000).collect();
        let refused: Value = serde_json::from_slice(&line_of(json!(numbers))).unwrap();
        assert!(refused["error"].as_str().unwrap().contains("262144 bytes"));
    }
}

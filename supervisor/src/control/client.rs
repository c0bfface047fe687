//! One client of the control socket. Nothing here waits.

use super::pace::Pace;
use super::{PATIENCE, REQUEST_BYTES_MAX};
use nix::poll::{PollFd, PollFlags};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Requests of one client a second; more are answered later.
const REQUESTS_A_SECOND: u32 = 50;
/// A request that comes in pieces is looked at again after this.
const PIECES_EVERY: Duration = Duration::from_millis(5);
const READ_BYTES: usize = 4 * 1024;

/// What it asks, and what it has still to be told.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    /// Bytes of the input that hold no end of line.
    searched: usize,
    output: Vec<u8>,
    written: usize,
    /// When it came, last finished a request, or last took the whole of an answer.
    last_word: Instant,
    read_again: Instant,
    pace: Pace,
    /// Nothing more is taken from it: it goes when it has its answer.
    leaving: bool,
    broken: bool,
}

impl Client {
    /// One that has just come, on a socket that does not block.
    pub(super) fn new(stream: UnixStream, now: Instant) -> Self {
        Self {
            stream,
            input: Vec::new(),
            searched: 0,
            output: Vec::new(),
            written: 0,
            last_word: now,
            read_again: now,
            pace: Pace::new(REQUESTS_A_SECOND, now),
            leaving: false,
            broken: false,
        }
    }

    /// When it last did something whole.
    pub(super) const fn last_word(&self) -> Instant {
        self.last_word
    }

    /// Whether there is nothing more to do for it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.broken
            || (self.leaving && self.output.is_empty() && !self.has_request())
            || now >= self.last_word + PATIENCE
    }

    /// What of its socket is of interest now.
    pub(super) fn waits_for(&self, now: Instant) -> Option<PollFd<'_>> {
        let flags = if !self.output.is_empty() {
            PollFlags::POLLOUT
        } else if !self.has_request() && self.read_again <= now {
            PollFlags::POLLIN
        } else {
            return None;
        };
        Some(PollFd::new(self.stream.as_fd(), flags))
    }

    /// When there is something to do for it though its socket is quiet; `open` is when all clients together may ask.
    pub(super) fn wake_at(&self, now: Instant, open: Instant) -> Instant {
        let deadline = self.last_word + PATIENCE;
        if !self.output.is_empty() {
            deadline
        } else if self.has_request() {
            deadline.min(self.pace.allowed_at().max(open))
        } else if self.read_again > now {
            deadline.min(self.read_again)
        } else {
            deadline
        }
    }

    /// Writes what it will take, and reads what it has sent.
    pub(super) fn exchange(&mut self, now: Instant) {
        self.write(now);
        // A whole request, or an answer that is not taken, must go first: so what is kept for it is bounded.
        if self.output.is_empty() && !self.leaving && !self.has_request() && self.read_again <= now {
            self.read(now);
        }
    }

    /// Its next request, when there is one and it has not asked too often: a line, or what is wrong with it.
    pub(super) fn request(&mut self, now: Instant) -> Option<Result<Vec<u8>, &'static str>> {
        if self.broken || !self.output.is_empty() || !self.has_request() || !self.pace.allows(now) {
            return None;
        }
        self.pace.take(now);
        self.last_word = now;
        if self.input.get(self.searched) != Some(&b'\n') {
            (self.input, self.searched) = (Vec::new(), 0);
            self.leaving = true;
            return Some(Err("a request is one line of at most 64 KiB"));
        }
        let rest = self.input.split_off(self.searched + 1);
        let line = std::mem::replace(&mut self.input, rest);
        self.search(0);
        Some(Ok(line))
    }

    /// Gives it this answer.
    pub(super) fn reply(&mut self, line: Vec<u8>, now: Instant) {
        self.output = line;
        self.write(now);
    }

    /// Whether a request is whole, or as long as it can never be.
    fn has_request(&self) -> bool {
        self.searched < self.input.len() || self.input.len() >= REQUEST_BYTES_MAX || (self.leaving && self.searched > 0)
    }

    /// Looks for the end of a line.
    fn search(&mut self, from: usize) {
        let end = self.input[from..].iter().position(|&byte| byte == b'\n');
        self.searched = end.map_or(self.input.len(), |end| from + end);
    }

    fn read(&mut self, now: Instant) {
        let mut piece = [0; READ_BYTES];
        while !self.has_request() {
            let room = READ_BYTES.min(REQUEST_BYTES_MAX - self.input.len());
            match self.stream.read(&mut piece[..room]) {
                Ok(0) => {
                    self.leaving = true;
                    return;
                }
                Ok(bytes) => {
                    let from = self.input.len();
                    self.input.extend_from_slice(&piece[..bytes]);
                    self.search(from);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if !self.input.is_empty() {
                        self.read_again = now + PIECES_EVERY;
                    }
                    return;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    fn write(&mut self, now: Instant) {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(bytes) if bytes > 0 => self.written += bytes,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // A client that breaks off is nobody's fault.
                Ok(_) | Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        if self.written > 0 {
            (self.output, self.written) = (Vec::new(), 0);
            self.last_word = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixStream, Client) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (theirs, Client::new(ours, Instant::now()))
    }

    #[test]
    fn requests_come_in_pieces_and_several_at_once() {
        let (mut theirs, mut client) = pair();
        let begin = Instant::now();
        client.exchange(begin);
        assert!(client.request(begin).is_none());
        theirs.write_all(b"on").unwrap();
        client.exchange(begin);
        assert!(client.request(begin).is_none());
        theirs.write_all(b"e\ntwo\nthr").unwrap();
        client.exchange(begin);
        assert!(client.request(begin).is_none(), "a piece is waited for, however small the pieces are");
        let later = begin + PIECES_EVERY;
        client.exchange(later);
        assert_eq!(client.request(later), Some(Ok(b"one\n".to_vec())));
        client.reply(b"1\n".to_vec(), later);
        assert_eq!(client.request(later), Some(Ok(b"two\n".to_vec())));
        client.reply(b"2\n".to_vec(), later);
        assert_eq!(client.request(later), None);
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        client.exchange(later);
        assert!(matches!(client.request(later), Some(Err(_))), "it left in the middle of a line");
    }

    #[test]
    fn a_line_without_an_end_is_refused_and_no_more_of_it_is_read() {
        let (mut theirs, mut client) = pair();
        let begin = Instant::now();
        for turn in 0..100 {
            while theirs.write(&[b'['; 8_192]).is_ok() {}
            client.exchange(begin + turn * PIECES_EVERY);
        }
        assert_eq!(client.input.len(), REQUEST_BYTES_MAX);
        assert!(matches!(client.request(begin), Some(Err(_))));
        client.reply(b"no\n".to_vec(), begin);
        assert!(client.is_over(begin));
    }

    #[test]
    fn who_does_not_read_is_not_read_and_goes_in_the_end() {
        let (mut theirs, mut client) = pair();
        let begin = Instant::now();
        theirs.write_all(b"a\nb\n").unwrap();
        client.exchange(begin);
        assert!(client.request(begin).is_some());
        client.reply(vec![b'x'; 4 << 20], begin);
        assert_eq!(client.request(begin), None);
        assert_eq!(client.wake_at(begin, begin), begin + PATIENCE);
        assert!(!client.is_over(begin) && client.is_over(begin + PATIENCE));
    }

    #[test]
    fn too_many_requests_are_answered_later() {
        let (mut theirs, mut client) = pair();
        let begin = Instant::now();
        theirs.write_all(&b"x\n".repeat(100)).unwrap();
        client.exchange(begin);
        let mut served = 0;
        while client.request(begin).is_some() {
            client.reply(b"y\n".to_vec(), begin);
            served += 1;
        }
        assert_eq!(served, REQUESTS_A_SECOND);
        let wake = client.wake_at(begin, begin);
        assert!(wake > begin && wake < begin + PATIENCE);
        assert!(client.waits_for(begin).is_none(), "it would be woken for nothing");
        assert!(client.request(wake).is_some());
    }
}

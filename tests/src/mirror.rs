//! A server of model files on this machine, well-behaved or not.

use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Written at once.
const PIECE_BYTES: usize = 64 << 10;

/// A client that does not read for so long is gone; so is one that does not ask.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a pause looks whether the server ends.
const TICK: Duration = Duration::from_millis(10);

/// What a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The content, from where the client asks.
    Whole,
    /// All of the content, whatever the client asks.
    AllOfIt,
    /// So many bytes of what was announced; then the line breaks.
    CutAfter(usize),
    /// So many bytes of what was announced; then nothing, for as long as the client waits.
    StallAfter(usize),
    /// So many bytes, then a pause, and so on to the end.
    Slow(usize, Duration),
    /// As long as the content, and something else.
    OtherBytes,
    /// So many bytes, announced as all that there is.
    Short(usize),
    /// Bytes without an announced length, so many and then the end of the line.
    Unannounced(usize),
    /// Bytes without end.
    Endless,
    /// Another status, without content.
    Status(u16),
    /// Another place.
    Redirect(String),
}

/// What a client asked, and what it got.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /models/file` or `CONNECT host:port`.
    pub what: String,
    /// The byte that it wanted to begin with.
    pub from: Option<u64>,
    /// How it named itself.
    pub login: Option<String>,
    /// Bytes of content that were written to it.
    pub sent: u64,
}

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
    house: Arc<House>,
    door: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct House {
    content: Vec<u8>,
    /// One for each request; the last for all that follow.
    answers: Vec<Answer>,
    answered: AtomicU64,
    asked: Mutex<Vec<Asked>>,
    closed: AtomicBool,
}

impl Mirror {
    /// Serves `content` under every path of a port of 127.0.0.1. The first request gets the first answer, and so on; the
    /// last answer is for all that follow. A `CONNECT` is granted, and what is asked in the tunnel is answered here.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(content: Vec<u8>, answers: &[Answer]) -> Result<Self> {
        anyhow::ensure!(!answers.is_empty(), "no answers");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let house = Arc::new(House {
            content,
            answers: answers.to_vec(),
            answered: AtomicU64::new(0),
            asked: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let inside = Arc::clone(&house);
        let door = std::thread::spawn(move || {
            let mut guests = Vec::new();
            while !inside.closed.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let inside = Arc::clone(&inside);
                        // A client that leaves early is no fault of the server.
                        guests.push(std::thread::spawn(move || drop(inside.serve(&stream))));
                    }
                    Err(_) => std::thread::sleep(TICK),
                }
            }
            for guest in guests {
                guest.join().ok();
            }
        });
        Ok(Self { address, house, door: Some(door) })
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A folder of models, as `TYMPAN_MODEL_URL` takes it.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/models/", self.origin())
    }

    /// All that was asked so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.house.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All content that was written so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.asked().iter().map(|asked| asked.sent).sum()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.house.closed.store(true, Ordering::Relaxed);
        if let Some(door) = self.door.take() {
            door.join().ok();
        }
    }
}

impl House {
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream.take(1 << 20));
        loop {
            let Some(question) = head(&mut lines)? else { return Ok(()) };
            let (is_tunnel, from) = (question.what.starts_with("CONNECT "), question.from);
            let number = {
                let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.push(question);
                asked.len() - 1
            };
            if is_tunnel {
                (&*stream).write_all(b"HTTP/1.1 200 Established\r\n\r\n")?;
                continue;
            }
            let turn = self.answered.fetch_add(1, Ordering::Relaxed);
            let turn = usize::try_from(turn)?.min(self.answers.len() - 1);
            let mut reply = Reply { house: self, stream, number };
            return reply.give(&self.answers[turn], from);
        }
    }
}

/// The head of a request.
fn head(lines: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let what = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut asked = Asked { what, from: None, login: None, sent: 0 };
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some(asked));
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let range = value.trim().strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
                asked.from = range.and_then(|from| from.parse().ok());
            }
            "authorization" => asked.login = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

struct Reply<'a> {
    house: &'a House,
    stream: &'a TcpStream,
    number: usize,
}

impl Reply<'_> {
    fn give(&mut self, answer: &Answer, from: Option<u64>) -> Result<()> {
        let all = &self.house.content;
        let begin = usize::try_from(from.unwrap_or(0))?;
        if begin > all.len() {
            return self.head("416 Range Not Satisfiable", &["Content-Length: 0"]);
        }
        let rest = &all[begin..];
        match answer {
            Answer::Whole => {
                self.announce(from)?;
                self.send(rest)
            }
            Answer::AllOfIt => {
                self.announce(None)?;
                self.send(all)
            }
            Answer::CutAfter(bytes) => {
                self.announce(from)?;
                self.send(&rest[..*bytes.min(&rest.len())])
            }
            Answer::StallAfter(bytes) => {
                self.announce(from)?;
                self.send(&rest[..*bytes.min(&rest.len())])?;
                self.wait_for_the_end()
            }
            Answer::Slow(bytes, pause) => {
                self.announce(from)?;
                for piece in rest.chunks(*bytes) {
                    self.send(piece)?;
                    self.rest(*pause)?;
                }
                Ok(())
            }
            Answer::OtherBytes => {
                self.announce(from)?;
                self.send(&vec![b'x'; rest.len()])
            }
            Answer::Short(bytes) => {
                self.head("200 OK", &[&format!("Content-Length: {bytes}")])?;
                self.send(&all[..*bytes])
            }
            Answer::Unannounced(bytes) => {
                self.head("200 OK", &[])?;
                self.send(&all[..*bytes])
            }
            Answer::Endless => {
                self.head("200 OK", &[])?;
                loop {
                    self.send(&[b'x'; PIECE_BYTES])?;
                }
            }
            Answer::Status(status) => self.head(&format!("{status} No"), &["Content-Length: 0"]),
            Answer::Redirect(to) => self.head("302 Found", &["Content-Length: 0", &format!("Location: {to}")]),
        }
    }

    fn announce(&mut self, from: Option<u64>) -> Result<()> {
        let all = self.house.content.len();
        match from {
            None => self.head("200 OK", &[&format!("Content-Length: {all}"), "Accept-Ranges: bytes"]),
            Some(from) => {
                let length = format!("Content-Length: {}", all as u64 - from);
                let range = format!("Content-Range: bytes {from}-{}/{all}", all - 1);
                self.head("206 Partial Content", &[&length, &range])
            }
        }
    }

    fn head(&mut self, status: &str, headers: &[&str]) -> Result<()> {
        let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        Ok(self.stream.write_all(text.as_bytes())?)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            anyhow::ensure!(!self.house.closed.load(Ordering::Relaxed), "closed");
            self.stream.write_all(piece)?;
            self.house.asked.lock().unwrap_or_else(PoisonError::into_inner)[self.number].sent += piece.len() as u64;
        }
        Ok(())
    }

    fn rest(&self, pause: Duration) -> Result<()> {
        let begin = std::time::Instant::now();
        while begin.elapsed() < pause {
            anyhow::ensure!(!self.house.closed.load(Ordering::Relaxed), "closed");
            std::thread::sleep(TICK.min(pause));
        }
        Ok(())
    }

    /// Until the client leaves, or the server ends.
    fn wait_for_the_end(&mut self) -> Result<()> {
        self.stream.set_read_timeout(Some(TICK))?;
        loop {
            anyhow::ensure!(!self.house.closed.load(Ordering::Relaxed), "closed");
            match self.stream.read(&mut [0; 64]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(mirror: &Mirror, headers: &str) -> String {
        let mut stream = TcpStream::connect(mirror.address).expect("listens");
        write!(stream, "GET /models/x HTTP/1.1\r\nHost: x\r\n{headers}\r\n").expect("asks");
        let mut said = String::new();
        // A line that breaks has said what it had to say.
        stream.read_to_string(&mut said).ok();
        said
    }

    #[test]
    fn answers_come_in_order_and_the_last_stays() {
        let mirror = Mirror::start(b"content".to_vec(), &[Answer::Status(503), Answer::CutAfter(3), Answer::Whole])
            .expect("port");
        assert!(ask(&mirror, "").starts_with("HTTP/1.1 503 "));
        assert!(ask(&mirror, "").ends_with("\r\n\r\ncon"));
        let rest = ask(&mirror, "Range: bytes=3-\r\n");
        assert!(rest.contains("206") && rest.contains("bytes 3-6/7") && rest.ends_with("\r\n\r\ntent"), "{rest}");
        assert!(ask(&mirror, "").ends_with("\r\n\r\ncontent"));
        assert!(ask(&mirror, "Range: bytes=8-\r\n").contains("416"));
        let asked = mirror.asked();
        assert_eq!(asked.iter().map(|a| a.from).collect::<Vec<_>>(), [None, None, Some(3), None, Some(8)]);
        assert_eq!((asked[0].what.as_str(), mirror.sent()), ("GET /models/x", 3 + 4 + 7));
    }
}

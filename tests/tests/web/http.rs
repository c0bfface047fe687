//! A client that is no browser: HTTP and WebSocket by hand, so that it can do what a browser would not.

use crate::web::never;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use system_tests::watchdog;

/// What a server answered.
pub(crate) struct Answer {
    pub status: u16,
    pub head: String,
}

pub(crate) struct Http {
    pub address: SocketAddr,
}

impl Http {
    pub(crate) fn get(&self, path: &str, host: &str, more: &[String]) -> Result<Answer> {
        self.ask(path, host, more).map(|(answer, _)| answer)
    }

    fn ask(&self, path: &str, host: &str, more: &[String]) -> Result<(Answer, TcpStream)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(watchdog(1.0)))?;
        // Who reads nothing is full soon.
        setsockopt(&stream, sockopt::RcvBuf, &65_536)?;
        let more: String = more.iter().map(|line| format!("{line}\r\n")).collect();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").as_bytes())?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((Answer { status, head }, stream))
    }

    /// Opens the WebSocket, as a page of this origin would.
    pub(crate) fn upgrade(&self, host: &str, origin: Option<&str>) -> Result<Socket> {
        let mut headers: Vec<String> =
            ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"].map(Into::into).into();
        headers.push("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".into());
        headers.extend(origin.map(|origin| format!("Origin: {origin}")));
        let (answer, stream) = self.ask("/ws", host, &headers)?;
        ensure!(answer.status == 101, "refused: {}", answer.head);
        Ok(Socket { stream, bytes: Vec::new() })
    }
}

/// A WebSocket. What comes is read only when it is asked for.
pub(crate) struct Socket {
    stream: TcpStream,
    bytes: Vec<u8>,
}

/// First frame, frames, and spans of missing ones of a message.
type Frames = (u64, u64, u16);

impl Socket {
    pub(crate) fn send_text(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![0x81];
        match text.len() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length)?),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length)?.to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // A mask of zeros is one.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(self.stream.write_all(&frame)?)
    }

    /// The next message, if one comes in time: what it is (1 text, 2 binary, 8 the end) and its bytes.
    fn next(&mut self, within: Duration) -> Result<Option<(u8, Vec<u8>)>> {
        let begin = Instant::now();
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            let left = within.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut some = [0; 65_536];
            match self.stream.read(&mut some) {
                Ok(0) => bail!("the connection ended"),
                Ok(bytes) => self.bytes.extend(&some[..bytes]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let (kind, short) = (self.bytes.first()? & 0x0f, usize::from(self.bytes.get(1)? & 0x7f));
        let (head, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.bytes.get(2..10)?.try_into().ok()?)).ok()?),
            length => (2, length),
        };
        let payload = self.bytes.get(head..head + length)?.to_vec();
        self.bytes.drain(..head + length);
        Some((kind, payload))
    }

    /// Waits for a JSON message of this type.
    pub(crate) fn wait_text(&mut self, kind: &str) -> Result<Value> {
        let begin = Instant::now();
        while begin.elapsed() < watchdog(2.0) {
            if let Some((1, bytes)) = self.next(watchdog(0.1))? {
                let message: Value = serde_json::from_slice(&bytes)?;
                if message["type"] == kind {
                    return Ok(message);
                }
            }
        }
        never(&format!("no message \"{kind}\""))
    }

    /// Waits for the end: its code, where one was given before the connection went.
    pub(crate) fn wait_close(&mut self) -> Result<Option<u16>> {
        let begin = Instant::now();
        while begin.elapsed() < watchdog(2.0) {
            match self.next(watchdog(0.1)) {
                Ok(Some((8, bytes))) => return Ok(bytes.first_chunk().map(|code| u16::from_be_bytes(*code))),
                Ok(_) => {}
                Err(_) => return Ok(None),
            }
        }
        never("the connection stays")
    }

    /// The messages with new frames that come in this time.
    pub(crate) fn frames(&mut self, within: Duration) -> Result<Vec<Frames>> {
        let begin = Instant::now();
        let mut frames = Vec::new();
        while begin.elapsed() < within {
            if let Some((2, bytes)) = self.next(within.saturating_sub(begin.elapsed()))? {
                let spans = u16::from_le_bytes(bytes[2..4].try_into()?);
                frames.push((
                    u64::from_le_bytes(bytes[16..24].try_into()?),
                    u64::from(u32::from_le_bytes(bytes[24..28].try_into()?)),
                    spans,
                ));
            }
        }
        Ok(frames)
    }
}

//! Asks the sound server (PulseAudio, or PipeWire in its place) which sources and sinks it has.
//!
//! ALSA shows a person with such a server one device, "default", while the server knows each microphone by its name.
//! This speaks as much of PulseAudio's native protocol as that question needs, in its version 12, which every server
//! since 2007 understands. Sound never comes this way: it is captured through ALSA's plug-in (see [`crate::asound`]).
//! What the server says is bounded and checked.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// A source of the server: a microphone, or what a speaker plays. Its sinks are described by the same fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSource {
    /// What the server calls it, for programs.
    pub name: String,
    /// For people.
    pub description: String,
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u16,
    /// The form of its samples, as cpal calls it; empty for one that is not plain.
    pub format: &'static str,
    /// Whether somebody has muted it.
    pub muted: bool,
    /// Whether it is what a speaker plays; of a sink, whether it has such a source.
    pub is_monitor: bool,
    /// Whether it is the one that is taken unasked.
    pub is_default: bool,
}

const PATIENCE: Duration = Duration::from_secs(2);
const PROTOCOL: u32 = 12;
/// More than any server has to say about its sources.
const ANSWER_BYTES_MAX: u32 = 1 << 20;

/// The commands that are used here.
const REPLY: u32 = 2;
const AUTH: u32 = 8;
const SET_CLIENT_NAME: u32 = 9;
const GET_SERVER_INFO: u32 = 20;
const GET_SINK_INFO_LIST: u32 = 22;
const GET_SOURCE_INFO_LIST: u32 = 24;

/// A server, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundServer {
    /// "PulseAudio" or "PipeWire".
    pub name: &'static str,
    /// Its sources.
    pub sources: Vec<ServerSource>,
    /// Its sinks: what can be played to.
    pub sinks: Vec<ServerSource>,
}

/// The server, or `None` where none answers.
#[must_use]
pub fn ask() -> Option<SoundServer> {
    let stream = places().into_iter().find_map(|place| UnixStream::connect(place).ok())?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    converse(stream).ok()
}

/// Where a server of this user listens, the likeliest first.
fn places() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = std::env::var("PULSE_SERVER").ok().filter(|named| !named.is_empty()) {
        // `{machine}unix:/path`, several of them with spaces between; a server elsewhere is not for us.
        let one = |place: &str| {
            let place = place.rsplit_once('}').map_or(place, |(_, place)| place);
            let path = place.strip_prefix("unix:").unwrap_or(place);
            path.starts_with('/').then(|| path.into())
        };
        return named.split_whitespace().filter_map(one).collect();
    }
    let uid = rustix::process::getuid().as_raw();
    let mut places: Vec<PathBuf> = Vec::new();
    places.extend(folder("PULSE_RUNTIME_PATH"));
    places.extend(folder("XDG_RUNTIME_DIR").map(|run| run.join("pulse")));
    places.push(format!("/run/user/{uid}/pulse").into());
    if let (Some(home), Ok(machine)) = (folder("HOME"), std::fs::read_to_string("/etc/machine-id")) {
        places.push(home.join(format!(".config/pulse/{}-runtime", machine.trim())));
    }
    places.push("/run/pulse".into());
    places.into_iter().map(|place| place.join("native")).collect()
}

/// The secret by which a server knows its user where the socket does not tell; zeros where there is none.
fn cookie() -> Vec<u8> {
    const COOKIE_BYTES: usize = 256;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let named = std::env::var_os("PULSE_COOKIE").map(PathBuf::from);
    let usual = home.into_iter().flat_map(|home| [home.join(".config/pulse/cookie"), home.join(".pulse-cookie")]);
    let found = named.into_iter().chain(usual).find_map(|path| std::fs::read(path).ok());
    let mut cookie = found.unwrap_or_default();
    cookie.resize(COOKIE_BYTES, 0);
    cookie
}

fn converse(mut stream: impl Read + Write) -> io::Result<SoundServer> {
    let mut hello = vec![b'L'];
    hello.extend(PROTOCOL.to_be_bytes());
    hello.push(b'x');
    let cookie = cookie();
    hello.extend(u32::try_from(cookie.len()).unwrap_or(0).to_be_bytes());
    hello.extend(cookie);
    request(&mut stream, AUTH, &hello)?;
    request(&mut stream, SET_CLIENT_NAME, b"ttympan\0")?;
    let server = request(&mut stream, GET_SERVER_INFO, &[])?;
    let Greeting { program, sink, source } = server_info(&server).ok_or(io::ErrorKind::InvalidData)?;
    let mut list = |command, default: Option<String>| {
        let answer = request(&mut stream, command, &[])?;
        listed(&answer, default.as_deref()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    };
    let sinks = list(GET_SINK_INFO_LIST, sink)?;
    let sources = list(GET_SOURCE_INFO_LIST, source)?;
    let name = if program.is_some_and(|program| program.contains("PipeWire")) { "PipeWire" } else { "PulseAudio" };
    Ok(SoundServer { name, sources, sinks })
}

/// Sends a command and gives what stands behind the head of its reply.
fn request(stream: &mut (impl Read + Write), command: u32, arguments: &[u8]) -> io::Result<Vec<u8>> {
    let mut packet = vec![b'L'];
    packet.extend(command.to_be_bytes());
    // Its number: that of the command, since each is sent once.
    packet.push(b'L');
    packet.extend(command.to_be_bytes());
    packet.extend_from_slice(arguments);
    let length = u32::try_from(packet.len()).map_err(io::Error::other)?;
    // Length, channel (none: a command), offset, flags.
    let head = [length, u32::MAX, 0, 0, 0].map(u32::to_be_bytes).concat();
    stream.write_all(&[head, packet].concat())?;

    let mut head = [0; 20];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    if length > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer)?;
    let mut fields = Fields(&answer);
    if fields.number() != Some(REPLY) || fields.number() != Some(command) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(fields.0.to_vec())
}

/// The names of the program, the default sink and the default source, if they have one.
struct Greeting {
    program: Option<String>,
    sink: Option<String>,
    source: Option<String>,
}

/// What a server says of itself; `None` where the answer is none.
fn server_info(answer: &[u8]) -> Option<Greeting> {
    let mut fields = Fields(answer);
    let program = fields.text()?;
    for _ in 0..3 {
        fields.text()?; // version, user, host
    }
    fields.form()?;
    let sink = fields.text()?;
    Some(Greeting { program, sink, source: fields.text()? })
}

fn listed(answer: &[u8], default: Option<&str>) -> Option<Vec<ServerSource>> {
    let mut fields = Fields(answer);
    let mut sources = Vec::new();
    while !fields.0.is_empty() {
        fields.number()?;
        let name = fields.text()??;
        let description = fields.text()?.unwrap_or_else(|| name.clone());
        let (format, channels, sample_rate_hz) = fields.form()?;
        fields.counted(b'm', 1)?; // places of the channels
        fields.number()?; // module
        fields.counted(b'v', 4)?; // volumes
        let muted = fields.truth()?;
        fields.number()?;
        let monitor_of = fields.text()?;
        fields.take(9)?; // latency
        fields.text()?; // driver
        fields.number()?; // flags
        let is_default = default == Some(&name);
        let is_monitor = monitor_of.is_some();
        sources.push(ServerSource {
            name,
            description,
            sample_rate_hz,
            channels,
            format,
            muted,
            is_monitor,
            is_default,
        });
    }
    Some(sources)
}

/// Fields of an answer: a byte that says what follows, and that.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn kind(&mut self, kind: u8) -> Option<()> {
        (self.take(1)? == [kind]).then_some(())
    }

    fn number(&mut self) -> Option<u32> {
        self.kind(b'L')?;
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A text, or `Some(None)` for none.
    fn text(&mut self) -> Option<Option<String>> {
        match self.take(1)? {
            b"N" => Some(None),
            b"t" => {
                let end = self.0.iter().position(|&byte| byte == 0)?;
                let text = self.take(end + 1)?;
                Some(Some(String::from_utf8_lossy(&text[..end]).into_owned()))
            }
            _ => None,
        }
    }

    fn truth(&mut self) -> Option<bool> {
        match self.take(1)? {
            b"1" => Some(true),
            b"0" => Some(false),
            _ => None,
        }
    }

    /// Format, channels and rate.
    fn form(&mut self) -> Option<(&'static str, u16, u32)> {
        self.kind(b'a')?;
        let form = self.take(6)?;
        let format = match form[0] {
            0 => "u8",
            3 | 4 => "i16",
            5 | 6 => "f32",
            7 | 8 => "i32",
            9..=12 => "i24",
            _ => "",
        };
        Some((format, u16::from(form[1]), form[2..].try_into().ok().map(u32::from_be_bytes)?))
    }

    /// A count, and so many values of `bytes` bytes.
    fn counted(&mut self, kind: u8, bytes: usize) -> Option<()> {
        self.kind(kind)?;
        let count = self.take(1)?[0];
        self.take(usize::from(count) * bytes).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Vec<u8> {
        [b"t", text.as_bytes(), b"\0"].concat()
    }

    fn source(name: &str, muted: u8, monitor_of: &[u8]) -> Vec<u8> {
        let form = [&b"a\x03\x02"[..], &44_100_u32.to_be_bytes()].concat();
        let volumes = [&b"v\x02"[..], &[0; 8]].concat();
        let (index, module) = (b"L\0\0\0\x01", b"L\0\0\0\x07");
        let head = [&index[..], &text(name), &text("A microphone"), &form, b"m\x02\x01\x02", module, &volumes].concat();
        [&head[..], &[muted], b"L\xFF\xFF\xFF\xFF", monitor_of, b"U\0\0\0\0\0\0\0\0", &text("module.c"), b"L\0\0\0\0"]
            .concat()
    }

    #[test]
    fn sources_are_read_field_by_field() {
        let answer = [source("mic.usb", b'1', b"N"), source("out.monitor", b'0', &text("out"))].concat();
        let sources = listed(&answer, Some("mic.usb")).unwrap();
        let mic = ServerSource {
            name: "mic.usb".into(),
            description: "A microphone".into(),
            sample_rate_hz: 44_100,
            channels: 2,
            format: "i16",
            muted: true,
            is_monitor: false,
            is_default: true,
        };
        let out = ServerSource {
            name: "out.monitor".into(),
            muted: false,
            is_monitor: true,
            is_default: false,
            ..mic.clone()
        };
        assert_eq!(sources, [mic, out]);
        assert_eq!(listed(&answer[..answer.len() - 1], None), None);
    }

    proptest! {
        #[test]
        fn any_bytes_at_all_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..100_usize) {
            let _ = listed(&bytes, None);
            let _ = server_info(&bytes);
            let good = source("mic", b'0', b"N");
            let _ = listed(&good[..cut.min(good.len())], None);
        }
    }
}

//! One answer of one server: a thread asks and reads, so that whoever waits for it can see the time pass, show it, and
//! stop at any moment.

use crate::address::{redirected, shown};
use crate::proxy;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use ureq::http::header;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

/// Pieces that may wait to be written.
const QUEUE: usize = 8;

const PIECE_BYTES: usize = 128 << 10;

/// How long finding a name, and reaching an address, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const REDIRECTS_MAX: usize = 10;

/// What comes.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The answer begins: the content from this byte on, of so many in all where the server says so.
    Begin { from: u64, total: Option<u64> },
    /// The next bytes.
    Bytes(Vec<u8>),
    /// The end, as the server sees it.
    End,
}

/// Why nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Asking again at once is no use.
    Refused(String),
    /// The line broke; what came is good.
    Broken(String),
    /// The server cannot go on from there.
    NotFromThere,
}

/// A line that is open.
#[derive(Debug)]
pub(crate) struct Line {
    pieces: Receiver<Result<Piece, Trouble>>,
}

impl Line {
    /// Asks for `address` from byte `from` on. A server that is silent for `patience` is gone.
    pub(crate) fn open(address: String, from: u64, patience: Duration) -> Self {
        let (send, pieces) = sync_channel(QUEUE);
        let failed = send.clone();
        let work = move || {
            if let Err(trouble) = ask(&address, from, patience, &send) {
                // Nobody may wait for it any more.
                let _ = send.send(Err(trouble));
            }
        };
        if let Err(e) = std::thread::Builder::new().name("download".into()).spawn(work) {
            let _ = failed.send(Err(Trouble::Refused(format!("no thread for it: {e}"))));
        }
        Self { pieces }
    }

    /// The next piece, if it comes within `limit`.
    pub(crate) fn next(&self, limit: Duration) -> Option<Result<Piece, Trouble>> {
        match self.pieces.recv_timeout(limit) {
            Ok(piece) => Some(piece),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(Trouble::Broken("the download ended in a fault".into()))),
        }
    }
}

type Pieces = SyncSender<Result<Piece, Trouble>>;

fn ask(address: &str, from: u64, patience: Duration, pieces: &Pieces) -> Result<(), Trouble> {
    if let Some(path) = address.strip_prefix("file:") {
        return read_file(path, from, pieces);
    }
    let mut address = address.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let agent = agent_for(&address, patience)?;
        let mut request = agent.get(&address);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(login) = login_of(&address) {
            request = request.header(header::AUTHORIZATION, login);
        }
        let response = request.call().map_err(|e| Trouble::Refused(in_words(&e, &address)))?;
        let status = response.status().as_u16();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        match status {
            200 => {
                let total = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
                return stream(response.into_body().into_reader(), Piece::Begin { from: 0, total }, pieces);
            }
            206 => {
                let Some(begin) = text(header::CONTENT_RANGE).and_then(range_of) else {
                    return Err(Trouble::NotFromThere);
                };
                return stream(response.into_body().into_reader(), begin, pieces);
            }
            301 | 302 | 303 | 307 | 308 => {
                let to = text(header::LOCATION).and_then(|location| redirected(&address, location));
                address = to.ok_or_else(|| Trouble::Refused("it redirects to nowhere".into()))?;
            }
            416 => return Err(Trouble::NotFromThere),
            _ => return Err(Trouble::Refused(status_in_words(status))),
        }
    }
    Err(Trouble::Refused(format!("it redirects more than {REDIRECTS_MAX} times")))
}

/// Name and password in an address, as a server wants them. A redirect to another host does not take them along.
fn login_of(address: &str) -> Option<String> {
    let authority = address.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    let login = if login.contains(':') { plain(login) } else { format!("{}:", plain(login)) };
    Some(format!("Basic {}", BASE64_STANDARD.encode(login)))
}

fn agent_for(address: &str, patience: Duration) -> Result<Agent, Trouble> {
    let proxy = match proxy::for_address(address, |name| std::env::var(name).ok()) {
        Some(proxy) => Some(
            Proxy::new(&proxy)
                .map_err(|_| Trouble::Refused(format!("the proxy's address \"{}\" makes no sense", shown(&proxy))))?,
        ),
        None => None,
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .tls_config(tls.build())
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(patience))
        // Whoever reads the pieces gives up before, in words of its own; this only frees the thread.
        .timeout_per_read(Some(patience * 2))
        .user_agent(concat!("tympan/", env!("CARGO_PKG_VERSION")));
    Ok(config.build().new_agent())
}

fn stream(mut content: impl Read, begin: Piece, pieces: &Pieces) -> Result<(), Trouble> {
    let gone = |_| Trouble::Broken("nobody waits for it".into());
    pieces.send(Ok(begin)).map_err(gone)?;
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        match content.read(&mut piece) {
            Ok(0) => return pieces.send(Ok(Piece::End)).map_err(gone),
            Ok(got) => {
                piece.truncate(got);
                pieces.send(Ok(Piece::Bytes(piece))).map_err(gone)?;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Trouble::Broken(format!("the line broke ({e})"))),
        }
    }
}

fn read_file(path: &str, from: u64, pieces: &Pieces) -> Result<(), Trouble> {
    let path = PathBuf::from(plain(path.strip_prefix("//").unwrap_or(path)));
    let refused = |e: std::io::Error| Trouble::Refused(format!("cannot read {}: {e}", path.display()));
    let mut file = std::fs::File::open(&path).map_err(refused)?;
    let meta = file.metadata().map_err(refused)?;
    if !meta.is_file() {
        return Err(Trouble::Refused(format!("{} is not a file", path.display())));
    }
    if from > meta.len() {
        return Err(Trouble::NotFromThere);
    }
    file.seek(SeekFrom::Start(from)).map_err(refused)?;
    stream(file, Piece::Begin { from, total: Some(meta.len()) }, pieces)
}

/// `%20` and its like, as what they stand for.
fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `bytes 5-9/10`
fn range_of(text: &str) -> Option<Piece> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let from = range.split_once('-')?.0.parse().ok()?;
    Some(Piece::Begin { from, total: total.parse().ok() })
}

fn status_in_words(status: u16) -> String {
    let words = match status {
        401 | 403 => "it refuses: a login or a permission is missing",
        404 | 410 => "it has no such file",
        407 => "the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
        408 | 504 => "the server did not answer in time; try again later",
        429 => "too many requests; try again later",
        451 => "it may not give this file here",
        500..=599 => "the server has a fault of its own; try again later",
        _ => "it answers with something else than the file",
    };
    format!("{words} (HTTP {status})")
}

fn in_words(error: &ureq::Error, address: &str) -> String {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest).split(['/', '?', '#']).next();
    let host = host.unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let proxy = proxy::for_address(address, |name| std::env::var(name).ok());
    let through = proxy.map(|proxy| format!(", through the proxy {}", shown(&proxy))).unwrap_or_default();
    match error {
        unknown if is_unknown_name(unknown) => match &through[..] {
            "" => format!("the name {host} is not known: no network here, or a slip in the address"),
            _ => format!("a name is not known: {host}{through}"),
        },
        ureq::Error::Timeout(_) => format!("{host} does not answer in time{through}"),
        ureq::Error::ConnectProxyFailed(why) => format!("the proxy refuses: {}{through}", why.trim()),
        ureq::Error::Io(e) if e.kind() == ErrorKind::ConnectionRefused => {
            format!("{host} is not listening (connection refused){through}")
        }
        ureq::Error::Rustls(e) if e.to_string().contains("No CA certificates") => {
            "this machine has no certificates to know servers by (Debian: apt install ca-certificates)".to_owned()
        }
        ureq::Error::Rustls(e) => format!(
            "the certificate of {host} is not trusted ({e}){through}; where a company's proxy signs anew, its \
             certificate belongs among the system's, or SSL_CERT_FILE names it"
        ),
        other => match rustls_below(other) {
            Some(e) => in_words(&ureq::Error::Rustls(e), address),
            None => format!("no connection to {host}: {other}{through}"),
        },
    }
}

/// Whether a name was asked for and nobody knows it. The standard library has no kind of error for that.
fn is_unknown_name(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound => true,
        ureq::Error::Io(e) => e.to_string().contains("failed to lookup address"),
        _ => false,
    }
}

/// The fault of TLS that an input/output error wraps.
fn rustls_below(error: &ureq::Error) -> Option<rustls::Error> {
    let ureq::Error::Io(e) = error else { return None };
    e.get_ref()?.downcast_ref::<rustls::Error>().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_its_beginning_and_all() {
        let of = |text| match range_of(text) {
            Some(Piece::Begin { from, total }) => Some((from, total)),
            _ => None,
        };
        assert_eq!(of("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(of("bytes 5-9/*"), Some((5, None)));
        assert_eq!(of("bytes */10"), None);
        assert_eq!(of("5-9/10"), None);
    }

    #[test]
    fn a_file_is_an_address_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a model");
        std::fs::write(&path, b"content").unwrap();
        let address = format!("file://{}", path.display()).replace(' ', "%20");
        let line = Line::open(address, 3, Duration::from_secs(5));
        let limit = Duration::from_secs(10);
        assert!(matches!(line.next(limit), Some(Ok(Piece::Begin { from: 3, total: Some(7) }))));
        assert!(matches!(line.next(limit), Some(Ok(Piece::Bytes(bytes))) if bytes == b"tent"));
        assert!(matches!(line.next(limit), Some(Ok(Piece::End))));
        let none = Line::open("file:/no/such".into(), 0, limit);
        assert!(matches!(none.next(limit), Some(Err(Trouble::Refused(why))) if why.contains("/no/such")));
    }
}

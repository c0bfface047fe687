//! What the tests of the page need: rings of known signals, the server, a browser that a script drives, and a client that is
//! no browser.

mod driver;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use shm_layout::RingReader;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use system_tests::{Folders, program, tympan, wait_until, watchdog};

/// How long a browser's job may take: ten times what the longest takes.
const JOB: Duration = Duration::from_secs(300);

/// A room for one test: a folder of rings.
pub(crate) struct Page {
    folders: Folders,
}

impl Page {
    pub(crate) fn new() -> Result<Self> {
        let folders = Folders::new()?;
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(folders.runtime())?;
        Ok(Self { folders })
    }

    /// Where the test may put files.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folders.notes().to_owned()
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }

    fn rings(&self) -> PathBuf {
        self.folders.runtime()
    }

    /// Starts `tympan viz --web`.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Result<Server> {
        Server::start(&self.folders, arguments)
    }
}

impl Server {
    /// Of the rings in these folders.
    pub(crate) fn start(folders: &Folders, arguments: &[&str]) -> Result<Self> {
        let mut command = tympan(folders)?;
        command.args(["viz", "--web", "--no-open"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let stdout = child.stdout.take().context("piped")?;
        let mut server = Self { child, url: String::new(), lines: lines(stdout) };
        let first = server.lines.recv_timeout(watchdog(3.0));
        server.url = first.context("no address came")?;
        ensure!(server.url.starts_with("http://"), "no address: {}", server.url);
        Ok(server)
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A running `tympan viz --web`. Dropped, it is told to end, and must.
pub(crate) struct Server {
    child: Child,
    url: String,
    lines: Receiver<String>,
}

impl Server {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let rest = self.url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        Ok(rest.context("an address")?.parse()?)
    }

    /// TCP connections of this server that are open.
    pub(crate) fn connections(&self) -> Result<usize> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid()))?;
        let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        Ok(links.filter(|link| link.to_string_lossy().starts_with("socket:")).count())
    }

    /// Has a browser do a job (`viz-reader/web/test/jobs.mjs`): what it saw.
    pub(crate) fn drive(&self, name: &str, more: &Value) -> Result<Value> {
        let mut job = json!({"name": name, "url": self.url});
        let fields = more.as_object().context("an object")?.clone();
        job.as_object_mut().context("an object")?.extend(fields);
        // A long one says how long it may take.
        driver::drive(job, fields_limit(more).unwrap_or(JOB))
    }
}

fn fields_limit(job: &Value) -> Option<Duration> {
    job["limitS"].as_u64().map(Duration::from_secs)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let ended = wait_until("the server's end", watchdog(1.0), || Ok(self.child.try_wait()?));
        if ended.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let clean = ended.is_ok_and(|status| status.success());
        assert!(clean || std::thread::panicking(), "the server did not end in order");
        drop(self.lines.try_recv());
    }
}

/// A ring of known signals. Dropped, its writer ends.
pub(crate) struct Writer {
    child: Child,
    ring: PathBuf,
    stream: String,
}

impl Writer {
    /// At 48 kHz, with 30 s of history.
    pub(crate) fn start(page: &Page, stream: &str, signals: &[&str]) -> Result<Self> {
        Self::start_at(page, stream, (48_000, 30), signals)
    }

    /// At this rate in Hz, with so many seconds of history.
    pub(crate) fn start_at(page: &Page, stream: &str, at: (u32, u32), signals: &[&str]) -> Result<Self> {
        let mut command = Command::new(program("signal-writer")?);
        command.arg(page.rings()).args([stream, &at.0.to_string(), &at.1.to_string()]).args(signals);
        command.stdin(Stdio::piped());
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let writer = Self { child, ring: page.rings(), stream: stream.to_owned() };
        wait_until("the ring", watchdog(3.0), || Ok(RingReader::attach_stream(&writer.ring, stream).ok()))?;
        Ok(writer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One past its newest frame.
    pub(crate) fn newest(&self) -> Result<u64> {
        Ok(RingReader::attach_stream(&self.ring, &self.stream)?.commit().0)
    }

    /// When it began, in seconds since 1970, give or take a block or two.
    pub(crate) fn began_s(&self) -> Result<f64> {
        let reader = RingReader::attach_stream(&self.ring, &self.stream)?;
        let written_s = reader.commit().seconds(reader.info().sample_rate_hz);
        Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() - written_s)
    }

    /// Gives it an order.
    pub(crate) fn order(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.child.stdin.as_mut().context("followed already")?, "{text}")?)
    }

    /// Gives it the orders that a browser's job appends to a file, until what is returned is dropped.
    pub(crate) fn follow(&mut self, orders: &Path) -> Result<Follow> {
        let mut stdin = self.child.stdin.take().context("followed twice")?;
        let (file, on) = (orders.to_owned(), Arc::new(AtomicBool::new(true)));
        let going = Arc::clone(&on);
        let thread = std::thread::spawn(move || {
            let mut done = 0;
            while going.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                for line in text.split_inclusive('\n').skip(done).filter(|line| line.ends_with('\n')) {
                    let _ = stdin.write_all(line.as_bytes());
                    done += 1;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Ok(Follow { on, thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if wait_until("the writer's end", watchdog(0.5), || Ok(self.child.try_wait()?)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Carries orders while it lives.
pub(crate) struct Follow {
    on: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.on.store(false, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A control socket that knows some words, each half a second's less than the next one.
pub(crate) struct FakeWords {
    path: PathBuf,
    on: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    asked: Arc<AtomicU64>,
}

/// Frames that a word lasts.
const WORD_FRAMES: u64 = 14_400;

/// What follows [`FakeWords`], and is not settled yet.
pub(crate) const UNSETTLED: &str = "again";

impl FakeWords {
    /// Words with the frame that each begins with, at 48 kHz.
    pub(crate) fn start(page: &Page, stream: &str, words: &[(&str, u64)]) -> Result<Self> {
        let path = page.rings().join("control.sock");
        let listener = UnixListener::bind(&path)?;
        let seconds = |frame: u64| frame as f64 / 48_000.0;
        let mut entries: Vec<Value> = words
            .iter()
            .map(|&(text, from)| {
                let to = from + WORD_FRAMES;
                let word = json!({"text": text, "start_frame": from, "end_frame": to, "start_s": seconds(from),
                    "end_s": seconds(to), "confidence": 0.9});
                json!({"event": "committed", "stream": stream, "text": text, "start_frame": from, "end_frame": to,
                    "start_s": seconds(from), "end_s": seconds(to), "words": [word]})
            })
            .collect();
        // The sentence goes on, and this may still change.
        let said = words.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(" ");
        entries.push(
            json!({"event": "partial", "stream": stream, "text": format!("{said} {UNSETTLED}"), "committed": said,
            "start_s": words.first().map_or(0.0, |&(_, from)| seconds(from))}),
        );
        let (on, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (going, heard) = (Arc::clone(&on), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if !going.load(Ordering::Relaxed) {
                    return;
                }
                let _ = answer(&client, &entries, &heard);
            }
        });
        Ok(Self { path, on, thread: Some(thread), asked })
    }

    /// Fails where nobody asked for any.
    pub(crate) fn were_asked_for(&self) -> Result<()> {
        let asked = self.asked.load(Ordering::Relaxed);
        ensure!(asked > 0, "nobody asked for words");
        Ok(())
    }
}

fn answer(client: &UnixStream, entries: &[Value], asked: &AtomicU64) -> Result<()> {
    for line in BufReader::new(client).lines() {
        let line = line?;
        let request: Value = serde_json::from_str(&line)?;
        asked.fetch_add(1, Ordering::Relaxed);
        let after = usize::try_from(request["after"].as_u64().context("after")?)?;
        let words: Vec<Value> =
            (1..).zip(entries).skip(after).map(|(number, entry)| with_number(entry, number)).collect();
        writeln!(&*client, "{}", json!({"session": "fake", "last": entries.len(), "forgotten": 0, "words": words}))?;
    }
    Ok(())
}

fn with_number(entry: &Value, number: u64) -> Value {
    let mut entry = entry.clone();
    entry["number"] = number.into();
    entry
}

impl Drop for FakeWords {
    fn drop(&mut self) {
        self.on.store(false, Ordering::Relaxed);
        // The server is gone; whoever still waits for a client gets this one.
        let _ = UnixStream::connect(&self.path);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An end that nobody wants to see: what a wait says.
pub(crate) fn never<T>(what: &str) -> Result<T> {
    bail!("watchdog: {what}")
}

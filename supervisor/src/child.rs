//! One life of one child: started, talked to, watched, killed. First start and restart are this one path.
//!
//! Each child has three threads of its own: one that reads its link, one that writes it from a bounded queue, and one
//! that waits for its death; a fourth reads its standard error. The loop itself never waits for a child.

use crate::event::{ChildEvent, Event, Order, Part, Said};
use crate::log::{Log, Speaker};
use crate::mailbox::{Mailbox, Post, Returned, mailbox};
use crate::patient;
use crate::stderr::{self, LastWords, Shown};
use crate::voice::Voice;
use anyhow::{Context, Result};
use control_link::{LinkError, LinkReceiver, LinkSender, LinkServer};
use control_protocol::{FromEngine, FromListener, FromWorker};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Messages that may wait for a child that does not read. A full queue means that it hangs.
const OUTBOX: usize = 4096;
/// No child has so much to say, not even a listener that hears recordings as fast as it can.
const MESSAGES_PER_S_MAX: u32 = 10_000;
/// How long a death may wait for the last words to be read. They come at once, but for a process that the child has left.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(100);

/// What is needed to start a child.
#[derive(Debug, Clone)]
pub(crate) struct Recipe<'a> {
    /// Which place it takes.
    pub part: Part,
    /// Which life of this place it is.
    pub generation: u32,
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub args: &'a [&'a str],
    /// How many threads may compute together.
    pub threads: u32,
    /// The folder for temporary files.
    pub runtime: &'a Path,
    /// Whether it reads the supervisor's standard input.
    pub stdin: bool,
    /// Where its standard error is shown as it comes.
    pub voice: Option<&'a Voice>,
    /// Where its standard error goes.
    pub log: &'a Log,
}

/// A living child.
#[derive(Debug)]
pub(crate) struct Child {
    /// Which life of its place.
    pub generation: u32,
    /// Its process.
    pub pid: u32,
    /// When it was started.
    pub started: Instant,
    pidfd: OwnedFd,
    outbox: Post<Order>,
    last_words: Arc<LastWords>,
}

impl Child {
    /// Starts it. Must be called on the main thread: the kernel ends a child whose `PR_SET_PDEATHSIG` is set when the
    /// *thread* that started it ends.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn spawn(recipe: &Recipe<'_>, events: &Post<Event>) -> Result<Self> {
        let server = LinkServer::new().context("cannot open a link")?;
        let link = server.name().to_owned();
        let mut command = Command::new(recipe.program);
        command
            .args(recipe.args)
            .envs(control_link::environment(&server, recipe.generation))
            .env("TMPDIR", recipe.runtime)
            // The listener computes on its one thread; a pool would only wait.
            .env("RTEN_NUM_THREADS", "1")
            // As many as wanted in all of Whisper, and none that spins while it waits for another.
            .env("OMP_THREAD_LIMIT", recipe.threads.to_string())
            .env("OMP_WAIT_POLICY", "passive")
            .stdin(if recipe.stdin { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C on the terminal is the supervisor's to answer.
            .process_group(0);
        let mut process = command.spawn().with_context(|| format!("cannot start {}", recipe.program.display()))?;
        let pid = process.id();
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process without an id")?;
        let pidfd = pidfd_open(raw, PidfdFlags::empty()).context("cannot watch a child")?;

        let last_words = Arc::new(LastWords::default());
        let (outbox, orders) = mailbox(OUTBOX);
        let teller = Teller { part: recipe.part, generation: recipe.generation, events: events.clone() };
        // Nothing is ever sent: it ends with the thread.
        let (speaking, silence) = channel::<()>();
        if let Some(stderr) = process.stderr.take() {
            let (words, log) = (Arc::clone(&last_words), recipe.log.clone());
            let speaker = Speaker::child(recipe.part, pid, recipe.generation);
            let shown = recipe
                .voice
                .map(|voice| Shown { name: format!("{}[{pid}]", recipe.part.role()), voice: voice.clone() });
            named("stderr", move || {
                stderr::listen(stderr, speaker, &words, &log, shown.as_ref());
                drop(speaking);
            })?;
        }
        let link_teller = teller.clone();
        let talking = named("link", move || {
            let _panic = TellPanic(&link_teller);
            talk(server, orders, &link_teller);
        })?;
        named("death", move || {
            // An error would mean that somebody else reaped it; then too it is gone.
            let status = process.wait().unwrap_or_default();
            control_link::release(&link);
            // Its last words come before its death: they say why.
            let _ = talking.join();
            let _ = silence.recv_timeout(LAST_WORDS_WITHIN);
            teller.tell(ChildEvent::Exited(status));
        })?;
        Ok(Self { generation: recipe.generation, pid, started: Instant::now(), pidfd, outbox, last_words })
    }

    /// Sends, without waiting. A child that does not read is killed; its death then comes as an event.
    pub(crate) fn send(&self, order: Order) {
        if let Err(Returned::Full(_)) = self.outbox.try_send(order) {
            self.kill();
        }
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        // An error means that it is gone already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How long it has run.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The last lines it wrote to standard error.
    pub(crate) fn last_words(&self) -> Vec<String> {
        self.last_words.lines()
    }
}

#[derive(Clone)]
struct Teller {
    part: Part,
    generation: u32,
    events: Post<Event>,
}

impl Teller {
    /// Whether the loop still listens.
    fn tell(&self, event: ChildEvent) -> bool {
        self.events.send(Event::Child(self.part, self.generation, event)).is_ok()
    }
}

/// A child whose link nobody reads any more would wait for ever.
struct TellPanic<'a>(&'a Teller);

impl Drop for TellPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.tell(ChildEvent::LinkFault("what it said made its reader panic".into()));
        }
    }
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work).context("cannot start a thread")
}

/// Greets the child, then writes its orders on one thread and reads its words on this one.
fn talk(server: LinkServer, orders: Mailbox<Order>, teller: &Teller) {
    match teller.part {
        Part::Engine => talk_as::<FromEngine>(server, orders, teller, Said::Engine),
        Part::Listener => talk_as::<FromListener>(server, orders, teller, Said::Listener),
        Part::Worker(_) => talk_as::<FromWorker>(server, orders, teller, Said::Worker),
    }
}

fn talk_as<M: DeserializeOwned>(server: LinkServer, mut orders: Mailbox<Order>, teller: &Teller, said: fn(M) -> Said) {
    patient::interrupt_nobody();
    let accepted = server.accept::<Order, M>(teller.part.role(), teller.generation);
    let (sender, mut receiver): (LinkSender<Order>, LinkReceiver<M>) = match accepted {
        Ok((_, sender, receiver)) => (sender, receiver),
        // Dead before its greeting: its end says more.
        Err(LinkError::Closed) => return,
        Err(e) => {
            teller.tell(ChildEvent::LinkFault(e.to_string()));
            return;
        }
    };
    if !teller.tell(ChildEvent::Connected) {
        return;
    }
    let writer = teller.clone();
    let writing = named("orders", move || {
        patient::interrupt_nobody();
        loop {
            let ready = orders.take(OUTBOX, None);
            if ready.is_empty() {
                return;
            }
            match ready.iter().try_for_each(|order| sender.send(order)) {
                Ok(()) => {}
                // Its death is told elsewhere.
                Err(LinkError::Closed) => return,
                Err(e) => {
                    writer.tell(ChildEvent::LinkFault(e.to_string()));
                    return;
                }
            }
        }
    });
    if let Err(e) = writing {
        teller.tell(ChildEvent::LinkFault(e.to_string()));
        return;
    }
    let mut flood = Flood { second: Instant::now(), messages: 0 };
    loop {
        let event = match receiver.recv() {
            Ok(_) if flood.is_one() => {
                ChildEvent::LinkFault(format!("it floods: more than {MESSAGES_PER_S_MAX} messages in a second"))
            }
            Ok(message) => ChildEvent::Said(said(message)),
            Err(LinkError::Closed) => return,
            Err(e) => ChildEvent::LinkFault(e.to_string()),
        };
        let over = matches!(event, ChildEvent::LinkFault(_));
        if !teller.tell(event) || over {
            return;
        }
    }
}

/// Counts the messages of each second.
struct Flood {
    second: Instant,
    messages: u32,
}

impl Flood {
    /// Counts one more; whether it is one too many.
    fn is_one(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self { second: Instant::now(), messages: 0 };
        }
        self.messages += 1;
        self.messages > MESSAGES_PER_S_MAX
    }
}

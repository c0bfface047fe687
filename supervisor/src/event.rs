//! Everything that can happen to the supervisor: one closed enum, one loop.

use crate::mailbox::{Mailbox, Post, mailbox};
use crate::mix_wish::MixWish;
use control_protocol::{FromEngine, FromListener, FromWorker, ToEngine, ToListener, ToWorker};
use serde::Serialize;
use std::sync::mpsc::SyncSender;

/// A place in the system that a child fills. A worker's place keeps its number over all its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Sources to rings.
    Engine,
    /// Rings to utterances.
    Listener,
    /// Utterances to text.
    Worker(u32),
}

impl Part {
    /// Its slot on the status board; the supervisor's own is 0. A worker beyond the board's slots has none.
    pub(crate) const fn board_slot(self) -> u32 {
        match self {
            Self::Engine => 1,
            Self::Listener => 2,
            Self::Worker(worker) => 3_u32.saturating_add(worker),
        }
    }

    /// A worker's number.
    pub(crate) const fn worker(self) -> Option<u32> {
        if let Self::Worker(worker) = self { Some(worker) } else { None }
    }

    /// The protocol's word for it.
    pub(crate) const fn role(self) -> control_protocol::Role {
        match self {
            Self::Engine => control_protocol::Role::Engine,
            Self::Listener => control_protocol::Role::Listener,
            Self::Worker(_) => control_protocol::Role::Worker,
        }
    }
}

/// Events that may wait for the loop. Whoever has more to say waits, and nobody else for him.
const INBOX: usize = 1_024;

/// The loop's inbox, and the way into it.
pub(crate) fn inbox() -> (Post<Event>, Mailbox<Event>) {
    mailbox(INBOX)
}

/// What the loop receives.
#[derive(Debug)]
pub(crate) enum Event {
    /// From or about the child that had this place in this generation.
    Child(Part, u32, ChildEvent),
    /// SIGINT, SIGTERM or SIGHUP.
    EndAsked,
    /// A client of the control socket asks; the answer goes through the sender.
    Request(Request, SyncSender<serde_json::Value>),
    /// Standard output is closed: nobody reads the words any more.
    OutputClosed,
}

/// From or about a child.
#[derive(Debug)]
pub(crate) enum ChildEvent {
    /// Greetings are exchanged.
    Connected,
    /// It said something.
    Said(Said),
    /// Its link broke, or it said something that is no message.
    LinkFault(String),
    /// It is gone, and reaped.
    Exited(std::process::ExitStatus),
}

/// A child's message.
#[derive(Debug)]
pub(crate) enum Said {
    /// The engine's.
    Engine(FromEngine),
    /// The listener's.
    Listener(FromListener),
    /// A worker's.
    Worker(FromWorker),
}

/// A message to a child; its bytes are those of the message inside.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Order {
    /// To the engine.
    Engine(ToEngine),
    /// To the listener.
    Listener(ToListener),
    /// To a worker.
    Worker(ToWorker),
}

/// A request on the control socket. `CONTROL.md` documents them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Processes, streams and queue.
    Status {},
    /// End in order, as the first Ctrl-C does.
    Stop {},
    /// Have so many workers.
    Scale {
        /// 1 to 64.
        workers: u32,
    },
    /// Replace the children of a role, or try again what was given up.
    Restart {
        /// Which; all children where none is named.
        role: Option<control_protocol::Role>,
        /// Which of the workers; all where none is named.
        worker: Option<u32>,
    },
    /// Set a strip of the mixer, or what is done to the sum.
    MixSet {
        /// Which; `mix` is the sum.
        stream: String,
        /// What changes.
        wish: MixWish,
    },
    /// Play a stream to a device.
    OutputSet {
        /// `default`, or the name of a device.
        device: String,
        /// Which stream; the mix where none is named.
        #[serde(default)]
        stream: Option<String>,
    },
    /// Play nothing.
    OutputOff {},
    /// What is played where.
    OutputList {},
    /// The mixer as it is set.
    MixShow {},
    /// Count clips, hold peaks and integrate loudness from now on.
    MetersReset {
        /// Of which streams; `mix` is one. Of all where none is named.
        #[serde(default)]
        streams: Vec<String>,
    },
    /// How long sound is on its way.
    Latency {},
    /// Send an impulse on its way.
    LatencyProbe {},
    /// Listen no more, and go on capturing.
    Pause {
        /// To which streams; all where none is named.
        #[serde(default)]
        streams: Vec<String>,
    },
    /// Listen again.
    Resume {
        /// To which streams; all where none is named.
        #[serde(default)]
        streams: Vec<String>,
    },
    /// Listen again where all of them are paused, else to none of them.
    Toggle {
        /// Which streams; all where none is named.
        #[serde(default)]
        streams: Vec<String>,
    },
    /// Have one more source.
    SourceAdd {
        /// Its name.
        stream: String,
        /// What it is.
        uri: String,
    },
    /// Have a source no more. What was said in it is written down.
    SourceRemove {
        /// Its name.
        stream: String,
    },
    /// The sources there are.
    SourceList {},
    /// What was said last.
    Words {
        /// After the report of this number.
        #[serde(default)]
        after: u64,
        /// Whether text is wanted while it is spoken, from now on.
        #[serde(default)]
        live: bool,
    },
}

/// What is wished for streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Not to be listened to.
    Pause,
    /// To be listened to.
    Resume,
    /// The other of the two.
    Toggle,
}

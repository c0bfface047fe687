//! The two ends of a channel, typed.

use control_protocol::{CodecError, Role, decode, encode};
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;

/// Why a message did not go through.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The other process is gone.
    #[error("the other process is gone")]
    Closed,
    /// The message itself is at fault; the link still works.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// This process was not started by a supervisor, or its supervisor is gone already.
    #[error("not started by a supervisor: {0}")]
    Orphaned(String),
    /// Who answered is not who was started.
    #[error("a {role} of generation {generation} answered in its place")]
    Stranger {
        /// What it says it is.
        role: Role,
        /// In which life.
        generation: u32,
    },
    /// The other process speaks another version.
    #[error(
        "the other process speaks protocol version {theirs}, this one {ours}: they come from two builds; install all programs of Tympan from one build (`cargo build --release`), and let TYMPAN_LIBEXEC, where it is set, name their folder"
    )]
    Version {
        /// This process's version.
        ours: u32,
        /// The other's.
        theirs: u32,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// The largest message this process has sent or received so far, in bytes.
#[must_use]
pub fn largest_message_bytes() -> usize {
    LARGEST.load(Ordering::Relaxed)
}

fn count(bytes: &[u8]) {
    LARGEST.fetch_max(bytes.len(), Ordering::Relaxed);
}

/// Reads from ipc-channel, which panics at a frame that names descriptors it does not have: for us an error of one link.
pub(crate) fn caught<T>(read: impl FnOnce() -> T) -> Result<T, LinkError> {
    // Whatever was half read is never used again: an error of this kind ends the link.
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| LinkError::Codec(CodecError::Malformed("a frame that is none".to_owned())))
}

/// What a child sends to its supervisor's one-shot server: the supervisor's ends of both channels.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ends {
    pub(crate) to_child: IpcBytesSender,
    pub(crate) from_child: IpcBytesReceiver,
}

/// Sends messages of one type.
#[derive(Debug)]
pub struct LinkSender<M> {
    bytes: IpcBytesSender,
    message: PhantomData<fn(M)>,
}

impl<M> Clone for LinkSender<M> {
    fn clone(&self) -> Self {
        Self::new(self.bytes.clone())
    }
}

impl<M> LinkSender<M> {
    pub(crate) const fn new(bytes: IpcBytesSender) -> Self {
        Self { bytes, message: PhantomData }
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Result<(), LinkError> {
        count(bytes);
        self.bytes.send(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LinkError::Closed,
            _ => LinkError::Io(e),
        })
    }
}

impl<M: Serialize> LinkSender<M> {
    /// Sends. Blocks while the other process does not read and the socket is full (some hundred small messages).
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn send(&self, message: &M) -> Result<(), LinkError> {
        self.send_bytes(&encode(message)?)
    }
}

/// Receives messages of one type.
#[derive(Debug)]
pub struct LinkReceiver<M> {
    bytes: IpcBytesReceiver,
    message: PhantomData<fn() -> M>,
}

impl<M> LinkReceiver<M> {
    pub(crate) const fn new(bytes: IpcBytesReceiver) -> Self {
        Self { bytes, message: PhantomData }
    }

    pub(crate) fn recv_bytes(&self) -> Result<Vec<u8>, LinkError> {
        let bytes = caught(|| self.bytes.recv())?.map_err(|e| match e {
            IpcError::Disconnected => LinkError::Closed,
            IpcError::Io(e) => LinkError::Io(e),
            other => LinkError::Codec(CodecError::Malformed(other.to_string())),
        })?;
        count(&bytes);
        Ok(bytes)
    }
}

impl<M: DeserializeOwned> LinkReceiver<M> {
    /// Waits for the next message.
    ///
    /// # Errors
    /// [`LinkError::Closed`] when the other process is gone, [`LinkError::Codec`] for bytes that are no message.
    pub fn recv(&mut self) -> Result<M, LinkError> {
        Ok(decode(&self.recv_bytes()?)?)
    }
}

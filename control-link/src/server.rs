//! The supervisor's side of the beginning.

use crate::link::{Ends, LinkError, LinkReceiver, LinkSender, caught};
use control_protocol::{CodecError, Hello, PROTOCOL_VERSION, Role, greet, greeting, version_of};
use ipc_channel::IpcError;
use ipc_channel::ipc::IpcOneShotServer;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;

pub(crate) const LINK: &str = "TYMPAN_LINK";
pub(crate) const GENERATION: &str = "TYMPAN_GENERATION";
pub(crate) const SUPERVISOR: &str = "TYMPAN_SUPERVISOR_PID";

/// Waits for one child to connect. Its socket lies in a private folder below the temporary folder.
pub struct LinkServer {
    server: IpcOneShotServer<Ends>,
    name: String,
}

impl std::fmt::Debug for LinkServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkServer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The environment a child finds its supervisor by.
#[must_use]
pub fn environment(server: &LinkServer, generation: u32) -> [(&'static str, String); 3] {
    [(LINK, server.name.clone()), (GENERATION, generation.to_string()), (SUPERVISOR, std::process::id().to_string())]
}

/// Ends a [`LinkServer::accept`] whose child died before it connected.
pub fn release(name: &str) {
    // Connecting and leaving without a word is enough; an error means that nobody waits. Not by ipc-channel, which leaves
    // its socket open for ever when it cannot connect.
    let Ok(address) = SocketAddrUnix::new(name) else { return };
    if let Ok(socket) = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None) {
        let _ = connect(&socket, &address);
    }
}

impl LinkServer {
    /// Opens the server.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub fn new() -> io::Result<Self> {
        let (server, name) = IpcOneShotServer::new()?;
        Ok(Self { server, name })
    }

    /// What [`release`] takes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the child, exchanges greetings, and checks that it is of `role` and `generation`. Blocks for as long
    /// as the child takes: for a thread of its own, which [`release`] ends when the child died.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn accept<Out, In>(
        self,
        role: Role,
        generation: u32,
    ) -> Result<(Hello, LinkSender<Out>, LinkReceiver<In>), LinkError> {
        let (_bootstrap, ends) = caught(|| self.server.accept())?.map_err(|e| match e {
            IpcError::Io(e) => LinkError::Io(e),
            IpcError::Disconnected => LinkError::Closed,
            other => LinkError::Codec(CodecError::Malformed(other.to_string())),
        })?;
        let (sender, receiver) = (LinkSender::new(ends.to_child), LinkReceiver::new(ends.from_child));
        let said = receiver.recv_bytes()?;
        let theirs = version_of(&said)?;
        // Answered before it is judged, so that a child of another version can say so too.
        sender.send_bytes(&greet(Hello::new(Role::Supervisor, generation))?)?;
        if theirs != PROTOCOL_VERSION {
            return Err(LinkError::Version { ours: PROTOCOL_VERSION, theirs });
        }
        let hello = greeting(&said)?;
        if hello.role != role || hello.generation != generation {
            return Err(LinkError::Stranger { role: hello.role, generation: hello.generation });
        }
        Ok((hello, sender, receiver))
    }
}

//! Who speaks, and in which version.

use serde::{Deserialize, Serialize};

/// The version of all messages of this crate. Different versions refuse each other in plain words.
pub const PROTOCOL_VERSION: u32 = 2;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// `tympan` itself.
    Supervisor,
    /// Sources to rings.
    Engine,
    /// Rings to utterances.
    Listener,
    /// Utterances to text.
    Worker,
}

impl Role {
    /// The word users see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Engine => "engine",
            Self::Listener => "listener",
            Self::Worker => "worker",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The greeting, variant 0 of every message enum and first on every channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender. First for ever.
    pub protocol: u32,
    /// What the sender is.
    pub role: Role,
    /// The sender's process id.
    pub pid: u32,
    /// Which life of its part this is; the supervisor gives it, the child repeats it.
    pub generation: u32,
}

impl Hello {
    /// The greeting of this process.
    #[must_use]
    pub fn new(role: Role, generation: u32) -> Self {
        Self { protocol: PROTOCOL_VERSION, role, pid: std::process::id(), generation }
    }
}

/// A child's place on the status board.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardPlace {
    /// Which slot.
    pub slot: u32,
    /// Which life of its part the child is.
    pub generation: u32,
}

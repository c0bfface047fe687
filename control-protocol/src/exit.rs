//! Exit codes, typed because policy reads them.

/// How a process of ours ends. The numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Work done, or asked to end.
    Clean = 0,
    /// A fault with no code of its own. The supervisor restarts.
    Fault = 1,
    /// The command line is wrong (clap's code too). Restarting is no help.
    Usage = 2,
    /// What it was configured with cannot work: no model, no such file, no room. Restarting is no help.
    Refused = 3,
    /// The supervisor is gone or speaks another protocol version.
    Orphaned = 4,
    /// Some of the work was done and some was lost; both were reported.
    Incomplete = 5,
}

impl Exit {
    /// The code for the operating system.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of a code, if it is one of ours. 101 is a Rust panic and is a [`Exit::Fault`].
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::Clean,
            1 | 101 => Self::Fault,
            2 => Self::Usage,
            3 => Self::Refused,
            4 => Self::Orphaned,
            5 => Self::Incomplete,
            _ => return None,
        })
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

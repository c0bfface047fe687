//! Exit codes, typed because policy reads them, and scripts that people write.

use serde::{Deserialize, Serialize};

/// How a process of ours ends. The numbers are part of the protocol, and README.md lists them for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Exit {
    /// Work done, or asked to end.
    Clean = 0,
    /// A fault with no code of its own. The supervisor restarts.
    Fault = 1,
    /// The command line is wrong (clap's code too). Restarting is no help.
    Usage = 2,
    /// What it was configured with cannot work. Restarting is no help.
    Refused = 3,
    /// The supervisor is gone or speaks another protocol version.
    Orphaned = 4,
    /// Some of the work was done and some was lost; both were reported.
    Incomplete = 5,
    /// The configuration file or a `TYMPAN_` variable is wrong.
    BadConfig = 6,
    /// A model is not there.
    NoModel = 7,
    /// A model file is damaged, or no model.
    BadModel = 8,
    /// The program was built for a processor that can do more than this one.
    CpuUnfit = 9,
    /// There is no such device, or it cannot be used now.
    NoDevice = 10,
    /// A recording is not there, is a folder, or may not be read.
    NoInput = 11,
    /// A recording is empty, or holds no sound.
    NotAudio = 12,
    /// A recording ends before its end; the words it has were written.
    CutOff = 13,
    /// More channels, or another rate, than can be taken.
    BadShape = 14,
    /// No room in shared memory or on the disk.
    NoRoom = 15,
    /// A folder belongs to somebody else or is open to others.
    NotPrivate = 16,
    /// Another instance runs in this place.
    AlreadyRuns = 17,
    /// No instance runs.
    NotRunning = 18,
    /// A model could not be fetched.
    NotFetched = 19,
}

impl Exit {
    /// All of them, by number.
    pub const ALL: [Self; 20] = [
        Self::Clean,
        Self::Fault,
        Self::Usage,
        Self::Refused,
        Self::Orphaned,
        Self::Incomplete,
        Self::BadConfig,
        Self::NoModel,
        Self::BadModel,
        Self::CpuUnfit,
        Self::NoDevice,
        Self::NoInput,
        Self::NotAudio,
        Self::CutOff,
        Self::BadShape,
        Self::NoRoom,
        Self::NotPrivate,
        Self::AlreadyRuns,
        Self::NotRunning,
        Self::NotFetched,
    ];

    /// The code for the operating system.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of a code, if it is one of ours. 101 is a Rust panic and is a [`Exit::Fault`].
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        if code == 101 {
            return Some(Self::Fault);
        }
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code)).copied()
    }

    /// Whether a child that ended so would end so again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Clean | Self::Fault | Self::Orphaned | Self::Incomplete)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_means_what_it_came_from() {
        for (code, exit) in (0..).zip(Exit::ALL) {
            assert_eq!(exit.code(), code);
            assert_eq!(Exit::from_code(code.into()), Some(exit));
        }
        assert_eq!(Exit::from_code(101), Some(Exit::Fault));
        assert_eq!((Exit::from_code(20), Exit::from_code(-1)), (None, None));
    }

    #[test]
    fn the_readme_documents_every_code() {
        let readme = include_str!("../../README.md");
        for exit in Exit::ALL {
            assert!(readme.contains(&format!("\n| {} | ", exit.code())), "{exit:?}");
        }
    }
}

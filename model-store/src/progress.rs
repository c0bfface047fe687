//! What somebody who waits may want to see.

use std::time::Duration;

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Another process works in the folder; waiting for it.
    Waiting,
    /// A download begins, at `done` of `total` bytes.
    Downloading {
        /// The file.
        file: String,
        /// Where from, without passwords.
        from: String,
        /// What an earlier attempt left.
        done: u64,
        /// The size of all of it.
        total: u64,
    },
    /// A package is fetched that the file is made from.
    Packaging {
        /// The file.
        file: String,
        /// The package.
        package: String,
        /// The size of what is fetched.
        total: u64,
    },
    /// A file is made from what was in a package, or from another model.
    Making {
        /// The file.
        file: String,
        /// The size of what it is made from; 0 where that is not read piece by piece.
        total: u64,
    },
    /// A file is read to see whether it is what it should be.
    Checking {
        /// The file.
        file: String,
        /// Its size.
        total: u64,
    },
    /// Something did not work, and this goes on in another way.
    Trouble {
        /// What it was.
        what: String,
    },
}

/// Hears what is being done. One step ends when the next begins, or the call returns.
pub trait Progress {
    /// A step begins.
    fn step(&mut self, step: &Step);

    /// The step has done so many bytes; called a few times a second, also when nothing moves.
    fn bytes(&mut self, done: u64);

    /// Whether to stop now. What was downloaded stays, for the next time.
    fn stopped(&self) -> bool {
        false
    }
}

/// Hears nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _: &Step) {}

    fn bytes(&mut self, _: u64) {}
}

/// How often [`Progress::bytes`] is called at the least.
pub(crate) const TICK: Duration = Duration::from_millis(100);

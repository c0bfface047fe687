//! The exit codes that README.md documents, as a script would write them.

/// A fault that has no code of its own.
pub const FAULT: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// What was asked for cannot work.
pub const REFUSED: u8 = 3;
/// Some of it was done, and what is missing was said.
pub const INCOMPLETE: u8 = 5;
/// The configuration file or a variable is wrong.
pub const BAD_CONFIG: u8 = 6;
/// The model is not there.
pub const NO_MODEL: u8 = 7;
/// A model file is damaged, or is none.
pub const BAD_MODEL: u8 = 8;
/// There is no such device, or it cannot be used now.
pub const NO_DEVICE: u8 = 10;
/// The recording is not there, is a folder, or may not be read.
pub const NO_INPUT: u8 = 11;
/// The recording is empty, or holds no sound.
pub const NOT_AUDIO: u8 = 12;
/// The recording is cut off.
pub const CUT_OFF: u8 = 13;
/// A rate or a number of channels that cannot be taken.
pub const BAD_SHAPE: u8 = 14;
/// No room in shared memory or on the disk.
pub const NO_ROOM: u8 = 15;
/// A folder is not the user's, or open to others.
pub const NOT_PRIVATE: u8 = 16;
/// Another instance runs in this place.
pub const ALREADY_RUNS: u8 = 17;
/// No instance runs.
pub const NOT_RUNNING: u8 = 18;
/// A model could not be fetched.
pub const NOT_FETCHED: u8 = 19;

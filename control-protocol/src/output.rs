//! Outputs: what is played where.

use crate::{StreamName, bounds};
use serde::{Deserialize, Serialize};

/// What is to be played where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// Which output of the engine; the one that had this number goes when this one is open. Only 0 may lead the clock.
    pub number: u32,
    /// Whose answers are meant: each wish has a number of its own.
    pub wish: u32,
    /// `default`, the name of a device, or `virtual:`.
    #[serde(with = "bounds::uri")]
    pub device: String,
    /// The stream that is played there; the mix is one of them.
    pub stream: StreamName,
    /// Whether it is tried again when it cannot be opened at first: it worked before.
    pub keep_trying: bool,
}

/// How an output does. Counts are since it was wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputFigures {
    /// Periods in which there was nothing to play.
    pub underruns: u64,
    /// Frames of silence in their places.
    pub underrun_frames: u64,
    /// Glitches that the device has reported.
    pub xruns: u64,
    /// Frames of the stream that were skipped, after a stop of the device or of this machine.
    pub skipped_frames: u64,
    /// Frames that wait for the device.
    pub queued_frames: u64,
    /// From the time a frame is in its ring to the end of the period in which it is played, in microseconds; 0 while
    /// nothing plays.
    pub delay_us: u64,
    /// By how many thousandths of a millionth the device is faster than it says.
    pub ppm_thousandths: i64,
}

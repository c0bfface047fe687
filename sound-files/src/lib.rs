//! Recordings to frames.
//!
//! What it does: decodes a file piece by piece ([`Decoded`]), so that one of any length takes little memory, without a
//! codec's padding; and tells whether it is whole: one that is cut off gives what it has, and says so. What it never does:
//! resample, wait for anybody, or believe a length that a file only promises.
//!
//! ```
//! use sound_files::{Decoded, Frames};
//! let mut clip = Decoded::demo()?;
//! let mut planar = vec![Vec::new(); clip.channels];
//! while clip.next(&mut planar) == Ok(true) {}
//! assert_eq!(planar[0].len(), 176_000);
//! # Ok::<(), sound_files::DecodeError>(())
//! ```

mod container;
mod decode;
mod limits;
mod mpeg;

pub use decode::{DEMO_CLIP, DecodeError, Decoded, channels_text};
pub use limits::{CHANNELS, SAMPLE_RATES_HZ, ShapeError};

use control_protocol::SourceError;

/// Gives decoded frames, piece by piece.
pub trait Frames: Send {
    /// Appends the next frames to `planar` (one `Vec` a channel) and returns `true`; `false` at the end.
    ///
    /// # Errors
    /// What is wrong with the source, for people. It gives nothing more then; frames appended before the error count.
    fn next(&mut self, planar: &mut [Vec<f32>]) -> Result<bool, SourceError>;
}

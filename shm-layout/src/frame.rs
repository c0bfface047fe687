//! Positions, epochs and sessions: what ties all rings of an engine together.

use serde::{Deserialize, Serialize};

/// The position of a frame in its session. Never restarts in it; means the same instant in every ring.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameIndex(pub u64);

impl FrameIndex {
    /// This position and `frames` more.
    #[must_use]
    pub const fn plus(self, frames: u64) -> Self {
        Self(self.0 + frames)
    }

    /// This position less `frames`, at least 0.
    #[must_use]
    pub const fn back(self, frames: u64) -> Self {
        Self(self.0.saturating_sub(frames))
    }

    /// Frames from `earlier` to this position; 0 when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds from the beginning of the session.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "2^53 frames are 5,900 years at 48 kHz")]
    pub fn seconds(self, sample_rate_hz: u32) -> f64 {
        self.0 as f64 / f64::from(sample_rate_hz)
    }
}

impl std::fmt::Display for FrameIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of a ring: a restarted writer takes a fresh file with the next epoch. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The session a frame index belongs to (the bytes of a UUID). A new rate is a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub [u8; 16]);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

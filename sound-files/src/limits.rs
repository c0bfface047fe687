//! Bounds that hold everywhere.

use thiserror::Error;

/// Rates accepted anywhere, in Hz.
pub const SAMPLE_RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// Channel counts accepted anywhere.
pub const CHANNELS: std::ops::RangeInclusive<u32> = 1..=64;

/// A form of sound that is beyond the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// Its rate.
    #[error("{0} Hz; {min} to {max} Hz can be read. To convert it: ffmpeg -i FILE -ar 48000 new.wav",
        min = SAMPLE_RATES_HZ.start(), max = SAMPLE_RATES_HZ.end())]
    Rate(u32),
    /// Its channels.
    #[error("{0} channels; {max} can be read. To convert it: ffmpeg -i FILE -ac 1 new.wav", max = CHANNELS.end())]
    Channels(u32),
}

impl ShapeError {
    /// Holds a form against the bounds.
    ///
    /// # Errors
    /// The bound that it breaks.
    pub fn check(channels: u32, sample_rate_hz: u32) -> Result<(), Self> {
        if !CHANNELS.contains(&channels) {
            Err(Self::Channels(channels))
        } else if !SAMPLE_RATES_HZ.contains(&sample_rate_hz) {
            Err(Self::Rate(sample_rate_hz))
        } else {
            Ok(())
        }
    }
}

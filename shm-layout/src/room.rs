//! How much history fits.

use crate::writer::CreateError;
use std::path::Path;

/// The shortest history worth having when a longer one does not fit.
const HISTORY_MS_MIN: u32 = 10_000;

/// Frames of history for each ring of an engine whose rings together have `channels_total` channels.
///
/// They may take half of the free space of `dir`'s file system, and two epochs must fit beside each other.
/// History shrinks to fit, to 10 s at least (or to `wanted_ms` where that is less).
///
/// # Errors
/// [`CreateError::NoRoom`] when even that does not fit.
pub fn fit_history(dir: &Path, sample_rate_hz: u32, channels_total: u32, wanted_ms: u32) -> Result<u64, CreateError> {
    let fs =
        rustix::fs::statvfs(dir).map_err(|e| CreateError::Io { path: dir.display().to_string(), source: e.into() })?;
    let free_bytes = fs.f_bavail.saturating_mul(fs.f_frsize);
    fit(free_bytes, sample_rate_hz, channels_total, wanted_ms).ok_or_else(|| CreateError::NoRoom {
        path: dir.display().to_string(),
        free_bytes,
        needed_bytes: needed(sample_rate_hz, channels_total),
    })
}

fn frames(ms: u32, sample_rate_hz: u32) -> u64 {
    (u64::from(ms) * u64::from(sample_rate_hz)).div_ceil(1000)
}

fn needed(sample_rate_hz: u32, channels_total: u32) -> u64 {
    frames(HISTORY_MS_MIN, sample_rate_hz) * u64::from(channels_total) * 4 * 4
}

fn fit(free_bytes: u64, sample_rate_hz: u32, channels_total: u32, wanted_ms: u32) -> Option<u64> {
    let wanted = frames(wanted_ms, sample_rate_hz).max(1);
    let least = wanted.min(frames(HISTORY_MS_MIN, sample_rate_hz));
    let fitting = free_bytes / 4 / (u64::from(channels_total.max(1)) * 4);
    (fitting >= least).then(|| wanted.min(fitting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_shrinks_to_half_of_the_room_and_two_epochs() {
        // 64 MB hold two epochs of 30 s of two stereo... of four channels at 48 kHz only in part.
        assert_eq!(fit(64 << 20, 48_000, 2, 30_000), Some(1_440_000));
        assert_eq!(fit(64 << 20, 48_000, 4, 30_000), Some((64 << 20) / 64));
        assert_eq!(fit(64 << 20, 192_000, 64, 30_000), None);
        assert_eq!(fit(1 << 20, 48_000, 1, 1_000), Some(48_000));
    }
}

//! Bounds that hold everywhere.

/// Rates accepted anywhere, in Hz.
pub const SAMPLE_RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// Channel counts accepted anywhere.
pub const CHANNELS: std::ops::RangeInclusive<u32> = 1..=64;

/// Text that fits a message: a list of devices or a path can be longer than the protocol allows.
pub(crate) fn short(mut text: String) -> String {
    const BYTES_MAX: usize = 1_500;
    if text.len() > BYTES_MAX {
        let cut = (0..=BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(cut);
        text.push_str("...");
    }
    text
}

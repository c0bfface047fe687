//! Bounds that hold everywhere.

pub use sound_files::{CHANNELS, SAMPLE_RATES_HZ, ShapeError};

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

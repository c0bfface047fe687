//! How much to test.

/// Whether the counts of the promises are wanted in full (`scripts/test --long`).
#[must_use]
pub fn long() -> bool {
    std::env::var_os("TYMPAN_LONG").is_some_and(|v| v == "1")
}

/// The full count, or a tenth of it.
#[must_use]
pub fn scaled(full: u64) -> u64 {
    if long() { full } else { full.div_ceil(10) }
}

/// The clips of a short joined file: 12 s of speech in three utterances.
pub const BASE_SPEECH: [&str; 3] = ["librivox_0880.wav", "librivox_0890.wav", "librivox_0930.wav"];

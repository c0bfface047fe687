//! Names of streams: they become file names, so they are narrow.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a stream: 1 to 32 of `a-z`, `0-9`, `-`, `_`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(String);

/// Why a name is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("stream name {0:?}: 1 to 32 of a-z, 0-9, '-' and '_', beginning with a letter or digit")]
pub struct NameError(pub String);

impl StreamName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 32;

    /// The stream every engine writes besides its sources: their sum.
    #[must_use]
    pub fn mix() -> Self {
        Self("mix".into())
    }

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] when a character or the length does not fit.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        let fits = (1..=Self::BYTES_MAX).contains(&bytes.len())
            && plain(bytes[0])
            && bytes.iter().all(|&b| plain(b) || b == b'-' || b == b'_');
        if fits { Ok(Self(name)) } else { Err(NameError(name)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StreamName {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

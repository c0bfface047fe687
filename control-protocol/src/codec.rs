//! Bytes of a message, and their bound.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The largest message, in bytes. A page: nothing that fits the protocol comes near it but a very long path.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Why a message has no bytes, or bytes are no message.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// The message is larger than any process accepts.
    #[error("message of {actual} bytes, {MESSAGE_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size in bytes.
        actual: usize,
    },
    /// A name, a text or a number that no field may have, or a kind of message that this version does not know.
    #[error("a field of the message is not within its bounds, or its kind is unknown")]
    OutOfBounds,
    /// The bytes are not a message of this protocol.
    #[error("not a message of this protocol: {0}")]
    Malformed(String),
}

/// The bytes of a message (postcard: little-endian varints, no padding).
///
/// # Errors
/// [`CodecError::OutOfBounds`] for a field, [`CodecError::TooLarge`] for a whole message beyond its bound.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let bytes = postcard::to_allocvec(message).map_err(fault)?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(CodecError::TooLarge { actual: bytes.len() });
    }
    Ok(bytes)
}

/// The message of some bytes; every byte must belong to it.
///
/// # Errors
/// [`CodecError::TooLarge`] before anything is read, [`CodecError::OutOfBounds`] for a field, [`CodecError::Malformed`]
/// otherwise.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, CodecError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(CodecError::TooLarge { actual: bytes.len() });
    }
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(CodecError::Malformed(format!("{} bytes too many", rest.len()))),
        Err(e) => Err(fault(e)),
    }
}

/// What serde refuses, and not the format, is a bound.
fn fault(error: postcard::Error) -> CodecError {
    match error {
        postcard::Error::SerdeSerCustom | postcard::Error::SerdeDeCustom => CodecError::OutOfBounds,
        other => CodecError::Malformed(other.to_string()),
    }
}

//! The greeting on its own: what two processes of any versions can say to each other.

use crate::{CodecError, Hello};
use serde::{Deserialize, Serialize};

/// The common beginning of every message enum: variant 0 is the greeting.
#[derive(Serialize, Deserialize)]
enum Greeting {
    Hello(Hello),
}

/// The bytes of a greeting; they are variant 0 of every message enum.
///
/// # Errors
/// As [`crate::encode`].
pub fn greet(hello: Hello) -> Result<Vec<u8>, CodecError> {
    crate::encode(&Greeting::Hello(hello))
}

/// Reads a greeting of any version: fields that a later version added behind are passed over.
///
/// # Errors
/// [`CodecError::Malformed`] when it is none.
pub fn greeting(bytes: &[u8]) -> Result<Hello, CodecError> {
    match postcard::take_from_bytes(bytes) {
        Ok((Greeting::Hello(hello), _)) => Ok(hello),
        Err(e) => Err(CodecError::Malformed(e.to_string())),
    }
}

/// The protocol's version in a greeting of any version: all that is certain of one that this process does not know.
///
/// # Errors
/// [`CodecError::Malformed`] when it is no greeting.
pub fn version_of(bytes: &[u8]) -> Result<u32, CodecError> {
    match postcard::take_from_bytes::<(u32, u32)>(bytes) {
        Ok(((0, protocol), _)) => Ok(protocol),
        Ok(_) => Err(CodecError::Malformed("no greeting".to_owned())),
        Err(e) => Err(CodecError::Malformed(e.to_string())),
    }
}

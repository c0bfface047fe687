//! What is done with the bytes: by the fuzz targets, and without a fuzzer by `control-protocol/tests/bytes.rs`.
//!
//! Whatever becomes a message has bytes again, and they mean the same: so no field is read that could not be written.

use control_protocol::{
    FromEngine, FromListener, FromWorker, MESSAGE_BYTES_MAX, ToEngine, ToListener, ToWorker, decode, encode, greeting,
    version_of,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// What a supervisor does with what a child says; the first byte chooses the child. Whether it was a message.
pub fn from_child(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    match kind % 4 {
        0 => there_and_back::<FromEngine>(rest),
        1 => there_and_back::<FromListener>(rest),
        2 => there_and_back::<FromWorker>(rest),
        _ => a_greeting(rest),
    }
}

/// What a child does with what a supervisor says; the first byte chooses the child. Whether it was a message.
pub fn to_child(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    match kind % 4 {
        0 => there_and_back::<ToEngine>(rest),
        1 => there_and_back::<ToListener>(rest),
        2 => there_and_back::<ToWorker>(rest),
        _ => a_greeting(rest),
    }
}

fn there_and_back<M: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(message) = decode::<M>(bytes) else { return false };
    assert!(bytes.len() <= MESSAGE_BYTES_MAX);
    let again = encode(&message).expect("what was read can be written");
    // A number may have come with more bytes than it needs.
    assert!(again.len() <= bytes.len());
    assert_eq!(decode::<M>(&again).as_ref(), Ok(&message));
    true
}

fn a_greeting(bytes: &[u8]) -> bool {
    let Ok(hello) = greeting(bytes) else {
        // Of one that nobody understands the version may still be known.
        let _ = version_of(bytes);
        return false;
    };
    assert_eq!(version_of(bytes), Ok(hello.protocol));
    true
}

/// Where both begin: every kind of message, from the file of golden bytes.
#[must_use]
pub fn seeds(golden: &str, towards_child: bool) -> Vec<Vec<u8>> {
    let kinds: [&str; 3] = if towards_child {
        ["ToEngine", "ToListener", "ToWorker"]
    } else {
        ["FromEngine", "FromListener", "FromWorker"]
    };
    let seed = |line: &str| {
        let (name, hex) = line.split_once(" = ")?;
        let kind = kinds.iter().position(|kind| name.split("::").next() == Some(kind))?;
        let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
        let mut seed = vec![u8::try_from(kind).ok()?];
        seed.extend(bytes.collect::<Result<Vec<_>, _>>().ok()?);
        Some(seed)
    };
    golden.lines().filter_map(seed).collect()
}

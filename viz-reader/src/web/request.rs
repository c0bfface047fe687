//! What a page asks for: JSON messages with a field `type`.

use serde::Deserialize;

/// Channels that messages can name.
pub(super) const CHANNELS_MAX: usize = 64;
/// Bytes of a message from a page at the most.
pub(super) const BYTES_MAX: usize = 16 << 10;

/// A wish.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Shows who it is, where that is wanted.
    Token { token: String },
    /// Wishes new frames of a stream, from now on. Once more: other channels of it.
    Subscribe { stream: String, channels: Option<Vec<usize>> },
    /// Wishes them no more.
    Unsubscribe { stream: String },
    /// Wishes frames of the past.
    Frames { request: u32, stream: String, from: u64, to: u64, channels: Option<Vec<usize>> },
    /// Wishes least and greatest samples of a long time.
    Overview { request: u32, stream: String, from: u64, to: u64, columns: u32, channels: Option<Vec<usize>> },
}

/// Bit `c` for channel `c`; all without a list.
///
/// # Errors
/// The channel that no stream can have.
pub(super) fn mask(channels: Option<&[usize]>) -> Result<u64, String> {
    let Some(channels) = channels else { return Ok(u64::MAX) };
    channels.iter().try_fold(0, |mask, &channel| {
        if channel >= CHANNELS_MAX {
            return Err(format!("channel {channel} is none; they are counted from 0 to {}", CHANNELS_MAX - 1));
        }
        Ok(mask | 1 << channel)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| serde_json::from_str::<Request>(text);
        let subscribe = parse(r#"{"type":"subscribe","stream":"mic","channels":[0,2]}"#).unwrap();
        assert!(
            matches!(subscribe, Request::Subscribe { stream, channels: Some(list) } if stream == "mic" && list == [0, 2])
        );
        for wrong in [
            "",
            "[]",
            "null",
            r#"{"type":"delete"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","stream":"mic","path":"/etc"}"#,
            r#"{"type":"frames","request":1,"stream":"mic","from":-1,"to":5}"#,
            r#"{"type":"frames","request":1,"stream":"mic","from":0,"to":1e400}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(mask(Some(&[0, 2, 63])), Ok(1 << 63 | 0b101));
        assert_eq!(mask(None), Ok(u64::MAX));
        assert!(mask(Some(&[64])).is_err());
    }
}

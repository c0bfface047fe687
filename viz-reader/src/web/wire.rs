//! The binary messages to a page: frames and overviews. README.md of the page (`viz-reader/web/`) has their table.
//!
//! All numbers are little-endian. A message is a head of [`HEAD_BYTES`], spans of [`SPAN_BYTES`] each, and f32 samples,
//! planar: all of a channel's, then the next one's.

use crate::rings::What;

/// Bytes before the spans.
pub(super) const HEAD_BYTES: usize = 64;
/// Bytes of a span.
pub(super) const SPAN_BYTES: usize = 24;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    /// New frames of a stream.
    Live = 1,
    /// Frames that were asked for.
    Frames = 2,
    /// Least and greatest samples that were asked for.
    Overview = 3,
}

/// Why frames are missing. The page knows the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Why {
    /// Never captured.
    Gap = 1,
    /// This server, or the way to the page, was too slow.
    Lost = 2,
    /// Not there any more when they were asked for.
    Overwritten = 3,
    /// Not written yet when they were asked for.
    Later = 4,
}

impl Why {
    /// Of a stretch that is not sound.
    pub(super) const fn of(what: What) -> Option<Self> {
        match what {
            What::Sound => None,
            What::Gap => Some(Self::Gap),
            What::Overwritten => Some(Self::Overwritten),
            What::Later => Some(Self::Later),
        }
    }
}

/// Frames `from..to` that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub from: u64,
    pub to: u64,
    pub why: Why,
}

/// What a message says of its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub kind: Kind,
    /// The stream's number, as the list of streams gives it.
    pub stream: u32,
    pub epoch: u64,
    pub first_frame: u64,
    /// Frames of each channel; of an overview, columns.
    pub frames: u32,
    pub sample_rate_hz: u32,
    /// Which channels: bit `c` is channel `c`.
    pub channels: u64,
    /// When the last frame was written, in microseconds since 1970; 0 where that is not known.
    pub written_us: u64,
    /// The number of the request that this answers; 0 for none.
    pub request: u32,
    /// Frames that an overview is of.
    pub span_frames: u64,
}

/// A message with room for so many samples, which are to follow.
pub(super) fn begin(head: &Head, spans: &[Span], samples: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + spans.len() * SPAN_BYTES + samples * 4);
    bytes.extend((head.kind as u16).to_le_bytes());
    bytes.extend(u16::try_from(spans.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(head.stream.to_le_bytes());
    bytes.extend(head.epoch.to_le_bytes());
    bytes.extend(head.first_frame.to_le_bytes());
    bytes.extend(head.frames.to_le_bytes());
    bytes.extend(head.sample_rate_hz.to_le_bytes());
    bytes.extend(head.channels.to_le_bytes());
    bytes.extend(head.written_us.to_le_bytes());
    bytes.extend(head.span_frames.to_le_bytes());
    bytes.extend(head.request.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    for span in spans.iter().take(usize::from(u16::MAX)) {
        bytes.extend(span.from.to_le_bytes());
        bytes.extend(span.to.to_le_bytes());
        bytes.extend((span.why as u32).to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
    }
    bytes
}

/// Adds samples to a message.
pub(super) fn add(bytes: &mut Vec<u8>, samples: &[f32]) {
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
}

/// The channels that are wished and there: of so many, those in the mask.
pub(super) fn chosen(mask: u64, channels: usize) -> impl Iterator<Item = usize> {
    (0..channels.min(64)).filter(move |channel| mask >> channel & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page reads these bytes; so do programs of strangers.
    #[test]
    fn the_bytes_are_these() {
        let head = Head {
            kind: Kind::Live,
            stream: 2,
            epoch: 3,
            first_frame: 0x0102_0304_0506,
            frames: 1,
            sample_rate_hz: 48_000,
            channels: 0b101,
            written_us: 7,
            request: 9,
            span_frames: 0,
        };
        let mut bytes = begin(&head, &[Span { from: 5, to: 6, why: Why::Lost }], 2);
        add(&mut bytes, &[1.0, -2.0]);
        #[rustfmt::skip]
        let expected = [
            1, 0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 6, 5, 4, 3, 2, 1, 0, 0, 1, 0, 0, 0, 0x80, 0xbb, 0, 0,
            5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(bytes.len(), HEAD_BYTES + SPAN_BYTES + 8);
        assert_eq!(chosen(0b101, 2).collect::<Vec<_>>(), [0]);
    }
}

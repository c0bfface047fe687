//! Raw frames from standard input.

use crate::frames::Frames;
use crate::raw::RawFormat;
use control_protocol::{Exit, SourceError};
use std::io::Read;

/// Bytes asked for at a time: a reader that waits for more would add latency, so a read takes what is there.
const READ_BYTES: usize = 16_384;

/// Frames of a byte stream.
pub struct RawStream<R> {
    input: R,
    format: RawFormat,
    /// Bytes in all, where a header said so.
    length: Option<u64>,
    /// Bytes that have come.
    come: u64,
    bytes: Vec<u8>,
    /// Bytes in `bytes` that are not a whole frame yet.
    held: usize,
}

impl<R: Read + Send> RawStream<R> {
    /// Frames of `input`; `length_bytes` of them where known, else all.
    pub fn new(input: R, format: RawFormat, length_bytes: Option<u64>) -> Self {
        Self { input, format, length: length_bytes, come: 0, bytes: vec![0; READ_BYTES], held: 0 }
    }

    fn seconds(&self, bytes: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let frames = (bytes / self.format.frame_bytes() as u64) as f64;
        frames / f64::from(self.format.sample_rate_hz)
    }
}

impl<R: Read + Send> Frames for RawStream<R> {
    fn next(&mut self, planar: &mut [Vec<f32>]) -> Result<bool, SourceError> {
        let wanted = self.length.map_or(usize::MAX, |all| usize::try_from(all - self.come).unwrap_or(usize::MAX));
        let end = self.bytes.len().min(self.held.saturating_add(wanted));
        if end == self.held {
            return Ok(false);
        }
        let read = match self.input.read(&mut self.bytes[self.held..end]) {
            Ok(0) => {
                let Some(length) = self.length else { return Ok(false) };
                let reason = format!(
                    "standard input: cut off after {:.1} s of {:.1} s: it ended before the length that its header gives",
                    self.seconds(self.come),
                    self.seconds(length)
                );
                return Err(SourceError { reason, exit: Exit::CutOff });
            }
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Ok(true),
            Err(e) => return Err(SourceError { reason: format!("standard input: {e}"), exit: Exit::NoInput }),
        };
        self.come += read as u64;
        let there = self.held + read;
        let used = self.format.decode(&self.bytes[..there], planar) * self.format.frame_bytes();
        self.bytes.copy_within(used..there, 0);
        self.held = there - used;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Encoding;

    /// Gives three bytes at a time, so that frames are torn.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = 3.min(into.len());
            self.0.read(&mut into[..count])
        }
    }

    #[test]
    fn torn_frames_are_put_together() {
        let format = RawFormat { sample_rate_hz: 16_000, channels: 2, encoding: Encoding::S16LE };
        let bytes: Vec<u8> = (0..50_i16).flat_map(|n| [n.to_le_bytes(), (-n).to_le_bytes()].concat()).collect();
        let mut stream = RawStream::new(Drip(&bytes), format, None);
        let mut planar = [Vec::new(), Vec::new()];
        while stream.next(&mut planar).unwrap() {}
        assert_eq!(planar[0].len(), 50);
        assert!((0..50_i16).all(|n| planar[1][usize::try_from(n).unwrap()] == f32::from(-n) / 32_768.0));
    }

    #[test]
    fn a_length_is_kept_and_its_lack_is_told() {
        let format = RawFormat { sample_rate_hz: 16_000, channels: 1, encoding: Encoding::S16LE };
        let mut planar = [Vec::new()];
        let mut stream = RawStream::new(&[0_u8; 100][..], format, Some(40));
        while stream.next(&mut planar).unwrap() {}
        assert_eq!(planar[0].len(), 20);
        let mut short = RawStream::new(&[0_u8; 30][..], format, Some(40));
        assert!(short.next(&mut planar).unwrap());
        let error = short.next(&mut planar).unwrap_err();
        assert_eq!(error.exit, Exit::CutOff);
        assert!(error.reason.contains("ended before"), "{error:?}");
    }
}

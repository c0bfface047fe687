//! What a meter says of one window of its stream, and how it stands in words.

use crate::frame::FrameIndex;
use std::array;

/// Channels that have levels of their own in a reading; the loudest of all is in it, however many there are.
pub const READING_CHANNELS: usize = 8;
/// Words of a reading.
pub(super) const WORDS: usize = 23;

/// A stream in one window, 1/60 s of it; levels are factors of full scale.
///
/// Windows end at the sixtieths of a second of the session's frame index, rounded up to frames, so that they are the same in
/// every stream. A stream's first window begins with its first frame, its last one ends with its last frame; none is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The first frame.
    pub from: FrameIndex,
    /// One past the last frame.
    pub to: FrameIndex,
    /// When it was written, on `CLOCK_MONOTONIC`, in nanoseconds.
    pub at_ns: u64,
    /// The stream's rate, in frames a second.
    pub sample_rate_hz: u32,
    /// Channels of the stream.
    pub channel_count: u32,
    /// The frame from which on clips are counted and loudness is integrated.
    pub since: FrameIndex,
    /// Clips of all channels since then: runs of samples at full scale or beyond.
    pub clips: u64,
    /// The largest magnitude of late of any channel: held for 1.5 s, then falling by 11.8 dB a second.
    pub held_peak: f32,
    /// The largest magnitude of any channel, and the root mean square of the loudest one.
    pub loudest: Level,
    /// Each channel's; those beyond [`channel_count`](Self::channel_count) are 0.
    pub channels: [Level; READING_CHANNELS],
    /// Where it is measured, as in the mix.
    pub loudness: Option<Loudness>,
}

/// How loud a channel is; factors of full scale.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    /// The largest magnitude.
    pub peak: f32,
    /// The root mean square.
    pub rms: f32,
}

/// Loudness after EBU R128 at a window's end, in LUFS; minus infinity where there is none yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Of the last 400 ms.
    pub momentary: f32,
    /// Of the last 3 s.
    pub short_term: f32,
    /// Gated, since [`Reading::since`].
    pub integrated: f32,
    /// The loudness range since then, in LU.
    pub range_lu: f32,
    /// The loudest momentary and short-term loudness since then.
    pub momentary_max: f32,
    /// As above.
    pub short_term_max: f32,
    /// The largest magnitude in the window, between samples too; 1 is full scale.
    pub true_peak: f32,
    /// The same since [`Reading::since`].
    pub true_peak_max: f32,
}

impl Reading {
    /// This reading and the next one as one.
    #[must_use]
    pub fn joined(self, next: &Self) -> Self {
        let (own, more) = (self.to.since(self.from), next.to.since(next.from));
        let join = |a: Level, b: Level| Level { peak: a.peak.max(b.peak), rms: rms_of((a.rms, own), (b.rms, more)) };
        let true_peak = |loudness: Loudness| Loudness {
            true_peak: self.loudness.map_or(0.0, |own| own.true_peak).max(loudness.true_peak),
            ..loudness
        };
        Self {
            from: self.from,
            loudest: join(self.loudest, next.loudest),
            channels: array::from_fn(|channel| join(self.channels[channel], next.channels[channel])),
            loudness: next.loudness.map(true_peak),
            ..*next
        }
    }

    pub(super) fn to_words(self) -> [u64; WORDS] {
        let level = |Level { peak, rms }| pair(peak, rms);
        let loudness = self.loudness.map(|l| {
            [
                pair(l.momentary, l.short_term),
                pair(l.integrated, l.range_lu),
                pair(l.momentary_max, l.short_term_max),
                pair(l.true_peak, l.true_peak_max),
            ]
        });
        let mut words = [0; WORDS];
        words[..8].copy_from_slice(&[
            self.from.0,
            self.to.0,
            self.at_ns,
            u64::from(self.sample_rate_hz) << 32 | u64::from(self.channel_count),
            self.since.0,
            self.clips,
            pair(self.held_peak, 0.0),
            level(self.loudest),
        ]);
        words[8..16].copy_from_slice(&self.channels.map(level));
        words[16] = u64::from(loudness.is_some());
        words[17..21].copy_from_slice(&loudness.unwrap_or_default());
        words
    }

    #[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
    pub(super) fn of_words(words: &[u64; WORDS]) -> Self {
        let level = |word: u64| {
            let (peak, rms) = halves(word);
            Level { peak, rms }
        };
        let loudness = (words[16] & 1 == 1).then(|| {
            let [(momentary, short_term), (integrated, range_lu), (momentary_max, short_term_max), peaks] =
                array::from_fn(|at| halves(words[17 + at]));
            let (true_peak, true_peak_max) = peaks;
            Loudness {
                momentary,
                short_term,
                integrated,
                range_lu,
                momentary_max,
                short_term_max,
                true_peak,
                true_peak_max,
            }
        });
        Self {
            from: FrameIndex(words[0]),
            to: FrameIndex(words[1]),
            at_ns: words[2],
            sample_rate_hz: (words[3] >> 32) as u32,
            channel_count: words[3] as u32,
            since: FrameIndex(words[4]),
            clips: words[5],
            held_peak: halves(words[6]).0,
            loudest: level(words[7]),
            channels: array::from_fn(|channel| level(words[8 + channel])),
            loudness,
        }
    }
}

/// The root mean square of two stretches with theirs, each so many frames long.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a level needs no more than f32")]
fn rms_of((a, a_frames): (f32, u64), (b, b_frames): (f32, u64)) -> f32 {
    let sum = f64::from(a).powi(2) * a_frames as f64 + f64::from(b).powi(2) * b_frames as f64;
    (sum / a_frames.saturating_add(b_frames).max(1) as f64).sqrt() as f32
}

fn pair(high: f32, low: f32) -> u64 {
    u64::from(high.to_bits()) << 32 | u64::from(low.to_bits())
}

#[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
const fn halves(word: u64) -> (f32, f32) {
    (f32::from_bits((word >> 32) as u32), f32::from_bits(word as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(from: u64, to: u64, peak: f32, rms: f32) -> Reading {
        let level = Level { peak, rms };
        let mut channels = [Level::default(); READING_CHANNELS];
        channels[1] = level;
        Reading {
            from: FrameIndex(from),
            to: FrameIndex(to),
            at_ns: to,
            sample_rate_hz: 48_000,
            channel_count: 2,
            since: FrameIndex(7),
            clips: to,
            held_peak: 0.75,
            loudest: level,
            channels,
            loudness: Some(Loudness {
                momentary: -23.0,
                short_term: f32::NEG_INFINITY,
                integrated: -24.0,
                range_lu: 3.0,
                momentary_max: -20.0,
                short_term_max: -21.0,
                true_peak: peak * 1.25,
                true_peak_max: 1.5,
            }),
        }
    }

    #[test]
    fn words_keep_everything() {
        let full = reading(100, 900, 0.5, 0.25);
        assert_eq!(Reading::of_words(&full.to_words()), full);
        let bare = Reading { loudness: None, ..full };
        assert_eq!(Reading::of_words(&bare.to_words()), bare);
    }

    #[test]
    fn two_joined_are_what_one_would_have_been() {
        let both = reading(0, 300, 0.5, 0.3).joined(&reading(300, 400, 0.25, 0.1));
        let rms = ((0.09_f32 * 300.0 + 0.01 * 100.0) / 400.0).sqrt();
        assert_eq!((both.from, both.to, both.clips, both.loudest.peak), (FrameIndex(0), FrameIndex(400), 400, 0.5));
        assert!((both.loudest.rms - rms).abs() < 1e-6 && both.channels[1] == both.loudest);
        assert_eq!(both.loudness.map(|loudness| loudness.true_peak), Some(0.625));
    }
}

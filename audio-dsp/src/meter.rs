//! What a channel's meter shows: peak, root mean square, the held peak, and how often it clipped.

use crate::gain::Decibels;
use crate::sample::finite;
use std::ops::Range;

/// How long a peak is held, and how fast it falls then: 20 dB in 1.7 s, as a programme meter of type I does
/// (IEC 60268-10).
const HOLD_SECONDS: f64 = 1.5;
const FALL_DB_PER_SECOND: f64 = 20.0 / 1.7;

/// Meters of all channels of a planar signal.
#[derive(Debug, Clone)]
pub struct Meters {
    channels: Vec<Channel>,
    rate_hz: u32,
    frames: u64,
}

/// One channel's reading; levels are factors of full scale.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// The largest magnitude since the last reading.
    pub peak: f32,
    /// The root mean square since the last reading.
    pub rms: f32,
    /// The largest magnitude of late: held for 1.5 s, then falling by 11.8 dB a second.
    pub held_peak: f32,
    /// Clips since the beginning: runs of samples at full scale or beyond.
    pub clips: u64,
}

#[derive(Debug, Clone, Default)]
struct Channel {
    peak: f32,
    squares: f64,
    held: f32,
    held_frames: u64,
    clips: u64,
    clipping: bool,
}

impl Meters {
    /// For so many channels.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize) -> Self {
        Self { channels: vec![Channel::default(); channels], rate_hz, frames: 0 }
    }

    /// Takes one more block, `[channels][frames]`. Samples that are no finite numbers count as silence.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn push(&mut self, planar: &[f32], frames: usize) {
        self.push_part(planar, frames, 0..frames);
    }

    /// As [`push`](Self::push), of these frames of the block alone: where a reading ends within a block.
    ///
    /// # Panics
    /// As there, and when the part lies outside of the block.
    pub fn push_part(&mut self, planar: &[f32], frames: usize, part: Range<usize>) {
        assert_eq!(planar.len(), self.channels.len() * frames, "planar is [channels][frames]");
        if part.is_empty() {
            return;
        }
        let count = part.len() as u64;
        for (channel, samples) in self.channels.iter_mut().zip(planar.chunks_exact(frames)) {
            let peak = channel.take_in(&samples[part.clone()]);
            channel.hold(peak, count, self.rate_hz);
        }
        self.frames += count;
    }

    /// A channel's reading; the next one begins with the next [`begin`](Self::begin).
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a level needs no more than f32")]
    pub fn reading(&self, channel: usize) -> Reading {
        let channel = &self.channels[channel];
        // The square of a sample far beyond full scale is infinite; the mean is never above the peak.
        let rms = ((channel.squares / self.frames.max(1) as f64).sqrt() as f32).min(channel.peak);
        Reading { peak: channel.peak, rms, held_peak: channel.held, clips: channel.clips }
    }

    /// Frames since the last [`begin`](Self::begin).
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// All channels' readings.
    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        (0..self.channels.len()).map(|channel| self.reading(channel))
    }

    /// Begins a new reading. Held peaks and clips go on.
    pub fn begin(&mut self) {
        self.frames = 0;
        self.channels.iter_mut().for_each(|channel| (channel.peak, channel.squares) = (0.0, 0.0));
    }

    /// Forgets held peaks and clips too.
    pub fn reset(&mut self) {
        self.frames = 0;
        self.channels.fill(Channel::default());
    }
}

impl Channel {
    /// Peak of these samples; sums and counts them.
    fn take_in(&mut self, samples: &[f32]) -> f32 {
        let (peak, squares) = peak_and_squares(samples);
        self.squares += squares;
        self.peak = self.peak.max(peak);
        if peak >= 1.0 || self.clipping {
            for &sample in samples {
                let clipping = finite(sample).abs() >= 1.0;
                self.clips += u64::from(clipping && !self.clipping);
                self.clipping = clipping;
            }
        }
        peak
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are few; f64 to a level")]
    fn hold(&mut self, peak: f32, frames: u64, rate_hz: u32) {
        if peak >= self.held {
            (self.held, self.held_frames) = (peak, 0);
            return;
        }
        let hold_frames = (HOLD_SECONDS * f64::from(rate_hz)) as u64;
        let before = self.held_frames.max(hold_frames);
        self.held_frames += frames;
        let falling_s = self.held_frames.saturating_sub(before) as f64 / f64::from(rate_hz);
        self.held = (self.held * Decibels((-FALL_DB_PER_SECOND * falling_s) as f32).to_gain()).max(peak);
        if self.held < 1e-9 {
            self.held = 0.0;
        }
    }
}

/// The largest magnitude and the sum of squares; eight of each side by side, so that the compiler can use vectors. What
/// is no finite number counts as silence.
pub(crate) fn peak_and_squares(samples: &[f32]) -> (f32, f64) {
    let (mut peak, mut squares) = (0.0_f32, 0.0_f64);
    // Sums of `f32` stay exact enough over a thousand squares.
    for part in samples.chunks(1_024) {
        let (mut peaks, mut sums) = ([0.0_f32; 8], [0.0_f32; 8]);
        let (eights, rest) = part.as_chunks::<8>();
        for eight in eights {
            for ((peak, sum), &sample) in peaks.iter_mut().zip(&mut sums).zip(eight) {
                let sample = finite(sample);
                *peak = peak.max(sample.abs());
                *sum += sample * sample;
            }
        }
        for (sum, &sample) in sums.iter_mut().zip(rest) {
            let sample = finite(sample);
            peak = peak.max(sample.abs());
            *sum += sample * sample;
        }
        peak = peaks.into_iter().fold(peak, f32::max);
        squares += sums.into_iter().map(f64::from).sum::<f64>();
    }
    (peak, squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE_HZ: u32 = 48_000;

    #[test]
    fn a_peak_is_held_and_falls() {
        let mut meters = Meters::new(RATE_HZ, 1);
        meters.push(&[0.5], 1);
        let held_after = |meters: &mut Meters, frames: usize| {
            (0..frames / 480).for_each(|_| meters.push(&[0.0; 480], 480));
            meters.reading(0).held_peak
        };
        assert_eq!(held_after(&mut meters, 71_520), 0.5, "1.49 s");
        let fallen_db = 20.0 * (held_after(&mut meters, 480 + 81_600) / 0.5).log10();
        assert!((fallen_db + 20.0).abs() < 0.01, "{fallen_db}");
        meters.push(&[0.25], 1);
        assert_eq!(held_after(&mut meters, 480), 0.25);
        assert_eq!(held_after(&mut meters, 48_000 * 60), 0.0);
    }

    #[test]
    fn levels_are_finite_whatever_comes() {
        let mut meters = Meters::new(RATE_HZ, 1);
        meters.push(&[f32::NAN, f32::INFINITY, -1e38, 1e-42], 4);
        assert_eq!((meters.reading(0).peak, meters.reading(0).rms), (1e38, 1e38));
    }

    #[test]
    fn a_run_is_one_clip_in_any_blocks() {
        let samples = [0.9, 1.0, -1.5, 0.5, -1.0, f32::NAN, 1.0, 2.0];
        for block in 1..=8 {
            let mut meters = Meters::new(RATE_HZ, 1);
            samples.chunks(block).for_each(|part| meters.push(part, part.len()));
            assert_eq!(meters.reading(0).clips, 3, "blocks of {block}");
        }
    }

    #[test]
    fn readings_are_each_channels_own() {
        let mut meters = Meters::new(RATE_HZ, 2);
        meters.push(&[0.5, -0.5, 0.1, f32::INFINITY], 2);
        assert_eq!(meters.reading(0), Reading { peak: 0.5, rms: 0.5, held_peak: 0.5, clips: 0 });
        assert_eq!(meters.reading(1).peak, 0.1);
        meters.begin();
        assert_eq!(meters.reading(0), Reading { peak: 0.0, rms: 0.0, held_peak: 0.5, clips: 0 });
        meters.reset();
        assert_eq!(meters.reading(0), Reading::default());
    }

    #[test]
    fn parts_of_a_block_are_the_block() {
        let block: Vec<f32> = (0..960_u16).map(|n| f32::from(n) / 960.0).collect();
        let (mut whole, mut parts) = (Meters::new(RATE_HZ, 2), Meters::new(RATE_HZ, 2));
        whole.push(&block, 480);
        for part in [0..100, 100..100, 100..480] {
            parts.push_part(&block, 480, part);
        }
        assert!(
            parts
                .readings()
                .zip(whole.readings())
                .all(|(part, whole)| { part.peak == whole.peak && (part.rms - whole.rms).abs() < 1e-6 })
        );
        assert_eq!((parts.frames(), parts.readings().count()), (480, 2));
    }

    proptest! {
        #[test]
        fn peak_and_mean_square(samples in prop::collection::vec(-2.0_f32..2.0, 1..3_000), cut in 1_usize..999) {
            let mut meters = Meters::new(RATE_HZ, 1);
            samples.chunks(cut).for_each(|part| meters.push(part, part.len()));
            let reading = meters.reading(0);
            prop_assert_eq!(reading.peak, samples.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())));
            let mean = samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64;
            prop_assert!((f64::from(reading.rms) - mean.sqrt()).abs() < 1e-5);
        }
    }
}

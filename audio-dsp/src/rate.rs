//! Streaming rate conversion with exact frame counts.

use crate::sinc::RationalSinc;
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};
use thiserror::Error;

/// The lowest rate.
pub const RATE_HZ_MIN: u32 = 8_000;
/// The highest rate.
pub const RATE_HZ_MAX: u32 = 192_000;

/// How much of the band passes, and what that costs.
struct Sharpness {
    /// Frames of one FFT block at the slower of the two rates, at least.
    block_frames_min: u64,
    /// The longest FFT block, in blocks a second: beyond that the sinc takes over.
    blocks_per_second_min: u64,
}

/// 480 to 160 frames is 10 ms at 48 and 16 kHz; the passband ends at 0.9 of the slower Nyquist frequency.
const PROMPT: Sharpness = Sharpness { block_frames_min: 160, blocks_per_second_min: 10 };

/// 90 ms between 48 and 16 kHz; the passband ends at 0.99 of the slower Nyquist frequency.
const FULL_BAND: Sharpness = Sharpness { block_frames_min: 1_440, blocks_per_second_min: 5 };

/// Why there is no converter for two rates.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum RateError {
    /// A rate is out of range.
    #[error("sample rate of {actual} Hz, {RATE_HZ_MIN} to {RATE_HZ_MAX} are possible")]
    RateOutOfRange {
        /// The rate asked for.
        actual: u32,
    },
    /// There is nothing to convert.
    #[error("a rate converter needs at least one channel")]
    NoChannels,
}

/// Fixed-ratio streaming converter, planar `f32`, delay removed: output frame `j` is the input at the
/// time `j * from / to`.
///
/// After `n` input frames and [`finish`](Self::finish), exactly `ceil(n * to / from)` output frames have come out,
/// and their bits do not depend on how the input was cut. Equal rates pass through bit exact.
///
/// A [`new`](Self::new) one is prompt: rubato's synchronous FFT does the work in blocks of 7 to 100 ms (10 ms from 48
/// to 16 kHz), and what is above 0.9 of the slower Nyquist frequency fades. Where nobody waits, a
/// [`full_band`](Self::full_band) one is the better: blocks of 30 to 200 ms (90 ms from 48 to 16 kHz), 0.99 of the
/// band. (Speech in noise is worth it: a recogniser reads the last kilohertz, too.)
///
/// One FFT block spans one call (more, smaller blocks would widen the filter), and its size is even at both rates, so
/// that its delay is a whole number of frames. Where a small common divisor forbids such blocks (8,001 to 48,000 Hz),
/// a windowed sinc at exact positions takes its place; it passes 0.9 of the band in both kinds.
pub struct RateConverter {
    from_hz: u32,
    to_hz: u32,
    channels: usize,
    method: Method,
    taken: u64,
    given: u64,
}

enum Method {
    Same,
    Fft(Box<Blocks>),
    Sinc(Box<RationalSinc>),
}

/// rubato's FFT and the frames around it.
struct Blocks {
    fft: Fft<f32>,
    /// `[channels][block]`, of which `filled` frames are input.
    input: Vec<Vec<f32>>,
    filled: usize,
    output: Vec<Vec<f32>>,
    /// Output frames still to be dropped: the filter's delay.
    delay_left: usize,
}

impl RateConverter {
    /// A prompt converter between two rates, for sound that somebody waits for.
    ///
    /// # Errors
    /// [`RateError::RateOutOfRange`] outside of 8,000 to 192,000 Hz, [`RateError::NoChannels`].
    pub fn new(from_hz: u32, to_hz: u32, channels: usize) -> Result<Self, RateError> {
        Self::with(&PROMPT, from_hz, to_hz, channels)
    }

    /// A converter that passes all of the band, for sound that is there already.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn full_band(from_hz: u32, to_hz: u32, channels: usize) -> Result<Self, RateError> {
        Self::with(&FULL_BAND, from_hz, to_hz, channels)
    }

    fn with(sharpness: &Sharpness, from_hz: u32, to_hz: u32, channels: usize) -> Result<Self, RateError> {
        for actual in [from_hz, to_hz] {
            if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&actual) {
                return Err(RateError::RateOutOfRange { actual });
            }
        }
        if channels == 0 {
            return Err(RateError::NoChannels);
        }
        let common = gcd(from_hz, to_hz);
        let (step, per) = (u64::from(from_hz / common), u64::from(to_hz / common));
        let pairs = sharpness.block_frames_min.div_ceil(2 * step.min(per)); // even blocks at both rates
        let method = if from_hz == to_hz {
            Method::Same
        } else if 2 * pairs * step * sharpness.blocks_per_second_min <= u64::from(from_hz) {
            Method::Fft(Box::new(Blocks::new(from_hz, to_hz, 2 * pairs * step, channels)))
        } else {
            Method::Sinc(Box::new(RationalSinc::new(step, per, channels)))
        };
        Ok(Self { from_hz, to_hz, channels, method, taken: 0, given: 0 })
    }

    /// Takes `frames` of planar input and appends what can be known of the output to each channel of `out`.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long or `out` has not one `Vec` a channel.
    ///
    /// # Real time
    /// Allocates nothing when each `Vec` has room for [`out_frames_max`](Self::out_frames_max) more.
    pub fn process(&mut self, planar: &[f32], frames: usize, out: &mut [Vec<f32>]) {
        assert_eq!(planar.len(), self.channels * frames, "planar is [channels][frames]");
        assert_eq!(out.len(), self.channels, "one Vec a channel");
        let before = out[0].len();
        match &mut self.method {
            Method::Same => {
                for (channel, out) in out.iter_mut().enumerate() {
                    out.extend_from_slice(&planar[channel * frames..(channel + 1) * frames]);
                }
            }
            Method::Fft(blocks) => blocks.push(planar, frames, out),
            Method::Sinc(sinc) => sinc.push(planar, frames, frames, out),
        }
        self.taken += frames as u64;
        self.given += (out[0].len() - before) as u64;
    }

    /// Appends the rest of the output; then the converter is as new.
    ///
    /// # Panics
    /// When `out` has not one `Vec` a channel.
    ///
    /// # Real time
    /// As [`process`](Self::process), with room for `out_frames_max(0)`.
    pub fn finish(&mut self, out: &mut [Vec<f32>]) {
        assert_eq!(out.len(), self.channels, "one Vec a channel");
        let left = self.frames_due() - self.given;
        match &mut self.method {
            Method::Same => {}
            Method::Fft(blocks) => blocks.push_tail(left, out),
            Method::Sinc(sinc) => {
                let before = out[0].len();
                sinc.push_tail(out);
                debug_assert_eq!((out[0].len() - before) as u64, left, "positions are exact");
            }
        }
        self.reset();
    }

    /// The most output frames that a call with `frames` of input (or, with 0, the finish) appends.
    #[must_use]
    pub fn out_frames_max(&self, frames: usize) -> usize {
        let held = match &self.method {
            Method::Same => 0,
            Method::Fft(blocks) => 2 * blocks.fft.fft_size_in(),
            Method::Sinc(sinc) => 2 * sinc.lookahead_frames(),
        };
        scale(frames + held, self.from_hz, self.to_hz)
    }

    /// The most input frames that are taken and not yet heard in the output: the latency.
    #[must_use]
    pub fn latency_frames_max(&self) -> usize {
        match &self.method {
            Method::Same => 0,
            Method::Fft(blocks) => blocks.fft.fft_size_in() + blocks.fft.fft_size_in() / 2,
            Method::Sinc(sinc) => sinc.lookahead_frames(),
        }
    }

    /// Forgets everything; the next frame is input frame 0 again.
    pub fn reset(&mut self) {
        self.taken = 0;
        self.given = 0;
        match &mut self.method {
            Method::Same => {}
            Method::Fft(blocks) => blocks.reset(),
            Method::Sinc(sinc) => sinc.reset(),
        }
    }

    /// Output frames that belong to all input taken: `ceil(taken * to / from)`.
    fn frames_due(&self) -> u64 {
        let due = (u128::from(self.taken) * u128::from(self.to_hz)).div_ceil(u128::from(self.from_hz));
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

impl Blocks {
    /// Blocks of `block_frames` at `from_hz`: a multiple of `from_hz` divided by the common divisor.
    fn new(from_hz: u32, to_hz: u32, block_frames: u64, channels: usize) -> Self {
        let as_usize = |n: u64| usize::try_from(n).expect("rates fit usize");
        let block = as_usize(block_frames);
        let fft = Fft::new_custom(
            as_usize(from_hz.into()),
            as_usize(to_hz.into()),
            block,
            1,
            channels,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .expect("rates and block are not zero");
        assert_eq!(fft.fft_size_in(), block, "one FFT block a call");
        let (delay_left, out_frames) = (fft.output_delay(), fft.fft_size_out());
        Self {
            fft,
            input: vec![vec![0.0; block]; channels],
            filled: 0,
            output: vec![vec![0.0; out_frames]; channels],
            delay_left,
        }
    }

    fn push(&mut self, planar: &[f32], frames: usize, out: &mut [Vec<f32>]) {
        let block = self.fft.fft_size_in();
        let mut at = 0;
        while at < frames {
            let piece = (block - self.filled).min(frames - at);
            for (channel, input) in self.input.iter_mut().enumerate() {
                let source = &planar[channel * frames + at..][..piece];
                input[self.filled..self.filled + piece].copy_from_slice(source);
            }
            self.filled += piece;
            at += piece;
            if self.filled == block {
                self.convert(usize::MAX, out);
            }
        }
    }

    fn push_tail(&mut self, mut left: u64, out: &mut [Vec<f32>]) {
        while left > 0 {
            let filled = self.filled;
            self.input.iter_mut().for_each(|input| input[filled..].fill(0.0));
            left -= self.convert(usize::try_from(left).unwrap_or(usize::MAX), out) as u64;
        }
    }

    /// One block in, at most `frames_max` frames of it out. Returns how many came.
    fn convert(&mut self, frames_max: usize, out: &mut [Vec<f32>]) -> usize {
        let (channels, frames_in, frames_out) = (self.input.len(), self.fft.fft_size_in(), self.fft.fft_size_out());
        let sized = "all planes were made for this converter";
        let input = SequentialSliceOfVecs::new(&self.input, channels, frames_in).expect(sized);
        let mut output = SequentialSliceOfVecs::new_mut(&mut self.output, channels, frames_out).expect(sized);
        self.fft.process_into_buffer(&input, &mut output, None).expect(sized);
        self.filled = 0;
        let from = self.delay_left.min(frames_out);
        self.delay_left -= from;
        let to = frames_out.min(from.saturating_add(frames_max));
        for (output, out) in self.output.iter().zip(out) {
            out.extend_from_slice(&output[from..to]);
        }
        to - from
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.filled = 0;
        self.delay_left = self.fft.output_delay();
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn scale(frames: usize, from_hz: u32, to_hz: u32) -> usize {
    let scaled = (frames as u128 * u128::from(to_hz)).div_ceil(u128::from(from_hz));
    usize::try_from(scaled).unwrap_or(usize::MAX).saturating_add(1)
}

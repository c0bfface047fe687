//! Short-time Fourier transform: the levels of a frame's frequencies.

use crate::split::{flat, split, split_reversed};
use crate::window::Window;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use thiserror::Error;

/// The least level that is told, in dBFS: silence reads this.
pub const FLOOR_DB: f32 = -140.0;
/// Transforms are of a power of two of frames, in this range.
pub const STFT_FRAMES: RangeInclusive<usize> = 64..=16_384;

/// A little less than the power of [`FLOOR_DB`].
const FLOOR_POWER: f32 = 0.999_9e-14;
/// What is louder (+180 dBFS) is no sample, but garbage, and counts as silence, so that no sum of squares is infinite.
const SAMPLE_MAX: f32 = 1e9;
/// What is softer (−400 dBFS) counts as silence, so that nothing is computed with denormals.
const SAMPLE_MIN: f32 = 1e-20;

/// A length that no transform has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a transform is of a power of two of frames from 64 to 16384, and not of {actual}")]
pub struct StftError {
    /// What was asked for.
    pub actual: usize,
}

/// A windowed real transform, with all the memory that it needs.
///
/// ```
/// use audio_dsp::{Stft, Window};
/// let mut stft = Stft::new(Window::Hann, 512)?;
/// let tone: Vec<f32> = (0..512).map(|n| (std::f32::consts::TAU * 20.0 * n as f32 / 512.0).cos()).collect();
/// let mut levels = vec![0.0; stft.bins()];
/// stft.levels_db(&tone, &mut levels);
/// assert!(levels[20].abs() < 0.001); // full scale
/// # Ok::<(), audio_dsp::StftError>(())
/// ```
pub struct Stft {
    window: Window,
    coefficients: Vec<f32>,
    /// Of half the length: two samples make a complex one.
    transform: Arc<dyn Fft<f32>>,
    packed: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    halves: Halves,
    /// What a bin's power is multiplied by, so that a full-scale sine has 1.
    scale: f32,
}

impl Stft {
    /// Of this window and so many frames.
    ///
    /// # Errors
    /// [`StftError`].
    #[expect(clippy::cast_possible_truncation, reason = "coefficients need no more than f32")]
    pub fn new(window: Window, frames: usize) -> Result<Self, StftError> {
        if !frames.is_power_of_two() || !STFT_FRAMES.contains(&frames) {
            return Err(StftError { actual: frames });
        }
        let coefficients = window.coefficients(frames);
        // A sine's amplitude is halved between its two frequencies; the sum is the window's coherent gain.
        let gain = 2.0 / coefficients.iter().sum::<f64>();
        let transform = FftPlanner::new().plan_fft_forward(frames / 2);
        Ok(Self {
            window,
            coefficients: coefficients.into_iter().map(|coefficient| coefficient as f32).collect(),
            packed: vec![Complex::default(); frames / 2],
            scratch: vec![Complex::default(); transform.get_inplace_scratch_len()],
            transform,
            halves: Halves::new(frames),
            scale: (gain * gain) as f32,
        })
    }

    /// Its window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Samples of one transform.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.coefficients.len()
    }

    /// Frequencies of one transform, `frames / 2 + 1`: bin `k` is at `k * rate / frames` Hz, the last at half the rate.
    #[must_use]
    pub const fn bins(&self) -> usize {
        self.frames() / 2 + 1
    }

    /// The level of each frequency in dBFS, [`FLOOR_DB`] at the least. A sine of full scale on a bin reads 0 dB there, and
    /// so does a constant of 1 on bin 0. Samples that are no finite numbers, or beyond +180 dBFS, count as silence. The decibels are within 0.0001 of the logarithm's
    /// (see [`decibels_of_power`]), and those above -90 dBFS within 0.01 dB of what is computed in f64.
    ///
    /// # Panics
    /// When there are not [`frames`](Self::frames) samples, or not [`bins`](Self::bins) places.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn levels_db(&mut self, samples: &[f32], out: &mut [f32]) {
        self.powers(samples, out);
        out.iter_mut().for_each(|level| *level = decibels_of_power(*level));
    }

    /// As [`levels_db`](Self::levels_db), as powers: 1 for a sine of full scale on a bin. For means over time.
    ///
    /// # Panics
    /// As there.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn powers(&mut self, samples: &[f32], out: &mut [f32]) {
        assert_eq!(samples.len(), self.frames(), "samples of one transform");
        assert_eq!(out.len(), self.bins(), "a place for each frequency");
        for ((windowed, &sample), coefficient) in flat(&mut self.packed).iter_mut().zip(samples).zip(&self.coefficients)
        {
            *windowed = tame(sample) * coefficient;
        }
        self.transform.process_with_scratch(&mut self.packed, &mut self.scratch);
        self.halves.powers(&self.packed, self.scale, out);
    }
}

/// Makes the real transform of `2m` samples from the complex one of `m` (Press et al., Numerical Recipes, 12.3.2): bins
/// `k` and `m - k` come from the same two numbers.
///
/// In several passes over plain `f32`s, of which the compiler makes vectors: in one, over complex numbers and from both ends
/// at once, it takes four times as long.
struct Halves {
    /// Of the bins from 1 to below `m / 2`.
    cosines: Vec<f32>,
    sines: Vec<f32>,
    /// Real and imaginary parts of bins `k`, and of bins `m - k`.
    below: [Vec<f32>; 2],
    above: [Vec<f32>; 2],
    powers_above: Vec<f32>,
}

impl Halves {
    #[expect(clippy::cast_possible_truncation, reason = "coefficients need no more than f32")]
    fn new(frames: usize) -> Self {
        let count = frames / 4 - 1;
        let angles = || (1..=count).map(|k| TAU * k as f64 / frames as f64);
        let empty = || [vec![0.0; count], vec![0.0; count]];
        Self {
            cosines: angles().map(|angle| angle.cos() as f32).collect(),
            sines: angles().map(|angle| angle.sin() as f32).collect(),
            below: empty(),
            above: empty(),
            powers_above: vec![0.0; count],
        }
    }

    fn powers(&mut self, half: &[Complex<f32>], scale: f32, out: &mut [f32]) {
        let (bins, middle, count) = (half.len(), half.len() / 2, self.cosines.len());
        let (below, above) = half.split_at(middle);
        let [re, im] = &mut self.below;
        split(&below[1..], re, im);
        let [re, im] = &mut self.above;
        split_reversed(&above[1..], re, im);
        // What is twice as great as it ought to be below has a quarter of the power.
        self.combine(scale * 0.25, &mut out[1..=count]);
        for (out, power) in out[middle + 1..bins].iter_mut().rev().zip(&self.powers_above) {
            *out = *power;
        }
        let power = |re: f32, im: f32| (re * re + im * im) * scale;
        out[middle] = power(half[middle].re, half[middle].im);
        // Neither of these frequencies has a twin that has its other half: 6.02 dB less.
        out[0] = power(half[0].re + half[0].im, 0.0) * 0.25;
        out[bins] = power(half[0].re - half[0].im, 0.0) * 0.25;
    }

    fn combine(&mut self, scale: f32, out: &mut [f32]) {
        let count = out.len();
        let (cosines, sines) = (&self.cosines[..count], &self.sines[..count]);
        let [a_re, a_im] = self.below.each_ref().map(|part| &part[..count]);
        let [b_re, b_im] = self.above.each_ref().map(|part| &part[..count]);
        let above = &mut self.powers_above[..count];
        for k in 0..count {
            // Twice the transforms of the even samples and of the odd ones, the latter turned to their place in time.
            let (even_re, even_im) = (a_re[k] + b_re[k], a_im[k] - b_im[k]);
            let (odd_re, odd_im) = (a_im[k] + b_im[k], b_re[k] - a_re[k]);
            let turned_re = cosines[k] * odd_re + sines[k] * odd_im;
            let turned_im = cosines[k] * odd_im - sines[k] * odd_re;
            let (re, im) = (even_re + turned_re, even_im + turned_im);
            out[k] = (re * re + im * im) * scale;
            let (re, im) = (even_re - turned_re, even_im - turned_im);
            above[k] = (re * re + im * im) * scale;
        }
    }
}

impl fmt::Debug for Stft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stft").field("window", &self.window).field("frames", &self.frames()).finish_non_exhaustive()
    }
}

/// A sample that can be computed with. Selections only: the compiler makes vectors of them.
#[inline]
fn tame(sample: f32) -> f32 {
    if (SAMPLE_MIN..=SAMPLE_MAX).contains(&sample.abs()) { sample } else { 0.0 }
}

/// `10 log10(power)`, at least [`FLOOR_DB`]; within 0.0001 dB. Not a number reads [`FLOOR_DB`].
///
/// The exponent's bits are the whole part of the binary logarithm; a polynomial of degree five (fitted for the least
/// greatest error over √½..√2, 4.4e-5 dB) is the rest. Exact at 0 dB. Without a branch, so that the compiler makes vectors
/// of a loop over it: `log10` takes half of a transform's time.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_wrap, reason = "bits of a positive float")]
pub fn decibels_of_power(power: f32) -> f32 {
    const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
    const DB_PER_OCTAVE: f32 = 3.010_3;
    let power = if power > FLOOR_POWER { power } else { FLOOR_POWER };
    let above = power.to_bits() as i32 - SQRT_HALF_BITS;
    let whole = above >> 23;
    #[expect(clippy::cast_sign_loss, reason = "bits of a positive float")]
    let x = f32::from_bits((above - (whole << 23) + SQRT_HALF_BITS) as u32) - 1.0;
    let polynomial = 0.486_686_2 + x * (-0.394_575_78 + x * 0.252_660_5);
    let fraction = x * (1.442_578 + x * (-0.720_241_8 + x * polynomial));
    #[expect(clippy::cast_precision_loss, reason = "an exponent")]
    let octaves = whole as f32 + fraction;
    let level = octaves * DB_PER_OCTAVE;
    // Not `f32::max`, of which no vectors are made for WebAssembly.
    if level > FLOOR_DB { level } else { FLOOR_DB }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[expect(clippy::cast_possible_truncation, reason = "samples")]
    fn tone(bin: f64, frames: usize) -> Vec<f32> {
        (0..frames).map(|n| (TAU * bin * n as f64 / frames as f64).cos() as f32).collect()
    }

    #[test]
    fn a_full_scale_sine_reads_zero_with_every_window_and_length() {
        for window in Window::ALL {
            for frames in [64, 2_048, 16_384] {
                let mut stft = Stft::new(window, frames).unwrap();
                let mut levels = vec![1.0; stft.bins()];
                for bin in [0, frames / 4, frames / 2] {
                    stft.levels_db(&tone(bin as f64, frames), &mut levels);
                    assert!(levels[bin].abs() < 0.01, "{window}, {frames}, bin {bin}: {} dB", levels[bin]);
                }
            }
        }
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "samples")]
    fn levels_are_those_of_the_transform_by_its_definition() {
        for frames in [64_usize, 128, 512] {
            let samples: Vec<f32> = (0..frames).map(|n| ((n * n * 7 % 101) as f64 / 101.0 - 0.5) as f32).collect();
            let mut stft = Stft::new(Window::Blackman, frames).unwrap();
            let mut levels = vec![0.0; stft.bins()];
            stft.levels_db(&samples, &mut levels);
            let window = Window::Blackman.coefficients(frames);
            let gain: f64 = window.iter().sum();
            for (bin, level) in levels.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, (sample, coefficient)) in samples.iter().zip(&window).enumerate() {
                    let angle = TAU * (n * bin % frames) as f64 / frames as f64;
                    re += f64::from(*sample) * coefficient * angle.cos();
                    im -= f64::from(*sample) * coefficient * angle.sin();
                }
                let twins = if bin == 0 || bin == frames / 2 { 1.0 } else { 2.0 };
                let right = 20.0 * (re.hypot(im) * twins / gain).log10();
                assert!((f64::from(*level) - right).abs() < 0.01, "{frames}, bin {bin}: {level} and {right}");
            }
        }
    }

    #[test]
    fn lengths_that_are_no_power_of_two_or_out_of_range_are_refused() {
        for frames in [0, 1, 32, 1_000, 2_047, 32_768] {
            let error = Stft::new(Window::Hann, frames).unwrap_err();
            assert_eq!(error, StftError { actual: frames });
        }
    }

    #[test]
    fn samples_that_are_no_numbers_count_as_silence() {
        let mut stft = Stft::new(Window::Hann, 256).unwrap();
        let (mut clean, mut dirty) = (vec![0.0; 129], vec![0.0; 129]);
        let mut samples = tone(10.0, 256);
        for (n, bad) in [(3, f32::NAN), (77, f32::INFINITY), (78, f32::NEG_INFINITY), (200, 1e-40)] {
            samples[n] = bad;
        }
        stft.levels_db(&samples, &mut dirty);
        [3, 77, 78, 200].into_iter().for_each(|n| samples[n] = 0.0);
        stft.levels_db(&samples, &mut clean);
        assert_eq!(clean, dirty);
        stft.levels_db(&[f32::NAN; 256], &mut dirty);
        assert!(dirty.iter().all(|level| (level - FLOOR_DB).abs() < f32::EPSILON), "{dirty:?}");
        stft.levels_db(&[f32::MAX; 256], &mut dirty);
        assert!(dirty.iter().all(|level| (level - FLOOR_DB).abs() < f32::EPSILON), "{dirty:?}");
        stft.levels_db(&[0.999e9; 256], &mut dirty);
        assert!((dirty[0] - 180.0).abs() < 0.01 && dirty.iter().all(|level| level.is_finite()), "{dirty:?}");
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "powers of f32")]
    fn decibels_are_the_logarithm_s_within_a_ten_thousandth() {
        let mut worst = 0.0_f64;
        for step in -14_000..=20_000_i16 {
            let power = 10_f64.powf(f64::from(step) / 1_000.0) as f32;
            let right = (10.0 * f64::from(power).log10()).max(-140.0);
            worst = worst.max((f64::from(decibels_of_power(power)) - right).abs());
        }
        assert!(worst < 1e-4, "{worst} dB");
        assert!(decibels_of_power(1.0).abs() < f32::EPSILON);
        for silent in [0.0, -1.0, f32::NAN, 1e-45] {
            assert!((decibels_of_power(silent) - FLOOR_DB).abs() < f32::EPSILON, "{silent}");
        }
    }
}

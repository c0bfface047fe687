//! A resampler whose ratio can be steered: for a source whose clock is not the engine's.

use crate::drift::CORRECTION_PPM_MAX;
use crate::rate::{RATE_HZ_MAX, RATE_HZ_MIN, RateError};
use crate::sample::finite;
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, Resizable, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

/// How much a resampler computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quality {
    /// 64 taps; passes 0.33 of the lower rate, 16 kHz at 48 kHz: for speech, and for many sources.
    Fast,
    /// 128 taps; passes 0.4 of the lower rate, 19 kHz.
    #[default]
    Normal,
    /// 256 taps; passes 0.45 of the lower rate, 21.6 kHz.
    Best,
}

impl Quality {
    /// For a kernel that is so many times as long: to a lower rate it reaches over as many frames of that rate.
    fn parameters(self, slowing: f64) -> SincInterpolationParameters {
        let (taps, phases, interpolation) = match self {
            Self::Fast => (64, 512, SincInterpolationType::Linear),
            Self::Normal => (128, 256, SincInterpolationType::Quadratic),
            Self::Best => (256, 256, SincInterpolationType::Cubic),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 256 * 24")]
        let taps = ((taps as f64 * slowing).ceil() as usize).next_multiple_of(8);
        SincInterpolationParameters::new(taps, WindowFunction::BlackmanHarris2)
            .oversampling_factor(phases)
            .interpolation(interpolation)
    }
}

/// Variable-ratio resampler, planar `f32`: a block of output takes as much input as it needs.
///
/// It does rubato's windowed sinc. A correction glides in over the block after it was set, so that there is no step in
/// pitch. Samples that are no finite numbers count as silence.
pub struct VariableResampler {
    inner: Async<f32>,
    channels: usize,
    nominal: f64,
    correction_ppm: f64,
    /// Where the last output frame lies in the input, and input frames from one output frame to the next.
    position: f64,
    step: f64,
    taps: usize,
    phases: usize,
    /// `[channels][..]`, what rubato reads.
    input: Vec<f32>,
}

impl VariableResampler {
    /// A resampler between two nominal rates, for blocks of at most `out_frames_max`.
    ///
    /// # Errors
    /// [`RateError::RateOutOfRange`] outside of 8,000 to 192,000 Hz, [`RateError::NoChannels`].
    ///
    /// # Panics
    /// When `out_frames_max` is 0.
    pub fn new(
        from_hz: u32,
        to_hz: u32,
        channels: usize,
        out_frames_max: usize,
        quality: Quality,
    ) -> Result<Self, RateError> {
        for actual in [from_hz, to_hz] {
            if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&actual) {
                return Err(RateError::RateOutOfRange { actual });
            }
        }
        if channels == 0 {
            return Err(RateError::NoChannels);
        }
        assert!(out_frames_max > 0, "blocks of no frames");
        let nominal = f64::from(to_hz) / f64::from(from_hz);
        let parameters = quality.parameters((1.0 / nominal).max(1.0));
        // Twice the range: bounds of rubato's that rounding never meets.
        let range = 1.0 + 2e-6 * CORRECTION_PPM_MAX;
        let inner = Async::new_sinc(nominal, range, &parameters, out_frames_max, channels, FixedAsync::Output)
            .expect("ratio and sizes are in range");
        let input = vec![0.0; channels * inner.input_frames_max()];
        let mut resampler = Self {
            inner,
            channels,
            nominal,
            correction_ppm: 0.0,
            position: 0.0,
            step: 0.0,
            taps: parameters.sinc_len,
            phases: parameters.oversampling_factor,
            input,
        };
        resampler.reset();
        Ok(resampler)
    }

    /// Says by how many millionths the source is faster than its nominal rate, within
    /// [`CORRECTION_PPM_MAX`]. It glides in over the next block.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn set_correction_ppm(&mut self, ppm: f64) {
        if !ppm.is_nan() {
            self.correction_ppm = ppm.clamp(-CORRECTION_PPM_MAX, CORRECTION_PPM_MAX);
        }
    }

    /// The input frames that a block of `out_frames` takes now.
    ///
    /// # Panics
    /// When `out_frames` is 0 or more than the resampler was made for.
    pub fn needed_input_frames(&mut self, out_frames: usize) -> usize {
        let in_range = "out_frames are 1 to out_frames_max";
        self.inner.set_chunk_size(out_frames).expect(in_range);
        self.inner.set_resample_ratio(self.ratio(), true).expect("corrections are clamped");
        self.inner.input_frames_next()
    }

    /// The most input frames that any block takes.
    #[must_use]
    pub fn input_frames_max(&self) -> usize {
        self.input.len() / self.channels
    }

    /// Makes a block: `planar` is `[channels][frames]`, `out` is `[channels][out_frames]`.
    ///
    /// # Panics
    /// When `frames` is not what [`needed_input_frames`](Self::needed_input_frames) says, or a slice has another
    /// length.
    pub fn process(&mut self, planar: &[f32], frames: usize, out: &mut [f32], out_frames: usize) {
        assert_eq!(frames, self.needed_input_frames(out_frames), "as many frames as are needed");
        assert_eq!(planar.len(), self.channels * frames, "planar is [channels][frames]");
        assert_eq!(out.len(), self.channels * out_frames, "out is [channels][out_frames]");
        let input = &mut self.input[..planar.len()];
        input.iter_mut().zip(planar).for_each(|(input, &sample)| *input = finite(sample));
        let sized = "slices were measured";
        let input = SequentialSlice::new(&*input, self.channels, frames).expect(sized);
        let mut output = SequentialSlice::new_mut(out, self.channels, out_frames).expect(sized);
        self.inner.process_into_buffer(&input, &mut output, None).expect(sized);
        // As rubato steps: the first frame's step has changed already, the last one's is the new one.
        let (from, to, n) = (self.step, 1.0 / self.ratio(), out_frames as f64);
        self.position += n * from + (to - from) * (n + 1.0) / 2.0;
        self.step = to;
    }

    /// Where the next output frame lies in the input, in frames since the start: what was read. Frames that were given
    /// less this is what the resampler holds.
    #[must_use]
    pub fn position(&self) -> f64 {
        self.position + self.step
    }

    /// Input frames between the last one that was taken and the one that is heard.
    #[must_use]
    pub fn latency_frames(&self) -> usize {
        self.taps / 2
    }

    /// Forgets the input. The correction stays.
    pub fn reset(&mut self) {
        self.inner.reset();
        self.inner.set_resample_ratio(self.ratio(), false).expect("corrections are clamped");
        self.step = 1.0 / self.ratio();
        // rubato's kernels lie one phase late.
        self.position = 1.0 / self.phases as f64 - self.taps as f64 / 2.0;
    }

    fn ratio(&self) -> f64 {
        self.nominal / (1.0 + 1e-6 * self.correction_ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUALITIES: [Quality; 3] = [Quality::Fast, Quality::Normal, Quality::Best];

    /// Reads `signal` by blocks of given sizes and corrections; every output with its position.
    fn read(
        resampler: &mut VariableResampler,
        signal: impl Fn(f64) -> f64,
        blocks: impl Iterator<Item = (usize, f64)>,
    ) -> Vec<(f64, f64)> {
        let mut taken = 0;
        let mut heard = Vec::new();
        for (out_frames, ppm) in blocks {
            resampler.set_correction_ppm(ppm);
            let frames = resampler.needed_input_frames(out_frames);
            #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
            let input: Vec<f32> = (taken..taken + frames).map(|n| signal(n as f64) as f32).collect();
            let mut out = vec![0.0; out_frames];
            let (begin, step) = (resampler.position(), resampler.step);
            resampler.process(&input, frames, &mut out, out_frames);
            taken += frames;
            // Steps grow evenly from the old one to the new one.
            let growth = (resampler.step - step) / out_frames as f64;
            let positions = (0..out_frames).scan((begin - step, step), |(at, step), _| {
                *step += growth;
                *at += *step;
                Some(*at)
            });
            heard.extend(positions.zip(out.into_iter().map(f64::from)));
        }
        heard
    }

    #[test]
    fn a_tone_is_where_the_position_says_whatever_the_ratio_does() {
        for quality in QUALITIES {
            for (from_hz, to_hz) in [(48_000, 48_000), (44_100, 48_000), (48_000, 44_100), (48_000, 16_000)] {
                let mut resampler = VariableResampler::new(from_hz, to_hz, 1, 480, quality).expect("rates");
                let tone = |n: f64| 0.5 * (n * std::f64::consts::TAU * 1_000.0 / f64::from(from_hz)).sin();
                let corrections = [0.0, 200.0, 200.0, -350.0, 1_000.0, -1_000.0, 5e9, 0.0];
                let blocks = (0..200).map(|n| (1 + n * 37 % 480, corrections[n / 20 % 8]));
                let heard = read(&mut resampler, tone, blocks);
                let after = 4.0 * resampler.latency_frames() as f64 * (f64::from(from_hz) / f64::from(to_hz)).max(1.0);
                let settled: Vec<(f64, f64)> =
                    heard.iter().filter(|(at, _)| *at > after).map(|&(at, sample)| (tone(at), sample)).collect();
                let power: f64 = settled.iter().map(|(tone, _)| tone * tone).sum();
                let gain = settled.iter().map(|(tone, sample)| tone * sample).sum::<f64>() / power;
                let noise: f64 = settled.iter().map(|(tone, sample)| (sample - gain * tone).powi(2)).sum();
                let snr_db = 10.0 * (power / noise).log10();
                assert!((gain - 1.0).abs() < 1e-4, "{quality:?} {from_hz} to {to_hz}: {gain}");
                assert!(snr_db > 130.0, "{quality:?} {from_hz} to {to_hz}: {snr_db} dB");
            }
        }
    }

    #[test]
    fn the_band_passes_as_far_as_stated() {
        for (quality, share) in [(Quality::Fast, 0.33), (Quality::Normal, 0.4), (Quality::Best, 0.45)] {
            let rates = [(48_000, 48_000), (44_100, 48_000), (48_000, 44_100), (48_000, 16_000), (192_000, 8_000)];
            for (from_hz, to_hz) in rates {
                let level_db = |share: f64| {
                    let mut resampler = VariableResampler::new(from_hz, to_hz, 1, 480, quality).expect("rates");
                    let turns = share * f64::from(to_hz.min(from_hz)) / f64::from(from_hz);
                    let tone = |n: f64| (n * std::f64::consts::TAU * turns).sin();
                    let heard = read(&mut resampler, tone, (0..30).map(|_| (480, 50.0)));
                    let power: f64 = heard[4_800..].iter().map(|(_, sample)| sample * sample).sum();
                    10.0 * (2.0 * power / (heard.len() - 4_800) as f64).log10()
                };
                let (passed_db, stopped_db) = (level_db(share), level_db(1.0 - share));
                assert!(passed_db.abs() < 0.15, "{quality:?} {from_hz} to {to_hz}: {passed_db} dB");
                // What would be heard as another tone, where there is such a thing.
                assert!(2 * to_hz > from_hz || stopped_db < -60.0, "{quality:?} {from_hz} to {to_hz}: {stopped_db} dB");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_silence_and_is_soon_forgotten() {
        let mut resampler = VariableResampler::new(48_000, 48_000, 1, 480, Quality::Normal).expect("rates");
        let mut out = vec![0.0; 480];
        for poison in [f32::NAN, f32::INFINITY] {
            let frames = resampler.needed_input_frames(480);
            resampler.process(&vec![poison; frames], frames, &mut out, 480);
            assert!(out.iter().all(|&sample| sample == 0.0));
        }
        resampler.set_correction_ppm(f64::NAN);
        assert_eq!(resampler.correction_ppm, 0.0);
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        let refused = |from, channels| VariableResampler::new(from, 48_000, channels, 480, Quality::Fast).err();
        assert_eq!(refused(7_999, 1), Some(RateError::RateOutOfRange { actual: 7_999 }));
        assert_eq!(refused(48_000, 0), Some(RateError::NoChannels));
    }

    proptest! {
        /// What was taken is what was read and what is held, and that is always about as much.
        #[test]
        fn it_holds_as_much_as_it_needs(
            blocks in prop::collection::vec((1_usize..=480, -1_000.0_f64..1_000.0), 1..60),
        ) {
            let mut resampler = VariableResampler::new(44_100, 48_000, 2, 480, Quality::Fast).expect("rates");
            let mut taken = 0;
            for (out_frames, ppm) in blocks {
                resampler.set_correction_ppm(ppm);
                let frames = resampler.needed_input_frames(out_frames);
                prop_assert!(frames <= resampler.input_frames_max());
                let (input, mut out) = (vec![0.5; 2 * frames], vec![0.0; 2 * out_frames]);
                resampler.process(&input, frames, &mut out, out_frames);
                taken += frames;
                let held = taken as f64 - resampler.position();
                let latency = resampler.latency_frames() as f64;
                prop_assert!((held - latency).abs() <= 2.0, "{} held, {} stated", held, latency);
            }
        }
    }
}

//! Loudness after ITU-R BS.1770-4 and EBU R128 (Tech 3341, Tech 3342).
//!
//! The signal is K-weighted, squared, and summed over channels with their weights. Energies of 100 ms are the common
//! currency: four of them are the momentary loudness, thirty the short-term loudness, and each new momentary value is
//! one of the overlapping blocks of 400 ms that the integrated loudness gates. Blocks go into histograms of 0.1 LU, so
//! that the memory of a day is that of a minute.

use crate::biquad::{Coefficients, State};
use crate::layout::{Speaker, speakers};
use crate::sample::finite;
use std::f64::consts::PI;
use std::ops::Range;

/// Blocks quieter than this do not count.
const ABSOLUTE_GATE_LUFS: f64 = -70.0;
/// Nor do those so much below the mean of the ones that do.
const RELATIVE_GATE_LU: f64 = -10.0;
/// The same for the loudness range (Tech 3342), and the percentiles that bound it.
const RANGE_GATE_LU: f64 = -20.0;
const RANGE_PERCENT: [f64; 2] = [10.0, 95.0];

/// Loudness of 0 at an energy of 1.
const OFFSET_LU: f64 = -0.691;
/// Energies of 100 ms in a momentary and in a short-term value.
const MOMENTARY: usize = 4;
const SHORT_TERM: usize = 30;

/// Measures a planar signal as it goes by.
#[derive(Debug, Clone)]
pub struct Loudness {
    rate_hz: u32,
    weighting: [Coefficients; 2],
    channels: Vec<Channel>,
    /// Frames so far, frames of the present 100 ms, and where that ends.
    frames: u64,
    step_frames: u64,
    step_end: u64,
    energy: f64,
    /// The last energies, the newest last.
    steps: [f64; SHORT_TERM],
    known: usize,
    blocks: Histogram,
    short_terms: Histogram,
    momentary_max: f64,
    short_term_max: f64,
}

#[derive(Debug, Clone)]
struct Channel {
    weight: f64,
    state: [State; 2],
}

/// The weight of a channel: 1.41 for surrounds between 60 and 120 degrees, 0 for low frequencies, 1 for all others
/// (BS.1770-4). Channels without a name count as front channels.
fn weight_of(speaker: Option<Speaker>) -> f64 {
    match speaker {
        Some(Speaker::SideLeft | Speaker::SideRight) => 1.41,
        Some(Speaker::Lfe) => 0.0,
        _ => 1.0,
    }
}

/// The K-weighting at a rate: a shelf for the head, a high-pass for the ear.
///
/// BS.1770-4 states coefficients for 48 kHz only. These are the analogue prototypes they come from by the bilinear
/// transform (B. De Man, "Evaluation of implementations of the EBU R128 loudness measurement", 2018), transformed anew.
fn k_weighting(rate_hz: u32) -> [Coefficients; 2] {
    const SHELF: (f64, f64, f64) = (1_681.974_450_955_533, 0.707_175_236_955_419_6, 3.999_843_853_973_347);
    const SHELF_SHAPE: f64 = 0.499_666_774_154_541_6;
    const HIGH_PASS: (f64, f64) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);

    let (hz, q, gain_db) = SHELF;
    let k = (PI * hz / f64::from(rate_hz)).tan();
    let high = 10.0_f64.powf(gain_db / 20.0);
    let middle = high.powf(SHELF_SHAPE);
    let a0 = 1.0 + k / q + k * k;
    let shelf = Coefficients {
        b: [(high + middle * k / q + k * k) / a0, 2.0 * (k * k - high) / a0, (high - middle * k / q + k * k) / a0],
        a: [2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0],
    };
    let (hz, q) = HIGH_PASS;
    let k = (PI * hz / f64::from(rate_hz)).tan();
    let a0 = 1.0 + k / q + k * k;
    let high_pass = Coefficients { b: [1.0, -2.0, 1.0], a: [2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0] };
    [shelf, high_pass]
}

impl Loudness {
    /// For so many channels, whose weights are those of their speakers.
    ///
    /// # Panics
    /// Outside of 8,000 to 192,000 Hz.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize) -> Self {
        assert!((crate::RATE_HZ_MIN..=crate::RATE_HZ_MAX).contains(&rate_hz), "a rate in range");
        let named = speakers(channels);
        let channel = |n| Channel { weight: weight_of(named.get(n).copied()), state: [State::default(); 2] };
        let mut loudness = Self {
            rate_hz,
            weighting: k_weighting(rate_hz),
            channels: (0..channels).map(channel).collect(),
            frames: 0,
            step_frames: 0,
            step_end: 0,
            energy: 0.0,
            steps: [0.0; SHORT_TERM],
            known: 0,
            blocks: Histogram::new(),
            short_terms: Histogram::new(),
            momentary_max: f64::NEG_INFINITY,
            short_term_max: f64::NEG_INFINITY,
        };
        loudness.reset();
        loudness
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
        let mut at = part.start;
        while at < part.end {
            let left = usize::try_from(self.step_end - self.frames).unwrap_or(usize::MAX);
            let piece = left.min(part.end - at);
            for (channel, samples) in self.channels.iter_mut().zip(planar.chunks_exact(frames)) {
                self.energy += channel.weight * channel.energy_of(&self.weighting, &samples[at..at + piece]);
            }
            at += piece;
            self.frames += piece as u64;
            if self.frames == self.step_end {
                self.end_step();
            }
        }
    }

    /// Loudness of the last 400 ms, in LUFS; minus infinity before they are full, and in silence.
    #[must_use]
    pub fn momentary(&self) -> f64 {
        self.mean_of_last(MOMENTARY)
    }

    /// Loudness of the last 3 s, in LUFS; minus infinity before they are full, and in silence.
    #[must_use]
    pub fn short_term(&self) -> f64 {
        self.mean_of_last(SHORT_TERM)
    }

    /// The loudest momentary and short-term values.
    #[must_use]
    pub const fn maxima(&self) -> [f64; 2] {
        [self.momentary_max, self.short_term_max]
    }

    /// Loudness since the beginning, in LUFS, without what is quieter than -70 LUFS or 10 LU below the rest; minus
    /// infinity when nothing counts.
    #[must_use]
    pub fn integrated(&self) -> f64 {
        let gate = lufs(self.blocks.mean_from(ABSOLUTE_GATE_LUFS)) + RELATIVE_GATE_LU;
        lufs(self.blocks.mean_from(gate))
    }

    /// The loudness range, in LU: between the 10th and the 95th percentile of the short-term loudness.
    #[must_use]
    pub fn range_lu(&self) -> f64 {
        let gate = lufs(self.short_terms.mean_from(ABSOLUTE_GATE_LUFS)) + RANGE_GATE_LU;
        let [low, high] = RANGE_PERCENT.map(|percent| self.short_terms.percentile_from(gate, percent));
        high - low
    }

    /// Frames so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.channels.iter_mut().for_each(|channel| channel.state = [State::default(); 2]);
        (self.frames, self.energy, self.known) = (0, 0.0, 0);
        self.steps = [0.0; SHORT_TERM];
        self.blocks.clear();
        self.short_terms.clear();
        (self.momentary_max, self.short_term_max) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        self.begin_step();
    }

    /// Steps end at the tenths of a second, rounded to frames: they do not drift at 11,025 Hz.
    fn begin_step(&mut self) {
        let tenth = self.frames * 10 / u64::from(self.rate_hz) + 1;
        self.step_end = (tenth * u64::from(self.rate_hz)).div_ceil(10);
        self.step_frames = self.step_end - self.frames;
    }

    fn end_step(&mut self) {
        self.steps.rotate_left(1);
        self.steps[SHORT_TERM - 1] = std::mem::take(&mut self.energy) / self.step_frames as f64;
        self.known = (self.known + 1).min(SHORT_TERM);
        for channel in &mut self.channels {
            channel.state.iter_mut().for_each(State::flush);
        }
        if self.known >= MOMENTARY {
            self.blocks.push(self.mean_energy(MOMENTARY));
            self.momentary_max = self.momentary_max.max(self.momentary());
        }
        if self.known >= SHORT_TERM {
            self.short_terms.push(self.mean_energy(SHORT_TERM));
            self.short_term_max = self.short_term_max.max(self.short_term());
        }
        self.begin_step();
    }

    fn mean_energy(&self, steps: usize) -> f64 {
        self.steps[SHORT_TERM - steps..].iter().sum::<f64>() / steps as f64
    }

    fn mean_of_last(&self, steps: usize) -> f64 {
        if self.known < steps { f64::NEG_INFINITY } else { lufs(self.mean_energy(steps)) }
    }
}

impl Channel {
    fn energy_of(&mut self, [shelf, high_pass]: &[Coefficients; 2], samples: &[f32]) -> f64 {
        let [first, second] = &mut self.state;
        let weighted = samples.iter().map(|&x| second.step(high_pass, first.step(shelf, f64::from(finite(x)))));
        weighted.map(|y| y * y).sum()
    }
}

fn lufs(energy: f64) -> f64 {
    OFFSET_LU + 10.0 * energy.log10()
}

/// Bins of 0.1 LU from the absolute gate upwards, to 30 LU above full scale.
const BINS: usize = 1_000;
const BINS_PER_LU: f64 = 10.0;

/// How many blocks of which loudness there were. Each bin has the sum of its blocks' energies too, so only a gate that
/// falls into a bin is rounded.
#[derive(Debug, Clone)]
struct Histogram {
    bins: Vec<(u64, f64)>,
}

impl Histogram {
    fn new() -> Self {
        Self { bins: vec![(0, 0.0); BINS] }
    }

    fn clear(&mut self) {
        self.bins.fill((0, 0.0));
    }

    fn push(&mut self, energy: f64) {
        let loudness = lufs(energy);
        if loudness >= ABSOLUTE_GATE_LUFS {
            let (count, sum) = &mut self.bins[bin_of(loudness).min(BINS - 1)];
            *count += 1;
            *sum += energy;
        }
    }

    /// Of the blocks at or above a loudness; 0 when there are none.
    fn mean_from(&self, gate_lufs: f64) -> f64 {
        let counted = &self.bins[bin_of(gate_lufs).min(BINS)..];
        let (count, sum) = counted.iter().fold((0, 0.0), |(n, sum), bin| (n + bin.0, sum + bin.1));
        if count == 0 { 0.0 } else { sum / count as f64 }
    }

    /// The loudness below which so many of the blocks above the gate lie; the gate when there are none.
    fn percentile_from(&self, gate_lufs: f64, percent: f64) -> f64 {
        let first = bin_of(gate_lufs).min(BINS);
        let counted = &self.bins[first..];
        let count: u64 = counted.iter().map(|bin| bin.0).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below `count`")]
        let rank = (count.saturating_sub(1) as f64 * percent / 100.0).round() as u64;
        let mut below = 0;
        let found = counted.iter().position(|bin| {
            below += bin.0;
            below > rank
        });
        ABSOLUTE_GATE_LUFS + (first + found.unwrap_or(0)) as f64 / BINS_PER_LU
    }
}

/// The bin of a loudness; the first for what is below.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and takes no number for 0"
)]
fn bin_of(loudness_lufs: f64) -> usize {
    ((loudness_lufs - ABSOLUTE_GATE_LUFS) * BINS_PER_LU) as usize
}

#[cfg(test)]
mod tests;

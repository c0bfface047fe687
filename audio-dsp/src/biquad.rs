//! Filters of second order.
//!
//! Coefficients are from R. Bristow-Johnson's "Cookbook formulae for audio equalizer biquad filter coefficients", the
//! structure is the transposed direct form II. State and coefficients are `f64`: at 20 Hz and 192 kHz `f32` would hiss.
//!
//! Coefficients glide on straight lines. The pairs (a1, a2) of stable filters form a triangle, so every filter between
//! two stable ones is stable.

use crate::sample::finite;
use std::f64::consts::TAU;

/// Coefficients, divided by a0: `y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Of the input.
    pub b: [f64; 3],
    /// a1 and a2, of the output.
    pub a: [f64; 2],
}

/// Frequencies that a filter at a rate can have.
fn turns_of(hz: f64, rate_hz: u32) -> f64 {
    let rate_hz = f64::from(rate_hz);
    TAU * hz.clamp(1.0, 0.49 * rate_hz) / rate_hz
}

impl Coefficients {
    /// Passes every bit.
    pub const IDENTITY: Self = Self { b: [1.0, 0.0, 0.0], a: [0.0, 0.0] };

    fn new(b: [f64; 3], a: [f64; 3]) -> Self {
        Self { b: b.map(|b| b / a[0]), a: [a[1] / a[0], a[2] / a[0]] }
    }

    /// Lets pass what is above `hz`; at `q` 0.7071 (Butterworth) it is 3 dB down there.
    #[must_use]
    pub fn high_pass(rate_hz: u32, hz: f64, q: f64) -> Self {
        let (sin, cos) = turns_of(hz, rate_hz).sin_cos();
        let alpha = sin / (2.0 * q);
        let b = f64::midpoint(1.0, cos);
        Self::new([b, -2.0 * b, b], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
    }

    /// Raises or lowers what is around `hz`; `q` is the frequency divided by the width.
    #[must_use]
    pub fn peak(rate_hz: u32, hz: f64, q: f64, gain_db: f64) -> Self {
        let (sin, cos) = turns_of(hz, rate_hz).sin_cos();
        let (a, alpha) = (root(gain_db), sin / (2.0 * q));
        let middle = -2.0 * cos;
        Self::new([1.0 + alpha * a, middle, 1.0 - alpha * a], [1.0 + alpha / a, middle, 1.0 - alpha / a])
    }

    /// Raises or lowers what is below `hz`, by half of the gain there; slope 1.
    #[must_use]
    pub fn low_shelf(rate_hz: u32, hz: f64, gain_db: f64) -> Self {
        Self::shelf(rate_hz, hz, gain_db, -1.0)
    }

    /// Raises or lowers what is above `hz`, by half of the gain there; slope 1.
    #[must_use]
    pub fn high_shelf(rate_hz: u32, hz: f64, gain_db: f64) -> Self {
        Self::shelf(rate_hz, hz, gain_db, 1.0)
    }

    /// The cookbook's two shelves differ in the sign of every cosine and of the odd coefficients.
    fn shelf(rate_hz: u32, hz: f64, gain_db: f64, side: f64) -> Self {
        let (sin, cos) = turns_of(hz, rate_hz).sin_cos();
        let (a, cos) = (root(gain_db), side * cos);
        let alpha = 2.0 * a.sqrt() * sin * std::f64::consts::FRAC_1_SQRT_2;
        let (plus, minus) = (a + 1.0, a - 1.0);
        Self::new(
            [
                a * (plus + minus * cos + alpha),
                -2.0 * side * a * (minus + plus * cos),
                a * (plus + minus * cos - alpha),
            ],
            [plus - minus * cos + alpha, 2.0 * side * (minus - plus * cos), plus - minus * cos - alpha],
        )
    }

    /// The gain at a frequency, as a factor.
    #[must_use]
    pub fn gain_at(&self, hz: f64, rate_hz: u32) -> f64 {
        let turn = TAU * hz / f64::from(rate_hz);
        let size = |c: [f64; 3]| {
            let (re, im) = [0.0, 1.0, 2.0].iter().zip(c).fold((0.0, 0.0), |(re, im), (n, c)| {
                let (sin, cos) = (turn * n).sin_cos();
                (re + c * cos, im - c * sin)
            });
            re.hypot(im)
        };
        size(self.b) / size([1.0, self.a[0], self.a[1]])
    }

    fn between(&self, next: &Self, turn: f64) -> Self {
        let mix = |past: f64, next: f64| past + (next - past) * turn;
        Self {
            b: std::array::from_fn(|n| mix(self.b[n], next.b[n])),
            a: std::array::from_fn(|n| mix(self.a[n], next.a[n])),
        }
    }
}

/// The cookbook's A: the square root of the gain.
fn root(gain_db: f64) -> f64 {
    10.0_f64.powf(gain_db / 40.0)
}

/// One filter over all channels of a planar signal.
#[derive(Debug, Clone)]
pub struct Biquad {
    past: Coefficients,
    next: Coefficients,
    /// Frames of the glide, and how many are over.
    frames: u32,
    done: u32,
    state: Vec<State>,
}

/// What a channel remembers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State(f64, f64);

/// State below this (-360 dB) is zero, long before it is denormal.
const NOTHING: f64 = 1e-18;

impl State {
    #[inline]
    pub(crate) fn step(&mut self, c: &Coefficients, x: f64) -> f64 {
        let y = c.b[0] * x + self.0;
        self.0 = c.b[1] * x - c.a[0] * y + self.1;
        self.1 = c.b[2] * x - c.a[1] * y;
        y
    }

    pub(crate) fn flush(&mut self) {
        for part in [&mut self.0, &mut self.1] {
            if part.abs() < NOTHING {
                *part = 0.0;
            }
        }
    }
}

impl Biquad {
    /// For so many channels; passes every bit until it is set.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        let identity = Coefficients::IDENTITY;
        Self { past: identity, next: identity, frames: 0, done: 0, state: vec![State::default(); channels] }
    }

    /// Glides to other coefficients within so many frames; 0 frames jump.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn glide_to(&mut self, coefficients: Coefficients, frames: u32) {
        if coefficients != self.next && coefficients.b.iter().chain(&coefficients.a).all(|c| c.is_finite()) {
            self.past = self.at(self.done);
            (self.next, self.frames, self.done) = (coefficients, frames, 0);
        }
    }

    /// Filters `frames` in place; `planar` is `[channels][frames]`. Samples that are no finite numbers count as
    /// silence.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        assert_eq!(planar.len(), self.state.len() * frames, "planar is [channels][frames]");
        if frames == 0 || self.is_identity() {
            return;
        }
        let (begin, left) = (self.done, self.frames - self.done);
        let gliding = frames.min(left as usize);
        for channel in 0..self.state.len() {
            let mut state = self.state[channel];
            let samples = &mut planar[channel * frames..][..frames];
            for (n, sample) in (begin + 1..).zip(&mut samples[..gliding]) {
                *sample = output(state.step(&self.at(n), f64::from(finite(*sample))));
            }
            for sample in &mut samples[gliding..] {
                *sample = output(state.step(&self.next, f64::from(finite(*sample))));
            }
            state.flush();
            self.state[channel] = state;
        }
        self.done += u32::try_from(gliding).unwrap_or(left);
    }

    /// Forgets the signal and jumps to where it glides.
    pub fn reset(&mut self) {
        self.done = self.frames;
        self.state.fill(State::default());
    }

    fn at(&self, frame: u32) -> Coefficients {
        if frame >= self.frames {
            return self.next;
        }
        self.past.between(&self.next, f64::from(frame) / f64::from(self.frames))
    }

    /// Whether it passes every bit from now on.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.done >= self.frames && self.next == Coefficients::IDENTITY && self.is_quiet()
    }

    fn is_quiet(&self) -> bool {
        self.state.iter().all(|state| state.0 == 0.0 && state.1 == 0.0)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
fn output(y: f64) -> f32 {
    y as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE_HZ: u32 = 48_000;

    fn db(coefficients: &Coefficients, hz: f64) -> f64 {
        20.0 * coefficients.gain_at(hz, RATE_HZ).log10()
    }

    #[test]
    fn gains_are_where_they_should_be() {
        let high_pass = Coefficients::high_pass(RATE_HZ, 80.0, std::f64::consts::FRAC_1_SQRT_2);
        assert!((db(&high_pass, 80.0) + 3.01).abs() < 0.01 && (db(&high_pass, 40.0) + 12.3).abs() < 0.1);
        assert!(db(&high_pass, 1_000.0).abs() < 0.01);
        let peak = Coefficients::peak(RATE_HZ, 1_000.0, 1.0, 6.0);
        assert!((db(&peak, 1_000.0) - 6.0).abs() < 1e-9 && db(&peak, 20.0).abs() < 0.01);
        let low = Coefficients::low_shelf(RATE_HZ, 200.0, -12.0);
        assert!((db(&low, 1.0) + 12.0).abs() < 0.01 && (db(&low, 200.0) + 6.0).abs() < 0.01);
        assert!(db(&low, 10_000.0).abs() < 0.01);
        let high = Coefficients::high_shelf(RATE_HZ, 5_000.0, 9.0);
        assert!((db(&high, 23_999.0) - 9.0).abs() < 0.01 && (db(&high, 5_000.0) - 4.5).abs() < 0.01);
        assert!(db(&high, 20.0).abs() < 0.01);
    }

    #[test]
    fn at_no_gain_and_untouched_it_passes_every_bit() {
        let mut samples: Vec<f32> = (0..999).map(|n| (n as f32 * 0.1).sin()).collect();
        let expected = samples.clone();
        let mut biquad = Biquad::new(1);
        biquad.process(&mut samples, 999);
        biquad.glide_to(Coefficients::peak(RATE_HZ, 1_000.0, 1.0, 12.0), 0);
        biquad.glide_to(Coefficients::IDENTITY, 480);
        biquad.process(&mut samples, 999);
        assert_ne!(samples, expected);
        let mut after = expected.clone();
        biquad.process(&mut after, 999);
        assert_eq!(after, expected, "back at the identity it is as if it were not there");
    }

    #[test]
    fn poison_and_silence_leave_nothing_behind() {
        let mut biquad = Biquad::new(2);
        biquad.glide_to(Coefficients::high_pass(RATE_HZ, 20.0, 0.7), 0);
        let mut poison = vec![f32::NAN, f32::INFINITY, f32::MAX, 1.0, f32::NEG_INFINITY, 0.0];
        biquad.process(&mut poison, 3);
        let mut silence = vec![0.0; 2 * 480];
        for _ in 0..1_000 {
            silence.fill(0.0);
            biquad.process(&mut silence, 480);
            assert!(silence.iter().all(|sample| sample.is_finite()));
        }
        assert!(biquad.is_quiet() && silence.iter().all(|&sample| sample == 0.0));
    }

    proptest! {
        /// A sine through a filter that is set to something else again and again: no sample leaps.
        #[test]
        fn nothing_clicks_and_cuts_do_not_show(
            settings in prop::collection::vec((20.0_f64..20_000.0, 0.3_f64..8.0, -24.0_f64..24.0, 1_usize..900), 1..8),
            cut in 1_usize..500,
        ) {
            let (mut whole, mut cut_up) = (Biquad::new(1), Biquad::new(1));
            let (mut at, mut last) = (0, [0.0_f32; 2]);
            for (hz, q, gain_db, frames) in settings {
                for biquad in [&mut whole, &mut cut_up] {
                    biquad.glide_to(Coefficients::peak(RATE_HZ, hz, q, gain_db), 960);
                }
                let mut a: Vec<f32> = (at..at + frames).map(|n| 0.1 * (n as f32 * 0.02).sin()).collect();
                let mut b = a.clone();
                at += frames;
                whole.process(&mut a, frames);
                b.chunks_mut(cut).for_each(|part| cut_up.process(part, part.len()));
                prop_assert_eq!(&a, &b);
                for &sample in &a {
                    let bend = (sample - 2.0 * last[1] + last[0]).abs();
                    prop_assert!(at < 3 || bend < 0.05, "a bend of {}", bend);
                    last = [last[1], sample];
                }
            }
        }
    }
}

//! Test signals. Every sample is a function of its frame index, so a source can begin anywhere.

use std::f64::consts::TAU;

/// The largest magnitude of tone, sweep and noise.
pub const SIGNAL_PEAK: f32 = 0.5;

/// `Signal::Count` begins again after this many frames: as far as `f32` counts exactly.
pub const COUNT_MODULUS: u32 = 1 << 24;

/// What a test source says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signal {
    /// A sine.
    Tone {
        /// Its frequency.
        hz: f64,
    },
    /// A sine whose frequency rises exponentially, again and again.
    Sweep {
        /// Where it begins.
        from_hz: f64,
        /// Where it ends.
        to_hz: f64,
        /// How long one rise takes.
        seconds: f64,
    },
    /// White noise, uniform, different on every channel, the same in every run.
    Noise,
    /// Zeros.
    Silence,
    /// An impulse of one frame, and zeros between it and the next one: at each frame `every / 2 + n * every`.
    Impulses {
        /// Frames from one to the next, at least 1.
        every: u64,
    },
    /// Frame `n` carries `n mod 2^24`, divided by `2^24`, exactly; see [`decode_count`].
    Count,
}

/// A signal at a rate, with a position.
#[derive(Debug, Clone)]
pub struct SignalSource {
    signal: Signal,
    sample_rate_hz: u32,
    position: u64,
}

impl SignalSource {
    /// The signal from its frame 0 on.
    #[must_use]
    pub const fn new(signal: Signal, sample_rate_hz: u32) -> Self {
        Self { signal, sample_rate_hz, position: 0 }
    }

    /// The frame the next [`fill`](Self::fill) begins with.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at this frame.
    pub const fn set_position(&mut self, frame: u64) {
        self.position = frame;
    }

    /// Fills `interleaved` with the next frames. A last, incomplete frame is filled too and not counted.
    ///
    /// # Panics
    /// When `channels` is 0.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn fill(&mut self, interleaved: &mut [f32], channels: usize) {
        assert!(channels > 0, "signal of no channels");
        for (frame, samples) in (self.position..).zip(interleaved.chunks_mut(channels)) {
            match self.signal {
                Signal::Noise => (0..).zip(samples).for_each(|(channel, s)| *s = noise(frame, channel)),
                Signal::Silence => samples.fill(0.0),
                Signal::Impulses { every } => samples.fill(if is_impulse(frame, every) { SIGNAL_PEAK } else { 0.0 }),
                Signal::Count => samples.fill(count(frame)),
                Signal::Tone { hz } => samples.fill(sine(hz * to_f64(frame) / f64::from(self.sample_rate_hz))),
                Signal::Sweep { from_hz, to_hz, seconds } => {
                    let time_s = (to_f64(frame) / f64::from(self.sample_rate_hz)) % seconds;
                    samples.fill(sine(sweep_turns(from_hz, to_hz, seconds, time_s)));
                }
            }
        }
        self.position += (interleaved.len() / channels) as u64;
    }
}

/// The frame number (mod `2^24`) a sample of [`Signal::Count`] carries; `None` when it carries none.
#[must_use]
pub fn decode_count(sample: f32) -> Option<u32> {
    let number = f64::from(sample) * f64::from(COUNT_MODULUS);
    let exact = number.fract() == 0.0 && (0.0..f64::from(COUNT_MODULUS)).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number in range"
    )]
    exact.then_some(number as u32)
}

/// Whether [`Signal::Impulses`] has one in this frame.
#[must_use]
pub const fn is_impulse(frame: u64, every: u64) -> bool {
    let every = if every == 0 { 1 } else { every };
    frame % every == every / 2
}

fn count(frame: u64) -> f32 {
    let modulus = u64::from(COUNT_MODULUS);
    // Exact: 24 bits fit the significand, and the division only changes the exponent.
    (frame % modulus) as f32 / COUNT_MODULUS as f32
}

/// Exact up to 2^53 frames: 1,500 years at 192 kHz.
fn to_f64(frame: u64) -> f64 {
    frame as f64
}

#[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
fn sine(turns: f64) -> f32 {
    (turns.fract() * TAU).sin() as f32 * SIGNAL_PEAK
}

/// Phase, in turns, of an exponential sweep at `time_s`: the integral of its frequency.
fn sweep_turns(from_hz: f64, to_hz: f64, seconds: f64, time_s: f64) -> f64 {
    let growth = (to_hz / from_hz).ln();
    if growth == 0.0 {
        return from_hz * time_s;
    }
    from_hz * seconds / growth * ((growth * time_s / seconds).exp() - 1.0)
}

/// A hash of frame and channel (the finaliser of SplitMix64), its top 24 bits as a sample.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit the significand")]
fn noise(frame: u64, channel: u64) -> f32 {
    let mut x = frame.wrapping_add(channel << 56).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    ((x >> 40) as f32 / 8_388_608.0 - 1.0) * SIGNAL_PEAK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(signal: Signal, from: u64, frames: usize, channels: usize) -> Vec<f32> {
        let mut source = SignalSource::new(signal, 48_000);
        source.set_position(from);
        let mut samples = vec![9.0; frames * channels];
        source.fill(&mut samples, channels);
        assert_eq!(source.position(), from + frames as u64);
        samples
    }

    #[test]
    fn count_decodes_exactly_through_its_wrap() {
        let from = u64::from(COUNT_MODULUS) - 1_000;
        let samples = take(Signal::Count, from, 2_000, 2);
        for (n, frame) in samples.chunks(2).enumerate() {
            let expected = (from + n as u64) % u64::from(COUNT_MODULUS);
            assert_eq!(frame[0].to_bits(), frame[1].to_bits());
            assert_eq!(decode_count(frame[0]).map(u64::from), Some(expected));
        }
    }

    #[test]
    fn count_decodes_all_numbers() {
        for n in (0..u64::from(COUNT_MODULUS)).step_by(97).chain([16_777_214, 16_777_215]) {
            assert_eq!(decode_count(count(n)).map(u64::from), Some(n));
        }
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for sample in [-1e-7, 1.0, 1.5, f32::NAN, f32::INFINITY, 0.5 / 16_777_216.0, 0.3 / 16_777_216.0] {
            assert_eq!(decode_count(sample), None, "{sample}");
        }
        assert_eq!(decode_count(0.0), Some(0));
    }

    #[test]
    fn a_signal_is_the_same_from_wherever_it_begins() {
        let signals = [
            Signal::Tone { hz: 440.0 },
            Signal::Sweep { from_hz: 20.0, to_hz: 20_000.0, seconds: 0.1 },
            Signal::Noise,
            Signal::Silence,
            Signal::Impulses { every: 100 },
            Signal::Count,
        ];
        for signal in signals {
            let whole = take(signal, 0, 10_000, 3);
            assert_eq!(take(signal, 7_777, 2_223, 3), whole[7_777 * 3..], "{signal:?}");
            assert!(matches!(signal, Signal::Count) || whole.iter().all(|s| s.abs() <= SIGNAL_PEAK));
        }
    }

    #[test]
    fn noise_is_white_enough_and_differs_by_channel() {
        let samples = take(Signal::Noise, 0, 48_000, 2);
        let mean = samples.iter().map(|&s| f64::from(s)).sum::<f64>() / 96_000.0;
        let power = samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 96_000.0;
        let across = samples.chunks(2).map(|f| f64::from(f[0] * f[1])).sum::<f64>() / 48_000.0;
        assert!(mean.abs() < 3e-3, "mean {mean}");
        assert!((power - 1.0 / 12.0).abs() < 2e-3, "power {power}");
        assert!(across.abs() < 2e-3, "correlation {across}");
    }

    #[test]
    fn a_tone_has_its_frequency_after_a_day() {
        let day = 48_000 * 86_400;
        let late = take(Signal::Tone { hz: 1_000.0 }, day, 480, 1);
        let early = take(Signal::Tone { hz: 1_000.0 }, 0, 480, 1);
        assert!(late.iter().zip(&early).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

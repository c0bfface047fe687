//! Phase correlation of a stereo pair: whether its sum in mono would cancel.

use crate::sample::finite;

/// Mean power (−120 dBFS of each channel, multiplied) below which a pair is silent.
const SILENCE: f64 = 1e-24;

/// The correlation of two channels, weighted by an exponential of the past.
///
/// `E[lr] / sqrt(E[l²] E[r²])`: 1 where both are the same but for a factor, −1 where one is the other turned over, 0 where
/// they have nothing in common. Silence, of one channel too, is 0.
#[derive(Debug, Clone)]
pub struct PhaseCorrelation {
    keep: f64,
    product: f64,
    left: f64,
    right: f64,
}

impl PhaseCorrelation {
    /// The usual time constant of meters, in seconds: 0.3.
    pub const SECONDS: f64 = 0.3;

    /// At this rate; what was `seconds` ago counts for 1/e.
    #[must_use]
    pub fn new(rate_hz: u32, seconds: f64) -> Self {
        let keep = (-1.0 / (seconds * f64::from(rate_hz)).max(1.0)).exp();
        Self { keep, product: 0.0, left: 0.0, right: 0.0 }
    }

    /// Takes more of both channels. Samples that are no finite numbers count as silence.
    ///
    /// # Panics
    /// When one channel has more samples than the other.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn push(&mut self, left: &[f32], right: &[f32]) {
        assert_eq!(left.len(), right.len(), "two channels of the same frames");
        let take = 1.0 - self.keep;
        for (&left, &right) in left.iter().zip(right) {
            let (left, right) = (f64::from(finite(left)), f64::from(finite(right)));
            self.product = self.keep * self.product + take * left * right;
            self.left = self.keep * self.left + take * left * left;
            self.right = self.keep * self.right + take * right * right;
        }
    }

    /// From −1 to 1; 0 in silence.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a reading")]
    pub fn value(&self) -> f32 {
        let power = self.left * self.right;
        if power < SILENCE { 0.0 } else { (self.product / power.sqrt()).clamp(-1.0, 1.0) as f32 }
    }

    /// Forgets what was.
    pub const fn reset(&mut self) {
        (self.product, self.left, self.right) = (0.0, 0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(left: impl Fn(f32) -> f32, right: impl Fn(f32) -> f32) -> f32 {
        let mut correlation = PhaseCorrelation::new(48_000, PhaseCorrelation::SECONDS);
        let time: Vec<f32> = (0..96_000_u32).map(|n| n as f32 / 48_000.0).collect();
        let [left, right] =
            [time.iter().map(|&t| left(t)).collect::<Vec<_>>(), time.iter().map(|&t| right(t)).collect()];
        // How it is cut must not show.
        correlation.push(&left[..777], &right[..777]);
        correlation.push(&left[777..], &right[777..]);
        correlation.value()
    }

    #[test]
    fn same_opposite_and_unrelated_signals_are_told_apart() {
        let tone = |t: f32| (t * 2_000.0).sin();
        assert!((of(tone, tone) - 1.0).abs() < 1e-6);
        assert!((of(tone, |t| 0.1 * tone(t)) - 1.0).abs() < 1e-6, "levels do not matter");
        assert!((of(tone, |t| -tone(t)) + 1.0).abs() < 1e-6);
        assert!(of(tone, |t| (t * 2_000.0).cos()).abs() < 0.02, "a quarter of a turn");
        assert!(of(tone, |t| (t * 3_100.0).sin()).abs() < 0.02, "another tone");
    }

    #[test]
    fn silence_is_zero_and_bad_samples_are_silence() {
        assert!(of(|_| 0.0, |_| 0.0).abs() < f32::EPSILON);
        assert!(of(|t| t.sin(), |_| 0.0).abs() < f32::EPSILON, "one channel is silent");
        assert!(of(|_| f32::NAN, |_| f32::INFINITY).abs() < f32::EPSILON);
        let mut correlation = PhaseCorrelation::new(8_000, 0.3);
        correlation.push(&[0.5, f32::NAN, 0.5], &[0.5, 0.5, 0.5]);
        assert!(correlation.value() > 0.7);
        correlation.reset();
        assert!(correlation.value().abs() < f32::EPSILON);
    }

    #[test]
    fn after_the_time_constant_the_past_counts_for_a_part_of_e() {
        let mut correlation = PhaseCorrelation::new(1_000, 0.3);
        correlation.push(&[1.0; 10_000], &[1.0; 10_000]);
        correlation.push(&[1.0; 300], &[-1.0; 300]);
        let expected = -1.0 + 2.0 * (-1.0_f32).exp();
        assert!((correlation.value() - expected).abs() < 1e-3, "{} {expected}", correlation.value());
    }
}

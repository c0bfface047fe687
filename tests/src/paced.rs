//! A tone of true time: where it stands in a ring says when it sounded.

use nix::time::{ClockId, clock_gettime};
use std::f64::consts::TAU;

/// Whole turns in a second, and so slow that no wrong turn can be taken for a right one.
const TONE_HZ: f64 = 10.0;

/// `CLOCK_MONOTONIC`, in seconds.
///
/// # Panics
/// Without such a clock.
#[must_use]
pub fn monotonic_s() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has it");
    now.tv_sec() as f64 + now.tv_nsec() as f64 * 1e-9
}

/// What sounds at a time.
#[must_use]
pub fn paced_sample(time_s: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
    let sample = (0.5 * (TAU * (TONE_HZ * time_s).fract()).sin()) as f32;
    sample
}

/// When the first of these samples sounded, a whole turn of the tone, up to whole tenths of a second; and how loud it was.
#[must_use]
pub fn sounded_at(turn: &[f32]) -> (f64, f64) {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in turn.iter().enumerate() {
        let angle = TAU * n as f64 / turn.len() as f64;
        sine += f64::from(*sample) * angle.sin();
        cosine += f64::from(*sample) * angle.cos();
    }
    // The tone is sin(phase + angle).
    let phase = cosine.atan2(sine);
    let half = turn.len() as f64 / 2.0;
    ((phase / TAU).rem_euclid(1.0) / TONE_HZ, (sine.hypot(cosine)) / half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_says_when_it_sounded() {
        for begin_s in [0.0, 0.0123, 12.0999, 1e6 + 0.05] {
            let turn: Vec<f32> = (0..4_800).map(|n| paced_sample(begin_s + f64::from(n) / 48_000.0)).collect();
            let (at_s, loud) = sounded_at(&turn);
            let off_s = (at_s - begin_s).rem_euclid(0.1);
            assert!(off_s.min(0.1 - off_s) < 1e-6 && (loud - 0.5).abs() < 1e-4, "{begin_s}: {at_s}, {loud}");
        }
    }
}

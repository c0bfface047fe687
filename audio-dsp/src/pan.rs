//! Left and right.
//!
//! One law for every source, the *balance* law: in the middle both sides pass at 0 dB, so that a centred source is
//! untouched; towards one side that one stays at 0 dB while the other fades along a quarter of a sine. No pan
//! amplifies, so none makes a sum clip that did not clip before. (A mono source in the middle is thus heard on both
//! sides in full, 3 dB louder in power than at one side. The constant-power law would take 3 dB off every centred
//! source instead.)

use std::f64::consts::FRAC_PI_2;

/// Gains of the left and the right side for a pan from -1 (left) over 0 to 1 (right). What is no number is the middle.
#[must_use]
pub fn balance(pan: f32) -> [f32; 2] {
    let pan = if pan.is_nan() { 0.0 } else { f64::from(pan.clamp(-1.0, 1.0)) };
    // The sine of exactly 0 and of a quarter turn are exactly 0 and 1.
    #[expect(clippy::cast_possible_truncation, reason = "f64 to gain")]
    let fading = (FRAC_PI_2 * (1.0 - pan.abs())).sin() as f32;
    if pan < 0.0 { [1.0, fading] } else { [fading, 1.0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_and_ends_are_exact() {
        assert_eq!(balance(0.0), [1.0, 1.0]);
        assert_eq!(balance(-0.0), [1.0, 1.0]);
        assert_eq!(balance(f32::NAN), [1.0, 1.0]);
        assert_eq!(balance(-1.0), [1.0, 0.0]);
        assert_eq!(balance(7.0), [0.0, 1.0]);
    }

    #[test]
    fn one_side_stays_and_the_other_fades_steadily() {
        let mut before = 1.0;
        for step in 1..=100_u8 {
            let [left, right] = balance(f32::from(step) / 100.0);
            assert!(left < before && right == 1.0);
            assert_eq!(balance(-f32::from(step) / 100.0), [right, left]);
            before = left;
        }
        assert!((balance(0.5)[0] - 0.707_106_77).abs() < 1e-6);
    }
}

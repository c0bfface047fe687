//! Levels as people read them.

/// What a level is called that is lower than any converter's noise.
const SILENCE_DBFS: f32 = -144.0;

/// Decibels relative to full scale.
pub(crate) fn dbfs(level: f32) -> f32 {
    (20.0 * level.log10()).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::dbfs;

    #[test]
    fn full_scale_is_zero_and_silence_is_finite() {
        assert_eq!(dbfs(1.0).to_bits(), 0.0_f32.to_bits());
        assert!((dbfs(0.5) + 6.02).abs() < 0.01);
        assert_eq!(dbfs(0.0).to_bits(), (-144.0_f32).to_bits());
    }
}

//! How loud the speech is, and how loud what is beside it.

use crate::vad::SAMPLE_RATE_HZ;

/// What is looked at together: 10 ms.
pub(super) const STEP: usize = SAMPLE_RATE_HZ as usize / 100;

/// The power of each step.
#[expect(clippy::cast_precision_loss, reason = "160")]
pub(super) fn powers(samples: &[f32]) -> Vec<f32> {
    samples.chunks(STEP).map(|step| step.iter().map(|s| s * s).sum::<f32>() / STEP as f32 + 1e-12).collect()
}

/// The powers of noise and of speech: of the quiet tenth of the steps and of the loud one.
pub(super) fn noise_and_speech(powers: &[f32]) -> Option<(f32, f32)> {
    let mut sorted = powers.to_vec();
    sorted.sort_by(f32::total_cmp);
    Some((*sorted.get(sorted.len() / 10)?, *sorted.get(sorted.len() * 9 / 10)?))
}

/// How far speech stands out of the noise, in dB: the loud tenth of the sound above the quiet one. Samples that are heard
/// live have half a second before the first word.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "dB, and the cast saturates")]
pub fn snr_db(samples: &[f32]) -> u8 {
    let ratio = noise_and_speech(&powers(samples)).map_or(1.0, |(noise, speech)| speech / noise);
    (10.0 * ratio.log10()).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_speech_by_its_power() {
        let wave = |at: usize, level: f32| if at.is_multiple_of(2) { level } else { -level };
        let mut samples: Vec<f32> = (0..50 * STEP).map(|at| wave(at, 0.01)).collect();
        samples.extend((0..150 * STEP).map(|at| wave(at, 0.1)));
        assert_eq!(snr_db(&samples), 20);
        assert_eq!([snr_db(&[]), snr_db(&[0.0; 9_000]), snr_db(&[0.5; 9_000])], [0, 0, 0]);
        samples[..50 * STEP].fill(0.0);
        assert_eq!(snr_db(&samples), 100, "no more than the steps' floor");
    }
}

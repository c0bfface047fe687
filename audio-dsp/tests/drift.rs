//! A source with a clock of its own, through loop and resampler: does its sound stay where it belongs?

use audio_dsp::{DriftLoop, Quality, VariableResampler};
use std::f64::consts::TAU;

const RATE_HZ: f64 = 48_000.0;
const PERIOD_FRAMES: usize = 480;
const TARGET_FRAMES: f64 = 1_440.0;
/// Of the source's own rate.
const TONE_TURNS: f64 = 1_000.0 / RATE_HZ;

/// By how much a tone lies away from where it should be, in seconds of it: by least squares.
fn displacement_s(samples: &[(f64, f32)]) -> f64 {
    let (sines, cosines) = samples.iter().fold((0.0, 0.0), |(sines, cosines), &(frame, sample)| {
        let (sin, cos) = (TAU * TONE_TURNS * frame).sin_cos();
        (sines + f64::from(sample) * sin, cosines + f64::from(sample) * cos)
    });
    let peak = sines.hypot(cosines) * 2.0 / samples.len() as f64;
    assert!((peak - 0.5).abs() < 0.005, "the tone is there in full, not at {peak}");
    cosines.atan2(sines) / TAU / TONE_TURNS / RATE_HZ
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "f64 to sample and to few frames")]
fn a_tone_of_a_foreign_clock_stays_in_its_place() {
    for ppm in [200.0, -137.0] {
        let true_rate = RATE_HZ * (1.0 + 1e-6 * ppm);
        let mut drift = DriftLoop::new(48_000, TARGET_FRAMES);
        let mut resampler = VariableResampler::new(48_000, 48_000, 1, PERIOD_FRAMES, Quality::Fast).expect("rates");
        let (mut delivered, mut read) = (0_usize, 0_usize);
        let (mut out, mut heard) = ([0.0; PERIOD_FRAMES], Vec::new());
        let (mut underruns, mut skipped) = (0, None);
        for tick in 1..4_000_u32 {
            let due_s = f64::from(tick) * 0.01;
            while (delivered + PERIOD_FRAMES) as f64 / true_rate <= due_s {
                delivered += PERIOD_FRAMES;
                // Late by something between 0 and 2 ms.
                let late_s = 0.002 * ((delivered / PERIOD_FRAMES) as f64 * 0.754_877_666).fract();
                drift.observe(delivered as f64 / true_rate + late_s, delivered as u64);
            }
            // Begins as soon as there is enough; what is more than that is skipped.
            if skipped.is_none() && delivered as f64 > TARGET_FRAMES {
                drift.steer(due_s, resampler.position());
                read = drift.error_frames() as usize;
                skipped = Some(read as f64);
            }
            let Some(skipped) = skipped else { continue };
            resampler.set_correction_ppm(drift.steer(due_s, skipped + resampler.position()));
            let frames = resampler.needed_input_frames(PERIOD_FRAMES);
            underruns += usize::from(read + frames > delivered);
            let input: Vec<f32> =
                (read..read + frames).map(|n| (0.5 * (TAU * TONE_TURNS * n as f64).sin()) as f32).collect();
            read += frames;
            resampler.process(&input, frames, &mut out, PERIOD_FRAMES);
            let place = |n: usize| (due_s + n as f64 / RATE_HZ) * true_rate - TARGET_FRAMES;
            heard.extend(out.iter().enumerate().map(|(n, &sample)| (place(n), sample)));
            if heard.len() >= 48_000 {
                let second: Vec<(f64, f32)> = std::mem::take(&mut heard);
                if due_s > 11.0 {
                    let error_s = displacement_s(&second);
                    assert!(error_s.abs() < 1e-4, "{error_s} s away after {due_s} s at {ppm} ppm");
                }
            }
        }
        assert_eq!(underruns, 0);
        assert!((drift.correction_ppm() - ppm).abs() < 5.0);
    }
}

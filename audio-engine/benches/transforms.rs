//! What a picture of the frequencies takes: a transform with its window and decibels, beside a plain one of rustfft, which
//! has neither, and computes both halves of the spectrum.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::time;
use anyhow::Result;
use audio_dsp::{Stft, Window};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;
use std::hint::black_box;

pub(crate) const MEASURE: Measure = Measure { names: &["2048-point Hann frame with dB"], run: measure };

const FRAMES: usize = 2_048;
/// Transforms that are timed at once: one is not much longer than a look at the clock.
const AT_ONCE: usize = 100;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let rounds = plan.times(2_000);
    let samples: Vec<f32> = (0..FRAMES + AT_ONCE).map(|n| 0.3 * (n as f32 * 0.1).sin()).collect();
    let mut stft = Stft::new(Window::Hann, FRAMES)?;
    let mut levels = vec![0.0; stft.bins()];
    let transform = FftPlanner::new().plan_fft_forward(FRAMES);
    let given: Vec<Complex<f32>> = samples[..FRAMES].iter().map(|&sample| Complex::new(sample, 0.0)).collect();
    let mut spectrum = given.clone();
    let mut scratch = vec![Complex::default(); transform.get_inplace_scratch_len()];
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    // In turn, so that what else the machine does meets both.
    for _ in 0..rounds {
        let cost = time(|| {
            for at in 0..AT_ONCE {
                stft.levels_db(black_box(&samples[at..at + FRAMES]), &mut levels);
                black_box(&levels);
            }
        });
        ours.push(cost / AT_ONCE as f64 / 1e3);
        let cost = time(|| {
            for _ in 0..AT_ONCE {
                spectrum.copy_from_slice(black_box(&given));
                transform.process_with_scratch(&mut spectrum, &mut scratch);
                black_box(&spectrum);
            }
        });
        plain.push(cost / AT_ONCE as f64 / 1e3);
    }
    let row = Row::new(MEASURE.names[0], quantile(&mut ours, 0.5), "us", rounds * AT_ONCE);
    Ok(vec![row.against("rustfft, complex, without window and dB", quantile(&mut plain, 0.5))])
}

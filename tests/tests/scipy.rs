//! The signal processing of pictures, held against scipy and numpy, which compute the reference here and now.

use anyhow::{Context, Result, ensure};
use audio_dsp::{FLOOR_DB, FrequencyScale, Peaks, PhaseCorrelation, Stft, Window, peaks_in_columns};
use serde_json::json;
use system_tests::{numbers, python};

/// The greatest difference, and that both are as long.
fn apart(ours: &[f64], theirs: &[f64]) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{} numbers, and {} of scipy", ours.len(), theirs.len());
    Ok(ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max))
}

/// Noise with a few tones in it; some samples are what no sample should be.
fn samples(count: u32) -> Vec<f32> {
    let mut state = 12_345_u32;
    (0..count)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
            let at = f64::from(n) * std::f64::consts::TAU;
            #[expect(clippy::cast_possible_truncation, reason = "a sample")]
            let sample = (0.001 * noise + 0.5 * (at * 0.0137).sin() + 0.01 * (at * 0.31).sin()) as f32;
            sample
        })
        .collect()
}

/// scipy's name of a window.
fn name_of(window: Window) -> &'static str {
    if window == Window::Rectangular { "boxcar" } else { window.name() }
}

#[test]
fn windows_are_scipys() -> Result<()> {
    let cases = || Window::ALL.into_iter().flat_map(|window| [64_usize, 2_048].map(|frames| (window, frames)));
    let program = "answer = [signal.get_window(*case, fftbins=True).tolist() for case in wish]";
    let wish: Vec<_> = cases().map(|(window, frames)| json!([name_of(window), frames])).collect();
    let theirs = python(program, &json!(wish))?;
    for (n, (window, frames)) in cases().enumerate() {
        let apart = apart(&window.coefficients(frames), &numbers(&theirs[n])?)?;
        ensure!(apart < 1e-12, "{window} of {frames}: {apart} apart");
    }
    Ok(())
}

#[test]
fn levels_are_scipys_within_a_hundredth_of_a_decibel() -> Result<()> {
    let program = "
answer = []
x = np.array(wish['samples'], dtype=np.float64)
for name, n in wish['cases']:
    w = signal.get_window(name, n, fftbins=True)
    s = signal.ShortTimeFFT(w, n, 1.0, fft_mode='onesided', scale_to='magnitude', phase_shift=None)
    m = np.abs(s.stft(x[:n], p0=0, p1=1, k_offset=n // 2)[:, 0])
    m[1:-1] *= 2
    answer.append(np.maximum(20 * np.log10(np.maximum(m, 1e-30)), wish['floor']).tolist())";
    let cases = || Window::ALL.into_iter().flat_map(|window| [64_usize, 2_048, 16_384].map(|frames| (window, frames)));
    let samples = samples(16_384);
    let wish: Vec<_> = cases().map(|(window, frames)| json!([name_of(window), frames])).collect();
    let answer = python(program, &json!({"samples": samples, "cases": wish, "floor": FLOOR_DB}))?;
    let mut worst: f64 = 0.0;
    for (n, (window, frames)) in cases().enumerate() {
        let mut stft = Stft::new(window, frames)?;
        let mut levels = vec![0.0; stft.bins()];
        stft.levels_db(&samples[..frames], &mut levels);
        let theirs = numbers(&answer[n])?;
        ensure!(theirs.len() == levels.len() && theirs.iter().any(|&level| level > -20.0), "nothing to compare");
        for (bin, (ours, theirs)) in levels.iter().zip(&theirs).enumerate() {
            // Below, beside a tone of -6 dB, the rounding of f32 shows: it is at -155 dB.
            if *theirs > -90.0 {
                let apart = (f64::from(*ours) - theirs).abs();
                ensure!(apart < 0.01, "{window} of {frames}, bin {bin}: {ours} dB, scipy has {theirs} dB");
                worst = worst.max(apart);
            }
        }
    }
    eprintln!("levels: {worst:.5} dB apart at most");
    Ok(())
}

#[test]
fn peaks_are_numpys() -> Result<()> {
    let mut samples = samples(48_000);
    samples[12_345] = -0.99;
    let mut columns = vec![Peaks::NONE; 777];
    peaks_in_columns(&samples, &mut columns);
    let program = "
x = np.array(wish['samples'])
edges = np.arange(wish['columns'] + 1) * len(x) // wish['columns']
parts = [x[max(a - 1, 0):b] for a, b in zip(edges, edges[1:])]
answer = [[float(f(p)) for p in parts] for f in (np.min, np.max)]";
    let answer = python(program, &json!({"samples": samples, "columns": columns.len()}))?;
    let ours = |of: fn(&Peaks) -> f32| columns.iter().map(|peaks| f64::from(of(peaks))).collect::<Vec<_>>();
    ensure!(apart(&ours(|peaks| peaks.min), &numbers(&answer[0])?)? < 1e-7, "minima");
    ensure!(apart(&ours(|peaks| peaks.max), &numbers(&answer[1])?)? < 1e-7, "maxima");
    ensure!(columns.iter().any(|peaks| peaks.min < -0.98), "the click is not seen");
    Ok(())
}

#[test]
fn correlation_is_that_of_scipys_filter() -> Result<()> {
    let left = samples(20_000);
    let right: Vec<f32> = left.iter().skip(7).chain(&left[..7]).map(|sample| sample * 0.3).collect();
    let program = "
l, r = np.array(wish['left']), np.array(wish['right'])
a = np.exp(-1 / (wish['seconds'] * wish['rate']))
mean = lambda x: signal.lfilter([1 - a], [1, -a], x)[-1]
answer = float(mean(l * r) / np.sqrt(mean(l * l) * mean(r * r)))";
    let mut correlation = PhaseCorrelation::new(16_000, PhaseCorrelation::SECONDS);
    correlation.push(&left, &right);
    let wish = json!({"left": left, "right": right, "rate": 16_000, "seconds": PhaseCorrelation::SECONDS});
    let theirs = python(program, &wish)?.as_f64().context("a number")?;
    ensure!((f64::from(correlation.value()) - theirs).abs() < 1e-5, "{} and {theirs}", correlation.value());
    ensure!((0.1..0.99).contains(&theirs.abs()), "{theirs} is no test");
    Ok(())
}

#[test]
fn frequency_axes_are_numpys() -> Result<()> {
    let hz: Vec<f64> = (0..200_u16).map(|n| 20.0 * 1.035_f64.powi(i32::from(n))).collect();
    let program = "
f = np.array(wish['hz']); low, high = wish['low'], wish['high']
mel = lambda f: 2595 * np.log10(1 + f / 700)
scales = (lambda f: f, np.log, mel)
answer = [((s(f) - s(low)) / (s(high) - s(low))).tolist() for s in scales]";
    let answer = python(program, &json!({"hz": hz, "low": 20.0, "high": 20_000.0}))?;
    for (n, scale) in FrequencyScale::ALL.into_iter().enumerate() {
        let ours: Vec<f64> = hz.iter().map(|&hz| scale.position(hz, 20.0, 20_000.0)).collect();
        let apart = apart(&ours, &numbers(&answer[n])?)?;
        ensure!(apart < 1e-12, "{scale}: {apart} apart");
    }
    Ok(())
}

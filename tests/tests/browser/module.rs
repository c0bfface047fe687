//! The module that the page computes with, as it is committed, computes what the native core does; and that is held against
//! scipy (`tests/tests/scipy.rs`).

use super::judge::{number, numbers};
use crate::web::Page;
use anyhow::{Context, Result, ensure};
use audio_dsp::{ColourMap, Peaks, Signal, SignalSource, Stft, Window, peaks_in_columns};
use serde_json::json;

#[test]
fn the_module_computes_what_the_native_core_does() -> Result<()> {
    const FFTS: [usize; 3] = [512, 2_048, 8_192];
    const CENTRE: usize = 8_192;
    const WIDTH: usize = 400;
    /// Above -90 dBFS; below, rounding shows.
    const OFF_DB: f64 = 0.01;
    let page = Page::new()?;
    // Loud noise, a tone beside it, and a click.
    let mut samples = vec![0.0_f32; 2 * CENTRE];
    SignalSource::new(Signal::Noise, 48_000).fill(&mut samples, 1);
    let mut tone = vec![0.0_f32; 2 * CENTRE];
    SignalSource::new(Signal::Tone { hz: 440.0 }, 48_000).fill(&mut tone, 1);
    samples.iter_mut().zip(&tone).for_each(|(sample, tone)| *sample = 0.1 * *sample + tone);
    samples[3 * WIDTH] = 0.95;
    let file = page.folder().join("samples");
    std::fs::write(&file, samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>())?;
    let columns = samples.len() / WIDTH;
    let job = json!({"samples": file, "ffts": FFTS, "windows": Window::ALL.len(), "centre": CENTRE, "columns": columns,
        "width": WIDTH, "maps": ColourMap::ALL.len()});
    let seen = page.serve(&[])?.drive("module", &job)?;

    let all = seen["levels"].as_array().context("levels")?;
    ensure!(all.len() == FFTS.len() * Window::ALL.len());
    let mut compared = 0;
    for (one, (frames, window)) in
        all.iter().zip(FFTS.into_iter().flat_map(|frames| Window::ALL.map(|window| (frames, window))))
    {
        ensure!(number(one, "fft")? == frames as f64);
        let mut stft = Stft::new(window, frames)?;
        let mut native = vec![0.0_f32; stft.bins()];
        stft.levels_db(&samples[CENTRE - frames / 2..CENTRE + frames / 2], &mut native);
        let theirs = numbers(&one["levels"]);
        ensure!(theirs.len() == native.len(), "{} bins, and not {}", theirs.len(), native.len());
        for (bin, (theirs, ours)) in theirs.into_iter().zip(native).enumerate() {
            let ours = f64::from(ours);
            if ours > -90.0 {
                ensure!((theirs - ours).abs() < OFF_DB, "{frames} {window:?} bin {bin}: {theirs} dB, native {ours} dB");
                compared += 1;
            }
        }
    }
    ensure!(compared > 20_000, "{compared} levels were compared");

    let wave = numbers(&seen["wave"]);
    let mut native = vec![Peaks::NONE; columns];
    peaks_in_columns(&samples[..columns * WIDTH], &mut native);
    ensure!(wave.len() >= 3 * (columns - 1), "{} numbers of a wave", wave.len());
    for (column, (theirs, ours)) in wave.chunks(3).zip(&native).enumerate() {
        let (least, greatest) = (f64::from(ours.min), f64::from(ours.max));
        ensure!(
            theirs[0] == least && theirs[1] == greatest,
            "column {column}: {theirs:?}, native {least} to {greatest}"
        );
    }
    for (map, theirs) in ColourMap::ALL.into_iter().zip(seen["maps"].as_array().context("maps")?) {
        let ours: Vec<f64> = (0..=255).flat_map(|index| map.entry(index)).map(f64::from).collect();
        let theirs = numbers(theirs);
        let opaque: Vec<f64> = theirs.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
        ensure!(opaque == ours && theirs.len() == 1_024, "{map:?}");
    }
    Ok(())
}

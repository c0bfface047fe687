//! The loudness of a running instance's mix is shown, as it is.

use super::judge::clean;
use crate::web::Server;
use anyhow::{Context, Result, ensure};
use hound::{SampleFormat, WavSpec, WavWriter};
use serde_json::{Value, json};
use system_tests::{Setup, watchdog};

/// A sine of 1 kHz at -20 dBFS on both channels is as loud as -20.0 LUFS: its power is 3.01 dB below its peak, two channels are
/// 3.01 dB more than one, and at 1 kHz the filter's +0.69 dB make up for the scale's -0.691 dB.
#[test]
fn a_known_tone_is_as_loud_as_it_is() -> Result<()> {
    const PEAK_DBFS: f64 = -20.0;
    /// What EBU Tech 3341 lets a meter be off.
    const OFF_LU: f64 = 0.1;
    const SECONDS: u32 = 60;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tone.wav");
    let spec = WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut writer = WavWriter::create(&file, spec)?;
    let amplitude = 10.0_f64.powf(PEAK_DBFS / 20.0);
    for frame in 0..SECONDS * 48_000 {
        #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
        let sample = (amplitude * (std::f64::consts::TAU * 1_000.0 * f64::from(frame) / 48_000.0).sin()) as f32;
        writer.write_sample(sample)?;
        writer.write_sample(sample)?;
    }
    writer.finalize()?;
    let mut instance = Setup::run(&[&format!("tone=file:{}", file.display())]).start()?;
    instance.ring("mix")?;
    let server = Server::start(instance.folders(), &[])?;
    let seen = server.drive("loudness", &json!({"instance": instance.pid()}))?;
    drop(server);
    clean(&seen)?;
    ensure!(seen["shown"] == true, "{seen}");
    let numbers = |value: &Value| -> Result<Vec<f64>> {
        let text = value.as_str().context("text")?.replace('−', "-");
        Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    };
    // Momentary, short-term, integrated; and the true peak.
    let loudness = numbers(&seen["loudness"])?;
    ensure!(loudness.len() == 3, "{seen}");
    for value in loudness.into_iter().chain(numbers(&seen["truePeak"])?) {
        ensure!((value - PEAK_DBFS).abs() < OFF_LU + 0.01, "{value} instead of {PEAK_DBFS}: {seen}");
    }
    instance.wait_exit(watchdog(2.0))?;
    instance.assert_clean()
}

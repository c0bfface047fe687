//! What the page of `tympan viz --web` takes, in a headless Chromium without a graphics processor.

use crate::rows::{Measure, Plan, Row};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use audio_dsp::{Stft, Window};
use serde_json::json;
use std::hint::black_box;
use std::time::Instant;

pub(crate) const MEASURE: Measure = Measure { names: &[FRAME, TICK, DRAWN, LATENCY, SERVER, BYTES], run: measure };

const FRAME: &str = "page: a 2048-point Hann frame with dB, Chromium";
const TICK: &str = "page: a tick of 8 channels p99";
const DRAWN: &str = "page: frames drawn a second, 8 channels, 1280x800";
const LATENCY: &str = "page: sample written to drawn p95";
const SERVER: &str = "page: server, one page, 8 channels";
const BYTES: &str = "page: bytes sent for each of the samples'";

/// How long the page is looked at, in seconds.
const SECONDS: usize = 60;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let page = Page::new()?;
    let signals = [
        "sine:440:0.25",
        "chirp:100:12000:0.4",
        "noise:0.2",
        "click",
        "sine:1000:0.5",
        "noise:0.1",
        "silence",
        "chirp:50:400:0.3",
    ];
    let _writer = Writer::start(&page, "eight", &signals)?;
    let server = page.serve(&[])?;
    let seconds = plan.times(SECONDS).max(6);
    let seen = server.drive("bench", &json!({"lanes": signals.len(), "seconds": seconds, "server": server.pid()}))?;
    let number = |name: &str| seen[name].as_f64().with_context(|| format!("{name} in {seen}"));
    ensure!(number("lost")? + number("skipped")? == 0.0, "NOTE the machine was too busy: {seen}");
    eprintln!("NOTE page: {seen}");
    Ok(vec![
        Row::new(FRAME, number("transformUs")?, "us", 20_000).against("the same, native", native_us()?),
        Row::new(TICK, number("tickP99")?, "ms", seconds * 30),
        Row::new(DRAWN, number("fps")?, "a s", seconds),
        Row::new(LATENCY, number("latencyP95")?, "ms", 600),
        Row::new(SERVER, number("serverShare")?, "% of a core", seconds),
        Row::new(BYTES, number("bytesPerSample")?, "x", 1),
    ])
}

/// The same frame, computed by this process.
fn native_us() -> Result<f64> {
    const TURNS: u32 = 20_000;
    let mut stft = Stft::new(Window::Hann, 2_048)?;
    let samples: Vec<f32> =
        (0..2_048_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5).collect();
    let mut levels = vec![0.0; stft.bins()];
    let begin = Instant::now();
    for _ in 0..TURNS {
        stft.levels_db(black_box(&samples), &mut levels);
        black_box(&mut levels);
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(TURNS))
}

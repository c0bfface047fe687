//! A word that is pressed sounds: what the browser is given to play is what the ring has, and it plays.

use super::judge::{clean, number, numbers};
use crate::web::{FakeWords, Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{wait_until, watchdog};

/// Frames from a word's beginning to its end, and what is played before and behind it.
const WORD: u64 = 14_400;
const MARGIN: u64 = 2_400;
const RATE_HZ: f64 = 48_000.0;
/// Frequencies and amplitudes of the ring's channels.
const CHANNELS: [(f64, f64); 2] = [(440.0, 0.25), (1_000.0, 0.125)];

/// The ring's sample.
fn sample((hz, amplitude): (f64, f64), frame: u64) -> f64 {
    amplitude * (std::f64::consts::TAU * hz * (frame as f64 / RATE_HZ)).sin()
}

/// Crossings of zero, from below.
fn turns(samples: &[f64]) -> usize {
    samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count()
}

#[test]
fn a_word_that_is_pressed_sounds_as_the_ring_has_it() -> Result<()> {
    let page = Page::new()?;
    let signals = CHANNELS.map(|(hz, amplitude)| format!("sine:{hz}:{amplitude}"));
    let writer = Writer::start(&page, "talk", &signals.each_ref().map(String::as_str))?;
    // Not beside one another: each plays nothing of the other one.
    let words = [("hello", 48_000), ("world", 96_000)];
    let end = words[1].1 + WORD + MARGIN;
    wait_until("the words' sound", watchdog(4.0), || Ok((writer.newest()? > end + 4_800).then_some(())))?;
    let spoken = FakeWords::start(&page, "talk", &words)?;
    let job = json!({"lanes": 2, "words": words.map(|(text, _)| text)});
    let seen = page.serve(&[])?.drive("sounds", &job)?;
    clean(&seen)?;
    spoken.were_asked_for()?;
    let played = seen["played"].as_array().context("played")?;
    ensure!(played.len() == 4, "{} sounds were played", played.len());
    for (place, (sound, word)) in played.iter().zip([0, 1, 0, 1]).enumerate() {
        let from = words[word].1 - MARGIN;
        let frames = WORD + 2 * MARGIN;
        ensure!(sound["rateHz"] == RATE_HZ && sound["when"] == json!([]), "sound {place} at {}", sound["rateHz"]);
        let channels = sound["samples"].as_array().context("samples")?;
        ensure!(channels.len() == CHANNELS.len(), "sound {place} has {} channels", channels.len());
        for (channel, known) in channels.iter().zip(CHANNELS) {
            let heard = numbers(channel);
            ensure!(heard.len() as u64 == frames, "sound {place} has {} frames, and not {frames}", heard.len());
            let expected: Vec<f64> = (from..from + frames).map(|frame| sample(known, frame)).collect();
            let off = heard.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            ensure!(off < 1e-6, "sound {place}: {} Hz is off by {off}", known.0);
            // In a listener's terms, too: its peak and its frequency.
            let peak = heard.iter().fold(0.0_f64, |peak, sample| peak.max(sample.abs()));
            ensure!((peak - known.1).abs() < 0.001, "sound {place}: a peak of {peak}, and not {}", known.1);
            let hz = turns(&heard) as f64 * RATE_HZ / frames as f64;
            ensure!((hz - known.0).abs() < 3.0, "sound {place}: {hz} Hz, and not {}", known.0);
        }
        // Its clock went on while it played.
        ensure!(sound["state"] == "running" && sound["over"] == true, "sound {place} does not play");
        let (started, over) = (number(sound, "startedAt")?, number(sound, "overAt")?);
        // Each makes the one before it stop; the third has no time to come to its end.
        ensure!(sound["stopped"] == (place < 3), "sound {place}: stopped is {}", sound["stopped"]);
        ensure!(place == 2 || over - started >= frames as f64 / RATE_HZ, "sound {place} lasts {} s", over - started);
    }
    ensure!(seen["marked"] == json!(["world"]), "{}", seen["marked"]);
    Ok(())
}

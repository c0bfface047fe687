//! Known signals are seen where they are.

use super::judge::{clean, numbers};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::json;

#[test]
fn known_signals_are_seen_where_they_are() -> Result<()> {
    let page = Page::new()?;
    let _stereo = Writer::start(&page, "pair", &["sine:300:0.5", "against:300:0.5"])?;
    let _known = Writer::start(&page, "known", &["sine:440:0.125", "click", "sine:1000:0.5"])?;
    let all = page.serve(&[])?.drive("signals", &json!({}))?;
    let all = all.as_array().context("three ways of drawing")?;
    ensure!(all.len() == 3);
    for seen in all {
        clean(seen)?;
        let query = seen["query"].as_str().context("query")?;
        ensure!(seen["shared"].as_bool() == Some(query != "?shared=no"), "{query}: shared memory");
        ensure!(seen["kind"] == if query == "?draw=webgl" { "webgl" } else { "image" }, "{query}: {}", seen["kind"]);
        ensure!((seen["lost"].as_u64(), seen["gaps"].as_u64()) == (Some(0), Some(0)), "{query}: something is missing");
        // Of how many frames its transforms were: fewer where it could not keep up. A tone is found within a tenth of a bin.
        let fft = numbers(&seen["ffts"]).into_iter().fold(f64::MAX, f64::min);
        let bin_hz = 48_000.0 / fft;
        // Streams by name: the tone, the click, 1 kHz, and the pair.
        let tone = |lane: usize| (seen["tones"][lane][0]["hz"].as_f64(), seen["tones"][lane][0]["levelDb"].as_f64());
        for (lane, hz, db) in [(0, 440.0, -18.06), (2, 1_000.0, -6.02), (3, 300.0, -6.02)] {
            let (Some(actual_hz), Some(actual_db)) = tone(lane) else {
                anyhow::bail!("{query}: no tone in lane {lane}")
            };
            ensure!(
                (actual_hz - hz).abs() < 0.1 * bin_hz + 0.1 && (actual_db - db).abs() < 0.3,
                "{query}: {actual_hz} Hz {actual_db} dB"
            );
        }
        ensure!(
            (seen["meters"][0]["peak"].as_f64().context("peak")? - 0.125).abs() < 0.001,
            "{query}: {}",
            seen["meters"]
        );
        ensure!(
            (seen["meters"][0]["rms"].as_f64().context("rms")? - 0.0884).abs() < 0.002,
            "{query}: {}",
            seen["meters"]
        );
        let pair =
            seen["pairs"].as_array().and_then(|pairs| pairs.iter().find(|pair| pair["lane"] == 4)).context("pair")?;
        ensure!((pair["value"].as_f64().context("value")? + 1.0).abs() < 0.001, "{query}: {pair}");
        // In pixels: the brightest row is the tone's, and its colour is its level's.
        for (lane, hz, db) in [(0, 440.0_f64, -18.06), (2, 1_000.0, -6.02), (3, 300.0, -6.02)] {
            let row = &seen["lanes"][lane];
            let rows = row["rows"].as_f64().context("rows")?;
            let expected = rows * (hz / 40.0).ln() / (24_000.0_f64 / 40.0).ln();
            let actual = row["brightest"].as_f64().context("brightest")? + 0.5;
            let half_a_bin = rows * (1.0 + bin_hz / 2.0 / hz).ln() / 600.0_f64.ln();
            ensure!(
                (actual - expected).abs() <= 1.5 + half_a_bin,
                "{query}: {hz} Hz in row {actual} of {rows}, and not {expected}"
            );
            let (low, high) = (-90.0, 0.0);
            let level = low + row["level"].as_f64().context("level")? / 255.0 * (high - low);
            // A Hann window's scallop is 1.4 dB at the most.
            ensure!(level > db - 1.9 && level < db + 0.6, "{query}: {hz} Hz looks like {level} dB, and not {db}");
            ensure!(row["unknown"] == 0, "{query}: pixels that are no colours of the map");
        }
        // A click of one sample at each whole second, in the column of that second.
        let clicks = numbers(&seen["lanes"][1]["clicks"]);
        let (end, per_column) = (seen["end"][1].as_f64().context("end")?, seen["columnS"].as_f64().context("scale")?);
        let width = seen["width"].as_f64().context("width")?;
        // The ring may be younger than the picture is wide.
        let whole_seconds = (width * per_column).min(end).floor();
        ensure!(clicks.len() as f64 >= whole_seconds - 1.0, "{query}: clicks at {clicks:?} of {whole_seconds} s");
        for x in clicks {
            let seconds = end - (width - x - 0.5) * per_column;
            ensure!((seconds - seconds.round()).abs() <= 1.6 * per_column, "{query}: a click at {seconds} s");
        }
    }
    Ok(())
}

//! The panel's fields of transform and picture: what is drawn is what they say, computed here once more.

use super::judge::{clean, number, numbers};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use audio_dsp::{FrequencyAxis, FrequencyScale, Rows, Stft, Window};
use serde_json::{Value, json};

const RATE_HZ: u32 = 48_000;
/// Between two bins of most transforms, so that windows leak.
const TONE_HZ: f64 = 5_200.0;
const AMPLITUDE: f64 = 0.5;

/// What is set in the panel.
#[derive(Debug, Clone, Copy)]
struct Look {
    window: Window,
    fft: usize,
    hop: u64,
    scale: FrequencyScale,
    low_db: f32,
    high_db: f32,
}

impl Look {
    const FIRST: Self = Self {
        window: Window::Hann,
        fft: 512,
        hop: 256,
        scale: FrequencyScale::Linear,
        low_db: -100.0,
        high_db: -10.0,
    };

    /// As the fields have it.
    fn fields(self) -> Value {
        let window = Window::ALL.iter().position(|&one| one == self.window);
        let scale = FrequencyScale::ALL.iter().position(|&one| one == self.scale);
        json!({"window": window, "fft": self.fft, "hop": self.hop, "scale": scale, "lowDb": self.low_db,
            "highDb": self.high_db})
    }

    /// The colours of a column of these frames, from below: the greatest levels of the transforms whose middles lie in it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places in a map")]
    fn column(self, frames: std::ops::Range<u64>, rows: usize) -> Result<Vec<u8>> {
        let mut stft = Stft::new(self.window, self.fft)?;
        let low_hz = if self.scale == FrequencyScale::Linear { 0.0 } else { 40.0 };
        let axis = FrequencyAxis { scale: self.scale, low_hz, high_hz: f64::from(RATE_HZ) / 2.0 };
        let onto = Rows::new(axis, rows, stft.bins(), RATE_HZ);
        let (mut levels, mut of_rows) = (vec![0.0; stft.bins()], vec![0.0; rows]);
        // The darkest is below the brightest.
        let low_db = self.low_db.min(self.high_db - 5.0);
        let mut column = vec![0; rows];
        let middles = frames.start.div_ceil(self.hop)..frames.end.div_ceil(self.hop);
        ensure!(!middles.is_empty(), "no transform lies in {frames:?}");
        for middle in middles.map(|number| number * self.hop) {
            let samples: Vec<f32> = (middle - self.fft as u64 / 2..).take(self.fft).map(tone).collect();
            stft.levels_db(&samples, &mut levels);
            onto.apply(&levels, &mut of_rows);
            for (colour, level) in column.iter_mut().zip(&of_rows) {
                *colour = ((level - low_db) / (self.high_db - low_db) * 255.0).round().max(f32::from(*colour)) as u8;
            }
        }
        Ok(column)
    }
}

/// The tone that the ring has.
#[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
fn tone(frame: u64) -> f32 {
    (AMPLITUDE * (std::f64::consts::TAU * TONE_HZ * (frame as f64 / f64::from(RATE_HZ))).sin()) as f32
}

/// How many rows of two columns are of clearly different colours.
fn different(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).filter(|(one, other)| one.abs_diff(**other) > 10).count()
}

#[test]
fn windows_transforms_axes_and_levels_are_as_they_are_set() -> Result<()> {
    const FIRST: Look = Look::FIRST;
    let mut looks: Vec<Look> = Window::ALL.map(|window| Look { window, ..FIRST }).to_vec();
    looks.extend([1_024, 2_048, 4_096, 8_192].map(|fft| Look { fft, ..FIRST }));
    looks.extend([FrequencyScale::Log, FrequencyScale::Mel].map(|scale| Look { scale, ..FIRST }));
    looks.extend([-40.0, 20.0].map(|high_db| Look { high_db, ..FIRST }));
    // Lower ones show how samples of 32 bits are rounded.
    looks.extend([-120.0, -60.0].map(|low_db| Look { low_db, ..FIRST }));
    // The darkest cannot be brighter than the brightest.
    looks.push(Look { low_db: -20.0, high_db: -60.0, ..FIRST });
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &[&format!("sine:{TONE_HZ}:{AMPLITUDE}")])?;
    let fields: Vec<Value> = looks.iter().map(|look| look.fields()).collect();
    let seen = page.serve(&[])?.drive("spectra", &json!({"looks": fields}))?;
    clean(&seen)?;
    let columns = seen["columns"].as_array().context("columns")?;
    ensure!(columns.len() == looks.len(), "{} columns", columns.len());
    for (place, (column, look)) in columns.iter().zip(&looks).enumerate() {
        let frames = |name: &str| column[name].as_u64().with_context(|| name.to_owned());
        let frames = frames("from")?..frames("to")?;
        let drawn: Vec<u8> = serde_json::from_value(column["column"].clone())?;
        let expected = look.column(frames.clone(), drawn.len())?;
        for (row, (drawn, expected)) in drawn.iter().zip(&expected).enumerate() {
            ensure!(drawn.abs_diff(*expected) <= 1, "{look:?} row {row}: {drawn}, and not {expected}");
        }
        // Nothing else that was set looks like it.
        for other in looks.iter().enumerate().filter(|&(at, _)| at != place).map(|(_, other)| other) {
            let rows = different(&drawn, &other.column(frames.clone(), drawn.len())?);
            ensure!(rows > 4, "{look:?} looks like {other:?}: {rows} rows differ");
        }
        let said = |db: f32| format!("{db} dB").replace('-', "−");
        ensure!(
            column["said"] == json!([said(look.low_db), said(look.high_db), "+0 dB"]),
            "{look:?}: {}",
            column["said"]
        );
    }
    Ok(())
}

#[test]
fn the_wave_is_as_high_as_it_is_set() -> Result<()> {
    const AMPLITUDE: f64 = 0.125;
    let page = Page::new()?;
    // Each column has whole turns of it.
    let _known = Writer::start(&page, "known", &[&format!("sine:440:{AMPLITUDE}")])?;
    let gains: Vec<u32> = (0..=8).map(|step| 6 * step).collect();
    let seen = page.serve(&[])?.drive("waveHeights", &json!({"gains": gains}))?;
    clean(&seen)?;
    let heights = seen["heights"].as_array().context("heights")?;
    ensure!(heights.len() == gains.len(), "{seen}");
    for (height, gain_db) in heights.iter().zip(gains) {
        let (rows, strip) = (number(height, "rows")?, number(height, "strip")?);
        // From the lowest sample to the highest, and no further than the strip's edges.
        let expected = (AMPLITUDE * 10.0_f64.powf(f64::from(gain_db) / 20.0) * (strip - 1.0) + 1.0).min(strip);
        ensure!((rows - expected).abs() <= 1.5, "+{gain_db} dB: {rows} of {strip} rows, and not {expected}");
        ensure!(height["said"] == format!("+{gain_db} dB"), "{height}");
    }
    let rows: Vec<f64> = heights.iter().flat_map(|height| numbers(&json!([height["rows"]]))).collect();
    let ratio = rows[1] / rows[0];
    ensure!((ratio - 10.0_f64.powf(6.0 / 20.0)).abs() < 0.05, "+6 dB is {ratio} times as high: {rows:?}");
    ensure!(heights.last().is_some_and(|last| last["rows"] == last["strip"]), "not clipped at the edges: {seen}");
    Ok(())
}

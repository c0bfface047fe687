//! Terminal, browser and file show the same sound as the same numbers and the same pixels, and scipy computes them.

use super::judge::{clean, number, numbers as numbers_in};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use audio_dsp::ColourMap;
use serde_json::{Value, json};
use std::path::Path;
use system_tests::*;

const RATE_HZ: u32 = 48_000;
const FFT: usize = 2_048;
/// Frequencies and amplitudes, from -12 to -66 dBFS.
const TONES: [(u32, f64); 4] = [(440, 0.25), (3_000, 0.05), (9_380, 0.005), (16_000, 0.0005)];
const RANGE_DB: (f64, f64) = (-90.0, 0.0);
/// Below, what a tone looks like depends on when one looks: its image beyond 0 Hz comes in.
const QUIET_DB: f64 = -78.0;

/// How far what is shown may be from scipy's: levels in a table; numbers, which are told with a digit after the point; and
/// colours, of which there are 256.
const TABLE_DB: f64 = 0.02;
const NUMBER_DB: f64 = 0.1;
const COLOUR_DB: f64 = (RANGE_DB.1 - RANGE_DB.0) / 255.0;
/// The frequency of a tone, which lies between two bins.
const TONE_HZ: f64 = 1.0;

/// What scipy and numpy say of the sound: the levels of all bins, the least and greatest that they ever are; those of the rows
/// of linear axes, from below; and how far the wave reaches above and below silence, in any 400 frames at the least, and at all.
const REFERENCE: &str = "
t = np.arange(wish['rate']) / wish['rate']
x = sum(a * np.sin(2 * np.pi * f * t) for f, a in wish['tones']).astype(np.float32).astype(float)
n = wish['fft']
s = signal.ShortTimeFFT(signal.get_window('hann', n, fftbins=True), 100, wish['rate'], fft_mode='onesided',
    scale_to='magnitude', phase_shift=None)
m = np.abs(s.stft(x, p0=20, p1=len(x) // 100 - 20))
m[1:-1] *= 2
db = 20 * np.log10(np.maximum(m, 1e-30))
low, high = db.min(1), db.max(1)
def rows(levels, count):
    edges = np.arange(count + 1) / count * (len(levels) - 1)
    last = [int(np.ceil(edge)) for edge in edges[1:-1]] + [len(levels)]
    return [float(levels[int(np.ceil(a)):b].max()) for a, b in zip(edges, last)]
parts = np.lib.stride_tricks.sliding_window_view(x, 400)
above, below = parts.max(1), -parts.min(1)
answer = dict(low=low.tolist(), high=high.tolist(), peak=float(np.abs(x).max()), above=[float(above.min()), float(above.max())],
    below=[float(below.min()), float(below.max())], rms=float(np.sqrt((x * x).mean())), rows={str(count): rows((low + high) / 2, count) for count in wish['rows']})";

/// What is the same for all: how the sound is looked at.
const LOOK: [&str; 8] = ["--scale", "linear", "--fft", "2048", "--range", "-90..0", "--colours", "viridis"];

/// What scipy says, with rows of linear axes of so many rows.
fn reference(rows: &[usize]) -> Result<Value> {
    python(REFERENCE, &json!({"rate": RATE_HZ, "tones": TONES, "fft": FFT, "rows": rows}))
}

/// Colours of a column of a spectrogram, from below, are those of scipy's levels.
fn column_agrees(who: &str, column: &[[u8; 3]]) -> Result<()> {
    let theirs = numbers(&reference(&[column.len()])?["rows"][column.len().to_string()])?;
    let (mut worst, mut loud) = (0.0_f64, 0);
    for (row, (&colour, &level)) in column.iter().zip(&theirs).enumerate() {
        let shown = RANGE_DB.0 + level_of(ColourMap::Viridis, colour) * (RANGE_DB.1 - RANGE_DB.0);
        let off = (shown.max(QUIET_DB) - level.max(QUIET_DB)).abs();
        ensure!(off <= COLOUR_DB, "{who}, row {row} of {}: {shown:.2} dB, scipy has {level:.2} dB", column.len());
        (worst, loud) = (worst.max(off), loud + usize::from(level > QUIET_DB));
    }
    ensure!((TONES.len()..column.len() / 2).contains(&loud), "{who}: {loud} of {} rows are tones", column.len());
    eprintln!("{who}: {} rows, {worst:.2} dB apart at most", column.len());
    Ok(())
}

/// A wave reaches as far above and below silence as numpy says, give or take a row; a sample of 1.0 is `full` rows from it.
fn wave_agrees(scipy: &Value, above: f64, below: f64, full: f64) -> Result<()> {
    for (what, rows) in [("above", above), ("below", below)] {
        let theirs = numbers_in(&scipy[what]);
        let inside = theirs[0] * full - 1.0..=theirs[1] * full + 1.0;
        ensure!(inside.contains(&rows), "the wave is {rows} rows {what}, and not {inside:?}");
    }
    Ok(())
}

fn db(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// The number before a unit in a line of text.
fn before(text: &str, unit: &str) -> Option<f64> {
    text.split(unit).next()?.split_whitespace().last()?.replace('−', "-").parse().ok()
}

#[test]
fn terminal_browser_file_and_scipy_agree() -> Result<()> {
    let page = Page::new()?;
    let tones: Vec<String> = TONES.iter().map(|(hz, amplitude)| format!("{hz}:{amplitude}")).collect();
    let _known = Writer::start(&page, "known", &[&format!("sine:{}", tones.join(":"))])?;
    let scipy = reference(&[])?;
    browser_agrees(&page, &scipy).context("browser")?;
    terminal_agrees(page.folders(), &scipy).context("terminal")?;
    file_agrees(page.folders(), &scipy).context("file")
}

fn browser_agrees(page: &Page, scipy: &Value) -> Result<()> {
    let seen = page.serve(&LOOK)?.drive("agreement", &json!({"fft": FFT}))?;
    clean(&seen)?;
    let column: Vec<[u8; 3]> = serde_json::from_value(seen["column"].clone())?;
    column_agrees("browser", &column)?;
    let found = seen["tones"].as_array().context("tones")?;
    for (hz, amplitude) in &TONES[..3] {
        let hz = f64::from(*hz);
        let tone = found.iter().find(|tone| number(tone, "hz").is_ok_and(|found| (found - hz).abs() <= TONE_HZ));
        near(
            "a tone",
            number(tone.with_context(|| format!("no {hz} Hz: {seen}"))?, "levelDb")?,
            db(*amplitude),
            NUMBER_DB,
        )?;
    }
    let labels: Vec<String> = serde_json::from_value(seen["labels"].clone())?;
    // The loudest is too near to the picture's edge for a label.
    let label = labels.iter().find(|text| text.starts_with("3.0")).with_context(|| format!("{labels:?}"))?;
    near("a label", before(label, " dB").context("dB")?, db(TONES[1].1), NUMBER_DB)?;
    near("peak", db(number(&seen["meter"], "peak")?), db(number(scipy, "peak")?), NUMBER_DB)?;
    near("RMS", db(number(&seen["meter"], "rms")?), db(number(scipy, "rms")?), NUMBER_DB)?;
    // The row of a sample of 1.0 is `half` rows from the middle.
    let half = number(&seen, "half")?;
    let heights = seen["heights"].as_array().context("heights")?;
    heights.iter().try_for_each(|column| wave_agrees(scipy, number(column, "above")?, number(column, "below")?, half))
}

fn terminal_agrees(folders: &Folders, scipy: &Value) -> Result<()> {
    const SIZE: (u16, u16) = (120, 40);
    let mut viewer = Viewer::start(folders, SIZE, &[&["known"][..], &LOOK].concat(), &[])?;
    let is_peak = |row: &&String| row.contains(" Hz ") && row.contains(" dBFS");
    let rows = viewer.wait("the peak", watchdog(2.0), |rows| rows.iter().any(|row| is_peak(&row)))?;
    let title = rows.iter().find(is_peak).context("a peak")?;
    near("Hz", before(title, " Hz ").context("Hz")?, f64::from(TONES[0].0), TONE_HZ)?;
    near("dBFS", before(title, " dBFS").context("dBFS")?, db(TONES[0].1), NUMBER_DB)?;
    // Peak and mean stand in the meters' row.
    let rms = number(scipy, "rms")?;
    let told = |size: f64| format!("{:.1}", db(size));
    let peak = number(scipy, "peak")?;
    viewer.wait("the meters", watchdog(2.0), |rows| {
        rows.iter().any(|row| row.contains("known") && row.contains(&told(peak)) && row.contains(&told(rms)))
    })?;
    viewer.press("v")?;
    viewer.wait("the wave", watchdog(2.0), |rows| rows[0].contains("waveform"))?;
    viewer.press(" ")?;
    viewer.wait("a pause", watchdog(2.0), |rows| rows[0].contains("paused"))?;
    let screen = viewer.screen();
    let (top, height) = (2, SIZE.1 - 4);
    // Dots of a cell in Braille: four rows of two.
    let dots = |row: u16, column: u16| screen.cell(top + row, column).and_then(|cell| cell.contents().chars().next());
    let is_set = |dot: u16, column: u16| {
        let bits = dots(dot / 4, column).map_or(0, |glyph| u32::from(glyph).wrapping_sub(0x2800));
        bits < 256 && bits & [0x09, 0x12, 0x24, 0xc0][usize::from(dot % 4)] != 0
    };
    let set: Vec<u16> = (0..4 * height).filter(|&dot| is_set(dot, SIZE.0 - 20)).collect();
    let middle = f64::from(2 * height);
    let (first, last) = set.first().zip(set.last()).context("no wave")?;
    wave_agrees(scipy, middle - f64::from(*first), f64::from(*last) - middle, middle)?;
    viewer.press("v")?;
    viewer.wait("a spectrogram", watchdog(2.0), |rows| rows[0].contains("spectrogram"))?;
    // A picture that stands still is whole within the time of a frame or a few.
    let column = || {
        let screen = viewer.screen();
        let pixel = |row: u16| {
            let cell = screen.cell(top + row / 2, SIZE.0 - 20)?;
            let is_upper = row.is_multiple_of(2) && cell.contents() == "▀";
            match if is_upper { cell.fgcolor() } else { cell.bgcolor() } {
                vt100::Color::Rgb(red, green, blue) => Some([red, green, blue]),
                _ => None,
            }
        };
        (0..2 * height).rev().map(pixel).collect::<Option<Vec<_>>>()
    };
    let mut last = None;
    let column = wait_until("a whole column", watchdog(2.0), || {
        std::thread::sleep(watchdog(0.02));
        let now = column();
        let same = now.is_some() && now == last;
        last = now;
        Ok(if same { last.clone() } else { None })
    })?;
    column_agrees("terminal", &column)
}

fn file_agrees(folders: &Folders, scipy: &Value) -> Result<()> {
    let path = |name: &str| folders.notes().join(name);
    let mut command = tympan(folders)?;
    // There is sound before it, and more will come: at both ends of what is drawn are the levels of all of it.
    command.arg("viz").args(LOOK).args([
        "--from",
        "-2s",
        "--to",
        "-0.1s",
        "--png",
        "known.png",
        "--csv",
        "known.csv",
        "known",
    ]);
    run_to_end(command.current_dir(folders.notes()), watchdog(6.0))?.expect_success()?;
    table_agrees(&path("known.csv"), scipy)?;
    let picture = Picture::read(&path("known.png"))?;
    let (left, top, right, bottom) = picture.panels()[1];
    for (who, x) in [("picture", left + (right - left) / 2), ("its left edge", left), ("its right edge", right - 1)] {
        let column: Vec<[u8; 3]> = (top..bottom).rev().map(|y| picture.at(x, y)).collect();
        column_agrees(who, &column)?;
    }
    Ok(())
}

fn table_agrees(path: &Path, scipy: &Value) -> Result<()> {
    let table = Table::read(path)?;
    let (low, high) = (numbers_in(&scipy["low"]), numbers_in(&scipy["high"]));
    let (what, min, max) = (table.column("what")?, table.column("min")?, table.column("max")?);
    let (mut compared, mut least, mut greatest) = (0, 0.0_f64, 0.0_f64);
    for row in table.rows.iter().filter(|row| row[what] == "sound") {
        (least, greatest) = (least.min(row[min].parse()?), greatest.max(row[max].parse()?));
        for (bin, (column, hz)) in table.bins().into_iter().enumerate() {
            let level: f64 = row[column].parse()?;
            if low[bin] > QUIET_DB {
                let inside = low[bin] - TABLE_DB..=high[bin] + TABLE_DB;
                ensure!(inside.contains(&level), "frame {}: {hz} Hz: {level} dB, scipy has {inside:?}", row[1]);
                compared += 1;
            }
        }
    }
    ensure!(compared > 1_000, "{compared} levels were compared");
    near("above", greatest, numbers_in(&scipy["above"])[1], 1e-4)?;
    near("below", -least, numbers_in(&scipy["below"])[1], 1e-4)
}

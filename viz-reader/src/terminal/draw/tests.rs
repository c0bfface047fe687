//! Known signals, drawn, and read from the cells.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "signals and pixels of a test")]

use super::super::abilities::{Abilities, Depth, Glyphs};
use super::super::app::{App, Then};
use super::super::layout::Scene;
use super::super::paint::Paint;
use super::super::stream::Stream;
use crate::cli::Arguments;
use crate::rings::{News, Shape};
use clap::Parser;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::style::Color;
use shm_layout::{FrameIndex, RingState, SessionId};
use std::time::{Duration, Instant};

fn shape(channels: usize, sample_rate_hz: u32) -> Shape {
    Shape {
        version: 2,
        session: Some(SessionId([7; 16])),
        epoch: 1,
        sample_rate_hz,
        channels,
        capacity_frames: 1 << 20,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
    }
}

const RATE_HZ: u32 = 48_000;

fn app(arguments: &[&str], abilities: Abilities) -> App {
    let arguments = Arguments::parse_from(["viz"].iter().chain(arguments));
    App::new(&arguments.look, RATE_HZ, Paint::new(abilities, arguments.look.colours)).unwrap()
}

const RICH: Abilities = Abilities { depth: Depth::True, glyphs: Glyphs::Braille };
const PLAIN: Abilities = Abilities { depth: Depth::None, glyphs: Glyphs::Ascii };

fn frames(stream: &mut Stream, from: u64, planar: &[f32], gaps: &[(u64, u64)]) {
    let frames = planar.len() / stream.shape.channels;
    let gaps = gaps.iter().map(|(from, to)| (FrameIndex(*from), FrameIndex(*to))).collect();
    stream.take(&News::Frames { from: FrameIndex(from), frames, gaps }, planar);
    stream.show(None);
}

/// A mono stream of so many seconds of a tone at half of full scale.
fn tone(app: &mut App, rate_hz: u32, hz: f64, seconds: f64) {
    let mut stream = Stream::new("mic", shape(1, rate_hz));
    let count = (seconds * f64::from(rate_hz)) as u32;
    let sample = |frame: u32| 0.5 * (std::f64::consts::TAU * hz * f64::from(frame) / f64::from(rate_hz)).sin() as f32;
    frames(&mut stream, 0, &(0..count).map(sample).collect::<Vec<_>>(), &[]);
    app.streams.push(stream);
}

/// Draws, as often as it takes.
fn drawn(app: &mut App, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let begin = Instant::now();
    loop {
        let mut finished = false;
        terminal
            .draw(|frame| finished = app.draw(frame.buffer_mut(), Instant::now() + Duration::from_millis(50)))
            .unwrap();
        if finished {
            return terminal.backend().buffer().clone();
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "the picture is never finished");
    }
}

fn text(buffer: &Buffer) -> Vec<String> {
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(row).collect()
}

fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        assert_eq!(app.press(KeyEvent::from(KeyCode::Char(key))), Then::GoOn);
    }
}

/// Lightness of a half cell's colour.
fn light(colour: Color) -> u32 {
    let Color::Rgb(red, green, blue) = colour else { return 0 };
    u32::from(red) + u32::from(green) + u32::from(blue)
}

#[test]
fn a_tone_is_the_brightest_in_its_row_at_every_size_and_scale() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 50)] {
        for scale in ["log", "linear", "mel"] {
            for hz in [440.0, 3_000.0, 10_000.0] {
                let mut app = app(&["--view", "spectrogram", "--scale", scale], RICH);
                tone(&mut app, 48_000, hz, 6.0);
                let buffer = drawn(&mut app, columns, rows);
                // A title, the picture, an axis; header and footer.
                let (top, height) = (2, u32::from(rows - 4));
                let pixel = |x: u16, pixel: u32| {
                    let cell = &buffer[(x, top + (pixel / 2) as u16)];
                    let upper = if cell.symbol() == "▀" { cell.fg } else { cell.bg };
                    light(if pixel.is_multiple_of(2) { upper } else { cell.bg })
                };
                let axis = app.axis(48_000);
                let position = axis.scale.position(hz, axis.low_hz, axis.high_hz);
                let expected = ((1.0 - position) * f64::from(2 * height)) as u32;
                for x in [20, columns / 2, columns - 5] {
                    let most = (0..2 * height).map(|row| pixel(x, row)).max().unwrap();
                    let bright: Vec<u32> = (0..2 * height).filter(|row| pixel(x, *row) == most).collect();
                    assert!(
                        bright.iter().any(|row| row.abs_diff(expected) <= 1),
                        "{hz} Hz, {scale}, {columns}x{rows}: {bright:?} and not {expected}"
                    );
                    assert!(pixel(x, 0) < most / 2, "all is bright");
                }
            }
        }
    }
}

#[test]
fn the_peak_is_named() {
    let mut app = app(&["--view", "spectrum", "--fft", "4096"], RICH);
    tone(&mut app, 48_000, 440.0, 1.0);
    let all = text(&drawn(&mut app, 120, 40)).join("\n");
    assert!(all.contains("440.") || all.contains("439.9"), "{all}");
    assert!(all.contains("A4 +0") && all.contains("-6.0 dBFS"), "{all}");
}

#[test]
fn one_samples_click_is_seen_at_any_zoom_however_soft() {
    for abilities in [RICH, PLAIN, Abilities { depth: Depth::Sixteen, glyphs: Glyphs::Blocks }] {
        for amplitude in [0.9_f32, -0.001] {
            let mut app = app(&["--view", "waveform"], abilities);
            let mut stream = Stream::new("mic", shape(1, 48_000));
            let mut samples = vec![0.0; 60 * 48_000];
            // A little before the end, so that it is in each picture.
            let at = samples.len() - 200;
            samples[at] = amplitude;
            frames(&mut stream, 0, &samples, &[]);
            app.streams.push(stream);
            press(&mut app, "+++++++++++++");
            for zoom in 0..super::super::app::SPANS_S.len() {
                let buffer = drawn(&mut app, 80, 24);
                let columns: Vec<String> = (7..80)
                    .map(|x| (2..22).map(|y| buffer[(x, y)].symbol()).collect::<String>().trim().to_owned())
                    .collect();
                let silence =
                    columns.iter().max_by_key(|column| columns.iter().filter(|c| c == column).count()).unwrap();
                let clicks = columns.iter().filter(|column| *column != silence && !column.is_empty()).count();
                assert!((1..=10).contains(&clicks), "{abilities:?}, {amplitude}, zoom {zoom}: {clicks} of {columns:?}");
                press(&mut app, "-");
            }
        }
    }
}

#[test]
fn gaps_and_losses_are_drawn_and_counted() {
    for (abilities, gap, loss) in [(RICH, "┊", "╳"), (PLAIN, ":", "x")] {
        let mut app = app(&[], abilities);
        let mut stream = Stream::new("mic", shape(1, 48_000));
        frames(&mut stream, 0, &[0.1; 48_000], &[(24_000, 24_480)]);
        stream.take(&News::Lost { from: FrameIndex(48_000), to: FrameIndex(96_000) }, &[]);
        frames(&mut stream, 96_000, &[0.1; 48_000], &[]);
        app.streams.push(stream);
        press(&mut app, "+");
        let all = text(&drawn(&mut app, 80, 24));
        assert!(all[1].contains("1 gap 0.01 s") && all[1].contains("1 loss 1.00 s"), "{}", all[1]);
        let picture = &all[3..14];
        let losses: Vec<usize> = picture.iter().map(|row| row.matches(loss).count()).collect();
        // One of two seconds that are seen.
        assert!(losses.iter().filter(|count| (35..=38).contains(*count)).count() >= 9, "{losses:?} {all:#?}");
        press(&mut app, "-");
        let all = text(&drawn(&mut app, 80, 24));
        assert!(all[7..14].iter().all(|row| row.contains(gap)), "{all:#?}");
    }
}

#[test]
fn what_is_no_number_harms_nothing() {
    for abilities in [RICH, PLAIN] {
        let mut app = app(&[], abilities);
        let mut stream = Stream::new("mic", shape(2, 48_000));
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0, f32::MAX, 0.0];
        let planar: Vec<f32> = (0..192_000).map(|at| odd[at % odd.len()]).collect();
        frames(&mut stream, 0, &planar, &[]);
        app.streams.push(stream);
        for _ in 0..Scene::ALL.len() {
            let all = text(&drawn(&mut app, 120, 40)).join("\n");
            assert!(!all.contains("NaN"), "{all}");
            press(&mut app, "vwfs");
        }
    }
}

#[test]
fn every_size_is_drawn_or_said_to_be_too_small() {
    let mut app = app(&[], RICH);
    tone(&mut app, 8_000, 440.0, 6.0);
    let mut wide = Stream::new("wide", shape(64, 192_000));
    frames(&mut wide, 0, &vec![0.25; 64 * 19_200], &[]);
    app.streams.push(wide);
    for _ in 0..Scene::ALL.len() {
        for (columns, rows) in
            [(1, 1), (10, 3), (39, 24), (80, 9), (40, 10), (59, 13), (80, 24), (120, 40), (200, 50), (400, 90)]
        {
            let all = text(&drawn(&mut app, columns, rows)).join("\n");
            let small = columns < 40 || rows < 10;
            assert_eq!(all.contains("too small"), small && columns >= 9, "{columns}x{rows}: {all}");
            assert_eq!(all.contains("tympan"), !small, "{columns}x{rows}: {all}");
        }
        press(&mut app, "v");
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let mut app = app(&[], RICH);
    tone(&mut app, 48_000, 440.0, 20.0);
    tone(&mut app, 48_000, 440.0, 20.0);
    let header = |app: &mut App| text(&drawn(app, 120, 40))[0].clone();
    let first = header(&mut app);
    for word in ["live", "5 s", "hann 2048", "-90..0 dB", "log", "viridis", "all", "0 fps"] {
        assert!(first.contains(word), "{word}: {first}");
    }
    for (key, word) in [
        ("+", "2 s"),
        ("-", "5 s"),
        ("w", "hamming 2048"),
        ("W", "hann 2048"),
        ("f", "hann 4096"),
        ("F", "hann 2048"),
        ("]", "-85..0 dB"),
        ("[", "-90..0 dB"),
        ("{", "-90..-5 dB"),
        ("}", "-90..0 dB"),
        ("s", "mel"),
        ("c", "plasma"),
        ("C", "viridis"),
        ("v", "waveform"),
        ("V", "all"),
        (" ", "paused"),
        (" ", "live"),
    ] {
        press(&mut app, key);
        let header = header(&mut app);
        assert!(header.contains(word), "{key:?} brings no {word}: {header}");
    }
    app.press(KeyEvent::from(KeyCode::Left));
    assert!(header(&mut app).contains("paused -1.25 s"));
    app.press(KeyEvent::from(KeyCode::Home));
    assert!(header(&mut app).contains("paused -20.00 s"));
    app.press(KeyEvent::from(KeyCode::Right));
    assert!(header(&mut app).contains("paused -18.75 s"));
    app.press(KeyEvent::from(KeyCode::End));
    assert!(header(&mut app).contains("live"));
    let titles = |app: &mut App| text(&drawn(app, 120, 40)).iter().filter(|row| row.contains("48 kHz")).count();
    assert_eq!(titles(&mut app), 2);
    press(&mut app, "o");
    assert_eq!(titles(&mut app), 1);
    press(&mut app, "on");
    assert_eq!(app.focus, 1);
    press(&mut app, "?");
    let help = text(&drawn(&mut app, 80, 24)).join("\n");
    assert!(help.contains("? closes") && help.contains("lost: overwritten"), "{help}");
    assert_eq!(app.press(KeyEvent::from(KeyCode::Esc)), Then::GoOn);
    assert_eq!(app.press(KeyEvent::from(KeyCode::Esc)), Then::Quit);
}

#[test]
fn a_picture_that_stands_still_stays_while_sound_goes_on() {
    let mut app = app(&["--view", "waveform"], RICH);
    tone(&mut app, 48_000, 3.0, 6.0);
    press(&mut app, " ");
    let before = text(&drawn(&mut app, 80, 24));
    frames(&mut app.streams[0], 6 * 48_000, &[0.0; 96_000], &[]);
    assert_eq!(text(&drawn(&mut app, 80, 24)), before);
    press(&mut app, " ");
    assert_ne!(text(&drawn(&mut app, 80, 24))[3..20], before[3..20]);
}

#[test]
fn ends_and_replacements_are_told() {
    let mut app = app(&[], RICH);
    tone(&mut app, 48_000, 440.0, 1.0);
    let title = |app: &mut App| text(&drawn(app, 80, 24))[1].clone();
    app.streams[0].take(&News::Ended { state: RingState::Crashed, at: FrameIndex(48_000) }, &[]);
    assert!(title(&mut app).contains("crashed"));
    let gap = Some((FrameIndex(48_000), FrameIndex(72_000)));
    app.streams[0].take(&News::Entered { shape: Shape { epoch: 2, ..shape(1, 48_000) }, gap }, &[]);
    assert!(title(&mut app).contains("replaced 1×") && title(&mut app).contains("1 gap 0.50 s"), "{}", title(&mut app));
    // Another session, of another form.
    let other = Shape { session: Some(SessionId([9; 16])), ..shape(2, 16_000) };
    app.streams[0].take(&News::Entered { shape: other, gap: None }, &[]);
    frames(&mut app.streams[0], 0, &[0.1; 1_000], &[]);
    assert!(title(&mut app).contains("mic 1") && title(&mut app).contains("replaced 2×"), "{}", title(&mut app));
    app.streams[0].take(&News::Ended { state: RingState::Closed, at: FrameIndex(500) }, &[]);
    assert!(title(&mut app).contains("closed"));
}

#[test]
fn meters_show_levels() {
    let mut app = app(&[], RICH);
    tone(&mut app, 48_000, 440.0, 1.0);
    press(&mut app, "V");
    let all = text(&drawn(&mut app, 80, 24));
    assert!(all[2].contains("-6.0") && all[2].contains("-9.0"), "{all:#?}");
    // Peak at nine tenths of 60 dB, the mean a little below.
    let full = all[2].matches('█').count();
    let bar = all[1].find("  peak").unwrap() - all[1].find("-60").unwrap();
    assert!(full.abs_diff(bar * 51 / 60) <= 2, "{full} of {bar}: {all:#?}");
}

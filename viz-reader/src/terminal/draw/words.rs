//! Titles, keys, and what is to be told.

use super::super::app::App;
use super::super::layout::{COLUMNS_MIN, ROWS_MIN};
use super::super::paint::{Ink, Paint};
use super::super::stream::{Count, Stream};
use super::{put, right_of_labels};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use shm_layout::RingState;

/// What does not fit into the footer is left out from its end.
const KEYS: [(&str, &str); 13] = [
    ("q", "quit"),
    ("?", "help"),
    ("space", "pause"),
    ("←→", "scroll"),
    ("+-", "zoom"),
    ("v", "view"),
    ("tab", "next"),
    ("o", "only"),
    ("c", "colour"),
    ("s", "scale"),
    ("f", "fft"),
    ("w", "window"),
    ("[]", "range"),
];

const HELP: [(&str, &str); 18] = [
    ("space", "pause, and go on"),
    ("← →", "scroll through the history; PgUp PgDn by whole pictures"),
    ("Home End", "the oldest; back to now"),
    ("+ -", "zoom in time (also ↑ ↓)"),
    ("v V", "view: all, waveform, spectrogram, spectrum, meters"),
    ("Tab n", "next channel or stream; back with Shift-Tab, N"),
    ("o", "only this channel, and all again"),
    ("f F", "longer and shorter transform"),
    ("w W", "window of the transform"),
    ("[ ]", "softest level of the colours, 5 dB less or more"),
    ("{ }", "loudest level, 5 dB less or more"),
    ("s", "frequencies: linear, log, mel"),
    ("c C", "colour map"),
    ("a A", "height of the waveform"),
    ("q", "quit (also Esc, Ctrl-C); Ctrl-Z puts it aside"),
    ("", ""),
    ("┊", "a gap: nobody captured anything"),
    ("╳", "lost: overwritten before it was read here"),
];

fn width(text: &str) -> u16 {
    u16::try_from(text.chars().count()).unwrap_or(u16::MAX)
}

pub(super) fn too_small(buf: &mut Buffer, paint: &Paint) {
    let area = buf.area;
    put(buf, area, area.x, area.y, "too small", paint.ink(Ink::Warm));
    put(buf, area, area.x, area.y + 1, &format!("{COLUMNS_MIN} x {ROWS_MIN} needed"), paint.ink(Ink::Dim));
}

/// State and settings; which lanes of how many are shown.
pub(super) fn header(app: &App, buf: &mut Buffer, area: Rect, (first, shown, lanes): (usize, usize, usize)) {
    let paint = &app.paint;
    let (state, ink) = if app.paused {
        let back = if app.back_s.abs() >= 0.005 { format!(" {:+.2} s", -app.back_s) } else { String::new() };
        (format!("{} paused{back}", paint.glyph('‖', '=')), Ink::Warm)
    } else {
        (format!("{} live", paint.glyph('●', '*')), Ink::Good)
    };
    let rate = format!("{} fps ", app.drawn_a_second);
    let fps_x = area.right().saturating_sub(width(&rate));
    put(buf, area, fps_x, area.y, &rate, paint.ink(Ink::Dim));
    let room = Rect { width: fps_x.saturating_sub(area.x), ..area };
    let mut pieces = vec![
        (" tympan ".to_owned(), paint.ink(Ink::Accent).add_modifier(Modifier::BOLD)),
        (state, paint.ink(ink)),
        (span(app.span_s()), paint.ink(Ink::Text)),
    ];
    if shown > 0 && shown < lanes {
        pieces.push((format!("{}-{} of {lanes}", first + 1, first + shown), paint.ink(Ink::Warm)));
    }
    let dim = paint.ink(Ink::Dim);
    pieces.push((format!("{} {}", app.window, app.fft), dim));
    pieces.push((format!("{:.0}..{:.0} dB", app.range.low_db, app.range.high_db + 0.0), dim));
    pieces.push((app.scale.to_string(), dim));
    pieces.push((app.colours.to_string(), dim));
    pieces.push((app.scene.name().to_owned(), dim));
    let mut x = room.x;
    for (text, style) in pieces {
        if x + width(&text) > room.right() {
            break;
        }
        put(buf, room, x, room.y, &text, style);
        x += width(&text) + 2;
    }
}

fn span(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1_000.0) } else { format!("{seconds:.0} s") }
}

/// A name on a line.
pub(super) fn rule(app: &App, buf: &mut Buffer, area: Rect, name: &str, ink: Ink) {
    let line = app.paint.glyph('─', '-').to_string().repeat(usize::from(area.width));
    put(buf, area, area.x, area.y, &line, app.paint.ink(Ink::Dim).remove_modifier(Modifier::BOLD));
    put(buf, area, area.x + 1, area.y, &format!(" {name} "), app.paint.ink(ink));
}

/// A channel's name, and what is to be told of its stream.
pub(super) fn title(app: &App, buf: &mut Buffer, area: Rect, stream: usize, channel: usize, focused: bool) {
    let own = &app.streams[stream];
    let paint = &app.paint;
    let mark = if focused { format!("{} ", paint.glyph('▸', '>')) } else { String::new() };
    let rate = f64::from(own.shape.sample_rate_hz) / 1_000.0;
    let name = format!("{mark}{}", own.title(channel));
    rule(app, buf, area, &name, if focused { Ink::Accent } else { Ink::Text });
    let after = area.x + 1 + width(&name) + 2;
    put(buf, area, after, area.y, &format!("{rate} kHz "), paint.ink(Ink::Dim));
    let mut x = area.right();
    for (text, ink) in told(app, own).into_iter().rev() {
        let text = format!(" {text} ");
        let begin = x.saturating_sub(width(&text));
        if begin < after + 9 {
            break;
        }
        put(buf, Rect { width: x - area.x, ..area }, begin, area.y, &text, paint.ink(ink));
        x = begin;
    }
    if app.scene == super::super::layout::Scene::Spectrum {
        let peak = super::spectrum::peak(app, stream, channel);
        let begin = x.saturating_sub(width(&peak) + 2);
        if begin >= after + 9 {
            put(buf, Rect { width: x - area.x, ..area }, begin, area.y, &format!(" {peak} "), paint.ink(Ink::Accent));
        }
    }
}

/// Ends, replacements, gaps and losses of a stream.
fn told(app: &App, own: &Stream) -> Vec<(String, Ink)> {
    let mut told = Vec::new();
    let count = |count: Count, name: &str, names: &str| {
        let name = if count.times == 1 { name } else { names };
        format!("{} {name} {:.2} s", count.times, own.seconds(count.frames))
    };
    if own.shape.version == 1 {
        told.push(("version 1".to_owned(), Ink::Dim));
    }
    if own.replaced > 0 {
        told.push((format!("replaced {}{}", own.replaced, app.paint.glyph('×', 'x')), Ink::Warm));
    }
    if own.gaps.times > 0 {
        told.push((count(own.gaps, "gap", "gaps"), Ink::Warm));
    }
    if own.lost.times > 0 {
        told.push((count(own.lost, "loss", "losses"), Ink::Bad));
    }
    match own.state {
        RingState::Live => {
            if let Some(still) = own.still() {
                told.push((format!("no frames for {} s", still.as_secs()), Ink::Warm));
            }
        }
        RingState::Closed => told.push(("closed".to_owned(), Ink::Warm)),
        RingState::Crashed => told.push(("crashed".to_owned(), Ink::Bad)),
    }
    told
}

/// Times from the picture's right edge.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a column of the screen")]
pub(super) fn time_axis(app: &App, buf: &mut Buffer, area: Rect) {
    let dim = app.paint.ink(Ink::Dim);
    let room = right_of_labels(area);
    let columns = f64::from(room.width);
    let steps = [1.0, 2.0, 5.0].into_iter();
    let steps = (-4..3).flat_map(|power| steps.clone().map(move |digit| digit * 10_f64.powi(power)));
    let Some(step) = steps.into_iter().find(|step| step / app.span_s() * columns >= 12.0) else { return };
    let mut seconds = step;
    while seconds < app.span_s() {
        let text = if step < 1.0 { format!("-{:.0} ms", seconds * 1_000.0) } else { format!("-{seconds:.0} s") };
        let column = ((1.0 - seconds / app.span_s()) * columns) as u16;
        put(buf, area, room.x + column, area.y, &format!("{}{text}", app.paint.glyph('╵', '|')), dim);
        seconds += step;
    }
    let edge = if app.paused { format!("{:+.2} s", -app.back_s + 0.0) } else { "now".to_owned() };
    put(buf, area, area.right().saturating_sub(width(&edge)), area.y, &edge, app.paint.ink(Ink::Text));
}

pub(super) fn footer(app: &App, buf: &mut Buffer, area: Rect) {
    let mut x = area.x + 1;
    for (key, what) in KEYS {
        let key = if app.paint.is_unicode() {
            key
        } else {
            key.split('←').next().filter(|k| !k.is_empty()).unwrap_or("<>")
        };
        if x + width(key) + 1 + width(what) > area.right() {
            break;
        }
        put(buf, area, x, area.y, key, app.paint.ink(Ink::Accent));
        x += width(key) + 1;
        put(buf, area, x, area.y, what, app.paint.ink(Ink::Dim));
        x += width(what) + 2;
    }
}

/// All keys, over the picture.
pub(super) fn help(app: &App, buf: &mut Buffer) {
    let screen = buf.area;
    let wide = 68.min(screen.width);
    let high = (HELP.len() as u16 + 2).min(screen.height);
    let area = Rect {
        x: screen.x + (screen.width - wide) / 2,
        y: screen.y + (screen.height - high) / 2,
        width: wide,
        height: high,
    };
    for position in area.positions() {
        buf[position].reset();
    }
    let paint = &app.paint;
    let plain = |text: &str| {
        if paint.is_unicode() {
            return text.to_owned();
        }
        text.replace('←', "<")
            .replace('→', ">")
            .replace('↑', "up")
            .replace('↓', "down")
            .replace('┊', ":")
            .replace('╳', "x")
    };
    rule(app, buf, Rect { height: 1, ..area }, "keys", Ink::Accent);
    for (row, (key, what)) in (1..high.saturating_sub(1)).zip(HELP) {
        let style = match key {
            "┊" => paint.ink(Ink::Warm),
            "╳" => paint.ink(Ink::Bad),
            _ => paint.ink(Ink::Accent),
        };
        put(buf, area, area.x + 2, area.y + row, &plain(key), style);
        put(buf, area, area.x + 12, area.y + row, &plain(what), Style::new());
    }
    rule(app, buf, Rect { y: area.bottom() - 1, height: 1, ..area }, "? closes", Ink::Dim);
}

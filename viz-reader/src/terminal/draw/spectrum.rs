//! A channel's spectrum.

use super::super::app::App;
use super::super::paint::Ink;
use super::super::spectrum::note;
use super::spectrogram::{round_hz, short_hz};
use super::{put, right_of_labels};
use audio_dsp::{FLOOR_DB, Rows};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;

/// How fast a level of late falls.
const FALL_DB_PER_SECOND: f32 = 12.0;
/// Below that no peak is told: it would be one of noise.
pub(in super::super) const PEAK_DB_MIN: f32 = -120.0;

/// Part of a second that a stream may be behind the others, as the mix is by its limiter and what processes it.
const BEHIND_MAX: u64 = 4;

/// Bars of the levels, as they are at the picture's edge.
pub(super) fn draw(app: &mut App, buf: &mut Buffer, area: Rect, stream: usize, channel: usize, passed: Duration) {
    labels(app, buf, area);
    let area = right_of_labels(area);
    if area.is_empty() {
        return;
    }
    let (edge, live) = (app.edge(stream), !app.paused);
    let own = &mut app.streams[stream];
    let rate_hz = own.shape.sample_rate_hz;
    // A stream that is a little behind the others of its session is shown where it is.
    let behind = edge.saturating_sub(own.store.end());
    let edge = if behind <= u64::from(rate_hz) / BEHIND_MAX { edge - behind } else { edge };
    let bars = usize::from(area.width);
    let of = &mut own.channels[channel];
    of.spectrum.take(&own.store, channel, edge, &mut app.stft);
    let mut levels = vec![FLOOR_DB; bars];
    let axis = app.axis(rate_hz);
    Rows::new(axis, bars, app.fft / 2 + 1, rate_hz).apply(&of_spectrum(app, stream, channel), &mut levels);
    let of = &mut app.streams[stream].channels[channel];
    if of.held_db.len() == bars && live {
        let fall = FALL_DB_PER_SECOND * passed.as_secs_f32();
        of.held_db.iter_mut().zip(&levels).for_each(|(held, level)| *held = level.max(*held - fall));
    } else {
        of.held_db.clone_from(&levels);
    }
    let of = &app.streams[stream].channels[channel];
    for (x, (level, held)) in (area.x..area.right()).zip(levels.iter().zip(&of.held_db)) {
        bar(app, buf, area, x, *level, *held);
    }
}

/// The levels that were taken.
fn of_spectrum(app: &App, stream: usize, channel: usize) -> Vec<f32> {
    app.streams[stream].channels[channel].spectrum.levels_db.clone()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; limited to the height")]
fn bar(app: &App, buf: &mut Buffer, area: Rect, x: u16, level_db: f32, held_db: f32) {
    let full = f32::from(area.height) * 8.0;
    let eighths = |level_db: f32| (app.range.part(level_db).clamp(0.0, 1.0) * full).round() as u16;
    let (height, held) = (eighths(level_db), eighths(held_db));
    for row in 0..area.height {
        let cell = &mut buf[(x, area.bottom() - 1 - row)];
        let part = (f32::from(row) + 0.5) / f32::from(area.height);
        if height > row * 8 {
            cell.set_char(app.paint.column(usize::from((height - row * 8).min(8)))).set_style(app.paint.level(part));
        } else if held > row * 8 && held <= (row + 1) * 8 {
            cell.set_char(app.paint.glyph('▁', '_')).set_style(app.paint.ink(Ink::Dim));
        }
    }
}

/// The spectrum under a title that names its peak, over an axis.
pub(super) fn strip(app: &mut App, buf: &mut Buffer, area: Rect, stream: usize, channel: usize, passed: Duration) {
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
    draw(app, buf, body, stream, channel, passed);
    let title = Rect { height: 1, ..area };
    let name =
        if area.width >= 50 { format!("spectrum {}", app.streams[stream].title(channel)) } else { "spectrum".into() };
    super::words::rule(app, buf, title, &name, Ink::Dim);
    let peak = peak(app, stream, channel);
    let width = u16::try_from(peak.chars().count()).unwrap_or(u16::MAX);
    let x = title.right().saturating_sub(width + 2).max(title.x + 10);
    put(buf, title, x, title.y, &format!(" {peak} "), app.paint.ink(Ink::Accent));
    axis(app, buf, Rect { y: area.bottom() - 1, height: 1, ..area }, stream);
}

/// Where a channel's peak is, in words.
pub(super) fn peak(app: &App, stream: usize, channel: usize) -> String {
    let own = &app.streams[stream];
    let spectrum = &own.channels[channel].spectrum;
    let rate_hz = own.shape.sample_rate_hz;
    if !spectrum.whole {
        return "incomplete".to_owned();
    }
    match spectrum
        .peak(app.axis(rate_hz).low_hz.max(10.0), rate_hz, &app.lobe)
        .filter(|peak| peak.level_db > PEAK_DB_MIN)
    {
        Some(peak) => {
            let note = note(peak.hz).map(|note| if app.paint.is_unicode() { note } else { note.replace('♯', "#") });
            let note = note.map(|note| format!("  {note}")).unwrap_or_default();
            format!("{:.1} Hz{note}  {:.1} dBFS", peak.hz, peak.level_db)
        }
        None => "silence".to_owned(),
    }
}

/// Frequencies below a spectrum.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a column of the screen")]
pub(super) fn axis(app: &App, buf: &mut Buffer, area: Rect, stream: usize) {
    let rate_hz = app.streams[stream].shape.sample_rate_hz;
    let axis = app.axis(rate_hz);
    let dim = app.paint.ink(Ink::Dim);
    put(buf, area, area.x, area.y, "    Hz", dim);
    let area = right_of_labels(area);
    let mut free = vec![true; usize::from(area.width)];
    for hz in round_hz() {
        let position = axis.scale.position(f64::from(hz), axis.low_hz, axis.high_hz);
        if !(0.0..1.0).contains(&position) {
            continue;
        }
        let (text, column) = (short_hz(hz), (position * f64::from(area.width)) as usize);
        let end = column + text.len();
        if end <= free.len() && free[column.saturating_sub(1)..(end + 1).min(free.len())].iter().all(|free| *free) {
            free[column..end].fill(false);
            put(buf, area, area.x + column as u16, area.y, &text, dim);
        }
    }
}

/// Decibels left of a spectrum: the range's ends.
fn labels(app: &App, buf: &mut Buffer, area: Rect) {
    let dim = app.paint.ink(Ink::Dim);
    let label = |db: f32| format!("{:>6}", format!("{:.0}", db + 0.0));
    put(buf, area, area.x, area.y, &label(app.range.high_db), dim);
    if area.height >= 5 {
        let middle = f32::midpoint(app.range.high_db, app.range.low_db);
        put(buf, area, area.x, area.y + area.height / 2, &label(middle), dim);
    }
    if area.height >= 2 {
        put(buf, area, area.x, area.bottom() - 1, &label(app.range.low_db), dim);
    }
}

//! Levels of channels.

use super::super::app::App;
use super::super::layout::Scene;
use super::super::paint::Ink;
use super::put;
use audio_dsp::Reading;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The bar's left end; its right end is full scale.
const FLOOR_DBFS: f32 = -60.0;
/// Where it turns yellow, and red.
const WARM_DBFS: f32 = -18.0;
const HOT_DBFS: f32 = -6.0;
const NAME_COLUMNS_MAX: usize = 14;
/// A bar with its name, when there are many.
const COLUMNS_MIN: u16 = 26;
/// Of one number, of which there are two behind a bar (peak and mean), or four with the held peak and clips.
const NUMBER: u16 = 6;

/// A factor of full scale in dBFS.
pub(in super::super) fn dbfs(level: f32) -> f32 {
    20.0 * level.log10()
}

/// With one digit behind the point.
pub(in super::super) fn decibels(level: f32) -> String {
    let db = dbfs(level);
    // Not -0.0, of which people think that it is something else than 0.
    if db <= -144.0 || db.is_nan() { "-inf".to_owned() } else { format!("{:.1}", (db * 10.0).round() / 10.0 + 0.0) }
}

pub(super) fn draw(
    app: &App,
    buf: &mut Buffer,
    area: Rect,
    lanes: &[(usize, usize)],
    first: usize,
    focused: Option<(usize, usize)>,
) {
    let mut body = area;
    if app.scene == Scene::All {
        super::words::rule(app, buf, Rect { height: 1, ..area }, "meters  peak rms", Ink::Dim);
        body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }
    let loudness = loudness(app, focused);
    if let Some(line) = loudness.filter(|_| body.height >= 3) {
        body.height -= 1;
        put(buf, area, area.x + 1, body.bottom(), &line, app.paint.ink(Ink::Text));
    }
    if body.height < 2 {
        return;
    }
    // As many side by side as are needed, and fit.
    let rows = usize::from(body.height - 1);
    let beside_max = u16::try_from(lanes.len().div_ceil(rows)).unwrap_or(u16::MAX);
    let beside = (body.width / COLUMNS_MIN).clamp(1, beside_max.max(1));
    let shown = rows * usize::from(beside);
    let first = if app.scene == Scene::All { first } else { app.focus.saturating_sub(shown.saturating_sub(1)) };
    let left = lanes.len().saturating_sub(first);
    let width = body.width / beside;
    for column in 0..beside {
        let area = Rect { x: body.x + column * width, width: width - u16::from(beside > 1), ..body };
        let of = lanes.iter().skip(first + usize::from(column) * rows).take(rows);
        let names: Vec<String> = of.clone().map(|&(stream, channel)| name(app, stream, channel)).collect();
        let name_columns = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let place = BarPlace::new(area, name_columns);
        place.scale(app, buf);
        for (row, (name, &(stream, channel))) in (1..).zip(names.iter().zip(of)) {
            let is_focused = Some((stream, channel)) == focused && lanes.len() > 1;
            place.draw(app, buf, row, name, is_focused, &app.streams[stream].readings[channel]);
        }
    }
    if left > shown {
        let text = format!("{} more", left - shown);
        put(buf, body, body.right().saturating_sub(9), body.y, &text, app.paint.ink(Ink::Warm));
    }
}

fn name(app: &App, stream: usize, channel: usize) -> String {
    let name = app.streams[stream].title(channel);
    let length = name.chars().count();
    if length <= NAME_COLUMNS_MAX {
        return name;
    }
    // The end of a name tells channels apart.
    let end: String = name.chars().skip(length + 1 - NAME_COLUMNS_MAX).collect();
    format!("{}{end}", app.paint.glyph('…', '~'))
}

/// Columns of a meter.
struct BarPlace {
    area: Rect,
    bar_x: u16,
    bar: u16,
    /// Numbers behind the bar: none, two or four.
    numbers: u16,
}

impl BarPlace {
    fn new(area: Rect, name_columns: usize) -> Self {
        let name = u16::try_from(name_columns).unwrap_or(u16::MAX).min(area.width / 2) + 2;
        let rest = area.width.saturating_sub(name);
        let numbers = [4, 2, 1].into_iter().find(|count| rest >= count * NUMBER + 10).unwrap_or(0);
        Self { area, bar_x: area.x + name, bar: rest.saturating_sub(numbers * NUMBER), numbers }
    }

    /// Eighths of a cell below a level.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; a bar is short")]
    fn eighths(&self, dbfs: f32) -> u16 {
        let part = ((dbfs - FLOOR_DBFS) / -FLOOR_DBFS).clamp(0.0, 1.0);
        (part * f32::from(self.bar) * 8.0).round() as u16
    }

    fn scale(&self, app: &App, buf: &mut Buffer) {
        let dim = app.paint.ink(Ink::Dim);
        let mut free = self.bar_x;
        for db in [-60.0_f32, -40.0, -20.0, -10.0, 0.0] {
            let text = format!("{db:.0}");
            let length = u16::try_from(text.len()).unwrap_or(0);
            let x = (self.bar_x + self.eighths(db) / 8).min((self.bar_x + self.bar).saturating_sub(length));
            if x >= free {
                put(buf, self.area, x, self.area.y, &text, dim);
                free = x + length + 1;
            }
        }
        for (heading, number) in ["peak", "rms", "held", "clips"].into_iter().zip(0..self.numbers) {
            let x = self.bar_x + self.bar + number * NUMBER;
            put(buf, self.area, x, self.area.y, &format!("{heading:>6}"), dim);
        }
    }

    fn draw(&self, app: &App, buf: &mut Buffer, row: u16, name: &str, focused: bool, reading: &Reading) {
        let (y, paint) = (self.area.y + row, &app.paint);
        let mark = if focused { paint.glyph('▸', '>') } else { ' ' };
        put(buf, self.area, self.area.x, y, &mark.to_string(), paint.ink(Ink::Accent));
        put(buf, self.area, self.area.x + 1, y, name, paint.ink(Ink::Text));
        let of = |level: f32| self.eighths(dbfs(level));
        let (mean, peak, held) = (of(reading.rms), of(reading.peak), of(reading.held_peak));
        for cell in 0..self.bar {
            let begin = cell * 8;
            let style = paint.ink(if begin >= self.eighths(HOT_DBFS) {
                Ink::Bad
            } else if begin >= self.eighths(WARM_DBFS) {
                Ink::Warm
            } else {
                Ink::Good
            });
            let place = &mut buf[(self.bar_x + cell, y)];
            if mean > begin {
                let filled = paint.bar(usize::from((mean - begin).min(8)));
                place.set_char(filled).set_style(style);
            } else if held > begin && held <= begin + 8 {
                place.set_char(paint.glyph('┃', '|')).set_style(style);
            } else if peak > begin {
                place.set_char(paint.glyph('╌', '-')).set_style(style);
            }
        }
        let numbers =
            [decibels(reading.peak), decibels(reading.rms), decibels(reading.held_peak), reading.clips.to_string()];
        for (at, (text, number)) in numbers.into_iter().zip(0..self.numbers).enumerate() {
            let ink = if at == 3 && reading.clips > 0 { Ink::Bad } else { Ink::Text };
            put(buf, self.area, self.bar_x + self.bar + number * NUMBER, y, &format!("{text:>6}"), paint.ink(ink));
        }
    }
}

/// What is known of a stream's loudness: the focused one's, or any.
fn loudness(app: &App, focused: Option<(usize, usize)>) -> Option<String> {
    let of = |at: usize| app.streams[at].loudness.map(|loudness| (&app.streams[at].name, loudness));
    let all = (0..app.streams.len()).filter_map(of);
    let (name, loudness) = focused.and_then(|(stream, _)| of(stream)).or_else(|| all.into_iter().next())?;
    let lufs = |value: f32| if value.is_finite() { format!("{value:.1}") } else { "-inf".to_owned() };
    Some(format!(
        "{name}  M {}  S {}  I {} LUFS  TP {} dBTP",
        lufs(loudness.momentary),
        lufs(loudness.short_term),
        lufs(loudness.integrated),
        decibels(loudness.true_peak)
    ))
}

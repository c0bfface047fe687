//! Readings in columns, for people whose output is no terminal.

use crate::decibels::dbfs;
use crate::output::{columns, harmless, table as columns_of};
use shm_layout::board::Reading;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

const HEADINGS: [&str; 11] =
    ["stream", "at_s", "peak", "rms", "held", "clips", "momentary", "short-term", "integrated", "range", "true peak"];
/// Columns of a stream's name, where it is not longer.
const NAME_COLUMNS: usize = 10;

/// A level or a loudness with one digit behind the point.
pub(super) fn decibels(value: f32) -> String {
    // Not -0.0, of which people think that it is something else than 0.
    if value <= -144.0 { "-inf".to_owned() } else { format!("{:.1}", (value * 10.0).round() / 10.0 + 0.0) }
}

/// Those of them that every stream has.
const LEVELS: usize = 6;

/// A reading's numbers under [`HEADINGS`].
pub(super) fn row(stream: &str, reading: &Reading) -> [String; 11] {
    let level = |level: f32| decibels(dbfs(level));
    let loudness = reading.loudness;
    let of = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        harmless(stream).into_owned(),
        format!("{:.1}", reading.to.seconds(reading.sample_rate_hz)),
        level(reading.loudest.peak),
        level(reading.loudest.rms),
        level(reading.held_peak),
        reading.clips.to_string(),
        of(loudness.map(|l| decibels(l.momentary))),
        of(loudness.map(|l| decibels(l.short_term))),
        of(loudness.map(|l| decibels(l.integrated))),
        of(loudness.map(|l| decibels(l.range_lu))),
        of(loudness.map(|l| level(l.true_peak_max))),
    ]
}

/// Rows under headings; loudness only where one of them has any.
pub(super) fn table(rows: &[[String; 11]]) -> String {
    if rows.iter().any(|row| row[LEVELS] != "-") {
        return columns_of(HEADINGS, rows, columns());
    }
    fn levels<T: Clone>(row: &[T; 11]) -> [T; LEVELS] {
        std::array::from_fn(|at| row[at].clone())
    }
    columns_of(levels(&HEADINGS), &rows.iter().map(levels).collect::<Vec<_>>(), columns())
}

/// Lines that come one after the other: the headings stand before the first one.
#[derive(Debug, Default)]
pub(super) struct Columns {
    begun: bool,
}

impl Columns {
    pub(super) fn line(&mut self, stream: &str, reading: &Reading) -> String {
        let mut out = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            push_line(&mut out, &HEADINGS);
        }
        push_line(&mut out, &row(stream, reading).each_ref().map(String::as_str));
        out
    }
}

fn push_line(out: &mut String, cells: &[&str; 11]) {
    let mut line = format!("{}{}", cells[0], " ".repeat(NAME_COLUMNS.saturating_sub(cells[0].width())));
    for (cell, heading) in cells.iter().zip(HEADINGS).skip(1) {
        let _ = write!(line, "  {cell:>width$}", width = heading.len().max(6));
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// A stream that shows nothing any more.
pub(super) fn gone(stream: &str) -> String {
    format!("{}  is gone\n", harmless(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::json::tests::reading;

    #[test]
    fn columns_stand_under_each_other() {
        let mut columns = Columns::default();
        let both =
            columns.line("mic", &reading(0, 48_000, 0.5)) + &columns.line("kitchen-pa", &reading(0, 480_000, 0.0));
        assert_eq!(
            both,
            "stream        at_s    peak     rms    held   clips  momentary  short-term  integrated   range  true peak\n\
             mic            1.0    -6.0   -12.0     0.0       2          -           -           -       -          -\n\
             kitchen-pa    10.0    -inf    -inf     0.0       2          -           -           -       -          -\n"
        );
        assert_eq!(
            table(&[row("mic", &reading(0, 48_000, 0.5))]),
            "stream  at_s  peak  rms    held  clips\nmic     1.0   -6.0  -12.0  0.0   2\n"
        );
    }
}

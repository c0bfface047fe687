//! A channel's samples over time.

use super::super::app::App;
use super::super::dots::{Dots, dots_of};
use super::super::paint::Ink;
use super::{Grid, put, right_of_labels};
use audio_dsp::Peaks;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// What is louder (-100 dBFS) leaves the line of silence by a dot at the least, so that no click is invisible.
const HEARD: f32 = 1e-5;

pub(super) fn draw(app: &App, buf: &mut Buffer, area: Rect, stream: usize, channel: usize) {
    let paint = &app.paint;
    let own = &app.streams[stream];
    labels(app, buf, area);
    let area = right_of_labels(area);
    if area.is_empty() {
        return;
    }
    let glyphs = paint.abilities().glyphs;
    let (across, _) = dots_of(glyphs);
    let grid = Grid::new(app.edge(stream), app.span_s(), own.shape.sample_rate_hz, area.width);
    let (begin, before) = grid.begin();
    let mut peaks = vec![Peaks::NONE; usize::from(area.width - before) * across];
    own.store.peaks(channel, begin, grid.width, across as u64, &mut peaks);
    let mut dots = Dots::new(glyphs, usize::from(area.width), usize::from(area.height));
    let height = dots.height();
    let mut clipped = vec![false; usize::from(area.width)];
    for (at, peaks) in peaks.iter().enumerate().filter(|(_, peaks)| !peaks.is_none()) {
        let column = usize::from(before) * across + at;
        let (from, to) = rows(*peaks, app.gain(), height);
        dots.line(column, from, to);
        clipped[column / across] |= peaks.max >= 1.0 || peaks.min <= -1.0;
    }
    for place in 0..area.width {
        let missing = grid.column(place).and_then(|k| own.store.missing(k * grid.width, (k + 1) * grid.width));
        for row in 0..area.height {
            let cell = &mut buf[(area.x + place, area.y + row)];
            match (dots.glyph(usize::from(place), usize::from(row)), missing) {
                // What is missing is seen over the line of silence, but sound beside it is sound.
                (Some(glyph), None) => {
                    let style = if clipped[usize::from(place)] { paint.ink(Ink::Bad) } else { paint.wave() };
                    cell.set_char(glyph).set_style(style);
                }
                (_, Some(missing)) => paint.missing(cell, missing),
                (None, None) => {}
            }
        }
    }
}

/// The rows of dots that a column's least and greatest sample reach to, the uppermost first. Silence is a line.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; limited to the height")]
fn rows(peaks: Peaks, gain: f32, height: usize) -> (usize, usize) {
    let middle = height / 2;
    // Away from the line: what is heard at all is seen.
    let dots = |sample: f32, room: usize| {
        let size = sample.max(0.0);
        if size < HEARD { 0 } else { ((size * gain).min(1.0) * room as f32).ceil() as usize }
    };
    let (below, above) = (height.saturating_sub(middle + 1), middle);
    (middle - dots(peaks.max, above), (middle + dots(-peaks.min, below)).min(height - 1))
}

/// Full scale, or what is as high.
fn labels(app: &App, buf: &mut Buffer, area: Rect) {
    let dim = app.paint.ink(Ink::Dim);
    let decibels = -20.0 * app.gain().log10();
    let edge = format!("{:>5}", if decibels > -1.0 { "0 dB".to_owned() } else { format!("{decibels:.0}dB") });
    put(buf, area, area.x, area.y, &edge, dim);
    if area.height >= 3 {
        put(buf, area, area.x, area.y + area.height / 2, "    0", dim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_leaves_the_line_of_silence() {
        let of = |min: f32, max: f32| rows(Peaks { min, max }, 1.0, 20);
        assert_eq!(of(0.0, 0.0), (10, 10));
        assert_eq!(of(0.0, 0.0001), (9, 10));
        assert_eq!(of(-0.0001, 0.0), (10, 11));
        assert_eq!(of(-9.0, 9.0), (0, 19));
        assert_eq!(of(f32::NAN, f32::NAN), (10, 10));
        assert_eq!(rows(Peaks { min: -1.0, max: 1.0 }, 1.0, 1), (0, 0));
        assert_eq!(rows(Peaks { min: -0.1, max: 0.1 }, 8.0, 20), (2, 18));
    }
}

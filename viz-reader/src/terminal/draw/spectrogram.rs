//! A channel's frequencies over time.

use super::super::app::App;
use super::super::columns::Form;
use super::super::paint::Ink;
use super::{Grid, put, right_of_labels};
use audio_dsp::FrequencyAxis;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Instant;

/// Whether all was drawn before the deadline.
pub(super) fn draw(
    app: &mut App,
    buf: &mut Buffer,
    area: Rect,
    stream: usize,
    channel: usize,
    deadline: Instant,
) -> bool {
    let rate_hz = app.streams[stream].shape.sample_rate_hz;
    let axis = app.axis(rate_hz);
    labels(app, buf, area, axis);
    let area = right_of_labels(area);
    if area.is_empty() {
        return true;
    }
    let grid = Grid::new(app.edge(stream), app.span_s(), rate_hz, area.width);
    let form = Form {
        width: grid.width,
        hop: app.hop_frames(),
        window: app.window,
        fft: app.fft,
        axis,
        rows: 2 * usize::from(area.height),
        rate_hz,
    };
    let own = &mut app.streams[stream];
    let columns = &mut own.channels[channel].columns;
    columns.prepare(form, grid.end.saturating_sub(u64::from(grid.columns)), grid.end);
    let mut finished = true;
    // The newest first: it is what is looked at.
    for place in (0..area.width).rev() {
        let Some(column) = grid.column(place) else { break };
        if !columns.compute(column, &own.store, channel, &mut app.stft, deadline) {
            finished = false;
            break;
        }
    }
    for place in 0..area.width {
        let Some(column) = grid.column(place) else { continue };
        let levels = columns.levels(column);
        let missing = own.store.missing(column * grid.width, (column + 1) * grid.width);
        for row in 0..area.height {
            let cell = &mut buf[(area.x + place, area.y + row)];
            let lower = 2 * usize::from(area.height - 1 - row);
            let part = |row: usize| levels.map(|levels| app.range.part(levels[row]).clamp(0.0, 1.0));
            match missing {
                Some(missing) => app.paint.missing(cell, missing),
                None => app.paint.pixels(cell, part(lower + 1), part(lower)),
            }
        }
    }
    finished
}

/// Frequencies that are round, the roundest first.
pub(super) fn round_hz() -> impl Iterator<Item = u32> {
    let decades = [10, 100, 1_000, 10_000];
    [1, 5, 2].into_iter().flat_map(move |digit| decades.map(|decade| digit * decade))
}

/// Such as `440`, `2k`.
pub(super) fn short_hz(hz: u32) -> String {
    if hz >= 1_000 && hz.is_multiple_of(1_000) { format!("{}k", hz / 1_000) } else { hz.to_string() }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a row of the screen")]
fn labels(app: &App, buf: &mut Buffer, area: Rect, axis: FrequencyAxis) {
    let dim = app.paint.ink(Ink::Dim);
    let mut free = vec![true; usize::from(area.height)];
    for hz in round_hz() {
        let position = axis.scale.position(f64::from(hz), axis.low_hz, axis.high_hz);
        if !(0.0..1.0).contains(&position) {
            continue;
        }
        let row = ((1.0 - position) * f64::from(area.height)).min(f64::from(area.height) - 1.0) as u16;
        let near = usize::from(row.saturating_sub(1))..=usize::from((row + 1).min(area.height - 1));
        if free[near.clone()].iter().all(|free| *free) {
            free[near].fill(false);
            put(buf, area, area.x, area.y + row, &format!("{:>6}", short_hz(hz)), dim);
        }
    }
    if let Some(cell) = free.first().filter(|free| **free).map(|_| area.y) {
        put(buf, area, area.x, cell, "    Hz", dim);
    }
}

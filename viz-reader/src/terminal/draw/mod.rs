//! The picture.

pub(super) mod meters;
mod spectrogram;
pub(super) mod spectrum;
mod wave;
mod words;

use super::app::App;
use super::layout::{LABELS, Scene, places};
use super::paint::Ink;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Columns of a picture, and which frames are in them: column `k` has frames `k * width..(k + 1) * width`, so that what was
/// drawn stays as it is and only moves.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// Frames of a column.
    width: u64,
    /// One past the last column.
    end: u64,
    columns: u16,
}

impl Grid {
    fn new(edge: u64, span_s: f64, rate_hz: u32, columns: u16) -> Self {
        let frames = span_s * f64::from(rate_hz) / f64::from(columns.max(1));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and at most a minute")]
        let width = (frames.round() as u64).max(1);
        Self { width, end: edge.div_ceil(width), columns }
    }

    /// The column at a place from the left, where there is one.
    fn column(&self, place: u16) -> Option<u64> {
        (self.end + u64::from(place)).checked_sub(u64::from(self.columns))
    }

    /// The first frame of a picture, and the places left of it that are before all time.
    fn begin(&self) -> (u64, u16) {
        let first = self.end.saturating_sub(u64::from(self.columns));
        let before = u64::from(self.columns) - (self.end - first);
        (first * self.width, u16::try_from(before).unwrap_or(u16::MAX))
    }
}

/// A picture's own place, without its labels.
fn right_of_labels(area: Rect) -> Rect {
    Rect { x: area.x + LABELS, width: area.width.saturating_sub(LABELS), ..area }
}

/// Words at a place, cut where the area ends.
fn put(buf: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: ratatui::style::Style) {
    if y < area.bottom() && x < area.right() {
        buf.set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}

impl App {
    /// Draws; transforms that are not computed at the deadline are left for the next time. Whether all was drawn.
    pub(super) fn draw(&mut self, buf: &mut Buffer, deadline: Instant) -> bool {
        let screen = buf.area;
        let mut lanes = self.lanes();
        self.focus = self.focus.min(lanes.len().saturating_sub(1));
        let focused = lanes.get(self.focus).copied();
        if self.only {
            lanes = focused.into_iter().collect();
        }
        let Some(places) = places(screen, self.scene, lanes.len()) else {
            words::too_small(buf, &self.paint);
            return true;
        };
        let now = Instant::now();
        let passed = self.drawn_at.map_or(Duration::ZERO, |at| now.duration_since(at)).min(Duration::from_secs(1));
        self.drawn_at = Some(now);
        // The lanes that are shown begin so that the focused one is among them.
        let (shown, focus) = (places.lanes.len().max(1), if self.only { 0 } else { self.focus });
        let first = (focus + 1).saturating_sub(shown).min(lanes.len().saturating_sub(shown));
        words::header(self, buf, places.header, (first, places.lanes.len(), lanes.len()));
        let mut finished = true;
        for (place, (at, &(stream, channel))) in places.lanes.iter().zip(lanes.iter().enumerate().skip(first)) {
            if let Some(area) = place.wave {
                wave::draw(self, buf, area, stream, channel);
            }
            if let Some(area) = place.spectrogram {
                finished &= spectrogram::draw(self, buf, area, stream, channel, deadline);
            }
            if let Some(area) = place.spectrum {
                spectrum::draw(self, buf, area, stream, channel, passed);
            }
            // Last: it names the peak of what was drawn.
            words::title(self, buf, place.title, stream, channel, at == focus && lanes.len() > 1);
        }
        if let Some(axis) = places.axis {
            match (self.scene, focused) {
                (Scene::Spectrum, Some((stream, _))) => spectrum::axis(self, buf, axis, stream),
                _ => words::time_axis(self, buf, axis),
            }
        }
        if let (Some(area), Some((stream, channel))) = (places.spectrum, focused) {
            spectrum::strip(self, buf, area, stream, channel, passed);
        }
        if let Some(area) = places.meters {
            meters::draw(self, buf, area, &lanes, first, focused);
        }
        words::footer(self, buf, places.footer);
        if lanes.is_empty() {
            let text = "no channel is there to be shown";
            put(buf, screen, LABELS, screen.height / 2, text, self.paint.ink(Ink::Dim));
        }
        if self.help {
            words::help(self, buf);
        }
        finished
    }
}

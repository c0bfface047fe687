//! A picture of the numbers: panels, axes, names.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places of pixels within a picture; `as` saturates"
)]

use super::analysis::{Analysis, Column, Hole, Step};
use super::canvas::{Area, Canvas, Colour};
use super::layout::Layout;
use super::source::About;
use super::text::{Align, Text};
use super::ticks::{self, Tick};
use crate::cli::Look;
use anyhow::Result;
use audio_dsp::{FrequencyAxis, Peaks};
use shm_layout::FrameIndex;

const PAPER: Colour = [255; 3];
const INK: Colour = [28, 30, 36];
const PALE: Colour = [110, 114, 124];
const RULE: Colour = [190, 193, 200];
const GRID: Colour = [228, 230, 235];
const WAVE: Colour = [38, 92, 148];
const HATCH: Colour = [236, 236, 238];
const STRIPE: Colour = [205, 198, 190];
const LABEL_GROUND: Colour = [255; 3];
/// Colours of the channels' lines (Okabe and Ito 2008, told apart without red and green, too).
const LINES: [Colour; 8] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [86, 180, 233],
    [230, 159, 0],
    [120, 120, 120],
    [60, 40, 120],
];
/// Gaps that are named below a picture; of more the number is told.
const HOLES_NAMED: usize = 3;
/// Channels that a legend names.
const LEGEND_MAX: usize = 8;

/// What a picture shows.
pub(super) struct Picture<'a, F> {
    pub about: &'a About,
    pub look: &'a Look,
    pub analysis: &'a Analysis<F>,
    pub layout: &'a Layout,
    pub axis: FrequencyAxis,
    /// Names of the channels that are shown.
    pub labels: &'a [String],
}

impl<F: FnMut(&Step<'_>) -> Result<()>> Picture<'_, F> {
    /// Draws it.
    pub(super) fn draw(&self) -> Result<Canvas> {
        let layout = self.layout;
        let mut canvas = Canvas::new(layout.size.width, layout.size.height, PAPER);
        let text = Text::new(layout.letters)?;
        self.title(&mut canvas, &text);
        for (channel, area) in layout.waves.iter().enumerate() {
            self.wave(&mut canvas, &text, channel, *area);
        }
        for (channel, area) in layout.spectrograms.iter().enumerate() {
            self.spectrogram(&mut canvas, &text, channel, *area);
        }
        if let Some(area) = layout.over_time() {
            self.time_axis(&mut canvas, &text, area);
            self.name_holes_inside(&mut canvas, &text, area);
        }
        if let Some(area) = layout.colour_bar {
            self.colour_bar(&mut canvas, &text, area);
        }
        if let Some(area) = layout.spectrum {
            self.spectrum(&mut canvas, &text, area);
        }
        self.footer(&mut canvas, &text);
        Ok(canvas)
    }

    fn seconds(&self, frame: u64) -> f64 {
        FrameIndex(frame).seconds(self.about.rate_hz)
    }

    fn title(&self, canvas: &mut Canvas, text: &Text) {
        let large = text.sized(1.25);
        let (left, right) = (text.pixels() * 1.2, canvas.width() as f32 - text.pixels() * 1.2);
        let y = text.pixels() * 1.35;
        let plan = &self.analysis.plan;
        let (from, to) = (self.seconds(plan.from), self.seconds(plan.from + plan.frames));
        let how =
            format!("{}, {:.2} s to {:.2} s ({:.2} s)", self.about.description, from, to, self.seconds(plan.frames));
        let room = (right - left - text.width(&how) - text.pixels() * 1.5).max(text.pixels() * 6.0);
        let name = large.fitted(&self.about.name, room);
        large.write(canvas, (left, y), Align::Left, &name, INK);
        let how = text.fitted(&how, right - left - large.width(&name) - text.pixels());
        text.write(canvas, (right, y), Align::Right, &how, PALE);
    }

    /// The columns of the frames that are not there.
    fn columns_of(&self, hole: &Hole) -> std::ops::Range<usize> {
        let (columns, frames) = (self.layout.columns as u128, u128::from(self.analysis.plan.frames));
        let from = (u128::from(hole.from) * columns / frames) as usize;
        let to = (u128::from(hole.to) * columns).div_ceil(frames) as usize;
        from..to.max(from + 1).min(self.layout.columns)
    }

    fn hatch(&self, canvas: &mut Canvas, text: &Text, area: Area) {
        canvas.hatch(area, HATCH, STRIPE, text.pixels() as usize / 2);
    }

    fn wave(&self, canvas: &mut Canvas, text: &Text, channel: usize, area: Area) {
        let wave = &self.analysis.channels[channel].wave;
        // Sound beyond full scale is rare; where it is, it is seen whole.
        let greatest =
            wave.iter().filter(|peaks| !peaks.is_none()).fold(1.0_f32, |most, p| most.max(p.max).max(-p.min));
        let y_of = |sample: f32| area.top as f32 + (1.0 - sample / greatest) / 2.0 * area.height as f32;
        for value in if area.height as f32 > text.pixels() * 4.0 { &[-0.5, 0.0, 0.5][..] } else { &[0.0] } {
            let y = y_of(*value);
            canvas.fill(Area { top: y as usize, height: 1, ..area }, if *value == 0.0 { RULE } else { GRID }, 1.0);
        }
        for hole in &self.analysis.holes {
            let columns = self.columns_of(hole);
            self.hatch(canvas, text, Area { left: area.left + columns.start, width: columns.len(), ..area });
        }
        let least = (text.pixels() / LETTERS_A_LINE).max(1.0);
        for (column, peaks) in wave.iter().enumerate().filter(|(_, peaks)| !peaks.is_none()) {
            let Peaks { min, max } = *peaks;
            let (top, bottom) = (y_of(max), y_of(min));
            let more = ((least - (bottom - top)) / 2.0).max(0.0);
            let inside = |y: f32| y.clamp(area.top as f32, area.bottom() as f32);
            canvas.column(area.left + column, inside(top - more), inside(bottom + more), WAVE, 1.0);
        }
        canvas.frame(area, RULE);
        let unit = |value: f64| Tick {
            position: (value / f64::from(greatest) + 1.0) / 2.0,
            text: ticks::number(value, usize::from(value.fract() != 0.0)),
        };
        let high = area.height as f32;
        let marks = match high / text.pixels() {
            room if room > 5.5 => vec![unit(-1.0), unit(-0.5), unit(0.0), unit(0.5), unit(1.0)],
            room if room > 3.0 => vec![unit(-1.0), unit(0.0), unit(1.0)],
            _ => vec![unit(0.0)],
        };
        self.marks_left(canvas, text, area, &marks);
        self.side_title(canvas, text, area, "amplitude");
        self.channel_label(canvas, text, channel, area);
    }

    fn spectrogram(&self, canvas: &mut Canvas, text: &Text, channel: usize, area: Area) {
        let levels = &self.analysis.channels[channel].levels;
        let rows = area.height;
        // The rows that were computed are those of the first panel, which may be one pixel more or less than these.
        let computed = levels.len() / self.layout.columns.max(1);
        for (column, state) in self.analysis.columns.iter().enumerate() {
            if *state == Column::Levels {
                for row in 0..rows {
                    let from = (row * computed / rows.max(1)).min(computed - 1);
                    let part = self.look.range.part(levels[column * computed + from]);
                    canvas.set(area.left + column, area.bottom() - 1 - row, self.look.colours.rgb(part));
                }
            }
        }
        let is_missing = |column: &Column| *column == Column::Missing;
        let mut column = 0;
        while let Some(begin) = self.analysis.columns[column..].iter().position(is_missing).map(|n| n + column) {
            let width = self.analysis.columns[begin..].iter().take_while(|column| is_missing(column)).count();
            self.hatch(canvas, text, Area { left: area.left + begin, width, ..area });
            column = begin + width;
        }
        canvas.frame(area, RULE);
        let apart = f64::from(text.pixels()) * 1.9 / area.height as f64;
        self.marks_left(canvas, text, area, &ticks::frequency(self.axis, apart));
        self.side_title(canvas, text, area, "frequency");
        self.channel_label(canvas, text, channel, area);
    }

    /// The name of a channel in its panel, where there is more than one.
    fn channel_label(&self, canvas: &mut Canvas, text: &Text, channel: usize, area: Area) {
        if self.labels.len() < 2 {
            return;
        }
        let small = text.sized(0.9);
        let (pad, label) = (small.pixels() * 0.35, &self.labels[channel]);
        let (width, height) = ((small.width(label) + pad * 2.0) as usize, (small.pixels() * 1.2) as usize);
        let place = Area { left: area.left + 3, top: area.top + 3, width, height: height.min(area.height) };
        canvas.fill(place, LABEL_GROUND, 0.8);
        let middle = place.top as f32 + place.height as f32 / 2.0;
        small.write(canvas, (place.left as f32 + pad, middle), Align::Left, label, INK);
    }

    fn marks_left(&self, canvas: &mut Canvas, text: &Text, area: Area, marks: &[Tick]) {
        let long = (text.pixels() * 0.3) as usize;
        let mut below = f32::INFINITY;
        for tick in marks {
            let y = area.bottom() as f32 - tick.position as f32 * area.height as f32;
            let line = (y as usize).clamp(area.top, area.bottom() - 1);
            canvas.fill(Area { left: area.left - 1 - long, top: line, width: long, height: 1 }, PALE, 1.0);
            // The names stay beside their own panel.
            let half = text.pixels() * 0.4;
            let (highest, lowest) = (area.top as f32 + half, area.bottom() as f32 - half);
            let at = if highest < lowest { y.clamp(highest, lowest) } else { y };
            if below - at >= text.pixels() * 1.05 {
                let x = (area.left - 1 - long) as f32 - text.pixels() * 0.3;
                text.write(canvas, (x, at), Align::Right, &tick.text, INK);
                below = at;
            }
        }
    }

    /// What the axis at the left shows, where there is room for the word.
    fn side_title(&self, canvas: &mut Canvas, text: &Text, area: Area, title: &str) {
        if (area.height as f32) > text.width(title) * 1.1 {
            let y = area.top as f32 + area.height as f32 / 2.0;
            text.write_up(canvas, (text.pixels() * 1.0, y), Align::Middle, title, PALE);
        }
    }

    fn marks_below(&self, canvas: &mut Canvas, text: &Text, area: Area, marks: &[Tick], title: &str) {
        let long = (text.pixels() * 0.3) as usize;
        for tick in marks {
            let x = area.left as f32 + tick.position as f32 * area.width as f32;
            let line = (x as usize).min(area.right() - 1);
            canvas.fill(Area { left: line, top: area.bottom() + 1, width: 1, height: long }, PALE, 1.0);
            let half = text.width(&tick.text) / 2.0;
            let x = x.min(canvas.width() as f32 - half - 2.0);
            text.write(canvas, (x, area.bottom() as f32 + text.pixels() * 0.95), Align::Middle, &tick.text, INK);
        }
        let (x, y) = (area.left as f32 + area.width as f32 / 2.0, area.bottom() as f32 + text.pixels() * 2.15);
        text.write(canvas, (x, y), Align::Middle, title, PALE);
    }

    fn time_axis(&self, canvas: &mut Canvas, text: &Text, area: Area) {
        let plan = &self.analysis.plan;
        let (low, high) = (self.seconds(plan.from), self.seconds(plan.from + plan.frames));
        let most = Layout::marks(area.width, text, "0:00:00");
        let (marks, title) = ticks::time(low, high, most);
        self.marks_below(canvas, text, area, &marks, title);
    }

    /// The word in the middle of a gap, where there is room.
    fn name_holes_inside(&self, canvas: &mut Canvas, text: &Text, area: Area) {
        for hole in &self.analysis.holes {
            let columns = self.columns_of(hole);
            let word = format!("{} ({:.2} s)", hole.why.word(), self.seconds(hole.to - hole.from));
            let width = text.width(&word);
            if width * 1.1 > columns.len() as f32 {
                continue;
            }
            let middle = (area.left + columns.start) as f32 + columns.len() as f32 / 2.0;
            for panel in self.layout.waves.iter().chain(&self.layout.spectrograms) {
                let y = panel.top as f32 + panel.height as f32 / 2.0;
                let high = (text.pixels() * 1.4).min(panel.height as f32);
                let ground = Area {
                    left: (middle - width / 2.0 - text.pixels() * 0.4) as usize,
                    top: (y - high / 2.0) as usize,
                    width: (width + text.pixels() * 0.8) as usize,
                    height: high as usize,
                };
                canvas.fill(ground, PAPER, 0.85);
                text.write(canvas, (middle, y), Align::Middle, &word, INK);
            }
        }
    }

    fn colour_bar(&self, canvas: &mut Canvas, text: &Text, area: Area) {
        for row in 0..area.height {
            let part = row as f32 / (area.height - 1).max(1) as f32;
            let line = Area { top: area.bottom() - 1 - row, height: 1, ..area };
            canvas.fill(line, self.look.colours.rgb(part), 1.0);
        }
        canvas.frame(area, RULE);
        let (low, high) = (f64::from(self.look.range.low_db), f64::from(self.look.range.high_db));
        let most = (area.height as f32 / (text.pixels() * 2.2)) as usize;
        let long = (text.pixels() * 0.3) as usize;
        for tick in ticks::linear(low, high, most.clamp(1, 12)) {
            let y = area.bottom() as f32 - tick.position as f32 * area.height as f32;
            let line = (y as usize).clamp(area.top, area.bottom() - 1);
            canvas.fill(Area { left: area.right() + 1, top: line, width: long, height: 1 }, PALE, 1.0);
            let half = text.pixels() * 0.4;
            let y = y.clamp(area.top as f32 + half, (area.bottom() as f32 - half).max(area.top as f32 + half));
            let x = (area.right() + 1 + long) as f32 + text.pixels() * 0.3;
            text.write(canvas, (x, y), Align::Left, &tick.text, INK);
        }
        let (x, y) = (canvas.width() as f32 - text.pixels() * 1.1, area.top as f32 + area.height as f32 / 2.0);
        if area.height as f32 > text.width("level (dBFS)") {
            text.write_up(canvas, (x, y), Align::Middle, "level (dBFS)", PALE);
        } else {
            text.write(canvas, (x, area.bottom() as f32 + text.pixels()), Align::Right, "dBFS", PALE);
        }
    }

    fn spectrum(&self, canvas: &mut Canvas, text: &Text, area: Area) {
        let (low, high) = (f64::from(self.look.range.low_db), f64::from(self.look.range.high_db));
        let widest = ticks::frequency(self.axis, text.pixels() as f64 * 4.6 / area.width as f64);
        let most = (area.height as f32 / (text.pixels() * 2.0)) as usize;
        let levels = ticks::linear(low, high, most.clamp(1, 10));
        for tick in &widest {
            let x = (area.left as f32 + tick.position as f32 * area.width as f32) as usize;
            canvas.fill(Area { left: x.min(area.right() - 1), width: 1, ..area }, GRID, 1.0);
        }
        for tick in &levels {
            let y = (area.bottom() as f32 - tick.position as f32 * area.height as f32) as usize;
            canvas.fill(Area { top: y.min(area.bottom() - 1), height: 1, ..area }, GRID, 1.0);
        }
        let rows = audio_dsp::Rows::new(self.axis, area.width, self.analysis.fft_frames() / 2 + 1, self.about.rate_hz);
        let mut along = vec![0.0; area.width];
        let y_of = |level: f32| {
            let y = area.bottom() as f32 - self.look.range.part(level) * area.height as f32;
            y.clamp(area.top as f32, area.bottom() as f32)
        };
        if self.analysis.transforms > 0 {
            for channel in 0..self.labels.len() {
                let colour = LINES[channel % LINES.len()];
                // The greatest is a shade behind the mean; of many channels the means alone are shown.
                if self.labels.len() <= 2 {
                    rows.apply(&self.analysis.greatest_levels(channel), &mut along);
                    for (x, level) in along.iter().enumerate() {
                        canvas.column(area.left + x, y_of(*level), area.bottom() as f32, colour, 0.13);
                    }
                }
                rows.apply(&self.analysis.mean_levels(channel), &mut along);
                self.line(canvas, text, area, &along.iter().map(|level| y_of(*level)).collect::<Vec<_>>(), colour);
            }
        }
        canvas.frame(area, RULE);
        self.marks_left(canvas, text, area, &levels);
        self.side_title(canvas, text, area, "level (dBFS)");
        self.marks_below(canvas, text, area, &widest, "frequency");
        self.legend(canvas, text, area);
    }

    fn line(&self, canvas: &mut Canvas, text: &Text, area: Area, along: &[f32], colour: Colour) {
        let half = (text.pixels() / LETTERS_A_LINE).max(1.2) / 2.0;
        for (x, pair) in along.windows(2).enumerate() {
            let (top, bottom) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            // Where nothing reaches the darkest level there is no line.
            if top < area.bottom() as f32 {
                let inside = |y: f32| y.clamp(area.top as f32, area.bottom() as f32);
                canvas.column(area.left + x, inside(top - half), inside(bottom + half), colour, 1.0);
            }
        }
    }

    fn legend(&self, canvas: &mut Canvas, text: &Text, area: Area) {
        let small = text.sized(0.9);
        let mut entries: Vec<(String, Option<Colour>)> = Vec::new();
        if self.labels.len() > 1 {
            let named = self.labels.iter().take(LEGEND_MAX).zip(LINES);
            entries.extend(named.map(|(label, colour)| (label.clone(), Some(colour))));
            if self.labels.len() > LEGEND_MAX {
                entries.push((format!("and {} more", self.labels.len() - LEGEND_MAX), None));
            }
        }
        let shade = if self.labels.len() <= 2 { "line: mean; shade: greatest" } else { "mean" };
        entries.push((shade.to_owned(), None));
        let mut right = area.right() as f32 - small.pixels() * 0.6;
        let y = area.top as f32 + small.pixels() * 0.95;
        for (label, colour) in entries.iter().rev() {
            small.write(canvas, (right, y), Align::Right, label, PALE);
            right -= small.width(label) + small.pixels() * 0.4;
            if let Some(colour) = colour {
                let long = (small.pixels() * 1.2) as usize;
                let high = (small.pixels() * 0.18).max(2.0) as usize;
                let left = (right as usize).saturating_sub(long);
                canvas.fill(Area { left, top: y as usize - high / 2, width: long, height: high }, *colour, 1.0);
                right -= long as f32;
            }
            right -= small.pixels() * 0.9;
        }
    }

    /// How it was computed, and what is not there.
    fn footer(&self, canvas: &mut Canvas, text: &Text) {
        let y = canvas.height() as f32 - text.pixels() * 0.95;
        let (left, right) = (text.pixels() * 1.2, canvas.width() as f32 - text.pixels() * 1.2);
        let (look, analysis) = (self.look, self.analysis);
        let mut how = String::new();
        if !self.layout.spectrograms.is_empty() || self.layout.spectrum.is_some() {
            how = format!("{} window of {} frames, every {}", look.window, analysis.fft_frames(), analysis.plan.hop);
        }
        text.write(canvas, (right, y), Align::Right, &how, PALE);
        let room = right - left - text.width(&how) - text.pixels() * 2.0;
        let missing = text.fitted(&self.missing(), room.max(0.0));
        text.write(canvas, (left, y), Align::Left, &missing, INK);
    }

    /// The gaps in words; empty where there is none.
    pub(super) fn missing(&self) -> String {
        let holes = &self.analysis.holes;
        let from = self.analysis.plan.from;
        let named = holes.iter().take(HOLES_NAMED).map(|hole| {
            let (begin, end) = (self.seconds(from + hole.from), self.seconds(from + hole.to));
            format!("{begin:.3} s to {end:.3} s {}", hole.why.word())
        });
        let mut text = named.collect::<Vec<_>>().join(", ");
        if holes.len() > HOLES_NAMED {
            text.push_str(&format!(" and {} more gaps", holes.len() - HOLES_NAMED));
        }
        if text.is_empty() { text } else { format!("not there: {text}") }
    }
}

/// A line's width is a letter's size through this.
const LETTERS_A_LINE: f32 = 11.0;

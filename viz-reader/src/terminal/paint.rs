//! Levels and words to cells, with the colours and characters that a terminal has.

use super::abilities::{Abilities, Depth, Glyphs};
use audio_dsp::ColourMap;
use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier, Style};

/// What words and lines are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Dim,
    Accent,
    Good,
    Warm,
    Bad,
}

/// What is missing in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missing {
    /// Never captured.
    Gap,
    /// Overwritten before it was read.
    Lost,
}

/// Colours of sixteen, from nothing to much; between two of them the first is dotted with the second.
const RAMP: [Color; 5] = [Color::Black, Color::Blue, Color::Magenta, Color::LightRed, Color::LightYellow];
const DOTTED: [char; 4] = ['░', '▒', '▓', '█'];
const DOTTED_ASCII: [char; 4] = [':', '+', '#', '@'];
const BARS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const COLUMNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Knows the terminal and the colour map.
#[derive(Debug, Clone)]
pub(super) struct Paint {
    abilities: Abilities,
    map: ColourMap,
    /// Colours of 256 levels.
    table: Vec<Color>,
}

impl Paint {
    pub(super) fn new(abilities: Abilities, map: ColourMap) -> Self {
        let table = (0..=255).map(|level| colour(abilities.depth, map.entry(level))).collect();
        Self { abilities, map, table }
    }

    pub(super) const fn abilities(&self) -> Abilities {
        self.abilities
    }

    pub(super) fn is_unicode(&self) -> bool {
        self.abilities.glyphs != Glyphs::Ascii
    }

    /// One of two characters.
    pub(super) fn glyph(&self, unicode: char, ascii: char) -> char {
        if self.is_unicode() { unicode } else { ascii }
    }

    /// The look of words.
    pub(super) fn ink(&self, ink: Ink) -> Style {
        let style = Style::new();
        if self.abilities.depth == Depth::None {
            return match ink {
                Ink::Text | Ink::Good | Ink::Warm => style,
                Ink::Dim => style.add_modifier(Modifier::DIM),
                Ink::Accent | Ink::Bad => style.add_modifier(Modifier::BOLD),
            };
        }
        if self.abilities.depth == Depth::Sixteen {
            return match ink {
                Ink::Text => style,
                Ink::Dim => style.fg(Color::DarkGray),
                Ink::Accent => style.fg(Color::Cyan),
                Ink::Good => style.fg(Color::Green),
                Ink::Warm => style.fg(Color::Yellow),
                Ink::Bad => style.fg(Color::LightRed),
            };
        }
        let rgb = match ink {
            Ink::Text => return style,
            Ink::Dim => [122, 128, 140],
            Ink::Accent => [94, 200, 216],
            Ink::Good => [92, 200, 110],
            Ink::Warm => [236, 184, 70],
            Ink::Bad => [255, 92, 87],
        };
        style.fg(colour(self.abilities.depth, rgb))
    }

    /// The colour of a wave: from the map's brighter half.
    pub(super) fn wave(&self) -> Style {
        match self.abilities.depth {
            Depth::None => Style::new(),
            Depth::Sixteen => Style::new().fg(Color::Cyan),
            depth => Style::new().fg(colour(depth, self.map.entry(175))),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and takes NaN for 0")]
    fn at(&self, part: f32) -> Color {
        self.table[(part * 255.0 + 0.5) as u8 as usize]
    }

    /// Colour of a bar that reaches to this part of its range; of nothing where there are no colours.
    pub(super) fn level(&self, part: f32) -> Style {
        match self.abilities.depth {
            Depth::None => Style::new(),
            Depth::Sixteen => Style::new().fg(RAMP[ramp(part.max(0.26)).0]),
            _ => Style::new().fg(self.at(part.clamp(0.12, 1.0))),
        }
    }

    /// Two pixels, one above the other; levels from 0 to 1, none for what is not known.
    pub(super) fn pixels(&self, cell: &mut Cell, upper: Option<f32>, lower: Option<f32>) {
        if upper.is_none() && lower.is_none() {
            cell.set_char(' ').set_style(Style::new());
            return;
        }
        let (top, bottom) = (upper.unwrap_or(0.0), lower.unwrap_or(0.0));
        let most = top.max(bottom);
        match self.abilities.depth {
            Depth::True | Depth::Indexed if self.is_unicode() => {
                let (top, bottom) = (self.at(top), self.at(bottom));
                // One colour needs no other, and costs fewer bytes.
                let glyph = if top == bottom { ' ' } else { '▀' };
                let style = if top == bottom { Style::new() } else { Style::new().fg(top) };
                cell.set_char(glyph).set_style(style.bg(bottom));
            }
            Depth::True | Depth::Indexed => {
                cell.set_char(' ').set_style(Style::new().bg(self.at(most)));
            }
            Depth::Sixteen => {
                let (colour, dots) = ramp(most);
                let next = RAMP[(colour + 1).min(RAMP.len() - 1)];
                let glyph = if dots == 0 { ' ' } else { self.dotted(dots - 1) };
                cell.set_char(glyph).set_style(Style::new().fg(next).bg(RAMP[colour]));
            }
            Depth::None => {
                let shade = shade(most, 4);
                cell.set_char(if shade == 0 { ' ' } else { self.dotted(shade - 1) }).set_style(Style::new());
            }
        }
    }

    fn dotted(&self, dots: usize) -> char {
        if self.is_unicode() { DOTTED[dots] } else { DOTTED_ASCII[dots] }
    }

    /// The last cell of a bar that fills so many eighths of it, 1 to 8.
    pub(super) fn bar(&self, eighths: usize) -> char {
        if self.is_unicode() { BARS[eighths.clamp(1, 8) - 1] } else { '#' }
    }

    /// The uppermost cell of a column that fills so many eighths of it, 1 to 8.
    pub(super) fn column(&self, eighths: usize) -> char {
        if self.is_unicode() { COLUMNS[eighths.clamp(1, 8) - 1] } else { '#' }
    }

    /// A cell of which something is missing.
    pub(super) fn missing(&self, cell: &mut Cell, missing: Missing) {
        let (unicode, ascii, ink) = match missing {
            Missing::Gap => ('┊', ':', Ink::Warm),
            Missing::Lost => ('╳', 'x', Ink::Bad),
        };
        cell.set_char(self.glyph(unicode, ascii)).set_style(self.ink(ink));
    }
}

/// A level's place among so many steps above nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and takes NaN for 0")]
fn shade(part: f32, steps: usize) -> usize {
    ((part * steps as f32 + 0.5) as usize).min(steps)
}

/// The ramp's colour below a level, and how much of the next is in it, 0 to 3.
fn ramp(part: f32) -> (usize, usize) {
    let steps = (RAMP.len() - 1) * 4;
    let step = shade(part, steps);
    (step / 4, step % 4)
}

fn colour(depth: Depth, [red, green, blue]: [u8; 3]) -> Color {
    match depth {
        Depth::True => Color::Rgb(red, green, blue),
        Depth::Indexed => Color::Indexed(indexed([red, green, blue])),
        Depth::Sixteen | Depth::None => Color::Reset,
    }
}

/// The nearest colour of xterm's cube (16 to 231: red, green and blue of six steps each) or of its greys (232 to 255).
fn indexed(rgb: [u8; 3]) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |value: u8| (0_u8..6).min_by_key(|step| STEPS[usize::from(*step)].abs_diff(value)).unwrap_or(0);
    let distance = |other: [u8; 3]| -> u32 {
        rgb.iter().zip(other).map(|(own, other)| u32::from(own.abs_diff(other)).pow(2)).sum()
    };
    let [red, green, blue] = rgb.map(nearest);
    let cube = [red, green, blue].map(|step| STEPS[usize::from(step)]);
    let grey = (0_u8..24).min_by_key(|grey| distance([8 + 10 * grey; 3])).unwrap_or(0);
    if distance([8 + 10 * grey; 3]) < distance(cube) { 232 + grey } else { 16 + 36 * red + 6 * green + blue }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paint(depth: Depth, glyphs: Glyphs) -> Paint {
        Paint::new(Abilities { depth, glyphs }, ColourMap::Grey)
    }

    #[test]
    fn colours_of_256_are_the_nearest() {
        assert_eq!(
            [[0, 0, 0], [255, 255, 255], [255, 0, 0], [95, 135, 175], [118, 118, 118]].map(indexed),
            [16, 231, 196, 67, 243]
        );
    }

    #[test]
    fn a_cell_has_two_pixels_where_there_are_colours() {
        let mut cell = Cell::default();
        paint(Depth::True, Glyphs::Braille).pixels(&mut cell, Some(1.0), Some(0.0));
        assert_eq!((cell.symbol(), cell.fg, cell.bg), ("▀", Color::Rgb(255, 255, 255), Color::Rgb(0, 0, 0)));
        paint(Depth::Indexed, Glyphs::Braille).pixels(&mut cell, Some(0.0), Some(1.0));
        assert_eq!((cell.symbol(), cell.fg, cell.bg), ("▀", Color::Indexed(16), Color::Indexed(231)));
    }

    #[test]
    fn shades_rise_with_the_level_and_nothing_is_no_number() {
        for (depth, glyphs) in [(Depth::Sixteen, Glyphs::Braille), (Depth::None, Glyphs::Ascii)] {
            let paint = paint(depth, glyphs);
            let mut seen = Vec::new();
            for level in 0..=100 {
                let mut cell = Cell::default();
                paint.pixels(&mut cell, Some(level as f32 / 100.0), Some(0.0));
                seen.push((cell.symbol().to_owned(), cell.fg, cell.bg));
            }
            seen.dedup();
            assert_eq!(seen.len(), if depth == Depth::None { 5 } else { 17 });
            let mut cell = Cell::default();
            paint.pixels(&mut cell, Some(f32::NAN), Some(f32::NEG_INFINITY));
            assert_eq!(cell.symbol(), " ");
        }
    }
}

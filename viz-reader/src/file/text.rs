//! Text on a picture, in DejaVu Sans (`font/LICENSE`).

use super::canvas::{Canvas, Colour};
use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use anyhow::{Context, Result};

/// Characters of European languages; others are drawn as a box.
static FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");

/// Where a text lies from its point, along its own direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

/// A font of one size.
pub(super) struct Text {
    font: FontRef<'static>,
    pixels: f32,
}

impl Text {
    /// Of so many pixels from the top of a high letter to the bottom of a low one.
    pub(super) fn new(pixels: f32) -> Result<Self> {
        let font = FontRef::try_from_slice(FONT).context("the font that is built in")?;
        Ok(Self { font, pixels })
    }

    /// The same font in another size.
    pub(super) fn sized(&self, factor: f32) -> Self {
        Self { font: self.font.clone(), pixels: self.pixels * factor }
    }

    /// Its size in pixels.
    pub(super) const fn pixels(&self) -> f32 {
        self.pixels
    }

    fn scale(&self) -> PxScale {
        PxScale::from(self.pixels)
    }

    fn glyphs<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (GlyphId, f32)> + 'a {
        let scaled = self.font.as_scaled(self.scale());
        let (mut x, mut last) = (0.0, None);
        text.chars().map(move |character| {
            let glyph = self.font.glyph_id(character);
            if let Some(last) = last.replace(glyph) {
                x += scaled.kern(last, glyph);
            }
            let at = x;
            x += scaled.h_advance(glyph);
            (glyph, at)
        })
    }

    /// How wide a text is, in pixels.
    pub(super) fn width(&self, text: &str) -> f32 {
        let scaled = self.font.as_scaled(self.scale());
        self.glyphs(text).last().map_or(0.0, |(glyph, at)| at + scaled.h_advance(glyph))
    }

    /// From the middle of a line of digits down to its bottom.
    fn half_height(&self) -> f32 {
        self.pixels * 0.31
    }

    /// Writes a text; `x`, `y` is the middle of its height.
    pub(super) fn write(&self, canvas: &mut Canvas, (x, y): (f32, f32), align: Align, text: &str, colour: Colour) {
        let left = x - self.before(align, text);
        self.draw(text, |along, across, cover| {
            blend(canvas, left + along, y + self.half_height() + across, colour, cover);
        });
    }

    /// Writes a text upwards; `x`, `y` is the middle of its height.
    pub(super) fn write_up(&self, canvas: &mut Canvas, (x, y): (f32, f32), align: Align, text: &str, colour: Colour) {
        let bottom = y + self.before(align, text);
        self.draw(text, |along, across, cover| {
            blend(canvas, x + self.half_height() + across, bottom - along, colour, cover);
        });
    }

    fn before(&self, align: Align, text: &str) -> f32 {
        match align {
            Align::Left => 0.0,
            Align::Middle => self.width(text) / 2.0,
            Align::Right => self.width(text),
        }
        .round()
    }

    /// Calls `put` with the place of each pixel from the beginning of the base line, and how much of it is covered.
    fn draw(&self, text: &str, mut put: impl FnMut(f32, f32, f32)) {
        for (glyph, at) in self.glyphs(text) {
            let glyph = glyph.with_scale_and_position(self.scale(), point(at, 0.0));
            let Some(outline) = self.font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|x, y, cover| put(bounds.min.x + x as f32, bounds.min.y + y as f32, cover));
        }
    }

    /// A text that is cut with an ellipsis where it is wider than this.
    pub(super) fn fitted(&self, text: &str, width: f32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut short: String = text.to_owned();
        while !short.is_empty() {
            short.pop();
            let cut = format!("{}…", short.trim_end());
            if self.width(&cut) <= width {
                return cut;
            }
        }
        short
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn blend(canvas: &mut Canvas, x: f32, y: f32, colour: Colour, cover: f32) {
    let (x, y) = (x.round(), y.round());
    if x >= 0.0 && y >= 0.0 {
        canvas.blend(x as usize, y as usize, colour, cover.clamp(0.0, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ink(canvas: &Canvas) -> Vec<(usize, usize)> {
        let dark = canvas.rgb().chunks(3).enumerate().filter(|(_, pixel)| pixel[0] < 128);
        dark.map(|(n, _)| (n % canvas.width(), n / canvas.width())).collect()
    }

    #[test]
    fn a_text_lies_where_it_is_aligned() {
        let text = Text::new(20.0).unwrap();
        for (align, from, to) in [(Align::Left, 100, 200), (Align::Middle, 60, 140), (Align::Right, 0, 101)] {
            let mut canvas = Canvas::new(200, 200, [255; 3]);
            text.write(&mut canvas, (100.0, 50.0), align, "12.5 kHz", [0; 3]);
            let ink = ink(&canvas);
            assert!(
                ink.len() > 100 && ink.iter().all(|(x, y)| (from..to).contains(x) && (40..61).contains(y)),
                "{align:?}"
            );
            let mut upright = Canvas::new(200, 200, [255; 3]);
            text.write_up(&mut upright, (50.0, 100.0), align, "12.5 kHz", [0; 3]);
            let turned = upright.rgb().chunks(3).filter(|pixel| pixel[0] < 128).count();
            assert_eq!(turned, ink.len(), "the same letters, turned");
        }
    }

    #[test]
    fn every_sign_that_pictures_use_is_in_the_font() {
        let text = Text::new(20.0).unwrap();
        for character in "0123456789.,:;−–…·×()%/kHzdBFSabcxyzäöüßéñłžАБя€".chars() {
            assert_ne!(text.font.glyph_id(character).0, 0, "{character}");
        }
        assert!(text.fitted(&"long".repeat(50), 100.0).ends_with('…'));
        assert!(text.width(&text.fitted(&"long".repeat(50), 100.0)) <= 100.0);
    }
}

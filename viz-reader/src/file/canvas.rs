//! Pixels.

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// A picture, rows from the top.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Area {
    /// One past the last column.
    pub(super) const fn right(&self) -> usize {
        self.left + self.width
    }

    /// One past the last row.
    pub(super) const fn bottom(&self) -> usize {
        self.top + self.height
    }
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    pub(super) const fn width(&self) -> usize {
        self.width
    }

    pub(super) const fn height(&self) -> usize {
        self.height
    }

    /// `[rows][columns][red, green, blue]`.
    pub(super) fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Sets a pixel; one that is outside is left out.
    pub(super) fn set(&mut self, x: usize, y: usize, colour: Colour) {
        self.blend(x, y, colour, 1.0);
    }

    /// Covers a part of a pixel, 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    pub(super) fn blend(&mut self, x: usize, y: usize, colour: Colour, cover: f32) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = (y * self.width + x) * 3;
        for (under, over) in self.rgb[at..at + 3].iter_mut().zip(colour) {
            *under = (f32::from(*under) + (f32::from(over) - f32::from(*under)) * cover + 0.5) as u8;
        }
    }

    pub(super) fn fill(&mut self, area: Area, colour: Colour, cover: f32) {
        for y in area.top..area.bottom() {
            for x in area.left..area.right() {
                self.blend(x, y, colour, cover);
            }
        }
    }

    /// A line of one pixel around an area, outside of it.
    pub(super) fn frame(&mut self, area: Area, colour: Colour) {
        let (left, top) = (area.left.saturating_sub(1), area.top.saturating_sub(1));
        for x in left..=area.right() {
            self.set(x, top, colour);
            self.set(x, area.bottom(), colour);
        }
        for y in top..=area.bottom() {
            self.set(left, y, colour);
            self.set(area.right(), y, colour);
        }
    }

    /// A column from `top` to `bottom` in pixels and parts of them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the picture")]
    pub(super) fn column(&mut self, x: usize, top: f32, bottom: f32, colour: Colour, cover: f32) {
        let (top, bottom) = (top.clamp(0.0, self.height as f32), bottom.clamp(0.0, self.height as f32));
        for y in top as usize..bottom.ceil() as usize {
            let part = (bottom.min(y as f32 + 1.0) - top.max(y as f32)).clamp(0.0, 1.0);
            self.blend(x, y, colour, part * cover);
        }
    }

    /// Slanting stripes: nothing is known here.
    pub(super) fn hatch(&mut self, area: Area, ground: Colour, stripe: Colour, period: usize) {
        let period = period.max(4);
        for y in area.top..area.bottom() {
            for x in area.left..area.right() {
                let on = (x + y) % period < period.div_ceil(3);
                self.set(x, y, if on { stripe } else { ground });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_pixels_are_covered_in_part() {
        let mut canvas = Canvas::new(2, 4, [0; 3]);
        canvas.column(0, 0.5, 2.25, [200, 100, 0], 1.0);
        let red: Vec<u8> = canvas.rgb().chunks(6).map(|row| row[0]).collect();
        assert_eq!(red, [100, 200, 50, 0]);
        assert!(canvas.rgb().chunks(6).all(|row| row[3..] == [0; 3]), "the other column");
        canvas.set(2, 0, [9; 3]);
        canvas.column(1, -5.0, 90.0, [7; 3], 1.0);
        assert!(canvas.rgb().chunks(6).all(|row| row[3..] == [7; 3]));
    }
}

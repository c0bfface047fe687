//! Dots in cells: what a wave is drawn with.

use super::abilities::Glyphs;

/// Dots of a picture, several a cell.
#[derive(Debug)]
pub(super) struct Dots {
    glyphs: Glyphs,
    cells: Vec<u8>,
    columns: usize,
    rows: usize,
}

/// Braille's bits, by column and row.
const BRAILLE: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Dots of a cell, across and down.
pub(super) const fn dots_of(glyphs: Glyphs) -> (usize, usize) {
    match glyphs {
        Glyphs::Braille => (2, 4),
        Glyphs::Blocks => (1, 2),
        Glyphs::Ascii => (1, 1),
    }
}

impl Dots {
    /// Of so many cells.
    pub(super) fn new(glyphs: Glyphs, columns: usize, rows: usize) -> Self {
        Self { glyphs, cells: vec![0; columns * rows], columns, rows }
    }

    /// Dots from top to bottom.
    pub(super) const fn height(&self) -> usize {
        self.rows * dots_of(self.glyphs).1
    }

    /// Sets the dots of a column from one row to another, both included; what is outside is left out.
    pub(super) fn line(&mut self, column: usize, from: usize, to: usize) {
        let (across, down) = dots_of(self.glyphs);
        if self.rows == 0 || column >= self.columns * across {
            return;
        }
        for row in from..=to.min(self.height() - 1) {
            let bit = match self.glyphs {
                Glyphs::Braille => BRAILLE[column % 2][row % 4],
                Glyphs::Blocks => 1 << (row % 2),
                Glyphs::Ascii => 1,
            };
            self.cells[row / down * self.columns + column / across] |= bit;
        }
    }

    /// A cell's character; none where no dot is set.
    pub(super) fn glyph(&self, column: usize, row: usize) -> Option<char> {
        let bits = self.cells[row * self.columns + column];
        if bits == 0 {
            return None;
        }
        match self.glyphs {
            Glyphs::Braille => char::from_u32(0x2800 + u32::from(bits)),
            Glyphs::Blocks => Some([' ', '▀', '▄', '█'][usize::from(bits & 3)]),
            Glyphs::Ascii => Some('|'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_lie_where_they_were_set() {
        let mut braille = Dots::new(Glyphs::Braille, 2, 2);
        braille.line(3, 0, 7);
        braille.line(0, 4, 4);
        braille.line(9, 0, 7);
        let seen: Vec<_> = (0..4).map(|cell| braille.glyph(cell % 2, cell / 2)).collect();
        assert_eq!(seen, [None, Some('⢸'), Some('⠁'), Some('⢸')]);
        let mut blocks = Dots::new(Glyphs::Blocks, 1, 2);
        blocks.line(0, 1, 2);
        assert_eq!((blocks.glyph(0, 0), blocks.glyph(0, 1)), (Some('▄'), Some('▀')));
    }
}

//! A picture that `tympan viz --png` has drawn, read again.

use anyhow::{Context, Result, ensure};
use audio_dsp::ColourMap;
use png::Decoder;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A picture of 8 bits a colour.
#[derive(Debug)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Reads a PNG.
    ///
    /// # Errors
    /// When it is none, or not of this kind.
    pub fn read(path: &Path) -> Result<Self> {
        let mut reader = Decoder::new(BufReader::new(File::open(path)?)).read_info()?;
        let mut rgb = vec![0; reader.output_buffer_size().context("a size")?];
        let info = reader.next_frame(&mut rgb)?;
        ensure!(info.color_type == png::ColorType::Rgb && info.bit_depth == png::BitDepth::Eight, "{info:?}");
        Ok(Self { width: info.width as usize, height: info.height as usize, rgb })
    }

    /// The colour of a pixel.
    #[must_use]
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// The panels over time, from above: rectangles of (left, top, right, bottom), inside of their frames of one pixel.
    #[must_use]
    pub fn panels(&self) -> Vec<(usize, usize, usize, usize)> {
        const RULE: [u8; 3] = [190, 193, 200];
        // A row of the rule's colour over at least half of the width is the upper or the lower side of a panel.
        let is_side = |y: usize| (0..self.width).filter(|&x| self.at(x, y) == RULE).count() > self.width / 2;
        let sides: Vec<usize> = (0..self.height).filter(|&y| is_side(y)).collect();
        let long = |y: usize| {
            let line: Vec<usize> = (0..self.width).filter(|&x| self.at(x, y) == RULE).collect();
            (line[0] + 1, line[line.len() - 1])
        };
        // The line of zero in a waveform has no sides, and is not one: sound covers it, or it has a panel's frame around it.
        let mut panels = Vec::new();
        let mut rest = sides.as_slice();
        while let [top, others @ ..] = rest {
            let (left, _) = long(*top);
            let bottom = others.iter().find(|&&y| self.at(left - 1, y + 1) != RULE).copied();
            let Some(bottom) = bottom else { break };
            // The colour bar, to the right of a spectrogram, may begin on the same row.
            let right = (left..self.width).find(|&x| self.at(x, top + 1) == RULE).unwrap_or(self.width);
            panels.push((left, top + 1, right, bottom));
            rest = &others[others.iter().position(|&y| y == bottom).map_or(0, |n| n + 1)..];
        }
        panels
    }
}

/// The level that a pixel shows, 0 to 1: the nearest entry of a map.
#[must_use]
pub fn level_of(map: ColourMap, colour: [u8; 3]) -> f64 {
    let apart = |index: &u8| -> u32 {
        map.entry(*index).iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    f64::from((0..=255).min_by_key(apart).unwrap_or(0)) / 255.0
}

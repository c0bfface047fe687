//! Where the parts of a picture are.

use super::canvas::Area;
use super::text::Text;
use crate::cli::{Size, View};
use crate::refusal::{Refusal, refusal};

/// The width that the letters' size is made for.
const WIDTH: f32 = 1_600.0;
/// Size of the letters there.
const LETTERS: f32 = 17.0;
/// The usual picture.
const USUAL: Size = Size { width: 1_600, height: 900 };
/// What a panel has at the least, in heights of a letter.
const WAVE_LETTERS: f32 = 1.6;
const SPECTROGRAM_LETTERS: f32 = 2.6;
const SPECTRUM_LETTERS: f32 = 6.0;
/// A picture does not grow higher than this by itself.
const HEIGHT_MAX: usize = 16_384;

/// The parts of a picture.
pub(super) struct Layout {
    pub size: Size,
    /// Letters' size in pixels.
    pub letters: f32,
    /// Of each channel; empty where not shown.
    pub waves: Vec<Area>,
    pub spectrograms: Vec<Area>,
    pub spectrum: Option<Area>,
    pub colour_bar: Option<Area>,
    /// What is drawn over time: the panels' columns.
    pub columns: usize,
}

/// Letters' size for a width, so that a picture that is made larger is the same in more pixels.
pub(super) fn letters(width: usize) -> f32 {
    (LETTERS * width as f32 / WIDTH).clamp(11.0, 60.0).round()
}

/// Whole pixels.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand pixels")]
fn px(value: f32) -> usize {
    value.round().max(0.0) as usize
}

impl Layout {
    /// Of so many channels.
    pub(super) fn new(wished: Option<Size>, view: View, channels: usize) -> Result<Self, Refusal> {
        let width = wished.unwrap_or(USUAL).width;
        let unit = letters(width);
        let (wave, spectrogram) =
            (matches!(view, View::Waveform | View::All), matches!(view, View::Spectrogram | View::All));
        let spectrum = matches!(view, View::Spectrum | View::All);
        let over_time = wave || spectrogram;
        let (top, bottom) = (px(unit * 2.6), px(unit * 4.6));
        // Between the panels over time and the spectrum stand the axis of the time and some air.
        let middle = if over_time && spectrum { px(unit * 3.6) } else { 0 };
        let air = px((unit * 0.45).max(3.0));
        let panels = channels * (usize::from(wave) + usize::from(spectrogram));
        let least = px(unit
            * (channels as f32 * (f32::from(wave) * WAVE_LETTERS + f32::from(spectrogram) * SPECTROGRAM_LETTERS)
                + f32::from(spectrum) * SPECTRUM_LETTERS));
        let needed = top + bottom + middle + least + panels.saturating_sub(1) * air;
        let height = match wished {
            None if needed <= HEIGHT_MAX => {
                let growing = channels * px(unit * (f32::from(wave) * 2.2 + f32::from(spectrogram) * 4.0));
                (growing + top + bottom + middle + px(unit * 12.0))
                    .max(needed)
                    .clamp(USUAL.height, HEIGHT_MAX.max(USUAL.height))
            }
            Some(size) if needed <= size.height => size.height,
            _ => {
                let height = wished.map_or(HEIGHT_MAX, |size| size.height);
                return Err(refusal!(
                    Usage,
                    "{width}x{height} pixels are too few for {channels} channels; --size {width}x{needed} is enough, \
                     --channels shows fewer"
                ));
            }
        };
        let left = px(unit * 6.2);
        let right = px(if spectrogram { unit * 7.2 } else { unit * 1.6 });
        let across = width - left - right;
        let room = height - top - bottom - middle;
        let spectrum_height = match (spectrum, over_time) {
            (true, true) => px(room as f32 * 0.27).clamp(px(unit * SPECTRUM_LETTERS), px(unit * 16.0)),
            (true, false) => room,
            (false, _) => 0,
        };
        let body = room - spectrum_height;
        let weight = channels as f32 * (f32::from(wave) + 2.0 * f32::from(spectrogram));
        let share = (body.saturating_sub(panels.saturating_sub(1) * air)) as f32 / weight.max(1.0);
        let (mut waves, mut spectrograms) = (Vec::new(), Vec::new());
        let mut at = top as f32;
        let mut area = |part: f32| {
            let begin = px(at);
            at += share * part;
            let area = Area { left, top: begin, width: across, height: px(at) - begin };
            at += air as f32;
            area
        };
        for _ in 0..channels {
            if wave {
                waves.push(area(1.0));
            }
            if spectrogram {
                spectrograms.push(area(2.0));
            }
        }
        let bar_top = spectrograms.first().map(|area| area.top);
        let bar_end = spectrograms.last().map(Area::bottom);
        let colour_bar = bar_top.zip(bar_end).map(|(begin, end)| {
            // As high as the first one where there are few, and never so high that it cannot be taken in.
            let height = (end - begin).min(px(unit * 26.0));
            Area { left: left + across + px(unit * 1.2), top: begin, width: px(unit * 1.1), height }
        });
        let spectrum =
            spectrum.then(|| Area { left, top: top + body + middle, width: across, height: spectrum_height });
        let size = Size { width, height };
        let columns = if over_time { across } else { 0 };
        Ok(Self { size, letters: unit, waves, spectrograms, spectrum, colour_bar, columns })
    }

    /// What is drawn over time, from the first panel to the last.
    pub(super) fn over_time(&self) -> Option<Area> {
        let all = || self.waves.iter().chain(&self.spectrograms);
        let top = all().map(|area| area.top).min()?;
        let bottom = all().map(Area::bottom).max()?;
        all().next().map(|area| Area { top, height: bottom - top, ..*area })
    }

    /// How many marks fit into so many pixels, each as wide as this text.
    pub(super) fn marks(pixels: usize, text: &Text, widest: &str) -> usize {
        px(pixels as f32 / (text.width(widest) * 1.8)).max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_panel_lies_over_another_or_outside() {
        for view in [View::Waveform, View::Spectrogram, View::Spectrum, View::All] {
            for channels in [1, 2, 8, 64] {
                for wished in
                    [None, Some(Size { width: 1_600, height: 12_000 }), Some(Size { width: 640, height: 4_000 })]
                {
                    let layout = Layout::new(wished, view, channels).unwrap();
                    let mut areas: Vec<Area> = layout.waves.iter().chain(&layout.spectrograms).copied().collect();
                    areas.extend(layout.spectrum);
                    areas.sort_by_key(|area| area.top);
                    assert!(areas.windows(2).all(|pair| pair[0].bottom() < pair[1].top), "{view:?}, {channels}");
                    assert!(areas.iter().all(|area| area.height >= 14 && area.bottom() + 20 < layout.size.height));
                    assert!(areas.iter().all(|area| area.right() < layout.size.width));
                    assert_eq!(layout.over_time().is_none(), view == View::Spectrum);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        let size = Some(Size { width: 800, height: 400 });
        let refusal = Layout::new(size, View::All, 64).err().unwrap();
        let (_, rest) = refusal.text.split_once("--size 800x").unwrap();
        let height: usize = rest.split(' ').next().unwrap().parse().unwrap();
        assert!(Layout::new(Some(Size { width: 800, height }), View::All, 64).is_ok(), "{height}");
    }
}

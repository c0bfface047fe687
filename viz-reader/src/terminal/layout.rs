//! Where things stand on the screen.

use ratatui::layout::Rect;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    All,
    Waveform,
    Spectrogram,
    Spectrum,
    Meters,
}

impl Scene {
    pub(super) const ALL: [Self; 5] = [Self::All, Self::Waveform, Self::Spectrogram, Self::Spectrum, Self::Meters];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Waveform => "waveform",
            Self::Spectrogram => "spectrogram",
            Self::Spectrum => "spectrum",
            Self::Meters => "meters",
        }
    }

    /// Rows that a lane needs, its title's included.
    const fn rows_min(self) -> u16 {
        match self {
            Self::All => 7,
            Self::Waveform => 4,
            Self::Spectrogram | Self::Spectrum => 5,
            Self::Meters => 1,
        }
    }
}

/// Less than this shows nothing.
pub(super) const COLUMNS_MIN: u16 = 40;
pub(super) const ROWS_MIN: u16 = 10;
/// Columns left of a picture, for its labels.
pub(super) const LABELS: u16 = 7;
/// From so many columns on, spectrum and meters stand side by side.
const BESIDE_COLUMNS: u16 = 60;
const STRIP_ROWS_MIN: u16 = 6;
const STRIP_ROWS_MAX: u16 = 14;

/// A channel's places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LanePlace {
    pub(super) title: Rect,
    pub(super) wave: Option<Rect>,
    pub(super) spectrogram: Option<Rect>,
    pub(super) spectrum: Option<Rect>,
}

/// All places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) header: Rect,
    pub(super) footer: Rect,
    pub(super) lanes: Vec<LanePlace>,
    /// The time axis, or that of frequencies.
    pub(super) axis: Option<Rect>,
    /// The focused channel's spectrum, with a line for its title and one for its axis.
    pub(super) spectrum: Option<Rect>,
    pub(super) meters: Option<Rect>,
}

/// None where there is too little room.
pub(super) fn places(screen: Rect, scene: Scene, lanes: usize) -> Option<Places> {
    if screen.width < COLUMNS_MIN || screen.height < ROWS_MIN {
        return None;
    }
    let row = |y: u16, height: u16| Rect { x: screen.x, y, width: screen.width, height };
    let mut out = Places { header: row(screen.y, 1), footer: row(screen.bottom() - 1, 1), ..Places::default() };
    let (mut top, mut bottom) = (screen.y + 1, screen.bottom() - 1);
    if scene == Scene::Meters {
        out.meters = Some(row(top, bottom - top));
        return Some(out);
    }
    if scene == Scene::All && bottom - top >= Scene::All.rows_min() + 1 + STRIP_ROWS_MIN {
        let height = ((bottom - top) / 4).clamp(STRIP_ROWS_MIN, STRIP_ROWS_MAX);
        bottom -= height;
        let strip = row(bottom, height);
        let left = if strip.width >= BESIDE_COLUMNS { strip.width * 11 / 20 } else { strip.width };
        out.spectrum = Some(Rect { width: left.saturating_sub(u16::from(left < strip.width)), ..strip });
        out.meters = (left < strip.width).then(|| Rect { x: strip.x + left, width: strip.width - left, ..strip });
    }
    bottom -= 1;
    out.axis = Some(row(bottom, 1));
    let room = bottom - top;
    let fits = usize::from((room / scene.rows_min()).max(1)).min(lanes);
    for lane in (1..=fits).rev() {
        let height = (bottom - top) / u16::try_from(lane).unwrap_or(u16::MAX);
        out.lanes.push(lane_place(scene, row(top, height)));
        top += height;
    }
    Some(out)
}

fn lane_place(scene: Scene, lane: Rect) -> LanePlace {
    let title = Rect { height: 1, ..lane };
    let body = Rect { y: lane.y + 1, height: lane.height.saturating_sub(1), ..lane };
    let empty = LanePlace { title, ..LanePlace::default() };
    match scene {
        Scene::Waveform => LanePlace { wave: Some(body), ..empty },
        Scene::Spectrogram => LanePlace { spectrogram: Some(body), ..empty },
        Scene::Spectrum => LanePlace { spectrum: Some(body), ..empty },
        Scene::All | Scene::Meters => {
            let wave = (body.height * 2 / 5).max(2).min(body.height);
            LanePlace {
                wave: Some(Rect { height: wave, ..body }),
                spectrogram: Some(Rect { y: body.y + wave, height: body.height - wave, ..body }),
                ..empty
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Nothing overlaps, and nothing is outside of the screen.
        #[test]
        fn places_share_the_screen(width in 1_u16..300, height in 1_u16..120, lanes in 1_usize..70, scene in 0_usize..5) {
            let screen = Rect { x: 0, y: 0, width, height };
            let Some(places) = places(screen, Scene::ALL[scene], lanes) else {
                prop_assert!(width < COLUMNS_MIN || height < ROWS_MIN);
                return Ok(());
            };
            let mut all = vec![places.header, places.footer];
            all.extend([places.axis, places.spectrum, places.meters].into_iter().flatten());
            for lane in &places.lanes {
                all.push(lane.title);
                all.extend([lane.wave, lane.spectrogram, lane.spectrum].into_iter().flatten());
            }
            let area: u32 = all.iter().map(|place| place.area()).sum();
            let mut cells = std::collections::HashSet::new();
            for place in &all {
                prop_assert!(place.right() <= width && place.bottom() <= height && place.height > 0, "{:?}", place);
                cells.extend(place.positions());
            }
            prop_assert_eq!(area as usize, cells.len());
            prop_assert!(ALL_BUT_METERS.contains(&Scene::ALL[scene]) != places.lanes.is_empty());
        }
    }

    const ALL_BUT_METERS: [Scene; 4] = [Scene::All, Scene::Waveform, Scene::Spectrogram, Scene::Spectrum];

    #[test]
    fn a_stereo_stream_fits_a_small_screen() {
        let small = places(Rect { x: 0, y: 0, width: 80, height: 24 }, Scene::All, 2).unwrap();
        assert_eq!(small.lanes.len(), 2);
        assert!(small.spectrum.is_some() && small.meters.is_some());
        let large = places(Rect { x: 0, y: 0, width: 200, height: 50 }, Scene::All, 8).unwrap();
        assert_eq!(large.lanes.len(), 5);
    }
}

//! One channel of the page: its history, its columns, its levels.

use crate::history::{History, Missing};
use audio_dsp::{FrequencyAxis, FrequencyScale, Meters, Peaks, Rows, Stft, Window};

/// What is drawn, and how finely. The same for all lanes.
#[derive(Debug)]
pub struct Look {
    stft: Stft,
    /// Frames from one transform to the next.
    pub hop: u64,
    /// How frequencies lie.
    pub scale: FrequencyScale,
    /// The lower end of the frequency axis in Hz.
    pub low_hz: f64,
    /// Its upper end; never more than half of a lane's rate.
    pub high_hz: f64,
    /// Rows of the frequency axis.
    pub rows: usize,
    /// The level of the darkest colour.
    pub low_db: f32,
    /// The level of the brightest colour.
    pub high_db: f32,
    /// Counted up with every change, so that a lane sees that what it remembers is old.
    version: u64,
    samples: Vec<f32>,
    levels: Vec<f32>,
    row_levels: Vec<f32>,
}

impl Look {
    /// Hann, 2048 frames.
    #[must_use]
    pub fn new() -> Option<Self> {
        let stft = Stft::new(Window::Hann, 2_048).ok()?;
        let mut look = Self {
            stft,
            hop: 512,
            scale: FrequencyScale::Log,
            low_hz: 40.0,
            high_hz: 20_000.0,
            rows: 64,
            low_db: -90.0,
            high_db: 0.0,
            version: 0,
            samples: Vec::new(),
            levels: Vec::new(),
            row_levels: Vec::new(),
        };
        look.changed();
        Some(look)
    }

    /// Another window or length; false where there is no such transform.
    pub fn transform(&mut self, window: Window, frames: usize) -> bool {
        if self.stft.window() != window || self.stft.frames() != frames {
            let Ok(stft) = Stft::new(window, frames) else { return false };
            self.stft = stft;
            self.changed();
        }
        true
    }

    /// To be called when one of the fields was set.
    pub fn changed(&mut self) {
        self.version += 1;
        self.samples.resize(self.stft.frames(), 0.0);
        self.levels.resize(self.stft.bins(), 0.0);
        self.row_levels.resize(self.rows, 0.0);
    }

    /// Frames of a transform.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.stft.frames()
    }

    /// The levels of the frequencies of frames around this one, in dBFS.
    pub fn spectrum(&mut self, history: &History, centre: u64) -> &[f32] {
        let half = i64::try_from(self.stft.frames() / 2).unwrap_or(0);
        let begin = i64::try_from(centre).unwrap_or(i64::MAX) - half;
        history.copy(begin, &mut self.samples);
        self.stft.levels_db(&self.samples, &mut self.levels);
        &self.levels
    }

    fn axis(&self, rate_hz: u32) -> FrequencyAxis {
        let nyquist = f64::from(rate_hz) / 2.0;
        let high_hz = self.high_hz.clamp(1.0, nyquist);
        FrequencyAxis { scale: self.scale, low_hz: self.low_hz.clamp(0.0, high_hz * 0.5), high_hz }
    }
}

/// What one column of the wave shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaveColumn {
    /// Least and greatest sample; touches the column before.
    pub peaks: Peaks,
    /// Root mean square.
    pub rms: f32,
    /// What is missing in it.
    pub missing: Option<Missing>,
}

/// One channel.
#[derive(Debug)]
pub struct Lane {
    rate_hz: u32,
    /// Its samples.
    pub history: History,
    meters: Meters,
    rows: Option<Rows>,
    version: u64,
    /// The transform that was made last, by its number, and its colours.
    last: Option<u64>,
    indices: Vec<u8>,
}

impl Lane {
    /// At this rate, with so many frames of history.
    #[must_use]
    pub fn new(rate_hz: u32, history_frames: usize) -> Self {
        Self {
            rate_hz,
            history: History::new(history_frames),
            meters: Meters::new(rate_hz, 1),
            rows: None,
            version: 0,
            last: None,
            indices: Vec::new(),
        }
    }

    /// Frames a second.
    #[must_use]
    pub const fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Takes samples; the meters hear those that are `live`.
    pub fn put(&mut self, from: u64, samples: &[f32], live: bool) {
        self.history.put(from, samples);
        if live {
            self.meters.push(samples, samples.len());
        }
        // It may have been made with what is there only now.
        self.last = None;
    }

    /// Peak, root mean square and held peak since the last time, as factors of full scale, and clips so far.
    #[must_use]
    pub fn meter(&mut self) -> audio_dsp::Reading {
        let reading = self.meters.reading(0);
        self.meters.begin();
        reading
    }

    /// A column of the wave: frames `column * width..(column + 1) * width`. `None`: not all of them were written yet.
    #[must_use]
    pub fn wave(&self, column: u64, width: u64) -> Option<WaveColumn> {
        let (from, to) = (column * width, (column + 1) * width);
        if to > self.history.end() {
            return None;
        }
        let missing = self.history.missing(from, to);
        // As in `peaks_in_columns`: each begins with the last sample of the one before, so that the wave has no holes.
        let before = if self.history.missing(from.saturating_sub(1), from).is_none() { 1 } else { 0 };
        let [a, b] = self.history.pieces(from.saturating_sub(before), to);
        let peaks = Peaks::of(a).with(Peaks::of(b));
        let squares: f32 = [a, b].into_iter().flatten().map(|sample| sample * sample).filter(|s| s.is_finite()).sum();
        let rms = (squares / (a.len() + b.len()).max(1) as f32).sqrt();
        Some(WaveColumn { peaks, rms, missing })
    }

    /// The colours of a column, one a row, row 0 the lowest frequency: the greatest levels of the transforms whose middles
    /// lie in the column, or those of the nearest one; and why there are none, where none has all of its frames: it would show
    /// an edge that nobody heard. `None`: not all of their frames were written yet.
    ///
    /// # Panics
    /// When there are not as many places as rows.
    pub fn colours(&mut self, look: &mut Look, column: u64, width: u64, out: &mut [u8]) -> Option<Result<(), Missing>> {
        let hop = look.hop.max(1);
        let half = (look.frames() / 2) as u64;
        let (from, to) = (column * width, (column + 1) * width);
        let mut transforms = from.div_ceil(hop)..to.div_ceil(hop);
        if transforms.is_empty() {
            let nearest = (from + width / 2 + hop / 2) / hop;
            transforms = nearest..nearest + 1;
        }
        if (transforms.end - 1) * hop + half > self.history.end() {
            return None;
        }
        out.fill(0);
        let mut shown = Err(Missing::Absent);
        for number in transforms {
            let middle = number * hop;
            let missing =
                if middle < half { Some(Missing::Absent) } else { self.history.missing(middle - half, middle + half) };
            match missing {
                Some(why) => shown = shown.map_err(|before| why.min(before)),
                None => {
                    let colours = self.transform(look, number, middle);
                    out.iter_mut().zip(colours).for_each(|(out, &colour)| *out = (*out).max(colour));
                    shown = Ok(());
                }
            }
        }
        Some(shown)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    fn transform(&mut self, look: &mut Look, number: u64, middle: u64) -> &[u8] {
        if self.version != look.version {
            self.version = look.version;
            self.rows = None;
            self.last = None;
        }
        if self.last == Some(number) {
            return &self.indices;
        }
        self.last = Some(number);
        look.spectrum(&self.history, middle);
        let axis = look.axis(self.rate_hz);
        let rows = self.rows.get_or_insert_with(|| Rows::new(axis, look.rows, look.stft.bins(), self.rate_hz));
        rows.apply(&look.levels, &mut look.row_levels);
        let (low, scale) = (look.low_db, 255.0 / (look.high_db - look.low_db).max(1.0));
        self.indices.resize(look.rows, 0);
        for (index, &level) in self.indices.iter_mut().zip(&look.row_levels) {
            *index = ((level - low) * scale + 0.5) as u8;
        }
        &self.indices
    }
}

/// A tone in a spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    /// Its frequency in Hz.
    pub hz: f32,
    /// Its level in dBFS.
    pub level_db: f32,
}

/// The loudest tones of a spectrum, loudest first: levels that are greater than their neighbours', stand out of the median
/// by 20 dB and above this floor, and lie more than 4 bins from a louder one. Frequency and level are those of the parabola
/// through the three levels (J. O. Smith, Spectral Audio Signal Processing, "Quadratic interpolation of spectral peaks"):
/// with a Hann window within a tenth of a bin.
#[must_use]
pub fn tones(levels: &[f32], rate_hz: u32, floor_db: f32, most: usize) -> Vec<Tone> {
    let mut sorted = levels.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(floor_db);
    let least = (median + 20.0).max(floor_db);
    let mut bins: Vec<usize> = (1..levels.len().saturating_sub(1))
        .filter(|&k| levels[k] >= least && levels[k] > levels[k - 1] && levels[k] >= levels[k + 1])
        .collect();
    bins.sort_unstable_by(|&a, &b| levels[b].total_cmp(&levels[a]));
    let mut kept: Vec<usize> = Vec::new();
    for bin in bins {
        if kept.len() < most && kept.iter().all(|other| other.abs_diff(bin) > 4) {
            kept.push(bin);
        }
    }
    let spacing = rate_hz as f32 / 2.0 / (levels.len().saturating_sub(1)).max(1) as f32;
    kept.into_iter()
        .map(|k| {
            let (a, b, c) = (levels[k - 1], levels[k], levels[k + 1]);
            let curve = a - 2.0 * b + c;
            let aside = if curve < 0.0 { 0.5 * (a - c) / curve } else { 0.0 };
            Tone { hz: (k as f32 + aside) * spacing, level_db: b - 0.25 * (a - c) * aside }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const RATE_HZ: u32 = 48_000;

    #[expect(clippy::cast_possible_truncation, reason = "samples")]
    fn sine(hz: f64, amplitude: f64, frames: usize) -> Vec<f32> {
        (0..frames).map(|n| (amplitude * (TAU * hz * n as f64 / f64::from(RATE_HZ)).sin()) as f32).collect()
    }

    fn lane_with(samples: &[f32]) -> Lane {
        let mut lane = Lane::new(RATE_HZ, 96_000);
        // How it is cut must not show.
        let (a, b) = samples.split_at(samples.len() / 3);
        lane.put(0, a, true);
        lane.put(a.len() as u64, b, true);
        lane
    }

    #[test]
    fn a_tone_is_found_where_it_is() {
        let lane = lane_with(&sine(440.0, 0.125, 48_000));
        let mut look = Look::new().unwrap();
        let levels = look.spectrum(&lane.history, 24_000).to_vec();
        let tones = tones(&levels, RATE_HZ, -80.0, 3);
        assert_eq!(tones.len(), 1, "{tones:?}");
        assert!((tones[0].hz - 440.0).abs() < 2.4 && (tones[0].level_db + 18.06).abs() < 0.3, "{tones:?}");
    }

    #[test]
    fn its_row_is_the_brightest_and_has_its_level() {
        let mut lane = lane_with(&sine(1_000.0, 0.5, 48_000));
        let mut look = Look::new().unwrap();
        look.scale = FrequencyScale::Linear;
        (look.low_hz, look.high_hz, look.rows) = (0.0, 24_000.0, 120);
        (look.low_db, look.high_db) = (-96.0, 0.0);
        look.changed();
        let mut out = [0; 120];
        assert_eq!(lane.colours(&mut look, 30, 800, &mut out), Some(Ok(())));
        let brightest = (0..120).max_by_key(|&row| out[row]).unwrap();
        assert!(brightest == 5 || brightest == 4, "200 Hz a row: {brightest}");
        // -6.02 dB and at most 1.4 dB of a Hann window's scallop.
        let db = f32::from(out[brightest]) / 255.0 * 96.0 - 96.0;
        assert!((-7.9..=-5.7).contains(&db), "{db}");
        assert_eq!(out[100], 0);
    }

    #[test]
    fn a_click_is_in_its_column_alone_and_a_gap_is_told() {
        let mut samples = vec![0.0; 10_000];
        samples[4_321] = -0.75;
        let mut lane = lane_with(&samples);
        let column = lane.wave(43, 100).unwrap();
        assert_eq!((column.peaks.min.to_bits(), column.missing), ((-0.75_f32).to_bits(), None));
        assert!(lane.wave(42, 100).unwrap().peaks.min.abs() < 1e-9);
        assert!(lane.wave(100, 100).is_none(), "it is not written yet");
        lane.history.miss(10_000, 10_150, Missing::Gap);
        assert_eq!(lane.wave(100, 100).unwrap().missing, Some(Missing::Gap));
        assert_eq!(lane.wave(99, 100).unwrap().missing, None);
    }

    #[test]
    fn a_column_of_colours_waits_for_its_transform() {
        let mut lane = lane_with(&sine(440.0, 0.5, 10_000));
        let (mut look, mut out) = (Look::new().unwrap(), [0; 64]);
        assert_eq!(lane.colours(&mut look, 85, 100, &mut out), Some(Ok(())));
        assert_eq!(lane.colours(&mut look, 95, 100, &mut out), None);
        // A transform that would need a frame that is not there shows nothing.
        assert_eq!(lane.colours(&mut look, 3, 100, &mut out), Some(Err(Missing::Absent)));
        lane.history.miss(5_000, 5_001, Missing::Lost);
        assert_eq!(lane.colours(&mut look, 45, 100, &mut out), Some(Err(Missing::Lost)));
        assert_eq!(lane.colours(&mut look, 25, 100, &mut out), Some(Ok(())));
        assert!(out.iter().any(|&colour| colour > 100));
        let reading = lane.meter();
        assert!((reading.peak - 0.5).abs() < 1e-3 && (reading.rms - 0.3536).abs() < 1e-3);
    }

    #[test]
    fn bad_samples_harm_nothing() {
        let mut lane = lane_with(&[f32::NAN, f32::INFINITY, 1e-40, -1e38].repeat(5_000));
        let (mut look, mut out) = (Look::new().unwrap(), [0; 64]);
        assert!(lane.colours(&mut look, 85, 100, &mut out).is_some());
        let column = lane.wave(1, 100).unwrap();
        assert!(column.rms.is_finite() && column.peaks.max.is_finite(), "{column:?}");
    }
}

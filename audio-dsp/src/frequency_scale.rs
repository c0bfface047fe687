//! Frequency axes, and how a transform's bins come onto the rows of a picture.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How frequencies lie on an axis.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrequencyScale {
    /// Every hertz has the same room.
    Linear,
    /// Every octave has the same room.
    #[default]
    Log,
    /// As pitch is heard: `2595 log10(1 + f / 700)` mel (O'Shaughnessy 1987).
    Mel,
}

/// A name that no scale has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no frequency scale \"{actual}\"; there is: {}", FrequencyScale::ALL.map(FrequencyScale::name).join(", "))]
pub struct UnknownScale {
    /// What was asked for.
    pub actual: String,
}

impl FrequencyScale {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Linear, Self::Log, Self::Mel];
    /// What a logarithmic axis begins with at the least, in Hz.
    pub const LOG_LOW_HZ: f64 = 1.0;

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Log => "log",
            Self::Mel => "mel",
        }
    }

    /// Hertz to this scale's own unit.
    fn unit(self, hz: f64) -> f64 {
        match self {
            Self::Linear => hz,
            Self::Log => hz.max(Self::LOG_LOW_HZ).log2(),
            Self::Mel => 2_595.0 * (1.0 + hz / 700.0).log10(),
        }
    }

    fn hz(self, unit: f64) -> f64 {
        match self {
            Self::Linear => unit,
            Self::Log => unit.exp2(),
            Self::Mel => 700.0 * (10_f64.powf(unit / 2_595.0) - 1.0),
        }
    }

    /// Where a frequency lies on an axis from `low` (0) to `high` (1), both in Hz; beyond its ends it is below 0 or above 1.
    #[must_use]
    pub fn position(self, hz: f64, low: f64, high: f64) -> f64 {
        let (low, high) = (self.unit(low), self.unit(high));
        (self.unit(hz) - low) / (high - low)
    }

    /// The frequency at a position: [`position`](Self::position)'s inverse.
    #[must_use]
    pub fn hz_at(self, position: f64, low: f64, high: f64) -> f64 {
        let (low, high) = (self.unit(low), self.unit(high));
        self.hz(low + position * (high - low))
    }
}

impl fmt::Display for FrequencyScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FrequencyScale {
    type Err = UnknownScale;

    fn from_str(name: &str) -> Result<Self, UnknownScale> {
        let found = Self::ALL.into_iter().find(|scale| scale.name() == name);
        found.ok_or_else(|| UnknownScale { actual: name.to_owned() })
    }
}

/// An axis: its scale and its ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrequencyAxis {
    /// How frequencies lie on it.
    pub scale: FrequencyScale,
    /// Its lower end in Hz.
    pub low_hz: f64,
    /// Its upper end in Hz, above the lower one.
    pub high_hz: f64,
}

/// What one row shows.
#[derive(Debug, Clone, Copy)]
enum Row {
    /// The greatest level of these bins.
    Bins { from: u32, to: u32 },
    /// Between two bins, this part of the way.
    Between { lower: u32, part: f32 },
    /// Nothing: the axis goes beyond the transform.
    Beyond,
}

/// Part of a bin that an axis's ends may be off by.
const EDGE: f64 = 1e-6;

/// Brings a transform's bins onto rows. Row 0 is the lowest.
///
/// A row shows the greatest level of the bins that lie in it, so that no tone between the ends is missed, however few the
/// rows are; where rows are finer than bins, the line between the two nearest.
#[derive(Debug, Clone)]
pub struct Rows {
    rows: Vec<Row>,
    bins: usize,
}

impl Rows {
    /// Onto so many rows of an axis, from transforms of so many bins (`frames / 2 + 1`) at this rate.
    ///
    /// # Panics
    /// When there are fewer than 2 bins.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bins of a transform, clamped")]
    pub fn new(axis: FrequencyAxis, rows: usize, bins: usize, rate_hz: u32) -> Self {
        assert!(bins >= 2, "a transform has two bins at the least");
        let last = (bins - 1) as f64;
        let bin_at =
            |position: f64| axis.scale.hz_at(position, axis.low_hz, axis.high_hz) * 2.0 * last / f64::from(rate_hz);
        let row = |row: usize| {
            let (low, high) = (bin_at(row as f64 / rows as f64), bin_at((row + 1) as f64 / rows as f64));
            if low > last {
                return Row::Beyond;
            }
            // What lies on an edge is the upper row's, and the axis's ends are its rows', however they are rounded.
            let from = if row == 0 { (low - EDGE).ceil() } else { low.ceil() }.clamp(0.0, last) as u32;
            let end = if row + 1 == rows { (high + EDGE).floor() + 1.0 } else { high.ceil() };
            let to = end.clamp(0.0, last + 1.0) as u32;
            if from < to {
                return Row::Bins { from, to };
            }
            let middle = bin_at((row as f64 + 0.5) / rows as f64).clamp(0.0, last);
            let lower = middle.floor().min(last - 1.0);
            Row::Between { lower: lower as u32, part: (middle - lower) as f32 }
        };
        Self { rows: (0..rows).map(row).collect(), bins }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The levels of the rows, from those of the bins. A row beyond the transform gets [`FLOOR_DB`](crate::FLOOR_DB).
    ///
    /// # Panics
    /// When there are not as many levels as bins, or not as many places as rows.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn apply(&self, levels: &[f32], out: &mut [f32]) {
        assert_eq!(levels.len(), self.bins, "a level for each bin");
        assert_eq!(out.len(), self.rows.len(), "a place for each row");
        for (out, row) in out.iter_mut().zip(&self.rows) {
            *out = match *row {
                Row::Bins { from, to } => {
                    let levels = &levels[from as usize..to as usize];
                    levels.iter().fold(f32::NEG_INFINITY, |most, &level| if level > most { level } else { most })
                }
                Row::Between { lower, part } => {
                    let (below, above) = (levels[lower as usize], levels[lower as usize + 1]);
                    below + part * (above - below)
                }
                Row::Beyond => crate::FLOOR_DB,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_axis() -> impl Strategy<Value = FrequencyAxis> {
        (prop::sample::select(FrequencyScale::ALL.to_vec()), 1.0_f64..500.0, 1.5_f64..200.0)
            .prop_map(|(scale, low_hz, factor)| FrequencyAxis { scale, low_hz, high_hz: low_hz * factor })
    }

    proptest! {
        #[test]
        fn a_position_is_that_of_its_frequency(axis in any_axis(), part in 0.0_f64..1.0) {
            let FrequencyAxis { scale, low_hz, high_hz } = axis;
            let hz = scale.hz_at(part, low_hz, high_hz);
            prop_assert!((scale.position(hz, low_hz, high_hz) - part).abs() < 1e-9);
            prop_assert!((low_hz - 1e-6..=high_hz + 1e-6).contains(&hz));
            prop_assert!(scale.position(low_hz, low_hz, high_hz).abs() < 1e-9);
            prop_assert!((scale.position(high_hz, low_hz, high_hz) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn no_tone_is_missed(axis in any_axis(), rows in 1_usize..200, bits in 6_u32..12, bin in any::<prop::sample::Index>()) {
            let (bins, rate_hz) = ((1 << (bits - 1)) + 1, 48_000);
            let bin = bin.index(bins);
            let hz = bin as f64 * f64::from(rate_hz) / 2.0 / (bins - 1) as f64;
            prop_assume!(hz >= axis.low_hz && hz <= axis.high_hz);
            let mut levels = vec![-100.0; bins];
            levels[bin] = -3.0;
            let mut out = vec![0.0; rows];
            Rows::new(axis, rows, bins, rate_hz).apply(&levels, &mut out);
            let at = out.iter().position(|&level| level >= -3.0);
            prop_assert!(at.is_some(), "a tone at {} Hz is in no row", hz);
            let right = axis.scale.position(hz, axis.low_hz, axis.high_hz) * rows as f64;
            prop_assert!((at.unwrap() as f64 + 0.5 - right).abs() <= 0.5 + 1e-6, "in row {at:?}, and not at {right}");
        }
    }

    #[test]
    fn rows_finer_than_bins_lie_on_the_line_between_them() {
        let axis = FrequencyAxis { scale: FrequencyScale::Linear, low_hz: 0.0, high_hz: 100.0 };
        // Bins at 0, 50 and 100 Hz; rows of 5 Hz.
        let mut out = [0.0; 20];
        Rows::new(axis, 20, 3, 200).apply(&[-100.0, 0.0, -50.0], &mut out);
        assert!((out[5] - (-100.0 + 2.0 * 27.5)).abs() < 1e-4, "{out:?}");
        assert!((out[0] + 100.0).abs() < 1e-4 && out[10].abs() < 1e-4 && (out[19] + 50.0).abs() < 1e-4, "{out:?}");
    }

    #[test]
    fn an_axis_beyond_half_the_rate_shows_nothing_there() {
        let axis = FrequencyAxis { scale: FrequencyScale::Linear, low_hz: 0.0, high_hz: 200.0 };
        let mut out = [0.0; 4];
        Rows::new(axis, 4, 3, 200).apply(&[-1.0; 3], &mut out);
        assert_eq!(out[3].to_bits(), crate::FLOOR_DB.to_bits());
        assert!("bark".parse::<FrequencyScale>().unwrap_err().to_string().contains("linear, log, mel"));
    }
}

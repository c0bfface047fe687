//! What a stream passes before its strip of the mixer.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Within<const MIN: i32, const MAX: i32>(f32);

/// A number that is none of those.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{number} is not from {min} to {max}")]
pub struct Beyond {
    number: f32,
    min: i32,
    max: i32,
}

/// Below this a high-pass takes away, in Hz: 3 dB at it, and 24 dB more with every octave.
pub type HighPassHz = Within<20, 2_000>;
/// From this level on a gate is open, in dBFS.
pub type GateDb = Within<-100, 0>;
/// By how much a band is raised or lowered, in dB.
pub type BandDb = Within<-24, 24>;
/// From this level on a compressor acts, in dBFS.
pub type ThresholdDb = Within<-60, 0>;
/// By how many dB the input of a compressor rises for one of its output.
pub type Ratio = Within<1, 20>;

/// The three bands of an equaliser: below 200 Hz, around 1 kHz, above 5 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equaliser(pub [BandDb; 3]);

/// A compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compressor {
    /// The level from which on it acts.
    pub threshold_db: ThresholdDb,
    /// How much.
    pub ratio: Ratio,
}

/// What a stream passes on its way into the mix, in this order; what is `None` is off. Its own ring has it as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Processing {
    /// Takes rumble away.
    pub high_pass: Option<HighPassHz>,
    /// Turns noise down while nobody speaks.
    pub gate: Option<GateDb>,
    /// Raises or lowers three bands.
    pub equaliser: Option<Equaliser>,
    /// Makes loud and soft more alike.
    pub compressor: Option<Compressor>,
}

/// Why a text is no setting of a processor. Each has the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProcessingError {
    /// Of a high-pass.
    #[error("{0:?} is no high-pass: a frequency from 20Hz to 2000Hz, such as 80Hz, or off")]
    HighPass(String),
    /// Of a gate.
    #[error("{0:?} is no gate: a threshold from -100dB to 0dB, such as -50dB, or off")]
    Gate(String),
    /// Of an equaliser.
    #[error("{0:?} is no equaliser: decibels of LOW,MID,HIGH, each from -24 to 24, such as -3,0,+2, or off")]
    Equaliser(String),
    /// Of a compressor.
    #[error("{0:?} is no compressor: THRESHOLD:RATIO, from -60dB to 0dB and from 1 to 20, such as -20dB:4, or off")]
    Compressor(String),
}

impl<const MIN: i32, const MAX: i32> Within<MIN, MAX> {
    /// As a number.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }

    /// A number with one of these units, in any case, or without one.
    fn read(text: &str, units: &[(&str, f32)]) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let with = |&(unit, factor): &(&str, f32)| Some((text.strip_suffix(unit)?.trim_end().to_owned(), factor));
        let (number, factor) = units.iter().find_map(with).unwrap_or((text.clone(), 1.0));
        Self::try_from(number.parse::<f32>().ok()? * factor).ok()
    }
}

const DECIBELS: &[(&str, f32)] = &[("db", 1.0)];
const HERTZ: &[(&str, f32)] = &[("khz", 1_000.0), ("hz", 1.0)];

// Never NaN.
impl<const MIN: i32, const MAX: i32> Eq for Within<MIN, MAX> {}

impl<const MIN: i32, const MAX: i32> TryFrom<f32> for Within<MIN, MAX> {
    type Error = Beyond;
    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    fn try_from(number: f32) -> Result<Self, Beyond> {
        let within = (MIN as f32..=MAX as f32).contains(&number);
        // No -0: it would be shown with its sign.
        if within { Ok(Self(number + 0.0)) } else { Err(Beyond { number, min: MIN, max: MAX }) }
    }
}

impl<const MIN: i32, const MAX: i32> From<Within<MIN, MAX>> for f32 {
    fn from(number: Within<MIN, MAX>) -> Self {
        number.0
    }
}

impl<const MIN: i32, const MAX: i32> fmt::Display for Within<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Processing {
    /// Whether nothing is on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Reads a high-pass.
    ///
    /// # Errors
    /// [`ProcessingError::HighPass`]
    pub fn read_high_pass(text: &str) -> Result<HighPassHz, ProcessingError> {
        HighPassHz::read(text, HERTZ).ok_or_else(|| ProcessingError::HighPass(text.to_owned()))
    }

    /// Reads a gate.
    ///
    /// # Errors
    /// [`ProcessingError::Gate`]
    pub fn read_gate(text: &str) -> Result<GateDb, ProcessingError> {
        GateDb::read(text, DECIBELS).ok_or_else(|| ProcessingError::Gate(text.to_owned()))
    }
}

impl FromStr for Equaliser {
    type Err = ProcessingError;
    fn from_str(text: &str) -> Result<Self, ProcessingError> {
        let refused = || ProcessingError::Equaliser(text.to_owned());
        let bands: Option<Vec<_>> = text.split(',').map(|band| BandDb::read(band, DECIBELS)).collect();
        bands.and_then(|bands| bands.try_into().ok()).map(Self).ok_or_else(refused)
    }
}

impl FromStr for Compressor {
    type Err = ProcessingError;
    fn from_str(text: &str) -> Result<Self, ProcessingError> {
        let read = |(threshold, ratio): (&str, &str)| {
            let ratio = ratio.trim().strip_suffix(":1").unwrap_or(ratio);
            Some(Self { threshold_db: ThresholdDb::read(threshold, DECIBELS)?, ratio: Ratio::read(ratio, &[])? })
        };
        text.split_once(':').and_then(read).ok_or_else(|| ProcessingError::Compressor(text.to_owned()))
    }
}

/// As it is written in a setting.
impl fmt::Display for Equaliser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bands = self.0.map(|band| if band.get() > 0.0 { format!("+{band}") } else { band.to_string() });
        f.write_str(&bands.join(","))
    }
}

/// As it is written in a setting.
impl fmt::Display for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}dB:{}", self.threshold_db, self.ratio)
    }
}

/// The settings of what is on, as they are written; `-` where nothing is.
impl fmt::Display for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { high_pass, gate, equaliser, compressor } = self;
        let settings = [
            high_pass.map(|hz| format!("highpass={hz}Hz")),
            gate.map(|db| format!("gate={db}dB")),
            equaliser.map(|bands| format!("eq={bands}")),
            compressor.map(|compressor| format!("comp={compressor}")),
        ];
        let settings: Vec<_> = settings.into_iter().flatten().collect();
        f.write_str(if settings.is_empty() { "-".to_owned() } else { settings.join(" ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_as_they_are_written() {
        let processing = Processing {
            high_pass: Some(Processing::read_high_pass("0.08 kHz").unwrap()),
            gate: Some(Processing::read_gate("-50DB").unwrap()),
            equaliser: Some("-3, -0 ,+2.5dB".parse().unwrap()),
            compressor: Some("-20:4:1".parse().unwrap()),
        };
        assert_eq!(processing.to_string(), "highpass=80Hz gate=-50dB eq=-3,0,+2.5 comp=-20dB:4");
        assert_eq!("-20dB:4".parse::<Compressor>().ok(), processing.compressor);
        assert_eq!(Processing::default().to_string(), "-");
        assert!(Processing::default().is_off() && !processing.is_off());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_bounds() {
        for text in ["", "loud", "19", "2001Hz", "nan", "inf", "80dB", "-80", "off"] {
            let said = Processing::read_high_pass(text).unwrap_err();
            assert!(said == ProcessingError::HighPass(text.into()) && said.to_string().contains("20Hz"), "{said}");
        }
        for text in ["", "1dB", "-101", "-50Hz", "NaN", "-inf"] {
            assert_eq!(Processing::read_gate(text), Err(ProcessingError::Gate(text.into())));
        }
        for text in ["", "1,2", "1,2,3,4", "25,0,0", "a,b,c", "1 2 3", ",,"] {
            assert_eq!(text.parse::<Equaliser>(), Err(ProcessingError::Equaliser(text.into())));
        }
        for text in ["", "-20", "-20dB:", ":4", "-20dB:0.5", "-20dB:21", "1dB:4", "-20dB:4:2", "-61:4", "-20:4dB"] {
            assert_eq!(text.parse::<Compressor>(), Err(ProcessingError::Compressor(text.into())));
        }
    }

    #[test]
    fn what_comes_in_a_message_is_within_bounds() {
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -101.0, 0.1] {
            assert!(GateDb::try_from(number).is_err(), "{number}");
        }
        assert_eq!([-100.0, 0.0, -0.5].map(|number| GateDb::try_from(number).unwrap().get()), [-100.0, 0.0, -0.5]);
    }
}

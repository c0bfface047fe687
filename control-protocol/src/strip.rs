//! How loud, where, and whether a stream is in the mix.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The largest gain: 20 dB, what a quiet microphone needs at most.
pub const GAIN_MAX: f32 = 10.0;
/// What is softer than this, -120 dB, is silence: no sample of 16 bits is left of it.
const GAIN_MIN: f32 = 1e-6;

/// A gain, as a factor of amplitudes: 0 is silence, 1 leaves all as it is, [`GAIN_MAX`] is the largest.
///
/// As a text it is in decibels (`-6dB`, `-inf`) or a factor (`0.5`).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Gain(f32);

/// Where a stream is heard: -1 is left, 0 the middle, 1 right.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Pan(f32);

/// Why a gain or a place is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StripError {
    /// Of a gain.
    #[error("{0:?} is no gain: decibels from -120dB to 20dB, -inf, or a factor from 0 to 10")]
    Gain(String),
    /// Of a place.
    #[error("{0:?} is no pan: a number from -1 (left) to 1 (right)")]
    Pan(String),
}

/// One stream's strip of the mixer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Strip {
    /// How loud.
    pub gain: Gain,
    /// Where.
    pub pan: Pan,
    /// Not at all.
    pub mute: bool,
    /// Where any stream is solo, those that are not are not heard.
    pub solo: bool,
}

/// What is done to the sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Master {
    /// How loud.
    pub gain: Gain,
    /// What no sample of the mix exceeds.
    pub ceiling: Gain,
}

// Neither is ever NaN.
impl Eq for Gain {}
impl Eq for Pan {}
impl Eq for Strip {}
impl Eq for Master {}

impl Gain {
    /// All as it is.
    pub const UNITY: Self = Self(1.0);
    /// Nothing.
    pub const SILENCE: Self = Self(0.0);

    /// By a factor.
    ///
    /// # Errors
    /// [`StripError::Gain`] outside 0 to [`GAIN_MAX`].
    pub fn of_factor(factor: f32) -> Result<Self, StripError> {
        match factor {
            _ if !(0.0..=GAIN_MAX).contains(&factor) => Err(StripError::Gain(factor.to_string())),
            _ if factor < GAIN_MIN => Ok(Self::SILENCE),
            _ => Ok(Self(factor)),
        }
    }

    /// By decibels; negative infinity is silence.
    ///
    /// # Errors
    /// [`StripError::Gain`] above 20 dB, and for what is no number.
    pub fn of_db(db: f32) -> Result<Self, StripError> {
        // What decibels are rounded to must not make 20 dB too much.
        let factor = 10.0_f32.powf(db / 20.0);
        Self::of_factor(if db <= 20.0 { factor.min(GAIN_MAX) } else { f32::NAN })
            .map_err(|_| StripError::Gain(format!("{db}dB")))
    }

    /// As a factor.
    #[must_use]
    pub const fn factor(self) -> f32 {
        self.0
    }

    /// In decibels; `None` is silence.
    #[must_use]
    pub fn db(self) -> Option<f32> {
        (self.0 > 0.0).then(|| 20.0 * self.0.log10())
    }
}

impl Default for Gain {
    fn default() -> Self {
        Self::UNITY
    }
}

impl Pan {
    /// The middle.
    pub const MIDDLE: Self = Self(0.0);

    /// By a number.
    ///
    /// # Errors
    /// [`StripError::Pan`] outside -1 to 1.
    pub fn new(pan: f32) -> Result<Self, StripError> {
        if (-1.0..=1.0).contains(&pan) { Ok(Self(pan)) } else { Err(StripError::Pan(pan.to_string())) }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl Default for Master {
    /// As it is, 1 dB below full scale at most: what is converted to another rate or format later overshoots by less.
    fn default() -> Self {
        Self { gain: Gain::UNITY, ceiling: Gain(0.891_250_9) }
    }
}

impl TryFrom<f32> for Gain {
    type Error = StripError;
    fn try_from(factor: f32) -> Result<Self, StripError> {
        Self::of_factor(factor)
    }
}

impl From<Gain> for f32 {
    fn from(gain: Gain) -> Self {
        gain.0
    }
}

impl TryFrom<f32> for Pan {
    type Error = StripError;
    fn try_from(pan: f32) -> Result<Self, StripError> {
        Self::new(pan)
    }
}

impl From<Pan> for f32 {
    fn from(pan: Pan) -> Self {
        pan.0
    }
}

impl FromStr for Gain {
    type Err = StripError;
    fn from_str(text: &str) -> Result<Self, StripError> {
        let refuse = |_| StripError::Gain(text.to_owned());
        let plain = text.trim().to_ascii_lowercase();
        let number = |text: &str| text.trim().parse::<f32>().map_err(|_| StripError::Gain(String::new()));
        match plain.strip_suffix("db") {
            Some(db) => number(db).and_then(Self::of_db),
            None if plain == "-inf" => Ok(Self::SILENCE),
            None => number(&plain).and_then(Self::of_factor),
        }
        .map_err(refuse)
    }
}

impl FromStr for Pan {
    type Err = StripError;
    fn from_str(text: &str) -> Result<Self, StripError> {
        let refuse = || StripError::Pan(text.to_owned());
        text.trim().parse().map_err(|_| refuse()).and_then(|pan| Self::new(pan).map_err(|_| refuse()))
    }
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.db() {
            // No `-0.0 dB`.
            Some(db) => write!(f, "{:.1} dB", if db.abs() < 0.05 { 0.0 } else { db }),
            None => f.write_str("-inf dB"),
        }
    }
}

impl fmt::Display for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_written_in_decibels_or_as_factors() {
        let gain = |text: &str| text.parse::<Gain>().map(|gain| gain.to_string());
        let same =
            [("-6dB", "-6.0 dB"), ("-6 dB", "-6.0 dB"), ("20db", "20.0 dB"), ("0.5", "-6.0 dB"), ("2", "6.0 dB")];
        for (text, shown) in same {
            assert_eq!(gain(text).unwrap(), shown, "{text}");
        }
        for text in ["-inf", "-inf dB", "0", "-200dB"] {
            assert_eq!(gain(text).unwrap(), "-inf dB", "{text}");
        }
        assert_eq!(gain("1").unwrap(), "0.0 dB");
        for text in ["", "loud", "nan", "NaN dB", "inf", "21dB", "-1", "11", "6 d", "dB"] {
            let Err(StripError::Gain(said)) = gain(text) else { panic!("{text} was taken") };
            assert_eq!(said, text, "what was written is what is shown");
        }
    }

    #[test]
    fn places_are_between_left_and_right() {
        let pan = |text: &str| text.parse::<Pan>().map(Pan::get);
        assert_eq!(["-0.3", "1", "0"].map(|text| pan(text).unwrap()), [-0.3, 1.0, 0.0]);
        for text in ["", "left", "nan", "1.01", "-2"] {
            assert_eq!(pan(text), Err(StripError::Pan(text.into())), "{text}");
        }
    }

    #[test]
    fn what_comes_in_a_message_is_within_bounds() {
        for number in [f32::NAN, f32::INFINITY, -1.5, 11.0] {
            assert!(Gain::try_from(number).is_err() && Pan::try_from(number).is_err(), "{number}");
        }
        assert_eq!(Gain::of_db(-6.0206).unwrap().db().map(|db| (db * 100.0).round()), Some(-602.0));
        assert_eq!(Strip::default(), Strip { gain: Gain::UNITY, pan: Pan::MIDDLE, mute: false, solo: false });
    }
}

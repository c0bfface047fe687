//! Windows of the short-time Fourier transform.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A window. Names are those of scipy's `get_window`, but for `rectangular`, its `boxcar`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The usual one: narrow, and what leaks falls fast.
    #[default]
    Hann,
    /// A little narrower; what leaks stays at −43 dB.
    Hamming,
    /// Wider; leaks −58 dB.
    Blackman,
    /// Wide; leaks −92 dB.
    BlackmanHarris,
    /// For levels: a tone between two bins reads right within 0.01 dB.
    FlatTop,
    /// None: the narrowest, and leaks most.
    Rectangular,
}

/// A name that no window has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no window \"{actual}\"; there is: {}", Window::ALL.map(Window::name).join(", "))]
pub struct UnknownWindow {
    /// What was asked for.
    pub actual: String,
}

impl Window {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Hann, Self::Hamming, Self::Blackman, Self::BlackmanHarris, Self::FlatTop, Self::Rectangular];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hann => "hann",
            Self::Hamming => "hamming",
            Self::Blackman => "blackman",
            Self::BlackmanHarris => "blackmanharris",
            Self::FlatTop => "flattop",
            Self::Rectangular => "rectangular",
        }
    }

    /// The cosine terms, of alternating sign (Harris 1978; the flat top is ISO 18431-2's, as scipy has it).
    const fn terms(self) -> &'static [f64] {
        match self {
            Self::Hann => &[0.5, 0.5],
            Self::Hamming => &[0.54, 0.46],
            Self::Blackman => &[0.42, 0.5, 0.08],
            Self::BlackmanHarris => &[0.35875, 0.48829, 0.14128, 0.01168],
            Self::FlatTop => &[0.215_578_95, 0.416_631_58, 0.277_263_158, 0.083_578_947, 0.006_947_368],
            Self::Rectangular => &[1.0],
        }
    }

    /// Its coefficients for so many samples, *periodic*: what comes after the last one is the first again, as a
    /// transform wants it.
    #[must_use]
    pub fn coefficients(self, frames: usize) -> Vec<f64> {
        let at = |n: usize| {
            let angle = TAU * n as f64 / frames as f64;
            let terms = self.terms().iter().zip(0_u8..);
            terms.map(|(term, k)| if k % 2 == 0 { *term } else { -term } * (f64::from(k) * angle).cos()).sum()
        };
        (0..frames).map(at).collect()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Window {
    type Err = UnknownWindow;

    fn from_str(name: &str) -> Result<Self, UnknownWindow> {
        let found = Self::ALL.into_iter().find(|window| window.name() == name);
        found.ok_or_else(|| UnknownWindow { actual: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_its_window() {
        for window in Window::ALL {
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        let error = "Hann".parse::<Window>().unwrap_err().to_string();
        assert!(error.contains("\"Hann\"") && error.contains("blackmanharris, flattop"), "{error}");
    }

    #[test]
    fn windows_are_periodic_and_reach_one() {
        for window in Window::ALL {
            let coefficients = window.coefficients(64);
            for n in 1..64 {
                assert!((coefficients[n] - coefficients[64 - n]).abs() < 1e-12, "{window} at {n}");
            }
            assert!((coefficients[32] - 1.0).abs() < 1e-6, "{window}: {}", coefficients[32]);
        }
        assert!(Window::Hann.coefficients(64)[0].abs() < 1e-15);
    }
}

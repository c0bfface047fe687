//! Colour maps: a level becomes a colour.

mod tables;

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A map of 256 colours, from dark for nothing to bright for much. All rise evenly in lightness, so that they are read
/// right without seeing colours, too.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColourMap {
    /// Violet, green, yellow.
    #[default]
    Viridis,
    /// Blue, red, yellow.
    Plasma,
    /// Black, purple, cream.
    Magma,
    /// Black, red, pale yellow.
    Inferno,
    /// Black to white.
    Grey,
}

/// A name that no colour map has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no colour map \"{actual}\"; there is: {}", ColourMap::ALL.map(ColourMap::name).join(", "))]
pub struct UnknownColourMap {
    /// What was asked for.
    pub actual: String,
}

impl ColourMap {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Viridis, Self::Plasma, Self::Magma, Self::Inferno, Self::Grey];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Plasma => "plasma",
            Self::Magma => "magma",
            Self::Inferno => "inferno",
            Self::Grey => "grey",
        }
    }

    /// Red, green and blue of an entry, 0 to 255.
    #[must_use]
    pub const fn entry(self, index: u8) -> [u8; 3] {
        let table = match self {
            Self::Viridis => &tables::VIRIDIS,
            Self::Plasma => &tables::PLASMA,
            Self::Magma => &tables::MAGMA,
            Self::Inferno => &tables::INFERNO,
            Self::Grey => return [index; 3],
        };
        let [_, red, green, blue] = table[index as usize].to_be_bytes();
        [red, green, blue]
    }

    /// Red, green and blue of a level from 0 to 1. What is beyond is the nearest; not a number is 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and takes NaN for 0")]
    pub fn rgb(self, level: f32) -> [u8; 3] {
        self.entry((level * 255.0 + 0.5) as u8)
    }
}

impl fmt::Display for ColourMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ColourMap {
    type Err = UnknownColourMap;

    fn from_str(name: &str) -> Result<Self, UnknownColourMap> {
        let found = Self::ALL.into_iter().find(|map| map.name() == name);
        found.ok_or_else(|| UnknownColourMap { actual: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE L*, 0 to 100, of sRGB.
    fn lightness(rgb: [u8; 3]) -> f64 {
        let linear = rgb.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        if luminance > 0.008_856 { 116.0 * luminance.cbrt() - 16.0 } else { 903.3 * luminance }
    }

    #[test]
    fn every_map_rises_evenly_in_lightness() {
        for map in ColourMap::ALL {
            let light: Vec<f64> = (0..=255).map(|index| lightness(map.entry(index))).collect();
            let step = (light[255] - light[0]) / 255.0;
            assert!(step > 0.25, "{map}: from {} to {}", light[0], light[255]);
            for (index, pair) in light.windows(2).enumerate() {
                let rise = pair[1] - pair[0];
                // Colours of 8 bits are off by a little.
                assert!(rise > -0.35 && rise < step + 1.0, "{map}, {index}: {rise}");
            }
        }
    }

    #[test]
    fn levels_beyond_the_ends_are_the_ends() {
        for map in ColourMap::ALL {
            assert_eq!(map.rgb(-1.0), map.entry(0));
            assert_eq!(map.rgb(f32::NAN), map.entry(0));
            assert_eq!(map.rgb(f32::INFINITY), map.entry(255));
            assert_eq!(map.rgb(1.0), map.entry(255));
            assert_eq!(map.to_string().parse(), Ok(map));
        }
        assert_eq!(ColourMap::Viridis.rgb(0.0), [0x44, 0x01, 0x54]);
        assert_eq!(ColourMap::Viridis.rgb(1.0), [0xfd, 0xe7, 0x25]);
        assert!("jet".parse::<ColourMap>().unwrap_err().to_string().contains("viridis, plasma"));
    }
}

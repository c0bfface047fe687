//! Points in time on the command line.

use std::str::FromStr;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The newest frame; of a recording, its end.
    Now,
    /// So many seconds before that.
    Before(f64),
    /// So many seconds from the beginning of the recording, or of the ring's session.
    At(f64),
}

impl When {
    /// The frame, where `end` is one past the newest one; a time before the beginning is the beginning.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates; parsed seconds are finite and not negative"
    )]
    pub fn frame(self, rate_hz: u32, end: u64) -> u64 {
        let frames = |seconds: f64| (seconds * f64::from(rate_hz)).round() as u64;
        match self {
            Self::Now => end,
            Self::Before(seconds) => end.saturating_sub(frames(seconds)),
            Self::At(seconds) => frames(seconds),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "now" | "end") {
            return Ok(Self::Now);
        }
        let (before, rest) = text.strip_prefix(['-', '−']).map_or((false, text), |rest| (true, rest));
        let seconds = seconds(rest).filter(|seconds| *seconds <= 1e9).ok_or_else(|| {
            "a time is such as 12.5s, 500ms, 2m or 1:02:03.5; with - before it, from the end; or now".to_owned()
        })?;
        Ok(if before { Self::Before(seconds) } else { Self::At(seconds) })
    }
}

fn seconds(text: &str) -> Option<f64> {
    if text.contains(':') {
        let mut all = 0.0;
        for (n, part) in text.split(':').enumerate() {
            let value = number(part).filter(|value| n == 0 || *value < 60.0)?;
            all = all * 60.0 + value;
        }
        return (text.matches(':').count() <= 2).then_some(all);
    }
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let unit = units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (digits, factor) = unit.unwrap_or((text, 1.0));
    number(digits.trim_end()).map(|value| value * factor)
}

/// Digits and a point; neither `inf` nor `1e9`.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, when) in [
            ("now", When::Now),
            ("end", When::Now),
            ("-10s", When::Before(10.0)),
            ("0", When::At(0.0)),
            ("12.5", When::At(12.5)),
            ("500ms", When::At(0.5)),
            ("-2m", When::Before(120.0)),
            ("1h", When::At(3_600.0)),
            ("1:02:03.5", When::At(3_723.5)),
            ("-0:30", When::Before(30.0)),
        ] {
            assert_eq!(text.parse(), Ok(when), "{text}");
        }
        for wrong in ["", "-", "s", "1:60", "inf", "1e3", "--1", "1:2:3:4", "NaN", "tomorrow"] {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_frame_is_counted_from_the_beginning_or_from_now() {
        assert_eq!(When::Now.frame(8_000, 100_000), 100_000);
        assert_eq!(When::Before(10.0).frame(8_000, 100_000), 20_000);
        assert_eq!(When::Before(1e6).frame(8_000, 100_000), 0);
        assert_eq!(When::At(1.5).frame(8_000, 100_000), 12_000);
    }
}

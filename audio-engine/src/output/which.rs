//! Which output is meant: `default`, a name that `tympan output list` shows, or `virtual:` for tests.

use super::virtual_output::VirtualOutputSpec;
use std::str::FromStr;
use thiserror::Error;

/// An output, before it is opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Which {
    /// The one that the desktop has chosen, whichever that is: it is followed.
    Default,
    /// This one.
    Named {
        /// Its name.
        name: String,
        /// Whether the default takes its place while it is away.
        or_default: bool,
    },
    /// A device without hardware.
    Virtual(VirtualOutputSpec),
}

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WhichError {
    /// Nothing at all.
    #[error("no output is named; `tympan output list` shows what there is, and default is the desktop's own")]
    Nothing,
    /// Of a virtual output.
    #[error("output {whole:?}: {key}={value}: {expected}")]
    Option {
        /// The whole name.
        whole: String,
        /// The option.
        key: String,
        /// What was given.
        value: String,
        /// What would fit.
        expected: &'static str,
    },
}

impl FromStr for Which {
    type Err = WhichError;

    fn from_str(text: &str) -> Result<Self, WhichError> {
        if let Some(rest) = text.strip_prefix("virtual:") {
            return virtual_output(text, rest).map(Self::Virtual);
        }
        match text.strip_prefix("device:").unwrap_or(text) {
            "" if text.is_empty() => Err(WhichError::Nothing),
            "" | "default" => Ok(Self::Default),
            name => {
                let cut = name.strip_suffix("|default");
                Ok(Self::Named { name: cut.unwrap_or(name).to_owned(), or_default: cut.is_some() })
            }
        }
    }
}

/// `PATH?KEY=VALUE&...`, or without a path.
fn virtual_output(whole: &str, rest: &str) -> Result<VirtualOutputSpec, WhichError> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let mut spec = VirtualOutputSpec { path: (!path.is_empty()).then(|| path.into()), ..VirtualOutputSpec::default() };
    for option in options.split(['&', ',']).filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let bad = |expected| WhichError::Option { whole: whole.into(), key: key.into(), value: value.into(), expected };
        let whole_number = |min: u32, max: u32, expected| {
            value.parse().ok().filter(|number| (min..=max).contains(number)).ok_or_else(|| bad(expected))
        };
        let seconds = || {
            let number = value.parse().ok().filter(|number: &f64| (0.0..=1e6).contains(number));
            number.ok_or_else(|| bad("seconds are meant, 0 to 1000000"))
        };
        match key {
            "rate" => spec.sample_rate_hz = Some(whole_number(8_000, 192_000, "8000 to 192000 are possible")?),
            "channels" => spec.channels = whole_number(1, 64, "1 to 64 are possible")?,
            "period" => spec.period_frames = whole_number(16, 65_536, "16 to 65536 are possible")?,
            "drift_ppm" => {
                let number = value.parse().ok().filter(|ppm: &f64| (-100_000.0..=100_000.0).contains(ppm));
                spec.drift_ppm = number.ok_or_else(|| bad("-100000 to 100000 are possible"))?;
            }
            "stall_after_s" => spec.stall_after_s = Some(seconds()?),
            "stall_s" => spec.stall_s = seconds()?,
            "vanish_after_s" => spec.vanish_after_s = Some(seconds()?),
            "return_after_s" => spec.return_after_s = Some(seconds()?),
            "busy_s" => spec.busy_s = seconds()?,
            "listen" => spec.listens = whole_number(0, 1, "1 is meant, or 0")? == 1,
            _ => {
                return Err(bad(
                    "there are rate, channels, period, drift_ppm, stall_after_s, stall_s, vanish_after_s, \
                     return_after_s, busy_s and listen",
                ));
            }
        }
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_verbatim_and_the_default_is_followed() {
        let which = |text: &str| text.parse::<Which>();
        assert_eq!(which("default"), Ok(Which::Default));
        assert_eq!(which("device:"), Ok(Which::Default));
        let named = |name: &str, or_default| Ok(Which::Named { name: name.into(), or_default });
        assert_eq!(which("device:hw:CARD=0,DEV=0"), named("hw:CARD=0,DEV=0", false));
        assert_eq!(which("USB"), named("USB", false));
        assert_eq!(which("USB|default"), named("USB", true));
        assert_eq!(which(""), Err(WhichError::Nothing));
    }

    #[test]
    fn a_virtual_one_has_a_file_and_faults() {
        let spec = |text: &str| match text.parse::<Which>() {
            Ok(Which::Virtual(spec)) => Ok(spec),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        let given = spec("virtual:/tmp/x.f32?rate=44100&channels=1&period=256&drift_ppm=-50&stall_after_s=1&stall_s=2");
        let expected = VirtualOutputSpec {
            path: Some("/tmp/x.f32".into()),
            sample_rate_hz: Some(44_100),
            channels: 1,
            period_frames: 256,
            drift_ppm: -50.0,
            stall_after_s: Some(1.0),
            stall_s: 2.0,
            ..VirtualOutputSpec::default()
        };
        assert_eq!(given, Ok(expected));
        assert_eq!(spec("virtual:"), Ok(VirtualOutputSpec::default()));
        assert!(spec("virtual:?rate=1").unwrap_err().contains("8000 to 192000"));
        assert!(spec("virtual:?volume=1").unwrap_err().contains("stall_after_s"));
    }
}

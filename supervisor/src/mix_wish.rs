//! What is wished of the mixer, as people write it: `mic gain=-6dB mute=on`, `mix ceiling=-1dB`.

use crate::refusal::Refusal;
use crate::settings::{Origin, Settings, keys};
use control_protocol::{Exit, Gain, Master, Pan, StreamName, Strip};
use serde::{Deserialize, Serialize};

/// Changes of one strip, or of the mix; what is not named stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MixWish {
    /// How loud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
    /// Where; of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pan: Option<Pan>,
    /// Not at all; of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<bool>,
    /// Only those that are; of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solo: Option<bool>,
    /// What no sample exceeds; of the mix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Gain>,
}

impl MixWish {
    /// Reads `KEY=VALUE` items.
    ///
    /// # Errors
    /// In words, with what is possible.
    pub(crate) fn parse<'a>(items: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut wish = Self::default();
        for item in items {
            let Some((key, value)) = item.split_once('=') else {
                return Err(format!("{item:?} is no setting: KEY=VALUE is meant, such as gain=-6dB"));
            };
            let twice = match key {
                "gain" => wish.gain.replace(value.parse().map_err(|e| format!("gain: {e}"))?).is_some(),
                "pan" => wish.pan.replace(value.parse().map_err(|e| format!("pan: {e}"))?).is_some(),
                "mute" => wish.mute.replace(switch(key, value)?).is_some(),
                "solo" => wish.solo.replace(switch(key, value)?).is_some(),
                "ceiling" => wish.ceiling.replace(value.parse().map_err(|e| format!("ceiling: {e}"))?).is_some(),
                _ => {
                    return Err(format!(
                        "there is no setting {key:?}: gain, pan, mute and solo are those of a stream, gain and ceiling those \
                         of the mix"
                    ));
                }
            };
            if twice {
                return Err(format!("{key} is given twice"));
            }
        }
        if wish == Self::default() {
            return Err("nothing is set: KEY=VALUE is missing, such as gain=-6dB".to_owned());
        }
        Ok(wish)
    }

    /// Reads a line `NAME KEY=VALUE...`, as a list of settings has them.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn parse_line(line: &str) -> Result<(StreamName, Self), String> {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or("NAME KEY=VALUE is meant, such as \"mic gain=-6dB\"")?;
        let name = StreamName::new(name).map_err(|e| e.to_string())?;
        let wish = Self::parse(words).map_err(|e| format!("{name}: {e}"))?;
        wish.check(&name)?;
        Ok((name, wish))
    }

    /// Whether these settings are such as this stream, or the mix, has.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn check(&self, name: &StreamName) -> Result<(), String> {
        if *name == StreamName::mix() {
            let strange = self.pan.is_some() || self.mute.is_some() || self.solo.is_some();
            return if strange { Err("the mix has gain and ceiling, and nothing else".to_owned()) } else { Ok(()) };
        }
        if self.ceiling.is_some() {
            return Err(format!("a ceiling is the mix's: `tympan mix set mix ceiling=-1dB`; {name} has none"));
        }
        Ok(())
    }

    /// Changes a strip.
    pub(crate) fn over(&self, strip: &mut Strip) {
        let Strip { gain, pan, mute, solo } = strip;
        *gain = self.gain.unwrap_or(*gain);
        *pan = self.pan.unwrap_or(*pan);
        *mute = self.mute.unwrap_or(*mute);
        *solo = self.solo.unwrap_or(*solo);
    }

    /// Changes what is done to the sum.
    pub(crate) fn over_master(&self, master: &mut Master) {
        master.gain = self.gain.unwrap_or(master.gain);
        master.ceiling = self.ceiling.unwrap_or(master.ceiling);
    }
}

/// What is configured.
///
/// # Errors
/// [`Refusal`] that says where it was set.
pub(crate) fn configured(settings: &Settings) -> Result<Vec<(StreamName, MixWish)>, Refusal> {
    settings.list(&keys::MIX).iter().map(|line| MixWish::parse_line(line)).collect::<Result<_, _>>().map_err(|text| {
        let (_, origin) = settings.shown(&keys::MIX);
        let exit = if matches!(origin, Origin::Flag(_)) { Exit::Usage } else { Exit::BadConfig };
        Refusal::new(exit, format!("{origin}: {text}"))
    })
}

fn switch(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{key}: {value:?} is neither on nor off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_stream_and_its_settings() {
        let (name, wish) = MixWish::parse_line("mic gain=-6dB mute=on pan=-0.3 solo=off").unwrap();
        let mut strip = Strip::default();
        wish.over(&mut strip);
        assert_eq!((name.as_str(), strip.gain.to_string().as_str()), ("mic", "-6.0 dB"));
        assert_eq!((strip.pan.get(), strip.mute, strip.solo), (-0.3, true, false));
        MixWish::parse_line("mic gain=1").unwrap().1.over(&mut strip);
        assert!(strip.mute && strip.gain == Gain::UNITY, "what is not named stays");
        let mut master = Master::default();
        MixWish::parse_line("mix ceiling=-1dB").unwrap().1.over_master(&mut master);
        assert_eq!((master.gain, master.ceiling.to_string().as_str()), (Gain::UNITY, "-1.0 dB"));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        let said = |line: &str| MixWish::parse_line(line).unwrap_err();
        for (line, words) in [
            ("", "NAME KEY=VALUE"),
            ("mic", "nothing is set"),
            ("mic loud", "gain=-6dB"),
            ("mic gain=loud", "decibels"),
            ("mic gain=nan", "decibels"),
            ("mic gain=40dB", "20dB"),
            ("mic pan=2", "-1 (left) to 1 (right)"),
            ("mic mute=maybe", "neither on nor off"),
            ("mic volume=1", "gain, pan, mute and solo"),
            ("mic gain=1 gain=2", "twice"),
            ("mic ceiling=-1dB", "mix set mix ceiling"),
            ("mix pan=1", "gain and ceiling"),
            ("Mic gain=1", "a-z"),
        ] {
            assert!(said(line).contains(words), "{line}: {}", said(line));
        }
    }

    #[test]
    fn a_request_has_no_other_fields() {
        let wish: MixWish = serde_json::from_str(r#"{"gain": 0.5, "mute": true}"#).unwrap();
        assert_eq!(serde_json::to_string(&wish).unwrap(), r#"{"gain":0.5,"mute":true}"#);
        for text in [r#"{"gain": 11}"#, r#"{"pan": null, "volume": 1}"#, r#"{"mute": "on"}"#] {
            assert!(serde_json::from_str::<MixWish>(text).is_err(), "{text}");
        }
    }
}

//! What is wished of the mixer, as people write it: `mic gain=-6dB highpass=80Hz`, `mix ceiling=-1dB`.

use crate::refusal::Refusal;
use crate::settings::{Origin, Settings, keys};
use control_protocol::{
    Compressor, Equaliser, Exit, Gain, GateDb, HighPassHz, Master, Pan, Processing, ProcessingError, StreamName, Strip,
};
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Below this it is taken away; of a stream. `Some(None)`, as null in a request, is off: so in the next three.
    #[serde(deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub highpass_hz: Option<Option<HighPassHz>>,
    /// Below this it is turned down.
    #[serde(deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub gate_db: Option<Option<GateDb>>,
    /// Three bands.
    #[serde(deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub eq_db: Option<Option<Equaliser>>,
    /// Loud and soft more alike.
    #[serde(deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub comp: Option<Option<Compressor>>,
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
                "highpass" => wish.highpass_hz.replace(setting(key, value, Processing::read_high_pass)?).is_some(),
                "gate" => wish.gate_db.replace(setting(key, value, Processing::read_gate)?).is_some(),
                "eq" => wish.eq_db.replace(setting(key, value, str::parse)?).is_some(),
                "comp" => wish.comp.replace(setting(key, value, str::parse)?).is_some(),
                "ceiling" => wish.ceiling.replace(value.parse().map_err(|e| format!("ceiling: {e}"))?).is_some(),
                _ => {
                    return Err(format!(
                        "there is no setting {key:?}: gain, pan, mute, solo, highpass, gate, eq and comp are those of a \
                         stream, gain and ceiling those of the mix"
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
            let sum = Self { gain: self.gain, ceiling: self.ceiling, ..Self::default() };
            return if *self != sum {
                Err("the mix has gain and ceiling, and nothing else".to_owned())
            } else {
                Ok(())
            };
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

    /// Changes what comes before a strip.
    pub(crate) fn over_processing(&self, processing: &mut Processing) {
        let Processing { high_pass, gate, equaliser, compressor } = processing;
        *high_pass = self.highpass_hz.unwrap_or(*high_pass);
        *gate = self.gate_db.unwrap_or(*gate);
        *equaliser = self.eq_db.unwrap_or(*equaliser);
        *compressor = self.comp.unwrap_or(*compressor);
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

/// A field that is there, be it null.
fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What a processor is set to; `None` is off.
fn setting<T>(key: &str, value: &str, read: impl Fn(&str) -> Result<T, ProcessingError>) -> Result<Option<T>, String> {
    if value == "off" { Ok(None) } else { read(value).map(Some).map_err(|e| format!("{key}: {e}")) }
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
        let mut processing = Processing::default();
        MixWish::parse_line("mic highpass=80Hz gate=-50dB eq=-3,0,+2 comp=-20dB:4")
            .unwrap()
            .1
            .over_processing(&mut processing);
        assert_eq!(processing.to_string(), "highpass=80Hz gate=-50dB eq=-3,0,+2 comp=-20dB:4");
        MixWish::parse_line("mic gate=off comp=off mute=on").unwrap().1.over_processing(&mut processing);
        assert_eq!(processing.to_string(), "highpass=80Hz eq=-3,0,+2");
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
            ("mic volume=1", "gain, pan, mute, solo, highpass"),
            ("mic highpass=5Hz", "20Hz to 2000Hz"),
            ("mic gate=on", "-50dB, or off"),
            ("mic eq=1,2", "LOW,MID,HIGH"),
            ("mic comp=4", "THRESHOLD:RATIO"),
            ("mic gate=off gate=-50dB", "twice"),
            ("mix highpass=80Hz", "gain and ceiling"),
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
        let text =
            r#"{"highpass_hz":80.0,"gate_db":null,"eq_db":[-3.0,0.0,2.0],"comp":{"threshold_db":-20.0,"ratio":4.0}}"#;
        let wish: MixWish = serde_json::from_str(text).unwrap();
        assert_eq!((wish.gate_db, wish.mute), (Some(None), None));
        assert_eq!(serde_json::to_string(&wish).unwrap(), text);
        for text in
            [r#"{"gate_db": 1}"#, r#"{"eq_db": [1, 2]}"#, r#"{"comp": {"ratio": 4}}"#, r#"{"highpass_hz": "80"}"#]
        {
            assert!(serde_json::from_str::<MixWish>(text).is_err(), "{text}");
        }
        for text in [r#"{"gain": 11}"#, r#"{"pan": null, "volume": 1}"#, r#"{"mute": "on"}"#] {
            assert!(serde_json::from_str::<MixWish>(text).is_err(), "{text}");
        }
    }
}

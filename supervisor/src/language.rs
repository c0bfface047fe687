//! Spoken languages: their codes, and whether a model knows them. Asked before anything starts, because a worker would
//! only end, and a model for English takes any language for English.

use crate::refusal::{Refusal, refuse};
use crate::settings::keys::nearest;
use crate::settings::{Origin, Settings, keys};
use anyhow::Result;
use control_protocol::{Exit, StreamName};
use model_store::Header;
use std::collections::BTreeMap;
use std::path::Path;

/// What is spoken: codes, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Languages {
    common: &'static str,
    own: BTreeMap<StreamName, &'static str>,
}

impl Languages {
    /// The language of all streams that have none of their own.
    pub(crate) const fn common(&self) -> &'static str {
        self.common
    }

    /// The language of a stream.
    pub(crate) fn of(&self, stream: &StreamName) -> &'static str {
        self.own.get(stream).copied().unwrap_or(self.common)
    }
}

/// The codes of the wanted languages: as set, or of the names that are set; or `auto`.
///
/// # Errors
/// When Whisper has no such language, or the model knows English only.
pub(crate) fn of(settings: &Settings, model: &Path, streams: &[&StreamName]) -> Result<Languages> {
    let (_, origin) = settings.shown(&keys::LANGUAGE);
    let is_flag = matches!(origin, Origin::Flag(_));
    let languages = read(&settings.each(&keys::LANGUAGE), streams).map_err(|text| {
        let exit = if is_flag { Exit::Usage } else { Exit::BadConfig };
        Refusal::new(exit, format!("{origin}: {text}"))
    })?;
    // One that cannot be read is told by whoever loads it.
    let english_only = Header::read(model).is_ok_and(|header| !header.is_multilingual());
    let own = streams.iter().map(|stream| languages.of(stream));
    // Where no streams are known yet, it is that of most.
    let used: Vec<_> = if streams.is_empty() { vec![languages.common()] } else { own.collect() };
    if english_only && let Some(code) = used.iter().find(|code| !["en", "auto"].contains(code)) {
        let file = model.file_name().unwrap_or_default().to_string_lossy();
        refuse!(
            Refused,
            "the model {file} knows English only, and the language is {code}; a model of many languages is one whose \
             name has no .en: `tympan model fetch base`, then --model base"
        );
    }
    Ok(languages)
}

/// Whether flags name streams that this run has. What is configured may be of another day.
///
/// # Errors
/// The one that it has not.
pub(crate) fn check_streams(flags: &[String], sources: &[(StreamName, String)]) -> Result<()> {
    for (name, _) in flags.iter().filter_map(|flag| flag.split_once('=')) {
        if !sources.iter().any(|(stream, _)| stream.as_str() == name) {
            let there: Vec<_> = sources.iter().map(|(stream, _)| stream.as_str()).collect();
            refuse!(Usage, "--language: there is no stream {name}; there is {}", there.join(", "));
        }
    }
    Ok(())
}

/// Reads `LANGUAGE` and `STREAM=LANGUAGE`.
fn read(items: &[String], streams: &[&StreamName]) -> Result<Languages, String> {
    let mut common = None;
    let mut own = BTreeMap::new();
    for item in items {
        let (name, wanted) = item.split_once('=').map_or((None, item.as_str()), |(name, code)| (Some(name), code));
        let code = code_of(wanted).ok_or_else(|| {
            let near = nearest(&wanted.to_lowercase(), CODES.iter().map(|(_, name)| *name));
            let near = near.map_or_else(|| ";".to_owned(), |name| format!("; did you mean {name}?"));
            format!("Whisper knows no language \"{wanted}\"{near} give a code such as en, de or fr, or auto")
        })?;
        let twice = match name.map(|name| (name, streams.iter().find(|stream| stream.as_str() == name))) {
            None => common.replace(code).is_some(),
            Some((_, Some(stream))) => own.insert((*stream).clone(), code).is_some(),
            Some((_, None)) => false,
        };
        if twice {
            return Err(format!("two languages for {}", name.unwrap_or("all streams")));
        }
    }
    Ok(Languages { common: common.unwrap_or(DEFAULT), own })
}

/// Where languages of streams are set, and none for the others.
const DEFAULT: &str = "en";

fn code_of(wanted: &str) -> Option<&'static str> {
    let wanted = wanted.trim().to_lowercase();
    if wanted == "auto" {
        return Some("auto");
    }
    CODES.iter().find(|(code, name)| *code == wanted || *name == wanted).map(|(code, _)| *code)
}

/// The languages of Whisper's vocabulary, which is the same in all of its models.
const CODES: [(&str, &str); 100] = [
    ("af", "afrikaans"),
    ("am", "amharic"),
    ("ar", "arabic"),
    ("as", "assamese"),
    ("az", "azerbaijani"),
    ("ba", "bashkir"),
    ("be", "belarusian"),
    ("bg", "bulgarian"),
    ("bn", "bengali"),
    ("bo", "tibetan"),
    ("br", "breton"),
    ("bs", "bosnian"),
    ("ca", "catalan"),
    ("cs", "czech"),
    ("cy", "welsh"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", "english"),
    ("es", "spanish"),
    ("et", "estonian"),
    ("eu", "basque"),
    ("fa", "persian"),
    ("fi", "finnish"),
    ("fo", "faroese"),
    ("fr", "french"),
    ("gl", "galician"),
    ("gu", "gujarati"),
    ("ha", "hausa"),
    ("haw", "hawaiian"),
    ("he", "hebrew"),
    ("hi", "hindi"),
    ("hr", "croatian"),
    ("ht", "haitian creole"),
    ("hu", "hungarian"),
    ("hy", "armenian"),
    ("id", "indonesian"),
    ("is", "icelandic"),
    ("it", "italian"),
    ("ja", "japanese"),
    ("jw", "javanese"),
    ("ka", "georgian"),
    ("kk", "kazakh"),
    ("km", "khmer"),
    ("kn", "kannada"),
    ("ko", "korean"),
    ("la", "latin"),
    ("lb", "luxembourgish"),
    ("ln", "lingala"),
    ("lo", "lao"),
    ("lt", "lithuanian"),
    ("lv", "latvian"),
    ("mg", "malagasy"),
    ("mi", "maori"),
    ("mk", "macedonian"),
    ("ml", "malayalam"),
    ("mn", "mongolian"),
    ("mr", "marathi"),
    ("ms", "malay"),
    ("mt", "maltese"),
    ("my", "myanmar"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("nn", "nynorsk"),
    ("no", "norwegian"),
    ("oc", "occitan"),
    ("pa", "punjabi"),
    ("pl", "polish"),
    ("ps", "pashto"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sa", "sanskrit"),
    ("sd", "sindhi"),
    ("si", "sinhala"),
    ("sk", "slovak"),
    ("sl", "slovenian"),
    ("sn", "shona"),
    ("so", "somali"),
    ("sq", "albanian"),
    ("sr", "serbian"),
    ("su", "sundanese"),
    ("sv", "swedish"),
    ("sw", "swahili"),
    ("ta", "tamil"),
    ("te", "telugu"),
    ("tg", "tajik"),
    ("th", "thai"),
    ("tk", "turkmen"),
    ("tl", "tagalog"),
    ("tr", "turkish"),
    ("tt", "tatar"),
    ("uk", "ukrainian"),
    ("ur", "urdu"),
    ("uz", "uzbek"),
    ("vi", "vietnamese"),
    ("yi", "yiddish"),
    ("yo", "yoruba"),
    ("yue", "cantonese"),
    ("zh", "chinese"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(items: &[&str]) -> Result<String, String> {
        let (mic, guest) = (StreamName::new("mic").unwrap(), StreamName::new("guest").unwrap());
        let items: Vec<_> = items.iter().map(|&item| item.to_owned()).collect();
        let languages = read(&items, &[&mic, &guest])?;
        Ok(format!("{} {} {}", languages.common(), languages.of(&mic), languages.of(&guest)))
    }

    #[test]
    fn each_stream_has_its_language() {
        assert_eq!(read_all(&["de"]).unwrap(), "de de de");
        assert_eq!(read_all(&["mic=German", "fr"]).unwrap(), "fr de fr");
        assert_eq!(read_all(&["mic=auto", "guest=it"]).unwrap(), "en auto it");
        assert_eq!(read_all(&["other=de"]).unwrap(), "en en en");
    }

    #[test]
    fn what_is_no_language_of_a_stream_is_said() {
        let error = |items: &[&str]| read_all(items).unwrap_err();
        let sources = [(StreamName::new("mic").unwrap(), "device:".to_owned())];
        assert!(check_streams(&["mic=de".to_owned(), "fr".to_owned()], &sources).is_ok());
        let other = check_streams(&["other=de".to_owned()], &sources).unwrap_err();
        assert_eq!(other.to_string(), "--language: there is no stream other; there is mic");
        assert_eq!(error(&["mic=de", "mic=fr"]), "two languages for mic");
        assert_eq!(error(&["de", "fr"]), "two languages for all streams");
        assert!(error(&["mic=germn"]).contains("no language \"germn\"; did you mean german?"));
        assert!(error(&["other=xx"]).contains("no language \"xx\""), "also of streams that are not here");
        assert!(error(&["mic="]).contains("no language \"\""));
    }

    #[test]
    fn a_language_has_its_code_and_its_name() {
        assert_eq!((code_of("de"), code_of("German"), code_of("DE ")), (Some("de"), Some("de"), Some("de")));
        assert_eq!(
            (code_of("auto"), code_of("yue"), code_of("xx"), code_of("")),
            (Some("auto"), Some("yue"), None, None)
        );
        assert!(CODES.is_sorted() && CODES.iter().all(|(code, _)| (2..=3).contains(&code.len())));
    }
}

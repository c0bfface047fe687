//! Spoken languages: their codes, and whether a model knows them. Asked before anything starts, because a worker would
//! only end, and a model for English takes any language for English.

use crate::models::Models;
use crate::refusal::Refusal;
use crate::settings::each::{self, Each};
use crate::settings::keys::nearest;
use crate::settings::{Settings, keys};
use anyhow::Result;
use control_protocol::{Exit, StreamName};
use model_store::Header;
use std::path::Path;

/// What is spoken: codes, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Languages {
    each: Each<&'static str>,
    /// Of each of the session's models, whether it knows English only.
    english_only: Vec<bool>,
}

impl Languages {
    /// The language of all streams that have none of their own.
    pub(crate) fn common(&self) -> &'static str {
        self.each.common.unwrap_or(DEFAULT)
    }

    /// Whether this stream's model knows its language, which is told here.
    ///
    /// # Errors
    /// When the model knows English only.
    pub(crate) fn check(&self, stream: &StreamName, models: &Models) -> Result<&'static str, Refusal> {
        let (place, code) = (models.place_of(stream), self.of(stream));
        if self.is_unknown(place, code) {
            return Err(unknown(models.of(stream), (place > 0).then_some(stream), code));
        }
        Ok(code)
    }

    fn is_unknown(&self, place: u8, code: &str) -> bool {
        self.english_only.get(usize::from(place)) == Some(&true) && !["en", "auto"].contains(&code)
    }

    /// The language of a stream.
    pub(crate) fn of(&self, stream: &StreamName) -> &'static str {
        self.each.own.get(stream.as_str()).copied().unwrap_or_else(|| self.common())
    }
}

/// The codes of the wanted languages: as set, or of the names that are set; or `auto`.
///
/// # Errors
/// When Whisper has no such language, or a stream's model knows English only.
pub(crate) fn of(settings: &Settings, models: &Models, streams: &[&StreamName]) -> Result<Languages> {
    let mut languages = read(settings)?;
    // One that cannot be read is told by whoever loads it.
    let english_only = |model: &Path| Header::read(model).is_ok_and(|header| !header.is_multilingual());
    languages.english_only = models.files().iter().map(|model| english_only(model)).collect();
    if streams.is_empty() && languages.is_unknown(0, languages.common()) {
        // Where no streams are known yet, it is that of most.
        return Err(unknown(models.first(), None, languages.common()).into());
    }
    for stream in streams {
        languages.check(stream, models)?;
    }
    Ok(languages)
}

fn unknown(model: &Path, stream: Option<&StreamName>, code: &str) -> Refusal {
    let file = model.file_name().unwrap_or_default().to_string_lossy();
    let (of, other) = stream.map_or_else(Default::default, |stream| (format!(" of {stream}"), format!("{stream}=")));
    let text = format!(
        "the model {file} knows English only, and the language{of} is {code}; a model of many languages is one whose name \
         has no .en: `tympan model fetch base`, then --model {other}base"
    );
    Refusal::new(Exit::Refused, text)
}

/// What is set.
///
/// # Errors
/// What is no language.
pub(crate) fn read(settings: &Settings) -> Result<Languages, Refusal> {
    each::read(settings, &keys::LANGUAGE, code).map(|each| Languages { each, english_only: Vec::new() })
}

fn code(wanted: &str) -> Result<&'static str, String> {
    code_of(wanted).ok_or_else(|| {
        let near = nearest(&wanted.to_lowercase(), CODES.iter().map(|(_, name)| *name));
        let near = near.map_or_else(|| ";".to_owned(), |name| format!("; did you mean {name}?"));
        format!("Whisper knows no language \"{wanted}\"{near} give a code such as en, de or fr, or auto")
    })
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
        let languages = Languages { each: each::items(&keys::LANGUAGE, &items, code)?, english_only: Vec::new() };
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
        assert!(error(&["mic=germn"]).contains("no language \"germn\"; did you mean german?"));
        assert!(error(&["other=xx"]).contains("no language \"xx\""), "also of streams that are not here");
        assert!(error(&["mic="]).contains("no language \"\""));
    }

    #[test]
    fn a_stream_whose_model_knows_english_only_is_named() {
        let mic = StreamName::new("mic").unwrap();
        let said = |stream| unknown(Path::new("/m/ggml-tiny.en.bin"), stream, "de").to_string();
        assert!(said(None).starts_with("the model ggml-tiny.en.bin knows English only, and the language is de;"));
        assert!(
            said(Some(&mic)).contains("the language of mic is de") && said(Some(&mic)).ends_with("--model mic=base")
        );
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

//! Spoken languages: their codes, and whether a model knows them. Asked before anything starts, because a worker would
//! only end, and a model for English takes any language for English.

use crate::refusal::{Refusal, refuse};
use crate::settings::keys::nearest;
use crate::settings::{Origin, Settings, keys};
use anyhow::Result;
use control_protocol::Exit;
use model_store::Header;
use std::path::Path;

/// The code of the wanted language: as set, or of the name that is set; or `auto`.
///
/// # Errors
/// When Whisper has no such language, or the model knows English only.
pub(crate) fn of(settings: &Settings, model: &Path) -> Result<String> {
    let wanted = settings.text(&keys::LANGUAGE).unwrap_or_default();
    let Some(code) = code_of(&wanted) else {
        let (_, origin) = settings.shown(&keys::LANGUAGE);
        let exit = if matches!(origin, Origin::Flag(_)) { Exit::Usage } else { Exit::BadConfig };
        let near = nearest(&wanted.to_lowercase(), CODES.iter().map(|(_, name)| *name));
        let near = near.map_or_else(|| ";".to_owned(), |name| format!("; did you mean {name}?"));
        let text =
            format!("{origin}: Whisper knows no language \"{wanted}\"{near} give a code such as en, de or fr, or auto");
        return Err(Refusal::new(exit, text).into());
    };
    // One that cannot be read is told by whoever loads it.
    let english_only = Header::read(model).is_ok_and(|header| !header.is_multilingual());
    if english_only && !["en", "auto"].contains(&code) {
        let file = model.file_name().unwrap_or_default().to_string_lossy();
        refuse!(
            Refused,
            "the model {file} knows English only, and the language is {code}; a model of many languages is one whose \
             name has no .en: `tympan model fetch base`, then --model base"
        );
    }
    Ok(code.to_owned())
}

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

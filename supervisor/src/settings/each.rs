//! What may differ from stream to stream: `TEXT` is for all of them, `STREAM=TEXT` for one.

use super::keys::{Key, Kind};
use crate::refusal::{Refusal, refuse};
use crate::settings::{Origin, Settings};
use anyhow::Result;
use control_protocol::{Exit, StreamName};
use std::collections::BTreeMap;
use std::path::Path;

/// What is set, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Each<T> {
    /// For all streams that have none of their own.
    pub common: Option<T>,
    /// For single ones.
    pub own: BTreeMap<String, T>,
}

impl Key {
    /// The stream that an item is for, if it is for one, and what it says.
    pub(crate) fn of_stream<'a>(&self, item: &'a str) -> (Option<&'a str>, &'a str) {
        match item.split_once('=') {
            Some((name, _)) if self.kind == Kind::EachFile && (StreamName::new(name).is_err() || is_file(item)) => {
                (None, item)
            }
            Some((name, text)) => (Some(name), text),
            None => (None, item),
        }
    }

    /// What a stream has, for messages.
    const fn noun(&self) -> &'static str {
        if matches!(self.kind, Kind::EachFile) { "model" } else { "language" }
    }
}

/// Whether this is the path of a model that is there, whatever characters it has.
pub(super) fn is_file(text: &str) -> bool {
    model_store::is_path(text) && Path::new(text).is_file()
}

/// Reads what is set. `value` takes a text, or says what is wrong with it.
///
/// # Errors
/// [`Refusal`] that says where it was set.
pub(crate) fn read<T>(
    settings: &Settings,
    key: &Key,
    value: impl Fn(&str) -> Result<T, String>,
) -> Result<Each<T>, Refusal> {
    items(key, &settings.each(key), value).map_err(|text| {
        let (_, origin) = settings.shown(key);
        let exit = if matches!(origin, Origin::Flag(_)) { Exit::Usage } else { Exit::BadConfig };
        Refusal::new(exit, format!("{origin}: {text}"))
    })
}

/// Reads these items.
pub(crate) fn items<T>(
    key: &Key,
    items: &[String],
    value: impl Fn(&str) -> Result<T, String>,
) -> Result<Each<T>, String> {
    let mut each = Each { common: None, own: BTreeMap::new() };
    for item in items {
        let (name, text) = key.of_stream(item);
        let text = value(text)?;
        let twice = match name {
            None => each.common.replace(text).is_some(),
            Some(name) => each.own.insert(name.to_owned(), text).is_some(),
        };
        if twice {
            return Err(format!("two {}s for {}", key.noun(), name.unwrap_or("all streams")));
        }
    }
    Ok(each)
}

/// Whether flags name streams that this run has. What is configured may be of another day.
///
/// # Errors
/// The one that it has not.
pub(crate) fn check_streams(key: &Key, flags: &[String], sources: &[(StreamName, String)]) -> Result<()> {
    for name in flags.iter().filter_map(|flag| key.of_stream(flag).0) {
        if !sources.iter().any(|(stream, _)| stream.as_str() == name) {
            let there: Vec<_> = sources.iter().map(|(stream, _)| stream.as_str()).collect();
            let flag = key.flag.unwrap_or(key.name);
            refuse!(Usage, "{flag}: there is no stream {name}; there is {}", there.join(", "));
        }
    }
    Ok(())
}

/// For commands that have no streams to name.
///
/// # Errors
/// The flag that names one.
pub(crate) fn refuse_streams(key: &Key, flags: &[String]) -> Result<()> {
    if let Some(named) = flags.iter().find(|flag| key.of_stream(flag).0.is_some()) {
        let (flag, noun) = (key.flag.unwrap_or(key.name), key.noun());
        refuse!(Usage, "{flag} {named}: recordings have no names of streams here; give a {noun} alone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys;

    #[test]
    fn a_name_of_a_stream_goes_before_a_model_and_a_path_may_look_like_it() {
        let folder = tempfile::tempdir().unwrap();
        let of = |item| keys::MODEL.of_stream(item);
        assert_eq!(of("base"), (None, "base"));
        assert_eq!(of("call=tiny.en"), (Some("call"), "tiny.en"));
        assert_eq!(of("call=/models/a=b.bin"), (Some("call"), "/models/a=b.bin"));
        assert_eq!(of("/models/a=b.bin"), (None, "/models/a=b.bin"), "no stream has such a name");
        assert_eq!(of("Mine=2.bin"), (None, "Mine=2.bin"));
        assert_eq!(of("=base"), (None, "=base"));
        assert_eq!(of("call=no/such/file.bin"), (Some("call"), "no/such/file.bin"));
        // One that is there.
        let path = folder.path().join("mic=mine.bin");
        std::fs::write(&path, "x").unwrap();
        assert!(is_file(path.to_str().unwrap()) && !is_file("mic=mine.bin"));
        assert!(!is_file(folder.path().to_str().unwrap()));
        // A code of a language is no file.
        assert_eq!(keys::LANGUAGE.of_stream("Mine=de"), (Some("Mine"), "de"));
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        let read = |key: &Key, given: &[&str]| {
            items(key, &given.iter().map(|&item| item.to_owned()).collect::<Vec<_>>(), |text| Ok(text.to_owned()))
        };
        let each = read(&keys::MODEL, &["base", "call=tiny.en"]).unwrap();
        assert_eq!((each.common.as_deref(), each.own["call"].as_str()), (Some("base"), "tiny.en"));
        assert_eq!(read(&keys::MODEL, &["base", "small"]).unwrap_err(), "two models for all streams");
        assert_eq!(read(&keys::MODEL, &["call=a", "call=b"]).unwrap_err(), "two models for call");
        assert_eq!(read(&keys::LANGUAGE, &["mic=de", "mic=fr"]).unwrap_err(), "two languages for mic");
    }

    #[test]
    fn streams_that_are_not_there_are_refused_with_those_that_are() {
        let sources = ["mic", "call"].map(|name| (StreamName::new(name).unwrap(), "device:".to_owned()));
        let check = |key, flag: &str| check_streams(key, &["x".into(), flag.to_owned()], &sources);
        assert!(check(&keys::MODEL, "call=base").is_ok());
        assert_eq!(
            check(&keys::MODEL, "cal=base").unwrap_err().to_string(),
            "--model: there is no stream cal; there is mic, call"
        );
        assert_eq!(
            check(&keys::LANGUAGE, "other=de").unwrap_err().to_string(),
            "--language: there is no stream other; there is mic, call"
        );
        assert!(refuse_streams(&keys::MODEL, &["/a=b.bin".into()]).is_ok());
        assert_eq!(
            refuse_streams(&keys::MODEL, &["mic=base".into()]).unwrap_err().to_string(),
            "--model mic=base: recordings have no names of streams here; give a model alone"
        );
    }
}

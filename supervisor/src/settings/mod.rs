//! Settings: a default, over it the file, over it the variables, over it the flags; and where each value came from.

mod command;
pub(crate) mod each;
mod file;
pub(crate) mod keys;

pub(crate) use command::{ConfigArgs, config};
use control_protocol::Exit;
use keys::{ALL, Key, Kind, nearest};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::refusal::Refusal;
use crate::{language, mix_wish, models};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Path(PathBuf),
    Count(u32),
    List(Vec<String>),
}

impl Value {
    /// What these items say for all streams or for some; `None` where there are none.
    pub(crate) fn each(key: &Key, items: Vec<String>) -> Option<Self> {
        match &items[..] {
            [] => None,
            [all] if key.of_stream(all).0.is_none() => Some(Self::Text(all.clone())),
            _ => Some(Self::List(items)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Count(count) => write!(f, "{count}"),
            Self::List(items) => f.write_str(&items.join("; ")),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Something wrong in the file or in a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The file and line, or the variable.
    pub place: String,
    /// The line; 0 where there is none.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// What is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

/// The configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub path: PathBuf,
    /// Whether somebody asked for this very file: then it must be there.
    pub asked_for: bool,
}

impl ConfigFile {
    /// The file that counts: the one a flag names, `TYMPAN_CONFIG`, or `$XDG_CONFIG_HOME/tympan/config.toml`. `None`
    /// without a home.
    pub(crate) fn find(flag: Option<&Path>) -> Option<Self> {
        let named = flag.map(Path::to_owned).or_else(|| variable("TYMPAN_CONFIG").map(PathBuf::from));
        if let Some(path) = named {
            return Some(Self { path, asked_for: true });
        }
        let home = || variable("HOME").map(|home| PathBuf::from(home).join(".config"));
        let base = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute()).or_else(home)?;
        Some(Self { path: base.join("tympan/config.toml"), asked_for: false })
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl Settings {
    /// Defaults, file and variables; and everything that is wrong with them, besides which the rest still counts.
    pub(crate) fn gather(file: Option<&ConfigFile>) -> (Self, Vec<Mistake>) {
        let mut this = Self::default();
        for key in ALL {
            if let Some(value) = file::default_of(key) {
                this.values.insert(key.name, (value, Origin::Default));
            }
        }
        let mut mistakes = Vec::new();
        if let Some(ConfigFile { path, asked_for }) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let read = file::read(path, &text);
                    for key in ALL {
                        if let Some((value, origin)) = read.values.get(key.name) {
                            this.set(key, value.clone(), origin.clone());
                        }
                    }
                    mistakes.extend(read.mistakes);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !asked_for => {}
                Err(e) => mistakes.push(Mistake { place: path.display().to_string(), line: 0, text: e.to_string() }),
            }
        }
        for key in ALL {
            let Some(text) = variable(key.variable) else { continue };
            match text.into_string().ok().and_then(|text| parsed(key, &text)) {
                Some(value) => this.set(key, value, Origin::Variable(key.variable)),
                None => mistakes.push(Mistake {
                    place: key.variable.to_owned(),
                    line: 0,
                    text: format!("this is {}", key.expected()),
                }),
            }
        }
        (this, mistakes)
    }

    /// What is wrong in values that are read when they are needed.
    pub(crate) fn misread(&self) -> Vec<Mistake> {
        let models = models::read(self).err().map(|refusal| (&keys::MODEL, refusal));
        let languages = language::read(self).err().map(|refusal| (&keys::LANGUAGE, refusal));
        let mix = mix_wish::configured(self).err().map(|refusal| (&keys::MIX, refusal));
        let mistake = |(key, refusal): (&Key, Refusal)| {
            let (_, origin) = self.shown(key);
            let place = origin.to_string();
            let text = refusal.text.strip_prefix(&format!("{place}: ")).unwrap_or(&refusal.text).to_owned();
            let line = if let Origin::File { line, .. } = origin { line } else { 0 };
            Mistake { place, line, text }
        };
        models.into_iter().chain(languages).chain(mix).map(mistake).collect()
    }

    /// Defaults, file and variables.
    ///
    /// # Errors
    /// [`Refusal`] naming all that is wrong.
    pub(crate) fn load(file: Option<&ConfigFile>) -> Result<Self, Refusal> {
        let (settings, mistakes) = Self::gather(file);
        if mistakes.is_empty() {
            return Ok(settings);
        }
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Err(Refusal::new(Exit::BadConfig, lines.join("\ntympan: ")))
    }

    /// A flag was given.
    pub(crate) fn flag(&mut self, key: &'static Key, value: Option<Value>) {
        if let Some(value) = value {
            self.set(key, value, Origin::Flag(key.flag.unwrap_or(key.name)));
        }
    }

    fn set(&mut self, key: &'static Key, value: Value, origin: Origin) {
        let value = match (key.kind, value) {
            (Kind::Each | Kind::EachFile, Value::List(items)) => Value::List(self.with_those_before(key, items)),
            (_, value) => value,
        };
        self.values.insert(key.name, (value, origin));
    }

    /// Items for single streams leave the others as they were; one for all streams leaves nothing as it was.
    fn with_those_before(&self, key: &Key, items: Vec<String>) -> Vec<String> {
        let name = |item: &str| key.of_stream(item).0.map(str::to_owned);
        if items.iter().any(|item| name(item).is_none()) {
            return items;
        }
        let is_set = |before: &String| items.iter().any(|item| name(item) == name(before));
        let before: Vec<_> = self.each(key).into_iter().filter(|before| !is_set(before)).collect();
        [before, items].concat()
    }

    /// The items of what may differ from stream to stream: `TEXT` for all, `STREAM=TEXT` for one.
    pub(crate) fn each(&self, key: &Key) -> Vec<String> {
        match self.values.get(key.name) {
            Some((Value::List(items), _)) => items.clone(),
            Some((value, _)) => vec![value.to_string()],
            None => Vec::new(),
        }
    }

    /// Forgets what is set for single streams, where there are none that a user could have named.
    pub(crate) fn forget_streams(&mut self, key: &'static Key) {
        let mut common = self.each(key);
        common.retain(|item| key.of_stream(item).0.is_none());
        if let Some((value, _)) = self.values.get_mut(key.name) {
            *value = Value::List(common);
        }
    }

    /// The value of a text.
    pub(crate) fn text(&self, key: &Key) -> Option<String> {
        self.values.get(key.name).map(|(value, _)| value.to_string())
    }

    /// The value of a number; every number has a default.
    pub(crate) fn count(&self, key: &Key) -> u32 {
        match self.values.get(key.name) {
            Some((Value::Count(count), _)) => *count,
            _ => 0,
        }
    }

    /// The value of a path, with the home folder in the place of `~`; absolute.
    pub(crate) fn path(&self, key: &Key) -> Option<PathBuf> {
        let Some((Value::Path(path), _)) = self.values.get(key.name) else { return None };
        let home = path.strip_prefix("~").ok().zip(variable("HOME"));
        let path = home.map_or_else(|| path.clone(), |(rest, home)| PathBuf::from(home).join(rest));
        std::path::absolute(path).ok()
    }

    /// The items of a list.
    pub(crate) fn list(&self, key: &Key) -> Vec<String> {
        match self.values.get(key.name) {
            Some((Value::List(items), _)) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// A value and its origin, for people.
    pub(crate) fn shown(&self, key: &Key) -> (Option<&Value>, Origin) {
        self.values.get(key.name).map_or((None, Origin::Default), |(value, origin)| (Some(value), origin.clone()))
    }
}

fn parsed(key: &Key, text: &str) -> Option<Value> {
    match key.kind {
        Kind::Text => Some(Value::Text(text.to_owned())),
        Kind::Choice(choices) => choices.contains(&text.trim()).then(|| Value::Text(text.trim().to_owned())),
        Kind::Path => Some(Value::Path(PathBuf::from(text))),
        Kind::Count(min, max) => text.trim().parse().ok().filter(|count| (min..=max).contains(count)).map(Value::Count),
        Kind::List => {
            let items = text.split([';', '\n']).map(str::trim).filter(|item| !item.is_empty());
            Some(Value::List(items.map(str::to_owned).collect()))
        }
        Kind::EachFile if each::is_file(text) => Some(Value::Text(text.to_owned())),
        Kind::Each | Kind::EachFile => {
            let items = text.split([';', '\n']).map(str::trim).filter(|item| !item.is_empty());
            Value::each(key, items.map(str::to_owned).collect())
        }
    }
}

/// Variables that begin like ours and are none of ours: most likely a slip of the pen.
pub(crate) fn unknown_variables() -> Vec<Mistake> {
    let known = || ALL.iter().map(|key| key.variable).chain(keys::OTHER_VARIABLES);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("TYMPAN_") && known().all(|other| other != name));
    let mistake = |name: String| {
        let near = nearest(&name, known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Mistake { text: format!("there is no such setting{near}"), line: 0, place: name }
    };
    ours.map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes_of(text: &str) -> Vec<String> {
        let read = file::read(Path::new("c.toml"), text);
        read.mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_template_sets_nothing_and_names_everything() {
        let template = file::template();
        let read = file::read(Path::new("c.toml"), &template);
        assert!(read.mistakes.is_empty() && read.values.is_empty(), "{read:?}");
        // Taken out of their comments, the defaults are what they were.
        let set: String = template.lines().map(|line| format!("{}\n", uncommented(line))).collect();
        let read = file::read(Path::new("c.toml"), &set);
        for key in ALL {
            assert!(template.contains(key.help) && template.contains(key.variable), "{}", key.name);
            let value = read.values.get(key.name).map(|(value, _)| value.clone());
            assert!(key.default.is_empty() || value == file::default_of(key), "{}: {value:?}", key.name);
        }
    }

    fn uncommented(line: &str) -> &str {
        line.strip_prefix("# ").filter(|rest| rest.contains(" = ") && !rest.ends_with("\"\"")).unwrap_or(line)
    }

    #[test]
    fn every_key_is_in_a_section_and_has_a_variable_of_ours() {
        for key in ALL {
            let (section, name) = key.parts();
            assert!(!section.is_empty() && !name.is_empty() && key.variable.starts_with("TYMPAN_"), "{key:?}");
            assert_eq!(key.default.is_empty(), file::default_of(key).is_none(), "{key:?}");
        }
    }

    #[test]
    fn what_is_unknown_is_named_with_its_line_and_a_guess() {
        assert_eq!(
            mistakes_of("[words]\nmodle = \"base\"\n"),
            ["c.toml:2: unknown key words.modle; did you mean model?"]
        );
        assert_eq!(mistakes_of("\n[word]\nmodel = \"a\""), ["c.toml:2: unknown section [word]; did you mean [words]?"]);
        assert_eq!(
            mistakes_of("[sound]\nworkers = 2"),
            ["c.toml:2: unknown key sound.workers; did you mean words.workers?"]
        );
        assert_eq!(
            mistakes_of("model = \"base\""),
            ["c.toml:1: model stands in no section; did you mean model in the section [words]?"]
        );
        assert_eq!(
            mistakes_of("[words]\nworkers = \"two\""),
            ["c.toml:2: words.workers is a whole number from 1 to 64, and \"two\" is not"]
        );
        assert_eq!(
            mistakes_of("[sound]\nrate = 4_000\nhistory = 0x1e"),
            ["c.toml:2: sound.rate is a whole number from 8000 to 192000, and 4_000 is not"]
        );
        assert_eq!(mistakes_of("[words\n").len(), 1);
        assert_eq!(mistakes_of("[words]\nmodel = \"a\"\nmodel = \"b\"").len(), 1);
    }

    #[test]
    fn a_flag_counts_most() {
        let (mut settings, _) = Settings::gather(None);
        settings.flag(&keys::WORKERS, None);
        assert_eq!((settings.count(&keys::WORKERS), settings.shown(&keys::WORKERS).1), (2, Origin::Default));
        settings.flag(&keys::WORKERS, Some(Value::Count(5)));
        assert_eq!(
            (settings.count(&keys::WORKERS), settings.shown(&keys::WORKERS).1.to_string()),
            (5, "--workers".into())
        );
    }

    #[test]
    fn what_is_said_of_one_stream_leaves_the_others() {
        let (mut settings, _) = Settings::gather(None);
        let mut given = |items: &[&str]| {
            settings.flag(
                &keys::LANGUAGE,
                Value::each(&keys::LANGUAGE, items.iter().map(|&item| item.to_owned()).collect()),
            );
            settings.each(&keys::LANGUAGE).join(" ")
        };
        assert_eq!(given(&[]), "en");
        assert_eq!(given(&["mic=de"]), "en mic=de");
        assert_eq!(given(&["guest=fr", "mic=it"]), "en guest=fr mic=it");
        assert_eq!(given(&["es"]), "es");
        assert_eq!(given(&["mic=de", "auto"]), "mic=de auto");
        assert_eq!(parsed(&keys::LANGUAGE, "de"), Some(Value::Text("de".into())));
        assert_eq!(
            parsed(&keys::LANGUAGE, "en; mic=de"),
            Value::each(&keys::LANGUAGE, vec!["en".into(), "mic=de".into()])
        );
        let file = |text: &str| file::read(Path::new("c.toml"), text).values.get("words.language").cloned();
        let list = file("[words]\nlanguage = [\"en\", \"mic=de\"]").map(|(value, _)| value.to_string());
        assert_eq!(list.as_deref(), Some("en; mic=de"));
        settings.flag(&keys::MODEL, Value::each(&keys::MODEL, vec!["mic=base".into()]));
        assert_eq!(settings.each(&keys::MODEL), ["tiny.en", "mic=base"]);
        settings.forget_streams(&keys::MODEL);
        assert_eq!(settings.each(&keys::MODEL), ["tiny.en"]);
        assert_eq!(parsed(&keys::MODEL, "/a=b.bin"), Some(Value::Text("/a=b.bin".into())));
        let mistakes = mistakes_of("[words]\nlanguage = [1]");
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].contains("words.language is a text in quotes, or a list such as"), "{mistakes:?}");
    }

    #[test]
    fn what_is_misread_has_its_place() {
        let text = "[words]\nmodel = [\"base\", \"mic=a\", \"mic=b\"]\nlanguage = \"klingon\"";
        let settings = Settings { values: file::read(Path::new("c.toml"), text).values };
        let misread: Vec<String> = settings.misread().iter().map(ToString::to_string).collect();
        assert_eq!(misread.len(), 2, "{misread:?}");
        assert_eq!(misread[0], "c.toml:2: two models for mic");
        assert!(misread[1].starts_with("c.toml:3: Whisper knows no language \"klingon\""), "{misread:?}");
        assert_eq!(Settings::gather(None).0.misread(), []);
    }

    #[test]
    fn lists_of_a_variable_are_cut_at_semicolons() {
        let items = parsed(&keys::SOURCES, "device:USB Mic; guest=file:/a b.wav\n").unwrap();
        assert_eq!(items, Value::List(vec!["device:USB Mic".into(), "guest=file:/a b.wav".into()]));
        assert_eq!(parsed(&keys::WORKERS, "0"), None);
    }
}

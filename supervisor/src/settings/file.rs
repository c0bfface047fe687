//! The configuration file: TOML, sections of keys, no key that is not known.

use super::keys::{ALL, Key, Kind, nearest};
use super::{Mistake, Origin, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The values a file sets, and what is wrong in it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub values: BTreeMap<&'static str, (Value, Origin)>,
    pub mistakes: Vec<Mistake>,
}

/// Reads the text of a file.
pub(super) fn read(path: &Path, text: &str) -> Read {
    let mut read = Read::default();
    let mut reader = Reader { path, text, read: &mut read };
    match DeTable::parse(text) {
        Ok(table) => reader.sections(table.get_ref()),
        Err(e) => {
            let at = e.span().map_or(0, |span| span.start);
            reader.mistake(at, e.message().to_owned());
        }
    }
    read.mistakes.sort_by_key(|mistake| mistake.line);
    read
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    read: &'a mut Read,
}

impl Reader<'_> {
    fn sections(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let at = name.span().start;
            let section = name.get_ref().as_ref();
            let known = || ALL.iter().map(|key| key.parts().0);
            let DeValue::Table(keys) = value.get_ref() else {
                let inside = ALL.iter().find(|key| key.parts().1 == section);
                let hint = inside.map_or_else(
                    || format!("there are the sections {}", list(known())),
                    |key| format!("did you mean {} in the section [{}]?", section, key.parts().0),
                );
                self.mistake(at, format!("{section} stands in no section; {hint}"));
                continue;
            };
            if !known().any(|other| other == section) {
                let hint = nearest(section, known())
                    .map_or_else(|| format!("there are {}", list(known())), |near| format!("did you mean [{near}]?"));
                self.mistake(at, format!("unknown section [{section}]; {hint}"));
                continue;
            }
            for (name, value) in keys {
                self.key(section, name, value);
            }
        }
    }

    fn key(&mut self, section: &str, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let at = name.span().start;
        let name = name.get_ref().as_ref();
        let here = || ALL.iter().filter(|key| key.parts().0 == section).map(|key| key.parts().1);
        let Some(key) = ALL.iter().find(|key| key.parts() == (section, name)) else {
            let elsewhere = ALL.iter().find(|key| key.parts().1 == name).map(|key| key.name);
            let near = elsewhere.or_else(|| nearest(name, here()));
            let hint =
                near.map_or_else(|| format!("there are {}", list(here())), |near| format!("did you mean {near}?"));
            return self.mistake(at, format!("unknown key {section}.{name}; {hint}"));
        };
        match value_of(key, value.get_ref()) {
            Some(value) => {
                let origin = Origin::File { path: self.path.to_owned(), line: self.line(at) };
                self.read.values.insert(key.name, (value, origin));
            }
            None => {
                let written = self.text.get(value.span()).unwrap_or("that").trim();
                self.mistake(at, format!("{} is {}, and {written} is not", key.name, key.expected()));
            }
        }
    }

    fn mistake(&mut self, at: usize, text: String) {
        let line = self.line(at);
        self.read.mistakes.push(Mistake { place: format!("{}:{line}", self.path.display()), line, text });
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<&str> = words.collect();
    words.dedup();
    words.join(", ")
}

/// A value of this key, if it is one.
fn value_of(key: &Key, value: &DeValue<'_>) -> Option<Value> {
    let text = |value: &DeValue<'_>| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match key.kind {
        Kind::Text => text(value).map(Value::Text),
        Kind::Choice(choices) => text(value).filter(|text| choices.contains(&text.as_str())).map(Value::Text),
        Kind::Path => text(value).map(|text| Value::Path(PathBuf::from(text))),
        Kind::Count(min, max) => {
            let number = value.as_integer()?;
            let count = u32::from_str_radix(number.as_str(), number.radix()).ok()?;
            (min..=max).contains(&count).then_some(Value::Count(count))
        }
        Kind::List => {
            let items = value.as_array()?.iter().map(|item| text(item.get_ref()));
            items.collect::<Option<Vec<_>>>().map(Value::List)
        }
        Kind::Each | Kind::EachFile => match value.as_array() {
            Some(items) => Value::each(key, items.iter().map(|item| text(item.get_ref())).collect::<Option<_>>()?),
            None => text(value).map(Value::Text),
        },
    }
}

/// The default of a key, as its TOML says it.
pub(super) fn default_of(key: &Key) -> Option<Value> {
    let line = format!("value = {}", key.default);
    let table = DeTable::parse(&line).ok()?;
    value_of(key, table.get_ref().get("value")?.get_ref())
}

/// A file with everything in it, commented out.
pub(super) fn template() -> String {
    let mut text = String::from(
        "# Settings of tympan. A line that begins with # is a default or an example; take the # away to set it.\n\
         # Variables (TYMPAN_...) come before this file, and flags before variables: `tympan config show` says which counts.\n",
    );
    let mut section = "";
    for key in ALL {
        let (its, name) = key.parts();
        if its != section {
            text.push_str(&format!("\n[{its}]\n"));
            section = its;
        }
        let example = match (key.default, key.kind) {
            ("", Kind::List) => "[\"device:\"]",
            ("", _) => "\"\"",
            (default, _) => default,
        };
        text.push_str(&format!("\n# {} ({})\n# {name} = {example}\n", key.help, key.variable));
    }
    text
}

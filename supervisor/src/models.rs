//! Finding model files for a run: the recogniser of each stream, and the voice detector.

use crate::model::{exit_of, refused};
use crate::paths;
use crate::refusal::{Refusal, refuse};
use crate::settings::each::{self, Each};
use crate::settings::{Settings, keys};
use anyhow::Result;
use control_protocol::{Exit, MODELS_MAX, StreamName};
use model_store::{Progress, Step, Store, StoreError, catalogue, megabytes};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Reading less than this takes no time that a person notices.
const NOTICED_BYTES: u64 = 300_000_000;

/// The recognisers of a session, each file once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Models {
    first: PathBuf,
    others: Vec<PathBuf>,
    /// The places of the streams that have another one than the first.
    own: BTreeMap<StreamName, u8>,
}

impl Models {
    /// The one that streams have when nothing else is said, where any has it.
    pub(crate) fn first(&self) -> &Path {
        &self.first
    }

    /// All of them, the first one first: at most [`MODELS_MAX`].
    pub(crate) fn files(&self) -> Vec<&Path> {
        std::iter::once(&self.first).chain(&self.others).map(PathBuf::as_path).collect()
    }

    /// The place of a stream's model among all.
    pub(crate) fn place_of(&self, stream: &StreamName) -> u8 {
        self.own.get(stream).copied().unwrap_or(0)
    }

    /// A stream's model.
    pub(crate) fn of(&self, stream: &StreamName) -> &Path {
        match usize::from(self.place_of(stream)).checked_sub(1) {
            Some(at) => self.others.get(at).unwrap_or(&self.first),
            None => &self.first,
        }
    }

    /// A stream's model, by the name of its file.
    pub(crate) fn name_of(&self, stream: &StreamName) -> String {
        file_name(self.of(stream))
    }

    /// What all files have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files().iter().map(|path| path.metadata().map_or(0, |meta| meta.len())).sum()
    }

    /// Puts files together: of each, which streams have it. The first one counts for all the others.
    fn of_files(found: Vec<(PathBuf, Vec<StreamName>)>) -> Option<Self> {
        let mut found = found.into_iter();
        let mut models = Self { first: found.next()?.0, others: Vec::new(), own: BTreeMap::new() };
        for (file, streams) in found {
            let known = models.files().iter().position(|known| is_same(known, &file));
            let place = known.unwrap_or_else(|| {
                models.others.push(file);
                models.others.len()
            });
            if let Some(place) = u8::try_from(place).ok().filter(|&place| place > 0) {
                models.own.extend(streams.into_iter().map(|stream| (stream, place)));
            }
        }
        Some(models)
    }
}

/// The name of a file, for people.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Files that are named twice, once.
pub(crate) fn each_once<'a>(files: &[&'a Path]) -> Vec<&'a Path> {
    let mut once: Vec<&Path> = Vec::new();
    for file in files {
        if !once.iter().any(|known| is_same(known, file)) {
            once.push(file);
        }
    }
    once
}

/// Whether two paths lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    a == b || id(a).zip(id(b)).is_some_and(|(a, b)| a == b)
}

/// The recogniser's file: a name that `tympan model list` shows, or a path.
///
/// # Errors
/// When it is not there, or not what it should be; says what to do.
pub(crate) fn recogniser(folder: &Path, model: &str) -> Result<PathBuf> {
    Store::new(folder.to_owned()).locate(model, &mut FirstRead).map_err(refused)
}

/// The voice detector's file.
///
/// # Errors
/// When it is not there, or not what it should be; says what to do.
pub(crate) fn voice_detector(folder: &Path) -> Result<PathBuf> {
    Store::new(folder.to_owned()).locate_voice_detector(&mut FirstRead).map_err(refused)
}

/// What is set: names and paths.
///
/// # Errors
/// When two are set for one stream, or one is nothing.
pub(crate) fn read(settings: &Settings) -> Result<Each<String>, Refusal> {
    each::read(settings, &keys::MODEL, |text| {
        let text = text.trim();
        if text.is_empty() { Err("no model is named, as in mic=base".to_owned()) } else { Ok(text.to_owned()) }
    })
}

/// The model that is used when nothing else is said.
pub(crate) fn common(each: &Each<String>) -> &str {
    each.common.as_deref().unwrap_or(catalogue::DEFAULT_MODEL)
}

/// The recognisers of these streams, or where none are known yet that of most; and the voice detector's file.
///
/// # Errors
/// When one is not there, or not what it should be; says what to do about all of them.
pub(crate) fn wanted(settings: &Settings, streams: &[&StreamName]) -> Result<(Models, PathBuf)> {
    let each = read(settings)?;
    let wishes = wishes(&each, streams);
    let store = Store::new(paths::models(settings)?);
    let voice_detector = store.locate_voice_detector(&mut FirstRead);
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for Wish { name, streams, is_own } in wishes {
        match store.locate(name, &mut FirstRead) {
            Ok(path) => found.push((path, streams)),
            Err(error) => wrong.push((if is_own { streams } else { Vec::new() }, error)),
        }
    }
    let voice_detector = voice_detector.map_err(|error| wrong.push((Vec::new(), error)));
    if let (Ok(voice_detector), true, Some(models)) = (voice_detector, wrong.is_empty(), Models::of_files(found)) {
        let count = models.files().len();
        if count > MODELS_MAX {
            refuse!(Usage, "{count} models: a session has at most {MODELS_MAX}, and each worker loads all of them");
        }
        return Ok((models, voice_detector));
    }
    Err(told(&store, &wrong).into())
}

/// A model, and who is to have it.
#[derive(Debug, PartialEq, Eq)]
struct Wish<'a> {
    name: &'a str,
    streams: Vec<StreamName>,
    /// Whether it is named for these streams alone.
    is_own: bool,
}

/// Each name once; that of most first, where anybody has it.
fn wishes<'a>(each: &'a Each<String>, streams: &[&StreamName]) -> Vec<Wish<'a>> {
    let common = common(each);
    let mut wishes = vec![Wish { name: common, streams: Vec::new(), is_own: false }];
    for stream in streams {
        let name = each.own.get(stream.as_str()).map_or(common, String::as_str);
        match wishes.iter_mut().find(|wish| wish.name == name) {
            Some(wish) => wish.streams.push((*stream).clone()),
            None => wishes.push(Wish { name, streams: vec![(*stream).clone()], is_own: true }),
        }
    }
    wishes.retain(|wish| !wish.streams.is_empty() || streams.is_empty());
    // One that may be added later has its own, too, where that is loaded in any case.
    for (name, model) in each.own.iter().filter(|(name, _)| !streams.iter().any(|stream| stream.as_str() == *name)) {
        let loaded = wishes.iter_mut().find(|wish| wish.name == model && !streams.is_empty());
        if let (Some(wish), Ok(stream)) = (loaded, StreamName::new(name)) {
            wish.streams.push(stream);
        }
    }
    wishes
}

/// All that is wrong, and what to do. Models that are missing are fetched by one command.
fn told(store: &Store, wrong: &[(Vec<StreamName>, StoreError)]) -> Refusal {
    let streams_of = |streams: &[StreamName]| streams.iter().map(StreamName::as_str).collect::<Vec<_>>().join(" and ");
    let missing: Vec<_> = wrong
        .iter()
        .filter_map(|(streams, error)| match error {
            StoreError::Missing { name, .. } => Some((streams_of(streams), name.as_str())),
            _ => None,
        })
        .collect();
    let mut lines = Vec::new();
    let is_many = missing.len() > 1;
    if is_many {
        let of = |(streams, name): &(String, &str)| {
            if streams.is_empty() { (*name).to_owned() } else { format!("{name} (of {streams})") }
        };
        let (last, before) = missing.split_last().map_or((String::new(), Vec::new()), |(last, before)| {
            (of(last), before.iter().map(of).collect::<Vec<_>>())
        });
        let names = missing.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" ");
        lines.push(format!(
            "the models {} and {last} are not here (looked in {}); `tympan model fetch {names}` fetches them",
            before.join(", "),
            store.folder().display()
        ));
    }
    for (streams, error) in wrong.iter().filter(|(_, error)| !(is_many && matches!(error, StoreError::Missing { .. })))
    {
        let of = if streams.is_empty() { String::new() } else { format!("{}: ", streams_of(streams)) };
        lines.push(format!("{of}{error}"));
    }
    let exit = if is_many { Exit::NoModel } else { wrong.first().map_or(Exit::NoModel, |(_, error)| exit_of(error)) };
    Refusal::new(exit, lines.join("\ntympan: "))
}

/// Says why a start takes some seconds once.
struct FirstRead;

impl Progress for FirstRead {
    fn step(&mut self, step: &Step) {
        if let Step::Checking { file, total } = step
            && *total >= NOTICED_BYTES
        {
            eprintln!("tympan: reading {file} ({}) to check it; this is once", megabytes(*total));
        }
    }

    fn bytes(&mut self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const N: usize>(names: [&str; N]) -> [StreamName; N] {
        names.map(|name| StreamName::new(name).unwrap())
    }

    fn each(items: &[&str]) -> Each<String> {
        let items: Vec<_> = items.iter().map(|&item| item.to_owned()).collect();
        each::items(&keys::MODEL, &items, |text| Ok(text.to_owned())).unwrap()
    }

    fn wished(items: &[&str], streams: &[StreamName]) -> Vec<String> {
        let each = each(items);
        let shown = |wish: Wish<'_>| {
            let streams: Vec<_> = wish.streams.iter().map(StreamName::as_str).collect();
            format!("{} {}{}", wish.name, streams.join(","), if wish.is_own { "!" } else { "" })
        };
        wishes(&each, &streams.iter().collect::<Vec<_>>()).into_iter().map(shown).collect()
    }

    #[test]
    fn only_models_that_a_stream_has_are_wanted_and_that_of_most_comes_first() {
        let streams = names(["mic", "call", "tv"]);
        assert_eq!(wished(&[], &streams), ["tiny.en mic,call,tv"]);
        assert_eq!(wished(&["mic=small", "base"], &streams), ["base call,tv", "small mic!"]);
        assert_eq!(wished(&["base", "mic=base", "other=small"], &streams), ["base mic,call,tv"]);
        assert_eq!(wished(&["mic=small"], &streams[..1]), ["small mic!"], "the default is not loaded for nobody");
        assert_eq!(wished(&["base", "mic=small"], &[]), ["base "]);
        assert_eq!(
            wished(&["mic=small", "guest=small", "other=large"], &streams[..1]),
            ["small mic,guest!"],
            "a guest has what is there"
        );
    }

    #[test]
    fn one_file_by_two_names_is_loaded_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "12345").unwrap();
        std::fs::write(path("b"), "123").unwrap();
        std::fs::hard_link(path("a"), path("a-again")).unwrap();
        std::os::unix::fs::symlink(path("b"), path("b-again")).unwrap();
        let [mic, call, tv, radio] = names(["mic", "call", "tv", "radio"]);
        let models = Models::of_files(vec![
            (path("a"), vec![mic.clone()]),
            (path("b"), vec![call.clone()]),
            (path("a-again"), vec![tv.clone()]),
            (path("b-again"), vec![radio.clone()]),
        ])
        .unwrap();
        assert_eq!(models.files(), [path("a"), path("b")]);
        assert_eq!([&mic, &call, &tv, &radio].map(|stream| models.place_of(stream)), [0, 1, 0, 1]);
        assert_eq!((models.of(&radio), models.name_of(&call)), (path("b").as_path(), "b".to_owned()));
        assert_eq!(models.bytes(), 8, "what is loaded once counts once");
        assert_eq!(Models::of_files(Vec::new()), None);
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_with_the_streams_it_is_for() {
        let store = Store::new("/models".into());
        let missing = |name: &str| StoreError::Missing { name: name.into(), path: "/models/x".into() };
        let [mic, call] = names(["mic", "call"]);
        let both = told(
            &store,
            &[(vec![], missing("tiny.en")), (vec![mic.clone(), call], missing("base")), (vec![], missing("vad"))],
        );
        assert_eq!(
            both.text,
            "the models tiny.en, base (of mic and call) and vad are not here (looked in /models); `tympan model fetch \
             tiny.en base vad` fetches them"
        );
        let one = told(&store, &[(vec![mic.clone()], missing("base"))]);
        assert!(one.text.starts_with("mic: the model base is not here") && one.exit == Exit::NoModel, "{one:?}");
        let damaged =
            StoreError::WrongSize { name: "base".into(), path: "/b".into(), expected_bytes: 2, actual_bytes: 1 };
        let two = told(&store, &[(vec![], missing("tiny.en")), (vec![mic], damaged)]);
        assert!(two.text.contains("\ntympan: mic: the model file /b is damaged"), "{two:?}");
        assert_eq!(two.exit, Exit::NoModel);
    }

    #[test]
    fn a_model_of_nothing_is_refused() {
        let (mut settings, _) = Settings::gather(None);
        settings.flag(&keys::MODEL, crate::settings::Value::each(&keys::MODEL, vec!["mic=".into()]));
        let refused = read(&settings).unwrap_err();
        assert_eq!((refused.exit, refused.text.as_str()), (Exit::Usage, "--model: no model is named, as in mic=base"));
    }
}

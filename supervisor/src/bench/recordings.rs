//! Recordings with transcripts in a folder, in three forms: a `manifest.json`, a `talk.txt` beside `talk.wav`, and
//! LibriSpeech's `*.trans.txt`.

use crate::refusal::refuse;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What sound files end in.
const ENDINGS: [&str; 10] = ["wav", "flac", "mp3", "ogg", "oga", "m4a", "mp4", "aac", "aif", "aiff"];
/// LibriSpeech has folders of speakers in which are folders of chapters; more than this is somebody's whole disk.
const DEPTH_MAX: usize = 6;

/// A recording and what is said in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recording {
    /// The file.
    pub path: PathBuf,
    /// All that is said.
    pub transcript: String,
    /// When each word is heard, where somebody has found that out (`times.json`).
    pub times: Option<Vec<WordTime>>,
}

/// When a word is heard, in seconds of its recording.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct WordTime {
    /// The word.
    pub word: String,
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

#[derive(Deserialize)]
struct Listed {
    file: PathBuf,
    transcript: String,
}

#[derive(Deserialize)]
struct Timed {
    file: PathBuf,
    words: Vec<WordTime>,
}

/// All recordings of a folder that have a transcript, in the order of their paths (of the manifest, if there is one).
///
/// # Errors
/// When the folder cannot be read, or there is none.
pub(super) fn find(folder: &Path) -> Result<Vec<Recording>> {
    match std::fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => refuse!(NoInput, "{}: is a file; name the folder it is in", folder.display()),
        Err(e) if e.kind() == ErrorKind::NotFound => refuse!(NoInput, "{}: there is no such folder", folder.display()),
        Err(e) => refuse!(NoInput, "{}: {e}", folder.display()),
    }
    let mut found = match read_json::<Vec<Listed>>(&folder.join("manifest.json"))? {
        Some(listed) => listed.into_iter().map(|clip| (folder.join(clip.file), clip.transcript)).collect(),
        None => {
            let mut found = BTreeMap::new();
            look(folder, DEPTH_MAX, &mut found)?;
            found.into_iter().collect::<Vec<_>>()
        }
    };
    found.retain(|(_, transcript)| !transcript.trim().is_empty());
    if found.is_empty() {
        refuse!(
            NoInput,
            "{}: no recording with a transcript; put talk.txt with the words beside talk.wav, or name a folder of LibriSpeech",
            folder.display()
        );
    }
    let mut times: BTreeMap<PathBuf, Vec<WordTime>> = BTreeMap::new();
    for timed in read_json::<Vec<Timed>>(&folder.join("times.json"))?.unwrap_or_default() {
        times.insert(folder.join(timed.file), timed.words);
    }
    Ok(found.into_iter().map(|(path, transcript)| Recording { times: times.remove(&path), path, transcript }).collect())
}

fn read_json<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => refuse!(NoInput, "{}: {e}", file.display()),
    };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(e) => refuse!(NoInput, "{}: {e}", file.display()),
    }
}

fn look(folder: &Path, depth: usize, found: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let cannot = || format!("cannot look into {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                look(&path, depth - 1, found)?;
            }
        } else if name.ends_with(".trans.txt") {
            for line in read(&path)?.lines() {
                let (id, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                if let Some(sound) = sound_beside(&path.with_file_name(id)) {
                    found.insert(sound, text.to_owned());
                }
            }
        } else if let Some(stem) = name.strip_suffix(".txt")
            && let Some(sound) = sound_beside(&path.with_file_name(stem))
        {
            found.insert(sound, read(&path)?);
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(e) => refuse!(NoInput, "{}: {e}", file.display()),
    }
}

/// The sound file of this name, whatever it ends in. A name may have points of its own.
fn sound_beside(stem: &Path) -> Option<PathBuf> {
    let name = stem.file_name()?.to_str()?;
    let cases = |ending: &str| [ending.to_owned(), ending.to_uppercase()];
    ENDINGS.iter().flat_map(|ending| cases(ending)).find_map(|ending| {
        let file = stem.with_file_name(format!("{name}.{ending}"));
        file.is_file().then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::exit_of;
    use control_protocol::Exit;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("below")).expect("folder");
            std::fs::write(file, text).expect("file");
        }
        folder
    }

    fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = folder_with(files);
        let found = find(folder.path()).expect("recordings");
        let name = |path: &Path| path.strip_prefix(folder.path()).expect("below").display().to_string();
        found.iter().map(|recording| (name(&recording.path), recording.transcript.clone())).collect()
    }

    fn pair(file: &str, text: &str) -> (String, String) {
        (file.to_owned(), text.to_owned())
    }

    #[test]
    fn texts_beside_sounds_are_found() {
        let files = [
            ("b.wav", ""),
            ("b.txt", "two words"),
            ("a.1.FLAC", ""),
            ("a.1.txt", "one"),
            ("deep/er/c.mp3", ""),
            ("deep/er/c.txt", "three"),
            ("alone.wav", ""),
            ("notes.txt", "no sound"),
            ("empty.wav", ""),
            ("empty.txt", "\n"),
        ];
        assert_eq!(
            found(&files),
            [pair("a.1.FLAC", "one"), pair("b.wav", "two words"), pair("deep/er/c.mp3", "three")]
        );
    }

    #[test]
    fn librispeech_is_found() {
        let files = [
            (
                "84/121123/84-121123.trans.txt",
                "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT IN LESS\n84-121123-0002 X\n",
            ),
            ("84/121123/84-121123-0000.flac", ""),
            ("84/121123/84-121123-0001.flac", ""),
        ];
        assert_eq!(
            found(&files),
            [
                pair("84/121123/84-121123-0000.flac", "GO DO YOU HEAR"),
                pair("84/121123/84-121123-0001.flac", "BUT IN LESS")
            ]
        );
    }

    #[test]
    fn a_manifest_has_the_last_word() {
        let folder = folder_with(&[
            ("manifest.json", r#"[{"file":"b.wav","transcript":"b"},{"file":"a.wav","transcript":"a","seconds":1}]"#),
            ("times.json", r#"[{"file":"a.wav","words":[{"word":"a","start_s":0.5,"end_s":0.75}]}]"#),
            ("c.wav", ""),
            ("c.txt", "c"),
        ]);
        let found = find(folder.path()).expect("recordings");
        assert_eq!(found.iter().map(|recording| recording.transcript.as_str()).collect::<String>(), "ba");
        assert_eq!(found[0].times, None);
        assert_eq!(found[1].times, Some(vec![WordTime { word: "a".into(), start_s: 0.5, end_s: 0.75 }]));
    }

    #[test]
    fn a_folder_without_transcripts_is_refused() {
        let exit = |folder: &Path| exit_of(&find(folder).expect_err("nothing is there"));
        let folder = folder_with(&[("a.wav", ""), ("b.txt", "b")]);
        assert_eq!(exit(folder.path()), Exit::NoInput);
        assert_eq!(exit(&folder.path().join("a.wav")), Exit::NoInput);
        assert_eq!(exit(&folder.path().join("none")), Exit::NoInput);
        let broken = folder_with(&[("manifest.json", "[{")]);
        assert_eq!(exit(broken.path()), Exit::NoInput);
    }
}

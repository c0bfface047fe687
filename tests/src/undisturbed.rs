//! What an instance says while nobody disturbs it, for comparison.

use crate::{
    BASE_SPEECH, Event, Instance, Setup, Speech, TimedWord, align, assert_live_text, lost_words, model, normalise,
    program, watchdog,
};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::SystemTime;

/// Three utterances in 16 s; made once.
///
/// # Panics
/// Without the clips.
pub fn short() -> &'static Speech {
    static SHORT: OnceLock<Speech> = OnceLock::new();
    SHORT.get_or_init(|| Speech::join(&BASE_SPEECH).expect("the clips"))
}

/// What an instance says of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// Its words, normalised.
    pub words: Vec<String>,
    /// The same, each with its time.
    pub timed: Vec<TimedWord>,
}

/// What these programs, with this model, say of such a speech: the name under which that is kept.
fn name_of(speech: &Speech) -> Result<(String, String)> {
    let mut parts = Vec::new();
    for file in [program("tympan")?, program("audio-engine")?, program("transcriber-worker")?, model()?] {
        let meta = file.metadata()?;
        let changed = meta.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
        parts.push(format!("{}-{}", meta.len(), changed.as_nanos()));
    }
    let mut hasher = DefaultHasher::new();
    speech.wav()?.hash(&mut hasher);
    Ok((parts.join("-"), format!("{:016x}", hasher.finish())))
}

/// By programs, and by speech.
type Kept = BTreeMap<String, BTreeMap<String, Said>>;

/// What was heard before, by this test or another one, is kept beside the programs until they are built anew.
fn kept() -> Result<(PathBuf, Kept)> {
    let file = program("tympan")?.with_file_name("undisturbed.json");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    Ok((file, serde_json::from_str(&text).unwrap_or_default()))
}

/// What an instance says of a file while nobody disturbs it.
///
/// # Errors
/// When it cannot be run, or hears badly.
///
/// # Panics
/// After another test's panic.
pub fn undisturbed(speech: &Speech) -> Result<Said> {
    static KNOWN: Mutex<BTreeMap<PathBuf, Said>> = Mutex::new(BTreeMap::new());
    // Held meanwhile: whoever wants the same at the same time waits for it.
    let mut known = KNOWN.lock().expect("not poisoned");
    if let Some(said) = known.get(&speech.file()) {
        return Ok(said.clone());
    }
    let (programs, name) = name_of(speech)?;
    if let Some(said) = kept()?.1.get(&programs).and_then(|of| of.get(&name)) {
        known.insert(speech.file(), said.clone());
        return Ok(said.clone());
    }
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    end_of(&mut instance, speech)?;
    let words = words_of(&instance)?;
    let errors = align(&normalise(&[&speech.transcript()])?[0], &words);
    ensure!(errors.errors() * 5 <= errors.words, "undisturbed, and yet {errors:?}: {words:?}");
    let said = Said { words, timed: timed_words(&instance, None)? };
    known.insert(speech.file(), said.clone());
    let (file, mut all) = kept()?;
    all.retain(|of, _| *of == programs);
    all.entry(programs).or_default().insert(name, said.clone());
    // Whole or not at all: another test may look.
    let new = tempfile::NamedTempFile::new_in(file.parent().context("a folder")?)?;
    serde_json::to_writer(&new, &all)?;
    new.persist(&file)?;
    Ok(said)
}

/// The words of its finals so far, of one stream where one is named, in the time of a file: which goes on after the death of
/// an engine where it stopped.
///
/// # Errors
/// When an event is malformed.
pub fn timed_words(instance: &Instance, stream: Option<&str>) -> Result<Vec<TimedWord>> {
    let is_meant = |event: &Event| stream.is_none_or(|stream| event.fields["stream"] == stream);
    let events = instance.log().all()?;
    let started = events.iter().find(|event| event.is("started")).context("it never started")?;
    let rate_hz = started.number("sample_rate_hz")?;
    let mut gaps = Vec::new();
    for gap in events.iter().filter(|e| e.is("gap") && e.fields["cause"] == "engine_down" && is_meant(e)) {
        gaps.push(gap.span()?);
    }
    let before = |frame| gaps.iter().filter(|gap| gap.start < frame).map(|gap| gap.end - gap.start).sum::<u64>();
    let in_file_s = |frame: u64| (frame - before(frame)) as f64 / rate_hz;
    let finals = instance.finals()?;
    let meant: Vec<&Event> = finals.iter().filter(|event| is_meant(event)).collect();
    Ok(words_in(&meant, in_file_s)?.concat())
}

/// The words of each of these finals, at seconds that `place` makes of the session's frames.
///
/// # Errors
/// When an event is malformed.
pub fn words_in(finals: &[&Event], place: impl Fn(u64) -> f64) -> Result<Vec<Vec<TimedWord>>> {
    let mut raw: Vec<(usize, &str, f64, f64)> = Vec::new();
    for (n, event) in finals.iter().enumerate() {
        for word in event.fields["words"].as_array().into_iter().flatten() {
            let span = (word["text"].as_str(), word["start_frame"].as_u64(), word["end_frame"].as_u64());
            let (Some(text), Some(start), Some(end)) = span else { anyhow::bail!("a word without times: {word}") };
            raw.push((n, text, place(start), place(end)));
        }
    }
    let texts: Vec<&str> = raw.iter().map(|&(_, text, ..)| text).collect();
    let normal = if texts.is_empty() { Vec::new() } else { normalise(&texts)? };
    let mut words = vec![Vec::new(); finals.len()];
    for (parts, (n, _, start_s, end_s)) in normal.into_iter().zip(raw) {
        words[n].extend(parts.into_iter().map(|text| TimedWord { text, start_s, end_s }));
    }
    Ok(words)
}

/// What it has said so far, normalised.
///
/// # Errors
/// When an event is malformed.
pub fn words_of(instance: &Instance) -> Result<Vec<String>> {
    Ok(normalise(&[&instance.said()?])?.remove(0))
}

/// The end of the file, of the program and of all it made; its events were as they promise.
///
/// # Errors
/// What did not end, or is left.
pub fn end_of(instance: &mut Instance, speech: &Speech) -> Result<()> {
    instance.wait_event("stopped", watchdog(speech.seconds() + 5.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    assert_live_text(&instance.log().all()?)?;
    instance.assert_clean()
}

/// Every word of the undisturbed run is there, none beside them, and hardly any is another one. A word that live text is unsure of
/// depends on when its answers come, so it may be another one at the same time.
///
/// # Errors
/// What is missing, what is too much, or how much is different.
pub fn assert_no_word_lost(instance: &Instance, speech: &Speech) -> Result<()> {
    let undisturbed = undisturbed(speech)?;
    let said = timed_words(instance, None)?;
    let (lost, invented) = (lost_words(&undisturbed.timed, &said), lost_words(&said, &undisturbed.timed));
    ensure!(lost.is_empty() && invented.is_empty(), "lost {lost:?}, invented {invented:?}: {}", instance.said()?);
    let errors = align(&undisturbed.words, &words_of(instance)?);
    ensure!(errors.substitutions + errors.insertions <= 2, "{errors:?}: {}", instance.said()?);
    Ok(())
}

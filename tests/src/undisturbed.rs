//! What an instance says while nobody disturbs it, for comparison.

use crate::{BASE_SPEECH, Instance, Setup, Speech, WordErrors, align, normalise, watchdog};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

/// Three utterances in 16 s; made once.
///
/// # Panics
/// Without the clips.
pub fn short() -> &'static Speech {
    static SHORT: OnceLock<Speech> = OnceLock::new();
    SHORT.get_or_init(|| Speech::join(&BASE_SPEECH).expect("the clips"))
}

/// The words an instance has for a file while nobody disturbs it, normalised.
///
/// # Errors
/// When it cannot be run, or hears badly.
///
/// # Panics
/// After another test's panic.
pub fn undisturbed(speech: &Speech) -> Result<Vec<String>> {
    static KNOWN: Mutex<BTreeMap<PathBuf, Vec<String>>> = Mutex::new(BTreeMap::new());
    if let Some(words) = KNOWN.lock().expect("not poisoned").get(&speech.file()) {
        return Ok(words.clone());
    }
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    end_of(&mut instance, speech)?;
    let words = words_of(&instance)?;
    let errors = align(&normalise(&[&speech.transcript()])?[0], &words);
    ensure!(errors.errors() * 5 <= errors.words, "undisturbed, and yet {errors:?}: {words:?}");
    KNOWN.lock().expect("not poisoned").insert(speech.file(), words.clone());
    Ok(words)
}

/// What it has said so far, normalised.
///
/// # Errors
/// When an event is malformed.
pub fn words_of(instance: &Instance) -> Result<Vec<String>> {
    Ok(normalise(&[&instance.said()?])?.remove(0))
}

/// The end of the file, of the program and of all it made.
///
/// # Errors
/// What did not end, or is left.
pub fn end_of(instance: &mut Instance, speech: &Speech) -> Result<()> {
    instance.wait_event("stopped", watchdog(speech.seconds() + 5.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// It said what it says undisturbed, and nothing twice.
///
/// # Errors
/// What it said.
pub fn assert_same_words(instance: &Instance, speech: &Speech) -> Result<()> {
    instance.assert_once()?;
    let (expected, words) = (undisturbed(speech)?, words_of(instance)?);
    ensure!(words == expected, "said {words:?}\ninstead of {expected:?}");
    Ok(())
}

/// Words that are gone. Live text depends on when its answers came: two words that are heard as one another time are a word
/// replaced and one missing, and nothing is lost.
#[must_use]
pub const fn lost(errors: &WordErrors) -> usize {
    errors.deletions.saturating_sub(errors.substitutions)
}

/// Every word of the undisturbed run is there, and hardly any other.
///
/// # Errors
/// What is missing.
pub fn assert_no_word_lost(instance: &Instance, speech: &Speech) -> Result<()> {
    let errors = align(&undisturbed(speech)?, &words_of(instance)?);
    ensure!(lost(&errors) == 0, "{} words lost: {}", lost(&errors), instance.said()?);
    ensure!(errors.substitutions + errors.insertions <= 2, "{errors:?}: {}", instance.said()?);
    Ok(())
}

//! Live words are as good as those of a recording: the clips joined in an order, with pauses and noise that seeds decide,
//! played in real time to a whole system and written down once more as a recording. `tympan bench` plays and counts.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use system_tests::*;

/// Joins of the full run, for each model. Every second one has noise.
const SEEDS: u64 = 20;
/// Noise below the speech, in dB.
const NOISE_DB: &str = "10";
/// How many of a hundred words more may be wrong live.
const POINTS_MAX: f64 = 0.5;
/// In the short run a word is more than that: so many words may be.
const WORDS_MAX: i64 = 3;
/// How far half of the words' beginnings and ends may be from where another aligner found them.
const TIME_ERROR_S_MAX: f64 = 0.15;

/// How many joins there are in the long run; `TYMPAN_JOINS` may want fewer.
fn seeds() -> u64 {
    let given = std::env::var("TYMPAN_JOINS").ok().and_then(|text| text.parse().ok());
    given.map_or(SEEDS, |given: u64| given.min(SEEDS))
}

/// What came of the joins of one model.
#[derive(Debug, Default)]
struct Sum {
    words: i64,
    live: i64,
    recorded: i64,
    /// The medians of the joins, and how many times each is of.
    time_errors_s: Vec<(f64, u64)>,
}

fn count(value: &Value, field: &str) -> Result<i64> {
    value[field].as_i64().with_context(|| format!("no count {field:?} in {value}"))
}

fn errors(value: &Value) -> Result<i64> {
    Ok(count(value, "substitutions")? + count(value, "deletions")? + count(value, "insertions")?)
}

/// Plays one join, checks what must hold of each, and adds what counts in sum.
fn play(model: &PathBuf, seed: u64, speech_s: u32, sum: &mut Sum) -> Result<()> {
    let (folders, seed_text) = (Folders::new()?, seed.to_string());
    let mut command = tympan(&folders)?;
    command.args(["bench", "--json", "--live", &speech_s.to_string(), "--seed", &seed_text, "--model"]).arg(model);
    let has_noise = seed.is_multiple_of(2);
    if has_noise {
        command.args(["--noise", NOISE_DB]);
    }
    let finished = run_to_end(&mut command, watchdog(60.0 + 2.0 * f64::from(speech_s)))?;
    finished.expect_success()?;
    folders.assert_clean()?;
    let said: Value = serde_json::from_str(&finished.stdout).with_context(|| finished.stdout.clone())?;
    let live = &said["live"];
    ensure!(live["noise_db"].is_number() == has_noise, "{live}");
    // A stable text: what was committed begins the finals, no sound is in two of them, and nothing is left over.
    ensure!(live["broken_promises"] == serde_json::json!([]), "seed {seed}: {}", live["broken_promises"]);
    // Nothing is lost: each clip has its final, no frame is unheard, and nobody had to be replaced.
    ensure!(count(live, "lost_frames")? == 0 && count(live, "faults")? == 0, "seed {seed}: {live}");
    ensure!(count(&live["final"], "missing")? == 0, "seed {seed}: a clip without words: {live}");
    ensure!(
        count(&live["commit"], "count")? * 2 > count(live, "words")?,
        "seed {seed}: hardly a word is there: {live}"
    );
    let (words, wrong, recorded) = (count(live, "words")?, errors(live)?, errors(&live["as_recording"])?);
    ensure!(words > 30 && live["seconds"].as_f64() > Some(25.0), "seed {seed}: that is no half minute: {live}");
    let median_s = live["word_times"]["median_error_s"].as_f64().context("no word times")?;
    let times = live["word_times"]["count"].as_u64().context("no word times")?;
    eprintln!(
        "{}, seed {seed}, noise {}: {words} words, {wrong} wrong live and {recorded} as a recording; word times {median_s} s\n  {}\n  {}",
        model.display(),
        live["noise_db"],
        live["differences"],
        live["as_recording"]["differences"]
    );
    sum.words += words;
    sum.live += wrong;
    sum.recorded += recorded;
    sum.time_errors_s.push((median_s, times));
    Ok(())
}

fn check(model: &PathBuf, seeds: impl Iterator<Item = u64>, speech_s: u32) -> Result<()> {
    let mut sum = Sum::default();
    for seed in seeds {
        play(model, seed, speech_s, &mut sum)?;
    }
    let points = 100.0 * (sum.live - sum.recorded) as f64 / sum.words as f64;
    let times: u64 = sum.time_errors_s.iter().map(|(_, times)| times).sum();
    let time_error_s = sum.time_errors_s.iter().map(|(s, times)| s * *times as f64).sum::<f64>() / times as f64;
    eprintln!(
        "{}: {} of {} words wrong live, {} as a recording: {points:+.2} points; word times {time_error_s:.3} s",
        model.display(),
        sum.live,
        sum.words,
        sum.recorded
    );
    ensure!(time_error_s <= TIME_ERROR_S_MAX, "word times are {time_error_s:.3} s off: {sum:?}");
    if long() {
        ensure!(points <= POINTS_MAX, "{points:+.2} points live: {sum:?}");
    } else {
        ensure!(sum.live - sum.recorded <= WORDS_MAX, "{points:+.2} points live: {sum:?}");
    }
    Ok(())
}

/// The models of the long run; `TYMPAN_MODEL` may want one of them.
fn models() -> Result<Vec<PathBuf>> {
    let given = std::env::var("TYMPAN_MODEL").ok();
    let names = ["tiny.en", "base"].into_iter().filter(|name| given.as_deref().is_none_or(|given| given == *name));
    let file = |name| Ok(cache_home()?.join(format!("tympan/models/ggml-{name}.bin")));
    let files: Vec<PathBuf> = names.map(file).collect::<Result<_>>()?;
    ensure!(!files.is_empty(), "TYMPAN_MODEL={given:?}: tiny.en or base");
    for file in &files {
        ensure!(file.is_file(), "{} is missing: run `tympan model fetch` with its name", file.display());
    }
    Ok(files)
}

#[test]
fn live_words_are_as_good_as_those_of_a_recording() -> Result<()> {
    if !long() {
        return check(&model()?, 1..=2, 18);
    }
    // All are measured, whatever comes of the first.
    let results: Vec<_> = models()?.iter().map(|model| check(model, 1..=seeds(), 60)).collect();
    results.into_iter().collect()
}

//! `tympan bench`: it measures, agrees with the scorer of these tests, refuses as other commands do, and leaves nothing.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use system_tests::*;

fn bench(folders: &Folders, args: &[&str]) -> Result<Command> {
    let mut command = tympan(folders)?;
    command.args(["bench", "--model"]).arg(model()?).args(args);
    Ok(command)
}

/// A bench of a few seconds of speech: what it answered.
fn answer(args: &[&str]) -> Result<Value> {
    let folders = Folders::new()?;
    let finished = run_to_end(&mut bench(&folders, args)?, watchdog(40.0))?;
    finished.expect_success()?;
    folders.assert_clean()?;
    serde_json::from_str(&finished.stdout).with_context(|| format!("bench said {:?}", finished.stdout))
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("{value} is no number"))
}

/// The number is there, and in this range.
fn within(value: &Value, path: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64> {
    let found = value.pointer(path).with_context(|| format!("no {path} in {value}"))?;
    let number = number(found).with_context(|| path.to_owned())?;
    ensure!(range.contains(&number), "{path} is {number}, not in {range:?}: {value}");
    Ok(number)
}

#[test]
fn two_clips_are_measured() -> Result<()> {
    let said = answer(&["--quick", "--json", "--workers", "1", "--seed", "3"])?;
    let about = |field: &str| said[field].to_string();
    ensure!(about("model") == "\"ggml-tiny.en.bin\"" && about("language") == "\"en\"", "{said}");
    ensure!(about("workers") == "1" && said["material"]["folder"].is_null(), "{said}");
    within(&said, "/material/recordings", 2.0..=2.0)?;
    within(&said, "/material/seconds", 6.2..=6.4)?;
    within(&said, "/machine/processors", 1.0..=4096.0)?;

    within(&said, "/offline/real_time_factor", 0.001..=100.0)?;
    within(&said, "/offline/lost_frames", 0.0..=0.0)?;
    // The scorer of these tests, which is Whisper's own, sees what the bench sees.
    let mut errors = WordErrors::default();
    for (name, transcript) in [
        ("librivox_0880.wav", "he was not an ill disposed young man"),
        ("librivox_0930.wav", "he might even have been made amiable himself"),
    ] {
        errors += errors_of(transcript, transcribe(&clip_file(name))?["text"].as_str().context("no text")?)?;
    }
    let counted = ["words", "substitutions", "deletions", "insertions"].map(|kind| said["offline"][kind].as_u64());
    let expected = [errors.words, errors.substitutions, errors.deletions, errors.insertions];
    ensure!(counted == expected.map(|count| Some(count as u64)), "{expected:?}: {said}");

    let differences = said["offline"]["differences"].as_array().context("no differences")?;
    ensure!(differences.len() == errors.errors(), "{errors:?}: {differences:?}");

    let live = &said["live"];
    within(live, "/words", 16.0..=16.0)?;
    within(live, "/word_error_rate_percent", 0.0..=40.0)?;
    within(live, "/as_recording/words", 16.0..=16.0)?;
    within(live, "/as_recording/word_error_rate_percent", 0.0..=40.0)?;
    ensure!(live["broken_promises"] == serde_json::json!([]), "{live}");
    let speech_s = within(live, "/speech_s", 4.5..=6.3)?;
    within(live, "/seconds", speech_s + 9.0..=speech_s + 15.0)?;
    within(live, "/final/count", 2.0..=2.0)?;
    within(live, "/final/missing", 0.0..=0.0)?;
    // No final before the end of speech; a breath behind the words is heard and is none of them.
    let (p50_s, p95_s) = (within(live, "/final/p50_s", -0.5..=300.0)?, within(live, "/final/p95_s", -0.5..=300.0)?);
    ensure!(p50_s <= p95_s, "{live}");
    within(live, "/first_partial/p50_s", 0.0..=300.0)?;
    within(live, "/partials", 1.0..=100.0)?;
    within(live, "/taken_back_per_100_words", 0.0..=1_000.0)?;
    within(live, "/commit/count", 8.0..=16.0)?;
    within(live, "/commit/p50_s", 0.0..=300.0)?;
    within(live, "/cores_speaking", 0.01..=64.0)?;
    within(live, "/cores_quiet", 0.0001..=64.0)?;
    within(live, "/cores_of_others", 0.0..=4096.0)?;
    within(live, "/word_times/count", 16.0..=32.0)?;
    // Of a word in a sentence, a second is another word.
    within(live, "/word_times/median_error_s", 0.0..=1.0)?;
    within(live, "/lost_frames", 0.0..=0.0)?;
    within(live, "/faults", 0.0..=0.0)?;
    for role in ["supervisor", "engine", "listener", "worker"] {
        within(live, &format!("/memory_mb/{role}"), 1.0..=4_000.0)?;
    }
    Ok(())
}

#[test]
fn a_folder_of_ones_own_is_measured() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copy = |from: &str, to: &str| std::fs::copy(clip_file(from), folder.path().join(to));
    copy("formats/librivox_0880.flac", "8-1-0000.flac")?;
    std::fs::write(folder.path().join("8-1.trans.txt"), "8-1-0000 HE WAS NOT AN ILL DISPOSED YOUNG MAN\n")?;
    copy("librivox_0930.wav", "b.wav")?;
    std::fs::write(folder.path().join("b.txt"), "He might even have been made amiable himself!\n")?;
    copy("jfk.wav", "nothing is known of it.wav")?;
    let path = folder.path().to_str().context("a path")?;
    let said = answer(&[path, "--live", "1", "--quick", "--noise", "30", "--json"])?;
    ensure!(said["material"]["folder"] == path, "{said}");
    within(&said, "/offline/words", 16.0..=16.0)?;
    within(&said, "/offline/word_error_rate_percent", 0.0..=40.0)?;
    // The first one is longer than a second, so that no other is played.
    within(&said, "/live/recordings", 1.0..=1.0)?;
    within(&said, "/live/noise_db", 30.0..=30.0)?;
    within(&said, "/live/final/count", 1.0..=1.0)?;
    ensure!(said["live"]["word_times"].is_null(), "nobody knows when its words are heard: {said}");
    Ok(())
}

#[test]
fn what_cannot_be_measured_is_refused() -> Result<()> {
    let (folders, folder) = (Folders::new()?, tempfile::tempdir()?);
    let refused = |args: &[&str], code: u8, named: &[&str]| -> Result<()> {
        run_to_end(&mut bench(&folders, args)?, watchdog(10.0))?.expect_exit(code, named)?;
        folders.assert_clean()
    };
    let path = folder.path().to_str().context("a path")?;
    refused(&[path], 11, &[path, "no recording with a transcript"])?;
    refused(&["/nowhere/at/all"], 11, &["/nowhere/at/all", "no such folder"])?;
    std::fs::write(folder.path().join("a.wav"), "this is no sound")?;
    std::fs::write(folder.path().join("a.txt"), "and this is a text")?;
    refused(&[path], 12, &["a.wav"])?;
    refused(&["--noise", "loud"], 2, &["loud"])?;
    let mut command = tympan(&folders)?;
    command.args(["bench", "--model", "/nowhere/at/all.bin"]);
    run_to_end(&mut command, watchdog(10.0))?.expect_exit(7, &["/nowhere/at/all.bin"])?;
    folders.assert_clean()
}

#[test]
fn an_interrupted_bench_leaves_nothing() -> Result<()> {
    let folders = Folders::new()?;
    let mut command = bench(&folders, &["--quick", "--json"])?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    // It has come to the part that takes time.
    let place = wait_until("an instance that is measured", watchdog(20.0), || {
        let files = folders.runtime_files()?;
        let lock = files.iter().find(|path| path.file_name().is_some_and(|name| name == "instance.lock"));
        Ok(lock.and_then(|lock| lock.parent()).map(Path::to_owned))
    })?;
    wait_until("its processes", watchdog(20.0), || Ok((processes_of(&place).len() > 2).then_some(())))?;
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(5) && said.contains("interrupted"), "{}: {said}", output.status);
    ensure!(output.stdout.is_empty(), "an answer all the same");
    let left = processes_of(&place);
    ensure!(left.is_empty(), "processes left: {left:?}");
    folders.assert_clean()
}

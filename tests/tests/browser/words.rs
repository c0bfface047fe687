//! Words stand under their sound, and are heard.

use super::judge::clean;
use crate::web::{FakeWords, Page, Server, UNSETTLED, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shm_layout::FrameIndex;
use system_tests::{CLIPS, Setup, Speech, wait_until, watchdog};

#[test]
fn words_stand_under_their_sound_and_are_heard() -> Result<()> {
    let page = Page::new()?;
    let writer = Writer::start(&page, "talk", &["sine:440:0.25"])?;
    let now = wait_until("some seconds of sound", watchdog(3.0), || {
        Ok(Some(writer.newest()?).filter(|&frame| frame > 240_000))
    })?;
    let words = FakeWords::start(&page, "talk", &[("hello", now - 96_000), ("world", now - 48_000)])?;
    let seen = page.serve(&[])?.drive("words", &json!({"lanes": 1, "words": 2, "press": "hello"}))?;
    clean(&seen)?;
    words.were_asked_for()?;
    ensure!(seen["partials"] == json!([["talk", UNSETTLED]]), "what may change: {}", seen["partials"]);
    ensure!(seen["spoken"] == "hello world", "for screen readers: {}", seen["spoken"]);
    let place = seen["place"].as_array().context("place")?;
    ensure!(place.len() == 2, "{place:?}");
    for word in place {
        let off = (word["x"].as_f64().context("x")? - word["right"].as_f64().context("right")?).abs();
        ensure!(off < 12.0, "{word} is {off} pixels from its sound");
    }
    ensure!(seen["heard"]["missing"] == 0, "{}", seen["heard"]);
    ensure!((seen["heard"]["peak"].as_f64().context("peak")? - 0.25).abs() < 0.001, "{}", seen["heard"]);
    ensure!(
        seen["selection"]["width"].as_f64().is_some_and(|width| (width - 36.0).abs() < 3.0),
        "{}",
        seen["selection"]
    );
    Ok(())
}

#[test]
fn the_words_of_an_instance_stand_under_their_sound_and_are_heard() -> Result<()> {
    let speech = Speech::join(&CLIPS)?;
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    instance.wait_event("a final", watchdog(15.0), |event| event.is("final"))?;
    let server = Server::start(instance.folders(), &["file"])?;
    let seen = server.drive("words", &json!({"lanes": 1, "words": 3, "waitS": 100}))?;
    clean(&seen)?;
    drop(server);
    // As the instance said them: text and time.
    let events = instance.log().all()?;
    let said: Vec<&Value> =
        events.iter().flat_map(|event| event.fields["words"].as_array().into_iter().flatten()).collect();
    let near = |word: &Value, seconds: f64, off_s: f64| {
        word["start_s"].as_f64().is_some_and(|start| (start - seconds).abs() < off_s)
    };
    let words = seen["words"].as_array().context("words")?;
    for word in words {
        let at = word["startSeconds"].as_f64().context("startSeconds")?;
        ensure!(said.iter().any(|one| one["text"] == word["text"] && near(one, at, 0.001)), "{word} was never said");
    }
    let place = seen["place"].as_array().context("place")?;
    ensure!(!place.is_empty() && words.len() >= 3, "{seen}");
    let mut free = f64::MIN;
    for word in place {
        let number = |name: &str| word[name].as_f64().with_context(|| name.to_owned());
        // A word that is longer than its sound has the next one make way.
        let expected = number("right")?.max(free);
        ensure!((number("x")? - expected).abs() < 12.0, "{word} does not stand at {expected}");
        free = number("x")? + number("wide")? + 3.0;
    }
    // The pressed one is marked where it was said, and what is heard is what the ring has there.
    let (at, length) = (&seen["selected"]["atS"], &seen["selected"]["lengthS"]);
    let (at, length) = (at.as_f64().context("at")?, length.as_f64().context("length")?);
    let fits = |word: &&&Value| {
        near(word, at, 0.05) && word["end_s"].as_f64().is_some_and(|end| (end - at - length).abs() < 0.1)
    };
    let word = said.iter().find(fits).with_context(|| format!("no word was said at {at} s for {length} s"))?;
    let frame = |name: &str| word[name].as_u64().with_context(|| name.to_owned());
    let margin = (frame("end_frame")? - frame("start_frame")?) as f64
        / (word["end_s"].as_f64().context("end")? - word["start_s"].as_f64().context("start")?)
        * 0.05;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred frames")]
    let margin = margin.round() as u64;
    let from = frame("start_frame")?.saturating_sub(margin);
    let mut samples = vec![0.0; usize::try_from(frame("end_frame")? + margin - from)?];
    let stream = events.iter().find_map(|event| event.fields["stream"].as_str()).context("stream")?;
    let frames = samples.len();
    instance.ring(stream)?.read(FrameIndex(from), &mut samples, frames)?;
    let peak = samples.iter().fold(0.0_f64, |peak, &sample| peak.max(f64::from(sample.abs())));
    let heard = seen["heard"]["peak"].as_f64().context("peak")?;
    ensure!(seen["heard"]["missing"] == 0 && peak > 0.01 && (heard - peak).abs() < 1e-6, "{heard} is heard of {peak}");
    instance.interrupt()?;
    instance.wait_exit(watchdog(2.0))?;
    instance.assert_clean()
}

//! Pauses: what is said in them is not written down, what is said before and after is, and capture goes on.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::time::Duration;
use system_tests::*;

/// The session's second that the file of `stream` has reached.
fn heard_s(ring: &shm_layout::RingReader) -> f64 {
    ring.commit().seconds(ring.info().sample_rate_hz)
}

/// Waits until the stream's file has been played up to this second of it.
fn wait_played(instance: &Instance, ring: &shm_layout::RingReader, file_s: f64) -> Result<()> {
    instance.wait_captured(ring, file_s)
}

/// What `pause`, `resume` or `toggle` answers.
fn order(instance: &Instance, args: &[&str]) -> Result<Value> {
    let finished = instance.command(&[args, &["--json"]].concat())?;
    finished.expect_success()?;
    serde_json::from_str(&finished.stdout).with_context(|| finished.stdout.clone())
}

fn turned(instance: &Instance, kind: &str) -> Result<Event> {
    instance.wait_event(kind, watchdog(1.0), |event| event.is(kind))
}

/// Nothing of the pause is in a final; all of before and after is, with this text.
fn check_words(instance: &Instance, speech: &Speech) -> Result<()> {
    let (paused, resumed) = (turned(instance, "paused")?, turned(instance, "resumed")?);
    let pause = paused.whole("frame")?..resumed.whole("frame")?;
    // The case occurred: the second clip, and nothing of the others, lies in the pause. Frame 0 comes a moment earlier.
    let pause_s = paused.number("at_s")?..resumed.number("at_s")?;
    ensure!(pause_s.start > speech.span_s(0).end && pause_s.start < speech.span_s(1).start, "{pause_s:?}");
    ensure!(pause_s.end > speech.span_s(1).end && pause_s.end < speech.span_s(2).start + 0.2, "{pause_s:?}");
    instance.assert_once()?;
    for event in instance.finals()? {
        let span = event.span()?;
        ensure!(span.end <= pause.start || span.start >= pause.end, "{} is in the pause {pause:?}", event.fields);
    }
    let transcript = |n| -> Result<String> { Ok(Speech::join(&[BASE_SPEECH[n]])?.transcript()) };
    let errors = errors_of(&format!("{} {}", transcript(0)?, transcript(2)?), &instance.said()?)?;
    ensure!(errors.words > 15 && errors.errors() * 5 <= errors.words, "{errors:?}: {}", instance.said()?);
    ensure!(!instance.log().all()?.iter().any(|event| event.is("lost")), "a pause is no loss");
    Ok(())
}

#[test]
fn what_is_said_in_a_pause_is_not_written_down() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    wait_played(&instance, &ring, speech.span_s(0).end + 0.3)?;
    ensure!(order(&instance, &["pause"])? == json!({"paused": ["file"], "listening": []}));
    // What was said up to the pause is a whole utterance at once, and comes while the pause lasts.
    let paused = turned(&instance, "paused")?;
    let first = instance.wait_event("the words before", watchdog(2.0), |event| event.is("final"))?;
    ensure!(first.whole("end_frame")? <= paused.whole("frame")?, "{}", first.fields);
    let position = |instance: &Instance| -> Result<u64> {
        let status = instance.json("status")?;
        ensure!(status["streams"][0]["paused"] == true && status["streams"][0]["state"] == "open", "{status}");
        status["streams"][0]["position_frame"].as_u64().context("a position")
    };
    let before = position(&instance)?;
    wait_played(&instance, &ring, speech.span_s(1).end + 0.3)?;
    // It is captured as ever, and the listener's place moves on.
    let behind = ring.commit().0.saturating_sub(position(&instance)?);
    ensure!(
        position(&instance)? > before && behind < 5 * u64::from(ring.info().sample_rate_hz),
        "{behind} frames behind"
    );
    ensure!(instance.command(&["status"])?.stdout.contains("paused"), "status for people");
    ensure!(order(&instance, &["resume"])? == json!({"paused": [], "listening": ["file"]}));
    end_of(&mut instance, speech)?;
    check_words(&instance, speech)
}

#[test]
fn a_new_listener_knows_of_the_pause() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    wait_played(&instance, &ring, speech.span_s(0).end + 0.3)?;
    order(&instance, &["pause"])?;
    // Before it has told of the words that were said up to here, or a moment later: both must do.
    instance.kill_role("listener")?;
    wait_played(&instance, &ring, speech.span_s(1).start + 1.0)?;
    instance.kill_role("listener")?;
    wait_played(&instance, &ring, speech.span_s(1).end + 0.2)?;
    // The order to go on finds no listener, and what was said since its death is in the pause.
    instance.kill_role("listener")?;
    order(&instance, &["toggle"])?;
    end_of(&mut instance, speech)?;
    let lives = instance.log().all()?.iter().filter(|event| event.is_process("listener", "ready")).count();
    ensure!(lives >= 3, "{lives} listeners");
    check_words(&instance, speech)
}

#[test]
fn a_sentence_is_cut_where_the_pause_begins() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    let clip = speech.span_s(0);
    wait_played(&instance, &ring, (clip.start + clip.end) / 2.0)?;
    order(&instance, &["toggle", "file"])?;
    let paused = turned(&instance, "paused")?;
    let at = paused.whole("frame")?;
    ensure!(heard_s(&ring) < clip.end + 2.0 && paused.number("at_s")? < clip.end - 0.2, "too late: {}", paused.fields);
    let half = instance.wait_event("the half sentence", watchdog(2.0), |event| event.is("final"))?;
    ensure!(half.whole("start_frame")? < at && half.whole("end_frame")? <= at, "{}", half.fields);
    // Nothing else comes, up to the end of the file.
    end_of(&mut instance, speech)?;
    ensure!(instance.finals()?.len() == 1, "{:?}", instance.finals()?);
    Ok(())
}

#[test]
fn streams_are_paused_one_by_one() -> Result<()> {
    let mut instance = Setup::run(&["a=test:tone", "b=test:silence"]).start()?;
    instance.wait_ready()?;
    let (a, b, both) = (json!(["a"]), json!(["b"]), json!(["a", "b"]));
    let answer = |paused: &Value, listening: &Value| json!({"paused": paused, "listening": listening});
    let none = json!([]);
    for (given, expected) in [
        (&["resume"][..], answer(&none, &both)),
        (&["pause", "a"], answer(&a, &b)),
        (&["pause", "a"], answer(&a, &b)),
        (&["toggle", "b", "a"], answer(&both, &none)),
        (&["toggle", "b"], answer(&a, &b)),
        // One is still heard: all are to be quiet.
        (&["toggle"], answer(&both, &none)),
        (&["toggle"], answer(&none, &both)),
        (&["pause"], answer(&both, &none)),
        (&["resume", "b"], answer(&a, &b)),
    ] {
        let said = order(&instance, given)?;
        ensure!(said == expected, "{given:?}: {said}, not {expected}");
    }
    let people = instance.command(&["pause", "a"])?;
    people.expect_success()?;
    ensure!(people.stdout == "paused: a\nlistening: b\n", "{:?}", people.stdout);
    let nobody = instance.command(&["pause", "a", "c"])?;
    ensure!(nobody.code != Some(0) && nobody.stderr.contains("there is no stream c; there is a, b"), "{nobody:?}");
    // An order that does nothing is no event.
    let count = |kind: &str| Ok::<_, anyhow::Error>(instance.log().all()?.iter().filter(|e| e.is(kind)).count());
    ensure!((count("paused")?, count("resumed")?) == (5, 4), "{:?}", instance.log().all()?);
    ensure!(instance.stderr().is_empty(), "JSON is for programs: {}", instance.stderr());
    // The rings go on, and a paused stream ends like another.
    let ring = instance.ring("a")?;
    let commit = ring.commit();
    wait_until("more sound", watchdog(1.0), || Ok((ring.commit().since(commit) > 24_000).then_some(())))?;
    std::thread::sleep(Duration::from_millis(10));
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn orders_without_a_listener_take_no_room_and_come_late() -> Result<()> {
    let programs = tempfile::tempdir()?;
    symlink(program("audio-engine")?, programs.path().join("audio-engine"))?;
    symlink(program("quick-transcriber")?, programs.path().join("transcriber-worker"))?;
    let setup = Setup::run(&["mic=test:silence"]).env("TYMPAN_LIBEXEC", programs.path());
    let mut instance = setup.env("SLOW_LISTENER", programs.path()).start()?;
    instance.ring("mic")?;
    let say = |file: &str| std::fs::write(programs.path().join(file), "");
    // Nobody listens yet, and somebody plays with the hotkey.
    let turns = 160;
    for _ in 0..turns {
        order(&instance, &["toggle"])?;
    }
    say("ready")?;
    instance.wait_ready()?;
    let told = wait_until("the orders", watchdog(2.0), || {
        let text = std::fs::read_to_string(programs.path().join("orders")).unwrap_or_default();
        Ok(text.parse::<u64>().ok())
    })?;
    ensure!((2..=128).contains(&told), "{turns} orders, and the listener was told {told}");
    // What it heard turns out to lie in a pause: text that is not certain is taken back, and what was committed stays.
    let text_of = |event: &Event| event.text("text").map(str::to_owned).unwrap_or_default();
    let shown = |log: &EventLog, from, text: &str| {
        log.wait(from, text, watchdog(2.0), |e| e.is("partial") && text_of(e).contains(text))
    };
    let first = shown(instance.log(), 0, "from frame 480000 on")?;
    say("pass1")?;
    let after = instance.log().wait(first.index + 1, "the end of it", watchdog(2.0), |e| {
        e.is("final") || (e.is("partial") && text_of(e).is_empty())
    })?;
    ensure!(after.is("partial") && after.fields["committed"] == "", "{}", after.fields);
    let second = shown(instance.log(), after.index, "from frame 960000 on")?;
    let certain = |e: &Event| e.is("committed");
    let committed = instance.log().wait(second.index, "certain words", watchdog(2.0), certain)?;
    say("pass2")?;
    let last = instance.log().wait(committed.index, "the end of it", watchdog(2.0), |e| e.is("final"))?;
    ensure!(
        last.fields["words"] == committed.fields["words"] && text_of(&last) == text_of(&committed),
        "{}",
        last.fields
    );
    // Neither comes again, with the answers that came late.
    std::thread::sleep(Duration::from_millis(500));
    let events = instance.log().all()?;
    let texts = events.iter().filter(|e| (e.is("partial") && !text_of(e).is_empty()) || e.is("final"));
    let of_first = |e: &&Event| text_of(e).contains("480000");
    ensure!(!texts.clone().any(|e| e.index > after.index && of_first(&e)), "again: {events:?}");
    ensure!(!texts.clone().any(|e| e.index > last.index), "again: {events:?}");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

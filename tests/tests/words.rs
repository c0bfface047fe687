//! The words: not more errors than the recogniser alone, by whichever way the sound comes.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::sync::OnceLock;
use std::time::Duration;
use system_tests::*;

/// The most bytes one message between two processes may have.
const MESSAGE_BYTES_MAX: u64 = 4096;

/// All clips joined; made once.
fn joined() -> &'static Speech {
    static JOINED: OnceLock<Speech> = OnceLock::new();
    JOINED.get_or_init(|| Speech::join(&CLIPS).expect("the clips"))
}

/// Errors of `transcribe` over a speech's clips, each alone; each of the six is counted once.
fn transcribed(speech: &Speech) -> WordErrors {
    static ERRORS: OnceLock<Vec<WordErrors>> = OnceLock::new();
    let errors = ERRORS.get_or_init(|| errors_of_clips(said_by_transcribe).expect("transcribe"));
    let of_file = |file: &str| CLIPS.iter().position(|clip| *clip == file).map(|n| errors[n]);
    sum(speech.files().filter_map(of_file))
}

fn sum(errors: impl IntoIterator<Item = WordErrors>) -> WordErrors {
    errors.into_iter().fold(WordErrors::default(), |mut sum, errors| {
        sum += errors;
        sum
    })
}

fn said_by_transcribe(clip: &str) -> Result<String> {
    let said = transcribe(&clip_file(clip))?;
    ensure!(said["lost_frames"] == 0, "{clip}: lost frames in {said}");
    Ok(said["text"].as_str().context("no text")?.to_owned())
}

fn errors_of_clips(say: impl Fn(&str) -> Result<String>) -> Result<Vec<WordErrors>> {
    let mut all = Vec::new();
    for clip in CLIPS {
        let transcript = Speech::join(&[clip])?.transcript();
        let text = say(clip)?;
        let errors = errors_of(&transcript, &text)?;
        eprintln!("{clip}: {errors:?}\n  {transcript}\n  {text}");
        all.push(errors);
    }
    Ok(all)
}

/// What comes in real time: all clips in the long run, three of them else.
fn spoken() -> &'static Speech {
    if long() { joined() } else { short() }
}

/// What an instance must have done with this speech, however it heard it.
fn check_words(instance: &Instance, speech: &Speech, largest_message_bytes: u64) -> Result<()> {
    instance.assert_once()?;
    let errors = errors_of(&speech.transcript(), &instance.said()?)?;
    let allowed = transcribed(speech).errors() + 2;
    eprintln!("{errors:?}, {allowed} allowed, in: {}", instance.said()?);
    ensure!(errors.errors() <= allowed, "{errors:?}, {allowed} allowed, in: {}", instance.said()?);
    let events = instance.log().all()?;
    ensure!(!events.iter().any(|event| event.is("lost")), "frames were lost");
    ensure!(largest_message_bytes > 0, "no message was measured");
    ensure!(largest_message_bytes <= MESSAGE_BYTES_MAX, "a message of {largest_message_bytes} bytes");
    Ok(())
}

/// Follows an instance to the end of its source. Returns the size of the largest message seen.
fn follow_to_the_end(instance: &mut Instance) -> Result<u64> {
    let (mut next, mut largest) = (0, 0);
    let limit = watchdog(joined().seconds());
    loop {
        let event =
            instance.log().wait(next, "the next final or the end", limit, |e| e.is("final") || e.is("stopped"))?;
        if event.is("stopped") {
            break;
        }
        next = event.index + 1;
        // The last finals may come so late that nobody answers any more.
        if let Ok(status) = instance.status() {
            largest = status.largest_message_bytes;
        }
    }
    instance.wait_stopped(watchdog(2.0))?;
    Ok(largest)
}

#[test]
fn transcribe_makes_no_more_errors_than_the_recogniser_alone() -> Result<()> {
    let alone = sum(errors_of_clips(|clip| direct(&clip_file(clip)))?);
    let ours = transcribed(joined());
    ensure!(alone.words > 70 && alone.errors() < alone.words / 4, "the recogniser itself does not work: {alone:?}");
    ensure!(ours.errors() <= alone.errors(), "{ours:?}; alone: {alone:?}");
    Ok(())
}

#[test]
fn transcribe_of_the_joined_file_has_all_words_in_order() -> Result<()> {
    let said = transcribe(&joined().file())?;
    let errors = errors_of(&joined().transcript(), said["text"].as_str().context("text")?)?;
    ensure!(errors.errors() <= transcribed(joined()).errors() + 2, "{errors:?} in {said}");
    let segments = said["segments"].as_array().context("segments")?;
    let mut before_s = 0.0;
    for segment in segments {
        let number = |field: &str| segment[field].as_f64().with_context(|| format!("{field} in {segment}"));
        let (start_s, end_s) = (number("start_s")?, number("end_s")?);
        ensure!(before_s <= start_s + 0.001 && start_s < end_s, "{segment} after {before_s}");
        ensure!(end_s <= joined().seconds() + 0.1, "{segment} beyond the end");
        before_s = start_s;
    }
    ensure!(segments.len() >= 2, "one segment for six clips: {said}");
    Ok(())
}

#[test]
fn a_file_in_real_time() -> Result<()> {
    let mut instance = Setup::run(&[&spoken().uri()]).start()?;
    let ring = instance.ring("file")?;
    let first = instance.wait_event("the first final", watchdog(spoken().span_s(1).end), |e| e.is("final"))?;
    // How far the file had been played when the line was read.
    let played_s = ring.commit().since(ring.info().first_frame) as f64 / f64::from(ring.info().sample_rate_hz);
    ensure!(played_s < spoken().span_s(1).end, "the first final came {played_s} s into the file");
    ensure!(first.whole("end_frame")? <= ring.commit().0, "a final of frames that were not there yet");
    let largest = follow_to_the_end(&mut instance)?;
    check_words(&instance, spoken(), largest)?;
    check_times(&instance)?;
    instance.assert_clean()
}

/// The finals' seconds are those of the file: each lies where its clip lies.
fn check_times(instance: &Instance) -> Result<()> {
    let (finals, clips) = (instance.finals()?, spoken().files().count());
    ensure!(finals.len() >= clips, "{} finals for {clips} clips", finals.len());
    for event in &finals {
        let (start_s, end_s) = (event.number("start_s")?, event.number("end_s")?);
        ensure!(start_s < end_s, "{}", event.fields);
        let spans = (0..clips).map(|n| spoken().span_s(n));
        let inside = spans.clone().any(|span| start_s < span.end && span.start < end_s);
        // The session's frame 0 comes a moment before the file's.
        ensure!(inside, "{} lies in a pause of {:?}", event.fields, spans.collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn standard_input_in_real_time() -> Result<()> {
    let mut instance = Setup::run(&["stdin:"]).piped().start()?;
    let pipe = instance.take_stdin().context("piped")?;
    let speaker = std::thread::spawn(move || spoken().speak_into(pipe));
    let largest = follow_to_the_end(&mut instance)?;
    speaker.join().map_err(|_| anyhow::anyhow!("the speaker panicked"))??;
    check_words(&instance, spoken(), largest)?;
    instance.assert_clean()
}

#[test]
fn raw_samples_on_standard_input() -> Result<()> {
    let speech = Speech::join(&BASE_SPEECH)?;
    let mut instance = Setup::run(&["talk=stdin:rate=16000,channels=1,format=s16le"]).piped().start()?;
    let mut pipe = instance.take_stdin().context("piped")?;
    let speaker = std::thread::spawn(move || -> Result<Speech> {
        std::io::Write::write_all(&mut pipe, &speech.wav()?[44..])?; // all at once: whoever reads sets the pace
        Ok(speech)
    });
    instance.wait_event("stopped", watchdog(15.0), |e| e.is("stopped"))?;
    let speech = speaker.join().map_err(|_| anyhow::anyhow!("the speaker panicked"))??;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_once()?;
    ensure!(instance.finals()?.iter().all(|e| e.fields["stream"] == "talk"), "the stream's name is not `talk`");
    let errors = errors_of(&speech.transcript(), &instance.said()?)?;
    ensure!(errors.errors() <= transcribed(&speech).errors() + 2, "{errors:?}: {}", instance.said()?);
    instance.assert_clean()
}

#[test]
fn an_alsa_device() -> Result<()> {
    let pulse = Pulse::start()?;
    let mut setup = Setup::run(&["device:vmon"]);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let mut instance = setup.start()?;
    instance.wait_ready()?;
    let ring = instance.ring("mic")?;
    let rate_hz = u64::from(ring.info().sample_rate_hz);
    instance.wait_captured(&ring, 0.5)?;
    pulse.play(&spoken().file())?;
    // Two seconds later the last word has been heard, and everything found in it has been written down.
    let heard = ring.commit().plus(2 * rate_hz);
    let status = wait_until("an empty queue", watchdog(10.0), || {
        let status = instance.status()?;
        let stream = status.streams.iter().find(|s| s.stream == "mic").context("no stream mic")?;
        let idle = status.queue.waiting == 0 && status.queue.running == 0;
        std::thread::sleep(Duration::from_millis(100));
        Ok((ring.commit() > heard && stream.position_frame >= heard.0 && idle).then_some(status))
    })?;
    ensure!(status.queue.lost == 0, "{status:?}");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    check_words(&instance, spoken(), status.largest_message_bytes)?;
    instance.assert_clean()
}

#[test]
fn as_fast_as_possible_says_the_same() -> Result<()> {
    let mut instance = Setup::run(&[&joined().uri()]).arg("--fast").start()?;
    instance.wait_event("stopped", watchdog(60.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_once()?;
    let errors = errors_of(&joined().transcript(), &instance.said()?)?;
    ensure!(errors.errors() <= transcribed(joined()).errors() + 2, "{errors:?}: {}", instance.said()?);
    let stopped: Vec<Value> = instance.log().all()?.into_iter().map(|e| e.fields).collect();
    ensure!(stopped.iter().all(|e| e["event"] != "gap"), "a gap in a file: {stopped:?}");
    instance.assert_clean()
}

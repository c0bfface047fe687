//! More speech than the workers can write down: words come late, and none is lost.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use system_tests::*;

/// Workers that do nothing until this goes, whatever happens meanwhile: those who replace them neither.
struct Stopped {
    over: Arc<AtomicBool>,
    stopping: Option<JoinHandle<Vec<Process>>>,
}

impl Stopped {
    fn workers_of(instance: &Instance) -> Result<Self> {
        let workers = instance.processes("worker")?;
        ensure!(!workers.is_empty(), "no workers");
        ensure!(workers.iter().all(|worker| end_process(worker.pid, Signal::SIGSTOP)), "a worker ended by itself");
        let over = Arc::new(AtomicBool::new(false));
        let (seen, runtime) = (Arc::clone(&over), instance.folders().runtime());
        let stopping = std::thread::spawn(move || {
            let mut stopped = workers;
            while !seen.load(Relaxed) {
                let workers = processes_of(&runtime).into_iter().filter(|p| p.command.contains("--role worker"));
                for worker in workers.filter(|worker| !stopped.contains(worker)).collect::<Vec<_>>() {
                    let _ = end_process(worker.pid, Signal::SIGSTOP);
                    stopped.push(worker);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            stopped
        });
        Ok(Self { over, stopping: Some(stopping) })
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        let stopped = self.stopping.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        for worker in stopped.iter().filter(|worker| worker.is_alive()) {
            let _ = end_process(worker.pid, Signal::SIGCONT);
        }
    }
}

fn sound_files(folder: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { sound_files(path) } else { vec![path] }).collect()
}

#[test]
fn what_would_leave_the_ring_is_kept_on_disk_until_it_is_written_down() -> Result<()> {
    let speech = Speech::join(&BASE_SPEECH)?;
    let mut instance = Setup::run(&[&speech.uri()]).arg("--history").arg("10").start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    let stopped = Stopped::workers_of(&instance)?;
    // By then the first sentence has left the ring.
    let first_end_s = speech.span_s(0).end;
    instance.wait_captured(&ring, first_end_s + 10.5)?;
    ensure!(ring.oldest().since(ring.info().first_frame) > 0, "nothing has left the ring");
    let kept = sound_files(instance.folders().data().join("spill"));
    ensure!(!kept.is_empty(), "nothing was kept: the case did not occur");
    ensure!(instance.finals()?.is_empty(), "a stopped worker wrote something down");
    drop(stopped);

    instance.wait_event("stopped", watchdog(speech.seconds() + 5.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    ensure!(!instance.log().all()?.iter().any(|e| e.is("lost")), "frames were lost");
    instance.assert_once()?;
    let errors = errors_of(&speech.transcript(), &instance.said()?)?;
    // A ring this short makes sentences of 5 s at most: a longer one is cut, and may suffer there.
    ensure!(errors.errors() * 4 <= errors.words, "{errors:?}: {}", instance.said()?);
    ensure!(sound_files(instance.folders().data().join("spill")).is_empty(), "what is written down is still kept");
    instance.assert_clean()
}

/// Speech that goes on for as long as this.
fn speech_of(seconds: f64) -> Result<Speech> {
    let mut names = vec!["librivox_0870.wav", "librivox_0920.wav", "librivox_0890.wav", "librivox_0930.wav"];
    let four_s = Speech::join(&names)?.seconds();
    while names.len() as f64 * four_s < 4.0 * seconds {
        names.push(CLIPS[names.len() % CLIPS.len()]);
    }
    Speech::join(&names)
}

#[test]
fn the_shortest_history_and_nobody_to_write_down_for_long() -> Result<()> {
    let stopped_s = if long() { 60.0 } else { 15.0 };
    let speech = speech_of(stopped_s + 5.0)?;
    let mut instance = Setup::run(&[&speech.uri()]).arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    let stopped = Stopped::workers_of(&instance)?;
    instance.wait_captured(&ring, stopped_s + 1.0)?;
    ensure!(instance.finals()?.is_empty(), "a stopped worker wrote something down");
    let stream = &instance.json("status")?["streams"][0];
    let (lag_s, kept) = (stream["words_lag_s"].as_f64(), stream["kept"].as_u64());
    ensure!(lag_s > Some(stopped_s - 3.0) && stream["pace"] == "late_finals", "{stream}");
    // What is said is three times as long as the ring, and more.
    ensure!(kept >= Some(2) && stream["utterances"].as_u64() > kept, "{stream}");
    let files = sound_files(instance.folders().data().join("spill")).len() as u64;
    ensure!(Some(files) >= kept, "{files} files: {stream}");
    drop(stopped);
    // Workers that were stopped for long were replaced again and again, and are left alone for a minute if nobody asks.
    instance.command(&["restart", "worker"])?.expect_success()?;

    instance.wait_event("stopped", watchdog(speech.seconds() + 30.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    let events = instance.log().all()?;
    ensure!(!events.iter().any(|e| e.is("lost")), "frames were lost");
    assert_live_text(&events)?;
    let (expected, said) = (speech.timed()?, timed_words(&instance, None)?);
    let errors = errors_of(&speech.transcript(), &instance.said()?)?;
    let lost = lost_words(&expected, &said);
    eprintln!("{stopped_s} s without workers: {kept:?} kept; {errors:?}; not there: {lost:?}");
    // A ring this short makes sentences of 2.5 s at most: longer ones are cut, and words may suffer there, but not many, and
    // never a sentence.
    ensure!(
        lost_in_a_row(&expected, &said) <= 2 && lost.len() * 12 <= expected.len(),
        "{lost:?}: {}",
        instance.said()?
    );
    ensure!(sound_files(instance.folders().data().join("spill")).is_empty(), "what is written down is still kept");
    instance.assert_clean()
}

#[test]
fn words_that_fall_behind_are_told_and_catch_up() -> Result<()> {
    // Long enough for workers to come, and for the words to keep pace again for a while.
    let speech = Speech::join(&CLIPS[..4])?;
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let stopped = Stopped::workers_of(&instance)?;
    let is_pace = |event: &Event, pace: &str| event.is("lag") && event.fields["pace"] == pace;
    let late = instance.wait_event("lag", watchdog(speech.span_s(1).end), |e| is_pace(e, "late_finals"))?;
    ensure!(late.number("lag_s")? > 2.0 && late.whole("waiting")? >= 1, "{}", late.fields);
    let status = instance.json("status")?;
    let stream = &status["streams"][0];
    ensure!(stream["pace"] == "late_finals" && stream["utterances"].as_u64() >= Some(1), "{stream}");
    ensure!(stream["words_lag_s"].as_f64() >= Some(late.number("lag_s")?), "{stream}, after {}", late.fields);
    ensure!(
        status["queue"]["merged"].as_u64() >= Some(1),
        "texts of what was spoken were left out: {}",
        status["queue"]
    );
    let people = instance.command(&["status"])?.stdout;
    ensure!(people.contains("more is spoken than the workers can write down"), "{people}");
    ensure!(instance.finals()?.is_empty(), "a stopped worker wrote something down");
    drop(stopped);
    // Told when it has lasted, before the file ends.
    let caught_up = instance.wait_event("the end of it", watchdog(speech.seconds()), |e| is_pace(e, "live"))?;
    let at_s = |event: &Event| event.number("emitted_s");
    eprintln!("late for {:.1} s, of {:.1} s of speech", at_s(&caught_up)? - at_s(&late)?, speech.seconds());
    ensure!(caught_up.number("lag_s")? < late.number("lag_s")?, "{}", caught_up.fields);
    ensure!(instance.json("status")?["streams"][0]["pace"] == "live", "it is over");
    instance.wait_event("stopped", watchdog(speech.seconds() + 5.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_once()?;
    let errors = errors_of(&speech.transcript(), &instance.said()?)?;
    ensure!(errors.errors() * 5 <= errors.words, "{errors:?}: {}", instance.said()?);
    ensure!(!instance.log().all()?.iter().any(|event| event.is("lost")), "words come late, and none is lost");
    instance.assert_clean()
}

#[test]
fn what_cannot_be_written_down_before_the_end_is_kept_for_later() -> Result<()> {
    let speech = Speech::join(&BASE_SPEECH)?;
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    let stopped = Stopped::workers_of(&instance)?;
    instance.wait_captured(&ring, speech.span_s(0).end + 1.5)?;
    instance.interrupt()?;
    let end = instance.wait_stopped(watchdog(2.0))?;
    ensure!(end.whole("pending")? >= 1, "{}", end.fields);
    ensure!(instance.finals()?.is_empty(), "a stopped worker wrote something down");
    drop(stopped);
    let kept = sound_files(instance.folders().data().join("pending"));
    ensure!(kept.len() as u64 == end.whole("pending")?, "{kept:?}, but {}", end.fields);
    instance.assert_clean()?;

    // Later: the sentence that was over, and the beginning of the next one.
    let said: Vec<_> = kept.iter().map(|file| transcribe(file)).collect::<Result<_>>()?;
    let has_sentence = |said: &serde_json::Value| said["text"].as_str().is_some_and(|text| text.contains("young man"));
    ensure!(said.iter().any(has_sentence), "{said:?}");
    Ok(())
}

#[test]
fn what_a_killed_instance_had_kept_is_kept_by_the_next() -> Result<()> {
    let speech = Speech::join(&BASE_SPEECH)?;
    let instance = Setup::run(&[&speech.uri()]).arg("--history").arg("10").start()?;
    instance.wait_ready()?;
    let stopped = Stopped::workers_of(&instance)?;
    let spill = instance.folders().data().join("spill");
    let is_whole = |file: &PathBuf| file.extension().is_some_and(|e| e == "wav");
    let kept = wait_until("a kept sentence", watchdog(speech.seconds()), || {
        Ok(sound_files(spill.clone()).into_iter().find(is_whole))
    })?;
    let runtime = instance.folders().runtime();
    let supervisor = Process::of(instance.pid());
    ensure!(supervisor.is_some_and(|supervisor| supervisor.kill()), "it had ended before");
    wait_until("the end of all orphans", watchdog(2.0), || Ok(processes_of(&runtime).is_empty().then_some(())))?;
    ensure!(kept.is_file(), "{} went with its instance", kept.display());
    drop(stopped);

    let mut next = Setup::run(&["test:silence"]).folders(instance.into_folders()).start()?;
    next.wait_ready()?;
    let pending = sound_files(next.folders().data().join("pending"));
    ensure!(!pending.is_empty() && !kept.exists(), "{pending:?}");
    ensure!(next.stderr().contains("are kept in"), "nobody was told: {}", next.stderr());
    next.interrupt()?;
    next.wait_stopped(watchdog(2.0))?;
    next.assert_clean()?;
    let said: Vec<_> = pending.iter().map(|file| transcribe(file)).collect::<Result<_>>()?;
    ensure!(said.iter().any(|said| said["text"].as_str().is_some_and(|text| text.contains("young man"))), "{said:?}");
    Ok(())
}

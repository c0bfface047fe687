//! SIGKILL, and what it costs: nothing but the gap that is reported.

use anyhow::{Context, Result, ensure};
use shm_layout::{Follow, Follower, FrameIndex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use system_tests::*;

/// The killed process was seen to end, and another of its role came, at once: no pause for a healthy child.
fn assert_reborn(instance: &Instance, killed: &Process, role: &str, since: usize) -> Result<Event> {
    let is_killed = |e: &Event| e.fields["pid"] == killed.pid;
    instance.log().wait(since, "the report of its end", watchdog(1.0), |e| {
        (e.is_process(role, "exited") || e.is_process(role, "failed")) && is_killed(e)
    })?;
    instance.log().wait(since, "its successor", watchdog(1.0), |e| e.is_process(role, "ready") && !is_killed(e))
}

#[test]
fn a_worker_killed_in_mid_utterance() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).arg("--workers").arg("1").start()?;
    instance.wait_ready()?;
    let mut proved = false;
    // A job may end between the look and the blow; then the next one is tried.
    while !proved {
        let (before, worker) = wait_until("a job at work", watchdog(speech.seconds()), || {
            let before = instance.log().len();
            let status = instance.status()?;
            let worker = status.of_role("worker").next().and_then(|worker| Process::of(worker.pid?));
            Ok(worker.filter(|_| status.queue.running > 0).map(|worker| (before, worker)))
        })?;
        ensure!(worker.kill(), "the worker ended by itself");
        let ready = assert_reborn(&instance, &worker, "worker", before)?;
        // Nothing was said between the look, which saw a job at work, and the successor: it died with the job.
        proved = !instance.log().all()?[before..ready.index].iter().any(|e| e.is("final"));
    }
    end_of(&mut instance, speech)?;
    instance.assert_once()?;
    assert_no_word_lost(&instance, speech)
}

#[test]
fn every_worker_killed_once_a_second() -> Result<()> {
    let whole: Vec<&str> = CLIPS.iter().chain(&BASE_SPEECH).copied().collect();
    let minute; // in full
    let speech = if long() {
        minute = Speech::join(&whole)?;
        &minute
    } else {
        short()
    };
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    let (mut kills, begin) = (0, Instant::now());
    for second in 1_u32.. {
        std::thread::sleep((begin + second * Duration::from_secs(1)).saturating_duration_since(Instant::now()));
        let captured = ring.commit().since(ring.info().first_frame) as f64 / f64::from(ring.info().sample_rate_hz);
        if captured > speech.seconds() - 1.5 {
            break;
        }
        for worker in instance.processes("worker")? {
            kills += usize::from(worker.kill());
        }
    }
    eprintln!("{kills} workers killed");
    ensure!(kills as f64 > speech.seconds(), "{kills} kills of two workers in {} s", speech.seconds());
    end_of(&mut instance, speech)?;
    instance.assert_once()?;
    assert_no_word_lost(&instance, speech)
}

/// What a reader in another process sees of a stream, from its first ring on.
struct Witness {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<Follow>>,
}

impl Witness {
    fn of(instance: &Instance, stream: &str) -> Self {
        let mut follower = Follower::new(&instance.folders().runtime(), stream);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let reader = std::thread::spawn(move || {
            let (mut seen, mut planar) = (Vec::new(), Vec::new());
            while !stopped.load(Relaxed) {
                match follower.next(&mut planar, 4_096, Duration::from_millis(100)) {
                    Follow::Waiting => {}
                    follow => seen.push(follow),
                }
            }
            seen
        });
        Self { stop, reader }
    }

    fn end(self) -> Result<Vec<Follow>> {
        self.stop.store(true, Relaxed);
        self.reader.join().map_err(|_| anyhow::anyhow!("the witness panicked"))
    }
}

#[test]
fn the_engine_killed_between_two_sentences() -> Result<()> {
    let speech = short();
    // The first sentence ends late enough for the blow to come before, on a busy machine too.
    let mut instance = Setup::run(&[&speech.uri()]).arg("--hangover").arg("700").start()?;
    let witness = Witness::of(&instance, "file");
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    instance.wait_captured(&ring, speech.span_s(0).end + 0.2)?;
    let before = instance.log().len();
    let engine = instance.kill_role("engine")?.remove(0);
    let commit = ring.commit();
    ensure!(instance.finals()?.is_empty(), "the first sentence was written down before the kill: it proves nothing");

    assert_reborn(&instance, &engine, "engine", before)?;
    let gap = instance.log().wait(before, "the gap", watchdog(1.0), |e| {
        e.is("gap") && e.fields["stream"] == "file" && e.fields["cause"] == "engine_down"
    })?;
    let next = wait_until("the next epoch", watchdog(1.0), || {
        let newest = instance.ring("file")?;
        Ok((newest.info().epoch > ring.info().epoch).then_some(newest))
    })?;
    let span = gap.span()?;
    ensure!(span == (commit.0..next.info().first_frame.0), "gap {span:?}, {commit:?} to {:?}", next.info().first_frame);
    ensure!(next.info().session == ring.info().session, "another session");
    ensure!(next.info().previous_epoch == Some(ring.info().epoch), "{:?}", next.info());

    end_of(&mut instance, speech)?;
    let seen = witness.end()?;
    assert_every_frame_seen(&seen, &span)?;
    let first = instance.finals()?.into_iter().next().context("no final")?;
    ensure!(first.span()?.end <= commit.0, "{} is not of the time before the kill", first.fields);
    instance.assert_once()?;
    assert_no_word_lost(&instance, speech)
}

/// The reader entered a second ring by itself, was told of the gap, and has every frame on both sides of it.
fn assert_every_frame_seen(seen: &[Follow], gap: &std::ops::Range<u64>) -> Result<()> {
    let (mut expected, mut rings, mut frames_read) = (None, 0, 0);
    for follow in seen {
        match follow {
            Follow::NewEpoch { info, gap: said } => {
                rings += 1;
                ensure!(
                    rings == 1 || *said == Some((FrameIndex(gap.start), FrameIndex(gap.end))),
                    "told of {said:?}, not {gap:?}"
                );
                expected = Some(info.first_frame);
            }
            Follow::Frames { from, frames } => {
                ensure!(expected == Some(*from), "{expected:?} was expected, {from:?} came");
                expected = Some(from.plus(*frames as u64));
                frames_read += frames;
            }
            Follow::Crashed { .. } => ensure!(rings == 1, "the second ring crashed"),
            Follow::Closed { .. } | Follow::Waiting => {}
            Follow::Lost { .. } => anyhow::bail!("{follow:?}"),
        }
    }
    ensure!(rings == 2 && frames_read > 0, "{rings} rings, {frames_read} frames");
    Ok(())
}

#[test]
fn the_engine_killed_in_mid_sentence() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    instance.wait_captured(&ring, speech.span_s(1).start + 2.0)?;
    let before = instance.log().len();
    let engine = instance.kill_role("engine")?.remove(0);
    assert_reborn(&instance, &engine, "engine", before)?;
    end_of(&mut instance, speech)?;
    instance.assert_once()?;
    let finals = instance.finals()?;
    let crossing = finals.iter().find(|e| e.span().is_ok_and(|s| s.start < ring.commit().0 && ring.commit().0 < s.end));
    ensure!(crossing.is_none(), "a job crossed the epoch: {crossing:?}");
    // The sentence cut in two is heard as two, and its words may suffer at the cut; those of the others may not.
    let (expected, words) = (undisturbed(speech)?.words, words_of(&instance)?);
    let said = |event: Option<&Event>| normalise(&[event.context("no final")?.text("text")?]).map(|mut w| w.remove(0));
    let (first, last) = (said(finals.first())?, said(finals.last())?);
    ensure!(expected.starts_with(&first) && expected.ends_with(&last), "{first:?} … {last:?} of {expected:?}");
    let errors = align(&expected, &words);
    let cut_words = expected.len() - first.len() - last.len();
    ensure!(cut_words > 8 && errors.errors() <= cut_words / 2, "{errors:?}: {}", instance.said()?);
    Ok(())
}

#[test]
fn the_listener_killed_in_mid_sentence() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    // Some of the sentence is committed, and a partial text may be on its way: the next listener hears it all again.
    let is_second = |e: &Event| e.is("committed") && e.number("start_s").is_ok_and(|s| s > speech.span_s(1).start);
    let committed = instance.wait_event("words of the second sentence", watchdog(speech.span_s(1).end), is_second)?;
    let before = instance.log().len();
    let listener = instance.kill_role("listener")?.remove(0);
    let captured_s = ring.commit().since(ring.info().first_frame) as f64 / f64::from(ring.info().sample_rate_hz);
    ensure!(captured_s < speech.span_s(1).end, "the sentence was over before the kill");
    assert_reborn(&instance, &listener, "listener", before)?;
    end_of(&mut instance, speech)?;
    let events = instance.log().all()?;
    ensure!(!events.iter().any(|e| e.is("lost")), "frames were lost");
    // What was committed before the death is the beginning of the final after it (`end_of` saw to that), and it is said once.
    let last = events.iter().find(|e| e.index > committed.index && e.is("final")).context("no final")?;
    let (words, first) = (&last.fields["words"], &committed.fields["words"][0]);
    ensure!(last.index > before && words[0] == *first, "{} is not the beginning of {}", committed.fields, last.fields);
    instance.assert_once()?;
    assert_no_word_lost(&instance, speech)
}

#[test]
fn the_supervisor_killed() -> Result<()> {
    let speech = short();
    let instance = Setup::run(&[&speech.uri()]).start()?;
    let first = instance.wait_ready()?;
    let ring = instance.ring("file")?;
    instance.wait_captured(&ring, speech.span_s(1).start + 1.0)?;
    let runtime = instance.folders().runtime();
    let family = processes_of(&runtime);
    ensure!(family.len() >= 5, "supervisor, engine, listener and two workers: {family:?}");
    let supervisor = family.iter().find(|p| p.pid == instance.pid()).context("the supervisor itself")?;
    ensure!(supervisor.kill(), "it had ended before");
    wait_until("the end of all orphans", watchdog(2.0), || Ok(processes_of(&runtime).is_empty().then_some(())))?;
    let left = instance.folders().runtime_files()?;
    ensure!(!left.is_empty(), "nothing was left behind: there is nothing to clean up");

    let mut next = Setup::run(&[&speech.uri()]).folders(instance.into_folders()).start()?;
    let second = next.wait_ready()?;
    ensure!(second.text("session")? != first.text("session")?, "the same session");
    let rings = shm_layout::list_rings(&runtime)?;
    ensure!(!rings.is_empty(), "no rings at all");
    ensure!(rings.iter().all(|r| r.info.session != ring.info().session), "rings of the killed session are left");
    end_of(&mut next, speech)?;
    let lost = lost_words(&undisturbed(speech)?.timed, &timed_words(&next, None)?);
    ensure!(lost.is_empty(), "words lost after the restart: {lost:?}: {}", next.said()?);
    Ok(())
}

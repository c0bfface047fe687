//! Sources come and go while an instance runs: their words come, the others notice nothing, and nothing is left behind.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shm_layout::{Follow, Follower, RingReader, RingState};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::*;

/// Three seconds of speech, and what is said in them.
const CLIP: &str = "librivox_0880.wav";

fn talk() -> String {
    format!("talk=file:{}", clip_file(CLIP).display())
}

fn add(instance: &Instance, source: &str) -> Result<()> {
    let said = instance.command(&["source", "add", source])?;
    said.expect_success()?;
    ensure!(said.stdout.starts_with("listening to ") && said.stderr.is_empty(), "{said:?}");
    Ok(())
}

fn remove(instance: &Instance, name: &str) -> Result<()> {
    let said = instance.command(&["source", "remove", name])?;
    said.expect_success()?;
    ensure!(said.stdout == format!("{name} is removed\n"), "{said:?}");
    Ok(())
}

/// What `source list --json` says, by name.
fn list(instance: &Instance) -> Result<BTreeMap<String, Value>> {
    let said = instance.command(&["source", "list", "--json"])?;
    said.expect_success()?;
    let rows: Vec<Value> = serde_json::from_str(&said.stdout).with_context(|| said.stdout.clone())?;
    let named = |row: Value| Some((row["stream"].as_str()?.to_owned(), row));
    Ok(rows.into_iter().filter_map(named).collect())
}

fn wait_state(instance: &Instance, name: &str, state: &str) -> Result<Value> {
    wait_until(state, watchdog(5.0), || Ok(list(instance)?.remove(name).filter(|row| row["state"] == state)))
}

/// Words of `talk` after this event: nothing but what is said in the clip, and nearly all of it.
fn assert_said(events: &[Event]) -> Result<()> {
    let finals = events.iter().filter(|event| event.is("final") && event.fields["stream"] == "talk");
    let said = finals.map(|event| event.text("text")).collect::<Result<Vec<_>>>()?.join(" ");
    let errors = errors_of(&Speech::join(&[CLIP])?.transcript(), &said)?;
    ensure!(errors.words > 4 && errors.errors() * 4 <= errors.words, "{errors:?}: {said}");
    Ok(())
}

#[test]
fn what_is_said_in_a_source_that_comes_is_written_down_each_time() -> Result<()> {
    let mut instance = Setup::run(&["room=test:silence"]).start()?;
    instance.wait_ready()?;
    let mut past = (0, 0);
    for time in 1..=3 {
        let since = instance.log().len();
        add(&instance, &talk())?;
        let added = instance.log().wait(since, "the news", watchdog(1.0), |event| event.is("source_added"))?;
        ensure!(added.text("stream")? == "talk" && added.text("description")?.contains(CLIP), "{}", added.fields);
        let ring = instance.ring("talk")?;
        let (epoch, first) = (ring.info().epoch.0, ring.info().first_frame.0);
        ensure!(epoch > past.0 && first > past.1, "epoch {epoch} from {first} on, after {past:?}");
        // The last time it is removed in the middle of the sentence.
        if time < 3 {
            wait_state(&instance, "talk", "ended")?;
        } else {
            wait_until("most of it", watchdog(3.0), || Ok((ring.commit().0 > first + 100_000).then_some(())))?;
            remove(&instance, "talk")?;
            let removed = instance.log().wait(since, "the news", watchdog(1.0), |event| event.is("source_removed"))?;
            ensure!(removed.whole("frame")? == ring.commit().0, "{}", removed.fields);
            ensure!(!list(&instance)?.contains_key("talk"), "it is listed still");
        }
        ensure!(ring.state() == RingState::Closed);
        past = (epoch, ring.commit().0);
        let of_talk = |event: &Event| event.is("final") && event.fields["stream"] == "talk";
        instance.log().wait(since, "its words", watchdog(5.0), of_talk)?;
        wait_until("all of them", watchdog(5.0), || {
            let status = instance.status()?;
            Ok((status.queue.waiting + status.queue.running == 0).then_some(()))
        })?;
        if time < 3 {
            assert_said(&instance.log().all()?[since..])?;
        }
        if time == 1 {
            // The next listener never hears of the past, and hears what comes.
            instance.kill_role("listener")?;
        }
    }
    // Its words are written down, and nothing is known of it any more.
    wait_until("its end", watchdog(3.0), || {
        Ok(instance.status()?.streams.iter().all(|stream| stream.stream != "talk").then_some(()))
    })?;
    let is_fault = |event: &Event| event.is("lost") || event.is_process("engine", "exited");
    ensure!(!instance.log().all()?.iter().any(is_fault));
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// Follows a stream until `over`, and looks at every frame that it counts.
fn follow_count(runtime: &Path, over: &AtomicBool) -> Result<Counted> {
    let (mut follower, mut planar, mut seen) = (Follower::new(runtime, "test"), Vec::new(), Counted::default());
    let mut expected = None;
    while !over.load(Ordering::Relaxed) {
        match follower.next(&mut planar, 4_096, Duration::from_millis(100)) {
            Follow::NewEpoch { .. } => ensure!(expected.is_none(), "a second ring"),
            Follow::Frames { from, frames } => {
                ensure!(expected.is_none_or(|expected| expected == from), "{expected:?} was expected, {from:?} came");
                expected = Some(from.plus(frames as u64));
                seen.look_at(follower.ring().context("in a ring")?, from, &planar, frames)?;
            }
            Follow::Waiting => {}
            other => anyhow::bail!("{other:?} after {seen:?}"),
        }
    }
    Ok(seen)
}

/// Follows a stream by its name until `over`: how often it came, each time beyond its past and with its end before.
fn follow_guest(runtime: &Path, over: &AtomicBool) -> Result<u64> {
    let (mut follower, mut planar) = (Follower::new(runtime, "guest"), Vec::new());
    let (mut times, mut is_open) = (0, false);
    while !over.load(Ordering::Relaxed) {
        match follower.next(&mut planar, 4_096, Duration::from_millis(20)) {
            Follow::NewEpoch { info, .. } => {
                ensure!(!is_open, "epoch {} without an end before it", info.epoch);
                (times, is_open) = (times + 1, true);
            }
            Follow::Closed { .. } => is_open = false,
            Follow::Frames { .. } | Follow::Waiting => {}
            other => anyhow::bail!("{other:?} the time {times}"),
        }
    }
    Ok(times)
}

#[test]
fn a_guest_that_comes_and_goes_fifty_times_disturbs_nobody() -> Result<()> {
    const TIMES: u64 = 50;
    let mut instance = Setup::run(&["test:count"]).arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let (runtime, over) = (instance.folders().runtime(), AtomicBool::new(false));
    let (seen, times) = std::thread::scope(|scope| {
        let count = scope.spawn(|| follow_count(&runtime, &over));
        let guest = scope.spawn(|| follow_guest(&runtime, &over));
        let guests = ["guest=test:tone", "guest=demo:", "guest=test:noise?channels=2"];
        let done = (0..TIMES).zip(guests.into_iter().cycle()).try_for_each(|(_, source)| {
            add(&instance, source)?;
            remove(&instance, "guest")
        });
        std::thread::sleep(Duration::from_millis(500));
        over.store(true, Ordering::Relaxed);
        let joined = |thread: std::thread::ScopedJoinHandle<'_, Result<_>>| thread.join().expect("no panic");
        let times = guest.join().expect("no panic");
        done.and_then(|()| anyhow::Ok((joined(count)?, times?)))
    })?;
    eprintln!("{seen:?}, {times} times");
    ensure!(times == TIMES, "{times} rings of the guest");
    ensure!(seen.numbered > 48_000 && seen.missing == 0, "{seen:?}");
    ensure!(instance.processes("engine")?.len() == 1 && instance.status()?.processes.iter().all(|p| p.restarts == 0));
    // Its rings go when they are older than their history, under both names, and with them their memory.
    wait_until("the end of its rings", watchdog(8.0), || {
        let files = instance.folders().runtime_files()?;
        Ok((!files.iter().any(|file| file.to_string_lossy().contains("guest"))).then_some(()))
    })?;
    let threads = std::fs::read_dir(format!("/proc/{}/task", instance.processes("engine")?[0].pid))?.count();
    ensure!(threads < 20, "{threads} threads of the engine");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn what_cannot_come_or_go_is_said_and_the_rest_goes_on() -> Result<()> {
    let names: Vec<_> = (1..=62).map(|n| format!("s{n}=test:silence")).collect();
    let sources: Vec<_> = names.iter().map(String::as_str).chain(["talk=test:tone"]).collect();
    let mut instance = Setup::run(&sources).arg("--rate").arg("8000").arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let refused = |args: &[&str], code: u8, words: &[&str]| -> Result<()> {
        instance.command(&[&["source"], args].concat())?.expect_exit(code, words)
    };
    refused(&["remove", "nobody"], 3, &["there is no source nobody; there is s1, s10"])?;
    refused(&["add", "talk=test:tone"], 3, &["there is a source talk already", "tympan source remove talk"])?;
    refused(&["add", "mix=test:tone"], 2, &["mix"])?;
    refused(&["remove", "mix"], 3, &["there is no source mix"])?;
    refused(&["add", "stdin:"], 2, &["stdin:", "tympan run stdin:"])?;
    refused(&["add", "Bad Name=test:tone"], 2, &["stream name"])?;
    refused(&["add", "test:bell"], 2, &["bell"])?;
    refused(&["add", "file:/no/such/talk.wav"], 11, &["/no/such/talk.wav"])?;
    refused(&["add", "no/such/talk.wav"], 11, &["there is no file no/such/talk.wav"])?;
    // Who could not be opened is listed with the reason, until it is removed.
    let failed = list(&instance)?;
    let row = failed.get("file").with_context(|| format!("{failed:?}"))?;
    ensure!(row["state"] == "failed" && row["exit"] == 11, "{row}");
    ensure!(row["reason"].as_str().is_some_and(|reason| reason.contains("/no/such/talk.wav")), "{row}");
    remove(&instance, "file")?;
    remove(&instance, "test")?;
    // Sixty-four are the most.
    add(&instance, "test:count")?;
    refused(&["add", "test:tone"], 3, &["64 sources are the most"])?;
    remove(&instance, "s7")?;
    add(&instance, "test:tone?channels=2")?;
    let there = list(&instance)?;
    ensure!(there.len() == 64 && there["test-2"]["channels"] == 2 && there["test-2"]["sample_rate_hz"] == 8_000);
    ensure!(there.values().all(|row| row["state"] == "open" && row["lost_frames"] == 0), "{there:?}");
    let table = instance.command(&["source", "list"])?;
    ensure!(table.stdout.lines().count() == 65 && table.stdout.starts_with("source "), "{}", table.stdout);
    ensure!(!instance.log().all()?.iter().any(|event| event.fields["state"] == "exited"));
    let many: Vec<_> = (0..65).map(|n| format!("s{n}=test:silence")).collect();
    let args: Vec<_> = ["run"].into_iter().chain(many.iter().map(String::as_str)).collect();
    instance.command(&args)?.expect_exit(2, &["65 sources: 64 are the most"])?;
    instance.interrupt()?;
    let exit = {
        instance.wait_stopped(watchdog(3.0))?;
        instance.wait_exit(watchdog(3.0))?
    };
    ensure!(exit.code() == Some(0), "who never came is no failure of the run: {exit}");
    instance.assert_clean()
}

#[test]
fn who_was_added_is_there_again_after_the_engines_death_and_who_was_removed_is_not() -> Result<()> {
    let mut instance = Setup::run(&["first=test:silence"]).start()?;
    instance.wait_ready()?;
    add(&instance, "guest=test:count")?;
    remove(&instance, "first")?;
    let mut follower = Follower::new(&instance.folders().runtime(), "guest");
    let epoch = instance.ring("guest")?.info().epoch;
    let enter = |follower: &mut Follower| -> Result<_> {
        let mut planar = Vec::new();
        wait_until("the next ring", watchdog(5.0), || {
            match follower.next(&mut planar, 480, Duration::from_millis(50)) {
                Follow::NewEpoch { info, .. } => Ok(Some(info)),
                Follow::Lost { from, to } => anyhow::bail!("lost {from}..{to}"),
                _ => Ok(None),
            }
        })
    };
    ensure!(enter(&mut follower)?.epoch == epoch);
    instance.kill_role("engine")?;
    let next = enter(&mut follower)?;
    ensure!(next.previous_epoch == Some(epoch), "{next:?}");
    wait_state(&instance, "guest", "open")?;
    ensure!(list(&instance)?.len() == 1, "{:?}", list(&instance)?);
    let is_gap = |event: &Event| event.is("gap") && event.fields["cause"] == "engine_down";
    let gap = instance.wait_event("the gap", watchdog(2.0), is_gap)?;
    ensure!(gap.text("stream")? == "guest", "{}", gap.fields);
    // Without any source it goes on, through an engine's death too, and waits for another one.
    remove(&instance, "guest")?;
    let empty = instance.command(&["source", "list"])?;
    ensure!(empty.stdout.contains("tympan source add"), "{empty:?}");
    let before = instance.ring("mix")?.info().epoch;
    instance.kill_role("engine")?;
    wait_until("the mix", watchdog(5.0), || {
        let ring = RingReader::attach_stream(&instance.folders().runtime(), "mix").ok();
        Ok(ring.filter(|ring| ring.info().epoch > before && ring.commit() > ring.info().first_frame).map(drop))
    })?;
    let since = instance.log().len();
    add(&instance, &talk())?;
    // With the end of the last source the run ends, as ever.
    let stopped = instance.log().wait(since, "the end", watchdog(8.0), |event| event.is("stopped"))?;
    ensure!(stopped.text("reason")? == "end of input" && stopped.whole("lost_frames")? == 0, "{}", stopped.fields);
    assert_said(&instance.log().all()?[since..])?;
    ensure!(instance.wait_exit(watchdog(2.0))?.code() == Some(0));
    instance.assert_clean()
}

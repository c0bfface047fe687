//! A ring that another program writes is a source: by its own clock, with its gaps, and through its writer's death.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shm_layout::{Follow, Follower, FrameIndex, RingReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::*;

const RATE_HZ: u64 = 48_000;
const TURN: usize = 4_800;
const PPM: &str = "150";

/// Another program. Dropped, it is killed.
struct Writer(Child);

impl Writer {
    fn start(dir: &Path, epoch: u64, first: u64, form: [&str; 2], gap_at_s: &str) -> Result<Self> {
        let numbers = [epoch.to_string(), first.to_string()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_paced-writer"));
        command.arg(dir).arg("radio").args(&numbers).args(form).args([PPM, gap_at_s]);
        Ok(Self(command.stdin(Stdio::piped()).spawn()?))
    }

    /// `kill -9`.
    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

const FORM: [&str; 2] = ["48000", "1"];

/// A stream of the instance that counts, looked at frame by frame until `over`.
fn follow_count(runtime: &Path, over: &AtomicBool) -> Result<Counted> {
    let (mut follower, mut planar, mut seen) = (Follower::new(runtime, "test"), Vec::new(), Counted::default());
    while !over.load(Ordering::Relaxed) {
        match follower.next(&mut planar, 4_096, Duration::from_millis(100)) {
            Follow::Frames { from, frames } => {
                seen.look_at(follower.ring().context("in a ring")?, from, &planar, frames)?;
            }
            Follow::NewEpoch { .. } | Follow::Waiting => {}
            other => anyhow::bail!("{other:?} after {seen:?}"),
        }
    }
    Ok(seen)
}

/// By how much the sound of each turn is behind the index, in seconds up to whole tenths, and where the turn stands.
fn delays(runtime: &Path, seconds: u64) -> Result<Vec<(f64, f64)>> {
    let ring = RingReader::attach_stream(runtime, "call")?;
    let (mut at, mut delays, mut turn) = (ring.commit(), Vec::new(), vec![0.0; TURN]);
    let end = at.plus(seconds * RATE_HZ);
    while at < end {
        ensure!(
            matches!(ring.wait_for(at, TURN as u64, watchdog(2.0)), shm_layout::Wait::Ready(_)),
            "watchdog: no sound"
        );
        ring.read(at, &mut turn, TURN)?;
        let (sounded_s, loud) = sounded_at(&turn);
        ensure!((loud - 0.5).abs() < 0.02 || !ring.gaps(at, at.plus(TURN as u64)).is_empty(), "{loud} at {at}");
        if (loud - 0.5).abs() < 0.001 {
            delays.push((at.seconds(48_000), (at.seconds(48_000) - sounded_s).rem_euclid(0.1)));
        }
        at = at.plus(TURN as u64);
    }
    ensure!(delays.len() as u64 > seconds * 5, "only {} turns in {seconds} s", delays.len());
    // Around the first one: a tenth of a second more or less is the same.
    let first = delays[0].1;
    let near = |delay: f64| first + (delay - first + 0.05).rem_euclid(0.1) - 0.05;
    Ok(delays.into_iter().map(|(at_s, delay)| (at_s, near(delay))).collect())
}

/// The same while no gap is told: on a busy machine the writer, which has no priority, may be late for more than is kept.
fn undisturbed(instance: &Instance, runtime: &Path, seconds: u64) -> Result<Vec<(f64, f64)>> {
    for _ in 0..5 {
        let since = instance.log().len();
        let delays = delays(runtime, seconds)?;
        std::thread::sleep(Duration::from_millis(200));
        let is_gap = |event: &Event| event.is("gap") && event.fields["stream"] == "call";
        if !instance.log().all()?[since..].iter().any(is_gap) {
            return Ok(delays);
        }
    }
    anyhow::bail!("gaps in each {seconds} s of five")
}

/// By how many millionths the delay grows.
fn slope_ppm(delays: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| delays.iter().map(of).sum::<f64>() / delays.len() as f64;
    let (at, delay) = (mean(|turn| turn.0), mean(|turn| turn.1));
    let across: f64 = delays.iter().map(|turn| (turn.0 - at) * (turn.1 - delay)).sum();
    1e6 * across / delays.iter().map(|turn| (turn.0 - at).powi(2)).sum::<f64>()
}

fn row(instance: &Instance) -> Result<Value> {
    let said = instance.command(&["source", "list", "--json"])?;
    let rows: Vec<Value> = serde_json::from_str(&said.stdout)?;
    rows.into_iter().find(|row| row["stream"] == "call").context("no stream call")
}

fn wait_state(instance: &Instance, state: &str) -> Result<Value> {
    wait_until(state, watchdog(3.0), || Ok(Some(row(instance)?).filter(|row| row["state"] == state)))
}

#[test]
fn a_foreign_ring_keeps_its_time_and_its_writers_death_is_a_gap() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let runtime = instance.folders().runtime();
    let refused =
        |uri: &str, code: u8, words: &[&str]| instance.command(&["source", "add", uri])?.expect_exit(code, words);
    refused("ring:radio", 10, &["there is no ring radio", "no other program writes one there"])?;
    let mut writer = Writer::start(&runtime, 1, 1_000, FORM, "4")?;
    wait_until("its ring", watchdog(1.0), || Ok(RingReader::attach_stream(&runtime, "radio").ok().map(drop)))?;
    refused("ring:nobody", 10, &["there is no ring nobody", "there are: radio"])?;
    refused("loop=ring:test", 3, &["own"])?;
    refused("radio=ring:radio", 3, &["give it another"])?;
    refused("ring:radio?rate=8000&channels=2", 14, &["8000 Hz and 2"])?;
    let over = AtomicBool::new(false);
    let (seen, done) = std::thread::scope(|scope| {
        let count = scope.spawn(|| follow_count(&runtime, &over));
        let done = live_and_die(&instance, &runtime, &mut writer);
        over.store(true, Ordering::Relaxed);
        (count.join().expect("no panic"), done)
    });
    done?;
    let seen = seen?;
    eprintln!("{seen:?}");
    ensure!(seen.numbered > 10 * RATE_HZ && seen.missing == 0, "the other stream was disturbed: {seen:?}");
    ensure!(instance.status()?.processes.iter().all(|process| process.restarts == 0));
    // A writer that lives keeps its ring.
    instance.interrupt()?;
    instance.wait_exit(watchdog(2.0))?;
    ensure!(RingReader::attach_stream(&runtime, "radio").is_ok(), "another program's ring was removed");
    writer.kill()?;
    for file in instance.folders().runtime_files()? {
        std::fs::remove_file(file)?;
    }
    instance.assert_clean()
}

fn live_and_die(instance: &Instance, runtime: &Path, writer: &mut Writer) -> Result<()> {
    let added = instance.command(&["source", "add", "call=ring:radio"])?;
    added.expect_success()?;
    ensure!(added.stdout.contains("listening to call: ring radio of process"), "{added:?}");
    let since = instance.log().len();
    // A loop learns for some seconds; the gap of the writer's own lies in them.
    std::thread::sleep(Duration::from_secs(6));
    let of_call = |event: &Event| event.is("gap") && event.fields["stream"] == "call";
    let gap = instance
        .log()
        .wait(0, "the writer's own gap", watchdog(2.0), |event| of_call(event) && event.fields["cause"] == "xrun")?;
    let span = gap.span()?;
    ensure!((span.end - span.start).abs_diff(RATE_HZ / 10) <= 2, "{}", gap.fields);
    let before = undisturbed(instance, runtime, 8)?;
    writer.kill()?;
    wait_state(instance, "away")?;
    let foreign = RingReader::attach_stream(runtime, "radio")?;
    let first = foreign.commit().0 + RATE_HZ / 2;
    *writer = Writer::start(runtime, 2, first, FORM, "0")?;
    wait_state(instance, "open")?;
    let gone = |event: &Event| of_call(event) && event.fields["cause"] == "disappeared";
    instance.log().wait(since, "the gap", watchdog(2.0), gone)?;
    std::thread::sleep(Duration::from_secs(6));
    let after = undisturbed(instance, runtime, 6)?;
    let (slopes, step) = ([slope_ppm(&before), slope_ppm(&after)], after[0].1 - before[0].1);
    let step_s = (step + 0.05).rem_euclid(0.1) - 0.05;
    let spread = |delays: &[(f64, f64)]| {
        let all = || delays.iter().map(|turn| turn.1);
        all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min)
    };
    eprintln!("slopes {slopes:?} ppm, spreads {} and {} s, step {step_s} s", spread(&before), spread(&after));
    ensure!(slopes.iter().all(|ppm| ppm.abs() < 60.0), "it drifts as its writer does: {slopes:?} ppm");
    ensure!(spread(&before) < 0.003 && spread(&after) < 0.003 && step_s.abs() < 0.030, "it does not keep its place");
    // What was told is what stands in the ring.
    let ring = instance.ring("call")?;
    let gaps = ring.gaps(FrameIndex(0), FrameIndex(u64::MAX));
    ensure!(gaps.iter().any(|gap| gap.to.since(gap.from) > RATE_HZ / 10), "{gaps:?}");
    Ok(())
}

#[test]
fn a_ring_that_comes_again_in_another_form_is_an_error_and_disturbs_nobody() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let (runtime, over) = (instance.folders().runtime(), AtomicBool::new(false));
    let mut writer = Writer::start(&runtime, 1, 0, FORM, "0")?;
    wait_until("its ring", watchdog(1.0), || Ok(RingReader::attach_stream(&runtime, "radio").ok().map(drop)))?;
    let (seen, done) = std::thread::scope(|scope| {
        let count = scope.spawn(|| follow_count(&runtime, &over));
        let mut change = || -> Result<()> {
            instance.command(&["source", "add", "call=ring:radio"])?.expect_success()?;
            writer.kill()?;
            writer = Writer::start(&runtime, 2, 100_000, ["44100", "2"], "0")?;
            let row = wait_state(&instance, "ended")?;
            let reason = row["reason"].as_str().unwrap_or_default();
            ensure!(
                reason.contains("44100 Hz and 2") && reason.contains("48000 Hz and 1") && row["exit"] == 14,
                "{row}"
            );
            // As the words say.
            instance.command(&["source", "remove", "call"])?.expect_success()?;
            instance.command(&["source", "add", "call=ring:radio"])?.expect_success()?;
            let row = wait_state(&instance, "open")?;
            ensure!(row["sample_rate_hz"] == 44_100 && row["channels"] == 2, "{row}");
            // The engine's death while the writer is away: the next one knows the form, and waits.
            writer.kill()?;
            wait_state(&instance, "away")?;
            Ok(())
        };
        let done = change();
        std::thread::sleep(Duration::from_millis(300));
        over.store(true, Ordering::Relaxed);
        (count.join().expect("no panic"), done)
    });
    done?;
    let seen = seen?;
    ensure!(seen.numbered > RATE_HZ / 2 && seen.missing == 0, "{seen:?}");
    instance.kill_role("engine")?;
    let engine = |event: &Event| event.is_process("engine", "ready") && event.fields["generation"] == 2;
    instance.wait_event("the next engine", watchdog(3.0), engine)?;
    wait_state(&instance, "away")?;
    writer = Writer::start(&runtime, 3, 900_000, ["44100", "2"], "0")?;
    wait_state(&instance, "open")?;
    ensure!(instance.status()?.processes.iter().all(|process| process.restarts <= 1));
    writer.kill()?;
    instance.interrupt()?;
    instance.wait_exit(watchdog(2.0))?;
    instance.assert_clean()
}

//! Every frame of a source arrives in its ring exactly once, or is counted.

use anyhow::{Context, Result, ensure};
use shm_layout::{Follow, Follower, RingReader};
use std::time::Duration;
use system_tests::*;

/// Reads `seconds` of a stream from another process (this one) and looks at every frame.
fn look_at_all(instance: &Instance, stream: &str, seconds: u64) -> Result<Counted> {
    let mut follower = Follower::new(&instance.folders().runtime(), stream);
    let mut planar = Vec::new();
    let (mut seen, mut expected, mut silent) = (Counted::default(), None, 0);
    let mut rate_hz = 48_000;
    while seen.numbered + seen.gap_frames < seconds * rate_hz {
        match follower.next(&mut planar, 4_096, watchdog(0.1)) {
            Follow::NewEpoch { info, gap } => {
                ensure!(gap.is_none() && expected.is_none(), "a second ring: {info:?}");
                rate_hz = u64::from(info.sample_rate_hz);
            }
            Follow::Frames { from, frames } => {
                silent = 0;
                ensure!(expected.is_none_or(|expected| expected == from), "{expected:?} was expected, {from:?} came");
                expected = Some(from.plus(frames as u64));
                let ring = follower.ring().context("in a ring")?;
                seen.look_at(ring, from, &planar, frames)?;
            }
            Follow::Waiting => {
                silent += 1;
                ensure!(silent < 10, "watchdog: no frames for 10 s");
            }
            other => anyhow::bail!("{other:?} after {seen:?}"),
        }
    }
    Ok(seen)
}

#[test]
fn every_frame_arrives_once_with_all_processors_busy() -> Result<()> {
    let seconds = scaled(60);
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_event("started", watchdog(10.0), |e| e.is("started"))?;
    let burn = Burn::all_processors();
    let seen = look_at_all(&instance, "test", seconds)?;
    let rounds = burn.rounds_min();
    drop(burn);
    eprintln!("{seen:?}, {rounds} rounds of load");
    ensure!(rounds > 0, "the processors were not busy");
    ensure!(seen.numbered > seen.gap_frames, "more gap than sound: {seen:?}");
    ensure!(seen.missing <= seen.gap_frames, "{seen:?}");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    check_reported(&instance, &seen)?;
    instance.assert_clean()
}

#[test]
fn frames_that_a_device_drops_are_counted() -> Result<()> {
    let mut instance = Setup::run(&["test=virtual:count?xrun_every_s=0.5"]).start()?;
    let seen = look_at_all(&instance, "test", 5)?;
    eprintln!("{seen:?}");
    ensure!(seen.gaps >= 5, "an xrun every half second for 5 s, and {} gaps", seen.gaps);
    ensure!(seen.missing > 0, "nothing was dropped: {seen:?}");
    ensure!(seen.numbered > 2 * 48_000, "hardly any sound: {seen:?}");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    check_reported(&instance, &seen)?;
    instance.assert_clean()
}

#[test]
fn a_device_that_goes_and_returns_leaves_a_gap_and_no_error() -> Result<()> {
    let mut instance = Setup::run(&["test=virtual:count?vanish_after_s=1.5&return_after_s=2"]).start()?;
    let gap = instance.wait_event("the gap", watchdog(3.0), |e| {
        e.is("gap") && e.fields["stream"] == "test" && e.fields["cause"] == "disappeared"
    })?;
    let state = |wanted: &str| {
        let limit = watchdog(3.0);
        wait_until(wanted, limit, || Ok(instance.status()?.streams.iter().any(|s| s.state == wanted).then_some(())))
    };
    state("away")?;
    let ring = instance.ring("test")?;
    let after = gap.span()?.end + u64::from(ring.info().sample_rate_hz);
    wait_until("sound after the gap", watchdog(6.0), || {
        std::thread::sleep(Duration::from_millis(20));
        let ring = RingReader::attach_stream(&instance.folders().runtime(), "test")?;
        let mut block = vec![0.0; 480 * ring.info().channels as usize];
        let from = ring.commit().back(480);
        let heard = ring.commit().0 > after && ring.read(from, &mut block, 480).is_ok();
        Ok((heard && block.iter().any(|&s| s != 0.0)).then_some(()))
    })?;
    state("open")?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// What stands as a gap in the ring was also reported.
fn check_reported(instance: &Instance, seen: &Counted) -> Result<()> {
    let mut reported = 0;
    for event in instance.log().all()?.iter().filter(|e| e.is("gap") && e.fields["stream"] == "test") {
        ensure!(!event.text("cause")?.is_empty(), "{}", event.fields);
        let span = event.span()?;
        reported += span.end - span.start;
    }
    ensure!(reported >= seen.gap_frames, "{reported} frames of gap reported, {} in the ring", seen.gap_frames);
    Ok(())
}

//! Capture devices that cannot be had, or are not what they were: each is answered, and nobody else loses a sample.

use anyhow::{Context, Result, ensure};
use shm_layout::RingReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::*;

/// The code that README.md documents for a device that cannot be used.
const NO_DEVICE: i32 = 10;
/// A tone that was converted; what a jump leaves is at -40 dB.
const CLEAN_DB: f64 = -50.0;

/// An instance with a source that counts its frames, and the programs of this sound server.
fn counting(pulse: &Pulse) -> Result<Instance> {
    let mut setup = Setup::run(&["count=test:count"]);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let instance = setup.start()?;
    instance.wait_ready()?;
    Ok(instance)
}

/// Every frame of the source that counts is there, once, and none is a gap.
fn assert_nothing_is_missing(instance: &Instance) -> Result<()> {
    let ring = instance.ring("count")?;
    let (from, to) = wait_until("a second to look at", watchdog(1.0), || {
        let (from, to) = (ring.oldest().max(ring.info().first_frame), ring.commit());
        Ok((to.since(from) > 48_000).then_some((from, to)))
    })?;
    let (mut seen, mut at) = (Counted::default(), from);
    while at < to {
        let frames = usize::try_from(to.since(at).min(4_800))?;
        let mut planar = vec![0.0; ring.info().channels as usize * frames];
        ring.read(at, &mut planar, frames).with_context(|| format!("{at}"))?;
        seen.look_at(&ring, at, &planar, frames)?;
        at = at.plus(frames as u64);
    }
    ensure!(seen.missing == 0 && seen.gap_frames == 0 && seen.numbered == to.since(from), "{seen:?}");
    Ok(())
}

fn state_of(instance: &Instance, name: &str) -> Result<String> {
    let streams = instance.status()?.streams;
    streams.into_iter().find(|stream| stream.stream == name).map(|stream| stream.state).context("it is not listed")
}

fn end(mut instance: Instance) -> Result<()> {
    instance.interrupt()?;
    instance.wait_stopped(watchdog(3.0))?;
    instance.assert_clean()
}

/// A device for ALSA that one program at a time can have, made in this folder; whether one has it says a file.
fn exclusive(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/devices/exclusive.c");
    let (library, lock) = (folder.join("exclusive.so"), folder.join("lock"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-DPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    let made = run_to_end(compiler.arg("-lasound"), watchdog(20.0))?;
    made.expect_success()?;
    Ok((library, lock))
}

#[test]
fn a_busy_capture_device_is_refused_with_what_to_do_and_heard_when_it_is_free() -> Result<()> {
    let pulse = Pulse::start()?;
    pulse.load("module-sine", &["sink=vsink", "frequency=440"])?;
    let folder = tempfile::tempdir()?;
    let (library, lock) = exclusive(folder.path())?;
    let (library, lock_path) = (library.display(), lock.display());
    pulse.configure(&format!(
        "pcm_type.exclusive {{ lib \"{library}\" }}\n\
         pcm.desk {{ type exclusive lock \"{lock_path}\" slave \"vmon\" hint {{ show on description \"Desk\" }} }}\n"
    ))?;
    let instance = counting(&pulse)?;
    std::fs::write(&lock, "")?;
    let refused = instance.command(&["source", "add", "desk=device:desk"])?;
    ensure!(refused.code == Some(NO_DEVICE), "{refused:?}");
    for word in ["desk", "busy", "another program has it", "let a sound server share it"] {
        ensure!(refused.stderr.contains(word), "no {word:?} in {refused:?}");
    }
    ensure!(state_of(&instance, "desk")? == "failed", "{:?}", instance.status()?);

    std::fs::remove_file(&lock)?;
    instance.command(&["source", "add", "desk=device:desk"])?.expect_success()?;
    let ring = instance.ring("desk")?;
    wait_until("sound in the ring", watchdog(5.0), || Ok(is_loud(&ring, 4_800).then_some(())))?;
    assert_nothing_is_missing(&instance)?;
    end(instance)
}

#[test]
fn a_capture_device_without_a_format_that_can_be_taken_is_refused_with_what_to_do() -> Result<()> {
    let pulse = Pulse::start()?;
    // It speaks A-law only, as old telephone cards do.
    pulse.configure(
        "pcm.phone { type alaw slave { pcm \"null\" format S16_LE } hint { show on description \"Phone\" } }\n",
    )?;
    let instance = counting(&pulse)?;
    let refused = instance.command(&["source", "add", "phone=device:phone"])?;
    ensure!(refused.code == Some(NO_DEVICE), "{refused:?}");
    for word in ["phone", "8 to 192 kHz", "let a sound server convert it"] {
        ensure!(refused.stderr.contains(word), "no {word:?} in {refused:?}");
    }
    ensure!(state_of(&instance, "phone")? == "failed", "{:?}", instance.status()?);
    instance.wait_captured(&instance.ring("count")?, 2.0)?;
    assert_nothing_is_missing(&instance)?;
    end(instance)
}

/// Whether something is heard in the newest frames.
fn is_loud(ring: &RingReader, frames: usize) -> bool {
    newest(ring, frames).is_some_and(|plane| plane.iter().any(|sample| sample.abs() > 0.01))
}

/// The newest frames of the first channel.
fn newest(ring: &RingReader, frames: usize) -> Option<Vec<f32>> {
    let mut planar = vec![0.0; frames * ring.info().channels as usize];
    let from = ring.commit().0.checked_sub(frames as u64)?;
    ring.read(shm_layout::FrameIndex(from), &mut planar, frames).ok()?;
    planar.truncate(frames);
    Some(planar)
}

#[test]
fn a_capture_device_that_gives_another_rate_than_it_says_is_taken_for_what_it_is() -> Result<()> {
    // It says 48 kHz and runs at 44.1: its tone of 1,000 Hz is one of 918.75 Hz to everybody else.
    let instance = Setup::run(&["count=test:count", "mic=virtual:tone?hz=1000&drift_ppm=-81250"]).start()?;
    instance.wait_ready()?;
    let device = |since: usize, state: &str| {
        let fits = |event: &Event| event.is("device") && event.fields["state"] == state;
        instance.log().wait(since, state, watchdog(6.0), fits)
    };
    let lost = device(0, "lost")?;
    ensure!(lost.text("reason")?.contains("gives 44.1 kHz, and was taken for 48 kHz"), "{}", lost.fields);
    let back = device(lost.index, "back")?;
    ensure!(back.text("description")?.contains("converted to 48 kHz, mono"), "{}", back.fields);
    let ring = instance.ring("mic")?;
    let is_clean = || newest(&ring, 48_000).is_some_and(|plane| beside_tone_db(&plane, 918.75) < CLEAN_DB);
    wait_until("its tone, whole for a second", watchdog(6.0), || Ok(is_clean().then_some(())))?;
    assert_nothing_is_missing(&instance)?;
    end(instance)
}

#[test]
fn a_capture_device_whose_rate_and_channels_change_under_way_is_converted_from_then_on() -> Result<()> {
    let uri =
        "mic=virtual:tone?hz=1000&drift_ppm=60&vanish_after_s=3&return_after_s=0.5&return_rate=44100&return_channels=2";
    let instance = Setup::run(&["count=test:count", uri]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("mic")?;
    let is_clean = || newest(&ring, 24_000).is_some_and(|plane| beside_tone_db(&plane, 1_000.0) < CLEAN_DB);
    wait_until("its tone", watchdog(3.0), || Ok(is_clean().then_some(())))?;
    let device = |since: usize, state: &str| {
        let fits = |event: &Event| event.is("device") && event.fields["state"] == state;
        instance.log().wait(since, state, watchdog(6.0), fits)
    };
    let lost = device(0, "lost")?;
    let back = device(lost.index, "back")?;
    let said = back.text("description")?;
    ensure!(said.contains("44.1 kHz, stereo") && said.contains("converted to 48 kHz, mono"), "{}", back.fields);
    // The ring is the same, of the form that it had, and what was not captured is a gap in it.
    wait_until("its tone again", watchdog(5.0), || Ok(is_clean().then_some(())))?;
    let gap =
        instance.log().wait(0, "the gap", watchdog(3.0), |e| e.is("gap") && e.fields["cause"] == "disappeared")?;
    ensure!(gap.span()?.end - gap.span()?.start > 12_000, "{}", gap.fields);
    ensure!((ring.info().sample_rate_hz, ring.info().channels) == (48_000, 1) && ring.commit() > ring.oldest());
    assert_nothing_is_missing(&instance)?;
    end(instance)
}

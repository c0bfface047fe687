//! The mixer: what is set is in the mix and nowhere else, soon, without a click, and after the engine's death too.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shm_layout::{FrameIndex, RingReader};
use std::time::{Duration, Instant};
use system_tests::*;

/// Peak of a test tone, as a level of its root mean square in dB.
const TONE_DB: f64 = -9.03;
/// A change is in the mix after so long; promised are 20 ms.
const SOON: Duration = Duration::from_millis(200);

fn start(more: &[&str]) -> Result<Instance> {
    let mut setup = Setup::run(&["low=test:tone?hz=440", "high=test:tone?hz=1000"]).arg("--history").arg("5");
    for arg in more {
        setup = setup.arg(*arg);
    }
    let instance = setup.start()?;
    instance.wait_ready()?;
    instance.wait_captured(&instance.ring("mix")?, 0.5)?;
    Ok(instance)
}

fn set(instance: &Instance, changes: &[&str]) -> Result<()> {
    let said = instance.command(&[&["mix", "set"], changes].concat())?;
    said.expect_success()?;
    ensure!(said.stdout.contains("ceiling") && said.stderr.is_empty(), "{said:?}");
    Ok(())
}

/// The newest 50 ms of the first channel, and where they begin.
fn newest(ring: &RingReader) -> Result<(FrameIndex, Vec<f32>)> {
    let (channels, frames) = (ring.info().channels as usize, ring.info().sample_rate_hz as usize / 20);
    let mut planar = vec![0.0; channels * frames];
    let from = ring.read_newest(&mut planar, frames).context("the newest frames")?;
    planar.truncate(frames);
    Ok((from, planar))
}

fn level_db(samples: &[f32]) -> f64 {
    let power = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>();
    #[expect(clippy::cast_precision_loss, reason = "a tenth of a second")]
    let mean = power / samples.len() as f64;
    10.0 * (mean + 1e-20).log10()
}

/// Waits until the mix has this level.
fn wait_level(ring: &RingReader, db: f64) -> Result<()> {
    let mut last = 0.0;
    wait_until("the level", watchdog(SOON.as_secs_f64()), || {
        last = level_db(&newest(ring)?.1);
        Ok(((last - db).abs() < 0.1).then_some(()))
    })
    .with_context(|| format!("{last:.2} dB instead of {db:.2}"))
}

fn shown(instance: &Instance) -> Result<Value> {
    let said = instance.command(&["mix", "show", "--json"])?;
    said.expect_success()?;
    Ok(serde_json::from_str(&said.stdout)?)
}

#[test]
fn gain_mute_and_solo_are_heard_in_the_mix_and_in_no_other_ring() -> Result<()> {
    let mut instance = start(&[])?;
    let (mix, low) = (instance.ring("mix")?, instance.ring("low")?);
    let both = TONE_DB + 3.01;
    wait_level(&mix, both)?;
    set(&instance, &["low", "mute=on"])?;
    wait_level(&mix, TONE_DB)?;
    set(&instance, &["high", "gain=-6dB"])?;
    wait_level(&mix, TONE_DB - 6.0)?;
    set(&instance, &["low", "mute=off", "solo=on", "gain=0.5"])?;
    wait_level(&mix, TONE_DB - 6.02)?;
    let strips = shown(&instance)?["strips"].clone();
    let heard = |name: &str| {
        let mut strips = strips.as_array().into_iter().flatten();
        strips.find(|strip| strip["stream"] == name).map(|strip| strip["heard"].clone())
    };
    ensure!((heard("low"), heard("high")) == (Some(json!(true)), Some(json!(false))), "{strips}");
    set(&instance, &["low", "solo=off", "gain=1"])?;
    set(&instance, &["high", "gain=0dB"])?;
    wait_level(&mix, both)?;
    set(&instance, &["mix", "gain=-inf"])?;
    wait_level(&mix, -200.0)?;
    ensure!((level_db(&newest(&low)?.1) - TONE_DB).abs() < 0.1, "a stream's own ring has its own level");
    ensure!([&mix, &low].iter().all(|ring| ring.gap_frames() == 0));
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn a_change_makes_no_click_and_the_ceiling_is_never_passed() -> Result<()> {
    let mut instance = start(&[])?;
    let (mix, low) = (instance.ring("mix")?, instance.ring("low")?);
    set(&instance, &["high", "mute=on"])?;
    wait_level(&mix, TONE_DB)?;
    let begin = mix.commit();
    for gain in ["gain=0", "gain=1", "gain=2", "gain=0.1", "gain=1"] {
        set(&instance, &["low", gain])?;
        instance.wait_captured(&mix, mix.commit().since(begin) as f64 / 48_000.0 + 0.05)?;
    }
    let frames = usize::try_from(mix.commit().since(begin))?;
    let mut samples = vec![0.0; frames * mix.info().channels as usize];
    mix.read(begin, &mut samples, frames)?;
    // A sine of 440 Hz at twice its level, 1, changes by 0.058 from frame to frame; a fade of 10 ms adds less than 0.005.
    let step = samples[..frames].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    ensure!(step < 0.065, "a step of {step}");
    set(&instance, &["mix", "ceiling=-12dB"])?;
    let ceiling = 10.0_f32.powf(-12.0 / 20.0);
    wait_until("the ceiling", watchdog(SOON.as_secs_f64()), || {
        let peak = newest(&mix)?.1.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        Ok((peak <= ceiling && peak > 0.9 * ceiling).then_some(()))
    })?;
    ensure!(low.gap_frames() + mix.gap_frames() == 0);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn what_is_set_outlives_the_engine_and_what_is_configured_comes_with_its_stream() -> Result<()> {
    let mut instance = start(&["--mix", "high mute=on", "--mix", "third gain=-20dB"])?;
    wait_level(&instance.ring("mix")?, TONE_DB)?;
    set(&instance, &["low", "gain=-3dB", "pan=0"])?;
    wait_level(&instance.ring("mix")?, TONE_DB - 3.0)?;
    let before = shown(&instance)?;
    let since = instance.log().len();
    instance.kill_role("engine")?;
    instance.log().wait(since, "the next engine", watchdog(2.0), |event| event.is_process("engine", "ready"))?;
    let begin = Instant::now();
    let mix = wait_until("the next ring", watchdog(2.0), || {
        Ok(instance
            .ring("mix")
            .ok()
            .filter(|ring| ring.info().epoch.0 > 1 && ring.commit() > ring.info().first_frame.plus(4_800)))
    })?;
    // From the first sample on: it does not glide there from unity.
    let mut first = vec![0.0; 4_800 * mix.info().channels as usize];
    mix.read(mix.info().first_frame.plus(480), &mut first, 4_320).context("the first frames")?;
    let level = level_db(&first[..4_320]);
    ensure!((level - (TONE_DB - 3.0)).abs() < 0.2, "{level:.2} dB, {:?} after the ring was there", begin.elapsed());
    ensure!(shown(&instance)? == before);
    instance.command(&["source", "add", "third=test:tone?hz=2000"])?.expect_success()?;
    set(&instance, &["low", "mute=on"])?;
    wait_level(&mix, TONE_DB - 20.0)?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn what_is_no_setting_is_refused_in_words_and_changes_nothing() -> Result<()> {
    let mut instance = start(&[])?;
    let before = shown(&instance)?;
    for (changes, code, words) in [
        (vec!["low", "gain=loud"], 2, "20dB"),
        (vec!["low", "gain=nan"], 2, "20dB"),
        (vec!["low", "gain=40dB"], 2, "20dB"),
        (vec!["low", "pan=3"], 2, "right"),
        (vec!["low", "volume=1"], 2, "gain, pan, mute and solo"),
        (vec!["low", "ceiling=0.5"], 2, "mix set mix"),
        (vec!["mix", "mute=on"], 2, "gain and ceiling"),
        (vec!["nobody", "mute=on"], 1, "low"),
        (vec!["low"], 2, "KEY=VALUE"),
    ] {
        let said = instance.command(&[&["mix", "set"], &changes[..]].concat())?;
        ensure!(said.code == Some(code) && said.stderr.contains(words), "{changes:?}: {said:?}");
    }
    ensure!(shown(&instance)? == before);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

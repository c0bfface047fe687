//! The mixer: what is set is in the mix and nowhere else, soon, without a click, and after the engine's death too.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shm_layout::{FrameIndex, RingReader};
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::*;

/// Peak of a test tone, as a level of its root mean square in dB.
const TONE_DB: f64 = -9.03;
/// A change is in the mix after so long.
const SOON: Duration = Duration::from_millis(20);
/// All of what a level is taken of is as it was set after so long: 50 ms, and a gate waits for 200 ms before it closes.
const SETTLED: Duration = Duration::from_millis(200);

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
    wait_until("the level", watchdog(SETTLED.as_secs_f64()), || {
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
fn a_change_is_in_the_mix_soon_and_all_of_it_at_once() -> Result<()> {
    const TIMES: u32 = 20;
    let mut instance = Setup::run(&["tone=test:tone"]).start()?;
    instance.wait_ready()?;
    let mut switch = MuteSwitch::of(&instance, "tone")?;
    instance.wait_captured(&instance.ring("mix")?, 0.5)?;
    let (mut chance, mut waited) = (Chance::of(3), Duration::ZERO);
    let together = watchdog(f64::from(TIMES) * SOON.as_secs_f64());
    for _ in 0..TIMES {
        // So requests fall anywhere in a block.
        std::thread::sleep(Duration::from_micros(10_000 + chance.below(20_000)));
        let change = switch.turn(together)?;
        waited += change.whole;
        // Its end does not wait for another block, however late the first one is.
        ensure!(change.whole == change.first && (100..=240).contains(&change.glide_frames), "{change:?}");
    }
    ensure!(waited < together, "watchdog: {TIMES} changes took {waited:?}");
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
    // A sine of 440 Hz at twice its level, 1, changes by 0.058 from frame to frame; a fade of 5 ms adds less than 0.005.
    let step = samples[..frames].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    ensure!(step < 0.065, "a step of {step}");
    set(&instance, &["mix", "ceiling=-12dB"])?;
    let ceiling = 10.0_f32.powf(-12.0 / 20.0);
    wait_until("the ceiling", watchdog(SETTLED.as_secs_f64()), || {
        let peak = newest(&mix)?.1.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        Ok((peak <= ceiling && peak > 0.9 * ceiling).then_some(()))
    })?;
    ensure!(low.gap_frames() + mix.gap_frames() == 0);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// The first channel of these frames.
fn frames_of(ring: &RingReader, from: FrameIndex, frames: usize) -> Result<Vec<f32>> {
    let mut planar = vec![0.0; frames * ring.info().channels as usize];
    ring.read(from, &mut planar, frames)?;
    planar.truncate(frames);
    Ok(planar)
}

#[test]
fn a_stream_keeps_its_level_when_another_joins() -> Result<()> {
    let mut instance = Setup::run(&["low=test:tone?hz=440"]).arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let (mix, low) = (instance.ring("mix")?, instance.ring("low")?);
    instance.wait_captured(&mix, 0.5)?;
    set(&instance, &["low", "gain=0.5"])?;
    wait_level(&mix, TONE_DB - 6.02)?;
    let begin = mix.commit();
    instance.command(&["source", "add", "high=test:tone?hz=1000"])?.expect_success()?;
    let high = instance.ring("high")?;
    instance.wait_captured(&high, 0.5)?;
    // The sum of both, sample by sample: before the other one's first frame, with it and after.
    let before = usize::try_from(high.info().first_frame.since(begin))?;
    let frames = before + usize::try_from(mix.commit().since(high.info().first_frame))?;
    let (sum, low) = (frames_of(&mix, begin, frames)?, frames_of(&low, begin, frames)?);
    let joined = frames_of(&high, high.info().first_frame, frames - before)?;
    ensure!(frames > before + 9_600 && level_db(&joined) > TONE_DB - 0.1, "{before} of {frames} frames");
    let high = std::iter::repeat_n(0.0, before).chain(joined);
    for (at, ((sum, low), high)) in sum.into_iter().zip(low).zip(high).enumerate() {
        ensure!(
            (sum - (0.5 * low + high)).abs() < 1e-6,
            "{sum} for {low} and {high}, frame {at} of {before}, {frames}"
        );
    }
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
    mix.read(mix.info().first_frame, &mut first, 4_800).context("the first frames")?;
    let level = level_db(&first[..4_800]);
    ensure!((level - (TONE_DB - 3.0)).abs() < 0.2, "{level:.2} dB, {:?} after the ring was there", begin.elapsed());
    ensure!(shown(&instance)? == before);
    instance.command(&["source", "add", "third=test:tone?hz=2000"])?.expect_success()?;
    set(&instance, &["low", "mute=on"])?;
    wait_level(&mix, TONE_DB - 20.0)?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// A voice of 1 kHz and mains hum of 50 Hz, each at this level: with another tone beside still below full scale.
const EACH_DB: f64 = -16.0;

fn hum_and_voice(path: &Path) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec)?;
    let peak = 10.0_f64.powf(EACH_DB / 20.0) * 2.0_f64.sqrt() * 32_767.0;
    for frame in 0..60 * 48_000 {
        let turn = std::f64::consts::TAU * f64::from(frame) / 48_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "a sample of 16 bits")]
        file.write_sample((peak * ((50.0 * turn).sin() + (1_000.0 * turn).sin())) as i16)?;
    }
    Ok(file.finalize()?)
}

/// The level of a tone in samples at 48 kHz that have whole periods of it.
fn tone_db(samples: &[f32], hz: f64) -> f64 {
    let turn = std::f64::consts::TAU * hz / 48_000.0;
    let (re, im) = samples.iter().enumerate().fold((0.0, 0.0), |(re, im), (frame, &sample)| {
        #[expect(clippy::cast_precision_loss, reason = "a tenth of a second")]
        let (sin, cos) = (turn * frame as f64).sin_cos();
        (re + f64::from(sample) * cos, im + f64::from(sample) * sin)
    });
    #[expect(clippy::cast_precision_loss, reason = "a tenth of a second")]
    let peak = 2.0 * re.hypot(im) / samples.len() as f64;
    20.0 * (peak / 2.0_f64.sqrt() + 1e-10).log10()
}

/// Waits until hum and voice have these levels in a ring.
fn wait_tones(ring: &RingReader, hum: impl Fn(f64) -> bool, voice: impl Fn(f64) -> bool) -> Result<()> {
    let mut last = (0.0, 0.0);
    wait_until("the levels", watchdog(SETTLED.as_secs_f64()), || {
        // 40 ms: whole periods of both.
        let samples = newest(ring)?.1;
        last = (tone_db(&samples[..1_920], 50.0), tone_db(&samples[..1_920], 1_000.0));
        Ok((hum(last.0) && voice(last.1)).then_some(()))
    })
    .with_context(|| format!("hum {:.1} dB, voice {:.1} dB", last.0, last.1))
}

#[test]
fn a_high_pass_takes_the_hum_out_of_the_mix_and_not_out_of_the_streams_own_ring() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("hum.wav");
    hum_and_voice(&path)?;
    let source = format!("voice=file:{}", path.display());
    let mut instance = Setup::run(&[source.as_str(), "tone=test:tone?hz=5000"]).arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let (mix, own) = (instance.ring("mix")?, instance.ring("voice")?);
    instance.wait_captured(&mix, 0.5)?;
    let is = |db: f64| move |level: f64| (level - db).abs() < 0.5;
    wait_tones(&mix, is(EACH_DB), is(EACH_DB))?;
    let begin = mix.commit();
    // Two octaves below 200 Hz: 48 dB down.
    set(&instance, &["voice", "highpass=200Hz"])?;
    wait_tones(&mix, |level| level < EACH_DB - 40.0, is(EACH_DB))?;
    wait_tones(&own, is(EACH_DB), is(EACH_DB))?;
    // A gate above all that there is turns it down by 40 dB.
    set(&instance, &["voice", "gate=0dB"])?;
    wait_tones(&mix, |level| level < -80.0, is(EACH_DB - 40.0))?;
    set(&instance, &["voice", "gate=off", "eq=0,+6,0"])?;
    wait_tones(&mix, |level| level < EACH_DB - 35.0, is(EACH_DB + 6.0))?;
    set(&instance, &["voice", "eq=off", "comp=-30dB:20"])?;
    wait_tones(&mix, |level| level < EACH_DB - 40.0, |level| (-33.0..-30.5).contains(&level))?;
    let row = shown(&instance)?["strips"][1].clone();
    ensure!(row["stream"] == "voice" && row["processing"] == "highpass=200Hz comp=-30dB:20", "{row}");
    ensure!(row["highpass_hz"] == 200.0 && row["gate_db"].is_null() && row["unprocessed_frames"] == 0, "{row}");
    // Everything at once, off.
    set(&instance, &["voice", "highpass=off", "comp=off"])?;
    wait_tones(&mix, is(EACH_DB), is(EACH_DB))?;
    // None of it made a click: at 5 kHz and below, the sum of all bends by less than this from frame to frame.
    let frames = usize::try_from(mix.commit().since(begin))?;
    let mut samples = vec![0.0; frames * mix.info().channels as usize];
    mix.read(begin, &mut samples, frames)?;
    let bend =
        samples[..frames].windows(3).map(|three| (three[2] - 2.0 * three[1] + three[0]).abs()).fold(0.0, f32::max);
    // 0.5 of 5 kHz bends by 0.21, 0.7 of 1 kHz by 0.012.
    ensure!(bend < 0.24, "a bend of {bend}");
    ensure!(own.gap_frames() + mix.gap_frames() == 0);

    // It outlives the engine, whose next one begins with it.
    set(&instance, &["voice", "highpass=200Hz"])?;
    wait_tones(&mix, |level| level < EACH_DB - 40.0, is(EACH_DB))?;
    let before = shown(&instance)?;
    instance.kill_role("engine")?;
    let next = |stream: &str| {
        wait_until("the next ring", watchdog(2.0), || {
            let is_next =
                |ring: &RingReader| ring.info().epoch.0 > 1 && ring.commit() > ring.info().first_frame.plus(19_200);
            Ok(instance.ring(stream).ok().filter(is_next))
        })
    };
    let (mix, own) = (next("mix")?, next("voice")?);
    let mut samples = vec![0.0; 19_200 * mix.info().channels as usize];
    mix.read(mix.info().first_frame, &mut samples, 19_200).context("the first frames")?;
    // It begins in the middle of a period: that rings for a while.
    let hum = tone_db(&samples[9_600..19_200], 50.0);
    ensure!(hum < EACH_DB - 40.0, "{hum:.1} dB of hum from the next engine's begin on");
    wait_tones(&own, is(EACH_DB), is(EACH_DB))?;
    ensure!(shown(&instance)? == before);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn processing_that_is_configured_is_there_from_the_first_frame_on() -> Result<()> {
    let mut instance = start(&["--mix", "low gate=0dB", "--mix", "high mute=on"])?;
    let mix = instance.ring("mix")?;
    // A gate is open at first, and closes after its hold.
    wait_level(&mix, TONE_DB - 40.0)?;
    let mut first = vec![0.0; 4_800 * mix.info().channels as usize];
    mix.read(mix.info().first_frame, &mut first, 4_800).context("the first frames")?;
    ensure!((level_db(&first[..4_800]) - TONE_DB).abs() < 0.2);
    ensure!(mix.gap_frames() == 0);
    set(&instance, &["low", "gate=off"])?;
    wait_level(&mix, TONE_DB)?;
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
        (vec!["low", "volume=1"], 2, "gain, pan, mute, solo, highpass"),
        (vec!["low", "highpass=5Hz"], 2, "20Hz to 2000Hz"),
        (vec!["low", "gate=3dB"], 2, "-50dB, or off"),
        (vec!["low", "eq=1,2"], 2, "LOW,MID,HIGH"),
        (vec!["low", "comp=-20dB"], 2, "THRESHOLD:RATIO"),
        (vec!["mix", "comp=-20dB:4"], 2, "gain and ceiling"),
        (vec!["low", "ceiling=0.5"], 2, "mix set mix"),
        (vec!["mix", "mute=on"], 2, "gain and ceiling"),
        (vec!["nobody", "mute=on"], 3, "low"),
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

//! Devices: how they are named, opened and refused, with a real sound server.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use system_tests::*;

/// The code that README.md documents for a device that cannot be used.
const NO_DEVICE: u8 = 10;

/// A server with two microphones: one that hears what is played, and one in a silent room.
fn with_microphones() -> Result<Pulse> {
    let pulse = Pulse::start()?;
    let yeti = ["source_name=yeti", "master=vsink.monitor", "source_properties=device.description='Blue\\ Yeti'"];
    pulse.load("module-remap-source", &yeti)?;
    pulse.load("module-null-source", &["source_name=quiet", "rate=44100", "description='A silent room'"])?;
    Ok(pulse)
}

/// What `audio-engine ARGS` says; nothing but JSON on standard output, and nothing on standard error.
fn engine(pulse: &Pulse, args: &[&str]) -> Result<Value> {
    let mut command = Command::new(program("audio-engine")?);
    let finished = run_to_end(command.args(args).envs(pulse.environment()?), watchdog(3.0))?;
    finished.expect_success()?;
    ensure!(finished.stderr.is_empty(), "audio-engine {args:?} said {:?}", finished.stderr);
    serde_json::from_str(&finished.stdout).with_context(|| format!("audio-engine {args:?} said {:?}", finished.stdout))
}

fn lines(said: &Value) -> Result<&Vec<Value>> {
    said.as_array().context("no array")
}

fn line<'a>(said: &'a Value, id: &str) -> Result<&'a Value> {
    lines(said)?.iter().find(|line| line["id"] == id).with_context(|| format!("no {id} in {said}"))
}

/// Files that sound libraries leave in shared memory.
fn left_by_libraries() -> Result<BTreeSet<String>> {
    let files = std::fs::read_dir("/dev/shm")?.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    Ok(files.filter(|name| name.starts_with("jack")).collect())
}

/// Plays a tone into what the first microphone hears, until the server ends.
fn play_a_tone(pulse: &Pulse) -> Result<()> {
    pulse.load("module-sine", &["sink=vsink", "frequency=440"])
}

#[test]
fn microphones_are_listed_by_the_names_that_people_know() -> Result<()> {
    let pulse = with_microphones()?;
    let before = left_by_libraries()?;
    let said = engine(&pulse, &["devices"])?;

    let yeti = line(&said, "yeti")?;
    ensure!(yeti["name"] == "Blue Yeti" && yeti["kind"] == "microphone" && yeti["host"] == "PulseAudio", "{yeti}");
    ensure!(yeti["channels"] == 1 && yeti["default_sample_rate_hz"] == 48_000, "{yeti}");
    let quiet = line(&said, "quiet")?;
    ensure!(quiet["name"] == "A silent room" && quiet["kind"] == "microphone", "{quiet}");
    ensure!(quiet["sample_rates"] == serde_json::json!([44_100, 44_100]), "{quiet}");
    for monitor in ["vsink.monitor", "vmon"] {
        ensure!(line(&said, monitor)?["kind"] == "monitor", "{said}");
    }

    ensure!(line(&said, "vmon")?["host"] == "ALSA", "{said}");

    // One default, and it is the first; then microphones, then monitors; plug-ins only when asked for.
    let kinds: Vec<&str> = lines(&said)?.iter().filter_map(|line| line["kind"].as_str()).collect();
    let defaults: Vec<bool> = lines(&said)?.iter().filter_map(|line| line["default"].as_bool()).collect();
    ensure!(defaults[0] && defaults[1..].iter().all(|&default| !default), "{said}");
    let rank = |kind: &&str| ["microphone", "monitor", "other", "plugin"].iter().position(|known| known == kind);
    ensure!(kinds.is_sorted_by_key(rank) && kinds.iter().all(|kind| rank(kind).is_some()), "{kinds:?}");
    ensure!(!kinds.contains(&"plugin"), "{said}");
    let all = engine(&pulse, &["devices", "--all"])?;
    ensure!(line(&all, "pulse")?["kind"] == "plugin", "{all}");
    ensure!(lines(&all)?.len() > kinds.len(), "{all}");

    // Listing leaves nothing behind.
    ensure!(left_by_libraries()? == before, "{before:?}, then {:?}", left_by_libraries()?);
    Ok(())
}

#[test]
fn a_device_is_heard_or_found_to_be_silent() -> Result<()> {
    let pulse = with_microphones()?;
    play_a_tone(&pulse)?;
    // By its id, by a part of the name that people know, as its monitor, and as what ALSA calls it.
    for device in ["device:yeti", "device:blue", "device:vsink.monitor", "device:vmon"] {
        let heard = wait_until("sound", watchdog(3.0), || {
            let said = engine(&pulse, &["probe", device, "--seconds", "1"])?;
            ensure!(said["ok"] == true && said["exit"] == 0, "{said}");
            Ok((said["zeros"] == false).then_some(said))
        })?;
        ensure!(heard["peak"].as_f64().is_some_and(|peak| peak > 0.01 && peak <= 1.0), "{heard}");
        ensure!(heard["rms_dbfs"].as_f64().is_some_and(|rms| (-80.0..0.0).contains(&rms)), "{heard}");
        ensure!(heard["captured_s"].as_f64().is_some_and(|captured| (captured - 1.0).abs() < 1e-6), "{heard}");
    }
    let quiet = engine(&pulse, &["probe", "device:quiet", "--seconds", "0.5"])?;
    ensure!(quiet["ok"] == true && quiet["zeros"] == true && quiet["peak"] == 0.0, "{quiet}");
    ensure!(quiet["rms_dbfs"].is_null(), "{quiet}");

    // A microphone that somebody has muted.
    pulse.mute("yeti", true)?;
    ensure!(line(&engine(&pulse, &["devices"])?, "yeti")?["muted"] == true);
    wait_until("silence", watchdog(3.0), || {
        let said = engine(&pulse, &["probe", "device:yeti", "--seconds", "0.5"])?;
        Ok((said["zeros"] == true).then_some(()))
    })?;
    Ok(())
}

#[test]
fn a_device_that_cannot_be_used_says_why() -> Result<()> {
    let mut pulse = with_microphones()?;
    let refused = |pulse: &Pulse, uri: &str, exit: u8, named: &[&str]| -> Result<()> {
        let said = engine(pulse, &["probe", uri, "--seconds", "0.5"])?;
        ensure!(said["ok"] == false && said["exit"] == exit, "{said}");
        let reason = said["reason"].as_str().context("reason")?;
        named.iter().try_for_each(|name| {
            ensure!(reason.contains(name), "{uri}: no {name:?} in {reason:?}");
            Ok(())
        })
    };
    refused(
        &pulse,
        "device:gramophone",
        NO_DEVICE,
        &["gramophone", "yeti (Blue Yeti)", "quiet (A silent room)", "vmon"],
    )?;
    refused(&pulse, "device:i", NO_DEVICE, &["could be any of", "yeti", "quiet"])?;
    refused(&pulse, "device", 2, &["device:"])?;

    pulse.kill()?;
    refused(&pulse, "device:", NO_DEVICE, &["no default input device", "sound server", "demo:"])?;
    refused(&pulse, "device:vmon", NO_DEVICE, &["vmon", "sound server"])?;
    refused(&pulse, "device:yeti", NO_DEVICE, &["yeti", "vmon"])?;
    let said = engine(&pulse, &["devices"])?;
    ensure!(lines(&said)?.iter().all(|line| line["host"] != "PulseAudio" && line["default"] == false), "{said}");
    Ok(())
}

#[test]
fn a_run_hears_a_microphone_by_its_name_and_is_quiet_about_it() -> Result<()> {
    let pulse = with_microphones()?;
    let mut setup = Setup::run(&["mic=device:blue yeti", "--verbose"]);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let mut instance = setup.start()?;
    let started = instance.wait_ready()?;
    let streams = started.fields["streams"].to_string();
    ensure!(streams.contains("Blue Yeti (yeti): 48 kHz, mono"), "{streams}");

    // What is played is in the ring.
    play_a_tone(&pulse)?;
    let ring = instance.ring("mic")?;
    wait_until("sound in the ring", watchdog(3.0), || {
        let mut samples = vec![0.0; 4_800];
        let from = ring.commit().0.saturating_sub(4_800).max(ring.oldest().0);
        let read = ring.read(shm_layout::FrameIndex(from), &mut samples, 4_800);
        Ok((read.is_ok() && samples.iter().any(|sample| sample.abs() > 0.01)).then_some(()))
    })?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    let said = instance.stderr();
    ensure!(!said.contains("ALSA lib") && !said.contains("pulse.c"), "{said}");
    instance.assert_clean()
}

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

/// A run that hears a device of this server.
fn hearing(pulse: &Pulse, source: &str) -> Result<Instance> {
    let mut setup = Setup::run(&[source]);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let instance = setup.start()?;
    instance.wait_ready()?;
    Ok(instance)
}

fn device_event(instance: &Instance, since: usize, state: &str) -> Result<Event> {
    let fits = |event: &Event| event.is("device") && event.fields["state"] == state;
    instance.log().wait(since, state, watchdog(20.0), fits)
}

/// Waits until something other than silence comes after this.
fn wait_heard(instance: &Instance) -> Result<()> {
    let ring = instance.ring("mic")?;
    let since = ring.commit().0;
    let channels = ring.info().channels as usize;
    wait_until("sound in the ring", watchdog(5.0), || {
        let mut samples = vec![0.0; 4_800 * channels];
        let from = ring.commit().0.saturating_sub(4_800);
        let read = from > since && ring.read(shm_layout::FrameIndex(from), &mut samples, 4_800).is_ok();
        Ok((read && samples.iter().any(|sample| sample.abs() > 0.01)).then_some(()))
    })
}

fn end(mut instance: Instance) -> Result<()> {
    instance.interrupt()?;
    instance.wait_stopped(watchdog(3.0))?;
    instance.assert_clean()
}

#[test]
fn a_sound_server_that_is_killed_and_started_again_is_heard_again() -> Result<()> {
    let mut pulse = Pulse::start()?;
    play_a_tone(&pulse)?;
    let instance = hearing(&pulse, "mic=device:vsink.monitor")?;
    wait_heard(&instance)?;
    let since = instance.log().len();
    pulse.kill()?;
    let lost = device_event(&instance, since, "lost")?;
    eprintln!("{}", lost.fields);
    let gap = instance.wait_event("the gap", watchdog(6.0), |e| {
        e.is("gap") && e.fields["stream"] == "mic" && e.fields["cause"] == "disappeared"
    })?;
    ensure!(gap.span()?.end > gap.span()?.start, "{}", gap.fields);
    pulse.start_again()?;
    play_a_tone(&pulse)?;
    let back = device_event(&instance, lost.index, "back")?;
    ensure!(back.text("description")?.contains("vsink.monitor"), "{}", back.fields);
    wait_heard(&instance)?;
    end(instance)
}

#[test]
fn the_default_input_is_followed_when_it_is_another_one() -> Result<()> {
    let pulse = with_microphones()?;
    play_a_tone(&pulse)?;
    pulse.ask(&["set-default-source", "quiet"])?;
    let instance = hearing(&pulse, "mic=device:")?;
    let since = instance.log().len();
    pulse.ask(&["set-default-source", "yeti"])?;
    let lost = device_event(&instance, since, "lost")?;
    ensure!(lost.text("reason")?.contains("the default input is yeti now"), "{}", lost.fields);
    let back = device_event(&instance, lost.index, "back")?;
    ensure!(back.text("description")?.contains("Blue Yeti"), "{}", back.fields);
    wait_heard(&instance)?;
    end(instance)
}

/// Takes a module away that was loaded with these words.
fn unload(pulse: &Pulse, words: &str) -> Result<()> {
    let modules = pulse.ask(&["list", "short", "modules"])?;
    let module = modules.lines().find(|line| line.contains(words)).context("the module")?;
    pulse.ask(&["unload-module", module.split_whitespace().next().context("a number")?])?;
    Ok(())
}

#[test]
fn a_microphone_that_is_plugged_in_elsewhere_is_known_by_its_name() -> Result<()> {
    let pulse = Pulse::start()?;
    play_a_tone(&pulse)?;
    let load = |id: &str| {
        let properties = "source_properties=device.description='USB\\ Mic'";
        pulse.load("module-remap-source", &[&format!("source_name={id}"), "master=vsink.monitor", properties])
    };
    load("usb_1")?;
    let instance = hearing(&pulse, "mic=device:usb_1")?;
    wait_heard(&instance)?;
    let since = instance.log().len();
    unload(&pulse, "usb_1")?;
    let lost = device_event(&instance, since, "lost")?;
    eprintln!("{}", lost.fields);
    load("usb_2")?;
    let back = device_event(&instance, lost.index, "back")?;
    ensure!(back.text("description")?.contains("USB Mic (usb_2)"), "{}", back.fields);
    wait_heard(&instance)?;
    end(instance)
}

#[test]
fn the_default_takes_the_place_of_a_microphone_that_is_away_and_gives_it_back() -> Result<()> {
    let pulse = Pulse::start()?;
    play_a_tone(&pulse)?;
    pulse.ask(&["set-default-source", "vsink.monitor"])?;
    let load = || pulse.load("module-null-source", &["source_name=desk", "description=Desk"]);
    load()?;
    pulse.ask(&["set-default-source", "vsink.monitor"])?;
    let instance = hearing(&pulse, "mic=device:desk|default")?;
    let since = instance.log().len();
    unload(&pulse, "source_name=desk")?;
    let lost = device_event(&instance, since, "lost")?;
    device_event(&instance, lost.index, "back")?;
    wait_heard(&instance)?;
    let since = instance.log().len();
    load()?;
    let lost = device_event(&instance, since, "lost")?;
    ensure!(lost.text("reason")?.contains("desk is there again"), "{}", lost.fields);
    let back = device_event(&instance, lost.index, "back")?;
    ensure!(back.text("description")?.contains("desk"), "{}", back.fields);
    end(instance)
}

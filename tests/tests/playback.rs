//! Playback: what is asked for is heard, what goes is tried again, and nobody else notices.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use system_tests::*;

/// The code that README.md documents for a device that cannot be used.
const NO_DEVICE: i32 = 10;
/// A clean tone; a step of one sample would be heard at -40 dB.
const CLEAN_DB: f64 = -55.0;

/// An instance that plays to a virtual output.
struct Playing {
    instance: Instance,
    played: Played,
}

fn start(sources: &[&str], options: &str, more: &[&str]) -> Result<Playing> {
    let folders = Folders::new()?;
    let played = Played::new(folders.notes());
    let mut setup = Setup::run(sources).folders(folders).arg("--output").arg(played.device(options));
    for arg in more {
        setup = setup.arg(*arg);
    }
    let instance = setup.start()?;
    instance.wait_ready()?;
    Ok(Playing { instance, played })
}

impl Playing {
    fn finish(mut self) -> Result<()> {
        self.instance.interrupt()?;
        self.instance.wait_stopped(watchdog(2.0))?;
        self.instance.assert_clean()
    }

    /// Waits until the newest half second is this tone.
    fn wait_tone(&self, hz: f64) -> Result<()> {
        let mut last = 0.0;
        wait_until("the tone", watchdog(3.0), || {
            std::thread::sleep(Duration::from_millis(50));
            let Ok(samples) = self.played.newest() else { return Ok(None) };
            last = beside_tone_db(&samples, hz);
            let loud = samples.iter().any(|sample| sample.abs() > 0.1);
            Ok((loud && last < CLEAN_DB).then_some(()))
        })
        .with_context(|| format!("{hz} Hz: {last:.1} dB beside it"))
    }

    fn output(&self) -> Result<Value> {
        Ok(self.instance.json("status")?["outputs"][0].clone())
    }

    fn wait_output(&self, since: usize, state: &str) -> Result<Event> {
        let log = self.instance.log();
        log.wait(since, state, watchdog(6.0), |event| event.is("output") && event.fields["state"] == state)
    }
}

#[test]
fn a_tone_is_played_as_it_is_in_the_mix() -> Result<()> {
    let playing = start(&["tone=test:tone?hz=1000"], "", &[])?;
    playing.wait_tone(1_000.0)?;
    wait_until("figures", watchdog(2.0), || Ok(playing.output()?["delay_ms"].is_number().then_some(())))?;
    let output = playing.output()?;
    eprintln!("{output}");
    ensure!(output["state"] == "open" && output["stream"] == "mix" && output["next"].is_null(), "{output}");
    ensure!(output["delay_ms"].as_f64().is_some_and(|ms| ms > 5.0 && ms < 200.0), "{output}");
    ensure!(playing.instance.ring("tone")?.gap_frames() == 0);
    playing.finish()
}

#[test]
fn a_device_whose_clock_is_wrong_plays_without_a_gap() -> Result<()> {
    let playing = start(&["tone=test:tone?hz=500"], "drift_ppm=150&period=256", &["--output-stream", "tone"])?;
    playing.wait_tone(500.0)?;
    let before = playing.output()?["underruns"].as_u64().context("underruns")?;
    std::thread::sleep(Duration::from_secs(scaled(20)));
    playing.wait_tone(500.0)?;
    let output = playing.output()?;
    eprintln!("{output}");
    ensure!(output["underruns"].as_u64().is_some_and(|after| after <= before + 2), "{before}, then {output}");
    ensure!(output["ppm"].as_f64().is_some_and(|ppm| (ppm - 150.0).abs() < 50.0), "{output}");
    playing.finish()
}

/// Whether what was played last, half a second of it, is in the ring of a stream bit by bit.
fn is_in_ring(playing: &Playing, stream: &str) -> Result<bool> {
    let ring = playing.instance.ring(stream)?;
    let (from, to) = (ring.oldest(), ring.commit());
    let frames = usize::try_from(to.since(from).min(4 * 48_000))?;
    let Ok(played) = playing.played.newest() else { return Ok(false) };
    let mut there = vec![0.0; ring.info().channels as usize * frames];
    ring.read(to.back(frames as u64), &mut there, frames)?;
    let same = |window: &[f32]| window.iter().zip(&played).all(|(a, b)| a.to_bits() == b.to_bits());
    Ok(there[..frames].windows(played.len()).any(same))
}

#[test]
fn an_output_that_is_configured_leads_and_plays_the_ring_bit_by_bit() -> Result<()> {
    let options = "drift_ppm=150&vanish_after_s=12&return_after_s=5";
    let playing = start(&["mic=virtual:tone?hz=500&drift_ppm=-100"], options, &["--output-stream", "mic"])?;
    let log = playing.instance.log();
    let leads = log.wait(0, "leads", watchdog(3.0), |event| event.is("leads"))?;
    ensure!(leads.fields["output"] == true && leads.fields["stream"].is_null(), "{}", leads.fields);
    let status = playing.instance.json("status")?;
    ensure!(status["leader"] == "output" && status["outputs"][0]["leads"] == true, "{status}");
    playing.wait_tone(500.0)?;
    wait_until("its own frames", watchdog(4.0), || Ok(is_in_ring(&playing, "mic")?.then_some(())))?;
    // Its clock is known now, and followed.
    let knows = |output: &Value| output["ppm"].as_f64().is_some_and(|ppm| (ppm - 150.0).abs() < 60.0);
    wait_until("its rate", watchdog(6.0), || Ok(playing.output().is_ok_and(|output| knows(&output)).then_some(())))?;
    wait_until("its own frames still", watchdog(2.0), || Ok(is_in_ring(&playing, "mic")?.then_some(())))?;
    ensure!(playing.instance.ring("mic")?.gap_frames() == 0);
    eprintln!("{}", playing.output()?);

    // It goes, nobody leads, it is back and leads again.
    let away = log.wait(0, "away", watchdog(10.0), |event| event.is("output") && event.fields["state"] == "away")?;
    log.wait(leads.index + 1, "none", watchdog(3.0), |event| event.is("leads") && event.fields["output"] == false)?;
    ensure!(playing.instance.json("status")?["leader"].is_null());
    playing.wait_output(away.index, "back")?;
    ensure!(playing.instance.json("status")?["leader"] == "output");
    wait_until("its own frames again", watchdog(4.0), || Ok(is_in_ring(&playing, "mic")?.then_some(())))?;
    playing.finish()
}

#[test]
fn a_device_that_leads_goes_on_to_lead_when_an_output_is_set() -> Result<()> {
    let folders = Folders::new()?;
    let played = Played::new(folders.notes());
    let instance = Setup::run(&["mic=virtual:tone?hz=500&drift_ppm=-100"]).folders(folders).start()?;
    instance.wait_ready()?;
    let playing = Playing { instance, played };
    ensure!(playing.instance.json("status")?["leader"] == "mic");
    let said = playing.instance.command(&["output", "set", &playing.played.device("drift_ppm=80")])?;
    said.expect_success()?;
    ensure!(said.stdout.contains("resampled to its clock"), "{said:?}");
    playing.wait_tone(500.0)?;
    let status = playing.instance.json("status")?;
    ensure!(status["leader"] == "mic" && status["outputs"][0]["leads"] == false, "{status}");
    playing.finish()
}

#[test]
fn an_output_whose_callbacks_fall_silent_is_tried_again_and_no_captured_frame_is_lost() -> Result<()> {
    let folders = Folders::new()?;
    let played = Played::new(folders.notes());
    let device = played.device("stall_after_s=8&stall_s=6");
    let instance = Setup::run(&["count=test:count", "tone=test:tone?hz=1000"]).folders(folders);
    let instance = instance.arg("--output").arg(device).arg("--output-stream").arg("tone").start()?;
    let playing = Playing { instance, played };
    playing.instance.wait_ready()?;
    playing.wait_tone(1_000.0)?;
    let away = playing.wait_output(0, "away")?;
    ensure!(away.text("reason")?.contains("asked for nothing"), "{}", away.fields);
    let frames = playing.played.frames();
    let back = playing.wait_output(0, "back")?;
    ensure!(back.number("away_s")? > 0.0, "{}", back.fields);
    wait_until("sound after it", watchdog(3.0), || Ok((playing.played.frames() > frames + 48_000).then_some(())))?;
    playing.wait_tone(1_000.0)?;

    // All that time every frame of the others is there.
    let ring = playing.instance.ring("count")?;
    let (from, to) = (ring.oldest().max(ring.info().first_frame), ring.commit());
    ensure!(to.since(from) > 5 * 48_000, "{from}..{to}");
    let mut seen = Counted::default();
    let channels = ring.info().channels as usize;
    let mut at = from;
    while at < to {
        let frames = usize::try_from(to.since(at).min(4_800))?;
        let mut planar = vec![0.0; channels * frames];
        ring.read(at, &mut planar, frames).with_context(|| format!("{at}"))?;
        seen.look_at(&ring, at, &planar, frames)?;
        at = at.plus(frames as u64);
    }
    eprintln!("{seen:?}");
    ensure!(seen.missing == 0 && seen.gap_frames == 0 && seen.numbered == to.since(from), "{seen:?}");
    playing.finish()
}

#[test]
fn an_output_that_is_unplugged_comes_back() -> Result<()> {
    let playing = start(&["tone=test:tone?hz=1000"], "vanish_after_s=3&return_after_s=2", &[])?;
    playing.wait_tone(1_000.0)?;
    let away = playing.wait_output(0, "away")?;
    ensure!(away.text("reason")?.contains("gone"), "{}", away.fields);
    playing.wait_output(away.index, "back")?;
    std::thread::sleep(Duration::from_millis(800));
    playing.wait_tone(1_000.0)?;
    playing.finish()
}

#[test]
fn the_engine_is_killed_and_the_output_plays_again() -> Result<()> {
    let playing = start(&["tone=test:tone?hz=1000"], "", &[])?;
    playing.wait_tone(1_000.0)?;
    let since = playing.instance.log().len();
    playing.instance.kill_role("engine")?;
    playing.wait_output(since, "back")?;
    let frames = playing.played.frames();
    wait_until("a second more", watchdog(3.0), || Ok((playing.played.frames() > frames + 60_000).then_some(())))?;
    playing.wait_tone(1_000.0)?;
    ensure!(playing.output()?["state"] == "open");
    playing.finish()
}

#[test]
fn an_output_is_set_changed_and_turned_off_while_it_runs() -> Result<()> {
    let folders = Folders::new()?;
    let played = Played::new(folders.notes());
    let instance = Setup::run(&["low=test:tone?hz=500", "high=test:tone?hz=1000"]).folders(folders).start()?;
    instance.wait_ready()?;
    // Nothing is played unasked.
    ensure!(instance.json("status")?["outputs"] == serde_json::json!([]));
    ensure!(!played.device("").is_empty() && played.frames() == 0);
    let device = played.device("period=480");
    let mut playing = Playing { instance, played };
    let set = |playing: &Playing, args: &[&str]| playing.instance.command(&[&["output", "set"], args].concat());

    let said = set(&playing, &[&device, "--stream", "low"])?;
    said.expect_success()?;
    ensure!(said.stdout.contains("playing low to") && said.stderr.is_empty(), "{said:?}");
    playing.wait_tone(500.0)?;
    // Another stream on the same device.
    set(&playing, &[&device, "--stream", "high"])?.expect_success()?;
    std::thread::sleep(Duration::from_millis(700));
    playing.wait_tone(1_000.0)?;

    // What cannot be played leaves what is played.
    for (args, code, words) in [
        (vec!["no such thing"], NO_DEVICE, "no output \"no such thing\"; there are"),
        (vec!["virtual:?busy_s=1000"], NO_DEVICE, "another program has it"),
        (vec!["virtual:?rate=3"], 2, "8000 to 192000"),
        (vec![device.as_str(), "--stream", "nobody"], 3, "low, mix"),
        (vec![""], 2, "output list"),
    ] {
        let said = set(&playing, &args)?;
        ensure!(said.code == Some(code) && said.stderr.contains(words), "{args:?}: {said:?}");
    }
    let output = playing.output()?;
    ensure!(output["state"] == "open" && output["stream"] == "high", "{output}");
    let frames = playing.played.frames();
    wait_until("more sound", watchdog(2.0), || Ok((playing.played.frames() > frames + 24_000).then_some(())))?;
    playing.wait_tone(1_000.0)?;

    let off = playing.instance.command(&["output", "off"])?;
    off.expect_success()?;
    playing.wait_output(0, "off")?;
    ensure!(playing.instance.json("status")?["outputs"] == serde_json::json!([]));
    let frames = wait_until("silence", watchdog(2.0), || {
        let before = playing.played.frames();
        std::thread::sleep(Duration::from_millis(200));
        Ok((playing.played.frames() == before).then_some(before))
    })?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(playing.played.frames() == frames, "it plays on");
    playing.instance.interrupt()?;
    playing.instance.wait_stopped(watchdog(2.0))?;
    playing.instance.assert_clean()
}

#[test]
fn a_run_whose_output_does_not_exist_says_which_do() -> Result<()> {
    let model = model()?;
    let run = |args: &[&str]| -> Result<Finished> {
        let folders = Folders::new()?;
        let mut command = tympan(&folders)?;
        run_to_end(command.args(["run", "test:silence", "--model"]).arg(&model).args(args), watchdog(8.0))
    };
    let said = run(&["--output", "gramophone"])?;
    ensure!(said.code == Some(NO_DEVICE), "{said:?}");
    ensure!(said.stderr.contains("no output \"gramophone\"; there are"), "{said:?}");
    let said = run(&["--output", "default", "--output-stream", "nobody"])?;
    ensure!(said.code == Some(2) && said.stderr.contains("there is test, mix"), "{said:?}");
    let said = run(&["--output", "default", "--fast"])?;
    ensure!(said.code == Some(2), "{said:?}");
    Ok(())
}

/// An instance with a real sound server, which plays a tone to a sink of it.
fn with_server(pulse: &Pulse, device: &str) -> Result<Instance> {
    let mut setup = Setup::run(&["tone=test:tone?hz=1000"]).arg("--output").arg(device);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let instance = setup.start()?;
    instance.wait_ready()?;
    Ok(instance)
}

/// Waits until a sink plays a tone.
fn wait_sound(pulse: &Pulse, sink: &str) -> Result<()> {
    let mut last = 0.0;
    wait_until("sound at the sink", watchdog(5.0), || {
        let mut command = pulse.command("parec")?;
        let monitor = format!("--device={sink}.monitor");
        command.args([&monitor, "--format=float32le", "--rate=48000", "--channels=2", "--latency-msec=20"]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().context("parec")?;
        let mut out = child.stdout.take().context("piped")?;
        // A second; of it the last half.
        let mut bytes = vec![0; 8 * 48_000];
        let read = std::io::Read::read_exact(&mut out, &mut bytes);
        child.kill().ok();
        child.wait().ok();
        read?;
        let samples: Vec<f32> =
            bytes[4 * 48_000..].chunks_exact(8).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        last = beside_tone_db(&samples, 1_000.0);
        let loud = samples.iter().filter(|sample| sample.abs() > 0.1).count();
        Ok((loud > samples.len() / 2 && last < -25.0).then_some(()))
    })
    .with_context(|| format!("{sink}: {last:.1} dB"))
}

fn output_event(instance: &Instance, since: usize, state: &str) -> Result<Event> {
    let fits = |event: &Event| event.is("output") && event.fields["state"] == state;
    instance.log().wait(since, state, watchdog(20.0), fits)
}

fn end(mut instance: Instance) -> Result<()> {
    instance.interrupt()?;
    instance.wait_stopped(watchdog(3.0))?;
    instance.assert_clean()
}

#[test]
fn a_sink_of_a_sound_server_is_played_to_by_its_name_and_listed() -> Result<()> {
    let pulse = Pulse::start()?;
    let speaker = ["sink_name=desk", "rate=48000", "channels=2", "sink_properties=device.description='Desk\\ Speaker'"];
    pulse.load("module-null-sink", &speaker)?;
    let instance = with_server(&pulse, "desk sp")?;
    wait_sound(&pulse, "desk")?;
    let mut list = tympan(instance.folders())?;
    let listed = run_to_end(list.args(["output", "list", "--json"]).envs(pulse.environment()?), watchdog(5.0))?;
    listed.expect_success()?;
    let listed: Value = serde_json::from_str(&listed.stdout)?;
    let devices = listed["devices"].as_array().context("devices")?;
    let desk = devices.iter().find(|device| device["id"] == "desk").context("desk")?;
    ensure!(desk["name"] == "Desk Speaker" && desk["kind"] == "speaker" && desk["channels"] == 2, "{desk}");
    ensure!(desk["sample_rate_hz"] == 48_000, "{desk}");
    ensure!(devices.iter().filter(|device| device["default"] == true).count() == 1, "{listed}");
    ensure!(!devices.iter().any(|device| device["kind"] == "plugin"), "{listed}");
    let playing = &listed["outputs"][0];
    ensure!(playing["state"] == "open" && playing["device"] == "desk sp", "{playing}");
    eprintln!("{playing}");
    end(instance)
}

#[test]
fn a_sound_server_that_is_killed_and_started_again_is_played_to_again() -> Result<()> {
    let mut pulse = Pulse::start()?;
    let instance = with_server(&pulse, "default")?;
    wait_sound(&pulse, "vsink")?;
    let since = instance.log().len();
    pulse.kill()?;
    let away = output_event(&instance, since, "away")?;
    eprintln!("{}", away.fields);
    let ring = instance.ring("mix")?;
    let before = ring.commit();
    pulse.start_again()?;
    let back = output_event(&instance, away.index, "back")?;
    ensure!(back.number("away_s")? > 0.0, "{}", back.fields);
    wait_sound(&pulse, "vsink")?;
    ensure!(ring.commit() > before && ring.gap_frames() == 0, "the rings went on");
    end(instance)
}

#[test]
fn the_default_output_is_followed_when_it_is_another_one() -> Result<()> {
    let pulse = Pulse::start()?;
    pulse.load("module-null-sink", &["sink_name=other", "rate=48000", "channels=2"])?;
    pulse.ask(&["set-default-sink", "vsink"])?;
    let instance = with_server(&pulse, "default")?;
    wait_sound(&pulse, "vsink")?;
    let since = instance.log().len();
    pulse.ask(&["set-default-sink", "other"])?;
    let away = output_event(&instance, since, "away")?;
    ensure!(away.text("reason")?.contains("other"), "{}", away.fields);
    output_event(&instance, away.index, "back")?;
    wait_sound(&pulse, "other")?;
    end(instance)
}

#[test]
fn a_sink_that_is_removed_and_comes_back_under_another_id_is_known_by_its_name() -> Result<()> {
    let pulse = Pulse::start()?;
    let load = |id: &str| {
        let properties = "sink_properties=device.description='USB\\ Headset'";
        pulse.load("module-null-sink", &[&format!("sink_name={id}"), "rate=48000", "channels=2", properties])
    };
    load("usb_1")?;
    let instance = with_server(&pulse, "usb_1")?;
    wait_sound(&pulse, "usb_1")?;
    let modules = pulse.ask(&["list", "short", "modules"])?;
    let module = modules.lines().find(|line| line.contains("usb_1")).context("the module")?;
    let number = module.split_whitespace().next().context("a number")?.to_owned();
    let since = instance.log().len();
    pulse.ask(&["unload-module", &number])?;
    let away = output_event(&instance, since, "away")?;
    eprintln!("{}", away.fields);
    load("usb_2")?;
    output_event(&instance, away.index, "back")?;
    wait_sound(&pulse, "usb_2")?;
    end(instance)
}

//! The commands: what they print for programs and for people, and how they refuse.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use system_tests::*;

/// The objects of a listing, which may stand in an array or in a field of one object.
fn listed<'a>(said: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    said.as_array().or_else(|| said[field].as_array()).with_context(|| format!("no list in {said}"))
}

/// A command in folders where nothing runs.
fn alone(args: &[&str]) -> Result<Finished> {
    let folders = Folders::new()?;
    let finished = run_to_end(tympan(&folders)?.args(args), watchdog(5.0))?;
    folders.assert_clean()?;
    Ok(finished)
}

#[test]
fn status_and_rings_of_two_sources() -> Result<()> {
    let mut instance = Setup::run(&["a=test:tone", "b=virtual:noise?channels=2"]).start()?;
    let started = instance.wait_ready()?;
    let session = started.text("session")?.to_owned();
    let rate_hz = started.whole("sample_rate_hz")?;

    let status = instance.status()?;
    ensure!(status.session == session, "{status:?}");
    for role in ["supervisor", "engine", "listener", "worker"] {
        ensure!(status.of_role(role).count() == if role == "worker" { 2 } else { 1 }, "{role}: {status:?}");
    }
    ensure!(status.of_role("supervisor").all(|p| p.pid == Some(instance.pid())), "{status:?}");
    ensure!(
        status.processes.iter().all(|p| p.state == "running" && p.restarts == 0 && p.uptime_s >= 0.0),
        "{status:?}"
    );
    for (stream, uri) in [("a", "test:tone"), ("b", "virtual:noise?channels=2")] {
        ensure!(status.streams.iter().any(|s| s.stream == stream && s.uri == uri && s.epoch >= Some(1)), "{status:?}");
    }

    let rings = instance.json("rings")?;
    for (name, channels) in [("a", 1), ("b", 2), ("mix", 2)] {
        let ring = listed(&rings, "rings")?
            .iter()
            .find(|ring| ring["name"] == name)
            .with_context(|| format!("{name}: {rings}"))?;
        let path = Path::new(ring["path"].as_str().context("path")?);
        let attached = shm_layout::RingReader::attach(path)?;
        ensure!(ring["session"] == session.as_str() && ring["state"] == "live", "{ring}");
        ensure!(ring["sample_rate_hz"] == rate_hz, "{ring}");
        ensure!(ring["channels"].as_u64().is_some_and(|n| n == u64::from(attached.info().channels)), "{ring}");
        ensure!(name == "mix" || attached.info().channels == channels, "{ring}");
        ensure!(ring["capacity_frames"] == attached.info().capacity_frames, "{ring}");
        ensure!(ring["epoch"] == attached.info().epoch.0, "{ring}");
    }

    for command in ["status", "rings"] {
        let people = instance.command(&[command])?;
        people.expect_success()?;
        ensure!(serde_json::from_str::<Value>(&people.stdout).is_err(), "{command} prints JSON for people");
        ensure!(people.stdout.contains('a') && people.stdout.lines().count() >= 3, "{}", people.stdout);
        ensure!(!people.stdout.contains('\x1b'), "control sequences into a pipe: {:?}", people.stdout);
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn every_event_of_run_has_its_fields() -> Result<()> {
    let mut instance = Setup::run(&[&format!("talk=file:{}", clip_file("librivox_0880.wav").display())]).start()?;
    instance.wait_event("stopped", watchdog(10.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    let events = instance.log().all()?;
    let (mut before_s, mut committed) = (0.0, String::new());
    for event in &events {
        let emitted_s = event.number("emitted_s")?;
        ensure!(emitted_s >= before_s, "{} comes from before {before_s}", event.fields);
        before_s = emitted_s;
        match event.text("event")? {
            "started" => {
                event.text("session")?;
                ensure!(event.whole("sample_rate_hz")? == 48_000, "{}", event.fields);
                let stream = &event.fields["streams"][0];
                ensure!(
                    stream["stream"] == "talk" && stream["uri"].is_string() && stream["description"].is_string(),
                    "{stream}"
                );
            }
            "final" | "partial" | "committed" => {
                ensure!(event.text("stream")? == "talk" && !event.text("text")?.is_empty(), "{}", event.fields);
                let (span, rate_hz) = (event.span()?, 48_000.0);
                let second = |frame: u64| frame as f64 / rate_hz;
                ensure!((event.number("start_s")? - second(span.start)).abs() < 1e-3, "{}", event.fields);
                ensure!((event.number("end_s")? - second(span.end)).abs() < 1e-3, "{}", event.fields);
                let text = event.text("text")?;
                if event.is("partial") {
                    ensure!(text.starts_with(event.text("committed")?), "{}", event.fields);
                } else {
                    let words = event.fields["words"].as_array().context("no words")?;
                    let texts: Vec<_> = words.iter().filter_map(|word| word["text"].as_str()).collect();
                    ensure!(texts.join(" ") == text, "{}", event.fields);
                    ensure!(
                        words.iter().all(|word| word["start_s"].is_f64() && word["confidence"].is_f64()),
                        "{words:?}"
                    );
                }
                if event.is("committed") {
                    committed = format!("{committed} {text}").trim().to_owned();
                } else if event.is("final") {
                    ensure!(text.starts_with(&std::mem::take(&mut committed)), "{}", event.fields);
                }
            }
            "gap" | "lost" => {
                ensure!(!event.text("cause")?.is_empty() && !event.span()?.is_empty(), "{}", event.fields)
            }
            "process" => {
                ensure!(["engine", "listener", "worker"].contains(&event.text("role")?), "{}", event.fields);
                ensure!(["starting", "ready", "exited", "failed"].contains(&event.text("state")?), "{}", event.fields);
                event.whole("generation")?;
            }
            "stopped" => ensure!(event.whole("pending")? == 0 && event.index + 1 == events.len(), "{}", event.fields),
            _ => anyhow::bail!("an event nobody knows: {}", event.fields),
        }
    }
    for kind in ["started", "final", "process", "stopped"] {
        ensure!(events.iter().any(|event| event.is(kind)), "no {kind}");
    }
    instance.assert_clean()
}

#[test]
fn two_instances_beside_each_other() -> Result<()> {
    let mut one = Setup::run(&["test:tone"]).start()?;
    let mut two = Setup::run(&["test:tone"]).start()?;
    let (first, second) = (one.wait_ready()?, two.wait_ready()?);
    ensure!(first.text("session")? != second.text("session")?, "one session for two");
    one.interrupt()?;
    one.wait_stopped(watchdog(2.0))?;
    one.assert_clean()?;
    ensure!(two.status()?.processes.iter().all(|p| p.restarts == 0), "one's end disturbed the other");
    two.interrupt()?;
    two.wait_stopped(watchdog(2.0))?;
    two.assert_clean()
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let model = model()?;
    let second = instance.command(&["run", "--json", "--model", model.to_str().context("path")?, "test:tone"])?;
    second.expect_refusal(&["another tympan", "TYMPAN_RUNTIME_DIR"])?;
    ensure!(instance.status()?.processes.iter().all(|p| p.restarts == 0), "the second disturbed the first");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn the_runtime_folder_is_private() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let runtime = instance.folders().runtime();
    let mode = |path: &Path| Ok::<_, std::io::Error>(path.metadata()?.permissions().mode() & 0o777);
    ensure!(mode(&runtime)? == 0o700, "{:o}", mode(&runtime)?);
    let socket = runtime.join("control.sock");
    ensure!(socket.metadata()?.file_type().is_socket(), "{} is no socket", socket.display());
    for file in instance.folders().runtime_files()? {
        ensure!(mode(&file)? & 0o077 == 0, "{}: {:o}", file.display(), mode(&file)?);
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn without_an_instance_there_are_no_rings() -> Result<()> {
    let rings = alone(&["rings", "--json"])?;
    rings.expect_success()?;
    ensure!(listed(&serde_json::from_str(&rings.stdout)?, "rings")?.is_empty(), "{}", rings.stdout);
    Ok(())
}

#[test]
fn devices_are_listed() -> Result<()> {
    let pulse = Pulse::start()?;
    let folders = Folders::new()?;
    for (json, args) in [(true, &["devices", "--json"][..]), (false, &["devices"])] {
        let finished = run_to_end(tympan(&folders)?.args(args).envs(pulse.environment()?), watchdog(5.0))?;
        finished.expect_success()?;
        ensure!(finished.stdout.contains("vmon"), "no vmon in {}", finished.stdout);
        let said = serde_json::from_str::<Value>(&finished.stdout);
        ensure!(said.is_ok() == json, "{args:?} said {}", finished.stdout);
        if json {
            ensure!(listed(&said?, "devices")?.iter().all(Value::is_object), "{}", finished.stdout);
        }
    }
    folders.assert_clean()
}

#[test]
fn the_formats_of_transcribe() -> Result<()> {
    let model = model()?;
    let (clip, other) = (clip_file("librivox_0880.wav"), clip_file("librivox_0930.wav"));
    let path = |path: &Path| path.to_str().map(str::to_owned).context("path");
    let (model, clip, other) = (path(&model)?, path(&clip)?, path(&other)?);
    let transcribe = |args: &[&str]| -> Result<String> {
        let finished = alone(&[&["transcribe", "--model", &model][..], args].concat())?;
        finished.expect_success()?;
        Ok(finished.stdout)
    };
    let text = transcribe(&["--format", "txt", &clip])?;
    ensure!(text.to_lowercase().contains("young man") && !text.contains("-->") && text.ends_with('\n'), "{text:?}");
    let srt = transcribe(&["--format", "srt", &clip])?;
    ensure!(srt.starts_with("1\n00:00:0") && srt.contains(" --> 00:00:0") && srt.contains(','), "{srt:?}");
    let vtt = transcribe(&["--format", "vtt", &clip])?;
    ensure!(vtt.starts_with("WEBVTT\n\n") && vtt.contains(" --> ") && vtt.contains("young man"), "{vtt:?}");

    let json = transcribe(&["--format", "json", &clip])?;
    let said: Value = serde_json::from_str(&json)?;
    ensure!(said["model"].as_str().is_some_and(|model| model.contains("tiny.en")), "{said}");
    ensure!(said["lost_frames"] == 0, "{said}");
    let segments = said["segments"].as_array().context("segments")?;
    let joined: Vec<&str> = segments.iter().filter_map(|s| s["text"].as_str().map(str::trim)).collect();
    ensure!(!joined.is_empty() && joined.join(" ") == said["text"].as_str().context("text")?.trim(), "{said}");
    ensure!(segments.iter().all(|s| s["start_s"].is_number() && s["end_s"].is_number()), "{said}");
    ensure!(transcribe(&["--json", &clip])?.contains("\"segments\""), "--json is --format json");

    // Several files: an object each, in their order.
    let both = transcribe(&["--format", "json", &clip, &other])?;
    let both: Vec<Value> = serde_json::Deserializer::from_str(&both).into_iter().collect::<Result<_, _>>()?;
    let texts: Vec<String> = both.iter().filter_map(|said| said["text"].as_str().map(str::to_lowercase)).collect();
    ensure!(matches!(&texts[..], [one, two] if one.contains("young man") && two.contains("amiable")), "{both:?}");
    Ok(())
}

#[test]
fn recordings_of_many_kinds_are_read() -> Result<()> {
    for kind in ["flac", "m4a", "mp3", "ogg"] {
        let said = transcribe(&workspace_root().join(format!("speech/formats/librivox_0880.{kind}")))?;
        ensure!(said["text"].as_str().is_some_and(|text| text.contains("young man")), "{kind}: {said}");
    }
    // Cut off in the middle: the words that are there, and an exit code and a sentence that say so.
    let folders = Folders::new()?;
    let (whole, cut) = (std::fs::read(clip_file("librivox_0880.wav"))?, folders.notes().join("cut.wav"));
    std::fs::write(&cut, &whole[..60_000])?;
    let finished =
        run_to_end(tympan(&folders)?.arg("transcribe").arg("--model").arg(model()?).arg(&cut), watchdog(30.0))?;
    ensure!(finished.code == Some(13) && finished.stderr.contains("cut off"), "{finished:?}");
    ensure!(finished.stdout.starts_with("He was not"), "{finished:?}");
    folders.assert_clean()
}

#[test]
fn every_command_helps_with_an_example() -> Result<()> {
    for command in ["run", "transcribe", "status", "rings", "devices"] {
        let help = alone(&[command, "--help"])?;
        help.expect_success()?;
        let lower = help.stdout.to_lowercase();
        let (_, examples) =
            lower.split_once("example").with_context(|| format!("{command}: no example in {}", help.stdout))?;
        ensure!(examples.contains(&format!("tympan {command}")), "{command}: {}", help.stdout);
        ensure!(help.stdout.contains("--json"), "{command}: {}", help.stdout);
    }
    let version = alone(&["--version"])?;
    version.expect_success()?;
    ensure!(version.stdout.starts_with("tympan "), "{:?}", version.stdout);
    Ok(())
}

#[test]
fn bad_input_is_refused_in_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bad = folder.path().join("bad.wav");
    std::fs::write(&bad, "this is no sound at all, only text that someone called a sound file")?;
    let bad = bad.to_str().context("path")?;
    let uri = format!("file:{bad}");
    let model = model()?;
    let model = model.to_str().context("path")?;
    let with_model = |args: &[&str]| {
        [&["run", "--json", "--model", model][..], args].concat().into_iter().map(str::to_owned).collect()
    };
    let given = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
    let cases: [(Vec<String>, &[&str]); 14] = [
        (given(&["dance"]), &["dance"]),
        (given(&["status"]), &["tympan run"]),
        (given(&["transcribe"]), &[]),
        (given(&["transcribe", "--model", model, "/no/such/talk.wav"]), &["/no/such/talk.wav"]),
        (given(&["transcribe", "--model", model, bad]), &["bad.wav"]),
        (given(&["transcribe", "--model", model, "--format", "poem", bad]), &["poem"]),
        (given(&["transcribe", "--model", "/no/such/model.bin", bad]), &["/no/such/model.bin"]),
        (given(&["run", "--model", "/no/such/model.bin", "test:tone"]), &["/no/such/model.bin"]),
        (with_model(&["/no/such/talk.wav"]), &["/no/such/talk.wav"]),
        (with_model(&["file:/no/such/talk.wav"]), &["/no/such/talk.wav"]),
        (with_model(&[&uri]), &["bad.wav"]),
        (with_model(&["test:opera"]), &["opera"]),
        (with_model(&["Bad Name=test:tone"]), &["Bad Name"]),
        (with_model(&["a=test:tone", "a=test:noise"]), &["a"]),
    ];
    for (args, named) in cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let finished = alone(&args).with_context(|| format!("tympan {}", args.join(" ")))?;
        // A run that began to speak JSON before it failed has said so; nothing was heard in any case.
        let mut refusal = finished;
        let begun = refusal.stdout.lines().all(|line| line.starts_with('{') && !line.contains("\"final\""));
        if args[0] == "run" && begun {
            refusal.stdout.clear();
        }
        refusal.expect_refusal(named).with_context(|| format!("tympan {}", args.join(" ")))?;
    }
    Ok(())
}

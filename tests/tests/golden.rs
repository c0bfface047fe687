//! What every command prints, for people and for programs, as the files of `golden/` have it.
//!
//! A command that is new is found by its help; a line in one of the tests below shows what it prints.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use system_tests::golden::{Transcript, accepting, json, kind_of, table};
use system_tests::*;

/// Numbers of `status` and of its streams that are others every time.
const STATUS_CHANGES: [&str; 12] = [
    "pid",
    "uptime_s",
    "heartbeat_s",
    "position_s",
    "position_frame",
    "committed_frame",
    "lag_s",
    "words_lag_s",
    "session",
    "largest_message_bytes",
    "busy",
    "real_time",
];

/// As a terminal of 80 columns.
fn narrow(command: &mut Command) -> &mut Command {
    command.env("COLUMNS", "80").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR")
}

/// A command in a home where nothing is, and where nothing runs.
fn alone(home: &BareHome, args: &[&str]) -> Result<Finished> {
    run_to_end(narrow(&mut home.command(args)?), watchdog(5.0))
}

/// Its folders have names in what is shown.
fn of_home(home: &BareHome) -> Transcript {
    let transcript = Transcript::new().hide(home.folders.runtime(), "RUNTIME").hide(home.folders.data(), "DATA");
    transcript.hide(home.home.path(), "HOME").hide(workspace_root(), "SOURCES")
}

#[test]
fn help_of_every_command() -> Result<()> {
    let home = BareHome::new()?;
    let (mut open, mut seen) = (vec![Vec::<String>::new()], BTreeSet::new());
    while let Some(path) = open.pop() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = alone(&home, &args)?;
        help.expect_success()?;
        let commands = help.stdout.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
        let commands = commands.lines().take_while(|line| !line.is_empty());
        // A line that goes on stands further to the right.
        let names = commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
        open.extend(names.filter(|name| *name != "help").map(|name| [&path[..], &[name.to_owned()]].concat()));
        let mut transcript = of_home(&home);
        transcript.add(&format!("tympan {}", args.join(" ")), &help);
        let file = if path.is_empty() { "tympan".to_owned() } else { path.join("-") };
        transcript.check(&format!("help/{file}"))?;
        seen.insert(format!("{file}.txt"));
    }
    ensure!(seen.len() >= 18, "commands were missed: {seen:?}");
    let folder = fs::read_dir(workspace_root().join("tests/tests/golden/help"))?;
    let files: BTreeSet<String> = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into()).collect();
    ensure!(files == seen, "files of commands that are no more: {:?}", files.difference(&seen));
    Ok(())
}

#[test]
fn where_nothing_runs_and_nothing_is_set() -> Result<()> {
    let home = BareHome::new()?;
    // The log of a place has a name that is made of its path.
    let logs = alone(&home, &["logs"])?.stderr;
    let place = logs.split_once("log/tympan-").and_then(|(_, rest)| rest.split_once(".log")).context(logs.clone())?.0;
    let mut transcript = of_home(&home).hide(place, "PLACE");
    for given in [
        "--version",
        "status",
        "status --json",
        "rings",
        "rings --json",
        "meters",
        "meters --reset",
        "stop",
        "logs",
        "scale workers=3",
        "scale engines=2",
        "restart worker",
        "pause",
        "resume mic",
        "toggle --json",
        "source list",
        "source add demo:",
        "source remove mic",
        "start demo:",
        "run demo:",
        "transcribe talk.wav",
        "run --model tiny.eng demo:",
        "dance",
        "config path",
        "config check",
        "config check --json",
    ] {
        let said = alone(&home, &given.split(' ').collect::<Vec<_>>())?;
        transcript.add(&format!("tympan {given}"), &said);
    }
    transcript.check("nothing-runs")
}

#[test]
fn settings_and_what_is_wrong_with_them() -> Result<()> {
    let home = BareHome::new()?;
    let mut transcript = of_home(&home);
    let shown = |transcript: &mut Transcript, given: &str| -> Result<()> {
        let said = alone(&home, &given.split(' ').collect::<Vec<_>>())?;
        transcript.add_as(given, &said, |text| json(text, &[]).unwrap_or_else(|_| table(text, &[])));
        Ok(())
    };
    // As wide as it needs, for the paths have other lengths elsewhere.
    let mut wide = home.command(&["config", "show", "--workers", "3"])?;
    let said = run_to_end(wide.env("TYMPAN_LANGUAGE", "de"), watchdog(5.0))?;
    transcript.add_as("TYMPAN_LANGUAGE=de tympan config show --workers 3", &said, |text| table(text, &[]));
    shown(&mut transcript, "config show --json")?;
    shown(&mut transcript, "config init")?;
    let file = home.home.path().join("config/tympan/config.toml");
    transcript.add_text("the file that it has written", &fs::read_to_string(&file)?);
    shown(&mut transcript, "config init")?;
    shown(&mut transcript, "config check")?;
    fs::write(&file, "[words]\nworkers = 0\nmodle = \"base\"\n[sound]\nrate = \"fast\"\n")?;
    shown(&mut transcript, "config check")?;
    shown(&mut transcript, "config check --json")?;
    shown(&mut transcript, "run demo:")?;
    transcript.check("settings")
}

#[test]
fn models() -> Result<()> {
    let home = BareHome::new()?;
    let mut transcript = of_home(&home);
    for given in ["model list", "model list --json", "model verify", "model remove tiny.en", "model fetch tyni"] {
        let said = alone(&home, &given.split(' ').collect::<Vec<_>>())?;
        transcript.add_as(given, &said, |text| json(text, &[]).unwrap_or_else(|_| text.to_owned()));
    }
    transcript.check("models")
}

#[test]
fn devices_of_a_sound_server() -> Result<()> {
    let pulse = Pulse::start()?;
    let yeti = ["source_name=yeti", "master=vsink.monitor", "source_properties=device.description='Blue\\ Yeti'"];
    pulse.load("module-remap-source", &yeti)?;
    let folders = Folders::new()?;
    let devices = |args: &[&str]| -> Result<Finished> {
        let mut command = tympan(&folders)?;
        // In one piece, for what else this machine has is taken out below.
        run_to_end(command.args(args).envs(pulse.environment()?).env_remove("COLUMNS"), watchdog(5.0))
    };
    let mut transcript = Transcript::new();
    let ours = |line: &&str| ["input ", "yeti", "vsink.monitor"].iter().any(|name| line.contains(name));
    transcript.add_as("tympan devices (of the test's own sound server)", &devices(&["devices"])?, |text| {
        table(&text.lines().filter(ours).map(|line| format!("{}\n", line.trim_start())).collect::<String>(), &[])
    });
    transcript.add_as(
        "tympan devices --json (of the test's own sound server)",
        &devices(&["devices", "--json"])?,
        |text| {
            let mut said: Value = serde_json::from_str(text).unwrap_or_default();
            if let Some(list) = said.as_array_mut() {
                list.retain(|device| ["yeti", "vsink.monitor"].iter().any(|name| device["id"] == *name));
            }
            json(&said.to_string(), &[]).unwrap_or_default()
        },
    );
    transcript.check("devices")
}

#[test]
fn a_running_instance() -> Result<()> {
    let mut instance = Setup::run(&["a=test:tone", "b=virtual:noise?channels=2"]).start()?;
    instance.wait_ready()?;
    wait_until("levels, and hearts of all", watchdog(3.0), || {
        let status = instance.status()?;
        let beats = |process: &ProcessStatus| process.role == "supervisor" || process.heartbeat_s.is_some();
        let seen = status.processes.iter().all(beats)
            && status.streams.iter().all(|stream| stream.peak_dbfs.is_some() && stream.position_frame > 0);
        Ok(seen.then_some(()))
    })?;
    let mut transcript = Transcript::new().hide(instance.folders().runtime(), "RUNTIME");
    transcript = transcript.hide(instance.pid().to_string(), "PID");
    transcript = transcript.hide(model()?.parent().context("a folder")?, "MODELS");
    let asked = |args: &[&str], columns: Option<&str>| -> Result<Finished> {
        let mut command = tympan(instance.folders())?;
        columns.map(|columns| command.env("COLUMNS", columns));
        run_to_end(command.args(args), watchdog(2.0))
    };
    // The noise is another one every time.
    let changes = [&STATUS_CHANGES[..], &["peak_dbfs", "rms_dbfs"]].concat();
    transcript.add_as("tympan status", &asked(&["status"], Some("200"))?, |text| {
        table(&text.replace("\nreal time: refused; `tympan doctor` says how to allow it\n", ""), &changes)
    });
    let said = asked(&["status", "--json"], None)?;
    // A hidden number is no JSON.
    transcript.add_as("tympan status --json", &said, |text| {
        json(&text.replace(":PID", ":0"), &changes).unwrap_or_else(|_| text.to_owned())
    });
    // How much fits depends on the room there is.
    let rings = ["session", "commit_frame", "gap_frames", "writer_pid", "capacity_frames", "first_frame", "history"];
    transcript.add_as("tympan rings", &asked(&["rings"], None)?, |text| table(text, &rings));
    let said = asked(&["rings", "--json"], None)?;
    transcript.add_as("tympan rings --json", &said, |text| json(text, &rings).unwrap_or_default());
    for given in ["pause a", "toggle", "resume b --json", "pause c", "resume"] {
        let said = asked(&given.split(' ').collect::<Vec<_>>(), None)?;
        transcript
            .add_as(&format!("tympan {given}"), &said, |text| json(text, &[]).unwrap_or_else(|_| text.to_owned()));
    }
    let shown = |transcript: &mut Transcript, given: &str| -> Result<()> {
        let said = asked(&given.split(' ').collect::<Vec<_>>(), Some("200"))?;
        transcript.add_as(&format!("tympan {given}"), &said, |text| {
            let shown = json(text, &["gap_frames"]);
            shown.unwrap_or_else(|_| if text.contains("  ") { table(text, &["gap_frames"]) } else { text.to_owned() })
        });
        Ok(())
    };
    for given in [
        "source add c=test:silence",
        "source add test:bell",
        "source add c=test:tone",
        "source list",
        "source list --json",
        "source remove c",
        "source remove c",
        "source remove test",
    ] {
        shown(&mut transcript, given)?;
    }
    let when = ["at_s", "end_s", "from_frame", "to_frame", "since_frame"];
    transcript.add_as("tympan meters a --once", &asked(&["meters", "a", "--once"], None)?, |text| table(text, &when));
    transcript.add_as("tympan meters a --once --json", &asked(&["meters", "a", "--once", "--json"], None)?, |text| {
        json(text, &when).unwrap_or_else(|_| text.to_owned())
    });
    for given in ["meters c", "meters --reset", "meters a c --reset"] {
        transcript.add(&format!("tympan {given}"), &asked(&given.split(' ').collect::<Vec<_>>(), None)?);
    }
    let mut second = tympan(instance.folders())?;
    let second = run_to_end(second.args(["run", "--model"]).arg(model()?).arg("test:tone"), watchdog(5.0))?;
    transcript.add("tympan run test:tone (a second one)", &second);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()?;
    transcript.check("running")
}

/// An utterance that is recognised alike everywhere, or nearly: the words themselves are not compared here.
const CLIP: &str = "librivox_0880.wav";

/// Words without what they are, as processors round differently.
fn words(text: &str) -> String {
    let is_word = |line: &str| line.chars().any(char::is_alphabetic) && !line.contains("WEBVTT");
    text.lines().map(|line| if is_word(line) { "(words)\n".to_owned() } else { format!("{}\n", times(line)) }).collect()
}

/// Times without their digits.
fn times(line: &str) -> String {
    let digit = |c: char| if c.is_ascii_digit() { '#' } else { c };
    if line.contains("-->") { line.chars().map(digit).collect() } else { line.to_owned() }
}

#[test]
fn a_recording_in_every_format() -> Result<()> {
    let folders = Folders::new()?;
    let mut transcript = Transcript::new().hide(clip_file(CLIP).parent().context("a folder")?, "SPEECH");
    transcript = transcript.hide(model()?.parent().context("a folder")?, "MODELS");
    for format in ["txt", "srt", "vtt", "json"] {
        let mut command = tympan(&folders)?;
        command.args(["transcribe", "--format", format, "--model"]).arg(model()?).arg(clip_file(CLIP));
        let said = run_to_end(&mut command, watchdog(30.0))?;
        transcript.add_as(&format!("tympan transcribe --format {format} SPEECH/{CLIP}"), &said, |text| {
            json(text, &["text", "start_s", "end_s"]).unwrap_or_else(|_| words(text))
        });
    }
    let mut command = tympan(&folders)?;
    command.args(["run", "--fast", "--model"]).arg(model()?).arg(clip_file(CLIP));
    let said = run_to_end(&mut command, watchdog(30.0))?;
    transcript.add_as(&format!("tympan run --fast SPEECH/{CLIP}"), &said, words);
    folders.assert_clean()?;
    transcript.check("recordings")
}

#[test]
fn every_event_of_a_run_for_programs() -> Result<()> {
    let talk = format!("talk=file:{}", clip_file(CLIP).display());
    let sources = [talk, "v=virtual:silence?xrun_every_s=1".to_owned(), "none=file:/no/such/talk.wav".to_owned()];
    let mut instance = Setup::run(&sources.each_ref().map(String::as_str)).start()?;
    let worker = instance.wait_event("a worker", watchdog(5.0), |event| event.is_process("worker", "ready"))?;
    let worker = Process::of(u32::try_from(worker.whole("pid")?)?).context("it has ended by itself")?;
    ensure!(worker.kill(), "it has ended by itself");
    for kind in ["gap", "final", "notice"] {
        instance.wait_event(kind, watchdog(8.0), |event| event.is(kind))?;
    }
    for order in ["pause", "resume"] {
        instance.command(&[order, "v"])?.expect_success()?;
    }
    for order in [["source", "add", "guest=test:silence"], ["source", "remove", "guest"]] {
        instance.command(&order)?.expect_success()?;
    }
    instance.interrupt()?;
    instance.wait_exit(watchdog(2.0))?;
    let mut shapes = BTreeMap::new();
    for event in instance.log().all()? {
        let fields = event.fields.as_object().context("an object")?;
        let name = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
        let what = format!("{} {}", name("event"), name("state")).trim().to_owned();
        let shape: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", kind_of(value))).collect();
        // Of the killed, and of those who ended when they were asked to.
        let what =
            if fields.contains_key("reason") && what.ends_with("exited") { format!("{what}, unasked") } else { what };
        let what = if fields.contains_key("worker") { format!("{what} (a worker)") } else { what };
        let before = shapes.insert(what.clone(), shape.clone());
        ensure!(before.is_none_or(|before| before == shape), "{what} has several shapes: {shape:?}");
    }
    // They come when there is time for them, and look like the final that replaces them.
    let final_shape = shapes.get("final").cloned().context("a final")?;
    let committed = shapes.remove("committed");
    ensure!(committed.is_none_or(|committed| committed == final_shape), "what is committed is no final");
    if let Some(partial) = shapes.remove("partial") {
        let (own, others): (Vec<_>, Vec<_>) = partial.into_iter().partition(|field| field.starts_with("committed: "));
        let without_words: Vec<_> = final_shape.into_iter().filter(|field| !field.starts_with("words: ")).collect();
        ensure!(own == ["committed: text"] && others == without_words, "a partial is no final");
    }
    let mut transcript = Transcript::new();
    for (what, shape) in shapes {
        transcript.add_text(&what, &format!("  {}", shape.join("\n  ")));
    }
    transcript.check("events")
}

#[test]
fn doctor_about_what_is_the_same_everywhere() -> Result<()> {
    const SAME: [&str; 5] = ["programs", "settings", "folders", "instance", "leftovers"];
    let home = BareHome::new()?;
    let programs = program("tympan")?;
    let mut transcript = of_home(&home).hide(programs.parent().context("a folder")?, "PROGRAMS");
    let asked = |args: &[&str]| -> Result<Finished> {
        let mut said = run_to_end(narrow(&mut home.command(args)?).env("COLUMNS", "2000"), watchdog(10.0))?;
        // It is that of what this machine lacks.
        ensure!(said.code.is_some_and(|code| code != 1 && code != 101), "{said:?}");
        said.code = Some(0);
        Ok(said)
    };
    let ours = |line: &&str| SAME.iter().any(|check| line.get(2..).is_some_and(|line| line.starts_with(check)));
    let people = |text: &str| {
        let lines = text.lines().map(|line| line.replacen('✓', "v", 1));
        lines.filter(|line| ours(&line.as_str())).map(|line| line + "\n").collect()
    };
    transcript.add_as(
        "tympan doctor --quick (what does not depend on the machine)",
        &asked(&["doctor", "--quick"])?,
        people,
    );
    transcript.add_as("tympan doctor --quick --json (likewise)", &asked(&["doctor", "--quick", "--json"])?, |text| {
        let mut said: Value = serde_json::from_str(text).unwrap_or_default();
        if let Some(list) = said.as_array_mut() {
            list.retain(|finding| SAME.iter().any(|check| finding["check"] == *check));
        }
        json(&said.to_string(), &[]).unwrap_or_default()
    });
    transcript.check("doctor")
}

#[test]
fn every_file_is_compared() -> Result<()> {
    let compared = ["devices", "doctor", "events", "models", "nothing-runs", "recordings", "running", "settings"];
    let folder: &Path = &workspace_root().join("tests/tests/golden");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_file()) {
        files.push(entry.path().file_stem().context("a name")?.to_string_lossy().into_owned());
    }
    files.sort();
    // The others may be about to be written.
    ensure!(accepting() || files == compared, "{files:?} are there, and {compared:?} are compared");
    Ok(())
}

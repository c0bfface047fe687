//! `tympan doctor`: every fault that a newcomer meets is made here, and must be named with what mends it.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use system_tests::*;
use tempfile::TempDir;

/// A machine where nothing is set and no sound server is found, whatever this one has.
struct Place {
    folders: Folders,
    home: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("tympan-test-home-").tempdir()?;
        private_folder(&home.path().join("session"))?;
        Ok(Self { folders: Folders::new()?, home })
    }

    fn environment(&self) -> Result<Vec<(OsString, OsString)>> {
        let home = self.home.path();
        Ok(vec![
            ("HOME".into(), home.into()),
            ("XDG_RUNTIME_DIR".into(), home.join("session").into()),
            ("XDG_CONFIG_HOME".into(), home.join(".config").into()),
            ("XDG_CACHE_HOME".into(), cache_home()?.into()),
            // Little enough for the smallest machine that runs these tests.
            ("TYMPAN_HISTORY".into(), "10".into()),
            ("TYMPAN_WORKERS".into(), "1".into()),
            ("LC_ALL".into(), "C.UTF-8".into()),
        ])
    }

    /// `tympan doctor`, ready for arguments and more variables.
    fn doctor(&self) -> Result<Command> {
        let mut command = Command::new(program("tympan")?);
        self.enter(&mut command)?;
        command.arg("doctor");
        Ok(command)
    }

    fn enter(&self, command: &mut Command) -> Result<()> {
        for name in
            ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "PIPEWIRE_RUNTIME_DIR", "SSH_CONNECTION", "NO_COLOR", "COLUMNS"]
        {
            command.env_remove(name);
        }
        self.folders.apply(command);
        command.envs(self.environment()?);
        Ok(())
    }

    fn quick(&self) -> Result<Examined> {
        examine(self.doctor()?.arg("--quick"))
    }
}

/// What `tympan doctor --json` found, and how it ended.
#[derive(Debug)]
struct Examined {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Examined {
    /// What a check found; there must be something.
    fn of(&self, check: &str) -> Result<&Value> {
        let worst =
            |finding: &&Value| ["good", "note", "warning", "fault"].iter().position(|s| finding["severity"] == *s);
        let found = self.findings.iter().filter(|finding| finding["check"] == check).max_by_key(worst);
        found.with_context(|| format!("no finding of {check}: {self:?}"))
    }

    /// A check's worst finding is this bad, and says these words.
    fn expect(&self, check: &str, severity: &str, words: &[&str]) -> Result<&Value> {
        let finding = self.of(check)?;
        ensure!(finding["severity"] == severity, "{finding}");
        for word in words {
            ensure!(finding.to_string().contains(word), "no {word:?} in {finding}");
        }
        Ok(finding)
    }

    fn expect_code(&self, code: i32) -> Result<()> {
        ensure!(self.code == Some(code), "not {code}: {self:?}");
        Ok(())
    }
}

fn examine(command: &mut Command) -> Result<Examined> {
    let finished = run_to_end(command.arg("--json"), watchdog(20.0))?;
    let findings: Vec<Value> = serde_json::from_str(&finished.stdout).with_context(|| format!("{finished:?}"))?;
    ensure!(finished.stderr.is_empty(), "{}", finished.stderr);
    for finding in &findings {
        let fields: Vec<&String> = finding.as_object().context("an object")?.keys().collect();
        ensure!(fields.len() == 6, "{finding}");
        ensure!(
            finding["check"].is_string() && finding["what"].as_str().is_some_and(|text| !text.is_empty()),
            "{finding}"
        );
        for field in ["means", "mend"] {
            ensure!(finding[field].is_null() || finding[field].is_string(), "{finding}");
        }
        let exit = finding["exit"].as_u64().context("exit")?;
        let severity = finding["severity"].as_str().context("severity")?;
        match severity {
            "good" => ensure!(exit == 0 && finding["mend"].is_null(), "{finding}"),
            "note" => ensure!(exit == 0, "{finding}"),
            "warning" => ensure!(exit == 5, "{finding}"),
            "fault" => ensure!((1..20).contains(&exit), "{finding}"),
            other => anyhow::bail!("severity {other}"),
        }
        // Whoever is told of a fault is told what to do.
        ensure!(severity == "good" || finding["mend"].is_string() || finding["means"].is_string(), "{finding}");
    }
    Ok(Examined { code: finished.code, findings })
}

fn private_folder(path: &Path) -> Result<()> {
    Ok(std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?)
}

/// Plays a clip again and again until this is dropped, at once and not at its end.
struct Player(Child);

impl Player {
    fn start(pulse: &Pulse) -> Result<Self> {
        // One process group, so that it ends with what it plays at that moment.
        let again = "while paplay --device=vsink \"$0\"; do :; done";
        let mut command = pulse.command("sh")?;
        command.args(["-c", again]).arg(clip_file("librivox_0880.wav")).process_group(0);
        Ok(Self(command.spawn().context("sh")?))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).map(nix::unistd::Pid::from_raw);
        group.map(|group| nix::sys::signal::killpg(group, Signal::SIGKILL)).ok();
        self.0.wait().ok();
    }
}

#[test]
fn with_a_microphone_that_hears_all_is_well() -> Result<()> {
    let place = Place::new()?;
    let pulse = Pulse::start()?;
    with_microphone(&pulse)?;
    let player = Player::start(&pulse)?;
    let examined = examine(place.doctor()?.envs(pulse.environment()?))?;
    drop(player);
    for finding in &examined.findings {
        ensure!(["good", "note"].contains(&finding["severity"].as_str().unwrap_or_default()), "{finding}");
    }
    examined.expect_code(0)?;
    examined.expect("sound server", "good", &["PulseAudio", "native"])?;
    examined.expect("ALSA bridge", "good", &[".asoundrc"])?;
    let heard = examined.of("microphone")?;
    ensure!(heard["what"].as_str().is_some_and(|what| what.contains("peak -")), "{heard}");
    for check in ["programs", "settings", "folders", "instance", "leftovers", "shared memory", "disk", "model"] {
        examined.expect(check, "good", &[])?;
    }
    for check in ["processor", "real time", "sound cards"] {
        examined.of(check)?;
    }
    // A doctor leaves nothing behind.
    ensure!(!place.folders.runtime().exists() && !place.folders.data().exists());
    place.folders.assert_clean()
}

/// Gives a server a microphone that hears what is played, and makes it the default.
fn with_microphone(pulse: &Pulse) -> Result<()> {
    pulse.load("module-remap-source", &["source_name=yeti", "master=vsink.monitor"])?;
    let chosen = pulse.command("pactl")?.args(["set-default-source", "yeti"]).status()?;
    ensure!(chosen.success(), "no default source");
    Ok(())
}

#[test]
fn a_microphone_that_gives_zeros_is_called_muted() -> Result<()> {
    let place = Place::new()?;
    let pulse = Pulse::start()?;
    with_microphone(&pulse)?;
    pulse.mute("yeti", true)?;
    let player = Player::start(&pulse)?;
    let examined = examine(place.doctor()?.envs(pulse.environment()?))?;
    let finding = examined.expect("microphone", "warning", &["zeros", "the sound server has muted it"])?;
    examined.expect_code(5)?;
    // What it says helps.
    let mend = finding["mend"].as_str().context("mend")?;
    ensure!(pulse.command("sh")?.args(["-e", "-c", mend]).status()?.success(), "{mend}");
    let examined = examine(place.doctor()?.envs(pulse.environment()?))?;
    ensure!(!examined.of("microphone")?.to_string().contains("zeros"), "still muted: {examined:?}");
    drop(player);
    // Not muted, and silent all the same.
    let examined = examine(place.doctor()?.envs(pulse.environment()?))?;
    examined.expect("microphone", "warning", &["zeros", "has not muted it", "not permitted"])?;
    // By its name, and not listened to.
    let examined = examine(place.doctor()?.args(["--quick", "--device", "vmon"]).envs(pulse.environment()?))?;
    examined.expect("microphone", "good", &["not listened to"])?;
    examined.expect_code(0)
}

#[test]
fn no_sound_server_and_no_such_device() -> Result<()> {
    let place = Place::new()?;
    let examined = examine(place.doctor()?.args(["--quick", "--device", "nowhere"]))?;
    let server = examined.of("sound server")?;
    ensure!(["note", "warning"].contains(&server["severity"].as_str().unwrap_or_default()), "{server}");
    examined.expect("microphone", "fault", &["nowhere"])?;
    examined.expect_code(10)?;
    // Of one that was named and does not answer, the name is said.
    let examined = examine(place.doctor()?.arg("--quick").env("PULSE_SERVER", "unix:/nowhere/native"))?;
    examined.expect("sound server", "warning", &["/nowhere/native", "unset PULSE_SERVER"])?;
    // Sources that need no microphone make its lack a note.
    let examined = examine(place.doctor()?.args(["--quick"]).env("TYMPAN_SOURCES", "test:tone"))?;
    ensure!(examined.of("microphone")?["severity"] != "fault", "{examined:?}");
    Ok(())
}

#[test]
fn a_sound_server_that_hangs_does_not_hang_the_doctor() -> Result<()> {
    let place = Place::new()?;
    let socket = place.home.path().join("native");
    // Connections are taken by the kernel, and nobody ever reads from them.
    let _listener = UnixListener::bind(&socket)?;
    std::fs::write(place.home.path().join(".asoundrc"), "pcm.!default { type pulse }\nctl.!default { type pulse }\n")?;
    let server = format!("unix:{}", socket.display());
    let examined = examine(place.doctor()?.arg("--quick").env("PULSE_SERVER", &server))?;
    examined.expect("sound server", "good", &["native"])?;
    examined.expect("microphone", "fault", &["the sound system hangs", "pulseaudio --start"])?;
    examined.expect_code(10)
}

#[test]
fn a_missing_model_is_told_with_the_command_that_fetches_it() -> Result<()> {
    let place = Place::new()?;
    let cache = place.home.path().join("cache");
    let examined = examine(place.doctor()?.arg("--quick").env("XDG_CACHE_HOME", &cache))?;
    examined.expect("model", "fault", &["tympan model fetch"])?;
    examined.expect_code(7)
}

#[test]
fn a_model_with_another_content_is_damaged() -> Result<()> {
    let place = Place::new()?;
    let models = place.home.path().join("cache/tympan/models");
    private_folder(&models)?;
    for name in ["ggml-tiny.en.bin", "silero_vad_16k_op15.onnx"] {
        let right = cache_home()?.join("tympan/models").join(name);
        // As long as it should be, and all zeros.
        std::fs::File::create(models.join(name))?.set_len(right.metadata()?.len())?;
    }
    let examined = examine(place.doctor()?.arg("--quick").env("XDG_CACHE_HOME", place.home.path().join("cache")))?;
    examined.expect("model", "fault", &["tympan model fetch --force"])?;
    examined.expect_code(8)
}

/// Runs `doctor` with a runtime folder that is a file system of its own, of this size.
fn with_shared_memory(place: &Place, size: &str, history: &str) -> Result<Examined> {
    private_folder(&place.folders.runtime())?;
    let mut command = Command::new("unshare");
    // Only root may mount; anybody is root in a namespace of users of their own.
    command.arg(if nix::unistd::geteuid().is_root() { "-m" } else { "-rm" }).args(["--", "sh", "-c"]);
    command.arg("mount -t tmpfs -o mode=700,size=\"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"");
    command.args(["sh", size]).arg(place.folders.runtime()).arg(program("tympan")?).args(["doctor", "--quick"]);
    place.enter(&mut command)?;
    examine(command.env("TYMPAN_HISTORY", history))
}

#[test]
fn shared_memory_that_is_too_small() -> Result<()> {
    let place = Place::new()?;
    let none = with_shared_memory(&place, "4m", "30")?;
    none.expect("shared memory", "fault", &["no room for the rings", "4 MB free of 4 MB", "size"])?;
    none.expect_code(15)?;
    let some = with_shared_memory(&place, "64m", "30")?;
    some.expect("shared memory", "warning", &["only 21 s of history fit", "tympan run --history 21"])?;
    with_shared_memory(&place, "64m", "20")?.expect("shared memory", "good", &[])?;
    Ok(())
}

#[test]
fn a_folder_that_is_open_to_others_and_its_mending() -> Result<()> {
    let place = Place::new()?;
    let runtime = place.folders.runtime();
    std::fs::create_dir(&runtime)?;
    std::fs::set_permissions(&runtime, PermissionsExt::from_mode(0o755))?;
    let examined = place.quick()?;
    examined.expect_code(16)?;
    let finding = examined.expect("folders", "fault", &["755", "chmod 700"])?;
    let mended = Command::new("sh").arg("-c").arg(finding["mend"].as_str().context("mend")?).status()?;
    ensure!(mended.success());
    place.quick()?.expect("folders", "good", &[])?;
    Ok(())
}

#[test]
fn another_instance_and_what_it_leaves_when_it_is_killed() -> Result<()> {
    let mut place = Place::new()?;
    let instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let (runtime, pid) = (instance.folders().runtime(), instance.pid());
    let look = |place: &Place| -> Result<Examined> {
        examine(
            place
                .doctor()?
                .arg("--quick")
                .env("TYMPAN_RUNTIME_DIR", &runtime)
                .env("TYMPAN_DATA_DIR", instance.folders().data()),
        )
    };
    let examined = look(&place)?;
    examined.expect("instance", "note", &[&format!("pid {pid}"), &runtime.display().to_string(), "tympan status"])?;
    examined.expect("shared memory", "good", &["instance that runs"])?;
    examined.expect("leftovers", "good", &[])?;
    ensure!(instance.status()?.processes.iter().all(|process| process.state == "running"), "it was disturbed");

    let processes = processes_of(&runtime);
    ensure!(end_process(pid, Signal::SIGKILL), "no instance to kill");
    wait_until("the end of all processes", watchdog(2.0), || {
        Ok(processes.iter().all(|process| !process.is_alive() || process.pid == pid).then_some(()))
    })?;
    let left = instance.folders().runtime_files()?;
    ensure!(left.iter().any(|file| file.extension().is_some_and(|e| e == "ring")), "nothing is left: {left:?}");
    let examined = look(&place)?;
    examined.expect("leftovers", "note", &["left in", "by a tympan that was killed", "tympan run"])?;
    examined.expect("instance", "good", &[])?;
    ensure!(instance.folders().runtime_files()? == left, "a doctor removes nothing");

    // The next one removes them, as was said.
    place.folders = instance.into_folders();
    let mut next = Setup::run(&["test:tone"]).folders(place.folders).start()?;
    next.wait_ready()?;
    next.interrupt()?;
    next.wait_stopped(watchdog(2.0))?;
    next.assert_clean()?;
    place.folders = next.into_folders();
    place.quick()?.expect("leftovers", "good", &["none"])?;
    Ok(())
}

#[test]
fn sound_that_nobody_wrote_down_and_its_mending() -> Result<()> {
    let place = Place::new()?;
    let pending = place.folders.data().join("pending");
    private_folder(&pending)?;
    std::fs::copy(clip_file("librivox_0880.wav"), pending.join("1-2-mic.wav"))?;
    let examined = place.quick()?;
    let finding = examined.expect("leftovers", "note", &["1 utterance", &pending.display().to_string()])?;
    let mut shell = Command::new("sh");
    place.enter(&mut shell)?;
    let folder = program("tympan")?.parent().context("folder")?.display().to_string();
    let path = std::env::var("PATH")?;
    shell.env("PATH", format!("{folder}:{path}")).args(["-e", "-c", finding["mend"].as_str().context("mend")?]);
    let mended = run_to_end(&mut shell, watchdog(30.0))?;
    mended.expect_success()?;
    ensure!(mended.stdout.split_whitespace().count() > 3, "no words: {mended:?}");
    place.quick()?.expect("leftovers", "good", &["none"])?;
    Ok(())
}

#[test]
fn a_broken_configuration_does_not_end_the_examination() -> Result<()> {
    let place = Place::new()?;
    let file = place.home.path().join("my config.toml");
    std::fs::write(&file, "[words]\nmodle = \"base\"\n\n[sound]\nrate = 5\n")?;
    let mut command = Command::new(program("tympan")?);
    place.enter(&mut command)?;
    command
        .arg("--config")
        .arg(&file)
        .args(["doctor", "--quick"])
        .env("TYMPAN_THREADS", "many")
        .env("TYMPAN_MODLE", "x");
    let examined = examine(&mut command)?;
    examined.expect_code(6)?;
    let texts: Vec<String> =
        examined.findings.iter().filter(|f| f["check"] == "settings").map(Value::to_string).collect();
    ensure!(texts.len() == 4, "{texts:?}");
    for (text, words) in texts.iter().zip([
        ["my config.toml:2", "did you mean model?"],
        ["my config.toml:5", "+5 '"],
        ["TYMPAN_THREADS", "unset TYMPAN_THREADS"],
        ["TYMPAN_MODLE", "did you mean TYMPAN_MODEL?"],
    ]) {
        for word in words {
            ensure!(text.contains(word), "no {word:?} in {text}");
        }
    }
    // What is right counts, and the rest is looked at.
    examined.expect("model", "good", &["silero_vad_16k_op15.onnx"])?;
    Ok(())
}

#[test]
fn a_program_that_is_missing_or_of_another_version() -> Result<()> {
    let place = Place::new()?;
    let programs = place.home.path().join("programs");
    private_folder(&programs)?;
    let look = || examine(place.doctor()?.arg("--quick").env("TYMPAN_LIBEXEC", &programs));
    let examined = look()?;
    examined.expect("programs", "fault", &["audio-engine is missing", "cargo build --release"])?;
    examined.expect_code(3)?;
    for (name, says) in [("audio-engine", "echo audio-engine 0.0.1"), ("transcriber-worker", "kill -ILL $$")] {
        std::fs::write(programs.join(name), format!("#!/bin/sh\n{says}\n"))?;
        std::fs::set_permissions(programs.join(name), PermissionsExt::from_mode(0o700))?;
    }
    let examined = look()?;
    let said: Vec<String> =
        examined.findings.iter().filter(|f| f["check"] == "programs").map(Value::to_string).collect();
    let expected = ["version 0.0.1", "another processor", "viz-reader is missing"];
    ensure!(said.len() == 3 && said.iter().zip(expected).all(|(said, part)| said.contains(part)), "{said:?}");
    ensure!(said[2].contains("\"severity\":\"warning\"") && said[2].contains("cargo build --release"), "{said:?}");
    examined.expect("processor", "fault", &["another processor"])?;
    Ok(())
}

#[test]
fn without_a_home_it_is_said_once() -> Result<()> {
    let place = Place::new()?;
    let mut command = place.doctor()?;
    command.arg("--quick").env_remove("HOME").env_remove("TYMPAN_DATA_DIR").env_remove("XDG_CACHE_HOME");
    let examined = examine(command.env_remove("XDG_CONFIG_HOME"))?;
    examined.expect("folders", "fault", &["HOME"])?;
    ensure!(examined.findings.iter().filter(|f| f["check"] == "folders").count() == 1, "{examined:?}");
    examined.expect_code(1)
}

#[test]
fn forty_columns_can_be_read_and_pasted() -> Result<()> {
    let place = Place::new()?;
    let cache = place.home.path().join("cache");
    let mut command = place.doctor()?;
    command.args(["--quick", "--device", "nowhere"]).env("COLUMNS", "40").env("XDG_CACHE_HOME", &cache);
    let finished = run_to_end(&mut command, watchdog(20.0))?;
    ensure!(finished.code == Some(7), "{finished:?}");
    for line in finished.stdout.lines() {
        // What has no place to be cut, a path, stays whole.
        let cut = line.trim().trim_end_matches(" \\").contains(' ');
        ensure!(line.chars().count() <= 40 || !cut, "{line:?} in {}", finished.stdout);
        ensure!(!line.ends_with(' '), "{line:?}");
    }
    ensure!(
        finished.stdout.contains("✗ model: ") && finished.stdout.contains("\n      tympan model fetch "),
        "{}",
        finished.stdout
    );
    ensure!(!finished.stdout.contains('\x1b'), "control sequences into a pipe");
    let last = finished.stdout.lines().last().unwrap_or_default();
    ensure!(last.contains("fault") && last.contains("exit code 7"), "{last:?}");
    Ok(())
}

/// What a terminal shows.
fn on_a_terminal(place: &Place, variables: &[(&str, &str)]) -> Result<String> {
    let mut command = Command::new("script");
    let line = format!("'{}' doctor --quick --device nowhere", program("tympan")?.display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    place.enter(&mut command)?;
    command.env("TERM", "xterm-256color").envs(variables.iter().copied());
    let finished = run_to_end(&mut command, watchdog(20.0))?;
    ensure!(finished.code == Some(10), "{finished:?}");
    Ok(finished.stdout)
}

#[test]
fn colours_are_for_terminals_that_want_them() -> Result<()> {
    let place = Place::new()?;
    let shown = on_a_terminal(&place, &[])?;
    ensure!(shown.contains("\x1b[31m✗\x1b[0m microphone"), "{shown:?}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let shown = on_a_terminal(&place, &[plain])?;
        ensure!(shown.contains("✗ microphone") && !shown.contains('\x1b'), "{plain:?}: {shown:?}");
    }
    let shown = on_a_terminal(&place, &[("NO_COLOR", "1"), ("LC_ALL", "C")])?;
    ensure!(shown.contains("FAIL microphone") && shown.contains("note terminal"), "{shown:?}");
    ensure!(shown.is_ascii(), "{shown:?}");
    Ok(())
}

#[test]
fn while_it_listens_a_terminal_says_so() -> Result<()> {
    let place = Place::new()?;
    let pulse = Pulse::start()?;
    let mut command = Command::new("script");
    let line = format!("'{}' doctor >/dev/null", program("tympan")?.display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    place.enter(&mut command)?;
    command.env("TERM", "xterm-256color").envs(pulse.environment()?);
    let finished = run_to_end(&mut command, watchdog(20.0))?;
    let (before, after) = finished.stdout.split_once("listening to the microphone for 5 s").context("said nothing")?;
    ensure!(before.is_empty() && after.ends_with("\r\x1b[2K"), "{:?}", finished.stdout);
    Ok(())
}

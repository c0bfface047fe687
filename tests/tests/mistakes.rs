//! First mistakes, with the real program: plain words on standard error, an exit code of their own, nothing left behind.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use system_tests::*;

/// A place to make mistakes in: folders, and a home with nothing in it.
struct Place {
    folders: Folders,
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self { folders: Folders::new()?, home: tempfile::tempdir()? })
    }

    fn tympan(&self, args: &[&str]) -> Result<Command> {
        let mut command = tympan(&self.folders)?;
        command.env("XDG_CACHE_HOME", cache_home()?).env("HOME", self.home.path()).args(args);
        Ok(command)
    }

    fn refuses(&self, args: &[&str], code: u8, named: &[&str]) -> Result<()> {
        let finished = run_to_end(&mut self.tympan(args)?, watchdog(10.0))?;
        finished.expect_exit(code, named).with_context(|| format!("tympan {}", args.join(" ")))?;
        self.assert_clean()
    }

    /// Nothing that was not there before.
    fn assert_clean(&self) -> Result<()> {
        self.folders.assert_clean()?;
        let left: Vec<_> = fs::read_dir(self.home.path())?.flatten().map(|entry| entry.path()).collect();
        ensure!(left.is_empty(), "left in the home folder: {left:?}");
        Ok(())
    }

    /// A file beside the folders.
    fn file(&self, name: &str, content: &[u8]) -> Result<String> {
        let path = self.folders.notes().join(name);
        fs::write(&path, content)?;
        Ok(path.to_str().context("path")?.to_owned())
    }
}

/// A WAV of 16-bit silence, a second long.
fn silence(rate_hz: u32, channels: u16) -> Result<Vec<u8>> {
    let spec =
        hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    for _ in 0..rate_hz * u32::from(channels) {
        writer.write_sample(0_i16)?;
    }
    writer.finalize()?;
    Ok(bytes.into_inner())
}

#[test]
fn models_that_are_missing_or_damaged() -> Result<()> {
    let place = Place::new()?;
    let clip = clip_file("librivox_0880.wav");
    let clip = clip.to_str().context("path")?;
    let mut bytes = fs::read(model()?)?;
    for args in [&["run", "test:tone"][..], &["transcribe", clip]] {
        let empty = tempfile::tempdir()?;
        let mut command = place.tympan(args)?;
        let finished = run_to_end(command.env("XDG_CACHE_HOME", empty.path()), watchdog(5.0))?;
        finished.expect_exit(code::NO_MODEL, &["tiny.en", "tympan model fetch"])?;
        ensure!(fs::read_dir(empty.path())?.next().is_none(), "something was left in the cache");

        let models = tempfile::tempdir()?;
        let file = models.path().join("ggml-tiny.en.bin");
        let vad = cache_home()?.join("tympan/models/silero_vad_16k_op15.onnx");
        fs::copy(vad, models.path().join("silero_vad_16k_op15.onnx"))?;
        for (what, content) in
            [("cut", &bytes[..bytes.len() / 2]), ("empty", &[]), ("wrong", b"<html>Not found</html>")]
        {
            fs::write(&file, content)?;
            let mut command = place.tympan(args)?;
            let finished = run_to_end(command.env("TYMPAN_MODELS_DIR", models.path()), watchdog(10.0))?;
            finished
                .expect_exit(code::BAD_MODEL, &["tiny.en", "tympan model fetch --force tiny.en"])
                .with_context(|| what.to_owned())?;
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, &bytes)?;
        bytes[middle] ^= 1;
        let mut command = place.tympan(args)?;
        let finished = run_to_end(command.env("TYMPAN_MODELS_DIR", models.path()), watchdog(10.0))?;
        finished.expect_exit(code::BAD_MODEL, &["tiny.en", "tympan model fetch --force tiny.en"]).context("one bit")?;
    }
    place.refuses(&["run", "--model", "tiny.em", "test:tone"], code::NO_MODEL, &["tiny.em", "tiny.en"])?;
    place.refuses(&["run", "--model", "/no/such.bin", "test:tone"], code::NO_MODEL, &["/no/such.bin"])?;
    let text = place.file("letter.bin", b"Dear Sir or Madam, this is not a model at all, whatever its name says.")?;
    place.refuses(&["run", "--model", &text, "test:tone"], code::BAD_MODEL, &["letter.bin"])
}

#[test]
fn recordings_that_are_none() -> Result<()> {
    let place = Place::new()?;
    let folder = place.folders.notes().join("a folder");
    fs::create_dir(&folder)?;
    let folder = folder.to_str().context("path")?.to_owned();
    let empty = place.file("empty.wav", b"")?;
    let letter = place.file("letter.wav", b"Dear Sir or Madam, this is not a sound at all, whatever its name says.")?;
    let slow = place.file("slow.wav", &silence(4_000, 1)?)?;
    let fast = place.file("fast.wav", &silence(384_000, 1)?)?;
    let wide = place.file("wide.wav", &silence(8_000, 65)?)?;
    let cases: [(&str, u8, &[&str]); 7] = [
        ("/no/such/talk.wav", code::NO_INPUT, &["/no/such/talk.wav"]),
        (&folder, code::NO_INPUT, &["a folder", "folder"]),
        (&empty, code::NOT_AUDIO, &["empty.wav", "empty"]),
        (&letter, code::NOT_AUDIO, &["letter.wav", "not an audio file"]),
        (&slow, code::BAD_SHAPE, &["slow.wav", "4000 Hz", "8000"]),
        (&fast, code::BAD_SHAPE, &["fast.wav", "384000 Hz", "192000"]),
        (&wide, code::BAD_SHAPE, &["wide.wav", "65 channels", "64"]),
    ];
    for (file, code, named) in cases {
        place.refuses(&["transcribe", file], code, named)?;
        place.refuses(&["run", file], code, named)?;
        place.refuses(&["run", &format!("file:{file}")], code, named)?;
    }
    // One that can be read beside one that cannot.
    let clip = clip_file("librivox_0880.wav");
    let clip = clip.to_str().context("path")?;
    let both = run_to_end(&mut place.tympan(&["transcribe", &empty, clip])?, watchdog(20.0))?;
    ensure!(both.code == Some(5) && both.stdout.contains("young man") && both.stderr.contains("empty.wav"), "{both:?}");
    place.assert_clean()
}

#[test]
fn a_recording_that_is_cut_off_gives_its_words() -> Result<()> {
    let place = Place::new()?;
    for kind in ["wav", "flac", "mp3", "ogg"] {
        let whole = match kind {
            "wav" => fs::read(clip_file("librivox_0880.wav"))?,
            _ => fs::read(workspace_root().join(format!("speech/formats/librivox_0880.{kind}")))?,
        };
        let cut = place.file(&format!("cut.{kind}"), &whole[..whole.len() * 2 / 3])?;
        for args in [&["transcribe", cut.as_str()][..], &["run", "--fast", &cut]] {
            let finished = run_to_end(&mut place.tympan(args)?, watchdog(20.0))?;
            ensure!(finished.code == Some(code::CUT_OFF.into()), "{args:?}: {finished:?}");
            ensure!(finished.stderr.contains("cut off after") && finished.stderr.contains("cut."), "{finished:?}");
            ensure!(finished.stdout.to_lowercase().contains("he was not"), "{args:?}: {finished:?}");
        }
    }
    place.assert_clean()
}

#[test]
fn devices_that_do_not_exist() -> Result<()> {
    let place = Place::new()?;
    let pulse = Pulse::start()?;
    let mut command = place.tympan(&["run", "device:gramophone"])?;
    let finished = run_to_end(command.envs(pulse.environment()?), watchdog(10.0))?;
    finished.expect_exit(code::NO_DEVICE, &["gramophone", "vmon"])?;
    // Nothing of libasound's own.
    ensure!(!finished.stderr.contains("ALSA lib"), "{}", finished.stderr);
    place.folders.assert_clean()
}

#[test]
fn command_lines_that_contradict_themselves() -> Result<()> {
    let place = Place::new()?;
    let clip = clip_file("librivox_0880.wav");
    let clip = clip.to_str().context("path")?;
    let cases: [(&[&str], &[&str]); 10] = [
        (&["run", "--fast", "test:tone"], &["--fast", "test:tone"]),
        (&["run", "--fast", "device:"], &["--fast", "device:"]),
        (&["run", "--rate", "4000", "test:tone"], &["4000", "8000"]),
        (&["run", "--history", "1", "test:tone"], &["--history"]),
        (&["run", "a=test:tone", "a=test:noise"], &["a"]),
        (&["run", "stdin:", "stdin:"], &["stdin:"]),
        (&["run", "microphone"], &["microphone", "device:"]),
        (&["run", "stdin:rate=4000"], &["4000", "8000"]),
        (&["transcribe", "--json", "--format", "txt", clip], &["--json", "--format"]),
        (&["transcribe", "-o", "out.txt", clip, clip], &["--output"]),
    ];
    for (args, named) in cases {
        place.refuses(args, code::USAGE, named)?;
    }
    Ok(())
}

#[test]
fn words_that_people_try() -> Result<()> {
    let place = Place::new()?;
    let cases: [(&[&str], &[&str]); 7] = [
        (&["fetch"], &["tip:", "tympan model fetch"]),
        (&["listen"], &["tip:", "tympan run"]),
        (&["quit"], &["tip:", "tympan stop"]),
        (&["models"], &["tip:", "'model'"]),
        (&["run", "demo"], &["did you mean demo:?"]),
        (&["run", "https://example.org/talk.mp3"], &["fetch it first", "tympan run -"]),
        (&["transcribe", "-"], &["tympan run --fast -"]),
    ];
    for (args, named) in cases {
        place.refuses(args, code::USAGE, named)?;
    }
    let clip = clip_file("librivox_0880.wav");
    place.refuses(&[clip.to_str().context("path")?], code::USAGE, &["tip:", "tympan transcribe"])
}

#[test]
fn languages_that_the_model_does_not_know() -> Result<()> {
    let place = Place::new()?;
    let clip = clip_file("librivox_0880.wav");
    for args in [&["run", "--fast", "demo:"][..], &["transcribe", clip.to_str().context("path")?]] {
        let with = |language| [args, &["--language", language]].concat();
        place.refuses(&with("xx"), code::USAGE, &["--language", "\"xx\"", "de"])?;
        place.refuses(&with("nobody=de"), code::USAGE, &["--language", "nobody"])?;
        place.refuses(&with("germann"), code::USAGE, &["did you mean german?"])?;
        place.refuses(&with("de"), code::REFUSED, &["ggml-tiny.en.bin", "English only", "tympan model fetch base"])?;
    }
    let finished = run_to_end(place.tympan(&["run", "demo:"])?.env("TYMPAN_LANGUAGE", "klingon"), watchdog(5.0))?;
    finished.expect_exit(code::BAD_CONFIG, &["TYMPAN_LANGUAGE", "klingon"])?;
    // By its name, in any case of letters, or left to the model.
    for language in ["English", "auto"] {
        let mut command = place.tympan(&["transcribe", "--language", language])?;
        let finished = run_to_end(command.arg(&clip), watchdog(20.0))?;
        ensure!(finished.code == Some(0) && finished.stdout.contains("young man"), "{language}: {finished:?}");
    }
    place.assert_clean()
}

#[test]
fn an_output_that_is_the_recording() -> Result<()> {
    let place = Place::new()?;
    let content = fs::read(clip_file("librivox_0880.wav"))?;
    let talk = place.file("talk.wav", &content)?;
    let link = place.folders.notes().join("link.wav");
    std::os::unix::fs::symlink(&talk, &link)?;
    for output in [&talk, link.to_str().context("path")?] {
        place.refuses(&["transcribe", "-o", output, &talk], code::USAGE, &["--output", "is the recording itself"])?;
    }
    ensure!(fs::read(&talk)? == content, "the recording was written over");
    let nowhere = place.folders.notes().join("no folder/talk.txt");
    let nowhere = nowhere.to_str().context("path")?;
    place.refuses(&["transcribe", "-o", nowhere, &talk], code::FAULT, &["there is no folder", "no folder\n"])
}

#[test]
fn both_models_that_are_missing_are_named_at_once() -> Result<()> {
    let place = Place::new()?;
    for args in [&["run"][..], &["run", "test:tone"], &["transcribe", "/no/talk.wav"]] {
        let mut command = place.tympan(args)?;
        let finished = run_to_end(command.env("TYMPAN_MODELS_DIR", "/no/models"), watchdog(10.0))?;
        finished.expect_exit(code::NO_MODEL, &["/no/models", "`tympan model fetch tiny.en vad`"])?;
        // Before anything else is promised.
        ensure!(!finished.stderr.contains("demo"), "{}", finished.stderr);
    }
    place.assert_clean()
}

#[test]
fn folders_that_cannot_be_made() -> Result<()> {
    let place = Place::new()?;
    let clip = clip_file("librivox_0880.wav");
    let cases: [(&str, &[&str]); 3] = [
        ("TYMPAN_DATA_DIR", &["run", "test:tone"]),
        ("TYMPAN_DATA_DIR", &["transcribe", clip.to_str().context("path")?]),
        ("TYMPAN_CONFIG", &["config", "init"]),
    ];
    for (variable, args) in cases {
        // Not even root makes a folder there.
        let finished = run_to_end(place.tympan(args)?.env(variable, "/proc/tympan/x"), watchdog(5.0))?;
        finished.expect_exit(code::FAULT, &["cannot make the folder /proc/tympan", variable])?;
    }
    place.assert_clean()
}

#[test]
fn configurations_that_are_broken() -> Result<()> {
    let place = Place::new()?;
    let cases: [(&str, &[&str]); 5] = [
        ("[words]\nmodle = \"base\"\n", &[":2:", "words.modle", "did you mean model?"]),
        ("[wrods]\nmodel = \"base\"\n", &[":1:", "did you mean [words]?"]),
        ("[words]\nworkers = \"two\"\n", &[":2:", "words.workers", "1 to 64"]),
        ("[words\n", &[":1:"]),
        ("workers = 2\n", &[":1:", "[words]"]),
    ];
    for (text, named) in cases {
        let file = place.file("config.toml", text.as_bytes())?;
        for args in [&["run", "test:tone"][..], &["status"], &["config", "check"]] {
            place.refuses(
                &[args, &["--config", &file]].concat(),
                code::BAD_CONFIG,
                &[named, &["config.toml"]].concat(),
            )?;
        }
    }
    place.refuses(&["run", "--config", "/no/such.toml", "test:tone"], code::BAD_CONFIG, &["/no/such.toml"])?;
    let finished = run_to_end(place.tympan(&["run", "test:tone"])?.env("TYMPAN_WORKERS", "many"), watchdog(5.0))?;
    finished.expect_exit(code::BAD_CONFIG, &["TYMPAN_WORKERS", "1 to 64"])?;
    let finished = run_to_end(place.tympan(&["config", "check"])?.env("TYMPAN_WORKER", "3"), watchdog(5.0))?;
    finished.expect_exit(code::BAD_CONFIG, &["TYMPAN_WORKER", "did you mean TYMPAN_WORKERS?"])?;
    let finished = run_to_end(place.tympan(&["run", "/no/talk.wav"])?.env("TYMPAN_WORKER", "3"), watchdog(5.0))?;
    finished.expect_exit(code::NO_INPUT, &["did you mean TYMPAN_WORKERS?"])?;
    place.assert_clean()
}

#[test]
fn standard_input_that_is_a_terminal_or_ends() -> Result<()> {
    let mut terminal = Terminal::start(80, &["run", "stdin:"], &[])?;
    let status = terminal.wait_exit(watchdog(5.0))?;
    wait_until("the words", watchdog(1.0), || Ok(terminal.shown().contains("is a terminal").then_some(())))?;
    ensure!(status.code() == Some(code::USAGE.into()), "{status}: {}", terminal.shown());
    ensure!(terminal.shown().contains("tympan run stdin:"), "no next step: {}", terminal.shown());
    ensure!(terminal.settings()? == *terminal.settings_before(), "the terminal is not as it was");
    terminal.folders().assert_clean()?;

    // The end of a pipe is a normal end, of a whole file and of raw samples; before the header's length it is not.
    let place = Place::new()?;
    let whole = fs::read(clip_file("librivox_0880.wav"))?;
    let cases: [(&str, &[u8], u8); 4] = [
        ("stdin:", &whole, 0),
        ("stdin:rate=16000&channels=1&format=s16le", &whole[44..44 + 64_000], 0),
        ("stdin:", &whole[..whole.len() * 2 / 3], code::CUT_OFF),
        ("stdin:", b"", code::NOT_AUDIO),
    ];
    for (source, bytes, code) in cases {
        let mut command = place.tympan(&["run", "--fast", source])?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("tympan")?;
        let (mut pipe, bytes) = (child.stdin.take().context("piped")?, bytes.to_vec());
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &bytes));
        let status = wait_until("the end of the pipe's run", watchdog(20.0), || Ok(child.try_wait()?));
        if status.is_err() {
            child.kill()?;
        }
        let output = child.wait_with_output()?;
        let (status, _) = (status?, writer.join());
        let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(status.code() == Some(code.into()), "{source}: {status}: {complained}");
        ensure!(code == code::NOT_AUDIO || said.contains("he was not"), "{source}: {said} {complained}");
    }
    place.assert_clean()
}

#[test]
fn no_room_in_memory_or_on_the_disk() -> Result<()> {
    let place = Place::new()?;
    let runtime = place.folders.runtime();
    let disk = on_small_disk(&place.tympan(&["run", "test:tone"])?, &runtime, "size=1m,mode=700", watchdog(5.0))?;
    disk.finished.expect_exit(code::NO_ROOM, &[runtime.to_str().context("path")?, "--history"])?;
    ensure!(disk.left.is_empty(), "left: {:?}", disk.left);

    // A little more room: a shorter history, said once with the flag that asks for it.
    let clip = clip_file("librivox_0880.wav");
    let run = place.tympan(&["run", clip.to_str().context("path")?])?;
    let disk = on_small_disk(&run, &runtime, "size=20m,mode=700", watchdog(20.0))?;
    ensure!(disk.finished.code == Some(0) && disk.finished.stdout.contains("young man"), "{:?}", disk.finished);
    ensure!(disk.finished.stderr.matches("of history fit").count() == 1, "{}", disk.finished.stderr);
    ensure!(disk.finished.stderr.contains("`--history 1"), "{}", disk.finished.stderr);
    ensure!(disk.left.is_empty(), "left: {:?}", disk.left);

    // No room on the disk: for what must be kept, and for a transcript.
    let folder = place.folders.notes().join("disk");
    let mut run = place.tympan(&["run", "test:tone"])?;
    run.env("TYMPAN_DATA_DIR", folder.join("data"));
    let disk = on_small_disk(&run, &folder, "size=64k,nr_inodes=1,mode=700", watchdog(5.0))?;
    disk.finished.expect_exit(code::NO_ROOM, &["data"])?;
    let file = folder.join("talk.txt");
    let out = file.to_str().context("path")?;
    let transcribe = place.tympan(&["transcribe", "-o", out, clip.to_str().context("path")?])?;
    let disk = on_small_disk(&transcribe, &folder, "size=64k,nr_inodes=1,mode=700", watchdog(20.0))?;
    disk.finished.expect_exit(code::NO_ROOM, &["talk.txt"])?;
    ensure!(disk.left.is_empty(), "left: {:?}", disk.left);
    place.assert_clean()
}

#[test]
fn a_log_on_a_full_disk_costs_no_words() -> Result<()> {
    let place = Place::new()?;
    let mut run = Command::new("sh");
    run.args(["-c", "exec \"$@\" 2>/dev/full", "sh"]);
    let tympan = place.tympan(&["run", "--fast", "demo:"])?;
    run.arg(tympan.get_program()).args(tympan.get_args());
    run.envs(tympan.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let finished = run_to_end(&mut run, watchdog(20.0))?;
    ensure!(finished.code == Some(0) && finished.stdout.contains("fellow Americans"), "{finished:?}");
    place.assert_clean()
}

#[test]
fn folders_that_are_not_private() -> Result<()> {
    let place = Place::new()?;
    let runtime = place.folders.runtime();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    fs::create_dir(&runtime)?;
    mode(&runtime, 0o755)?;
    let path = runtime.to_str().context("path")?;
    place.refuses(&["run", "test:tone"], code::NOT_PRIVATE, &["open to other users", &format!("chmod 700 {path}")])?;
    mode(&runtime, 0o700)?;
    // Somebody else's: root's for a plain user, nobody's for root.
    let theirs = if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&runtime, Some(65_534.into()), None)?;
        runtime.clone()
    } else {
        Path::new("/usr").to_owned()
    };
    let mut command = place.tympan(&["run", "test:tone"])?;
    let finished = run_to_end(command.env("TYMPAN_RUNTIME_DIR", &theirs), watchdog(5.0))?;
    finished.expect_exit(code::NOT_PRIVATE, &["belongs to user", "TYMPAN_RUNTIME_DIR"])?;
    if theirs == runtime {
        nix::unistd::chown(&runtime, Some(nix::unistd::geteuid()), None)?;
    }
    // A link to elsewhere is no folder of ours.
    fs::remove_dir(&runtime)?;
    std::os::unix::fs::symlink("/tmp", &runtime)?;
    let finished = run_to_end(&mut place.tympan(&["run", "test:tone"])?, watchdog(5.0))?;
    fs::remove_file(&runtime)?;
    finished.expect_exit(code::NOT_PRIVATE, &["is not a folder"])
}

#[test]
fn a_second_instance_names_the_first() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let pid = instance.pid().to_string();
    let second = instance.command(&["run", "test:tone"])?;
    second.expect_exit(code::ALREADY_RUNS, &["another tympan", &pid, "TYMPAN_RUNTIME_DIR"])?;
    ensure!(instance.status()?.processes.iter().all(|p| p.restarts == 0), "the second disturbed the first");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()?;
    let place = Place::new()?;
    place.refuses(&["status"], code::NOT_RUNNING, &["no tympan runs here", "tympan run"])?;
    place.refuses(&["rings"], code::NOT_RUNNING, &["no ring", "tympan run"])
}

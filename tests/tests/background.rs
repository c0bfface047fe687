//! `tympan start` and `stop`: an instance without a terminal.

use anyhow::{Context, Result, ensure};
use nix::pty::openpty;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use system_tests::*;

/// Folders of an instance in the background. Dropped, it ends what is left of it.
struct Place(Folders);

impl Place {
    fn new() -> Result<Self> {
        Ok(Self(Folders::new()?))
    }

    fn command(&self, args: &[&str]) -> Result<Finished> {
        run_to_end(tympan(&self.0)?.args(args), watchdog(5.0))
    }

    /// `tympan start --json`: what it says when it is ready.
    fn start(&self, sources: &[&str]) -> Result<Value> {
        let mut command = tympan(&self.0)?;
        let finished =
            run_to_end(command.args(["start", "--json", "--model"]).arg(model()?).args(sources), watchdog(10.0))?;
        finished.expect_success()?;
        serde_json::from_str(&finished.stdout).with_context(|| finished.stdout.clone())
    }

    fn stop(&self) -> Result<()> {
        self.command(&["stop"])?.expect_success()?;
        self.0.assert_clean()
    }

    fn status(&self) -> Result<Status> {
        let finished = self.command(&["status", "--json"])?;
        finished.expect_success()?;
        Ok(serde_json::from_str(&finished.stdout)?)
    }

    /// One request on the control socket.
    fn ask(&self, request: &Value) -> Result<Value> {
        let mut socket = UnixStream::connect(self.0.runtime().join("control.sock"))?;
        socket.set_read_timeout(Some(watchdog(2.0)))?;
        writeln!(socket, "{request}")?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer)?;
        serde_json::from_str(&answer).with_context(|| answer)
    }

    fn words(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.0.data().join("words/latest.jsonl"))?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    fn files_of_words(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.data().join("words"));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| !path.is_symlink()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(finished) = self.command(&["logs"]) {
            eprintln!("the log:\n{}", finished.stdout);
        }
        for process in processes_of(&self.0.runtime()) {
            let _gone_already = process.kill();
        }
    }
}

fn pid_of(ready: &Value) -> Result<u32> {
    Ok(u32::try_from(ready["pid"].as_u64().context("pid")?)?)
}

#[test]
fn words_go_to_a_file_until_it_is_stopped() -> Result<()> {
    let place = Place::new()?;
    place.command(&["stop"])?.expect_exit(code::NOT_RUNNING, &["no tympan runs here"])?;
    let clip = clip_file("librivox_0880.wav");
    let ready = place.start(&[&format!("talk=file:{}", clip.display()), "test:silence"])?;
    let instance = Process::of(pid_of(&ready)?).context("it is not there")?;
    // A session of its own, and nothing open that belongs to whoever started it.
    let pid = i32::try_from(instance.pid)?;
    ensure!(nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid)))?.as_raw() == pid, "not its own session");
    for number in 0..3 {
        let open = std::fs::read_link(format!("/proc/{pid}/fd/{number}"))?;
        ensure!(open.as_os_str() == "/dev/null", "{number} is {}", open.display());
    }
    let file = PathBuf::from(ready["words"].as_str().context("words")?);
    ensure!(file.metadata()?.permissions().mode() & 0o777 == 0o600, "open to others");
    ensure!(std::fs::canonicalize(place.0.data().join("words/latest.jsonl"))? == std::fs::canonicalize(&file)?);
    // Whoever looks on sees words as they are spoken; the file has those that stay.
    let (mut after, mut seen) = (0, Vec::new());
    let said = wait_until("the words", watchdog(10.0), || {
        let told = place.ask(&json!({"command": "words", "after": after, "live": true}))?;
        after = told["last"].as_u64().with_context(|| told.to_string())?;
        seen.extend(told["words"].as_array().context("words")?.clone());
        let words = place.words().unwrap_or_default();
        Ok(words.into_iter().find(|event| event["event"] == "final"))
    })?;
    ensure!(said["text"].as_str().is_some_and(|text| text.to_lowercase().contains("young man")), "{said}");
    for kind in ["partial", "committed"] {
        ensure!(seen.iter().any(|word| word["event"] == kind), "nothing {kind}: {seen:?}");
    }
    let told = place.ask(&json!({"command": "words"}))?;
    let kept = told["words"].as_array().and_then(|words| words.iter().find(|word| word["event"] == "final")).cloned();
    ensure!(kept.is_some_and(|kept| kept["text"] == said["text"] && kept["words"] == said["words"]), "{told}, {said}");
    ensure!(told["session"] == place.status()?.session && told["forgotten"] == 0, "{told}");

    // Another one is refused, and does not disturb.
    let second = place.command(&["start", "test:tone"])?;
    second.expect_exit(code::ALREADY_RUNS, &["another tympan", &instance.pid.to_string(), "tympan stop"])?;
    ensure!(place.status()?.of_role("supervisor").all(|p| p.pid == Some(instance.pid)));
    ensure!(place.files_of_words().len() == 1, "{:?}", place.files_of_words());

    place.stop()?;
    ensure!(!instance.is_alive(), "stop has not waited");
    ensure!(place.words()?.last().is_some_and(|event| event["event"] == "stopped"), "{:?}", place.words()?);
    let early = |event: &Value| event["event"] == "partial" || event["event"] == "committed";
    ensure!(!place.words()?.iter().any(early), "{:?}", place.words()?);
    place.command(&["stop"])?.expect_exit(code::NOT_RUNNING, &["no tympan runs here"])?;

    // The next one has a file of its own.
    place.start(&["test:tone"])?;
    ensure!(place.files_of_words().len() == 2, "{:?}", place.files_of_words());
    ensure!(place.words()?.iter().all(|event| event["event"] != "final"));
    place.stop()
}

#[test]
fn what_cannot_begin_says_so_as_run_does() -> Result<()> {
    let place = Place::new()?;
    let model = model()?;
    let model = model.to_str().context("path")?;
    let cases: [&[&str]; 5] = [
        &["--model", model, "file:/no/such/talk.wav"],
        &["--model", model, "nonsense"],
        &["--model", "/no/such/model.bin", "test:tone"],
        &["--model", model, "--fast", "test:tone"],
        &["--model", model, "--language", "xx", "test:tone"],
    ];
    for args in cases {
        let run = place.command(&[&["run"][..], args].concat())?;
        let start = place.command(&[&["start"][..], args].concat())?;
        ensure!(run.code.is_some_and(|code| code != 0), "{args:?}: {run:?}");
        ensure!((run.code, &run.stderr) == (start.code, &start.stderr), "{args:?}: {run:?}, {start:?}");
        ensure!(start.stdout.is_empty(), "{start:?}");
        place.0.assert_clean()?;
    }
    for pipe in ["-", "stdin:", "a=stdin:rate=16000&channels=1&format=s16le"] {
        let refused = place.command(&["start", "--model", model, pipe])?;
        refused.expect_exit(code::USAGE, &["stdin:", "background", "tympan run"])?;
    }
    ensure!(place.files_of_words().is_empty(), "{:?}", place.files_of_words());
    place.0.assert_clean()
}

#[test]
fn killed_and_started_again() -> Result<()> {
    let place = Place::new()?;
    let first = place.start(&["test:tone"])?;
    let family = processes_of(&place.0.runtime());
    ensure!(family.len() == 5, "{family:?}");
    // The log comes after the fact.
    wait_until("the log", watchdog(1.0), || {
        Ok(place.command(&["logs"])?.stdout.contains("listening to test").then_some(()))
    })?;
    ensure!(end_process(pid_of(&first)?, Signal::SIGKILL), "it ended by itself");
    wait_until("the end of its children", watchdog(1.0), || {
        Ok(processes_of(&place.0.runtime()).is_empty().then_some(()))
    })?;
    for command in ["status", "stop"] {
        place.command(&[command])?.expect_exit(code::NOT_RUNNING, &["no tympan runs here"])?;
    }
    let logs = place.command(&["logs"])?;
    ensure!(logs.code == Some(0) && logs.stdout.contains("listening to test"), "{logs:?}");
    let second = place.start(&["test:tone"])?;
    ensure!(second["pid"] != first["pid"] && second["words"] != first["words"], "{second}");
    ensure!(place.status()?.of_role("worker").count() == 2);
    place.stop()
}

#[test]
fn the_end_of_its_terminal_is_not_its_end() -> Result<()> {
    let place = Place::new()?;
    let pty = openpty(None, None)?;
    let mut shell = Command::new("setsid");
    place.0.apply(&mut shell);
    // A shell that would go on for long, if its terminal did not hang up.
    // What it has open is not the instance's.
    let script = "exec 7>\"$2\"; \"$0\" start --model \"$1\" test:tone && sleep 1000";
    let lock = place.0.notes().join("lock");
    shell.args(["--ctty", "--wait", "sh", "-c", script]).arg(program("tympan")?).arg(model()?).arg(&lock);
    shell.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave);
    // Else the shell would have the other end, too, and its terminal never hang up.
    nix::fcntl::fcntl(&pty.master, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    let mut shell = shell.spawn().context("setsid")?;
    wait_until("its beginning", watchdog(10.0), || {
        let status = place.status().ok();
        let sleeps = processes_of(&place.0.runtime()).iter().any(|process| process.command.starts_with("sleep 1000"));
        Ok(status.filter(|status| sleeps && status.processes.iter().all(|p| p.state == "running")))
    })?;
    let family: Vec<Process> =
        processes_of(&place.0.runtime()).into_iter().filter(|p| !p.command.contains("sleep 1000")).collect();
    ensure!(family.len() == 5, "{family:?}");
    ensure!(lock.exists(), "the shell has opened nothing");
    for process in &family {
        let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid))?.flatten();
        let links: Vec<PathBuf> = open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
        ensure!(!links.contains(&lock) && !links.is_empty(), "{process:?} has {links:?}");
    }
    drop(pty.master);
    wait_until("the end of the shell", watchdog(2.0), || Ok(shell.try_wait()?))?;
    wait_until("the end of what it ran", watchdog(2.0), || {
        Ok((processes_of(&place.0.runtime()).len() == family.len()).then_some(()))
    })?;
    ensure!(family.iter().all(Process::is_alive), "{family:?}");
    ensure!(place.status()?.of_role("supervisor").count() == 1);
    place.stop()
}

#[test]
fn ending_the_command_before_it_is_ready_ends_both() -> Result<()> {
    let place = Place::new()?;
    // An engine that never answers.
    let libexec = tempfile::tempdir()?;
    let engine = libexec.path().join("audio-engine");
    std::fs::write(&engine, "#!/bin/sh\nexec sleep 1000\n")?;
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink(program("transcriber-worker")?, libexec.path().join("transcriber-worker"))?;
    let mut command = tympan(&place.0)?;
    command.args(["start", "--model"]).arg(model()?).arg("test:tone").env("TYMPAN_LIBEXEC", libexec.path());
    let mut start = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_until("all processes", watchdog(5.0), || Ok((processes_of(&place.0.runtime()).len() >= 6).then_some(())))?;
    ensure!(start.try_wait()?.is_none(), "it did not wait until it was ready");
    ensure!(end_process(start.id(), Signal::SIGINT), "it ended by itself");
    wait_until("its end", watchdog(1.0), || Ok(start.try_wait()?))?;
    wait_until("the end of all", watchdog(2.0), || Ok(processes_of(&place.0.runtime()).is_empty().then_some(())))?;
    ensure!(place.files_of_words().is_empty(), "{:?}", place.files_of_words());
    place.0.assert_clean()
}

#[test]
fn one_that_hangs_is_ended_at_once() -> Result<()> {
    let place = Place::new()?;
    let ready = place.start(&["test:tone"])?;
    ensure!(end_process(pid_of(&ready)?, Signal::SIGSTOP), "it ended by itself");
    let stop = place.command(&["stop", "--now"])?;
    stop.expect_success()?;
    ensure!(stop.stderr.contains("does not listen"), "{}", stop.stderr);
    wait_until("the end of all", watchdog(1.0), || Ok(processes_of(&place.0.runtime()).is_empty().then_some(())))?;
    // And one that listens needs no such thing.
    let speech = Speech::join(&BASE_SPEECH)?;
    place.start(&[&speech.uri()])?;
    let stop = place.command(&["stop", "--now"])?;
    stop.expect_success()?;
    ensure!(!stop.stderr.contains("does not listen"), "{}", stop.stderr);
    place.0.assert_clean()
}

#[test]
fn a_source_that_failed_is_told_with_its_reason_and_what_mends_it() -> Result<()> {
    let place = Place::new()?;
    // A name that a shell would cut.
    let late = place.0.notes().join("late talk.wav");
    let source = format!("talk=file:{}", late.display());
    let mut start = tympan(&place.0)?;
    start.args(["start", "--model"]).arg(model()?).args(["test:tone", &source, "mic=device:nowhere"]);
    let started = run_to_end(&mut start, watchdog(10.0))?;
    started.expect_success()?;
    let reasons = ["late talk.wav", "no input device \"nowhere\""];
    for (name, reason) in ["tympan: talk: ", "tympan: mic: "].into_iter().zip(reasons) {
        let line =
            started.stderr.lines().find(|line| line.starts_with(name)).with_context(|| started.stderr.clone())?;
        ensure!(line.contains(reason) && line.contains("`tympan source add "), "{line}");
    }
    let status = || -> Result<Value> {
        let finished = place.command(&["status", "--json"])?;
        finished.expect_success()?;
        Ok(serde_json::from_str(&finished.stdout)?)
    };
    let of = |status: &Value, name: &str| -> Result<Value> {
        let rows = status["streams"].as_array().context("streams")?;
        rows.iter().find(|row| row["stream"] == name).cloned().with_context(|| format!("no {name}: {status}"))
    };
    let told = status()?;
    let talk = of(&told, "talk")?;
    for (row, (reason, exit)) in [&talk, &of(&told, "mic")?].into_iter().zip(reasons.into_iter().zip([11, 10])) {
        ensure!(row["state"] == "failed" && row["exit"] == exit, "{row}");
        ensure!(row["reason"].as_str().is_some_and(|said| said.contains(reason)), "{row}");
    }
    let tone = of(&told, "test")?;
    ensure!(["reason", "exit", "mend"].iter().all(|field| tone[field].is_null()), "{tone}");
    let shown = place.command(&["status"])?;
    let line = shown.stdout.lines().find(|line| line.starts_with("talk: ")).context("no reason")?;
    let mend = talk["mend"].as_str().context("mend")?;
    ensure!(line.contains(reasons[0]) && line.contains(mend), "{line}");
    ensure!(shown.stdout.lines().any(|line| line.starts_with("mic: no input device")), "{}", shown.stdout);

    // What it says helps, once the cause is gone.
    std::fs::copy(clip_file("librivox_0880.wav"), &late)?;
    let folder = program("tympan")?.parent().context("folder")?.display().to_string();
    let path = std::env::var("PATH")?;
    let mut shell = Command::new("sh");
    place.0.apply(&mut shell);
    shell.env("PATH", format!("{folder}:{path}")).args(["-e", "-c", mend]);
    run_to_end(&mut shell, watchdog(5.0))?.expect_success()?;
    let talk = of(&status()?, "talk")?;
    ensure!(talk["state"] == "open" && talk["reason"].is_null() && talk["mend"].is_null(), "{talk}");
    place.command(&["stop"])?;
    place.0.assert_clean()
}

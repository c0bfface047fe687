//! The log: what the processes say, kept without anybody waiting, and shown again.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use system_tests::*;

/// `tympan logs --json` and more arguments, line by line.
fn logged(folders: &Folders, args: &[&str]) -> Result<Vec<Value>> {
    let finished = run_to_end(tympan(folders)?.args(["logs", "--json"]).args(args), watchdog(2.0))?;
    finished.expect_success()?;
    finished.stdout.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// The file that grows.
fn log_file(folders: &Folders) -> Result<PathBuf> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(folders.data().join("log"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.into_iter().find(|path| path.extension().is_some_and(|end| end == "log")).context("no log")
}

/// A folder for `TYMPAN_LIBEXEC` in which a script of this text has the place of `name`; `$REAL` is the real one.
fn libexec_with(name: &str, script: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for sibling in ["audio-engine", "transcriber-worker"] {
        let real = program(sibling)?;
        let place = folder.path().join(sibling);
        if sibling == name {
            std::fs::write(&place, format!("#!/bin/sh\nREAL='{}'\n{script}\n", real.display()))?;
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755))?;
        } else {
            std::os::unix::fs::symlink(real, &place)?;
        }
    }
    Ok(folder)
}

#[test]
fn what_happens_to_the_processes_is_logged_and_shown_after_the_end() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let killed = instance.processes("worker")?.swap_remove(0);
    let since = instance.log().len();
    ensure!(killed.kill(), "it ended by itself");
    instance.log().wait(since, "its successor", watchdog(2.0), |e| e.is_process("worker", "ready"))?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()?;
    let folders = instance.into_folders();

    let lines = logged(&folders, &[])?;
    for line in &lines {
        let time = line["time"].as_str().context("time")?;
        ensure!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
        ensure!(line["pid"].is_u64() && line["generation"].is_u64() && line["text"].is_string(), "{line}");
        ensure!(line["worker"].is_u64() == (line["role"] == "worker"), "{line}");
    }
    ensure!(lines.windows(2).all(|pair| pair[0]["time"].as_str() <= pair[1]["time"].as_str()), "out of order");
    let has = |role: &str, event: &str| lines.iter().any(|line| line["role"] == role && line["event"] == event);
    for role in ["engine", "listener", "worker"] {
        ensure!(has(role, "starting") && has(role, "ready") && has(role, "exited"), "{role}: {lines:?}");
    }
    ensure!(has("supervisor", "started") && has("supervisor", "stopped") && has("worker", "restarted"), "{lines:?}");
    let end = lines.iter().find(|line| line["pid"] == killed.pid && line["event"] == "exited").context("its end")?;
    ensure!(end["level"] == "warn" && end["text"].as_str().is_some_and(|t| t.contains("SIGKILL")), "{end}");
    let own_number = &end["worker"];
    let number = own_number.to_string();

    // One part, one worker, the newest.
    ensure!(logged(&folders, &["engine"])?.iter().all(|line| line["role"] == "engine"));
    for who in [&["worker", number.as_str()][..], &[format!("worker.{number}").as_str()]] {
        let own = logged(&folders, who)?;
        ensure!(own.iter().all(|line| line["worker"] == *own_number) && own.len() >= 5, "{own:?}");
    }
    let newest = logged(&folders, &["-n", "3"])?;
    ensure!(newest == lines[lines.len() - 3..], "{newest:?}");
    ensure!(logged(&folders, &["worker", "63"])?.is_empty());

    // Nobody else reads it.
    let file = log_file(&folders)?;
    let mode = |path: &Path| Ok::<_, std::io::Error>(path.metadata()?.permissions().mode() & 0o777);
    ensure!(mode(&file)? == 0o600 && mode(file.parent().context("folder")?)? == 0o700, "open to others");

    // The next instance is shown alone, the earlier one when a time is named.
    let mut next = Setup::run(&["test:tone"]).folders(folders).start()?;
    next.wait_ready()?;
    ensure!(logged(next.folders(), &[])?.iter().all(|line| line["instance"] != lines[0]["instance"]));
    let both = logged(next.folders(), &["--since", "1h"])?;
    ensure!(both.starts_with(&lines) && both.len() > lines.len(), "{both:?}");
    let people = next.command(&["logs"])?;
    people.expect_success()?;
    ensure!(people.stdout.contains("worker 0 ") && !people.stdout.contains('\x1b'), "{}", people.stdout);
    next.command(&["logs", "wurker"])?.expect_exit(code::USAGE, &["wurker", "worker 1"])?;
    next.command(&["logs", "--since", "soon"])?.expect_exit(code::USAGE, &["soon", "10m"])?;
    next.interrupt()?;
    next.wait_stopped(watchdog(2.0))?;
    next.assert_clean()
}

#[test]
fn no_log_yet_is_said() -> Result<()> {
    let folders = Folders::new()?;
    let finished = run_to_end(tympan(&folders)?.arg("logs"), watchdog(2.0))?;
    finished.expect_exit(code::NOT_RUNNING, &["no tympan has run here", "tympan run"])
}

#[test]
fn the_last_words_of_a_crash_are_in_status_and_log() -> Result<()> {
    let once = tempfile::tempdir()?;
    let mark = once.path().join("mark");
    // The first worker says something and crashes; all others are real.
    let script = format!(
        "case \"$*\" in *worker*) if mkdir '{}' 2>/dev/null; then
        printf 'warn: it begins\\n' >&2
        printf \"thread 'main' (7) panicked at src/heart.rs:1:2:\\n\\033[2Jbroken\\n\" >&2
        printf 'note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\\n' >&2
        exit 101; fi;; esac
        exec \"$REAL\" \"$@\"",
        mark.display()
    );
    let libexec = libexec_with("transcriber-worker", &script)?;
    let mut instance = Setup::run(&["test:tone"]).env("TYMPAN_LIBEXEC", libexec.path()).start()?;
    let end = instance.wait_event("the crash", watchdog(5.0), |e| e.is("process") && e.fields["state"] == "exited")?;
    ensure!(end.text("reason")?.contains("code 101") && end.text("reason")?.contains("broken"), "{}", end.fields);
    let number = end.fields["worker"].as_u64().context("its number")?;
    instance.log().wait(end.index, "its successor", watchdog(5.0), |e| {
        e.is_process("worker", "ready") && e.fields["worker"] == number
    })?;

    let status = instance.json("status")?;
    let processes = status["processes"].as_array().context("processes")?;
    let last = |p: &Value| p["last_exit"].clone();
    let crashed = processes.iter().find(|p| p["worker"] == number).context("the worker")?;
    ensure!(last(crashed)["reason"] == "ended with code 101", "{crashed}");
    ensure!(last(crashed)["ago_s"].as_f64().is_some_and(|ago| (0.0..600.0).contains(&ago)), "{crashed}");
    let words = last(crashed)["last_words"].clone();
    ensure!(words[1] == "thread 'main' (7) panicked at src/heart.rs:1:2:", "{words}");
    ensure!(words[2] == "\\u{1b}[2Jbroken" && words[3].is_null(), "{words}");
    ensure!(processes.iter().filter(|p| p["worker"] != number).all(|p| last(p).is_null()), "{status}");

    let people = instance.command(&["status"])?.stdout;
    let line = people.lines().find(|line| line.starts_with(&format!("worker {number}, "))).context("no line")?;
    ensure!(line.contains("src/heart.rs:1:2: \\u{1b}[2Jbroken") && !people.contains('\x1b'), "{people}");

    let said = logged(instance.folders(), &["worker", &number.to_string()])?;
    let text = |text: &str| said.iter().find(|line| line["text"] == text);
    ensure!(text("it begins").is_some_and(|line| line["level"] == "warn" && line["event"] == "said"), "{said:?}");
    ensure!(text("\\u{1b}[2Jbroken").is_some(), "{said:?}");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// Anonymous memory of a process.
fn anonymous_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("RssAnon")?;
    Ok(kib.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

#[test]
fn a_flood_costs_lines_and_nothing_else() -> Result<()> {
    // A line without an end, then lines without an end: those end when nobody reads them any more. In turn, for two that
    // write to one pipe share it as chance will have it, and an engine that waits for the other is not ready in time.
    let flood = "head -c 3000000 /dev/zero >&2; echo >&2; yes \"warn: $(head -c 300 /dev/zero | tr '\\0' x)\" >&2 &
        exec \"$REAL\" \"$@\"";
    let libexec = libexec_with("audio-engine", flood)?;
    let mut instance = Setup::run(&["test:tone"]).env("TYMPAN_LIBEXEC", libexec.path()).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("test")?;
    instance.wait_captured(&ring, 3.0)?;
    let status = instance.status()?;
    ensure!(status.processes.iter().all(|p| p.state == "running" && p.restarts == 0), "{status:?}");
    let memory = anonymous_bytes(instance.pid())?;
    ensure!(memory < 32 << 20, "{memory} bytes in the supervisor");
    let lines = logged(instance.folders(), &["engine"])?;
    let said: Vec<&Value> = lines.iter().filter(|line| line["event"] == "said").collect();
    ensure!(said.len() >= 1_000, "{} lines of the flood", said.len());
    ensure!(said.iter().all(|line| line["text"].as_str().is_some_and(|text| text.len() < 13_000)), "not cut");
    let dropped: u64 = lines.iter().filter_map(|line| line["dropped"].as_u64()).sum();
    ensure!(dropped > 1_000, "{dropped} lines dropped");
    let on_disk: u64 = std::fs::read_dir(instance.folders().data().join("log"))?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum::<Result<u64>>()?;
    ensure!(on_disk <= 8_000_000, "{on_disk} bytes of log");
    // What the others say is not lost in it.
    ensure!(logged(instance.folders(), &["worker"])?.iter().filter(|line| line["event"] == "ready").count() == 2);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    // The flood learns that its reader is gone when it writes next.
    wait_until("the end of the flood", watchdog(1.0), || {
        Ok(processes_of(&instance.folders().runtime()).is_empty().then_some(()))
    })?;
    instance.assert_clean()
}

#[test]
fn following_goes_on_over_files_and_instances() -> Result<()> {
    let mut first = Setup::run(&["test:tone"]).start()?;
    first.wait_ready()?;
    first.interrupt()?;
    first.wait_stopped(watchdog(2.0))?;
    let folders = first.into_folders();
    let file = log_file(&folders)?;

    let mut follower = tympan(&folders)?
        .args(["logs", "-f", "--json", "-n", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let follower_pid = follower.id();
    let log = EventLog::default();
    log.follow(follower.stdout.take().context("piped")?);
    log.wait(0, "the newest line", watchdog(2.0), |e| e.is("stopped"))?;

    // The file is all but full: the next instance's first lines put it aside.
    let room = 2_000_000 - file.metadata()?.len();
    let filler = format!(
        "{{\"time\":\"2026-01-01T00:00:00.000Z\",\"role\":\"engine\",\"pid\":1,\"event\":\"filler\",\"text\":\"{}\"}}\n",
        "x".repeat(usize::try_from(room)? - 600)
    );
    std::fs::OpenOptions::new().append(true).open(&file)?.write_all(filler.as_bytes())?;
    log.wait(1, "what was written behind", watchdog(2.0), |e| e.is("filler"))?;
    let mut second = Setup::run(&["test:tone"]).folders(folders).start()?;
    second.wait_ready()?;
    ensure!(file.with_extension("log.1").exists(), "the file was not put aside: the test shows nothing");
    second.interrupt()?;
    second.wait_stopped(watchdog(2.0))?;
    log.wait(2, "the end", watchdog(2.0), |e| e.is("stopped"))?;

    let followed: Vec<Value> = log.all()?.into_iter().skip(2).map(|event| event.fields).collect();
    let there = logged(second.folders(), &[])?;
    ensure!(followed == there, "followed {followed:#?}\nthere {there:#?}");
    ensure!(end_process(follower_pid, Signal::SIGINT), "it has ended by itself");
    wait_until("its end", watchdog(1.0), || Ok(follower.try_wait()?))?;
    second.assert_clean()
}

#[test]
fn a_reader_that_has_enough_may_go() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    for logs in ["logs", "logs -f -n 100"] {
        let mut command = Command::new("sh");
        instance.folders().apply(&mut command);
        command.args(["-c", &format!("{{ \"$0\" {logs}; echo \"code $?\" >&2; }} | head -1")]).arg(program("tympan")?);
        let finished = run_to_end(&mut command, watchdog(2.0))?;
        ensure!(finished.stdout.lines().count() == 1 && finished.stdout.contains("begins in"), "{finished:?}");
        ensure!(finished.stderr == "code 0\n", "{finished:?}");
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn a_full_disk_costs_lines_of_the_log_and_no_words() -> Result<()> {
    let folders = Folders::new()?;
    // All in one mount namespace: a disk that is full from the beginning, and has room again before the end.
    let script = "cd \"$TYMPAN_DATA_DIR\" || exit 98
        head -c 2m /dev/zero >fill 2>/dev/null
        \"$0\" start test:tone --model \"$1\" || exit 97
        sleep 1
        rm fill
        \"$0\" stop || exit 96
        cat words/latest.jsonl; echo; \"$0\" logs --json";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program("tympan")?).arg(model()?);
    folders.apply(&mut command);
    let disk = on_small_disk(&command, &folders.data(), "size=1m,mode=700", watchdog(10.0))?;
    disk.finished.expect_success()?;
    let (words, log) = disk.finished.stdout.split_once("\n\n").context("two parts")?;
    let parse = |text: &str| -> Result<Vec<Value>> {
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    };
    let (words, log) = (parse(words)?, parse(log)?);
    let kinds: Vec<_> = words.iter().filter_map(|event| event["event"].as_str()).collect();
    ensure!(kinds.first() == Some(&"process") && kinds.contains(&"started"), "{kinds:?}");
    ensure!(kinds.last() == Some(&"stopped"), "{kinds:?}");
    let dropped: u64 = log.iter().filter_map(|line| line["dropped"].as_u64()).sum();
    ensure!(dropped >= 5, "{dropped} lines dropped: {log:?}");
    ensure!(log.iter().any(|line| line["event"] == "stopped"), "{log:?}");
    folders.assert_clean()
}

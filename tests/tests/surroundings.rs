//! Where people are: other locales, narrow terminals, readers that leave, two shells of one user.

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::process::{Command, Stdio};
use system_tests::*;

/// Commands that answer at once, with the code they answer with when nothing runs.
const ANSWERS: [(&[&str], i32); 8] = [
    (&["--help"], 0),
    (&["run", "--help"], 0),
    (&["config", "show"], 0),
    (&["devices"], 0),
    (&["model", "list"], 0),
    (&["doctor", "--quick"], -1),
    (&["status"], 18),
    (&["rings"], 18),
];

fn check_code(args: &[&str], wanted: i32, code: Option<i32>) -> Result<()> {
    // What a doctor finds depends on the machine; that it ends by itself does not.
    ensure!(if wanted < 0 { code.is_some_and(|code| code != 101) } else { code == Some(wanted) }, "{args:?}: {code:?}");
    Ok(())
}

#[test]
fn a_plain_locale_gets_plain_letters() -> Result<()> {
    for locale in ["C", "C.UTF-8"] {
        let folders = Folders::new()?;
        for (args, code) in ANSWERS {
            let mut command = tympan(&folders)?;
            command.args(args).env("LC_ALL", locale).env("LANG", locale).env("COLUMNS", "80");
            let finished = run_to_end(&mut command, watchdog(5.0))?;
            check_code(args, code, finished.code)?;
            let said = finished.stdout + &finished.stderr;
            ensure!(!said.is_empty() && !said.contains("panicked"), "{args:?}: {said}");
            ensure!(locale != "C" || said.is_ascii(), "{args:?} in the locale C: {said}");
        }
        let mut command = tympan(&folders)?;
        command.args(["transcribe", "--model"]).arg(model()?).arg(clip_file("librivox_0880.wav"));
        let finished = run_to_end(command.env("LC_ALL", locale), watchdog(20.0))?;
        finished.expect_success()?;
        ensure!(finished.stdout.contains("young man"), "{finished:?}");
        folders.assert_clean()?;
    }
    Ok(())
}

/// The text of a screen without what moves the cursor.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once('\x1b') {
        text.push_str(before);
        rest = after.find(|c: char| c.is_ascii_alphabetic()).map_or("", |at| &after[at + 1..]);
    }
    text.push_str(rest);
    text.replace('\r', "")
}

/// Sequences that colour or embolden: `ESC [ … m`.
fn is_coloured(shown: &str) -> bool {
    shown.split('\x1b').skip(1).any(|sequence| {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        sequence.starts_with('[') && end.is_some_and(|at| sequence.as_bytes()[at] == b'm')
    })
}

#[test]
fn a_narrow_terminal_without_colour() -> Result<()> {
    let mut coloured = 0;
    for (args, code) in ANSWERS {
        for (variables, may_colour) in [(&[("NO_COLOR", "1")][..], false), (&[], true)] {
            let mut terminal = Terminal::start(40, args, variables)?;
            let status = terminal.wait_exit(watchdog(5.0))?;
            check_code(args, code, status.code())?;
            // What the program wrote last may still be on its way to the screen.
            wait_until("its words", watchdog(1.0), || Ok((!terminal.shown().is_empty()).then_some(())))?;
            let shown = terminal.shown();
            ensure!(may_colour || !is_coloured(&shown), "{args:?}: colours in spite of NO_COLOR: {shown:?}");
            coloured += usize::from(is_coloured(&shown));
            for line in plain(&shown).lines().filter(|line| !line.starts_with("tympan: ")) {
                // A path or a command is not cut; everything else is wrapped.
                let longest = line.split_whitespace().map(str::len).max().unwrap_or(0);
                let tight = line.chars().count() <= 40 || longest > 20 || line.trim_start().starts_with("tympan ");
                ensure!(tight || args.contains(&"--help"), "{args:?}: too wide: {line:?}");
            }
            ensure!(terminal.settings()? == *terminal.settings_before(), "{args:?}: not as it was");
            terminal.folders().assert_clean()?;
        }
    }
    ensure!(coloured > 0, "nothing is coloured at all: NO_COLOR was not put to the test");
    Ok(())
}

#[test]
fn a_partial_fits_a_narrow_terminal() -> Result<()> {
    let model = model()?;
    let clip = clip_file("jfk.wav");
    let args = ["run", "--model", model.to_str().context("path")?, clip.to_str().context("path")?];
    let mut terminal = Terminal::start(30, &args, &[])?;
    let status = terminal.wait_exit(watchdog(16.0))?;
    ensure!(status.success(), "{status}");
    let shown = terminal.shown();
    let redrawn: Vec<_> =
        shown.split("\r\x1b[K").skip(1).map(|piece| piece.split(['\n', '\r']).next().unwrap_or("")).collect();
    let partials: Vec<_> = redrawn.iter().filter(|piece| piece.starts_with("...")).collect();
    ensure!(!partials.is_empty(), "no partial was long enough to be shortened: {shown:?}");
    ensure!(partials.iter().all(|partial| partial.chars().count() < 30), "{partials:?}");
    terminal.folders().assert_clean()
}

/// A pipe into which nothing goes any more, and which nobody reads while the first of it is kept.
fn full_pipe() -> Result<(PipeReader, PipeWriter)> {
    let (reader, mut writer) = std::io::pipe()?;
    let flags = OFlag::from_bits_truncate(fcntl(&writer, FcntlArg::F_GETFL)?);
    fcntl(&writer, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    while writer.write(b"x").is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(flags))?;
    Ok((reader, writer))
}

#[test]
fn a_standard_error_that_nobody_reads_holds_nobody() -> Result<()> {
    let (mut reader, writer) = full_pipe()?;
    let folders = Folders::new()?;
    let mut command = tympan(&folders)?;
    // For people, it tells what it listens to before the first word, and of the pause later.
    command.args(["run", "--verbose", "--model"]).arg(model()?).arg("demo:");
    let words = folders.notes().join("words");
    let mut child = command.stdin(Stdio::null()).stdout(File::create(&words)?).stderr(writer).spawn()?;
    drop(command);
    let paused = wait_until("an instance that can be paused", watchdog(5.0), || {
        let paused = run_to_end(tympan(&folders)?.arg("pause"), watchdog(2.0))?;
        Ok((paused.code == Some(0)).then_some(()))
    });
    let said = paused.and_then(|()| {
        run_to_end(tympan(&folders)?.arg("resume"), watchdog(2.0))?.expect_success()?;
        wait_until("its words", watchdog(12.0), || Ok((std::fs::metadata(&words)?.len() > 10).then_some(())))
    });
    let asked = end_process(child.id(), Signal::SIGINT);
    let status = wait_until("its end", watchdog(3.0), || Ok(child.try_wait()?));
    if status.is_err() {
        child.kill()?;
        child.wait()?;
    }
    said?;
    let status = status?;
    ensure!(asked && status.success(), "{status}");
    folders.assert_clean()?;
    let mut pipe = Vec::new();
    reader.read_to_end(&mut pipe)?;
    ensure!(pipe.iter().all(|&byte| byte == b'x'), "it was written to after all: it proves nothing");
    Ok(())
}

#[test]
fn a_reader_that_leaves_ends_it_in_order() -> Result<()> {
    let speech = Speech::join(&BASE_SPEECH)?;
    let recording = speech.uri();
    let recording = recording.strip_prefix("file:").context("a file")?.to_owned();
    let model = model()?;
    let model = model.to_str().context("path")?;
    let long: [(&[&str], &[i32]); 2] = [
        (&["run", "--json", "--model", model, &recording], &[0]),
        (&["transcribe", "--model", model, &recording], &[0]),
    ];
    let short = ANSWERS.map(|(args, code)| (args, if code < 0 { vec![] } else { vec![code] }));
    let all = long.iter().map(|(args, codes)| (*args, codes.to_vec())).chain(short);
    for (args, codes) in all {
        let folders = Folders::new()?;
        let mut command = tympan(&folders)?;
        let mut child =
            command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        // `head -1`: one line, and gone.
        BufReader::with_capacity(1, child.stdout.take().context("piped")?).read_line(&mut line)?;
        let status = wait_until(&format!("the end of {args:?}"), watchdog(8.0), || Ok(child.try_wait()?));
        if status.is_err() {
            child.kill()?;
        }
        let output = child.wait_with_output()?;
        let (status, stderr) = (status?, String::from_utf8_lossy(&output.stderr));
        ensure!(!stderr.contains("panicked") && status.code() != Some(101), "{args:?}: {stderr}");
        ensure!(
            codes.is_empty() || codes.iter().any(|&code| status.code() == Some(code)),
            "{args:?}: {status}: {stderr}"
        );
        folders.assert_clean()?;
    }
    Ok(())
}

/// One shell of a desktop, whose `/dev/shm` is small (so that the instance is in `$XDG_RUNTIME_DIR`), and one over ssh.
#[test]
fn two_shells_of_one_user_see_the_same_instance() -> Result<()> {
    let folders = Folders::new()?;
    let session = tempfile::tempdir()?;
    let shell = |args: &[&str]| -> Result<Command> {
        let mut command = tympan(&folders)?;
        command.env_remove("TYMPAN_RUNTIME_DIR").env("XDG_RUNTIME_DIR", session.path()).args(args);
        Ok(command)
    };
    let small = |command: &Command| on_small_disk(command, "/dev/shm".as_ref(), "size=1m", watchdog(20.0));
    let model = model()?;
    let run = shell(&["run", "--model", model.to_str().context("path")?, "test:silence?seconds=6"])?;
    let runs = std::thread::scope(|scope| -> Result<OnSmallDisk> {
        let running = scope.spawn(|| small(&run));
        let status = shell(&["status", "--json"])?;
        let answer = wait_until("an answer", watchdog(5.0), || {
            let answer = small(&status)?.finished;
            // It answers before its ring is there.
            Ok((answer.code == Some(0) && answer.stdout.contains("\"open\"")).then_some(answer))
        })?;
        ensure!(answer.stdout.contains("test:silence"), "{answer:?}");
        let rings = small(&shell(&["rings"])?)?.finished;
        ensure!(rings.stdout.contains(session.path().to_str().context("path")?), "{rings:?}");
        // A second one would leave it open whom a command means: refused, even from where there is room elsewhere.
        let second = on_small_disk(&shell(&["run", "test:tone"])?, "/dev/shm".as_ref(), "size=100m", watchdog(5.0))?;
        second.finished.expect_exit(17, &["another tympan", "TYMPAN_RUNTIME_DIR"])?;
        ensure!(second.left.is_empty(), "{:?}", second.left);
        running.join().map_err(|_| anyhow::anyhow!("the instance's thread"))?
    })?;
    ensure!(runs.finished.code == Some(0) && runs.left.is_empty(), "{runs:?}");
    ensure!(std::fs::read_dir(session.path())?.next().is_none(), "something is left in XDG_RUNTIME_DIR");
    folders.assert_clean()
}

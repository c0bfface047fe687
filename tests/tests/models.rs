//! `tympan model`, with the real program and a server on this machine.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use system_tests::*;

/// Where a line is cut in these tests.
const CUT_BYTES: usize = 500_000;

fn mode(path: &Path) -> Result<u32> {
    Ok(path.metadata()?.permissions().mode() & 0o777)
}

#[test]
fn a_whole_file_is_fetched_once() -> Result<()> {
    let (home, mirror) = (BareHome::new()?, Mirror::start(fs::read(model()?)?, &[Answer::Whole])?);
    let fetched = home.fetch(&mirror.folder(), &["tiny.en"])?;
    fetched.expect_success()?;
    ensure!(fetched.stdout.is_empty() && fetched.stderr.contains("fetched tiny.en (78 MB)"), "{fetched:?}");
    ensure!(!fetched.stderr.contains(['\r', '\x1b']), "control sequences into a pipe: {:?}", fetched.stderr);
    ensure!(home.files()? == [TINY_FILE] && fs::read(home.file(TINY_FILE))? == fs::read(model()?)?, "not the file");
    ensure!(mode(&home.file(TINY_FILE))? == 0o600 && mode(&home.models())? == 0o700, "not private");
    ensure!(mirror.asked()[0].what == format!("GET /models/{TINY_FILE}"), "{:?}", mirror.asked());

    let again = home.fetch(&mirror.folder(), &["tiny.en"])?;
    again.expect_success()?;
    ensure!(again.stderr.contains("is here and right"), "{again:?}");
    let silent = home.fetch(&mirror.folder(), &["--if-missing", "tiny.en"])?;
    ensure!(silent.code == Some(0) && silent.stderr.is_empty(), "{silent:?}");
    ensure!(mirror.asked().len() == 1, "asked again: {:?}", mirror.asked());

    let anew = home.fetch(&mirror.folder(), &["--force", "--quiet", "tiny.en"])?;
    ensure!(anew.code == Some(0) && anew.stderr.is_empty() && mirror.asked().len() == 2, "{anew:?}");
    home.folders.assert_clean()
}

#[test]
fn one_address_is_one_file() -> Result<()> {
    let (home, mirror) = (BareHome::new()?, Mirror::start(fs::read(model()?)?, &[Answer::Whole])?);
    home.fetch(&format!("{}/whatever", mirror.origin()), &["tiny.en"])?.expect_success()?;
    ensure!(home.files()? == [TINY_FILE], "{:?}", home.files()?);
    let file = format!("file://{}", cache_home()?.join("tympan/models").join(VAD_FILE).display());
    home.fetch(&file, &["vad"])?.expect_success()?;
    let two = home.fetch(&format!("{}/whatever", mirror.origin()), &["base", "small"])?;
    two.expect_exit(code::BAD_CONFIG, &["TYMPAN_MODEL_URL", "end it in /"])?;
    let forgotten = home.fetch("file:/no/such/folder", &["small"])?;
    forgotten.expect_exit(code::NOT_FETCHED, &["ends in / when it is a folder"])?;
    home.fetch("mirror.example", &["vad", "--force"])?.expect_exit(code::BAD_CONFIG, &["https://"])?;
    home.fetch(&file, &["tyni.en"])?.expect_exit(code::NO_MODEL, &["did you mean tiny.en"])
}

#[test]
fn a_full_disk_is_noticed_before_it_is_full() -> Result<()> {
    let (home, mirror) = (BareHome::new()?, Mirror::start(fs::read(model()?)?, &[Answer::Whole])?);
    let mut command = home.command(&["model", "fetch", "tiny.en"])?;
    // The tools of the namespace are found by the harness; the program below finds no Python either way.
    command.env("TYMPAN_MODEL_URL", mirror.folder()).env_remove("PATH");
    let small = on_small_disk(&command, &home.models(), "size=40m,mode=700", watchdog(30.0))?;
    let place = home.models().display().to_string();
    small.finished.expect_exit(code::NO_ROOM, &["not enough room", &place, "are needed", "TYMPAN_MODELS_DIR"])?;
    ensure!(mirror.asked().is_empty(), "something was fetched for nothing: {:?}", mirror.asked());
    let left: Vec<_> = small.left.iter().filter(|path| !path.ends_with(".lock")).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn two_at_once_fetch_once() -> Result<()> {
    let home = BareHome::new()?;
    let mirror = Mirror::start(vad()?, &[Answer::Slow(43_000, Duration::from_millis(50))])?;
    let start = || -> Result<_> {
        let mut command = home.command(&["model", "fetch", "vad"])?;
        command.env("TYMPAN_MODEL_URL", mirror.folder()).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command.stderr(Stdio::piped()).spawn()?)
    };
    let first = start()?;
    wait_until("the first request", watchdog(5.0), || Ok((!mirror.asked().is_empty()).then_some(())))?;
    let second = start()?;
    let (first, second) = (first.wait_with_output()?, second.wait_with_output()?);
    ensure!(first.status.success() && second.status.success(), "{first:?} {second:?}");
    ensure!(String::from_utf8_lossy(&second.stderr).contains("waiting for it"), "{second:?}");
    ensure!(mirror.asked().len() == 1, "{:?}", mirror.asked());
    home.has_vad_only()
}

#[test]
fn progress_fits_a_terminal_and_leaves_it_clean() -> Result<()> {
    let home = BareHome::new()?;
    let mirror = Mirror::start(vad()?, &[Answer::Slow(43_000, Duration::from_millis(100))])?;
    let models = home.models();
    let variables =
        [("TYMPAN_MODEL_URL", mirror.folder()), ("TYMPAN_MODELS_DIR", models.to_str().context("path")?.to_owned())];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut terminal = Terminal::start(40, &["model", "fetch", "vad"], &variables)?;
    terminal.wait_shown("the end", watchdog(30.0), |shown| shown.contains("fetched vad") && shown.ends_with('\n'))?;
    let status = terminal.wait_exit(watchdog(5.0))?;
    let screen = terminal.shown();
    ensure!(status.success(), "{status:?}: {screen}");
    let drawn: Vec<&str> = screen
        .split('\r')
        .filter(|line| line.contains(" %"))
        .map(|line| line.split('\x1b').next().unwrap_or_default().trim_end_matches('\n'))
        .collect();
    ensure!(drawn.len() >= 5, "hardly drawn: {screen:?}");
    ensure!(drawn.iter().all(|line| line.chars().count() < 40), "{drawn:?}");
    ensure!(drawn.iter().any(|line| line.contains("left")), "no time left: {drawn:?}");
    let percent = |line: &&str| line.split(" %").next().and_then(|head| head.rsplit(' ').next()?.parse::<u32>().ok());
    let percents: Vec<u32> = drawn.iter().filter_map(percent).collect();
    ensure!(percents.len() == drawn.len() && percents.is_sorted() && percents.last() > percents.first(), "{drawn:?}");
    let end = screen.rsplit('\r').find(|line| line.contains("fetched vad")).context("the last word")?;
    ensure!(end.starts_with("\x1b[K"), "the bar is left behind: {end:?}");
    home.has_vad_only()
}

#[test]
fn a_damaged_file_is_found_refused_and_mended() -> Result<()> {
    let (home, mirror) = (BareHome::new()?, Mirror::start(vad()?, &[Answer::Whole])?);
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    let right = home.run(&["model", "verify", "--json"])?;
    right.expect_success()?;
    let verdicts: Value = serde_json::from_str(&right.stdout)?;
    ensure!(verdicts[0]["name"] == "vad" && verdicts[0]["state"] == "right", "{verdicts}");

    let mut damaged = vad()?;
    damaged[CUT_BYTES] ^= 1;
    fs::write(home.file(VAD_FILE), damaged)?;
    let wrong = home.run(&["model", "verify"])?;
    ensure!(wrong.code == Some(code::BAD_MODEL.into()) && wrong.stdout.contains("vad  damaged"), "{wrong:?}");
    ensure!(wrong.stderr.contains("tympan model fetch --force vad"), "{wrong:?}");
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    home.has_vad_only()?;
    home.run(&["model", "verify", "vad"])?.expect_success()?;
    home.run(&["model", "verify", "tiny"])?.expect_exit(code::NO_MODEL, &["tympan model fetch tiny"])
}

#[test]
fn a_file_of_ones_own_is_added_used_and_removed() -> Result<()> {
    let home = BareHome::new()?;
    let own = home.home.path().join("my-own.bin");
    fs::copy(model()?, &own)?;
    // Some values of the weights: another file, as good a model.
    let mut bytes = fs::read(&own)?;
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0, 0]);
    fs::write(&own, bytes)?;
    let added = home.run(&["model", "add", own.to_str().context("path")?])?;
    added.expect_success()?;
    ensure!(added.stderr.contains("added my-own (tiny, English, f16, 78 MB)"), "{added:?}");
    let listed: Value = serde_json::from_str(&home.run(&["model", "list", "--json"])?.stdout)?;
    let mine = listed.as_array().context("a list")?.iter().find(|model| model["name"] == "my-own").context("mine")?;
    ensure!(mine["published"] == false && mine["state"] == "here" && mine["english_only"] == true, "{mine}");
    home.run(&["model", "verify", "my-own"])?.expect_success()?;

    // A published file that was brought from elsewhere is that file, whatever its name.
    let brought = home.home.path().join("brought");
    fs::copy(cache_home()?.join("tympan/models").join(VAD_FILE), &brought)?;
    home.run(&["model", "add", brought.to_str().context("path")?])?.expect_success()?;
    ensure!(fs::read(home.file(VAD_FILE))? == vad()?, "the voice detector");
    let clip = clip_file("jfk.wav");
    let said = home.run(&["transcribe", "--model", "my-own", clip.to_str().context("path")?])?;
    said.expect_success()?;
    ensure!(said.stdout.to_lowercase().contains("country"), "{said:?}");

    home.run(&["model", "remove", "my-own", "base"])?.expect_exit(code::NO_MODEL, &["base"])?;
    ensure!(home.file("ggml-my-own.bin").exists(), "all or nothing");
    fs::remove_file(&own)?;
    let removed = home.run(&["model", "remove", "my-own"])?;
    removed.expect_success()?;
    ensure!(removed.stderr.contains("78 MB are free again"), "{removed:?}");
    home.has_vad_only()?;

    // What is no model, or half of one.
    for (name, content, named) in [
        ("letter.bin", b"Dear Sir or Madam".to_vec(), "not a whisper.cpp model"),
        ("half.bin", fs::read(model()?)?[..40_000_000].to_vec(), "ends too soon"),
        ("empty.bin", Vec::new(), "it is empty"),
    ] {
        let path = home.home.path().join(name);
        fs::write(&path, content)?;
        home.run(&["model", "add", path.to_str().context("path")?])?.expect_exit(code::BAD_MODEL, &[name, named])?;
    }
    let tiny = model()?;
    let refused = home.run(&["model", "add", tiny.to_str().context("path")?, "--name", "a/b"])?;
    refused.expect_exit(code::USAGE, &["a/b"])
}

#[test]
fn what_has_8_bits_is_made_where_the_address_is_refused() -> Result<()> {
    const SMALL_FILE: &str = "ggml-tiny.en-q8_0.bin";
    let (home, mirror) = (BareHome::new()?, Mirror::start(Vec::new(), &[Answer::Status(404)])?);
    // Neither it nor what it is made from can be had.
    let refused = home.fetch(&mirror.folder(), &["tiny.en-q8_0"])?;
    let reasons = ["no such file (HTTP 404)", "made from tiny.en: ", "needs python3 with pip", SMALL_FILE];
    refused.expect_exit(code::NOT_FETCHED, &reasons)?;
    ensure!(home.files()?.is_empty(), "{:?}", home.files()?);
    let asked: Vec<_> = mirror.asked().iter().map(|asked| asked.what.clone()).collect();
    ensure!(asked == [SMALL_FILE, TINY_FILE].map(|file| format!("GET /models/{file}")), "{asked:?}");

    // With what it is made from, damaged: that is no way either, and stays what it is.
    let mut damaged = fs::read(model()?)?;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(home.file(TINY_FILE), &damaged)?;
    home.fetch(&mirror.folder(), &["tiny.en-q8_0"])?.expect_exit(code::NOT_FETCHED, &reasons)?;
    ensure!(fs::read(home.file(TINY_FILE))? == damaged && home.files()? == [TINY_FILE], "{:?}", home.files()?);

    fs::copy(model()?, home.file(TINY_FILE))?;
    let made = home.fetch(&mirror.folder(), &["tiny.en-q8_0"])?;
    made.expect_success()?;
    ensure!(made.stderr.contains("made tiny.en-q8_0 (44 MB) from tiny.en"), "{made:?}");
    ensure!(home.files()? == [SMALL_FILE, TINY_FILE] && mode(&home.file(SMALL_FILE))? == 0o600, "{:?}", home.files()?);
    let right = home.run(&["model", "verify", "tiny.en-q8_0"])?;
    right.expect_success()?;
    ensure!(right.stdout == "tiny.en-q8_0  right\n", "{right:?}");

    // It is as good a model.
    fs::write(home.file(VAD_FILE), vad()?)?;
    let clip = clip_file("jfk.wav");
    let said = home.run(&["transcribe", "--model", "tiny.en-q8_0", clip.to_str().context("path")?])?;
    said.expect_success()?;
    ensure!(said.stdout.to_lowercase().contains("country"), "{said:?}");
    home.folders.assert_clean()
}

#[test]
fn where_the_address_is_refused_the_package_serves() -> Result<()> {
    // This needs the package index, which the machine that runs these tests reaches.
    let (home, mirror) = (BareHome::new()?, Mirror::start(Vec::new(), &[Answer::Status(403)])?);
    let mut command = home.command(&["model", "fetch"])?;
    command.env("TYMPAN_MODEL_URL", mirror.folder()).env("PATH", std::env::var_os("PATH").context("PATH")?);
    // What these variables say is this machine's way to the package index; the mirror is none of their business.
    for name in PROXIES.iter().filter(|name| !name.eq_ignore_ascii_case("no_proxy")) {
        if let Some(proxy) = std::env::var_os(name) {
            command.env(name, proxy);
        }
    }
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let made = run_to_end(&mut command, watchdog(120.0))?;
    made.expect_success()?;
    ensure!(made.stderr.contains("HTTP 403") && made.stderr.contains("made tiny.en"), "{made:?}");
    ensure!(home.files()? == [TINY_FILE, VAD_FILE], "{:?}", home.files()?);
    ensure!(fs::read(home.file(TINY_FILE))? == fs::read(model()?)?, "not the file");
    ensure!(mirror.asked().len() == 2, "the address comes first: {:?}", mirror.asked());
    Ok(())
}

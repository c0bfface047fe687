//! `tympan model`, with the real program against a server on this machine that breaks, lies, hangs and recovers.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use system_tests::*;

/// The codes that README.md documents.
mod code {
    pub(super) const USAGE: u8 = 2;
    pub(super) const BAD_CONFIG: u8 = 6;
    pub(super) const NO_MODEL: u8 = 7;
    pub(super) const BAD_MODEL: u8 = 8;
    pub(super) const NO_ROOM: u8 = 15;
    pub(super) const NOT_FETCHED: u8 = 19;
}

const VAD_FILE: &str = "silero_vad_16k_op15.onnx";
const TINY_FILE: &str = "ggml-tiny.en.bin";

/// Where a line is cut in these tests.
const CUT_BYTES: usize = 500_000;

const PROXIES: [&str; 8] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// The voice detector as it is published: the small file of the two.
fn vad() -> Result<Vec<u8>> {
    let path = cache_home()?.join("tympan/models").join(VAD_FILE);
    fs::read(&path).with_context(|| format!("{} is missing: run scripts/fetch-model", path.display()))
}

/// A home without anything, in which nothing but an address can be fetched from: there is no Python.
struct Home {
    folders: Folders,
    home: tempfile::TempDir,
}

impl Home {
    fn new() -> Result<Self> {
        let this = Self { folders: Folders::new()?, home: tempfile::tempdir()? };
        fs::create_dir(this.home.path().join("bin"))?;
        Ok(this)
    }

    fn models(&self) -> PathBuf {
        self.home.path().join("cache/tympan/models")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.models().join(name)
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = tympan(&self.folders)?;
        command.env("HOME", self.home.path()).env("XDG_CACHE_HOME", self.home.path().join("cache"));
        command.env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command.env("PATH", self.home.path().join("bin"));
        for name in PROXIES.iter().chain(&["TYMPAN_MODEL_URL", "TYMPAN_MODELS_DIR"]) {
            command.env_remove(name);
        }
        command.args(args);
        Ok(command)
    }

    fn run(&self, args: &[&str]) -> Result<Finished> {
        run_to_end(&mut self.command(args)?, watchdog(30.0))
    }

    /// `tympan model fetch` from a mirror.
    fn fetch(&self, mirror: &str, args: &[&str]) -> Result<Finished> {
        let mut command = self.command(&["model", "fetch"])?;
        run_to_end(command.args(args).env("TYMPAN_MODEL_URL", mirror), watchdog(30.0))
    }

    /// The files of the folder, without what every use of it leaves.
    fn files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if self.models().exists() {
            for entry in fs::read_dir(self.models())? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name != ".lock" && !name.ends_with(".stamp") {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }

    fn has_vad_only(&self) -> Result<()> {
        ensure!(self.files()? == [VAD_FILE], "{:?}", self.files()?);
        ensure!(fs::read(self.file(VAD_FILE))? == vad()?, "another content");
        Ok(())
    }
}

fn mode(path: &Path) -> Result<u32> {
    Ok(path.metadata()?.permissions().mode() & 0o777)
}

#[test]
fn a_whole_file_is_fetched_once() -> Result<()> {
    let (home, mirror) = (Home::new()?, Mirror::start(fs::read(model()?)?, &[Answer::Whole])?);
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
    let (home, mirror) = (Home::new()?, Mirror::start(fs::read(model()?)?, &[Answer::Whole])?);
    home.fetch(&format!("{}/whatever", mirror.origin()), &["tiny.en"])?.expect_success()?;
    ensure!(home.files()? == [TINY_FILE], "{:?}", home.files()?);
    let file = format!("file://{}", cache_home()?.join("tympan/models").join(VAD_FILE).display());
    home.fetch(&file, &["vad"])?.expect_success()?;
    let two = home.fetch(&format!("{}/whatever", mirror.origin()), &["base", "small"])?;
    two.expect_exit(code::BAD_CONFIG, &["TYMPAN_MODEL_URL", "end it in /"])?;
    home.fetch("mirror.example", &["vad", "--force"])?.expect_exit(code::BAD_CONFIG, &["https://"])?;
    home.fetch(&file, &["tyni.en"])?.expect_exit(code::NO_MODEL, &["did you mean tiny.en"])
}

#[test]
fn a_broken_line_is_taken_up_where_it_broke() -> Result<()> {
    let home = Home::new()?;
    let mirror = Mirror::start(vad()?, &[Answer::CutAfter(CUT_BYTES), Answer::CutAfter(CUT_BYTES), Answer::Whole])?;
    let fetched = home.fetch(&mirror.folder(), &["vad"])?;
    fetched.expect_success()?;
    ensure!(fetched.stderr.contains("the line broke") && fetched.stderr.contains("going on from"), "{fetched:?}");
    let from: Vec<_> = mirror.asked().iter().map(|asked| asked.from).collect();
    ensure!(from == [None, Some(CUT_BYTES as u64), Some(2 * CUT_BYTES as u64)], "{from:?}");
    ensure!(mirror.sent() == vad()?.len() as u64, "{} bytes for {}", mirror.sent(), vad()?.len());
    home.has_vad_only()
}

#[test]
fn what_came_is_kept_for_the_next_time() -> Result<()> {
    let home = Home::new()?;
    let part = format!("{VAD_FILE}.part");
    let broken = Mirror::start(vad()?, &[Answer::CutAfter(CUT_BYTES), Answer::Status(503)])?;
    let refused = home.fetch(&broken.folder(), &["vad"])?;
    refused.expect_exit(code::NOT_FETCHED, &["HTTP 503", VAD_FILE, "what came is kept", "tympan model add"])?;
    ensure!(home.files()? == [part.clone()], "{:?}", home.files()?);
    ensure!(home.file(&part).metadata()?.len() == CUT_BYTES as u64 && mode(&home.file(&part))? == 0o600, "the part");
    let listed = home.run(&["model", "list", "--json"])?;
    let listed: Value = serde_json::from_str(&listed.stdout)?;
    let model = listed.as_array().context("a list")?.iter().find(|model| model["name"] == "vad").context("vad")?;
    ensure!(model["state"] == "part" && model["here_bytes"] == CUT_BYTES, "{model}");

    let mirror = Mirror::start(vad()?, &[Answer::Whole])?;
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    let asked = mirror.asked();
    ensure!(asked.len() == 1 && asked[0].from == Some(CUT_BYTES as u64), "{asked:?}");
    ensure!(mirror.sent() == (vad()?.len() - CUT_BYTES) as u64, "{asked:?}");
    home.has_vad_only()
}

#[test]
fn a_server_without_ranges_begins_anew() -> Result<()> {
    let home = Home::new()?;
    let mirror = Mirror::start(vad()?, &[Answer::CutAfter(CUT_BYTES), Answer::AllOfIt])?;
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    let asked = mirror.asked();
    ensure!(asked.len() == 2 && asked[1].from == Some(CUT_BYTES as u64), "{asked:?}");
    ensure!(asked[1].sent == vad()?.len() as u64, "{asked:?}");
    home.has_vad_only()
}

#[test]
fn a_part_is_looked_at_before_it_is_used() -> Result<()> {
    let (home, mirror) = (Home::new()?, Mirror::start(vad()?, &[Answer::Whole])?);
    let part = home.file(&format!("{VAD_FILE}.part"));
    // Complete: nothing is fetched.
    fs::create_dir_all(home.models())?;
    fs::write(&part, vad()?)?;
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    ensure!(mirror.asked().is_empty(), "{:?}", mirror.asked());
    home.has_vad_only()?;
    // Of another file: its length tells nothing, its hash does.
    for other in [vec![b'x'; CUT_BYTES], vec![b'x'; vad()?.len()], vec![b'x'; 2 * vad()?.len()]] {
        fs::remove_file(home.file(VAD_FILE))?;
        fs::write(&part, &other)?;
        home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
        home.has_vad_only().with_context(|| format!("a part of {} bytes", other.len()))?;
    }
    ensure!(mirror.asked().iter().any(|asked| asked.from == Some(CUT_BYTES as u64)), "{:?}", mirror.asked());
    Ok(())
}

#[test]
fn a_slow_line_is_waited_for() -> Result<()> {
    let home = Home::new()?;
    // Three seconds for all of it, with patience for one.
    let mirror = Mirror::start(vad()?, &[Answer::Slow(43_000, Duration::from_millis(100))])?;
    home.fetch(&mirror.folder(), &["--patience", "1", "vad"])?.expect_success()?;
    ensure!(mirror.asked().len() == 1, "{:?}", mirror.asked());
    home.has_vad_only()
}

#[test]
fn a_dead_line_is_noticed() -> Result<()> {
    let home = Home::new()?;
    let mirror = Mirror::start(vad()?, &[Answer::StallAfter(CUT_BYTES), Answer::StallAfter(0)])?;
    let refused = home.fetch(&mirror.folder(), &["--patience", "1", "vad"])?;
    refused.expect_exit(code::NOT_FETCHED, &["for 1 s", VAD_FILE])?;
    let from: Vec<_> = mirror.asked().iter().map(|asked| asked.from).collect();
    ensure!(from == [None, Some(CUT_BYTES as u64)], "one more try, from there: {from:?}");
    ensure!(home.file(&format!("{VAD_FILE}.part")).metadata()?.len() == CUT_BYTES as u64, "the part");

    // A server that takes the question and never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let refused = home.fetch(&format!("http://{}/", silent.local_addr()?), &["--patience", "1", "vad"])?;
    refused
        .expect_exit(code::NOT_FETCHED, &["1 s"])
        .or_else(|_| refused.expect_exit(code::NOT_FETCHED, &["does not answer in time"]))
}

#[test]
fn what_is_not_the_file_is_not_kept() -> Result<()> {
    let (home, size) = (Home::new()?, vad()?.len());
    for (answer, named) in [
        (Answer::OtherBytes, "SHA-256 differs".to_owned()),
        (Answer::Short(CUT_BYTES), format!("has {CUT_BYTES} bytes, and the published one has {size}")),
        (Answer::Endless, format!("more than the {size} bytes")),
    ] {
        let mirror = Mirror::start(vad()?, std::slice::from_ref(&answer))?;
        let refused = home.fetch(&mirror.folder(), &["vad"])?;
        refused.expect_exit(code::BAD_MODEL, &[&named, VAD_FILE]).with_context(|| format!("{answer:?}"))?;
        ensure!(home.files()?.is_empty(), "{answer:?} left {:?}", home.files()?);
    }
    // An end of the line is an end of the file only when the server had said how long it is.
    let mirror = Mirror::start(vad()?, &[Answer::Unannounced(CUT_BYTES), Answer::Whole])?;
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    ensure!(mirror.asked()[1].from == Some(CUT_BYTES as u64), "{:?}", mirror.asked());
    home.has_vad_only()
}

#[test]
fn refusals_are_told_in_words() -> Result<()> {
    let home = Home::new()?;
    for (answer, named) in [
        (Answer::Status(404), "it has no such file (HTTP 404)"),
        (Answer::Status(403), "a login or a permission is missing (HTTP 403)"),
        (Answer::Status(500), "a fault of its own; try again later (HTTP 500)"),
        (Answer::Redirect("file:///etc/passwd".into()), "redirects to nowhere"),
        (Answer::Redirect("/round".into()), "redirects more than 10 times"),
    ] {
        let mirror = Mirror::start(vad()?, &[answer])?;
        let refused = home.fetch(&mirror.folder(), &["vad"])?;
        refused
            .expect_exit(code::NOT_FETCHED, &[named, &mirror.origin(), VAD_FILE, "python3 with pip", "HTTPS_PROXY"])?;
        ensure!(home.files()?.is_empty(), "{:?}", home.files()?);
    }
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let refused = home.fetch(&format!("http://me:secret@{nobody}/"), &["vad"])?;
    refused.expect_exit(code::NOT_FETCHED, &["is not listening (connection refused)"])?;
    ensure!(!refused.stderr.contains("secret"), "a password is shown: {}", refused.stderr);
    home.fetch("file:/no/such/folder/", &["vad"])?.expect_exit(code::NOT_FETCHED, &["/no/such/folder/"])?;
    home.folders.assert_clean()
}

#[test]
fn redirects_are_followed() -> Result<()> {
    let home = Home::new()?;
    let store = Mirror::start(vad()?, &[Answer::Whole])?;
    let to = format!("{}/stored/by-its-hash?signed=yes", store.origin());
    let mirror = Mirror::start(Vec::new(), &[Answer::Redirect("../other".into()), Answer::Redirect(to)])?;
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    ensure!(store.asked()[0].what == "GET /stored/by-its-hash?signed=yes", "{:?}", store.asked());
    home.has_vad_only()
}

#[test]
fn proxies_are_asked() -> Result<()> {
    let home = Home::new()?;
    let proxy = Mirror::start(vad()?, &[Answer::Whole])?;
    let mut command = home.command(&["model", "fetch", "vad"])?;
    command.env("TYMPAN_MODEL_URL", "http://models.invalid/").env("HTTP_PROXY", proxy.origin());
    run_to_end(&mut command, watchdog(30.0))?.expect_success()?;
    ensure!(proxy.asked()[0].what == "CONNECT models.invalid:80", "{:?}", proxy.asked());
    home.has_vad_only()?;

    // The published address is https. Behind this proxy there is nobody who speaks TLS.
    let proxy = Mirror::start(vad()?, &[Answer::Status(500)])?;
    let mut command = home.command(&["model", "fetch", "--patience", "2", "tiny.en"])?;
    let refused = run_to_end(command.env("https_proxy", proxy.origin()), watchdog(30.0))?;
    refused.expect_exit(code::NOT_FETCHED, &["huggingface.co", "through the proxy", &proxy.origin()])?;
    ensure!(proxy.asked()[0].what == "CONNECT huggingface.co:443", "{:?}", proxy.asked());

    // A proxy that is not there is not asked for what needs none.
    let (mirror, nobody) = (Mirror::start(vad()?, &[Answer::Whole])?, TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let mut command = home.command(&["model", "fetch", "--force", "vad"])?;
    command.env("TYMPAN_MODEL_URL", mirror.folder()).env("ALL_PROXY", format!("http://{nobody}"));
    run_to_end(&mut command, watchdog(30.0))?.expect_exit(code::NOT_FETCHED, &["through the proxy"])?;
    run_to_end(command.env("NO_PROXY", "example.org, 127.0.0.1"), watchdog(30.0))?.expect_success()?;
    home.has_vad_only()
}

#[test]
fn a_full_disk_is_noticed_before_it_is_full() -> Result<()> {
    let (home, mirror) = (Home::new()?, Mirror::start(fs::read(model()?)?, &[Answer::Whole])?);
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
    let home = Home::new()?;
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
fn killed_or_stopped_in_the_middle_it_goes_on_next_time() -> Result<()> {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
        let home = Home::new()?;
        let part = home.file(&format!("{VAD_FILE}.part"));
        let mirror = Mirror::start(vad()?, &[Answer::StallAfter(CUT_BYTES), Answer::Whole])?;
        let mut command = home.command(&["model", "fetch", "vad"])?;
        command.env("TYMPAN_MODEL_URL", mirror.folder()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn()?;
        wait_until("a part", watchdog(5.0), || {
            Ok(part.metadata().is_ok_and(|meta| meta.len() == CUT_BYTES as u64).then_some(()))
        })?;
        ensure!(end_process(child.id(), signal), "it had ended");
        let ended = child.wait_with_output()?;
        if signal == Signal::SIGKILL {
            ensure!(ended.status.code().is_none(), "{ended:?}");
        } else {
            ensure!(ended.status.code() == Some(code::NOT_FETCHED.into()), "{ended:?}");
            ensure!(String::from_utf8_lossy(&ended.stderr).contains("what came is kept"), "{ended:?}");
        }
        home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
        ensure!(mirror.asked()[1].from == Some(CUT_BYTES as u64), "{:?}", mirror.asked());
        home.has_vad_only().with_context(|| signal.to_string())?;
    }
    Ok(())
}

#[test]
fn progress_fits_a_terminal_and_leaves_it_clean() -> Result<()> {
    let home = Home::new()?;
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
    let (home, mirror) = (Home::new()?, Mirror::start(vad()?, &[Answer::Whole])?);
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
    let home = Home::new()?;
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

/// This needs the package index, which the machine that runs these tests reaches.
#[test]
fn where_the_address_is_refused_the_package_serves() -> Result<()> {
    let (home, mirror) = (Home::new()?, Mirror::start(Vec::new(), &[Answer::Status(403)])?);
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

//! Downloads of models, with the real program from a server on this machine that breaks, lies, hangs and recovers.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
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
fn a_broken_line_is_taken_up_where_it_broke() -> Result<()> {
    let home = BareHome::new()?;
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
    let home = BareHome::new()?;
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
    let home = BareHome::new()?;
    let mirror = Mirror::start(vad()?, &[Answer::CutAfter(CUT_BYTES), Answer::AllOfIt])?;
    home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
    let asked = mirror.asked();
    ensure!(asked.len() == 2 && asked[1].from == Some(CUT_BYTES as u64), "{asked:?}");
    ensure!(asked[1].sent == vad()?.len() as u64, "{asked:?}");
    home.has_vad_only()
}

#[test]
fn a_part_is_looked_at_before_it_is_used() -> Result<()> {
    let (home, mirror) = (BareHome::new()?, Mirror::start(vad()?, &[Answer::Whole])?);
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
    let home = BareHome::new()?;
    // Three seconds for all of it, with patience for one.
    let mirror = Mirror::start(vad()?, &[Answer::Slow(43_000, Duration::from_millis(100))])?;
    home.fetch(&mirror.folder(), &["--patience", "1", "vad"])?.expect_success()?;
    ensure!(mirror.asked().len() == 1, "{:?}", mirror.asked());
    home.has_vad_only()
}

#[test]
fn a_dead_line_is_noticed() -> Result<()> {
    let home = BareHome::new()?;
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
    let (home, size) = (BareHome::new()?, vad()?.len());
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
    let home = BareHome::new()?;
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
    let home = BareHome::new()?;
    let store = Mirror::start(vad()?, &[Answer::Whole])?;
    let to = format!("{}/stored/by-its-hash?signed=yes", store.origin());
    let mirror = Mirror::start(Vec::new(), &[Answer::Redirect("../other".into()), Answer::Redirect(to)])?;
    let with_login = mirror.folder().replace("://", "://me:p%40ss@");
    let fetched = home.fetch(&with_login, &["vad"])?;
    fetched.expect_success()?;
    ensure!(!fetched.stderr.contains("ss@"), "the password is shown: {}", fetched.stderr);
    let asked: Vec<_> = mirror.asked().iter().map(|asked| (asked.what.clone(), asked.login.clone())).collect();
    // `me:p@ss`, to the host that it was meant for and to no other.
    let login = Some("Basic bWU6cEBzcw==".to_owned());
    let path = format!("GET /models/{VAD_FILE}");
    ensure!(asked == [(path, login.clone()), ("GET /models/../other".into(), login)], "{asked:?}");
    ensure!(store.asked()[0].what == "GET /stored/by-its-hash?signed=yes", "{:?}", store.asked());
    ensure!(store.asked()[0].login.is_none(), "the password went elsewhere");
    home.has_vad_only()
}

#[test]
fn proxies_are_asked() -> Result<()> {
    let home = BareHome::new()?;
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
fn killed_or_stopped_in_the_middle_it_goes_on_next_time() -> Result<()> {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
        let home = BareHome::new()?;
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
            ensure!(String::from_utf8_lossy(&ended.stderr).contains("is kept, and the next"), "{ended:?}");
        }
        home.fetch(&mirror.folder(), &["vad"])?.expect_success()?;
        ensure!(mirror.asked()[1].from == Some(CUT_BYTES as u64), "{:?}", mirror.asked());
        home.has_vad_only().with_context(|| signal.to_string())?;
    }
    Ok(())
}

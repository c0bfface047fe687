//! A model for each stream: which one was used can be seen in the words, whoever dies meanwhile.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use system_tests::*;
use tempfile::TempDir;

const LOUD_FILE: &str = "ggml-loud.bin";

/// Words that the clips have, each one token of the vocabulary.
const WORDS: [&str; 6] = ["fellow", "country", "young", "might", "woman", "himself"];

/// A second model: the first one, with these words in capital letters in its vocabulary. So each of them shows who has
/// written it down. It lies in a folder whose name looks like that of a stream.
struct Loud {
    home: TempDir,
    path: String,
}

impl Loud {
    fn make() -> Result<Self> {
        let mut bytes = fs::read(model()?)?;
        for word in WORDS {
            let token = format!(" {word}");
            let entry = [&u32::try_from(token.len())?.to_le_bytes(), token.as_bytes()].concat();
            let at = bytes.windows(entry.len()).position(|window| window == entry).with_context(|| token.clone())?;
            bytes[at + 4..at + entry.len()].make_ascii_uppercase();
        }
        let home = tempfile::tempdir()?;
        let folder = home.path().join("guest=mine");
        fs::create_dir(&folder)?;
        fs::write(folder.join(LOUD_FILE), bytes)?;
        Ok(Self { path: folder.join(LOUD_FILE).to_str().context("path")?.to_owned(), home })
    }
}

/// What a stream says, and how many of the words are in small and in capital letters.
fn said(instance: &Instance, stream: &str) -> Result<(String, usize, usize)> {
    let finals = instance.finals()?.into_iter().filter(|event| event.fields["stream"] == stream);
    let texts: Vec<String> = finals.map(|event| Ok(event.text("text")?.to_owned())).collect::<Result<_>>()?;
    let text = texts.join(" ");
    let small = WORDS.iter().filter(|word| text.contains(*word)).count();
    let loud = WORDS.iter().filter(|word| text.contains(&word.to_uppercase())).count();
    Ok((text, small, loud))
}

#[test]
fn each_stream_is_heard_by_its_model_whoever_dies() -> Result<()> {
    let model_of_guest = Loud::make()?;
    let speech = Speech::join(&CLIPS)?;
    let source = |name| format!("{name}={}", speech.uri());
    let setup = Setup::run(&[&source("host"), &source("guest")]).arg("--fast");
    let mut instance = setup.arg("--model").arg(format!("guest={}", model_of_guest.path)).start()?;
    let started = instance.wait_event("started", watchdog(10.0), |e| e.is("started"))?;
    ensure!(started.fields["model"] == TINY_FILE, "{}", started.fields);
    let streams = started.fields["streams"].as_array().context("streams")?;
    let model_of = |name: &str| streams.iter().find(|stream| stream["stream"] == name).map(|stream| &stream["model"]);
    ensure!(model_of("host").context("host")? == TINY_FILE, "{}", started.fields);
    ensure!(model_of("guest").context("guest")? == LOUD_FILE, "{}", started.fields);

    let status = instance.json("status")?;
    ensure!(status["model"] == model()?.to_str().context("path")?, "{status}");
    let of_guest = status["streams"].as_array().context("streams")?.iter().find(|stream| stream["stream"] == "guest");
    ensure!(of_guest.context("guest")?["model"] == model_of_guest.path, "{status}");
    let shown = instance.command(&["status"])?;
    let row = shown.stdout.lines().find(|line| line.starts_with("guest ")).context("a row")?;
    ensure!(row.contains(" loud "), "{}", shown.stdout);

    // Their successors have both models again.
    instance.wait_event("a final", watchdog(10.0), |e| e.is("final"))?;
    let killed = instance.kill_role("worker")?.len();
    let reborn = instance.wait_event("a successor", watchdog(10.0), |e| {
        e.is_process("worker", "ready") && e.fields["generation"].as_u64() > Some(1)
    })?;
    for stream in ["host", "guest"] {
        let later = |e: &Event| e.is("final") && e.fields["stream"] == stream;
        instance.log().wait(reborn.index, "a final of a successor", watchdog(20.0), later)?;
    }
    instance.wait_stopped(watchdog(60.0))?;
    instance.assert_once()?;
    ensure!(killed == 2, "{killed} workers");
    for (stream, is_loud) in [("host", false), ("guest", true)] {
        let (text, small, loud) = said(&instance, stream)?;
        let (own, other) = if is_loud { (loud, small) } else { (small, loud) };
        ensure!(own >= WORDS.len() - 1 && other == 0, "{stream}: {small} small, {loud} loud in {text}");
        let errors = errors_of(&speech.transcript(), &text)?;
        ensure!(errors.errors() <= 8, "{stream}: {errors:?} in {text}");
    }
    instance.assert_clean()
}

#[test]
fn a_path_is_a_path_though_it_looks_like_the_model_of_a_stream() -> Result<()> {
    let loud = Loud::make()?;
    let clip = clip_file("librivox_0880.wav");
    let source = format!("guest=file:{}", clip.display());
    let folders = Folders::new()?;
    let said = |source: &str, given: &str| {
        let mut command = tympan(&folders)?;
        let args = ["run", "--fast", "--json", source, "--model", given];
        run_to_end(command.current_dir(loud.home.path()).args(args), watchdog(20.0))
    };
    // guest=mine/... : the file is there, so it is the model of whatever stream there is.
    let given = format!("guest=mine/{LOUD_FILE}");
    let other = format!("other=file:{}", clip.display());
    for (source, given) in [(&source, given.clone()), (&other, given), (&other, loud.path.clone())] {
        let finished = said(source, &given)?;
        finished.expect_success()?;
        let started = finished.stdout.lines().find(|line| line.contains("\"started\"")).context("started")?;
        let started: Value = serde_json::from_str(started)?;
        ensure!(started["model"] == LOUD_FILE && finished.stdout.contains("YOUNG man"), "{finished:?}");
    }
    // And without it, it is that of the stream, by another path.
    let named = said(&source, &format!("guest=./guest=mine/{LOUD_FILE}"))?;
    named.expect_success()?;
    ensure!(named.stdout.contains(LOUD_FILE), "{named:?}");
    said(&other, &format!("guest=./guest=mine/{LOUD_FILE}"))?
        .expect_exit(code::USAGE, &["no stream guest", "other"])?;
    folders.assert_clean()
}

#[test]
fn what_is_wrong_with_the_model_of_one_stream_names_it() -> Result<()> {
    let home = BareHome::new()?;
    let clip = clip_file("librivox_0880.wav").display().to_string();
    let (host, guest) = (format!("host=file:{clip}"), format!("guest=file:{clip}"));
    let refused = |args: &[&str], code, named: &[&str]| {
        home.run(args)?.expect_exit(code, named).with_context(|| args.join(" "))?;
        home.folders.assert_clean()
    };
    let run =
        |more: &[&str], code, named: &[&str]| refused(&[&["run", "--fast", &host, &guest], more].concat(), code, named);
    let all = "the models tiny.en, base (of guest) and vad are not here";
    run(&["--model", "guest=base"], code::NO_MODEL, &[all, "`tympan model fetch tiny.en base vad`"])?;
    fs::create_dir_all(home.models())?;
    fs::write(home.file(VAD_FILE), vad()?)?;
    // That of most is not asked for where nobody has it.
    let both = ["--model", "guest=base", "--model", "host=base"];
    run(&both, code::NO_MODEL, &["host and guest: the model base is not here", "`tympan model fetch base`"])?;
    fs::write(home.file("ggml-base.bin"), "half of it")?;
    run(&both, code::BAD_MODEL, &["host and guest: the model file", "`tympan model fetch --force base`"])?;
    let doctor = home
        .command(&["doctor", "--quick", "--json"])
        .and_then(|mut command| run_to_end(command.env("TYMPAN_MODEL", "tiny.en; guest=base"), watchdog(60.0)))?;
    let findings: Value = serde_json::from_str(&doctor.stdout).with_context(|| format!("{doctor:?}"))?;
    let of_guest = |finding: &&Value| finding["what"].as_str().is_some_and(|what| what.starts_with("guest: "));
    let finding = findings.as_array().context("findings")?.iter().find(of_guest).context("a finding of guest")?;
    ensure!(finding["mend"] == "tympan model fetch --force base", "{finding}");

    // A model for English, and another language, of one stream alone.
    fs::copy(model()?, home.file(TINY_FILE))?;
    let loud = Loud::make()?;
    let of_guest = format!("guest={}", loud.path);
    let german = ["--model", &of_guest, "--language", "guest=de"];
    run(&german, code::REFUSED, &[LOUD_FILE, "the language of guest is de", "--model guest=base"])?;

    // What there is no stream for, or two models.
    run(&["--model", "nobody=base"], code::USAGE, &["--model", "no stream nobody", "host, guest"])?;
    run(&["--model", "guest=a", "--model", "guest=b"], code::USAGE, &["two models for guest"])?;
    run(&["--model", "guest="], code::USAGE, &["no model is named"])?;
    refused(&["transcribe", "--model", "guest=base", &clip], code::USAGE, &["guest=base", "a model alone"])?;
    refused(&["bench", "--model", "guest=base"], code::USAGE, &["guest=base", "a model alone"])?;

    // In the file; what it says of single streams is nothing to recordings.
    let file = home.home.path().join("tympan.toml");
    let configured = |model: &str, args: &[&str]| {
        fs::write(&file, format!("[words]\nmodel = {model}\n"))?;
        let mut command = home.command(&["--config", file.to_str().context("path")?])?;
        run_to_end(command.args(args), watchdog(20.0))
    };
    let of_one = format!("[\"tiny.en\", \"guest={}\"]", "base");
    let heard = configured(&of_one, &["transcribe", &clip])?;
    ensure!(heard.code == Some(0) && heard.stdout.contains("young man"), "{heard:?}");
    let wrong = configured(&of_one, &["run", "--fast", &guest])?;
    wrong.expect_exit(code::BAD_MODEL, &["guest: the model file"])?;
    configured(&of_one, &["config", "check"])?.expect_success()?;
    let twice = configured("[\"guest=a\", \"guest=b\"]", &["config", "check"])?;
    twice.expect_exit(code::BAD_CONFIG, &["tympan.toml:2: two models for guest"])
}

//! `tympan transcribe` of many files against what else writes them down on this machine, with the word errors of each
//! beside its time: whisper-rs as it builds itself, called directly, and faster-whisper (CTranslate2), both with two
//! threads.
//!
//! Ours is the time of the whole command, start and end included; of the peers what they take once the model is loaded.
//! The files are the six clips, each alone, and joins of all six with pauses of about a second.

use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Context, Result, ensure};
use hound::WavReader;
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use system_tests::{
    CLIPS, Finished, Folders, Speech, WordErrors, align, cache_home, clip_file, normalise, run_to_end, tympan,
    workspace_root,
};

pub(crate) const TINY: Measure = Measure {
    names: &[
        "transcribe of many files, tiny.en",
        "transcribe of many files, tiny.en, vs whisper-rs",
        "transcribe of many files, tiny.en-q8_0",
        "transcribe of many files, tiny.en-q8_0, vs whisper-rs",
    ],
    run: |plan| measure(plan, "tiny.en", TINY.names),
};

pub(crate) const BASE: Measure = Measure {
    names: &[
        "transcribe of many files, base",
        "transcribe of many files, base, vs whisper-rs",
        "transcribe of many files, base-q8_0",
        "transcribe of many files, base-q8_0, vs whisper-rs",
    ],
    run: |plan| if plan.quick { Ok(Vec::new()) } else { measure(plan, "base", BASE.names) },
};

/// Joins of all clips, each beginning with another.
const JOINS: usize = 4;
/// Processes of ours, and threads of the peers.
const PARALLEL: &str = "2";

fn measure(plan: &Plan, model: &str, names: &[&str]) -> Result<Vec<Row>> {
    let files = Files::new(if plan.quick { 1 } else { JOINS })?;
    let small = format!("{model}-q8_0");
    let (mut ours, mut ours_small, mut direct, mut other) = <(Runs, Runs, Runs, Runs)>::default();
    // In turn, so that what else the machine does meets all of them.
    for _ in 0..plan.times(3) {
        ours.add(files.ours(model)?);
        other.add(files.faster_whisper(model)?);
        direct.add(files.direct(model)?);
        ours_small.add(files.ours(&small)?);
    }
    let other = ("faster-whisper int8", files.result(&mut other)?);
    let direct = ("whisper-rs as it builds itself", files.result(&mut direct)?);
    let (ours, ours_small) = (files.result(&mut ours)?, files.result(&mut ours_small)?);
    let rows = [(&ours, &other), (&ours, &direct), (&ours_small, &other), (&ours_small, &direct)];
    let row = |(name, (ours, (what, peer))): (&&str, (&Outcome, &(&str, Outcome)))| {
        let mut row = Row::new(name, ours.factor, "s per s of sound", plan.times(3));
        let errors = |of: &WordErrors| format!("{} of {} words wrong", of.errors(), of.words);
        let what = format!("{}; {what}, {PARALLEL} threads, {}", errors(&ours.errors), errors(&peer.errors));
        row = row.against(&what, peer.factor);
        row
    };
    Ok(names.iter().zip(rows).map(row).collect())
}

/// What is written down.
struct Files {
    paths: Vec<PathBuf>,
    transcripts: Vec<String>,
    sound_s: f64,
    _joins: Vec<Speech>,
}

/// What one way took each time, and the texts of the last.
#[derive(Default)]
struct Runs {
    seconds: Vec<f64>,
    texts: Vec<String>,
}

struct Outcome {
    factor: f64,
    errors: WordErrors,
}

#[derive(Deserialize)]
struct Ours {
    file: PathBuf,
    text: String,
}

#[derive(Deserialize)]
struct Direct {
    text: String,
    compute_ms: f64,
}

#[derive(Deserialize)]
struct Other {
    seconds: f64,
    texts: Vec<String>,
}

impl Files {
    fn new(joins: usize) -> Result<Self> {
        let mut names = CLIPS;
        let joins: Vec<Speech> = (0..joins)
            .map(|_| {
                names.rotate_left(1);
                Speech::join(&names)
            })
            .collect::<Result<_>>()?;
        let mut paths: Vec<PathBuf> = CLIPS.iter().map(|name| clip_file(name)).collect();
        paths.extend(joins.iter().map(Speech::file));
        let alone = CLIPS.iter().map(|name| Ok(Speech::join(&[name])?.transcript()));
        let transcripts = alone.chain(joins.iter().map(|join| Ok(join.transcript()))).collect::<Result<_>>()?;
        let mut sound_s = 0.0;
        for path in &paths {
            let reader = WavReader::open(path)?;
            sound_s += f64::from(reader.duration()) / f64::from(reader.spec().sample_rate);
        }
        Ok(Self { paths, transcripts, sound_s, _joins: joins })
    }

    fn ours(&self, model: &str) -> Result<(f64, Vec<String>)> {
        let folders = Folders::new()?;
        let mut command = tympan(&folders)?;
        command.args(["transcribe", "--json", "--workers", PARALLEL, "--threads", "1", "--model"]);
        let begin = Instant::now();
        let finished = self.run(command.arg(model_file(model)?))?;
        let seconds = begin.elapsed().as_secs_f64();
        folders.assert_clean()?;
        let lines: Vec<Ours> = lines_of(&finished)?;
        ensure!(lines.iter().map(|line| &line.file).eq(&self.paths), "other files than those asked for");
        Ok((seconds, lines.into_iter().map(|line| line.text).collect()))
    }

    fn direct(&self, model: &str) -> Result<(f64, Vec<String>)> {
        let plain = workspace_root().join("target/plain/release/transcriber-worker");
        ensure!(plain.is_file(), "{} is missing: scripts/bench builds it", plain.display());
        let mut command = Command::new(plain);
        command.args(["--role", "direct", "--threads", PARALLEL, "--model"]).arg(model_file(model)?);
        let lines: Vec<Direct> = lines_of(&self.run(&mut command)?)?;
        let seconds = lines.iter().map(|line| line.compute_ms / 1_000.0).sum();
        Ok((seconds, lines.into_iter().map(|line| line.text).collect()))
    }

    fn faster_whisper(&self, model: &str) -> Result<(f64, Vec<String>)> {
        let folder = workspace_root().join("target/faster-whisper");
        let weights = folder.join("models").join(model);
        ensure!(weights.is_dir(), "{} is missing: run scripts/setup-faster-whisper {model}", weights.display());
        let mut command = Command::new(folder.join("bin/python"));
        command.arg(workspace_root().join("tests/benches/peer_faster_whisper.py")).arg(weights).arg(PARALLEL);
        let [said]: [Other; 1] =
            lines_of(&self.run(&mut command)?)?.try_into().map_err(|_| anyhow::anyhow!("more than one line"))?;
        Ok((said.seconds, said.texts))
    }

    /// A command over all files, to its end.
    fn run(&self, command: &mut Command) -> Result<Finished> {
        // Far beyond what any of them takes: base, one thread, on a machine that does something else.
        let finished = run_to_end(command.args(&self.paths), Duration::from_secs_f64(60.0 + 4.0 * self.sound_s))?;
        finished.expect_success()?;
        Ok(finished)
    }

    fn result(&self, runs: &mut Runs) -> Result<Outcome> {
        ensure!(runs.texts.len() == self.paths.len(), "{} texts of {} files", runs.texts.len(), self.paths.len());
        let texts: Vec<&str> = self.transcripts.iter().chain(&runs.texts).map(String::as_str).collect();
        let words = normalise(&texts)?;
        let (said, written) = words.split_at(self.transcripts.len());
        let mut errors = WordErrors::default();
        said.iter().zip(written).for_each(|(said, written)| errors += align(said, written));
        Ok(Outcome { factor: quantile(&mut runs.seconds, 0.5) / self.sound_s, errors })
    }
}

impl Runs {
    fn add(&mut self, (seconds, texts): (f64, Vec<String>)) {
        self.seconds.push(seconds);
        self.texts = texts;
    }
}

/// A model's file, as `tympan model fetch` leaves it.
fn model_file(name: &str) -> Result<PathBuf> {
    let file = cache_home()?.join(format!("tympan/models/ggml-{name}.bin"));
    ensure!(file.is_file(), "{} is missing: run scripts/fetch-model {name}", file.display());
    Ok(file)
}

/// A line of JSON each.
fn lines_of<T: for<'a> Deserialize<'a>>(finished: &Finished) -> Result<Vec<T>> {
    let line = |line: &str| serde_json::from_str(line).with_context(|| format!("no answer: {line:?}"));
    finished.stdout.lines().map(line).collect()
}

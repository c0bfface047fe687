//! One validated read of 480 x 2 in other languages: their own examples, on a ring of this run.

use crate::rows::{Measure, Row};
use crate::stage::{self, BLOCK_FRAMES, CHANNELS, Stage};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const C: Measure = Measure { names: &["read 480x2 in C, p50"], run: |_| c() };
pub(crate) const PYTHON: Measure =
    Measure { names: &["read 480x2 in Python, p50", "read 480x2 in Python, into a new array, p50"], run: |_| python() };
pub(crate) const NODE: Measure = Measure { names: &["read 480x2 in Node, p50"], run: |_| node() };

/// Reads in one example.
const READS: usize = 2_001 * 20;

fn c() -> Result<Vec<Row>> {
    let stage = Stage::new()?;
    let programs = Stage::for_programs()?;
    let program = programs.path().join("bench");
    let made = Command::new("cc")
        .args(["-std=c11", "-O2", "-I"])
        .args([bindings("c"), bindings("c/examples/bench.c"), "-o".into(), program.clone()])
        .stdout(Stdio::null())
        .status()
        .context("no C compiler: install gcc or clang, as cc")?;
    ensure!(made.success(), "the example in C does not build");
    let [read, copy] = p50s(&stage, Command::new(program))?;
    Ok(vec![Row::new(C.names[0], read, "us", 20_001 * 20).against("memcpy", copy)])
}

fn python() -> Result<Vec<Row>> {
    let stage = Stage::new()?;
    let python = std::env::var_os("PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let numpy = Command::new(&python).args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    ensure!(
        numpy.is_ok_and(|status| status.success()),
        "{} has no numpy: scripts/setup-python makes target/python, whose bin/python PYTHON is to name",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(bindings("python/examples/bench.py")).env("PYTHONPATH", bindings("python"));
    // Nothing is left in the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let [read, fresh, copy] = p50s(&stage, command)?;
    Ok([read, fresh]
        .iter()
        .zip(PYTHON.names)
        .map(|(us, name)| Row::new(name, *us, "us", READS).against("numpy's copy", copy))
        .collect())
}

fn node() -> Result<Vec<Row>> {
    let stage = Stage::new()?;
    let there = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    ensure!(there.is_ok(), "no node in PATH: install Node.js");
    let mut command = Command::new("node");
    command.arg(bindings("node/examples/bench.js"));
    let [read, plain] = p50s(&stage, command)?;
    Ok(vec![Row::new(NODE.names[0], read, "us", READS).against("one readSync", plain)])
}

fn bindings(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bindings").join(path)
}

/// Lets an example read a ring of 480 frames of two channels, and takes the medians out of what it prints.
fn p50s<const N: usize>(stage: &Stage, mut example: Command) -> Result<[f64; N]> {
    let mut ring = stage.ring(&stage::spec("bench", 48_000, CHANNELS, 48_000)?)?;
    let block = vec![0.25_f32; BLOCK_FRAMES * CHANNELS];
    (0..10).for_each(|_| ring.write(&block, BLOCK_FRAMES));
    let output = example.arg(ring.path()).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{example:?}: {}", output.status);
    // "p50 0.74 us into an array, 0.87 us into a new one": each number before a unit.
    let words: Vec<&str> = text.split_whitespace().collect();
    let numbers: Vec<f64> = words
        .windows(2)
        .filter(|pair| pair[1].trim_end_matches([';', ',']) == "us")
        .filter_map(|pair| pair[0].parse().ok())
        .collect();
    numbers.as_slice().try_into().with_context(|| format!("{N} medians expected in {text:?}"))
}

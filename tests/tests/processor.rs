//! A program carried to a processor older than the one it was built for: said in words, and no illegal instruction.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use system_tests::*;

/// An emulator, and a processor of it that lacks what each built for in the last ten years has: AVX, or the dot product.
#[cfg(target_arch = "x86_64")]
const OLDER: (&str, &str, &str) = ("qemu-x86_64", "Nehalem", "avx");
#[cfg(target_arch = "aarch64")]
const OLDER: (&str, &str, &str) = ("qemu-aarch64", "cortex-a53", "dotprod");

fn worker_on_older() -> Result<Command> {
    let (emulator, processor, _) = OLDER;
    let mut command = Command::new(emulator);
    command.args(["-cpu", processor]).arg(program("transcriber-worker")?);
    Ok(command)
}

fn check(command: &mut Command) -> Result<(Finished, Value)> {
    let finished = run_to_end(command.args(["--role", "check"]), watchdog(10.0))?;
    let said = serde_json::from_str(&finished.stdout).with_context(|| format!("{finished:?}"))?;
    Ok((finished, said))
}

fn names(said: &Value, field: &str) -> Result<Vec<String>> {
    let names = said[field].as_array().with_context(|| format!("{field} in {said}"))?;
    Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

#[test]
fn here_the_program_fits() -> Result<()> {
    let (finished, said) = check(&mut Command::new(program("transcriber-worker")?))?;
    finished.expect_success()?;
    ensure!(said["ok"] == true && said["reason"].is_null() && names(&said, "missing")?.is_empty(), "{said}");
    // What the tests below take away was used.
    ensure!(names(&said, "built_for")?.iter().any(|name| name == OLDER.2), "{said}");
    // OpenBLAS, if the program has it, is a version and somebody's kernels.
    let of_blas = [&said["blas_version"], &said["blas_kernels"]];
    ensure!(of_blas.iter().all(|field| field.is_string() == (said["blas"] == "openblas")), "{said}");
    Ok(())
}

#[test]
fn on_an_older_processor_the_check_says_what_is_missing() -> Result<()> {
    let (finished, said) = check(&mut worker_on_older()?)?;
    ensure!(finished.code == Some(9), "{finished:?}");
    let (built_for, missing) = (names(&said, "built_for")?, names(&said, "missing")?);
    ensure!(missing.iter().any(|name| name == OLDER.2), "{said}");
    ensure!(missing.iter().all(|name| built_for.contains(name)) && missing.len() < built_for.len(), "{said}");
    let reason = said["reason"].as_str().context("no reason")?;
    ensure!(said["ok"] == false && reason.contains(OLDER.2) && reason.contains("cargo build --release"), "{said}");
    Ok(())
}

#[test]
fn on_an_older_processor_no_model_is_loaded() -> Result<()> {
    let mut command = worker_on_older()?;
    command.args(["--role", "direct", "--model"]).arg(model()?).arg(clip_file(CLIPS[0]));
    let finished = run_to_end(&mut command, watchdog(10.0))?;
    ensure!(finished.code == Some(9) && finished.stdout.is_empty(), "{finished:?}");
    ensure!(finished.stderr.contains("error: this program was built for another processor"), "{finished:?}");
    Ok(())
}

//! numpy and scipy, which compute what ours is held against, here and now.

use crate::workspace_root;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// What a Python program answers to a wish, both as JSON. It finds the wish in `wish` and leaves the answer in `answer`.
///
/// # Errors
/// When Python or a package is missing, or the program fails.
pub fn python(program: &str, wish: &Value) -> Result<Value> {
    let python = workspace_root().join("target/python/bin/python");
    ensure!(python.exists(), "{} is missing: run scripts/setup-python", python.display());
    let program = format!(
        "import json, sys\nimport numpy as np\nfrom scipy import signal\nwish = json.load(sys.stdin)\n{program}\n\
         json.dump(answer, sys.stdout)"
    );
    let mut child = Command::new(python).args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("piped")?.write_all(&serde_json::to_vec(wish)?)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "Python failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The numbers of a list.
///
/// # Errors
/// When it is none, or something in it is no number.
pub fn numbers(value: &Value) -> Result<Vec<f64>> {
    let list = value.as_array().context("a list")?;
    list.iter().map(|number| number.as_f64().context("a number")).collect()
}

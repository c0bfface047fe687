//! What a command costs that only asks: from its start to its end, as a shell would wait for it.

use crate::now_s;
use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Result, ensure};
use std::process::{Command, Stdio};
use system_tests::{Setup, tympan, watchdog};

pub(crate) const STATUS: Measure =
    Measure { names: &["tympan status, start to end, p50", "tympan status, start to end, p95"], run: status };

const STARTS: usize = 200;

/// Turn by turn with a program that does nothing at all.
fn status(plan: &Plan) -> Result<Vec<Row>> {
    let mut instance = Setup::run(&["test:silence"]).start()?;
    instance.wait_ready()?;
    let (mut asking_ms, mut nothing_ms) = (Vec::new(), Vec::new());
    for _ in 0..plan.times(STARTS) {
        asking_ms.push(started_ms(tympan(instance.folders())?.arg("status"))?);
        nothing_ms.push(started_ms(&mut Command::new("true"))?);
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    let n = asking_ms.len();
    let row = |(name, share): (&&str, f64)| {
        let (asking, nothing) = (quantile(&mut asking_ms, share), quantile(&mut nothing_ms, share));
        Row::new(name, asking, "ms", n).against("/bin/true", nothing)
    };
    Ok(STATUS.names.iter().zip([0.5, 0.95]).map(row).collect())
}

fn started_ms(command: &mut Command) -> Result<f64> {
    let begin_s = now_s()?;
    let output = command.stdin(Stdio::null()).output()?;
    let took_ms = (now_s()? - begin_s) * 1_000.0;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(took_ms)
}

//! The end: asked for by Ctrl-C, or forced on the supervisor; until no process is left.

use crate::now_s;
use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Context, Result, ensure};
use system_tests::{Instance, Process, Setup, processes_of, wait_until, watchdog};

pub(crate) const CTRL_C: Measure =
    Measure { names: &["Ctrl-C in mid-sentence to exit, p50", "Ctrl-C in mid-sentence to exit, longest"], run: ctrl_c };
pub(crate) const ORPHANS: Measure = Measure {
    names: &["supervisor killed to the last orphan gone, p50", "supervisor killed to the last orphan gone, longest"],
    run: orphans,
};

const ENDS: usize = 10;
/// What the readme promises.
const CTRL_C_S: f64 = 2.0;
/// How far into the clip the blow falls: somebody is speaking.
const SPOKEN_S: f64 = 2.5;

fn speaking() -> Result<Instance> {
    let instance = Setup::run(&["demo:"]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("demo")?;
    instance.wait_captured(&ring, SPOKEN_S)?;
    Ok(instance)
}

fn rows(names: &[&str], mut times_s: Vec<f64>) -> Vec<Row> {
    let n = times_s.len();
    let quantiles = [0.5, 1.0].map(|q| quantile(&mut times_s, q));
    names.iter().zip(quantiles).map(|(name, s)| Row::new(name, s, "s", n)).collect()
}

fn ctrl_c(plan: &Plan) -> Result<Vec<Row>> {
    let mut times_s = Vec::new();
    for _ in 0..plan.times(ENDS) {
        let mut instance = speaking()?;
        let begin_s = now_s()?;
        instance.interrupt()?;
        instance.wait_exit(watchdog(CTRL_C_S))?;
        times_s.push(now_s()? - begin_s);
        instance.assert_clean()?;
    }
    Ok(rows(CTRL_C.names, times_s).into_iter().map(|row| row.against("promised", CTRL_C_S)).collect())
}

fn orphans(plan: &Plan) -> Result<Vec<Row>> {
    let mut times_s = Vec::new();
    for _ in 0..plan.times(ENDS) {
        let instance = speaking()?;
        let runtime = instance.folders().runtime();
        ensure!(processes_of(&runtime).len() >= 5, "hardly any processes");
        let supervisor = Process::of(instance.pid()).context("the supervisor")?;
        let begin_s = now_s()?;
        ensure!(supervisor.kill(), "it ended by itself");
        wait_until("the end of all orphans", watchdog(2.0), || Ok(processes_of(&runtime).is_empty().then_some(())))?;
        times_s.push(now_s()? - begin_s);
    }
    Ok(rows(ORPHANS.names, times_s))
}

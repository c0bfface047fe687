//! Sixteen devices at once, with all processors busy: whether every frame of each is in its ring.

use crate::rows::{Measure, Plan, Row};
use anyhow::{Result, ensure};
use std::time::Duration;
use system_tests::{Burn, Instance, Setup, watchdog};

pub(crate) const MEASURE: Measure = Measure {
    names: &["16 sources, busy: frames missing of a million", "16 sources, busy: rings behind at the end"],
    run: measure,
};

const SOURCES: usize = 16;
const SECONDS: usize = 60;
/// Silence that gets a ring over its beginning.
const SETTLE: Duration = Duration::from_secs(1);

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let seconds = plan.times(SECONDS);
    let sources: Vec<String> = (1..=SOURCES).map(|n| format!("s{n}=virtual:tone?channels=2&hz={}", 100 * n)).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let mut instance = Setup::run(&sources).start()?;
    instance.wait_ready()?;
    std::thread::sleep(SETTLE);
    let burn = Burn::all_processors();
    let (since, before) = (instance.log().len(), written(&instance)?);
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let after = written(&instance)?;
    let missing = missing_frames(&instance, since)?;
    ensure!(burn.rounds_min() > 0, "the processors were not busy");
    drop(burn);
    instance.interrupt()?;
    instance.wait_exit(watchdog(3.0))?;

    let frames: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
    let wanted = (seconds * 48_000) as f64;
    let behind_ms = frames.iter().map(|&frames| (wanted - frames as f64) / 48.0).fold(f64::MIN, f64::max);
    let delivered: u64 = frames.iter().sum();
    Ok(vec![
        Row::new(MEASURE.names[0], missing as f64 * 1e6 / delivered as f64, "frames", frames.len()),
        Row::new(MEASURE.names[1], behind_ms.max(0.0), "ms", frames.len()).against("a block", 10.0),
    ])
}

/// How far each ring is, the mix too.
fn written(instance: &Instance) -> Result<Vec<u64>> {
    let names = (1..=SOURCES).map(|n| format!("s{n}")).chain(["mix".into()]);
    names.map(|name| Ok(instance.ring(&name)?.commit().0)).collect()
}

/// Frames of all gaps and losses that were told since then.
fn missing_frames(instance: &Instance, since: usize) -> Result<u64> {
    let mut missing = 0;
    for event in instance.log().all()?.iter().skip(since) {
        if event.is("gap") || event.is("lost") {
            let at = |name: &str| event.fields[name].as_u64().unwrap_or(0);
            missing += at("end_frame").saturating_sub(at("start_frame")).max(1);
        }
    }
    Ok(missing)
}

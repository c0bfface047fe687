//! How soon a change of the mixer is in the mix ring: from before its request is written to the control socket.

use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Result, ensure};
use std::time::Duration;
use system_tests::{Chance, Instance, MuteSwitch, Pulse, Setup, watchdog};

/// A tone without a clock of its own: the engine keeps the time.
pub(crate) const OWN_CLOCK: Measure = Measure {
    names: &[
        "mix set to first change, own clock, p50",
        "mix set to first change, own clock, p95",
        "mix set to first change, own clock, worst",
        "mix set to whole change, own clock, p50",
        "mix set to whole change, own clock, p95",
        "mix set to whole change, own clock, worst",
    ],
    run: own_clock,
};
/// A device of a sound server, which the engine's time follows.
pub(crate) const DEVICE: Measure = Measure {
    names: &[
        "mix set to first change, PulseAudio, p50",
        "mix set to first change, PulseAudio, p95",
        "mix set to first change, PulseAudio, worst",
        "mix set to whole change, PulseAudio, p50",
        "mix set to whole change, PulseAudio, p95",
        "mix set to whole change, PulseAudio, worst",
    ],
    run: device,
};

const CHANGES: usize = 100;
const PROMISED_MS: f64 = 20.0;
/// After this much sound the first request comes.
const SETTLE_SECONDS: f64 = 2.0;
/// A pause is at least so long, and at most six times: so requests fall anywhere in a block.
const PAUSE_US: u64 = 20_000;

fn own_clock(plan: &Plan) -> Result<Vec<Row>> {
    rows(&OWN_CLOCK, plan, Setup::run(&["tone=test:tone"]).start()?)
}

fn device(plan: &Plan) -> Result<Vec<Row>> {
    let pulse = Pulse::start()?;
    pulse.load("module-sine", &["sink=vsink", "frequency=440"])?;
    let mut setup = Setup::run(&["tone=device:vmon"]);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let instance = setup.start()?;
    instance.wait_ready()?;
    ensure!(instance.json("status")?["leader"] == "tone", "the device does not lead");
    rows(&DEVICE, plan, instance)
}

fn rows(measure: &Measure, plan: &Plan, mut instance: Instance) -> Result<Vec<Row>> {
    instance.wait_ready()?;
    let mut switch = MuteSwitch::of(&instance, "tone")?;
    instance.wait_captured(&instance.ring("mix")?, SETTLE_SECONDS)?;
    let mut chance = Chance::of(7);
    let changes = plan.times(CHANGES);
    let (mut first_ms, mut whole_ms) = (Vec::new(), Vec::new());
    for _ in 0..changes {
        std::thread::sleep(Duration::from_micros(PAUSE_US + chance.below(5 * PAUSE_US)));
        let change = switch.turn(watchdog(1.0))?;
        first_ms.push(change.first.as_secs_f64() * 1_000.0);
        whole_ms.push(change.whole.as_secs_f64() * 1_000.0);
    }
    instance.interrupt()?;
    // Whether frames of a device were lost on the way is another row's.
    instance.wait_exit(watchdog(3.0))?;
    instance.assert_clean()?;
    let shares = [0.5, 0.95, 1.0];
    let values = [&mut first_ms, &mut whole_ms].into_iter().flat_map(|ms| shares.map(|share| quantile(ms, share)));
    let row = |(name, value): (&&str, f64)| Row::new(name, value, "ms", changes).against("promised", PROMISED_MS);
    Ok(measure.names.iter().zip(values).map(row).collect())
}

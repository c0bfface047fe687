//! SIGKILL, and how long it takes until all is as before.

use crate::now_s;
use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Context, Result, anyhow, bail, ensure};
use shm_layout::{AttachError, Epoch, RingReader, Wait};
use std::process::Command;
use std::time::Duration;
use system_tests::{Instance, Pulse, Setup, model, program, run_to_end, wait_until, watchdog};

pub(crate) const WORKER: Measure = Measure { names: &["worker killed to ready again, p50"], run: worker };
pub(crate) const ENGINE: Measure = Measure {
    names: &["engine killed to sound, virtual: source, p50", "engine killed to sound, PulseAudio source, p50"],
    run: engine,
};
pub(crate) const TOLD: Measure = Measure { names: &["engine killed to its readers told, p50"], run: told };

const KILLS: usize = 10;
/// Kills after which a reader is to be told: it is short, and varies.
const TOLD_KILLS: usize = 40;
/// What the next blow waits for, so that it meets a system at rest.
const REST: Duration = Duration::from_millis(700);

fn row(name: &str, mut waits_s: Vec<f64>) -> Row {
    waits_s.iter_mut().for_each(|wait| *wait *= 1_000.0);
    Row::new(name, quantile(&mut waits_s, 0.5), "ms", waits_s.len())
}

/// Until the supervisor says that its successor is ready.
fn worker(plan: &Plan) -> Result<Vec<Row>> {
    let mut instance = Setup::run(&["test:silence"]).start()?;
    instance.wait_ready()?;
    let mut waits_s = Vec::new();
    for _ in 0..plan.times(KILLS) {
        std::thread::sleep(REST);
        let since = instance.log().len();
        let worker = instance.processes("worker")?.into_iter().next().context("no worker")?;
        let begin_s = now_s()?;
        ensure!(worker.kill(), "the worker ended by itself");
        let ready = instance.log().wait(since, "its successor", watchdog(2.0), |e| e.is_process("worker", "ready"))?;
        waits_s.push(ready.number("emitted_s")? - begin_s);
    }
    end(&mut instance)?;
    Ok(vec![row(WORKER.names[0], waits_s).against("starting and loading the model", loading_ms(plan)?)])
}

/// What a process takes that only loads the model.
fn loading_ms(plan: &Plan) -> Result<f64> {
    let mut times_ms = Vec::new();
    for _ in 0..plan.times(KILLS) {
        let mut command = Command::new(program("transcriber-worker")?);
        command.args(["--role", "direct", "--model"]).arg(model()?);
        let begin_s = now_s()?;
        run_to_end(&mut command, watchdog(2.0))?.expect_success()?;
        times_ms.push((now_s()? - begin_s) * 1_000.0);
    }
    Ok(quantile(&mut times_ms, 0.5))
}

/// Of a source that delivers at once, and of a sound server's, which has to be connected to again.
fn engine(plan: &Plan) -> Result<Vec<Row>> {
    let instance = Setup::run(&["tone=virtual:tone?drift_ppm=50"]).start()?;
    let own = row(ENGINE.names[0], engine_waits_s(plan, instance)?);
    let pulse = Pulse::start()?;
    pulse.load("module-sine-source", &["source_name=sine", "frequency=440"])?;
    let mut setup = Setup::run(&["tone=device:sine"]);
    for (name, value) in pulse.environment()? {
        setup = setup.env(name, value);
    }
    let device = row(ENGINE.names[1], engine_waits_s(plan, setup.start()?)?);
    let own_ms = own.value;
    Ok(vec![own, device.against("virtual: source", own_ms)])
}

/// Until a reader that waits for the next ring has read a sample of it that is not silence.
fn engine_waits_s(plan: &Plan, mut instance: Instance) -> Result<Vec<f64>> {
    instance.wait_ready()?;
    let mut ring = instance.ring("tone")?;
    let mut waits_s = Vec::new();
    for _ in 0..plan.times(KILLS) {
        wait_for_sound(&ring)?;
        std::thread::sleep(REST);
        let engine = instance.processes("engine")?.into_iter().next().context("no engine")?;
        let begin_s = now_s()?;
        ensure!(engine.kill(), "the engine ended by itself");
        ring = ring_after(&instance, ring.info().epoch)?;
        wait_for_sound(&ring)?;
        waits_s.push(now_s()? - begin_s);
    }
    end(&mut instance)?;
    Ok(waits_s)
}

/// Until a reader that waits for frames learns that the writer crashed.
fn told(plan: &Plan) -> Result<Vec<Row>> {
    let mut instance = Setup::run(&["tone=virtual:tone"]).start()?;
    instance.wait_ready()?;
    let mut ring = instance.ring("tone")?;
    let mut waits_s = Vec::new();
    for _ in 0..plan.times(TOLD_KILLS) {
        let reader = std::thread::spawn(move || wait_for_crash(&ring).map(|told_s| (ring.info().epoch, told_s)));
        std::thread::sleep(REST);
        let engine = instance.processes("engine")?.into_iter().next().context("no engine")?;
        ensure!(engine.kill(), "the engine ended by itself");
        let begin_s = now_s()?;
        let (epoch, told_s) = reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        // Who is told before `kill` returns has waited for nothing.
        waits_s.push((told_s - begin_s).max(0.0));
        ring = ring_after(&instance, epoch)?;
    }
    end(&mut instance)?;
    Ok(vec![row(TOLD.names[0], waits_s).against("a bare child killed to its parent told", death_ms(plan)?)])
}

/// Reads along, and returns when it was told.
fn wait_for_crash(ring: &RingReader) -> Result<f64> {
    let mut position = ring.info().first_frame;
    loop {
        match ring.wait(position, watchdog(2.0)) {
            Wait::Ready(commit) => position = commit,
            Wait::Crashed(_) => return now_s(),
            other => bail!("in place of a crash: {other:?}"),
        }
    }
}

/// What the system itself takes to tell a parent that its child was killed.
fn death_ms(plan: &Plan) -> Result<f64> {
    let mut times_ms = Vec::new();
    for _ in 0..plan.times(TOLD_KILLS) {
        let mut child = Command::new("sleep").arg("60").spawn()?;
        std::thread::sleep(Duration::from_millis(20));
        child.kill()?;
        let begin_s = now_s()?;
        child.wait()?;
        times_ms.push((now_s()? - begin_s) * 1_000.0);
    }
    Ok(quantile(&mut times_ms, 0.5))
}

fn ring_after(instance: &Instance, epoch: Epoch) -> Result<RingReader> {
    wait_until("the next ring", watchdog(2.0), || {
        match RingReader::attach_stream(&instance.folders().runtime(), "tone") {
            Ok(ring) => Ok((ring.info().epoch > epoch).then_some(ring)),
            Err(AttachError::Missing(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    })
}

fn wait_for_sound(ring: &RingReader) -> Result<()> {
    let mut position = ring.info().first_frame;
    let mut frame = vec![0.0; ring.info().channels as usize];
    loop {
        let Wait::Ready(commit) = ring.wait(position, watchdog(2.0)) else { bail!("no sound came") };
        while position < commit {
            ring.read(position, &mut frame, 1)?;
            if frame.iter().any(|&sample| sample != 0.0) {
                return Ok(());
            }
            position = position.plus(1);
        }
    }
}

fn end(instance: &mut Instance) -> Result<()> {
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

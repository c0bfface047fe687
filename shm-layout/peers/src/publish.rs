//! What it costs to publish one block into a ring: alone, with readers that are attached, with an overview.

use crate::child::{self, Child};
use crate::rows::{Measure, Plan, Row, quantile};
use crate::stage::{BLOCK_FRAMES, CHANNELS, Copies, Stage, clock_cost, spec, time};
use anyhow::{Context, Result, ensure};
use shm_layout::{FrameIndex, RingReader, RingWriter};
use std::path::Path;
use std::time::Duration;

pub(crate) const PUBLISH: Measure = Measure {
    names: &["ring publish 480x2, nobody waits, p50", "ring publish 480x2, nobody waits, p99"],
    run: publish,
};
pub(crate) const ATTACHED: Measure =
    Measure { names: &["ring publish 480x2, 16 readers attached, p50"], run: attached };
pub(crate) const OVERVIEW: Measure = Measure {
    names: &["ring publish 480x2 with overview, p50", "ring publish 64 x 1920 with overview, p50"],
    run: overview,
};
/// The role of a reader that only holds its ring.
pub(crate) const HOLDER: &str = "hold";

/// Ten seconds: larger than the caches of most machines.
const CAPACITY_FRAMES: usize = 480_000;
const READERS: usize = 16;

fn small(stage: &Stage, stream: &str) -> Result<RingWriter> {
    stage.ring(&spec(stream, 48_000, CHANNELS, CAPACITY_FRAMES)?)
}

fn publish(plan: &Plan) -> Result<Vec<Row>> {
    let blocks = plan.times(50_000);
    let stage = Stage::new()?;
    let mut ring = small(&stage, "bench")?;
    let mut copies = Copies::new(CAPACITY_FRAMES * CHANNELS);
    let block = vec![0.25_f32; BLOCK_FRAMES * CHANNELS];
    let mut work: [&mut dyn FnMut(); 2] = [&mut || ring.write(&block, BLOCK_FRAMES), &mut || copies.copy(&block)];
    let [mut ours, mut plain] = in_turn(blocks, &mut work);
    let written = RingReader::attach_stream(stage.path(), "bench")?.commit();
    ensure!(written.0 == (blocks * BLOCK_FRAMES) as u64, "{written:?} after {blocks} blocks");
    Ok(PUBLISH
        .names
        .iter()
        .zip([0.5, 0.99])
        .map(|(name, part)| {
            Row::new(name, quantile(&mut ours, part), "us", blocks)
                .against("memcpy of the same samples", quantile(&mut plain, part))
        })
        .collect())
}

/// Two rings, one with readers and one without, written in turn. Of the readers a half is stopped where it waits for
/// frames, a quarter where it sleeps, and a quarter sleeps.
fn attached(plan: &Plan) -> Result<Vec<Row>> {
    let blocks = plan.times(50_000);
    let stage = Stage::new()?;
    let (mut alone, mut held) = (small(&stage, "alone")?, small(&stage, "held")?);
    let mut readers = Vec::new();
    for number in 0..READERS {
        let waits = if number % 2 == 0 { "waits" } else { "sleeps" };
        let reader = Child::start(HOLDER, &[held.path().as_os_str(), waits.as_ref()])?;
        if number % 4 == 3 {
            reader.wait_state('S')?;
        } else {
            reader.stop()?;
        }
        readers.push(reader);
    }
    let block = vec![0.25_f32; BLOCK_FRAMES * CHANNELS];
    let mut work: [&mut dyn FnMut(); 2] =
        [&mut || held.write(&block, BLOCK_FRAMES), &mut || alone.write(&block, BLOCK_FRAMES)];
    let [mut with, mut without] = in_turn(blocks, &mut work);
    // They were there all the time.
    for (number, reader) in readers.iter().enumerate() {
        reader.wait_state(if number % 4 == 3 { 'S' } else { 'T' })?;
    }
    let row = Row::new(ATTACHED.names[0], quantile(&mut with, 0.5), "us", blocks);
    Ok(vec![row.against("no reader", quantile(&mut without, 0.5))])
}

/// Holds a ring until it is killed.
pub(crate) fn hold(args: &[String]) -> Result<()> {
    let [ring, how] = args else { anyhow::bail!("hold RING waits|sleeps") };
    let ring = RingReader::attach(Path::new(ring))?;
    // All of it is mapped, not only attached.
    let seen = ring.commit();
    child::ready()?;
    loop {
        if how == "waits" {
            let _ = ring.wait(FrameIndex(u64::MAX - 1), Duration::from_secs(3_600));
        } else {
            std::thread::sleep(Duration::from_secs(3_600));
        }
        ensure!(ring.commit() >= seen, "the ring went back");
    }
}

fn overview(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, rate_hz, channels, frames, blocks) in
        [(OVERVIEW.names[0], 48_000, CHANNELS, BLOCK_FRAMES, 50_000), (OVERVIEW.names[1], 192_000, 64, 1_920, 2_000)]
    {
        let stage = Stage::new()?;
        let capacity_frames = if channels == CHANNELS { CAPACITY_FRAMES } else { 192_000 };
        let plain_spec = spec("plain", rate_hz, channels, capacity_frames)?;
        let mut plain = stage.ring(&plain_spec)?;
        let mut seen = stage.ring(&shm_layout::RingSpec { stream: "overview".into(), overview: true, ..plain_spec })?;
        seen.info().overview.as_ref().context("a ring without an overview")?;
        let block: Vec<f32> = (0..frames * channels).map(|n| ((n % 1_000) as f32 - 500.0) / 500.0).collect();
        let mut work: [&mut dyn FnMut(); 2] = [&mut || seen.write(&block, frames), &mut || plain.write(&block, frames)];
        let blocks = plan.times(blocks);
        let [mut with, mut without] = in_turn(blocks, &mut work);
        rows.push(
            Row::new(name, quantile(&mut with, 0.5), "us", blocks).against("without", quantile(&mut without, 0.5)),
        );
    }
    Ok(rows)
}

/// Microseconds of each work, done in turn: what disturbs one, disturbs all.
fn in_turn<const N: usize>(times: usize, work: &mut [&mut dyn FnMut(); N]) -> [Vec<f64>; N] {
    let clock_ns = clock_cost();
    let mut costs = [(); N].map(|()| Vec::with_capacity(times));
    for _ in 0..times {
        for (work, costs) in work.iter_mut().zip(&mut costs) {
            costs.push((time(&mut **work) - clock_ns) / 1_000.0);
        }
    }
    costs
}

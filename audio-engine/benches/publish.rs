//! What it costs to publish one block into a ring.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, Copies, RATE_HZ, clock_cost, time};
use anyhow::{Result, ensure};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingWriter, SessionId};

pub(crate) const MEASURE: Measure = Measure {
    names: &["ring publish 480x2, nobody waits, p50", "ring publish 480x2, nobody waits, p99"],
    run: measure,
};

/// Ten seconds: larger than the caches of most machines.
const CAPACITY_FRAMES: usize = 480_000;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let blocks = plan.times(50_000);
    let dir = tempfile::tempdir()?;
    let spec = RingSpec {
        stream: "bench".into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels: u32::try_from(CHANNELS)?,
        capacity_frames: CAPACITY_FRAMES as u64,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    let mut ring = RingWriter::create(dir.path(), &spec)?;
    ring.prefaulter().run();
    let block = vec![0.25_f32; BLOCK_FRAMES * CHANNELS];
    let mut copies = Copies::new(block.clone(), CAPACITY_FRAMES * CHANNELS);
    let clock_ns = clock_cost();
    let (mut ours, mut plain) = (Vec::with_capacity(blocks), Vec::with_capacity(blocks));
    for _ in 0..blocks {
        ours.push((time(|| ring.write(&block, BLOCK_FRAMES)) - clock_ns) / 1_000.0);
        plain.push((copies.time() - clock_ns) / 1_000.0);
    }
    let written = RingReader::attach_stream(dir.path(), "bench")?.commit();
    ensure!(written.0 == (blocks * BLOCK_FRAMES) as u64, "{written:?} after {blocks} blocks");
    Ok(MEASURE
        .names
        .iter()
        .zip([0.5, 0.99])
        .map(|(name, part)| {
            Row::new(name, quantile(&mut ours, part), "us", blocks)
                .against("memcpy of the same samples", quantile(&mut plain, part))
        })
        .collect())
}

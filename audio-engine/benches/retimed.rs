//! What a device costs the tick whose clock is not the engine's, beside the resampler alone.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, PERIOD_NS, RATE_HZ, clock_cost, time};
use anyhow::{Result, ensure};
use audio_dsp::{Quality, VariableResampler};
use audio_engine::lane::Lane;
use audio_engine::queue::{Health, queue};
use audio_engine::tempo::Due;
use std::sync::Arc;

pub(crate) const MEASURE: Measure = Measure {
    names: &[
        "resampled block 480x2, fast, p50",
        "resampled block 480x2, normal, p50",
        "resampled block 480x2, best, p50",
    ],
    run: measure,
};

const BLOCK_NS: u64 = 10_000_000;
const BEGIN_NS: u64 = 1_000_000_000_000;
/// Until the clock is known.
const WARM_UP: usize = 1_000;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let qualities = [Quality::Fast, Quality::Normal, Quality::Best];
    MEASURE.names.iter().zip(qualities).map(|(name, quality)| cost_of(name, quality, plan.times(20_000))).collect()
}

fn cost_of(name: &str, quality: Quality, blocks: usize) -> Result<Row> {
    let (mut inlet, outlet) = queue(CHANNELS, 48_000, &Arc::new(Health::default()));
    let mut lane = Lane::retimed(outlet, (RATE_HZ, RATE_HZ), BLOCK_FRAMES, 480, quality)?;
    let mut alone = VariableResampler::new(RATE_HZ, RATE_HZ, CHANNELS, BLOCK_FRAMES, quality)?;
    alone.set_correction_ppm(100.0);
    let input = vec![0.25; CHANNELS * alone.input_frames_max()];
    let mut out = vec![0.0; CHANNELS * BLOCK_FRAMES];
    let (mut ours, mut plain) = (Vec::with_capacity(blocks), Vec::with_capacity(blocks));
    let clock_ns = clock_cost();
    for block in 0..(WARM_UP + blocks) as u64 {
        let at_ns = BEGIN_NS + block * BLOCK_NS;
        inlet.push_at(at_ns, BLOCK_FRAMES, std::iter::repeat_n(0.25, CHANNELS * BLOCK_FRAMES));
        let due = Due { at_ns, late_ns: 0, ppm: 0.0 };
        let ours_ns = time(|| {
            lane.set_due(due);
            lane.fill(false, |_| {});
        });
        let frames = alone.needed_input_frames(BLOCK_FRAMES);
        let plain_ns = time(|| alone.process(&input[..CHANNELS * frames], frames, &mut out, BLOCK_FRAMES));
        if block >= WARM_UP as u64 {
            ensure!(lane.gaps().is_empty(), "{name}: a gap in block {block}");
            ours.push(ours_ns - clock_ns);
            plain.push(plain_ns - clock_ns);
        }
    }
    let share = |ns: f64| ns / PERIOD_NS * 100.0;
    Ok(Row::new(name, share(quantile(&mut ours, 0.5)), "% of a block", blocks)
        .against("the resampler alone", share(quantile(&mut plain, 0.5))))
}

//! What a device costs the tick whose clock is not the engine's, beside rubato's own call.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, PERIOD_NS, RATE_HZ, clock_cost, time};
use anyhow::{Result, ensure};
use audio_dsp::{Quality, VariableResampler};
use audio_engine::lane::Lane;
use audio_engine::queue::{Health, queue};
use audio_engine::tempo::Due;
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};
use std::sync::Arc;

pub(crate) const MEASURE: Measure = Measure {
    names: &[
        "resampled block, mono, fast, p50",
        "resampled block, mono, normal, p50",
        "resampled block, mono, best, p50",
        "resampled block, stereo, fast, p50",
        "resampled block, stereo, normal, p50",
        "resampled block, stereo, best, p50",
    ],
    run: measure,
};

const BLOCK_NS: u64 = 10_000_000;
const BEGIN_NS: u64 = 1_000_000_000_000;
/// How much faster the source is that rubato resamples.
const BARE_PPM: f64 = 100.0;
/// Until the clock is known.
const WARM_UP: usize = 1_000;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let qualities = [Quality::Fast, Quality::Normal, Quality::Best];
    let cases = [1, 2].into_iter().flat_map(|channels| qualities.map(|quality| (channels, quality)));
    let cost = |(name, (channels, quality)): (&&str, _)| cost_of(name, channels, quality, plan.times(20_000));
    MEASURE.names.iter().zip(cases).map(cost).collect()
}

/// rubato's resampler, set as ours is.
struct Bare {
    inner: Async<f32>,
    channels: usize,
    input: Vec<f32>,
    out: Vec<f32>,
}

impl Bare {
    fn new(channels: usize, quality: Quality) -> Result<Self> {
        let (taps, phases, interpolation) = match quality {
            Quality::Fast => (64, 512, SincInterpolationType::Linear),
            Quality::Normal => (128, 256, SincInterpolationType::Quadratic),
            Quality::Best => (256, 256, SincInterpolationType::Cubic),
        };
        let parameters = SincInterpolationParameters::new(taps, WindowFunction::BlackmanHarris2)
            .oversampling_factor(phases)
            .interpolation(interpolation);
        let mut inner = Async::new_sinc(1.0, 1.01, &parameters, BLOCK_FRAMES, channels, FixedAsync::Output)?;
        inner.set_resample_ratio(1.0 / (1.0 + 1e-6 * BARE_PPM), true)?;
        let input = (0..channels * inner.input_frames_max()).map(|n| (n as f32 * 0.1).sin()).collect();
        let mut bare = Self { inner, channels, input, out: vec![0.0; channels * BLOCK_FRAMES] };
        bare.ensure_ours(quality)?;
        Ok(bare)
    }

    /// One block.
    fn process(&mut self) -> Result<()> {
        let frames = self.inner.input_frames_next();
        let input = SequentialSlice::new(&self.input[..self.channels * frames], self.channels, frames)?;
        let mut out = SequentialSlice::new_mut(&mut self.out, self.channels, BLOCK_FRAMES)?;
        self.inner.process_into_buffer(&input, &mut out, None)?;
        Ok(())
    }

    /// Ours does the same: bit by bit.
    fn ensure_ours(&mut self, quality: Quality) -> Result<()> {
        let mut ours = VariableResampler::new(RATE_HZ, RATE_HZ, self.channels, BLOCK_FRAMES, quality)?;
        ours.set_correction_ppm(BARE_PPM);
        let mut out = vec![0.0; self.channels * BLOCK_FRAMES];
        for block in 0..10 {
            let frames = ours.needed_input_frames(BLOCK_FRAMES);
            ensure!(frames == self.inner.input_frames_next(), "{quality:?}: other sizes in block {block}");
            ours.process(&self.input[..self.channels * frames], frames, &mut out, BLOCK_FRAMES);
            self.process()?;
            ensure!(out == self.out, "{quality:?}: block {block} is another one");
        }
        Ok(())
    }
}

fn cost_of(name: &str, channels: usize, quality: Quality, blocks: usize) -> Result<Row> {
    let (mut inlet, outlet) = queue(channels, 48_000, &Arc::new(Health::default()));
    let mut lane = Lane::retimed(outlet, (RATE_HZ, RATE_HZ), BLOCK_FRAMES, 480, quality)?;
    let mut bare = Bare::new(channels, quality)?;
    let (mut ours, mut plain) = (Vec::with_capacity(blocks), Vec::with_capacity(blocks));
    let clock_ns = clock_cost();
    for block in 0..(WARM_UP + blocks) as u64 {
        let at_ns = BEGIN_NS + block * BLOCK_NS;
        inlet.push_at(at_ns, BLOCK_FRAMES, std::iter::repeat_n(0.25, channels * BLOCK_FRAMES));
        let due = Due { at_ns, late_ns: 0, ppm: 0.0 };
        let ours_ns = time(|| {
            lane.set_due(due);
            lane.fill(false, |_| {});
        });
        let mut done = Ok(());
        let plain_ns = time(|| done = bare.process());
        done?;
        if block >= WARM_UP as u64 {
            ensure!(lane.gaps().is_empty(), "{name}: a gap in block {block}");
            ours.push(ours_ns - clock_ns);
            plain.push(plain_ns - clock_ns);
        }
    }
    let share = |ns: f64| ns / PERIOD_NS * 100.0;
    Ok(Row::new(name, share(quantile(&mut ours, 0.5)), "% of a block", blocks)
        .against("rubato's own call", share(quantile(&mut plain, 0.5))))
}

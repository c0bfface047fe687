//! What one device callback costs, called again and again: the code with warm caches.

#![expect(unsafe_code, reason = "samples by raw pointer, as a device gives them")]

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, Copies, PERIOD_NS, RATE_HZ, clock_cost, time};
use anyhow::{Result, ensure};
use audio_engine::capture::Capture;
use audio_engine::queue::{Health, Run, queue};
use cpal::{Data, InputCallbackInfo, InputStreamTimestamp, SizedSample, StreamInstant};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) const MEASURE: Measure =
    Measure { names: &["callback f32 p50", "callback f32 p99", "callback i16 p50", "callback i16 p99"], run: measure };

/// Two seconds, as the queue of a device has.
const QUEUE_FRAMES: usize = 96_000;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let periods = plan.times(100_000);
    let mut rows = cost_of("callback f32", vec![0.25_f32; BLOCK_FRAMES * CHANNELS], periods)?;
    rows.extend(cost_of("callback i16", vec![8_192_i16; BLOCK_FRAMES * CHANNELS], periods)?);
    Ok(rows)
}

fn cost_of<T: SizedSample>(name: &str, mut samples: Vec<T>, periods: usize) -> Result<Vec<Row>> {
    let health = Arc::new(Health::default());
    let (inlet, mut outlet) = queue(CHANNELS, QUEUE_FRAMES, &health);
    let mut capture = Capture::new(inlet, RATE_HZ);
    let mut copies = Copies::new(samples.clone(), QUEUE_FRAMES * CHANNELS);
    let mut planar = vec![0.0; BLOCK_FRAMES * CHANNELS];
    let (mut ours, mut plain) = (Vec::with_capacity(periods), Vec::with_capacity(periods));
    let clock_ns = clock_cost();
    // The first lap through the queue takes page faults; `latency.rs` shows them.
    let warm_up = QUEUE_FRAMES / BLOCK_FRAMES;
    for period in 0..warm_up + periods {
        let instant = StreamInstant::from_nanos(period as u64 * 10_000_000);
        let info = InputCallbackInfo::new(InputStreamTimestamp { callback: instant, capture: instant });
        // SAFETY: `samples` holds this many initialised values of `T`, whose format is `T::FORMAT`, and is borrowed
        // by nobody else while `data` lives.
        let data = unsafe { Data::from_parts(samples.as_mut_ptr().cast(), samples.len(), T::FORMAT) };
        let costs = (time(|| capture.on_period(&data, &info)) - clock_ns, copies.time() - clock_ns);
        if period >= warm_up {
            ours.push(costs.0);
            plain.push(costs.1);
        }
        outlet.refresh();
        let run = outlet.take(&mut planar, BLOCK_FRAMES, 0, BLOCK_FRAMES);
        ensure!(run == Run::Sound(BLOCK_FRAMES), "{name}: {run:?} came out of the queue");
    }
    ensure!(health.overrun_frames.load(Ordering::Relaxed) == 0, "{name}: the queue ran full");
    let share = |ns: f64| ns / PERIOD_NS * 100.0;
    Ok([(0.5, "p50"), (0.99, "p99")]
        .map(|(part, label)| {
            Row::new(&format!("{name} {label}"), share(quantile(&mut ours, part)), "% of a period", periods)
                .against("memcpy of the same bytes", share(quantile(&mut plain, part)))
        })
        .into())
}

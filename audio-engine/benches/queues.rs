//! What a callback may have to wait for: the queue of the engine beside a `VecDeque` in a lock, with all processors busy.
//!
//! Both in turn, with threads as the engine has them: the callback's and the tick's with real-time priority where that is
//! granted. The tick takes a block at a time, and is interrupted where it likes.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, PERIOD_NS, clock_cost, time};
use anyhow::{Result, ensure};
use audio_engine::queue::{Health, Run, queue};
use audio_engine::rt::{PRIORITY_CALLBACK, PRIORITY_TICK, now_ns, promote, sleep_until};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const MEASURE: Measure =
    Measure { names: &["callback with busy processors, p99", "callback with busy processors, worst"], run: measure };

const SAMPLES: usize = CHANNELS * BLOCK_FRAMES;
/// Periods follow one another ten times as fast as a device's, to meet more often.
const EVERY_NS: u64 = 1_000_000;
/// Rounds of each, in turn.
const ROUNDS: usize = 5;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let periods = plan.times(4_000);
    let (mut ours, mut locked) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.extend(run(periods, through_queue())?);
        locked.extend(run(periods, through_lock())?);
    }
    let share = |ns: f64| ns / PERIOD_NS * 100.0;
    let n = ours.len();
    Ok([0.99, 1.0]
        .iter()
        .zip(MEASURE.names)
        .map(|(&part, name)| {
            Row::new(name, share(quantile(&mut ours, part)), "% of a period", n)
                .against("Mutex<VecDeque>", share(quantile(&mut locked, part)))
        })
        .collect())
}

/// What a callback does with a period, and what a tick does for a block: whether there was one.
type Ends = (Box<dyn FnMut(&[f32]) + Send>, Box<dyn FnMut(&mut [f32]) -> bool + Send>);

fn through_queue() -> Ends {
    let (mut inlet, mut outlet) = queue(CHANNELS, 96_000, &Arc::new(Health::default()));
    let take = move |planar: &mut [f32]| {
        outlet.refresh();
        outlet.ready() >= BLOCK_FRAMES as u64
            && outlet.take(planar, BLOCK_FRAMES, 0, BLOCK_FRAMES) == Run::Sound(BLOCK_FRAMES)
    };
    (Box::new(move |period| inlet.push(BLOCK_FRAMES, period.iter().copied())), Box::new(take))
}

fn through_lock() -> Ends {
    let here = Arc::new(Mutex::new(VecDeque::with_capacity(CHANNELS * 96_000)));
    let there = Arc::clone(&here);
    let take = move |planar: &mut [f32]| {
        let mut queue = there.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = queue.len() >= SAMPLES;
        if is_there {
            for (at, sample) in queue.drain(..SAMPLES).enumerate() {
                planar[at % CHANNELS * BLOCK_FRAMES + at / CHANNELS] = sample;
            }
        }
        is_there
    };
    (Box::new(move |period| here.lock().unwrap_or_else(PoisonError::into_inner).extend(period)), Box::new(take))
}

/// Nanoseconds of each callback.
fn run(periods: usize, (mut give, mut take): Ends) -> Result<Vec<f64>> {
    let over = AtomicBool::new(false);
    let period = vec![0.25_f32; SAMPLES];
    let clock_ns = clock_cost();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    black_box((0..100_000_u64).fold(1_u64, |x, n| black_box(x.wrapping_mul(31) ^ n)));
                }
            });
        }
        let tick = scope.spawn(|| {
            promote(PRIORITY_TICK);
            let (mut planar, mut blocks) = (vec![0.0; SAMPLES], 0);
            let mut due_ns = now_ns();
            while !over.load(Ordering::Relaxed) {
                due_ns += EVERY_NS;
                sleep_until(due_ns);
                while take(&mut planar) {
                    blocks += 1;
                }
            }
            while take(&mut planar) {
                blocks += 1;
            }
            blocks
        });
        let callback = scope.spawn(|| {
            promote(PRIORITY_CALLBACK);
            let mut due_ns = now_ns();
            let costs: Vec<f64> = (0..periods)
                .map(|_| {
                    due_ns += EVERY_NS;
                    sleep_until(due_ns);
                    time(|| give(&period)) - clock_ns
                })
                .collect();
            over.store(true, Ordering::Relaxed);
            costs
        });
        let costs = callback.join().map_err(|_| anyhow::anyhow!("the callback panicked"))?;
        let blocks = tick.join().map_err(|_| anyhow::anyhow!("the tick panicked"))?;
        ensure!(blocks == periods, "{blocks} of {periods} periods came through");
        Ok(costs)
    })
}

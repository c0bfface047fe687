//! Capture to ring: from the end of the callback that delivered a period until a waiting reader has woken up and can
//! read the period's last frame.
//!
//! Everything between is the engine's own: the callback, its queue, the tick on its thread, the ring. The device is
//! virtual and sends its frames' numbers, by which the reader knows which period it sees. A real device leads the clock,
//! so that ticks lie a cushion behind its callbacks. A signal has no clock: where its periods lie between two ticks is
//! chance, so there are many starts.

use crate::device::{Delivery, Engine, Kind, QUEUE_FRAMES, STREAM, WATCHDOG};
use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, PERIOD_NS};
use anyhow::{Context, Result, bail, ensure};
use audio_dsp::decode_count;
use audio_engine::rt::now_ns;
use shm_layout::{RingReader, Wait};
use std::path::Path;

pub(crate) const MEASURE: Measure = Measure {
    names: &[
        "capture to ring, no cushion, p50",
        "capture to ring, no cushion, p99",
        "capture to ring, as a real device, p50",
        "capture to ring, as a real device, p99",
        "callback f32 in real time, first 2 s, p50",
        "callback f32 in real time, first 2 s, p99",
        "callback f32 in real time, later, p50",
        "callback f32 in real time, later, p99",
    ],
    run: measure,
};

const PERIODS_A_START: usize = 450;

/// What a reader saw when it woke up.
struct Sight {
    /// One past the number of the newest frame.
    end: u64,
    at_ns: u64,
}

/// Callbacks and copies, as a share of a period.
#[derive(Default)]
struct Costs {
    callback: Vec<f64>,
    memcpy: Vec<f64>,
}

#[derive(Default)]
struct Sums {
    latency_ms: Vec<f64>,
    /// In the first lap through the queue, and after it.
    costs: [Costs; 2],
}

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut sums = Sums::default();
    for (leads, kind) in [(false, "no cushion"), (true, "as a real device")] {
        for _ in 0..plan.times(6) {
            let mut engine =
                Engine::start(Kind { period_frames: BLOCK_FRAMES, leads, cushion_ms: None, late_ms: 0.0 })?;
            let sights = engine.run(watch)?;
            add_up(&engine.end()?, &sights, &mut sums)?;
        }
        let mut latency_ms = std::mem::take(&mut sums.latency_ms);
        for (part, label) in [(0.5, "p50"), (0.99, "p99")] {
            let name = format!("capture to ring, {kind}, {label}");
            let n = latency_ms.len();
            rows.push(Row::new(&name, quantile(&mut latency_ms, part), "ms", n).against("a block", 10.0));
        }
    }
    for (Costs { callback, memcpy }, when) in sums.costs.iter_mut().zip(["first 2 s", "later"]) {
        for (part, label) in [(0.5, "p50"), (0.99, "p99")] {
            let name = format!("callback f32 in real time, {when}, {label}");
            let row = Row::new(&name, quantile(callback, part), "% of a period", callback.len());
            rows.push(row.against("memcpy of the same bytes, right after it", quantile(memcpy, part)));
        }
    }
    Ok(rows)
}

/// Waits for every block as any reader does, and notes when it woke up to which frame.
fn watch(dir: &Path) -> Result<Vec<Sight>> {
    let ring = RingReader::attach_stream(dir, STREAM)?;
    let mut sights = Vec::with_capacity(PERIODS_A_START);
    let mut frame = vec![0.0; CHANNELS];
    let mut position = ring.commit();
    while sights.len() < PERIODS_A_START {
        let Wait::Ready(commit) = ring.wait(position, WATCHDOG) else { bail!("watchdog: no block came") };
        let at_ns = now_ns();
        position = commit;
        ring.read(commit.back(1), &mut frame, 1)?;
        if ring.gaps(commit.back(1), commit).is_empty() {
            let number = decode_count(frame[0]).context("a frame without a number")?;
            sights.push(Sight { end: u64::from(number) + 1, at_ns });
        }
    }
    Ok(sights)
}

/// Every period between the first and the last sight, with the first sight of its last frame.
fn add_up(delivered: &[Delivery], sights: &[Sight], sums: &mut Sums) -> Result<()> {
    let (first, last) = (sights.first().context("no sights")?.end, sights.last().context("no sights")?.end);
    let before = sums.latency_ms.len();
    for period in delivered.iter().filter(|period| first < period.end && period.end <= last) {
        let sight = sights.iter().find(|sight| sight.end >= period.end).context("not seen")?;
        let waited_ns = sight.at_ns.checked_sub(period.at_ns).context("seen before it was delivered")?;
        sums.latency_ms.push(waited_ns as f64 / 1e6);
    }
    for period in delivered {
        let costs = &mut sums.costs[usize::from(period.end > QUEUE_FRAMES as u64)];
        costs.callback.push((period.at_ns - period.begin_ns) as f64 / PERIOD_NS * 100.0);
        costs.memcpy.push(period.memcpy_ns / PERIOD_NS * 100.0);
    }
    ensure!(sums.latency_ms.len() > before + PERIODS_A_START / 2, "hardly a period was seen");
    Ok(())
}

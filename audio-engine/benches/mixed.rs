//! Capture to mix ring, with a device that leads the clock: from when a frame was captured, and a period later, until a
//! waiting reader of the mix has woken up and can read it.
//!
//! A device gives a period when its last frame is captured, so the first one is a period old by then: that is the
//! device's part, and taken off. The rest is the engine's: the cushion, the block that is filled (at the time when the
//! period is, where both are as long), and the 5 ms that the limiter looks ahead. From its callback, the other figure,
//! a frame near a period's end is on its way for longer, as it was captured later.

use crate::device::{Delivery, Engine, Kind, STREAM, WATCHDOG};
use crate::rows::{Measure, Plan, Row, quantile};
use crate::{CHANNELS, RATE_HZ};
use anyhow::{Context, Result, bail, ensure};
use audio_dsp::decode_count;
use audio_engine::rt::now_ns;
use shm_layout::{FrameIndex, RingReader, Wait};
use std::path::Path;

pub(crate) const MEASURE: Measure = Measure {
    names: &[
        "capture to mix ring, periods of 480, p50",
        "capture to mix ring, periods of 480, p95",
        "capture to mix ring, periods of 480, from the callback, p50",
        "capture to mix ring, periods of 480, from the callback, p95",
        "capture to mix ring, periods of 441, p50",
        "capture to mix ring, periods of 441, p95",
        "capture to mix ring, periods of 1024, p50",
        "capture to mix ring, periods of 1024, p95",
        "capture to mix ring, callbacks 8 ms late, cushion 3 ms, p95",
        "capture to mix ring, callbacks 8 ms late, cushion 3 ms, silent",
        "capture to mix ring, callbacks 8 ms late, cushion 10 ms, p95",
        "capture to mix ring, callbacks 8 ms late, cushion 10 ms, silent",
    ],
    run: measure,
};

const BLOCKS_A_START: usize = 400;
const BLOCK_MS: f64 = 10.0;

/// What a reader of the mix saw.
struct Seen {
    /// The number of a frame that was captured, and its index.
    number: u64,
    index: FrameIndex,
    /// One past the newest frame of the mix, and when that could be read.
    sights: Vec<(FrameIndex, u64)>,
    /// Frames of the device's ring that are gaps.
    gap_frames: u64,
}

#[derive(Default)]
struct Sums {
    after_period_ms: Vec<f64>,
    after_callback_ms: Vec<f64>,
    gap_frames: u64,
    frames: u64,
}

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut row = |name: String, values: &mut Vec<f64>, part: f64| {
        let n = values.len();
        rows.push(Row::new(&name, quantile(values, part), "ms", n).against("a block", BLOCK_MS));
    };
    for period_frames in [480, 441, 1_024] {
        let kind = Kind { period_frames, leads: true, cushion_ms: None, late_ms: 0.0 };
        let mut sums = several(kind, plan.times(5))?;
        let name = format!("capture to mix ring, periods of {period_frames}");
        row(format!("{name}, p50"), &mut sums.after_period_ms, 0.5);
        row(format!("{name}, p95"), &mut sums.after_period_ms, 0.95);
        if period_frames == 480 {
            row(format!("{name}, from the callback, p50"), &mut sums.after_callback_ms, 0.5);
            row(format!("{name}, from the callback, p95"), &mut sums.after_callback_ms, 0.95);
        }
    }
    for cushion_ms in [3, 10] {
        let kind = Kind { period_frames: 480, leads: true, cushion_ms: Some(cushion_ms), late_ms: 8.0 };
        let mut sums = several(kind, plan.times(5))?;
        let name = format!("capture to mix ring, callbacks 8 ms late, cushion {cushion_ms} ms");
        let n = sums.after_period_ms.len();
        let p95 = Row::new(&format!("{name}, p95"), quantile(&mut sums.after_period_ms, 0.95), "ms", n);
        let silent = 100.0 * sums.gap_frames as f64 / sums.frames as f64;
        rows.extend([
            p95.against("a block", BLOCK_MS),
            Row::new(&format!("{name}, silent"), silent, "% of the time", usize::try_from(sums.frames)?),
        ]);
    }
    Ok(rows)
}

fn several(kind: Kind, starts: usize) -> Result<Sums> {
    let mut sums = Sums::default();
    for _ in 0..starts {
        let mut engine = Engine::start(kind)?;
        let seen = engine.run(watch)?;
        add_up(kind, &engine.end()?, &seen, &mut sums)?;
    }
    Ok(sums)
}

/// Waits for every block of the mix as any reader does.
fn watch(dir: &Path) -> Result<Seen> {
    let (ring, mix) = (RingReader::attach_stream(dir, STREAM)?, RingReader::attach_stream(dir, "mix")?);
    let (mut sights, mut position) = (Vec::with_capacity(BLOCKS_A_START), mix.commit());
    while sights.len() < BLOCKS_A_START {
        let Wait::Ready(commit) = mix.wait(position, WATCHDOG) else { bail!("watchdog: no block came") };
        sights.push((commit, now_ns()));
        position = commit;
    }
    let index = ring.commit().back(1);
    let mut frame = vec![0.0; CHANNELS];
    ring.read(index, &mut frame, 1)?;
    let number = u64::from(decode_count(frame[0]).context("a frame without a number")?);
    Ok(Seen { number, index, sights, gap_frames: ring.gap_frames() })
}

/// Every frame from the second half of a start: what grows in the beginning has grown then.
fn add_up(kind: Kind, delivered: &[Delivery], seen: &Seen, sums: &mut Sums) -> Result<()> {
    let period = kind.period_frames as u64;
    for pair in seen.sights[seen.sights.len() / 2..].windows(2) {
        let [(from, _), (to, at_ns)] = pair else { continue };
        for index in from.0..to.0 {
            let number = (seen.number + index).checked_sub(seen.index.0).context("a frame before the first")?;
            let place = usize::try_from(number / period)?;
            let delivery = delivered.get(place).context("a frame that was never delivered")?;
            ensure!(delivery.end == (place as u64 + 1) * period, "{delivery:?} is not the callback of frame {number}");
            let ms = |since_ns: u64| (*at_ns as f64 - since_ns as f64) / 1e6;
            let in_period_ms = (number % period) as f64 * 1e3 / f64::from(RATE_HZ);
            sums.after_period_ms.push(ms(delivery.due_ns) - in_period_ms);
            sums.after_callback_ms.push(ms(delivery.begin_ns));
        }
    }
    sums.gap_frames += seen.gap_frames;
    sums.frames += seen.sights.last().context("no sights")?.0.since(seen.sights[0].0);
    Ok(())
}

//! Capture to ring: from the end of the callback that delivered a period until a waiting reader has woken up and can
//! read the period's last frame.
//!
//! Everything between is the engine's own: the callback, its queue, the tick on its thread, the ring. The device is
//! virtual and sends its frames' numbers, by which the reader knows which period it sees. Where a device's periods lie
//! between two ticks is chance, so there are many starts. A real device has a cushion against its jitter in the queue,
//! a virtual one has none.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, Copies, PERIOD_NS, RATE_HZ};
use anyhow::{Context, Result, bail, ensure};
use audio_dsp::decode_count;
use audio_engine::capture::Capture;
use audio_engine::desk::Desk;
use audio_engine::entrant::{Entrant, Lineage};
use audio_engine::pace::Orders;
use audio_engine::queue::{Health, queue};
use audio_engine::rt::now_ns;
use audio_engine::running::Running;
use audio_engine::source::OpenSource;
use audio_engine::uri::SourceUri;
use audio_engine::virtual_device::VirtualDevice;
use audio_engine::vitals::Vitals;
use control_protocol::{BoardPlace, ClockKind, EngineConfig, Resampling, StreamName};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, StreamConfig};
use rtrb::{Producer, RingBuffer};
use shm_layout::{Epoch, FrameIndex, RingReader, SessionId, Wait};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

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
/// The queue's length: its first lap touches memory that nobody has touched before.
const QUEUE_FRAMES: usize = 2 * RATE_HZ as usize;
const WATCHDOG: Duration = Duration::from_secs(20);

/// A period, as its callback saw it.
#[derive(Debug, Clone, Copy)]
struct Delivery {
    /// One past the number of its last frame.
    end: u64,
    at_ns: u64,
    cost_ns: u64,
    memcpy_ns: f64,
}

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
    for (cushioned, kind) in [(false, "no cushion"), (true, "as a real device")] {
        for _ in 0..plan.times(6) {
            one_start(cushioned, &mut sums)?;
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

fn one_start(cushioned: bool, sums: &mut Sums) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = EngineConfig {
        runtime_dir: dir.path().to_str().context("a path in Unicode")?.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        first_frame: FrameIndex(0),
        first_frame_ns: now_ns(),
        sample_rate_hz: RATE_HZ,
        block_frames: u32::try_from(BLOCK_FRAMES)?,
        history_ms: 10_000,
        clock: ClockKind::Monotonic,
        board: BoardPlace::default(),
    };
    let (told, mut deliveries) = RingBuffer::new(100 * PERIODS_A_START);
    let (stream, open) = device(told, cushioned)?;
    let (name, lineage) = (StreamName::new("bench")?, Lineage::of(&config));
    let mut entrant = Entrant::new(name, lineage, open, &config, Resampling::Normal).map_err(anyhow::Error::msg)?;
    let begin = Instant::now();
    while !entrant.may_begin(Duration::ZERO, true) {
        ensure!(begin.elapsed() < WATCHDOG, "watchdog: the device delivers nothing");
        std::thread::sleep(Duration::from_millis(2));
    }
    let vitals = Vitals::default();
    let mut desk = Desk::default();
    let mut running =
        Running::start(&config, lineage, vec![entrant], &desk, Arc::<Orders>::default(), &vitals, &|_| {})
            .map_err(anyhow::Error::msg)?;
    let sights = std::thread::scope(|scope| {
        let reader = scope.spawn(|| watch(dir.path()));
        while !reader.is_finished() {
            running.look(&mut desk, &vitals, &|_| {});
            std::thread::sleep(Duration::from_millis(20));
        }
        reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?
    });
    drop(stream);
    running.close();
    let begin = Instant::now();
    while !running.is_over() {
        ensure!(begin.elapsed() < WATCHDOG, "watchdog: the tick does not end");
        running.look(&mut desk, &vitals, &|_| {});
        std::thread::sleep(Duration::from_millis(1));
    }
    let delivered: Vec<Delivery> = std::iter::from_fn(|| deliveries.pop().ok()).collect();
    add_up(&delivered, &sights?, sums)
}

/// A virtual device whose real callback is timed, as a source for the engine.
fn device(mut told: Producer<Delivery>, cushioned: bool) -> Result<(cpal::Stream, OpenSource)> {
    let SourceUri::Virtual(spec) = "virtual:count?channels=2&format=f32".parse()? else {
        bail!("virtual: is no virtual device");
    };
    let config = StreamConfig {
        channels: u16::try_from(spec.channels)?,
        sample_rate: RATE_HZ,
        buffer_size: BufferSize::Fixed(spec.period_frames),
    };
    ensure!(spec.period_frames as usize == BLOCK_FRAMES && spec.channels as usize == CHANNELS, "{spec:?}");
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(CHANNELS, QUEUE_FRAMES, &health);
    let mut capture = Capture::new(inlet, RATE_HZ);
    // As large as the queue, so that both find their place equally cold.
    let mut copies = Copies::new(vec![0.25_f32; BLOCK_FRAMES * CHANNELS], QUEUE_FRAMES * CHANNELS);
    let mut end = 0;
    let format = spec.format;
    let device = cpal::platform::CustomDevice::from_device(VirtualDevice::new(spec, RATE_HZ, 0));
    let stream = cpal::Device::from(device).build_input_stream_raw(
        config,
        format,
        move |period, info| {
            let begin_ns = now_ns();
            capture.on_period(period, info);
            let at_ns = now_ns();
            end += (period.len() / CHANNELS) as u64;
            let memcpy_ns = copies.time();
            // Without room the bench has run far too long; what is missing shows in `n`.
            let _ = told.push(Delivery { end, at_ns, cost_ns: at_ns - begin_ns, memcpy_ns });
        },
        |_| {},
        None,
    )?;
    stream.play()?;
    let open = OpenSource {
        description: "bench".into(),
        sample_rate_hz: RATE_HZ,
        queue_rate_hz: RATE_HZ,
        channels: CHANNELS,
        live: true,
        own_clock: false,
        may_lead: true,
        runs_already: cushioned,
        waits_for_peer: false,
        resume_uri: None,
        total_frames: None,
        health,
        outlet,
        successors: channel().1,
    };
    Ok((stream, open))
}

/// Waits for every block as any reader does, and notes when it woke up to which frame.
fn watch(dir: &Path) -> Result<Vec<Sight>> {
    let ring = RingReader::attach_stream(dir, "bench")?;
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
        costs.callback.push(period.cost_ns as f64 / PERIOD_NS * 100.0);
        costs.memcpy.push(period.memcpy_ns / PERIOD_NS * 100.0);
    }
    ensure!(sums.latency_ms.len() > before + PERIODS_A_START / 2, "hardly a period was seen");
    Ok(())
}

//! A running engine with one virtual device, whose callbacks are timed.

use crate::{BLOCK_FRAMES, CHANNELS, Copies, RATE_HZ};
use anyhow::{Context, Result, bail, ensure};
use audio_engine::capture::Capture;
use audio_engine::desk::Desk;
use audio_engine::entrant::{Entrant, Lineage, Retiming};
use audio_engine::pace::Orders;
use audio_engine::queue::{Health, queue};
use audio_engine::rt::{self, now_ns};
use audio_engine::running::Running;
use audio_engine::source::OpenSource;
use audio_engine::uri::SourceUri;
use audio_engine::virtual_device::VirtualDevice;
use audio_engine::vitals::Vitals;
use control_protocol::{BoardPlace, ClockKind, EngineConfig, StreamName};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, StreamConfig};
use rtrb::{Consumer, Producer, RingBuffer};
use shm_layout::{Epoch, FrameIndex, SessionId};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// The stream's name.
pub(crate) const STREAM: &str = "bench";
/// The queue's length: its first lap touches memory that nobody has touched before.
pub(crate) const QUEUE_FRAMES: usize = 2 * RATE_HZ as usize;
pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);
/// More callbacks than a bench waits for.
const DELIVERIES_MAX: usize = 50_000;

/// What the device is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Frames of a callback.
    pub(crate) period_frames: usize,
    /// A clock of its own, which leads, and callbacks with real-time priority; otherwise it keeps the tick's time.
    pub(crate) leads: bool,
    /// What is kept for late callbacks, where that is set.
    pub(crate) cushion_ms: Option<u32>,
    /// By how much callbacks are late at most, evenly.
    pub(crate) late_ms: f64,
}

/// A period, as its callback saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    /// One past the number of its last frame.
    pub(crate) end: u64,
    /// When it was due by the device's clock, when its callback began, and when that was over.
    pub(crate) due_ns: u64,
    pub(crate) begin_ns: u64,
    pub(crate) at_ns: u64,
    pub(crate) memcpy_ns: f64,
}

/// The engine, and what its device has told.
pub(crate) struct Engine {
    dir: tempfile::TempDir,
    running: Running,
    desk: Desk,
    vitals: Vitals,
    stream: cpal::Stream,
    deliveries: Consumer<Delivery>,
}

impl Engine {
    /// Starts it; its rings are there.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
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
        let (told, deliveries) = RingBuffer::new(DELIVERIES_MAX);
        let (stream, open) = device(told, kind)?;
        let (name, lineage) = (StreamName::new(STREAM)?, Lineage::of(&config));
        let retiming = Retiming { cushion_ms: kind.cushion_ms, ..Retiming::default() };
        let mut entrant = Entrant::new(name, lineage, open, &config, retiming).map_err(anyhow::Error::msg)?;
        let begin = Instant::now();
        while !entrant.may_begin(Duration::ZERO, true) {
            ensure!(begin.elapsed() < WATCHDOG, "watchdog: the device delivers nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        let (vitals, desk) = (Vitals::default(), Desk::default());
        let orders = Arc::<Orders>::default();
        let running = Running::start(&config, lineage, vec![entrant], &desk, orders, &vitals, &|_| {})
            .map_err(anyhow::Error::msg)?;
        Ok(Self { dir, running, desk, vitals, stream, deliveries })
    }

    /// Runs on while a reader of its rings has something to do; what that found.
    pub(crate) fn run<T: Send>(&mut self, reader: impl FnOnce(&Path) -> Result<T> + Send) -> Result<T> {
        let dir = self.dir.path();
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || reader(dir));
            while !reader.is_finished() {
                self.running.look(&mut self.desk, &self.vitals, &|_| {});
                std::thread::sleep(Duration::from_millis(20));
            }
            reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?
        })
    }

    /// Ends it. Every callback there was.
    pub(crate) fn end(mut self) -> Result<Vec<Delivery>> {
        drop(self.stream);
        self.running.close();
        let begin = Instant::now();
        while !self.running.is_over() {
            ensure!(begin.elapsed() < WATCHDOG, "watchdog: the tick does not end");
            self.running.look(&mut self.desk, &self.vitals, &|_| {});
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(std::iter::from_fn(|| self.deliveries.pop().ok()).collect())
    }
}

/// A virtual device whose real callback is timed, as a source for the engine.
fn device(mut told: Producer<Delivery>, kind: Kind) -> Result<(cpal::Stream, OpenSource)> {
    let uri = format!("virtual:count?channels={CHANNELS}&format=f32&period={}", kind.period_frames);
    let SourceUri::Virtual(spec) = uri.parse()? else { bail!("virtual: is no virtual device") };
    let config = StreamConfig {
        channels: u16::try_from(spec.channels)?,
        sample_rate: RATE_HZ,
        buffer_size: BufferSize::Fixed(spec.period_frames),
    };
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(CHANNELS, QUEUE_FRAMES, &health);
    let mut capture = Capture::new(inlet, RATE_HZ);
    // As large as the queue, so that both find their place equally cold.
    let mut copies = Copies::new(vec![0.25_f32; kind.period_frames * CHANNELS], QUEUE_FRAMES * CHANNELS);
    let (mut end, mut dice, mut born_ns) = (0, 1_u64, None);
    let format = spec.format;
    let device = cpal::platform::CustomDevice::from_device(VirtualDevice::new(spec, RATE_HZ, 0));
    let stream = cpal::Device::from(device).build_input_stream_raw(
        config,
        format,
        move |period, info| {
            let frames = (period.len() / CHANNELS) as u64;
            let born_ns = *born_ns.get_or_insert_with(|| {
                if kind.leads {
                    rt::promote(rt::PRIORITY_CALLBACK);
                }
                now_ns() - frames * 1_000_000_000 / u64::from(RATE_HZ)
            });
            end += frames;
            let due_ns = born_ns + end * 1_000_000_000 / u64::from(RATE_HZ);
            if kind.late_ms > 0.0 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let late_ms = kind.late_ms * (dice >> 40) as f64 / (1_u64 << 24) as f64;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
                rt::sleep_until(due_ns + (late_ms * 1e6) as u64);
            }
            let begin_ns = now_ns();
            capture.on_period(period, info);
            let at_ns = now_ns();
            let memcpy_ns = copies.time();
            // Without room the bench has run far too long; what is missing shows in `n`.
            let _ = told.push(Delivery { end, due_ns, begin_ns, at_ns, memcpy_ns });
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
        own_clock: kind.leads,
        may_lead: true,
        is_steady: true,
        runs_already: kind.leads,
        waits_for_peer: false,
        resume_uri: None,
        total_frames: None,
        health,
        outlet,
        successors: channel().1,
    };
    Ok((stream, open))
}

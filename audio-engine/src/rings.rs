//! From open sources to running rings: where the frame index of an engine begins, and what its tick reports.

use crate::clock::Clock;
use crate::feed::Feed;
use crate::lane::Lane;
use crate::limits::short;
use crate::live::Outlets;
use crate::pace::{self, Orders, Pace};
use crate::queue::{Health, Outlet};
pub use crate::room::StartError;
use crate::rt;
use crate::source::OpenSource;
use crate::tick::{Control, Note, Tick};
use crate::vitals::{Gauge, Vitals};
use control_protocol::{ClockKind, EngineConfig, FromEngine, SourceError, StreamName};
use shm_layout::board::{Counter, Meter};
use shm_layout::{Epoch, FrameIndex, Prefaulter, RingSpec, RingWriter, fit_history};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is kept in the queue of a real device: its callbacks jitter, under load by many milliseconds.
const DEVICE_CUSHION_MS: u32 = 40;
/// What is kept in the queue of a file or pipe: plenty, and soon there.
const READ_CUSHION_MS: u32 = 100;

/// A source that is about to have a ring.
pub struct Source {
    name: StreamName,
    lane: Lane,
    health: Arc<Health>,
    successors: Outlets,
    trimmed: bool,
    waits_for_peer: bool,
}

impl Source {
    /// Puts a lane behind a source.
    ///
    /// # Errors
    /// In words, when its rate cannot be converted.
    pub fn new(name: StreamName, open: OpenSource, config: &EngineConfig) -> Result<Self, String> {
        let (rate_hz, block_frames) = (config.sample_rate_hz, config.block_frames as usize);
        let feed =
            Feed::new(open.outlet, open.queue_rate_hz, rate_hz, block_frames).map_err(|e| format!("{name}: {e}"))?;
        let cushion_ms = match (open.live, open.runs_already) {
            (true, false) => 0,
            (true, true) => DEVICE_CUSHION_MS,
            (false, _) => READ_CUSHION_MS,
        };
        let cushion_frames = u64::from(cushion_ms) * u64::from(rate_hz) / 1_000;
        let mut lane = Lane::new(feed, open.live, block_frames, cushion_frames);
        if config.clock == ClockKind::Virtual {
            lane.begin();
        }
        Ok(Self {
            name,
            lane,
            health: open.health,
            successors: open.successors,
            trimmed: open.live && open.runs_already,
            waits_for_peer: open.waits_for_peer,
        })
    }

    /// Tells the source that its frames count from now on.
    pub fn ask_to_begin(&self) {
        self.health.begin.store(true, Ordering::Relaxed);
    }

    /// Whether enough is there for a steady flow.
    pub fn is_primed(&mut self) -> bool {
        self.lane.is_primed()
    }

    /// Whether it has a clock of its own.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.lane.live()
    }

    /// Whether it surely delivers, sooner or later.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        !self.lane.live() && !self.waits_for_peer
    }
}

/// A running tick, seen from the control thread.
pub struct Running {
    control: Control,
    orders: Arc<Orders>,
    tracks: Vec<Track>,
    closing: bool,
    over: bool,
}

struct Track {
    name: StreamName,
    health: Arc<Health>,
    successors: Outlets,
    /// A queue that found no room on its way to the tick.
    pending: Option<Outlet>,
}

impl Running {
    /// Makes all rings, tells of them, and starts the tick.
    ///
    /// # Errors
    /// [`StartError`], when there is no room for the rings or no thread.
    pub fn start(
        config: &EngineConfig,
        mut sources: Vec<Source>,
        orders: Arc<Orders>,
        vitals: &Vitals,
        send: &dyn Fn(FromEngine),
    ) -> Result<Self, StartError> {
        let dir = Path::new(&config.runtime_dir);
        let mix_channels = sources.iter().map(|s| s.lane.channels()).max().unwrap_or(1);
        let channels_total = sources.iter().map(|s| s.lane.channels()).sum::<usize>() + mix_channels;
        let capacity_frames = capacity(config, dir, channels_total)?;
        for source in sources.iter_mut().filter(|source| source.trimmed) {
            source.lane.trim();
        }

        // The rings begin now. Making them takes a while; the first ticks catch up with what has come in meanwhile.
        let clock = Clock {
            first_frame: config.first_frame,
            first_frame_ns: config.first_frame_ns,
            sample_rate_hz: config.sample_rate_hz,
        };
        let (first_frame, pace) = match config.clock {
            ClockKind::Monotonic => (clock.frame_at(rt::now_ns()), Pace::Monotonic(clock)),
            ClockKind::Virtual => (config.first_frame, Pace::Virtual),
        };
        let create = |name: &StreamName, channels: usize| {
            let spec = RingSpec {
                stream: name.as_str().into(),
                session: config.session,
                epoch: config.epoch,
                previous_epoch: (config.epoch.0 > 1).then(|| Epoch(config.epoch.0 - 1)),
                sample_rate_hz: config.sample_rate_hz,
                channels: u32::try_from(channels).unwrap_or(u32::MAX),
                capacity_frames,
                first_frame,
                labels: labels(channels),
                overview: false,
            };
            RingWriter::create(dir, &spec).map_err(|e| StartError::of_ring(name, e, config.history_ms))
        };
        let mix_name = StreamName::mix();
        let names = sources.iter().map(|source| source.name.as_str()).chain([mix_name.as_str()]);
        let mut meters = Meter::claim(dir, &names.collect::<Vec<_>>()).unwrap_or_default().into_iter();
        let mut gauge = |channels: usize| Gauge::new(meters.next().flatten(), channels, config.sample_rate_hz);
        let mut prefaulters: Vec<Prefaulter> = Vec::new();
        let mut lanes = Vec::new();
        let mut tracks = Vec::new();
        let mut opened = Vec::new();
        for source in sources {
            let ring = create(&source.name, source.lane.channels())?;
            prefaulters.push(ring.prefaulter());
            opened.push(ring_opened(&source.name, config.epoch, first_frame, &ring));
            let gauge = gauge(source.lane.channels());
            lanes.push((source.lane, ring, gauge));
            let Source { name, health, successors, .. } = source;
            tracks.push(Track { name, health, successors, pending: None });
        }
        let mix = create(&mix_name, mix_channels)?;
        prefaulters.push(mix.prefaulter());
        opened.push(ring_opened(&mix_name, config.epoch, first_frame, &mix));

        let (tick, control) =
            Tick::new(lanes, (mix, gauge(mix_channels)), config.block_frames as usize, config.sample_rate_hz);
        let thread = std::thread::Builder::new().name("prefault".into());
        // It only spares page faults: without it the rings work as well.
        let _ = thread.spawn(move || prefaulters.iter().for_each(Prefaulter::run));
        let (theirs, pulse) = (Arc::clone(&orders), vitals.pulse());
        std::thread::Builder::new()
            .name("tick".into())
            .spawn(move || pace::run(tick, pace, &theirs, &pulse))
            .map_err(|e| StartError::refused(format!("no thread for the tick: {e}")))?;
        opened.into_iter().for_each(send);
        Ok(Self { control, orders, tracks, closing: false, over: false })
    }

    /// Stops capturing; the tick writes what it has and ends.
    pub fn close(&mut self) {
        self.closing = true;
        for track in &self.tracks {
            track.health.stop.store(true, Ordering::Relaxed);
        }
        // Pairs with the Acquire load in `pace::run`.
        self.orders.close.store(true, Ordering::Release);
    }

    /// Whether all rings are closed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Passes on what the tick has reported, closes rings that are written to their end, frees what is used up.
    pub fn look(&mut self, vitals: &Vitals, send: &dyn Fn(FromEngine)) {
        // Before the queues are emptied: what was reported before the end is in them then.
        let finished = self.orders.finished.load(Ordering::Acquire);
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let next = track.pending.take().or_else(|| track.successors.try_recv().ok());
            if let Some(outlet) = next
                && let Err(rtrb::PushError::Full((_, outlet))) = self.control.successors.push((index, outlet))
            {
                track.pending = Some(outlet);
            }
        }
        while self.control.retired.pop().is_ok() {}
        vitals.set(Counter::Done, self.orders.blocks.load(Ordering::Relaxed));
        let xruns = self.tracks.iter().map(|track| track.health.xruns.load(Ordering::Relaxed)).sum();
        vitals.set(Counter::Xruns, xruns);
        while let Ok(note) = self.control.notes.pop() {
            vitals.add(Counter::Lost, note.frames());
            let stream = |track: usize| self.tracks[track].name.clone();
            send(match note {
                Note::Gap { track, from, to, cause } => FromEngine::Gap { stream: stream(track), from, to, cause },
                Note::Dropped { track, at, frames } => FromEngine::Dropped { stream: stream(track), at, frames },
            });
        }
        while let Ok(done) = self.control.done.pop() {
            done.ring.close();
            let Some(track) = done.track.map(|index| &self.tracks[index]) else { continue };
            let overrun = track.health.overrun_frames.load(Ordering::Relaxed);
            let xruns = track.health.xruns.load(Ordering::Relaxed);
            if done.lost_frames > 0 || xruns > 0 {
                eprintln!(
                    "{}: {} frames lost, {overrun} of them to a full queue; {xruns} xruns",
                    track.name, done.lost_frames
                );
            }
            if !self.closing {
                let (stream, error) = (track.name.clone(), track.health.error());
                let error = error.map(|error| SourceError { reason: short(error.reason), ..error });
                send(FromEngine::SourceEnded { stream, at: done.at, error });
            }
        }
        self.over = finished;
    }
}

/// What channels are called where their number says it.
fn labels(channels: usize) -> Vec<String> {
    let names: &[&str] = match channels {
        1 => &["mono"],
        2 => &["left", "right"],
        _ => &[],
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

fn ring_opened(name: &StreamName, epoch: Epoch, first_frame: FrameIndex, ring: &RingWriter) -> FromEngine {
    FromEngine::RingOpened {
        stream: name.clone(),
        epoch,
        first_frame,
        channels: ring.channels(),
        capacity_frames: ring.capacity_frames(),
    }
}

fn capacity(config: &EngineConfig, dir: &Path, channels: usize) -> Result<u64, StartError> {
    let (rate_hz, history_ms) = (config.sample_rate_hz, config.history_ms);
    let total = u32::try_from(channels).unwrap_or(u32::MAX);
    let frames = fit_history(dir, rate_hz, total, history_ms).map_err(|e| StartError::of_history(e, history_ms))?;
    let wanted = u64::from(history_ms) * u64::from(rate_hz) / 1_000;
    if frames < wanted {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let seconds = frames as f64 / f64::from(rate_hz);
        eprintln!("{}: only room for {seconds:.1} s of history of {} s wanted", dir.display(), history_ms / 1_000);
    }
    Ok(frames.max(u64::from(config.block_frames) * 4))
}

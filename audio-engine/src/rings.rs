//! Making the rings of an engine, each with its meter.

use crate::entrant::Lineage;
use crate::gauge::Gauge;
use crate::limits::short;
use crate::room::StartError;
use control_protocol::{EngineConfig, FromEngine, StreamName};
use shm_layout::board::Meters;
use shm_layout::{FrameIndex, RingSpec, RingWriter, fit_history};
use std::path::Path;

/// Makes rings of one engine: same rate, same history where there is room.
pub struct RingMaker {
    config: EngineConfig,
    capacity_frames: u64,
    /// Without a board there are none.
    meters: Option<Meters>,
}

impl RingMaker {
    /// For an engine whose first rings have so many channels together.
    ///
    /// # Errors
    /// [`StartError`], when there is no room for them.
    pub fn new(config: &EngineConfig, channels_total: usize) -> Result<Self, StartError> {
        let capacity_frames = capacity(config, channels_total)?;
        Ok(Self { config: config.clone(), capacity_frames, meters: Meters::claim(Path::new(&config.runtime_dir)).ok() })
    }

    /// A ring beside the first ones, with as much of their history as there is room for.
    ///
    /// # Errors
    /// [`StartError`], when there is no room.
    pub fn one_more(
        &self,
        name: &StreamName,
        lineage: Lineage,
        channels: usize,
        first_frame: impl FnOnce(u64) -> FrameIndex,
    ) -> Result<RingWriter, StartError> {
        let capacity_frames = capacity(&self.config, channels)?.min(self.capacity_frames);
        let bytes = capacity_frames * 4 * channels as u64;
        self.sized(name, lineage, channels, first_frame(bytes), capacity_frames)
    }

    /// One of the first rings.
    ///
    /// # Errors
    /// [`StartError`], when it cannot be made.
    pub fn ring(
        &self,
        name: &StreamName,
        lineage: Lineage,
        channels: usize,
        first_frame: FrameIndex,
    ) -> Result<RingWriter, StartError> {
        self.sized(name, lineage, channels, first_frame, self.capacity_frames)
    }

    fn sized(
        &self,
        name: &StreamName,
        Lineage { epoch, previous }: Lineage,
        channels: usize,
        first_frame: FrameIndex,
        capacity_frames: u64,
    ) -> Result<RingWriter, StartError> {
        let spec = RingSpec {
            stream: name.as_str().into(),
            session: self.config.session,
            epoch,
            previous_epoch: previous,
            sample_rate_hz: self.config.sample_rate_hz,
            channels: u32::try_from(channels).unwrap_or(u32::MAX),
            capacity_frames,
            first_frame,
            labels: labels(channels),
            overview: false,
        };
        let made = RingWriter::create(Path::new(&self.config.runtime_dir), &spec);
        made.map_err(|e| StartError::of_ring(name, e, self.config.history_ms))
    }

    /// A stream's gauge, with a meter while one is free.
    #[must_use]
    pub fn gauge(&self, name: &StreamName, channels: usize) -> Gauge {
        let meter = self.meters.as_ref().and_then(|meters| meters.take(name.as_str()));
        Gauge::new(meter, channels, self.config.sample_rate_hz)
    }
}

/// What is told of a ring.
#[must_use]
pub fn ring_opened(name: &StreamName, ring: &RingWriter) -> FromEngine {
    FromEngine::RingOpened {
        stream: name.clone(),
        epoch: ring.info().epoch,
        first_frame: ring.info().first_frame,
        channels: ring.channels(),
        capacity_frames: ring.capacity_frames(),
    }
}

/// What is told of a source that gets no ring.
#[must_use]
pub fn source_failed(stream: StreamName, StartError { reason, exit }: StartError) -> FromEngine {
    FromEngine::SourceFailed { stream, reason: short(reason), retry: false, exit }
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

fn capacity(config: &EngineConfig, channels: usize) -> Result<u64, StartError> {
    let (rate_hz, history_ms, dir) = (config.sample_rate_hz, config.history_ms, Path::new(&config.runtime_dir));
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

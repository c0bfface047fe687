//! A source that is open and about to have a ring: it is waited for until it delivers steadily.

use crate::feed::Feed;
use crate::lane::Lane;
use crate::live::Outlets;
use crate::queue::Health;
use crate::source::OpenSource;
use audio_dsp::Quality;
use control_protocol::{ClockKind, EngineConfig, Resampling, StreamName};
use shm_layout::Epoch;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What is kept in the queue of a device whose callbacks have real-time priority: they come when they are due, and a tick
/// may be as near to them as a clock needs that is not learnt yet.
const STEADY_CUSHION_MS: u32 = 3;
/// What is kept in the queue of any other device: its callbacks jitter, under load by many milliseconds.
const DEVICE_CUSHION_MS: u32 = 40;
/// What is kept in the queue of a file or pipe: plenty, and soon there.
const READ_CUSHION_MS: u32 = 100;
/// How long the others wait for a device that delivers nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The epoch of a stream's next ring, and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    /// Of the ring.
    pub epoch: Epoch,
    /// Of the stream's ring before.
    pub previous: Option<Epoch>,
}

impl Lineage {
    /// Of every ring of an engine, unless another one is named.
    #[must_use]
    pub fn of(config: &EngineConfig) -> Self {
        Self { epoch: config.epoch, previous: (config.epoch.0 > 1).then(|| Epoch(config.epoch.0 - 1)) }
    }
}

/// How devices with clocks of their own are kept in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retiming {
    /// How much their resamplers compute.
    pub resampling: Resampling,
    /// What their queues keep for callbacks that are late, in milliseconds; `None` is what fits the device.
    pub cushion_ms: Option<u32>,
}

impl Retiming {
    fn cushion_ms(self, open: &OpenSource) -> u32 {
        self.cushion_ms.unwrap_or(if open.is_steady { STEADY_CUSHION_MS } else { DEVICE_CUSHION_MS })
    }
}

const fn quality(resampling: Resampling) -> Quality {
    match resampling {
        Resampling::Fast => Quality::Fast,
        Resampling::Normal => Quality::Normal,
        Resampling::Best => Quality::Best,
    }
}

/// A source that is about to have a ring.
pub struct Entrant {
    pub(crate) name: StreamName,
    pub(crate) lineage: Lineage,
    pub(crate) lane: Lane,
    pub(crate) health: Arc<Health>,
    pub(crate) successors: Outlets,
    /// It has delivered since it was opened, and nobody wants what came before its ring begins.
    pub(crate) trims: bool,
    may_lead: bool,
    waits_for_peer: bool,
}

/// Makes the tick follow the first source that has a clock of its own. Its name, where there is one.
pub fn elect(entrants: &mut [Entrant]) -> Option<StreamName> {
    entrants.iter_mut().find_map(|entrant| entrant.lead().then(|| entrant.name.clone()))
}

impl Entrant {
    /// Puts a lane behind a source.
    ///
    /// # Errors
    /// In words, when its rate cannot be converted.
    pub fn new(
        name: StreamName,
        lineage: Lineage,
        open: OpenSource,
        config: &EngineConfig,
        retiming: Retiming,
    ) -> Result<Self, String> {
        let (rate_hz, block_frames) = (config.sample_rate_hz, config.block_frames as usize);
        let is_retimed = open.own_clock && config.clock == ClockKind::Monotonic;
        let cushion_ms = match open.live {
            true if is_retimed => retiming.cushion_ms(&open),
            true => 0,
            false => READ_CUSHION_MS,
        };
        let cushion_frames = u64::from(cushion_ms) * u64::from(rate_hz) / 1_000;
        let rates_hz = (open.queue_rate_hz, rate_hz);
        let lane = if is_retimed {
            Lane::retimed(open.outlet, rates_hz, block_frames, cushion_frames, quality(retiming.resampling))
        } else {
            Feed::new(open.outlet, rates_hz.0, rates_hz.1, block_frames)
                .map(|feed| Lane::new(feed, open.live, block_frames, cushion_frames))
        };
        let mut lane = lane.map_err(|e| format!("{name}: {e}"))?;
        if config.clock == ClockKind::Virtual {
            lane.begin();
        }
        Ok(Self {
            name,
            lineage,
            lane,
            health: open.health,
            successors: open.successors,
            trims: open.live && open.runs_already,
            may_lead: open.may_lead,
            waits_for_peer: open.waits_for_peer,
        })
    }

    /// Tells the source that its frames count from now on.
    pub fn ask_to_begin(&self) {
        self.health.begin.store(true, Ordering::Relaxed);
    }

    /// Forgets what was captured while the engine was not ready.
    pub fn trim(&mut self) {
        if self.trims {
            self.lane.trim();
        }
    }

    /// Whether it delivers, or was waited for long enough. A file is always waited for (it will come); a device or a pipe
    /// is not, unless it is all there is (`alone`).
    pub fn may_begin(&mut self, waited: Duration, alone: bool) -> bool {
        let is_live = self.lane.live();
        let waits = waited < PATIENCE || (!is_live && (alone || !self.waits_for_peer));
        self.lane.is_primed() || !waits
    }

    /// Makes the tick follow it, where it has a clock of its own. Whether it does.
    fn lead(&mut self) -> bool {
        self.may_lead && self.lane.has_own_clock() && self.lane.lead().is_ok()
    }

    /// Ends a source that gets no ring.
    pub fn dismiss(self) {
        self.health.stop.store(true, Ordering::Relaxed);
    }
}

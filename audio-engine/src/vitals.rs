//! The engine's place on the status board: its heartbeat, its counts, and the streams' meters. Without a board all of
//! this does nothing.

use audio_dsp::LevelSum;
use control_protocol::EngineConfig;
use shm_layout::board::{Beat, BoardError, Counter, Heart, Meter, Pulse};
use std::path::Path;
use std::sync::Arc;

/// Heartbeat and counts of this process.
#[derive(Debug)]
pub struct Vitals {
    heart: Heart,
    beat: Option<Beat>,
    control: Arc<Pulse>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self::of(Heart::default(), None)
    }
}

impl Vitals {
    fn of(heart: Heart, beat: Option<Beat>) -> Self {
        Self { control: heart.pulse(), heart, beat }
    }

    /// Takes the place that the supervisor names.
    #[must_use]
    pub fn claim(config: &EngineConfig) -> Self {
        let claimed =
            Beat::claim(Path::new(&config.runtime_dir), config.board.slot as usize, config.board.generation.into());
        let started = claimed.map_err(|e| (matches!(e, BoardError::Missing(_)), e.to_string())).and_then(|beat| {
            let heart = Heart::start(beat.clone()).map_err(|e| (false, format!("no thread for the heartbeat: {e}")))?;
            Ok(Self::of(heart, Some(beat)))
        });
        started.unwrap_or_else(|(is_missing, reason)| {
            // That there is none, the supervisor knows and says.
            if !is_missing {
                eprintln!("{reason}");
            }
            Self::default()
        })
    }

    /// The control thread has come round once more.
    pub fn turn(&self) {
        self.control.turn();
    }

    /// A pulse for another vital thread.
    #[must_use]
    pub fn pulse(&self) -> Arc<Pulse> {
        self.heart.pulse()
    }

    /// Adds to a count.
    pub fn add(&self, counter: Counter, count: u64) {
        if let Some(beat) = &self.beat {
            beat.add(counter, count);
        }
    }

    /// Sets a count that is kept elsewhere.
    pub fn set(&self, counter: Counter, count: u64) {
        if let Some(beat) = &self.beat {
            beat.set(counter, count);
        }
    }
}

/// A stream's level, shown ten times a second.
#[derive(Debug)]
pub struct Gauge {
    level: LevelSum,
    every_frames: usize,
    meter: Option<Meter>,
}

impl Gauge {
    /// A gauge for a stream of so many channels; without a meter it does nothing.
    #[must_use]
    pub fn new(meter: Option<Meter>, channels: usize, sample_rate_hz: u32) -> Self {
        Self { level: LevelSum::new(channels), every_frames: (sample_rate_hz / 10) as usize, meter }
    }

    /// Takes one more block.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn push(&mut self, planar: &[f32], frames: usize) {
        let Some(meter) = &self.meter else { return };
        self.level.push(planar, frames);
        if self.level.frames() >= self.every_frames {
            let (peak, rms) = self.level.take();
            meter.show(peak, rms);
        }
    }
}

//! The engine's place on the status board: its heartbeat and its counts. Without a board all of this does nothing.

use control_protocol::EngineConfig;
use shm_layout::board::{Beat, BoardError, Counter, Heart, Pulse};
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

//! This process's place on the status board. Without a board all of this does nothing.

use control_protocol::BoardPlace;
use shm_layout::board::{Beat, BoardError, Counter, Heart, Pulse};
use std::path::Path;
use std::sync::Arc;

/// Heartbeat and counts of this process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vitals {
    heart: Heart,
    beat: Option<Beat>,
}

impl Vitals {
    /// Takes the place that the supervisor names.
    pub(crate) fn claim(runtime_dir: &str, place: BoardPlace) -> Self {
        let beat = match Beat::claim(Path::new(runtime_dir), place.slot as usize, place.generation.into()) {
            Ok(beat) => beat,
            Err(e) => {
                // That there is none, the supervisor knows and says.
                if !matches!(e, BoardError::Missing(_)) {
                    log::warn!("{e}");
                }
                return Self::default();
            }
        };
        match Heart::start(beat.clone()) {
            Ok(heart) => Self { heart, beat: Some(beat) },
            Err(e) => {
                log::warn!("no thread for the heartbeat: {e}");
                Self::default()
            }
        }
    }

    /// A pulse for a vital thread, which must turn or rest from now on.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        self.heart.pulse()
    }

    /// Adds to a count.
    pub(crate) fn add(&self, counter: Counter, count: u64) {
        if let Some(beat) = &self.beat {
            beat.add(counter, count);
        }
    }
}

//! The processing thread: it has a whole block's time for what the tick has none for.
//!
//! Chains live here and nowhere else. It runs below the tick and above everything that is not about sound, sleeps while
//! nothing is on, and holds nobody: what it does not bring back in time is silent in the mix (`detour.rs`).

use crate::insert::{Insert, Unit, insert};
use crate::rt;
use control_protocol::{ClockKind, EngineConfig, Processing, SOURCES_MAX};
use rtrb::{Consumer, Producer, RingBuffer};
use shm_layout::board::Pulse;
use std::io;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

/// How long it sleeps at most: often enough to be seen alive, and to free what is left behind.
const REST: Duration = Duration::from_millis(200);

/// The control thread's side of it. It ends when this and all inserts are gone.
pub struct Rack {
    units: Producer<Unit>,
    thread: Thread,
    rate_hz: u32,
    block_frames: usize,
    /// Held here, too: should the thread end before its time, the process is seen to hang and is replaced.
    _pulse: Arc<Pulse>,
}

impl Rack {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(config: &EngineConfig, pulse: Arc<Pulse>) -> io::Result<Self> {
        let (units, arrivals) = RingBuffer::new(2 * SOURCES_MAX);
        let is_live = config.clock == ClockKind::Monotonic;
        let theirs = Arc::clone(&pulse);
        let thread = std::thread::Builder::new().name("rack".into()).spawn(move || {
            if is_live {
                // The tick says what it means when this is refused.
                rt::promote(rt::PRIORITY_RACK);
            }
            run(arrivals, &theirs);
        })?;
        Ok(Self {
            units,
            thread: thread.thread().clone(),
            rate_hz: config.sample_rate_hz,
            block_frames: config.block_frames as usize,
            _pulse: pulse,
        })
    }

    /// A way to a new chain; see [`insert()`]. `None` when the rack takes no more: it hangs.
    pub fn insert(&mut self, channels: usize, begins_with: &Processing) -> Option<Insert> {
        let (insert, unit) = insert(self.rate_hz, channels, self.block_frames, begins_with, self.thread.clone());
        self.units.push(unit).ok()?;
        Some(insert)
    }
}

fn run(mut arrivals: Consumer<Unit>, pulse: &Pulse) {
    let mut units = Vec::with_capacity(2 * SOURCES_MAX);
    loop {
        pulse.turn();
        units.extend(std::iter::from_fn(|| arrivals.pop().ok()));
        units.iter_mut().for_each(Unit::turn);
        units.retain(|unit: &Unit| !unit.is_over());
        if units.is_empty() && arrivals.is_abandoned() {
            return;
        }
        std::thread::park_timeout(REST);
    }
}

//! A process's heartbeat, which stops when one of its vital threads does.

use super::Beat;
use crate::writer::clock_ns;
use rustix::time::ClockId;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How often a heart beats.
const EVERY: Duration = Duration::from_millis(250);
/// The count of a thread that waits for work: it has no turns to show.
const RESTING: u64 = u64::MAX;
/// The count of a thread in a long computation: that it takes processor time is all there is to see.
const COMPUTING: u64 = u64::MAX - 1;
/// Processor time between two looks that a heart's own thread does not take, in nanoseconds.
const COMPUTING_NS_MIN: u64 = 2_000_000;

/// A vital thread's word that it goes on: it counts its turns.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// The thread has come round once more.
    ///
    /// # Real time
    /// Wait-free.
    pub fn turn(&self) {
        let turns = self.0.load(Ordering::Relaxed);
        self.0.store(if turns >= COMPUTING { 0 } else { turns + 1 }, Ordering::Relaxed);
    }

    /// The thread waits for work, for as long as it takes.
    pub fn rest(&self) {
        self.0.store(RESTING, Ordering::Relaxed);
    }

    /// The thread begins a long computation without turns, in which the process takes processor time.
    pub fn compute(&self) {
        self.0.store(COMPUTING, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Beats for a process, on a thread of its own, while all of its vital threads go on. It beats as long as the process
/// lives.
#[derive(Debug, Clone, Default)]
pub struct Heart {
    vital: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    pulse: Weak<Pulse>,
    /// Its count at the last look.
    seen: u64,
}

impl Heart {
    /// Begins to beat: the first time before this returns.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(beat: Beat) -> io::Result<Self> {
        let heart = Self::default();
        let own = heart.clone();
        beat.beat();
        std::thread::Builder::new().name("heart".into()).spawn(move || {
            let mut cpu_ns = clock_ns(ClockId::ProcessCPUTime);
            loop {
                std::thread::sleep(EVERY);
                let now_ns = clock_ns(ClockId::ProcessCPUTime);
                if own.all_go_on(now_ns.saturating_sub(cpu_ns)) {
                    beat.beat();
                }
                cpu_ns = now_ns;
            }
        })?;
        Ok(heart)
    }

    /// A pulse for one more vital thread, which must turn from now on, or rest. Dropped, it is vital no longer.
    #[must_use]
    pub fn pulse(&self) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::default());
        // One turn ahead of what was seen: the first look finds it alive.
        pulse.turn();
        self.vital
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Watched { pulse: Arc::downgrade(&pulse), seen: 0 });
        pulse
    }

    /// Whether every vital thread has turned since it was last seen turning, or rests, or computes while the process
    /// takes so much processor time since the last look.
    fn all_go_on(&self, cpu_ns: u64) -> bool {
        let mut vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner);
        vital.retain(|watched| watched.pulse.strong_count() > 0);
        let mut all = true;
        for watched in vital.iter_mut() {
            let Some(count) = watched.pulse.upgrade().map(|pulse| pulse.count()) else { continue };
            all &= match count {
                RESTING => true,
                COMPUTING => cpu_ns >= COMPUTING_NS_MIN,
                turns => turns != watched.seen,
            };
            watched.seen = count;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_that_stands_still_stops_the_heart() {
        let heart = Heart::default();
        assert!(heart.all_go_on(0), "a process without vital threads lives as long as it beats");
        let (steady, slow) = (heart.pulse(), heart.pulse());
        assert!(heart.all_go_on(0));
        steady.turn();
        assert!(!heart.all_go_on(0), "the other one stands still");
        steady.turn();
        slow.rest();
        assert!(heart.all_go_on(0));
        steady.turn();
        assert!(heart.all_go_on(0), "who rests may go on resting");
        slow.turn();
        steady.turn();
        assert!(heart.all_go_on(0));
        steady.turn();
        assert!(!heart.all_go_on(0), "at work again, it must turn");
        steady.turn();
        slow.compute();
        assert!(heart.all_go_on(COMPUTING_NS_MIN));
        steady.turn();
        assert!(!heart.all_go_on(COMPUTING_NS_MIN / 2), "it computes nothing");
        slow.turn();
        steady.turn();
        assert!(heart.all_go_on(0));
        drop(slow);
        steady.turn();
        assert!(heart.all_go_on(0));
    }
}

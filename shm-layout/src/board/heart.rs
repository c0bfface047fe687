//! A process's heartbeat, which is as old as the last turn of the vital thread that has not turned for longest.
//!
//! Each thread has its own rhythm: that all of them turn between two looks is not to be expected of many.

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
    /// When it was last seen to go on, on `CLOCK_MONOTONIC`.
    went_on_ns: u64,
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
                let (now_ns, taken_ns) = (clock_ns(ClockId::Monotonic), clock_ns(ClockId::ProcessCPUTime));
                beat.beat_at(own.all_went_on_ns(now_ns, taken_ns.saturating_sub(cpu_ns)));
                cpu_ns = taken_ns;
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
        self.vital.lock().unwrap_or_else(PoisonError::into_inner).push(Watched {
            pulse: Arc::downgrade(&pulse),
            seen: 0,
            went_on_ns: 0,
        });
        pulse
    }

    /// Until when every vital thread went on: it turns, or rests, or computes while the process takes so much processor
    /// time since the last look.
    fn all_went_on_ns(&self, now_ns: u64, cpu_ns: u64) -> u64 {
        let mut vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner);
        vital.retain(|watched| watched.pulse.strong_count() > 0);
        let mut all_ns = now_ns;
        for watched in vital.iter_mut() {
            let Some(count) = watched.pulse.upgrade().map(|pulse| pulse.count()) else { continue };
            let goes_on = match count {
                RESTING => true,
                COMPUTING => cpu_ns >= COMPUTING_NS_MIN,
                turns => turns != watched.seen,
            };
            if goes_on {
                watched.went_on_ns = now_ns;
            }
            watched.seen = count;
            all_ns = all_ns.min(watched.went_on_ns);
        }
        all_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_that_stands_still_stops_the_heart() {
        let heart = Heart::default();
        assert_eq!(heart.all_went_on_ns(1, 0), 1, "a process without vital threads lives as long as it beats");
        let (steady, slow) = (heart.pulse(), heart.pulse());
        assert_eq!(heart.all_went_on_ns(2, 0), 2);
        let look = |now_ns, cpu_ns| {
            steady.turn();
            heart.all_went_on_ns(now_ns, cpu_ns)
        };
        assert_eq!((look(3, 0), look(4, 0)), (2, 2), "the other one stands still");
        slow.rest();
        assert_eq!((look(5, 0), look(6, 0)), (5, 6), "who rests may go on resting");
        slow.turn();
        assert_eq!((look(7, 0), look(8, 0)), (7, 7), "at work again, it must turn");
        slow.compute();
        assert_eq!(look(9, COMPUTING_NS_MIN), 9);
        assert_eq!(look(10, COMPUTING_NS_MIN / 2), 9, "it computes nothing");
        slow.turn();
        assert_eq!(look(11, 0), 11);
        drop(slow);
        assert_eq!((look(12, 0), look(13, 0)), (12, 13));
    }

    #[test]
    fn many_threads_may_turn_at_different_times() {
        let heart = Heart::default();
        let threads: Vec<_> = (0..64).map(|_| heart.pulse()).collect();
        assert_eq!(heart.all_went_on_ns(1, 0), 1);
        for now_ns in 2..20 {
            // Each at every other look.
            let turning = threads.iter().skip(usize::from(now_ns % 2 == 0)).step_by(2);
            turning.for_each(|thread| thread.turn());
            assert!(heart.all_went_on_ns(now_ns, 0) >= now_ns - 1);
        }
    }
}

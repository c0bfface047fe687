//! A process's heartbeat, which stops when one of its vital threads does.

use super::Beat;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How often a heart beats.
const EVERY: Duration = Duration::from_millis(250);
/// The count of a thread that waits for work: it has no turns to show.
const RESTING: u64 = u64::MAX;

/// A vital thread's word that it goes on: it counts its turns.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// The thread has come round once more.
    ///
    /// # Real time
    /// Wait-free.
    pub fn turn(&self) {
        // From `RESTING` on this is 0 again.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread waits for work, for as long as it takes.
    pub fn rest(&self) {
        self.0.store(RESTING, Ordering::Relaxed);
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
            loop {
                std::thread::sleep(EVERY);
                if own.all_go_on() {
                    beat.beat();
                }
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

    /// Whether every vital thread has turned since it was last seen turning, or rests.
    fn all_go_on(&self) -> bool {
        let mut vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner);
        vital.retain(|watched| watched.pulse.strong_count() > 0);
        let mut all = true;
        for watched in vital.iter_mut() {
            let Some(count) = watched.pulse.upgrade().map(|pulse| pulse.count()) else { continue };
            all &= count == RESTING || count != watched.seen;
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
        assert!(heart.all_go_on(), "a process without vital threads lives as long as it beats");
        let (steady, slow) = (heart.pulse(), heart.pulse());
        assert!(heart.all_go_on());
        steady.turn();
        assert!(!heart.all_go_on(), "the other one stands still");
        steady.turn();
        slow.rest();
        assert!(heart.all_go_on());
        steady.turn();
        assert!(heart.all_go_on(), "who rests may go on resting");
        slow.turn();
        steady.turn();
        assert!(heart.all_go_on());
        steady.turn();
        assert!(!heart.all_go_on(), "at work again, it must turn");
        drop(slow);
        steady.turn();
        assert!(heart.all_go_on());
    }
}

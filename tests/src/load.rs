//! Busy processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// A thread on every processor that does nothing but count, until this goes.
#[derive(Debug)]
pub struct Burn {
    stop: Arc<AtomicBool>,
    threads: Vec<(JoinHandle<()>, Arc<AtomicU64>)>,
}

impl Burn {
    /// Begins.
    #[must_use]
    pub fn all_processors() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = (0..processors).map(|_| {
            let (stop, rounds) = (stop.clone(), Arc::new(AtomicU64::new(0)));
            let counted = rounds.clone();
            let thread = std::thread::spawn(move || {
                while !stop.load(Relaxed) {
                    // A million rounds of arithmetic between two looks.
                    let noise = (0..1_000_000_u64).fold(1_u64, |x, n| std::hint::black_box(x.wrapping_mul(31) ^ n));
                    std::hint::black_box(noise);
                    counted.fetch_add(1, Relaxed);
                }
            });
            (thread, rounds)
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    /// Rounds done by the thread that did fewest: not 0 when all were busy.
    #[must_use]
    pub fn rounds_min(&self) -> u64 {
        self.threads.iter().map(|(_, rounds)| rounds.load(Relaxed)).min().unwrap_or(0)
    }
}

impl Drop for Burn {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for (thread, _) in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

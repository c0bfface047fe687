//! The tick's thread: when the next block is due.

use crate::clock::Clock;
use crate::output::Pilot;
use crate::rt;
use crate::tick::Tick;
use shm_layout::board::Pulse;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the control thread tells the tick's thread.
#[derive(Debug, Default)]
pub struct Orders {
    /// On a virtual clock: one past the last frame that may be written.
    pub credit: AtomicU64,
    /// An output leads, or will when it is there: no device does.
    pub output_leads: AtomicBool,
    /// How it leads.
    pub pilot: Arc<Pilot>,
    /// Write what has been captured, then end.
    pub close: AtomicBool,
    /// The tick's answer: all rings are written to their ends.
    pub finished: AtomicBool,
    /// The tick's answer: blocks so far.
    pub blocks: AtomicU64,
    /// The tick's answer: by how much later than at the nominal rate it is due, in nanoseconds.
    pub late_ns: AtomicI64,
    /// The tick's answer, before its first block on a live clock: whether it has real-time priority.
    pub real_time: OnceLock<bool>,
    /// The tick's answer: how long after its time a block is written, in nanoseconds, evened out.
    pub written_ns: AtomicU64,
}

/// What makes a block due.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Its last frame's time, at the rate of the device that leads.
    Monotonic(Clock),
    /// Every source has it, and the credit covers it.
    Virtual,
}

/// How long a tick on a virtual clock waits before it looks again.
const VIRTUAL_WAIT: Duration = Duration::from_micros(500);

/// Ticks until the last source has ended or [`Orders::close`]. A tick that is late catches up block by block and skips none.
/// What is left of it is to be freed elsewhere.
#[must_use]
pub fn run(mut tick: Tick, pace: Pace, orders: &Arc<Orders>, pulse: &Pulse) -> Tick {
    if let Pace::Monotonic(clock) = pace {
        // Nobody else says it.
        let _ = orders.real_time.set(rt::promote(rt::PRIORITY_TICK));
        tick.keep_time(clock);
        tick.follow(Arc::clone(&orders.pilot));
    }
    while !tick.is_done() && !orders.close.load(Ordering::Acquire) {
        pulse.turn();
        match tick.due() {
            _ if tick.is_ending() => std::thread::sleep(VIRTUAL_WAIT),
            Some(due) => {
                orders.late_ns.store(due.late_ns, Ordering::Relaxed);
                rt::sleep_until(due.at_ns);
            }
            None => {
                let end = tick.next_frame().plus(tick.block_frames() as u64);
                if end.0 > orders.credit.load(Ordering::Acquire) || !tick.can_run() {
                    std::thread::sleep(VIRTUAL_WAIT);
                    continue;
                }
            }
        }
        let due = tick.due();
        tick.run(false);
        if let Some(due) = due {
            let (late_ns, before_ns) =
                (rt::now_ns().saturating_sub(due.at_ns), orders.written_ns.load(Ordering::Relaxed));
            let even_ns = if before_ns == 0 { late_ns } else { (63 * before_ns + late_ns) / 64 };
            orders.written_ns.store(even_ns, Ordering::Relaxed);
        }
        orders.blocks.fetch_add(1, Ordering::Relaxed);
    }
    if !tick.is_done() {
        tick.stop();
    }
    while !tick.is_done() {
        pulse.turn();
        if tick.must_wait() {
            std::thread::sleep(VIRTUAL_WAIT);
        } else {
            tick.run(true);
        }
    }
    // Pairs with the Acquire load of the control thread: who sees it finished finds all notes and rings.
    orders.finished.store(true, Ordering::Release);
    tick
}

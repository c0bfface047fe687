//! What the operating system does for real-time threads: priority, time, sleeping until a deadline.

#![expect(unsafe_code, reason = "ending without destructors has no safe wrapper among our crates")]

use audio_thread_priority::{
    RtPriorityThreadInfo, get_current_thread_info, promote_current_thread_to_real_time, promote_thread_to_real_time,
    set_rt_priority,
};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// `CLOCK_MONOTONIC`, in nanoseconds. No system call where the kernel has a vDSO.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Sleeps until a time on `CLOCK_MONOTONIC`; returns at once when it is past.
pub fn sleep_until(deadline_ns: u64) {
    let deadline = Timespec {
        tv_sec: i64::try_from(deadline_ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(deadline_ns % 1_000_000_000).unwrap_or(0),
    };
    // A signal is the only reason to wake early.
    while clock_nanosleep_absolute(ClockId::Monotonic, &deadline) == Err(rustix::io::Errno::INTR) {}
}

/// Asks for `SCHED_FIFO` for the calling thread. `false` when refused (a plain user): everything works, with more
/// jitter. Children of the thread begin with normal scheduling.
///
/// # Real time
/// None: a refusal allocates, and who asks waits for others that ask. A device's callback has [`CallbackThread`].
pub fn promote(priority: u8) -> bool {
    with_priority(priority, || promote_current_thread_to_real_time(0, ANY_RATE_HZ).is_ok())
}

/// Whether this process may have real-time priority: asked once, by a thread that then ends.
///
/// # Real time
/// None: it waits for that thread.
pub fn is_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let asking = std::thread::Builder::new().spawn(|| promote(PRIORITY_CALLBACK));
        asking.is_ok_and(|thread| thread.join().unwrap_or(false))
    })
}

/// A rate that the library wants to be told, and uses on other systems only.
const ANY_RATE_HZ: u32 = 48_000;

/// The library knows one priority for the whole process, so that one thread asks at a time.
fn with_priority(priority: u8, ask: impl FnOnce() -> bool) -> bool {
    static ONE_ASKS: Mutex<()> = Mutex::new(());
    let _one = ONE_ASKS.lock().unwrap_or_else(PoisonError::into_inner);
    set_rt_priority(Some(priority));
    ask()
}

/// The thread on which a device calls back. It cannot ask for its priority itself, as a refusal allocates: it says which
/// one it is, and who keeps the device asks.
#[derive(Default)]
pub struct CallbackThread {
    known: OnceLock<RtPriorityThreadInfo>,
    asked: AtomicBool,
}

impl CallbackThread {
    /// It is the calling thread. For every callback.
    ///
    /// # Real time
    /// Wait-free. The first time it asks the kernel for the thread's number and scheduling, which neither blocks nor
    /// allocates.
    pub fn is_this(&self) {
        if self.known.get().is_none()
            && let Ok(this) = get_current_thread_info()
        {
            // Nobody else says it, so that nobody is waited for.
            let _ = self.known.set(this);
        }
    }

    /// Whether a callback has said which thread it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.get().is_some()
    }

    /// Asks for [`PRIORITY_CALLBACK`] for it as soon as it is known, once. While the device calls back: the number of a
    /// thread that has ended may soon be another one's.
    pub fn promote(&self) {
        if let Some(&thread) = self.known.get()
            && !self.asked.swap(true, Ordering::Relaxed)
        {
            // The tick says what it means when this is refused.
            with_priority(PRIORITY_CALLBACK, || promote_thread_to_real_time(thread, 0, ANY_RATE_HZ).is_ok());
        }
    }
}

impl fmt::Debug for CallbackThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackThread").field("known", &self.is_known()).finish_non_exhaustive()
    }
}

/// Ends the process at once, without destructors: dropping a stream of a dead sound server never returns.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: no memory of ours is touched; files and mappings are the kernel's to close.
    unsafe { libc::_exit(i32::from(code)) }
}

/// The priority of the tick, and of device callbacks (a callback is shorter and cannot wait).
pub const PRIORITY_TICK: u8 = 10;
/// See [`PRIORITY_TICK`].
pub const PRIORITY_CALLBACK: u8 = 12;
/// Of the processing thread: it has a block's time, and never keeps the tick from its core.
pub const PRIORITY_RACK: u8 = 8;
/// Of what plays a ring: after the tick, which it waits for, and which must never wait for it.
pub const PRIORITY_PLAYER: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// `SCHED_FIFO` and the priority of the calling thread, as the kernel shows them.
    fn scheduling() -> (u32, u32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // The first of these is the third of proc(5).
        (fields[41 - 3].parse().unwrap(), fields[40 - 3].parse().unwrap())
    }

    #[test]
    fn levels_are_kept_by_threads_that_ask_at_once() {
        let ask = |priority: u8| {
            for _ in 0..50 {
                let granted = promote(priority);
                let expected = (1, u32::from(priority));
                assert_eq!(granted, scheduling() == expected, "{granted}: {:?}", scheduling());
            }
        };
        std::thread::scope(|scope| {
            for priority in [PRIORITY_TICK, PRIORITY_RACK, PRIORITY_PLAYER] {
                scope.spawn(move || ask(priority));
            }
        });
    }

    #[test]
    fn a_callbacks_thread_is_promoted_by_another_one() {
        let may = std::thread::spawn(|| promote(PRIORITY_CALLBACK)).join().unwrap();
        let (thread, step) = (CallbackThread::default(), Barrier::new(2));
        thread.promote();
        std::thread::scope(|scope| {
            let callback = scope.spawn(|| {
                thread.is_this();
                step.wait();
                step.wait();
                scheduling()
            });
            step.wait();
            thread.promote();
            step.wait();
            let is_promoted = callback.join().unwrap() == (1, u32::from(PRIORITY_CALLBACK));
            assert_eq!(is_promoted, may);
        });
    }
}

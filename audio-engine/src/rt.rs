//! What the operating system does for real-time threads: priority, time, sleeping until a deadline.

#![expect(unsafe_code, reason = "the scheduler's call has no safe wrapper among our crates")]

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

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
pub fn promote(priority: i32) -> bool {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` lives through the call, which only reads it; 0 names the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) == 0 }
}

/// Ends the process at once, without destructors: dropping a stream of a dead sound server never returns.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: no memory of ours is touched; files and mappings are the kernel's to close.
    unsafe { libc::_exit(i32::from(code)) }
}

/// The priority of the tick, and of device callbacks (a callback is shorter and cannot wait).
pub const PRIORITY_TICK: i32 = 10;
/// See [`PRIORITY_TICK`].
pub const PRIORITY_CALLBACK: i32 = 12;
/// Of the processing thread: it has a block's time, and never keeps the tick from its core.
pub const PRIORITY_RACK: i32 = 8;
/// Of what plays a ring: after the tick, which it waits for, and which must never wait for it.
pub const PRIORITY_PLAYER: i32 = 9;

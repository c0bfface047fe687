//! What only the system gives: words that processes share, plain copies beside them, a real-time class.
#![expect(unsafe_code, reason = "a shared mapping with plain copies, as a peer without a protocol has it")]

use anyhow::{Context, Result, ensure};
use memmap2::{MmapOptions, MmapRaw};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// A file that several processes map: words, and behind them room for samples.
pub(crate) struct Shared {
    map: MmapRaw,
}

/// Words of a [`Shared`] file; samples begin behind them.
pub(crate) const WORDS: usize = 1 << 16;
const SAMPLES_AT: usize = WORDS * 8;

impl Shared {
    /// A new file with room for so many samples, all of it present.
    pub(crate) fn create(path: &Path, samples: usize) -> Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let bytes = SAMPLES_AT + samples * 4;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes as u64)
            .with_context(|| format!("no room for {bytes} bytes at {}", path.display()))?;
        let shared = Self { map: MmapOptions::new().len(bytes).populate().map_raw(&file)? };
        Ok(shared)
    }

    /// One that another process made.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { map: MmapOptions::new().populate().map_raw(&file)? })
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "no such word");
        // SAFETY: inside the mapping, aligned, and nobody reaches these bytes in another way.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) }
    }

    /// The low half of a word, for those who sleep on it.
    fn half(&self, index: usize) -> &AtomicU32 {
        assert!(index < WORDS, "no such word");
        // SAFETY: as in `word`, on a little-endian machine.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index).cast()) }
    }

    /// Sleeps while the low half of a word is `seen`.
    pub(crate) fn sleep(&self, index: usize, seen: u64, at_most: Duration) {
        let timeout = futex::Timespec::try_from(at_most).ok();
        let seen = u32::try_from(seen & 0xffff_ffff).unwrap_or_default();
        let _ = futex::wait(self.half(index), futex::Flags::empty(), seen, timeout.as_ref());
    }

    /// Wakes all that sleep on a word.
    pub(crate) fn wake(&self, index: usize) {
        let _ = futex::wake(self.half(index), futex::Flags::empty(), i32::MAX as u32);
    }

    fn place(&self, sample: usize, count: usize) -> *mut f32 {
        assert!(SAMPLES_AT + (sample + count) * 4 <= self.map.len(), "outside of the file");
        // SAFETY: inside the mapping, as checked.
        unsafe { self.map.as_mut_ptr().add(SAMPLES_AT).cast::<f32>().add(sample) }
    }

    /// memcpy to the place of a sample.
    pub(crate) fn put(&self, at: usize, samples: &[f32]) {
        // SAFETY: both ranges are valid and lie in different memory. Another process may read the bytes meanwhile: that is
        // what this peer lacks, and what it reads then is judged by nobody.
        unsafe { std::ptr::copy_nonoverlapping(samples.as_ptr(), self.place(at, samples.len()), samples.len()) }
    }

    /// memcpy from the place of a sample.
    pub(crate) fn get(&self, at: usize, samples: &mut [f32]) {
        // SAFETY: as in `put`.
        unsafe { std::ptr::copy_nonoverlapping(self.place(at, samples.len()), samples.as_mut_ptr(), samples.len()) }
    }
}

/// Puts this process into the real-time class SCHED_FIFO.
pub(crate) fn be_real_time() -> Result<()> {
    let wish = libc::sched_param { sched_priority: 20 };
    // SAFETY: `wish` is a valid argument for the length of the call; 0 is this process.
    let code = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const wish) };
    ensure!(code == 0, "SCHED_FIFO is refused: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Puts this process back into the usual class.
pub(crate) fn be_usual() {
    let wish = libc::sched_param { sched_priority: 0 };
    // SAFETY: as in `be_real_time`.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const wish) };
}

/// Ends this process when the one that started it ends.
pub(crate) fn die_with_parent(parent: u32) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = rustix::process::getppid().map(Pid::as_raw_nonzero).map(|pid| pid.get().unsigned_abs());
    ensure!(now == Some(parent), "the bench is gone already");
    Ok(())
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    clock_ns(ClockId::Monotonic)
}

/// Nanoseconds that this thread has used a processor.
pub(crate) fn used_ns() -> u64 {
    clock_ns(ClockId::ThreadCPUTime)
}

fn clock_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// A hold on a process by its number; `None`: there is none.
pub(crate) fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).is_ok())
}

/// Keeps idle processors awake for as long as it lives (`Documentation/power/pm_qos_interface.rst` of the kernel, as
/// cyclictest does it): what it costs to wake a processor, up to 50 µs in a virtual machine, hides what a system costs.
pub(crate) struct Awake {
    _held: File,
}

impl Awake {
    pub(crate) fn hold() -> Result<Self> {
        let mut held = File::options().write(true).open("/dev/cpu_dma_latency").context("/dev/cpu_dma_latency")?;
        held.write_all(&0_i32.to_ne_bytes()).context("/dev/cpu_dma_latency")?;
        Ok(Self { _held: held })
    }
}

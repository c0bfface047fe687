//! Memory that stays where it is: what a callback touches is not to be fetched from a disk.
//!
//! Only named regions are locked, the queues between devices and tick, up to [`BYTES_MAX`]. Never the whole process, nor
//! what it may allocate in future: a plain user's limit would then fail its next allocation. Where the limit
//! (`RLIMIT_MEMLOCK`) has no room, or there is none below ours, memory is as everywhere. How much is locked the kernel
//! shows as `VmLck` in `/proc/PID/status`.

#![expect(unsafe_code, reason = "locking takes addresses")]

use std::sync::atomic::{AtomicUsize, Ordering};

/// So much is locked at most: the queues of ten stereo devices at 48 kHz.
const BYTES_MAX: usize = 8 << 20;

/// Bytes that are locked now.
static LOCKED: AtomicUsize = AtomicUsize::new(0);

/// The whole pages of a region, locked until this is dropped, which should be before the region is freed.
#[derive(Debug)]
pub(crate) struct Locked {
    at: usize,
    bytes: usize,
}

impl Locked {
    /// Locks what lies wholly inside of the region: a page that it shares with others stays as it is. `None` when there is
    /// nothing to lock, or it is refused.
    ///
    /// # Real time
    /// None, nor has dropping: system calls.
    pub(crate) fn pages_of<T>(region: &[T]) -> Option<Self> {
        let page = rustix::param::page_size();
        let (begin, end) = (region.as_ptr() as usize, region.as_ptr() as usize + size_of_val(region));
        let at = begin.next_multiple_of(page);
        let bytes = (end / page * page).checked_sub(at).filter(|&bytes| bytes > 0)?;
        let fits = |locked: usize| locked.checked_add(bytes).filter(|&all| all <= BYTES_MAX);
        LOCKED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        // SAFETY: the pages lie in memory that the caller has borrowed; their contents are not touched.
        if unsafe { libc::mlock(at as *const libc::c_void, bytes) } != 0 {
            LOCKED.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(Self { at, bytes })
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: no memory is touched. Were the pages another's by now, theirs would be as everybody's.
        unsafe { libc::munlock(self.at as *const libc::c_void, self.bytes) };
        LOCKED.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_are_locked_up_to_a_bound_and_let_go() {
        let page = rustix::param::page_size();
        assert!(Locked::pages_of(&vec![0_u8; page / 2]).is_none(), "it shares its page with others");
        assert!(Locked::pages_of(&vec![0_u8; BYTES_MAX + 2 * page]).is_none(), "more than is meant to be locked");
        let region = vec![0_u8; 8 * page];
        // A plain user's limit may be as small as 64 KiB.
        if let Some(locked) = Locked::pages_of(&region) {
            let (begin, end) = (region.as_ptr() as usize, region.as_ptr() as usize + region.len());
            assert!(locked.at >= begin && locked.at + locked.bytes <= end && locked.bytes >= 7 * page);
            assert!(locked.at % page == 0 && LOCKED.load(Ordering::Relaxed) >= locked.bytes);
        }
    }
}

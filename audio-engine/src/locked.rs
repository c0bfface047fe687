//! Memory that stays where it is: what a callback or the tick touches is not to be fetched from a disk.
//!
//! Only named regions are locked, up to [`BYTES_MAX`]: the queues between devices and tick and between players and outputs,
//! the blocks that are captured and mixed, and the hot lines of the rings that are written. Never the whole process, nor
//! what it may allocate in future: a plain user's limit would then fail its next allocation. Where the limit
//! (`RLIMIT_MEMLOCK`) has no room, or there is none below ours, memory is as everywhere. How much is locked the kernel
//! shows as `VmLck` in `/proc/PID/status`.

#![expect(unsafe_code, reason = "locking takes addresses")]

use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::{AtomicUsize, Ordering};

/// So much is locked at most.
const BYTES_MAX: usize = 8 << 20;
/// Of it by queues, those of nine stereo devices at 48 kHz: the rest is for what is small and touched in every block.
const QUEUES_BYTES_MAX: usize = 7 << 20;

/// Bytes that are locked now.
static LOCKED: AtomicUsize = AtomicUsize::new(0);

/// Pages that are locked until this is dropped, which should be before their memory is freed.
#[derive(Debug)]
pub(crate) struct Locked {
    at: usize,
    bytes: usize,
}

impl Locked {
    /// Locks what lies wholly inside of a queue: a page that it shares with others stays as it is. `None` when there is
    /// nothing to lock, or it is refused.
    ///
    /// # Real time
    /// None, nor has dropping: system calls.
    pub(crate) fn queue<T>(region: &[T]) -> Option<Self> {
        let begin = region.as_ptr() as usize;
        Self::pages_in(begin..begin + size_of_val(region), QUEUES_BYTES_MAX)
    }

    /// The same for a mapping that has these addresses, or a part of it.
    pub(crate) fn mapped(addresses: Range<usize>) -> Option<Self> {
        Self::pages_in(addresses, BYTES_MAX)
    }

    fn pages_in(addresses: Range<usize>, most: usize) -> Option<Self> {
        let page = rustix::param::page_size();
        let at = addresses.start.next_multiple_of(page);
        let bytes = (addresses.end / page * page).checked_sub(at).filter(|&bytes| bytes > 0)?;
        let fits = |locked: usize| locked.checked_add(bytes).filter(|&all| all <= most);
        LOCKED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        // SAFETY: no memory is touched. Pages that are not there are refused by the kernel.
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

/// Samples in pages of their own, which are locked where that is allowed.
#[derive(Debug)]
pub(crate) struct LockedSamples {
    _locked: Option<Locked>,
    /// The samples, and around them what fills their pages.
    pages: Vec<f32>,
    place: Range<usize>,
}

impl LockedSamples {
    /// So many zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let page = rustix::param::page_size();
        let samples_a_page = page / size_of::<f32>();
        let pages = vec![0.0; count.next_multiple_of(samples_a_page) + samples_a_page];
        let begin = pages.as_ptr() as usize;
        let before = (begin.next_multiple_of(page) - begin) / size_of::<f32>();
        let end = begin + (before + count.next_multiple_of(samples_a_page)) * size_of::<f32>();
        Self { _locked: Locked::pages_in(begin..end, BYTES_MAX), pages, place: before..before + count }
    }
}

impl Deref for LockedSamples {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.pages[self.place.clone()]
    }
}

impl DerefMut for LockedSamples {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.pages[self.place.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_are_locked_up_to_a_bound_and_let_go() {
        let page = rustix::param::page_size();
        assert!(Locked::queue(&vec![0_u8; page / 2]).is_none(), "it shares its page with others");
        assert!(Locked::queue(&vec![0_u8; BYTES_MAX + 2 * page]).is_none(), "more than is meant to be locked");
        let region = vec![0_u8; 8 * page];
        // A plain user's limit may be as small as 64 KiB.
        if let Some(locked) = Locked::queue(&region) {
            let (begin, end) = (region.as_ptr() as usize, region.as_ptr() as usize + region.len());
            assert!(locked.at >= begin && locked.at + locked.bytes <= end && locked.bytes >= 7 * page);
            assert!(locked.at % page == 0 && LOCKED.load(Ordering::Relaxed) >= locked.bytes);
        }
    }

    #[test]
    fn samples_have_pages_of_their_own() {
        let page = rustix::param::page_size();
        for count in [1, 960, 1_024, 1_025, 5_000] {
            let mut samples = LockedSamples::zeros(count);
            assert!(samples.len() == count && samples.iter().all(|sample| *sample == 0.0));
            samples.fill(1.0);
            let begin = samples.as_ptr() as usize;
            assert_eq!(begin % page, 0);
            if let Some(locked) = &samples._locked {
                assert_eq!((locked.at, locked.bytes), (begin, (4 * count).next_multiple_of(page)));
            }
        }
    }
}

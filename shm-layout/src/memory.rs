//! The mapping: every byte another process may write is reached through an atomic, here and only here.
#![expect(unsafe_code, reason = "atomics inside a shared mapping")]

use crate::copy;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use memmap2::{MmapOptions, MmapRaw};
use rustix::thread::futex;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A mapped file, and with each clone the same mapping. Offsets are in bytes and checked at each use; a wrong one panics
/// and touches nothing.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    map: Arc<MmapRaw>,
    writable: bool,
}

impl Mapping {
    pub(crate) fn read_only(file: &File, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw_read_only(file)?;
        Ok(Self { map: Arc::new(map), writable: false })
    }

    pub(crate) fn read_write(file: &File, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw(file)?;
        Ok(Self { map: Arc::new(map), writable: true })
    }

    /// The very same addresses for a reader: a race detector knows addresses, and two mappings of one file have two.
    #[cfg(test)]
    pub(crate) fn for_reader(&self) -> Self {
        Self { map: Arc::clone(&self.map), writable: false }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// The address of `bytes` bytes at `offset`, aligned to `align`.
    fn address(&self, offset: usize, bytes: usize, align: usize) -> *mut u8 {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.map.len());
        assert!(inside && offset.is_multiple_of(align), "offset {offset} outside of the mapping");
        // SAFETY: `offset` lies inside the mapping, as checked above, so the result does too.
        unsafe { self.map.as_mut_ptr().add(offset) }
    }

    /// The addresses of a range.
    pub(crate) fn addresses(&self, offset: usize, bytes: usize) -> std::ops::Range<usize> {
        let begin = self.address(offset, bytes, 1) as usize;
        begin..begin + bytes
    }

    pub(crate) fn load_u64(&self, offset: usize, order: Ordering) -> u64 {
        self.atomic_u64(offset).load(order)
    }

    pub(crate) fn load_u32(&self, offset: usize, order: Ordering) -> u32 {
        self.atomic_u32(offset).load(order)
    }

    pub(crate) fn store_u64(&self, offset: usize, value: u64, order: Ordering) {
        assert!(self.writable, "store through a read-only mapping");
        self.atomic_u64(offset).store(value, order);
    }

    pub(crate) fn store_u32(&self, offset: usize, value: u32, order: Ordering) {
        assert!(self.writable, "store through a read-only mapping");
        self.atomic_u32(offset).store(value, order);
    }

    /// Replaces `from` by `to`; whether it was `from`.
    pub(crate) fn exchange_u32(&self, offset: usize, from: u32, to: u32, order: Ordering) -> bool {
        assert!(self.writable, "store through a read-only mapping");
        self.atomic_u32(offset).compare_exchange(from, to, order, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn add_u32(&self, offset: usize, order: Ordering) {
        assert!(self.writable, "store through a read-only mapping");
        self.atomic_u32(offset).fetch_add(1, order);
    }

    fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        let at = self.address(offset, 8, 8).cast::<u64>();
        // SAFETY: inside the mapping and aligned (checked by `address`; mappings are page-aligned). It lives as long
        // as `self`. Nobody has a plain reference to these bytes: every process uses atomics. Callers only load
        // through read-only mappings, and a load of 8 aligned bytes is one plain instruction.
        unsafe { AtomicU64::from_ptr(at) }
    }

    fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        let at = self.address(offset, 4, 4).cast::<u32>();
        // SAFETY: as in `atomic_u64`, with 4 bytes.
        unsafe { AtomicU32::from_ptr(at) }
    }

    /// Copies samples out.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub(crate) fn copy_out(&self, offset: usize, samples: &mut [f32]) {
        let from = self.address(offset, samples.len() * 4, 4);
        // SAFETY: the range lies inside the mapping and is aligned (checked by `address`), lives as long as `self`, and
        // is only ever reached through atomics and these copies.
        unsafe { copy::copy_out(from, samples) }
    }

    /// Copies samples in.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub(crate) fn copy_in(&self, offset: usize, samples: &[f32]) {
        assert!(self.writable, "store through a read-only mapping");
        let to = self.address(offset, samples.len() * 4, 4);
        // SAFETY: as in `copy_out`, and writable.
        unsafe { copy::copy_in(to, samples) }
    }

    /// The samples of a range, in place, as the bits of f32.
    pub(crate) fn samples(&self, offset: usize, count: usize) -> &[AtomicU32] {
        // So long a range lies nowhere, and must not become a short one by overflow.
        let bytes = count.saturating_mul(4);
        let at = self.address(offset, bytes, 4).cast::<AtomicU32>();
        // SAFETY: the range lies inside the mapping and is aligned (checked by `address`), lives as long as `self`, and
        // is only ever reached through atomics. An AtomicU32 is laid out as a u32.
        unsafe { std::slice::from_raw_parts(at, count) }
    }

    /// Copies header bytes out; `offset` is a multiple of 4.
    pub(crate) fn copy_bytes(&self, offset: usize, out: &mut [u8]) {
        let base = self.address(offset, out.len(), 4);
        for (at, piece) in out.chunks_mut(4).enumerate() {
            // SAFETY: the piece begins inside the checked range, which is a multiple of 4 from an aligned base; a
            // last partial piece still lies in a page of the mapping because offsets and lengths are header fields.
            let word = unsafe { AtomicU32::from_ptr(base.add(at * 4).cast()).load(Ordering::Relaxed) };
            piece.copy_from_slice(&word.to_le_bytes()[..piece.len()]);
        }
    }

    /// Makes the pages of a range present and writable without changing a byte.
    pub(crate) fn touch(&self, offset: usize, bytes: usize) {
        assert!(self.writable, "store through a read-only mapping");
        let end = (offset + bytes).min(self.bytes()) & !3;
        let mut at = offset & !4095;
        while at + 4 <= end {
            // An atomic "or nothing" is a write for the page table and changes nothing for a concurrent writer.
            self.atomic_u32(at).fetch_or(0, Ordering::Relaxed);
            at += 4096;
        }
    }

    /// Sleeps until woken, while the word at `offset` is `expected`. Spurious returns are normal.
    pub(crate) fn futex_wait(&self, offset: usize, expected: u32, timeout: Duration) {
        let timeout = futex::Timespec::try_from(timeout).ok();
        let word = self.atomic_u32(offset);
        // Each outcome (woken, changed, timed out, interrupted) means the same to the caller: look again.
        let _ = futex::wait(word, futex::Flags::empty(), expected, timeout.as_ref());
    }

    /// Wakes all that wait for the word at `offset`.
    pub(crate) fn futex_wake_all(&self, offset: usize) {
        let _ = futex::wake(self.atomic_u32(offset), futex::Flags::empty(), i32::MAX as u32);
    }
}

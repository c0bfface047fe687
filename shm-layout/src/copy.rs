//! Samples into the mapping and out of it, while another process may read or write them: relaxed atomics of two samples
//! each, or where the processor has AVX, 32 bytes at a time ([`vector`]).
//!
//! The vectors are the same relaxed accesses, word by word, to machine and protocol; the compiler cannot make them of
//! atomics. What looks at a program's accesses one by one, does not see them: for ThreadSanitizer and miri all copies are
//! atomics (`--cfg atomic_copies`, which `scripts/prove` gives), and for loom `memory_loom.rs` has its own.
#![expect(unsafe_code, reason = "atomics at addresses inside a shared mapping")]

#[cfg(all(target_arch = "x86_64", not(any(atomic_copies, miri))))]
#[path = "copy_avx.rs"]
mod vector;

/// Without vectors.
#[cfg(not(all(target_arch = "x86_64", not(any(atomic_copies, miri)))))]
mod vector {
    pub(super) const fn is_there() -> bool {
        false
    }

    pub(super) const unsafe fn copy(_from: *const u8, _to: *mut u8, _bytes: usize) -> usize {
        0
    }
}

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Whether samples are copied in vectors here.
#[cfg(test)]
pub(crate) fn in_vectors() -> bool {
    vector::is_there()
}

/// Fills `samples` from the mapping.
///
/// # Safety
/// `from` is a multiple of 4, and so many samples from there on are mapped and are only ever reached through atomics or
/// these copies.
///
/// # Real time
/// Wait-free; does not allocate.
pub(crate) unsafe fn copy_out(from: *const u8, samples: &mut [f32]) {
    let mut at = from.cast_mut();
    let mut rest = samples;
    if vector::is_there() {
        // SAFETY: both ranges are as long as `rest`, and the caller answers for `from`. An f32 has any bits.
        let done = unsafe { vector::copy(at, rest.as_mut_ptr().cast(), rest.len() * 4) };
        // SAFETY: at most one past the end of the caller's range.
        at = unsafe { at.add(done) };
        rest = &mut rest[done / 4..];
    }
    let (head, rest) = rest.split_at_mut(usize::from(!at.addr().is_multiple_of(8)).min(rest.len()));
    for sample in head {
        // SAFETY: `at` walks over the caller's range, 4 bytes a sample.
        *sample = f32::from_bits(unsafe { AtomicU32::from_ptr(at.cast()).load(Ordering::Relaxed) });
        // SAFETY: at most one past the end of the caller's range.
        at = unsafe { at.add(4) };
    }
    let mut pairs = rest.chunks_exact_mut(2);
    for pair in &mut pairs {
        // SAFETY: two samples of the caller's range; `at` is a multiple of 8 after the head.
        let both = unsafe { AtomicU64::from_ptr(at.cast()).load(Ordering::Relaxed) }.to_le_bytes();
        pair[0] = f32::from_le_bytes([both[0], both[1], both[2], both[3]]);
        pair[1] = f32::from_le_bytes([both[4], both[5], both[6], both[7]]);
        // SAFETY: at most one past the end of the caller's range.
        at = unsafe { at.add(8) };
    }
    if let [last] = pairs.into_remainder() {
        // SAFETY: the last sample of the caller's range.
        *last = f32::from_bits(unsafe { AtomicU32::from_ptr(at.cast()).load(Ordering::Relaxed) });
    }
}

/// Puts `samples` into the mapping.
///
/// # Safety
/// As [`copy_out`], and the mapping is writable.
///
/// # Real time
/// Wait-free; does not allocate.
pub(crate) unsafe fn copy_in(to: *mut u8, samples: &[f32]) {
    let mut at = to;
    let mut rest = samples;
    if vector::is_there() {
        // SAFETY: both ranges are as long as `rest`, and the caller answers for `to`.
        let done = unsafe { vector::copy(rest.as_ptr().cast(), at, rest.len() * 4) };
        // SAFETY: at most one past the end of the caller's range.
        at = unsafe { at.add(done) };
        rest = &rest[done / 4..];
    }
    let (head, rest) = rest.split_at(usize::from(!at.addr().is_multiple_of(8)).min(rest.len()));
    for sample in head {
        // SAFETY: `at` walks over the caller's range, 4 bytes a sample.
        unsafe { AtomicU32::from_ptr(at.cast()).store(sample.to_bits(), Ordering::Relaxed) };
        // SAFETY: at most one past the end of the caller's range.
        at = unsafe { at.add(4) };
    }
    let mut pairs = rest.chunks_exact(2);
    for pair in &mut pairs {
        let both = u64::from(pair[0].to_bits()) | (u64::from(pair[1].to_bits()) << 32);
        // SAFETY: two samples of the caller's range; `at` is a multiple of 8 after the head.
        unsafe { AtomicU64::from_ptr(at.cast()).store(both, Ordering::Relaxed) };
        // SAFETY: at most one past the end of the caller's range.
        at = unsafe { at.add(8) };
    }
    if let [last] = pairs.remainder() {
        // SAFETY: the last sample of the caller's range.
        unsafe { AtomicU32::from_ptr(at.cast()).store(last.to_bits(), Ordering::Relaxed) };
    }
}

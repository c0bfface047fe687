//! Copies of 32 bytes at a time, in assembly: to the compiler an access by somebody else, which cannot be a data race.
//!
//! The loads and stores are ordinary ones. On x86 they stay in order with all others before and after, as far as the
//! protocol's fences ask for it (loads with loads, stores with stores), and the compiler moves no access to memory over
//! the block (no `nomem`), nor over the fences. A load of 32 bytes may see some words of before and some of after a
//! store, as the atomics of `copy.rs` may from one to the next: the reader's check covers both.
#![expect(unsafe_code, reason = "assembly, where the compiler has no vector of atomics")]

use std::arch::asm;

/// What one turn of the loop copies.
const BLOCK_BYTES: usize = 128;

/// Whether this processor and system have the registers. The answer is kept by the standard library: a load and a test.
pub(super) fn is_there() -> bool {
    std::arch::is_x86_feature_detected!("avx")
}

/// Copies as many whole blocks as fit into `bytes`; returns how many bytes they are.
///
/// # Safety
/// [`is_there`]; both ranges are mapped, `to` writable, and they do not overlap.
///
/// # Real time
/// Wait-free; does not allocate.
#[inline]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) -> usize {
    let whole = bytes - bytes % BLOCK_BYTES;
    if whole == 0 {
        return 0;
    }
    // SAFETY: `at` goes from 0 to `whole` in steps of a block, so that every access lies inside the two ranges, which the
    // caller answers for. No alignment is needed. Registers and flags that change are named (the upper halves belong to
    // the named ones, and are left clean as the ABI wants it); the stack is not touched.
    unsafe {
        asm!(
            "2:",
            "vmovups ymm0, [{from} + {at}]",
            "vmovups ymm1, [{from} + {at} + 32]",
            "vmovups ymm2, [{from} + {at} + 64]",
            "vmovups ymm3, [{from} + {at} + 96]",
            "vmovups [{to} + {at}], ymm0",
            "vmovups [{to} + {at} + 32], ymm1",
            "vmovups [{to} + {at} + 64], ymm2",
            "vmovups [{to} + {at} + 96], ymm3",
            "add {at}, {block}",
            "cmp {at}, {whole}",
            "jb 2b",
            "vzeroupper",
            from = in(reg) from,
            to = in(reg) to,
            whole = in(reg) whole,
            at = inout(reg) 0_usize => _,
            block = const BLOCK_BYTES,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            // The upper halves of all vector registers are cleared.
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack),
        );
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::{copy_in, copy_out};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sample_arrives_and_none_beside(len in 0_usize..200, at in 0_usize..40) {
            let samples: Vec<f32> = (0_u16..200).take(len).map(|n| f32::from(n) + 1.0).collect();
            // Samples behind an address of any alignment there may be.
            let mut place = vec![0.0_f32; 250];
            // SAFETY: `at + len` is below 250, and nobody else knows the place.
            unsafe { copy_in(place.as_mut_ptr().add(at).cast(), &samples) };
            let expected = |n: usize| if (at..at + len).contains(&n) { samples[n - at] } else { 0.0 };
            prop_assert!((0..250).all(|n| place[n].to_bits() == expected(n).to_bits()), "{place:?}");
            let mut out = vec![9.0_f32; len + 2];
            // SAFETY: as above.
            unsafe { copy_out(place.as_ptr().add(at).cast(), &mut out[1..=len]) };
            prop_assert_eq!(&out[1..=len], &samples[..]);
            prop_assert_eq!((out[0], out[len + 1]), (9.0, 9.0));
        }
    }

    #[test]
    fn only_whole_blocks_are_copied() {
        if !is_there() {
            eprintln!("NOTE: no AVX here: the vectors are not tested");
            return;
        }
        for (bytes, copied) in [(0, 0), (127, 0), (128, 128), (300, 256)] {
            let (from, mut to) = (vec![1_u8; bytes], vec![0_u8; bytes]);
            // SAFETY: both are so long.
            assert_eq!(unsafe { copy(from.as_ptr(), to.as_mut_ptr(), bytes) }, copied);
            assert_eq!(to.iter().filter(|&&byte| byte == 1).count(), copied);
        }
    }
}

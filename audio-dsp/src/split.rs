//! Complex numbers to their real and imaginary parts, of which the compiler makes vectors then.

use rustfft::num_complex::Complex;

/// Their parts in memory's order: re and im of the first, re and im of the second.
#[expect(unsafe_code, reason = "the same numbers as another type")]
pub(crate) const fn flat(numbers: &mut [Complex<f32>]) -> &mut [f32] {
    // SAFETY: `Complex` is `repr(C)`, two `f32`, and the lifetime stays.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), numbers.len() * 2) }
}

/// In their order, as many as there are places.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) fn split(numbers: &[Complex<f32>], re: &mut [f32], im: &mut [f32]) {
    for ((re, im), number) in re.iter_mut().zip(im).zip(numbers) {
        (*re, *im) = (number.re, number.im);
    }
}

/// The last one first.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) fn split_reversed(numbers: &[Complex<f32>], re: &mut [f32], im: &mut [f32]) {
    for ((re, im), number) in re.iter_mut().zip(im).zip(numbers.iter().rev()) {
        (*re, *im) = (number.re, number.im);
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) use vectors::{split, split_reversed};

/// As above. The compiler makes no vectors of them for WebAssembly, not even of `f32x4` of what lies side by side.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[expect(unsafe_code, reason = "vectors are loaded and stored by address")]
mod vectors {
    use super::Complex;
    use std::arch::wasm32::{u32x4_shuffle, v128, v128_load, v128_store};

    /// Four numbers: re and im of two, and of two more.
    fn load(numbers: &[Complex<f32>; 4]) -> (v128, v128) {
        let at = numbers.as_ptr().cast::<v128>();
        // SAFETY: `Complex` is `repr(C)`, two `f32`: four of them are two vectors, and no address is unaligned for them.
        unsafe { (v128_load(at), v128_load(at.add(1))) }
    }

    fn store(vector: v128, out: &mut [f32; 4]) {
        // SAFETY: four `f32` are a vector, and no address is unaligned for it.
        unsafe { v128_store(out.as_mut_ptr().cast(), vector) }
    }

    pub(crate) fn split(numbers: &[Complex<f32>], re: &mut [f32], im: &mut [f32]) {
        let (fours, rest) = numbers.as_chunks::<4>();
        let ((re, re_rest), (im, im_rest)) = (re.as_chunks_mut::<4>(), im.as_chunks_mut::<4>());
        for ((four, re), im) in fours.iter().zip(re).zip(im) {
            let (low, high) = load(four);
            store(u32x4_shuffle::<0, 2, 4, 6>(low, high), re);
            store(u32x4_shuffle::<1, 3, 5, 7>(low, high), im);
        }
        for ((re, im), number) in re_rest.iter_mut().zip(im_rest).zip(rest) {
            (*re, *im) = (number.re, number.im);
        }
    }

    pub(crate) fn split_reversed(numbers: &[Complex<f32>], re: &mut [f32], im: &mut [f32]) {
        let (rest, fours) = numbers.as_rchunks::<4>();
        let ((re, re_rest), (im, im_rest)) = (re.as_chunks_mut::<4>(), im.as_chunks_mut::<4>());
        for ((four, re), im) in fours.iter().rev().zip(re).zip(im) {
            let (low, high) = load(four);
            store(u32x4_shuffle::<6, 4, 2, 0>(low, high), re);
            store(u32x4_shuffle::<7, 5, 3, 1>(low, high), im);
        }
        for ((re, im), number) in re_rest.iter_mut().zip(im_rest).zip(rest.iter().rev()) {
            (*re, *im) = (number.re, number.im);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there_in_both_orders() {
        for count in 0..11_u8 {
            let numbers: Vec<_> = (0..count).map(|n| Complex::new(f32::from(n), -f32::from(n) - 0.5)).collect();
            let (mut re, mut im) = (vec![9.0; numbers.len()], vec![9.0; numbers.len()]);
            let together = |re: &[f32], im: &[f32]| -> Vec<_> {
                re.iter().zip(im).map(|(&re, &im)| Complex::new(re, im)).collect()
            };
            split(&numbers, &mut re, &mut im);
            assert_eq!(together(&re, &im), numbers);
            split_reversed(&numbers, &mut re, &mut im);
            let parts: Vec<f32> = numbers.iter().flat_map(|number| [number.re, number.im]).collect();
            assert_eq!(flat(&mut numbers.clone()), parts);
            assert!(together(&re, &im).iter().eq(numbers.iter().rev()), "{count}");
        }
    }
}

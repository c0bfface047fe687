//! Whisper's weights in 8 bits: of whisper.cpp's file with weights of 16 bits its file of kind `q8_0`, byte for byte as
//! whisper.cpp's own program makes it.
//!
//! 32 weights become one scale of 16 bits and 32 whole numbers of 8 (ggml's `q8_0`): the largest of them is ±127 scales.
//! Matrices become so, but not the positions, nor what stands in the file as a matrix of one column; all else is copied.
//! The arithmetic is ggml's, in 32 bits, or the bytes would differ: a weight is multiplied by the reciprocal of the
//! scale before that is rounded, and halves are rounded away from zero.

use crate::error::StoreError;
use crate::ggml::NotGgml;
use crate::progress::Progress;
use crate::walk::{Tensor, Walk};
use std::io::{BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Weights that have a scale in common.
const BLOCK: usize = 32;

/// Weights that are read at once.
const WEIGHTS_AT_ONCE: usize = 1 << 15;

/// ggml's numbers of how values are stored.
const F32: u32 = 0;
const F16: u32 = 1;
const Q8_0: u32 = 8;

/// Where a file says how its weights are stored, and what it says of these: the second version of quantisation, in
/// thousands, and the kind of file.
const WEIGHTS_AT: usize = 44;
const WEIGHTS: u32 = 2_007;

/// What stays as it is although it has two dimensions.
const KEPT: [&[u8]; 4] =
    [b"encoder.conv1.bias", b"encoder.conv2.bias", b"encoder.positional_embedding", b"decoder.positional_embedding"];

/// Writes what `from` is with weights of 8 bits to `to`. Where this fails, what is in `to` is nothing.
///
/// # Errors
/// `from` is no whole model with weights of 16 or 32 bits; a file cannot be read or written; somebody asked to stop.
pub(crate) fn to_q8_0(from: &Path, to: &NamedTempFile, progress: &mut dyn Progress) -> Result<(), StoreError> {
    let not_ggml = |why| StoreError::NotGgml { path: from.to_owned(), why };
    let unwritable = || StoreError::io("cannot write", to.path());
    let mut out = BufWriter::with_capacity(256 << 10, to.as_file());

    let mut walk = Walk::begin(from).map_err(not_ggml)?;
    walk.header().map_err(not_ggml)?;
    let mut beginning = vec![0; usize::try_from(walk.at()).unwrap_or(0)];
    let mut walk = Walk::begin(from).map_err(not_ggml)?;
    walk.take(&mut beginning).map_err(not_ggml)?;
    beginning[WEIGHTS_AT..WEIGHTS_AT + 4].copy_from_slice(&WEIGHTS.to_le_bytes());
    out.write_all(&beginning).map_err(unwritable())?;

    let mut piece = Vec::new();
    while let Some(tensor) = walk.tensor().map_err(not_ggml)? {
        let kind = kind_of(&tensor).map_err(not_ggml)?;
        describe(&tensor, kind, &mut out).map_err(unwritable())?;
        let width = if tensor.kind == F32 { 4 } else { 2 };
        let mut left = tensor.bytes;
        while left > 0 {
            if progress.stopped() {
                return Err(StoreError::Stopped);
            }
            let now = left.min((width * WEIGHTS_AT_ONCE) as u64);
            piece.resize(usize::try_from(now).unwrap_or(0), 0);
            walk.take(&mut piece).map_err(not_ggml)?;
            if kind == Q8_0 && tensor.kind != Q8_0 {
                for block in piece.chunks_exact(width * BLOCK) {
                    let block = block_of(&weights_of(block))
                        .ok_or_else(|| not_ggml(NotGgml::Weights("some are no numbers: it is damaged".into())))?;
                    out.write_all(&block).map_err(unwritable())?;
                }
            } else {
                out.write_all(&piece).map_err(unwritable())?;
            }
            left -= now;
            progress.bytes(walk.at());
        }
    }
    out.flush().map_err(unwritable())
}

/// How the values of a tensor are to be stored.
fn kind_of(tensor: &Tensor) -> Result<u32, NotGgml> {
    let &[row, _] = &tensor.shape[..] else { return Ok(tensor.kind) };
    if KEPT.contains(&&tensor.name[..]) {
        return Ok(tensor.kind);
    }
    if !matches!(tensor.kind, F32 | F16) {
        return Err(NotGgml::Weights("they have less than 16 bits already".into()));
    }
    if !(row as usize).is_multiple_of(BLOCK) {
        return Err(NotGgml::Weights(format!("a row has {row}, which is no multiple of {BLOCK}")));
    }
    Ok(Q8_0)
}

/// What stands before the values.
fn describe(tensor: &Tensor, kind: u32, out: &mut impl Write) -> std::io::Result<()> {
    let length = |of: usize| u32::try_from(of).map_err(std::io::Error::other);
    let numbers = [length(tensor.shape.len())?, length(tensor.name.len())?, kind];
    for number in numbers.iter().chain(&tensor.shape) {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(&tensor.name)
}

/// A block of weights, which are of 16 bits where they have as many, else of 32.
fn weights_of(bytes: &[u8]) -> [f32; BLOCK] {
    let mut weights = [0.0; BLOCK];
    if bytes.len() == 2 * BLOCK {
        for (weight, &bits) in weights.iter_mut().zip(bytes.as_chunks().0) {
            *weight = from_f16(u16::from_le_bytes(bits));
        }
    } else {
        for (weight, &bits) in weights.iter_mut().zip(bytes.as_chunks().0) {
            *weight = f32::from_le_bytes(bits);
        }
    }
    weights
}

/// The scale and the weights in it; `None` where one is no number.
fn block_of(weights: &[f32; BLOCK]) -> Option<[u8; 2 + BLOCK]> {
    let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let scale = largest / 127.0;
    if !weights.iter().all(|weight| weight.is_finite()) || scale > f16_max() {
        return None;
    }
    let per_scale = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; 2 + BLOCK];
    block[..2].copy_from_slice(&to_f16(scale).to_le_bytes());
    for (byte, weight) in block[2..].iter_mut().zip(weights) {
        #[expect(clippy::cast_possible_truncation, reason = "from -127 to 127")]
        let rounded = (weight * per_scale).round() as i8;
        *byte = rounded.to_le_bytes()[0];
    }
    Some(block)
}

const fn f16_max() -> f32 {
    65_504.0
}

/// A number of 16 bits (IEEE 754 binary16) that is one; infinities stay what they are.
fn from_f16(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    if rest >= 0x7c00 {
        return f32::from_bits(sign | 0x7f80_0000 | (rest << 13));
    }
    // The exponents begin 112 apart. Multiplied, what is below the smallest normal number comes out right too.
    f32::from_bits(sign | (rest << 13)) * f32::from_bits((127 + 112) << 23)
}

/// The nearest number of 16 bits, of two the even one. From 0 to [`f16_max`].
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "fits, by what it is given")]
fn to_f16(number: f32) -> u16 {
    const SMALLEST_NORMAL: f32 = 6.103_515_6e-5;
    if number < SMALLEST_NORMAL {
        // Steps of 2⁻²⁴.
        return (number * 16_777_216.0).round_ties_even() as u16;
    }
    let bits = number.to_bits() - (112 << 23);
    ((bits + 0xfff + ((bits >> 13) & 1)) >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ggml::Header;
    use crate::progress::Silent;
    use crate::walk::MAGIC;

    fn numbers(of: &[u32]) -> Vec<u8> {
        of.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// One of 16 bits that is `kind` of 64 values in two rows, then one of each that stays.
    fn model(kind: u32) -> Vec<u8> {
        let mut bytes = numbers(&[MAGIC, 51_864, 1_500, 384, 6, 4, 448, 384, 6, 4, 80, 1, 80, 2]);
        bytes.extend(numbers(&[0; 160]));
        bytes.extend(numbers(&[1, 2]));
        bytes.extend(b"hi");
        let mut put = |name: &[u8], kind: u32, shape: &[u32], values: &[u8]| {
            let length = |of: usize| u32::try_from(of).unwrap();
            bytes.extend(numbers(&[length(shape.len()), length(name.len()), kind]));
            bytes.extend(numbers(shape));
            bytes.extend(name);
            bytes.extend(values);
        };
        let weights: Vec<f32> = (0..64).map(|i| if i < 32 { 0.0 } else { i as f32 - 48.0 }).collect();
        let values: Vec<u8> = match kind {
            F32 => weights.iter().flat_map(|weight| weight.to_le_bytes()).collect(),
            F16 => weights.iter().flat_map(|weight| half(*weight).to_le_bytes()).collect(),
            _ => vec![0; 68],
        };
        put(b"decoder.blocks.0.mlp.0.weight", kind, &[32, 2], &values);
        put(b"encoder.positional_embedding", F32, &[32, 1], &[1; 128]);
        put(b"encoder.conv1.bias", F32, &[1, 3], &[2; 12]);
        put(b"encoder.conv1.weight", F16, &[3, 32, 1], &[3; 192]);
        put(b"encoder.ln_post.bias", F32, &[5], &[4; 20]);
        bytes
    }

    fn half(number: f32) -> u16 {
        to_f16(number.abs()) | if number < 0.0 { 0x8000 } else { 0 }
    }

    fn quantised(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let (from, to) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
        std::fs::write(from.path(), bytes).unwrap();
        to_q8_0(from.path(), &to, &mut Silent).map_err(|e| e.to_string())?;
        assert_eq!(Header::read(to.path()).unwrap().weights(), "q8_0");
        Ok(std::fs::read(to.path()).unwrap())
    }

    #[test]
    fn matrices_become_blocks_and_all_else_stays() {
        let from = model(F16);
        let made = quantised(&from).unwrap();
        assert_eq!(quantised(&model(F32)).unwrap(), made, "16 and 32 bits say the same here");
        // 128 bytes of weights became two blocks; nothing else changed but the two numbers that say so.
        assert_eq!(made.len(), from.len() - 128 + 2 * 34);
        let name = b"decoder.blocks.0.mlp.0.weight";
        let at = from.windows(name.len()).position(|bytes| bytes == name).unwrap();
        let (blocks, rest) = made[at + name.len()..].split_at(2 * 34);
        assert_eq!(rest, &from[at + name.len() + 128..]);
        let mut before = from[..at + name.len()].to_vec();
        before[WEIGHTS_AT..WEIGHTS_AT + 4].copy_from_slice(&2_007_u32.to_le_bytes());
        before[at - 12..at - 8].copy_from_slice(&Q8_0.to_le_bytes());
        assert_eq!(made[..at + name.len()], before);
        assert_eq!(blocks[..34], [0; 34], "nothing is nothing");
        // -16 … 15 with a scale of 16/127.
        let scale = from_f16(u16::from_le_bytes([blocks[34], blocks[35]]));
        assert!((scale - 16.0 / 127.0).abs() < 1e-4, "{scale}");
        let of = |i: usize| i8::from_le_bytes([blocks[36 + i]]);
        assert_eq!([of(0), of(16), of(17), of(31)], [-127, 0, 8, 119]);
    }

    #[test]
    fn halves_are_rounded_away_from_zero_and_scales_to_even() {
        let mut weights = [0.0; BLOCK];
        weights[..4].copy_from_slice(&[127.0, 0.5, -0.5, 2.5]);
        let block = block_of(&weights).unwrap();
        assert_eq!(block[..6], [0x00, 0x3c, 127, 1, 255, 3]);
        // Between 1 and the next number of 16 bits, and between that and the one after.
        let step = 1.0 / 1024.0;
        assert_eq!([to_f16(1.0 + step / 2.0), to_f16(1.0 + 1.5 * step)], [0x3c00, 0x3c02]);
        // Below the smallest normal number, and up to it.
        assert_eq!([to_f16(1.5 / 16_777_216.0), to_f16(2.5 / 16_777_216.0), to_f16(6.1e-5)], [2, 2, 0x3ff]);
        assert_eq!(to_f16(6.103_515_6e-5), 0x400);
    }

    #[test]
    fn every_number_of_16_bits_comes_back() {
        for bits in 0..0x7c00 {
            assert_eq!(to_f16(from_f16(bits)), bits);
            assert!(from_f16(bits | 0x8000) <= 0.0);
        }
        assert_eq!(from_f16(0x7c00), f32::INFINITY);
        assert!(from_f16(0x7c01).is_nan());
    }

    #[test]
    fn what_cannot_be_made_smaller_says_why() {
        assert!(quantised(&model(Q8_0)).unwrap_err().contains("less than 16 bits already"));
        let mut narrow = model(F16);
        let at = narrow.windows(7).position(|bytes| bytes == b"decoder").unwrap();
        narrow[at - 8..at - 4].copy_from_slice(&16_u32.to_le_bytes());
        narrow[at - 4..at].copy_from_slice(&4_u32.to_le_bytes());
        assert!(quantised(&narrow).unwrap_err().contains("no multiple of 32"));
        let mut damaged = model(F16);
        let weights = at + b"decoder.blocks.0.mlp.0.weight".len();
        damaged[weights..weights + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
        assert!(quantised(&damaged).unwrap_err().contains("no numbers"));
        assert!(quantised(b"GGUF").unwrap_err().contains("GGUF"));
        let whole = model(F16);
        for cut in [1, 47, 300, 720, whole.len() - 1] {
            assert!(quantised(&whole[..cut]).unwrap_err().contains("ends too soon"), "cut at {cut}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = model(F16);
        let mut seed = 7_u32;
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                bytes[if at.is_multiple_of(3) { 690 + at % 60 } else { at }] = seed.to_le_bytes()[2];
            }
            let (from, to) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
            std::fs::write(from.path(), bytes).unwrap();
            // Whatever it says, it says it.
            let _ = to_q8_0(from.path(), &to, &mut Silent);
        }
    }
}

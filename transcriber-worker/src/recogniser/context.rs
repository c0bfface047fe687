//! How much the encoder computes. By itself it computes 30 s, whatever there is to hear.

use super::{CONTEXT_MAX, CONTEXT_SAMPLES};

/// The shortest context that a model has good words with. Shorter ones make the decoder loop, and cost words: with 320 tiny.en
/// has 27 errors of 276 words where 512 has 8. This one has as few as 512, and takes a tenth less; 384 has a few more,
/// with base in real time, too.
pub(super) const SHORT: usize = 448;
/// The shortest context of a recording, and of what stays of the smallest models: live finals of tiny.en have 49 errors in
/// 1,840 words with the short one, with these 29. Those of base have the same ones with either.
pub(super) const ROOMY: usize = 768;
/// What is left empty behind the sound: where it fills the context, invented words follow.
const MARGIN: usize = 128;
/// As much of it as may be missing for the sake of whole tiles.
const MARGIN_MIN: usize = 64;
/// ggml's products are computed in tiles: a context that is no multiple of this takes a seventh longer.
const TILE: usize = 16;
/// All of it but what is no whole tile.
const TILED_MAX: usize = CONTEXT_MAX / TILE * TILE;

/// The context for so many samples, in units of 20 ms: all of the sound and a margin, `least` of them or more.
pub(super) fn fitted(samples: usize, least: usize) -> usize {
    let sound = samples.div_ceil(CONTEXT_SAMPLES);
    match (sound + MARGIN).max(least).next_multiple_of(TILE) {
        tiled if tiled <= TILED_MAX => tiled,
        _ if sound + MARGIN_MIN <= TILED_MAX => TILED_MAX,
        _ => CONTEXT_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_covers_the_sound_in_whole_tiles() {
        for samples in (0..=30 * 16_000).step_by(1_000) {
            for least in [SHORT, ROOMY] {
                let (context, sound) = (fitted(samples, least), samples.div_ceil(CONTEXT_SAMPLES));
                assert!(context >= sound && (least..=CONTEXT_MAX).contains(&context), "{samples}");
                assert!(
                    context == CONTEXT_MAX || (context.is_multiple_of(TILE) && context >= sound + MARGIN_MIN),
                    "{samples}"
                );
            }
        }
        let roomy = |seconds: usize| fitted(seconds * 16_000, ROOMY);
        assert_eq!([1, 12, 20, 28, 29, 30, 60].map(roomy), [768, 768, 1_136, 1_488, 1_500, 1_500, 1_500]);
        assert_eq!([1, 5, 8, 30].map(|seconds| fitted(seconds * 16_000, SHORT)), [448, 448, 528, 1_500]);
    }
}

//! The one product that the network is made of: rows of weights with a window that glides over its input.
//!
//! A convolution over time is that, where its input stands frame by frame and the weights of a row in the same order: a
//! window holds the frames that all taps of one output see. A fully connected layer has one window.

/// Sums that are formed together, lanes times windows: eight registers of AVX2, so many that none waits for the product
/// before its own, and that the weights find room beside them.
pub(super) const TOGETHER: usize = 64;

/// The weights of some outputs for one input, at the beginning of a line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes<const LANES: usize>([f32; LANES]);

/// A layer of `BLOCKS * LANES` outputs, each a weighted sum of `INPUTS`.
pub(super) struct Layer<const INPUTS: usize, const BLOCKS: usize, const LANES: usize> {
    /// `[block][input][lane]`: what is read is read in order.
    weights: Vec<[Lanes<LANES>; INPUTS]>,
    bias: [[f32; LANES]; BLOCKS],
}

impl<const INPUTS: usize, const BLOCKS: usize, const LANES: usize> Layer<INPUTS, BLOCKS, LANES> {
    /// A layer of the weights `weight(output, input)` and of what is added. Outputs beyond `bias` are zero.
    pub(super) fn new(bias: &[f32], weight: impl Fn(usize, usize) -> f32) -> Self {
        let weight = |output, input| if output < bias.len() { weight(output, input) } else { 0.0 };
        let block =
            |block| std::array::from_fn(|input| Lanes(std::array::from_fn(|lane| weight(block * LANES + lane, input))));
        let bias_of = |output| bias.get(output).copied().unwrap_or_default();
        Self {
            weights: (0..BLOCKS).map(block).collect(),
            bias: std::array::from_fn(|block| std::array::from_fn(|lane| bias_of(block * LANES + lane))),
        }
    }

    /// The outputs of `WINDOWS` windows of `input`, each `hop` after the one before: `[window][block][lane]`.
    ///
    /// `FUSED`: products and sums in one instruction, which is slow where the processor does not have it.
    ///
    /// # Panics
    /// When `input` is shorter than the windows.
    ///
    /// # Real time
    /// Does not allocate.
    #[inline(always)]
    pub(super) fn over<const WINDOWS: usize, const FUSED: bool>(
        &self,
        input: &[f32],
        hop: usize,
    ) -> [[[f32; LANES]; BLOCKS]; WINDOWS] {
        const { assert!(LANES * WINDOWS == TOGETHER, "the registers are used") };
        let mut windows = [&input[..INPUTS]; WINDOWS];
        for (number, window) in windows.iter_mut().enumerate() {
            *window = &input[number * hop..][..INPUTS];
        }
        let mut outputs = [[[0.0; LANES]; BLOCKS]; WINDOWS];
        for (block, weights) in self.weights.iter().enumerate() {
            let mut sums = [self.bias[block]; WINDOWS];
            for (input, weights) in weights.iter().enumerate() {
                for (sums, window) in sums.iter_mut().zip(&windows) {
                    for (sum, &weight) in sums.iter_mut().zip(&weights.0) {
                        *sum = if FUSED { weight.mul_add(window[input], *sum) } else { weight * window[input] + *sum };
                    }
                }
            }
            for (outputs, sums) in outputs.iter_mut().zip(sums) {
                outputs[block] = sums;
            }
        }
        outputs
    }
}

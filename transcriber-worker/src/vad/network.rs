//! The Silero network (version 6, 16 kHz), computed as its ONNX graph says: a spectrum, four convolutions over time, a cell
//! that remembers, a probability. It is so small that a general runtime is busy with arranging the work for most of the time.
//!
//! ```text
//! [640] samples: 64 seen before, 512, and the last 64 mirrored
//!   windowed Fourier transform, 256 every 128   [4][129]  magnitudes
//!   convolution, 3 taps, ReLU                   [4][128]
//!   convolution, 3 taps every 2, ReLU           [2][64]
//!   convolution, 3 taps every 2, ReLU           [1][64]
//!   convolution, 3 taps, ReLU                   [1][128]
//!   LSTM cell, with 128 outputs and 128 cells   [128]
//!   ReLU, weighted sum, logistic function       probability
//! ```
//!
//! Arrays are `[time][channel]`. The convolutions see a zero before and behind their input; taps that meet nothing else are
//! left out.

use super::layer::{Layer, TOGETHER};
use super::weights::Weights;
use super::{CONTEXT_SAMPLES, FRAME_SAMPLES};

/// Samples of one look: the context and the frame.
pub(super) const HEARD_SAMPLES: usize = CONTEXT_SAMPLES + FRAME_SAMPLES;
/// Outputs of the cell, and values it remembers.
pub(super) const CELLS: usize = 128;

/// Samples that are seen twice, mirrored at the last.
const MIRRORED: usize = 64;
const WINDOW: usize = 256;
const HOP: usize = 128;
const WINDOWS: usize = 1 + (HEARD_SAMPLES + MIRRORED - WINDOW) / HOP;
const BINS: usize = WINDOW / 2 + 1;
/// Real parts, then imaginary ones.
const PARTS: usize = 2 * BINS;
const TAPS: usize = 3;
/// Channels of the convolutions.
const CHANNELS: [usize; 4] = [128, 64, 64, 128];
/// Input, forget, candidate, output.
const GATES: usize = 4;

const QUARTER: usize = TOGETHER / 4;
const HALF: usize = TOGETHER / 2;

/// Whether the processors this is compiled for all have a fused product and sum.
const HAS_FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// The weights, as they are used.
pub(super) struct Network {
    transform: Layer<WINDOW, { PARTS.div_ceil(QUARTER) }, QUARTER>,
    first: Layer<{ TAPS * BINS }, { CHANNELS[0] / QUARTER }, QUARTER>,
    second: Layer<{ TAPS * CHANNELS[0] }, { CHANNELS[1] / HALF }, HALF>,
    third: Layer<{ 2 * CHANNELS[1] }, { CHANNELS[2] / TOGETHER }, TOGETHER>,
    fourth: Layer<{ CHANNELS[2] }, { CHANNELS[3] / TOGETHER }, TOGETHER>,
    /// From the input and what the cell said last.
    gates: Layer<{ CHANNELS[3] + CELLS }, { GATES * CELLS / TOGETHER }, TOGETHER>,
    answer: [f32; CELLS],
    answer_bias: f32,
}

/// What the network remembers from look to look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Memory {
    /// What the cell said last.
    pub(super) said: [f32; CELLS],
    /// In which it sums up what it has heard.
    pub(super) cells: [f32; CELLS],
}

impl Memory {
    /// Of nothing.
    pub(super) const EMPTY: Self = Self { said: [0.0; CELLS], cells: [0.0; CELLS] };
}

impl Network {
    /// Takes the weights from the content of the ONNX file.
    ///
    /// # Errors
    /// In words, when they are not those of this network.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let weights = Weights::parse(bytes)?;
        let basis = weights.get("model.stft.forward_basis_buffer", &[PARTS, 1, WINDOW])?;
        let input_gates = weights.get("model.decoder.rnn.weight_ih", &[GATES * CELLS, CHANNELS[3]])?;
        let own_gates = weights.get("model.decoder.rnn.weight_hh", &[GATES * CELLS, CELLS])?;
        let input_bias = weights.get("model.decoder.rnn.bias_ih", &[GATES * CELLS])?;
        let own_bias = weights.get("model.decoder.rnn.bias_hh", &[GATES * CELLS])?;
        let gates_bias: Vec<f32> = input_bias.iter().zip(own_bias).map(|(input, own)| input + own).collect();
        let mut answer = [0.0; CELLS];
        answer.copy_from_slice(&weights.get("model.decoder.decoder.2.weight", &[1, CELLS, 1])?);
        Ok(Self {
            transform: Layer::new(&[0.0; PARTS], |part, sample| basis[part * WINDOW + sample]),
            first: convolution(&weights, 0, BINS, CHANNELS[0], 0)?,
            second: convolution(&weights, 1, CHANNELS[0], CHANNELS[1], 0)?,
            third: convolution(&weights, 2, CHANNELS[1], CHANNELS[2], 1)?,
            fourth: convolution(&weights, 3, CHANNELS[2], CHANNELS[3], 1)?,
            gates: Layer::new(&gates_bias, |gate, input| match input.checked_sub(CHANNELS[3]) {
                None => input_gates[gate * CHANNELS[3] + input],
                Some(own) => own_gates[gate * CELLS + own],
            }),
            answer,
            answer_bias: weights.get("model.decoder.decoder.2.bias", &[1])?[0],
        })
    }

    /// The probability that somebody speaks in the last [`FRAME_SAMPLES`] of what is heard.
    ///
    /// # Real time
    /// Does not allocate, lock or call the system.
    pub(super) fn look(&self, memory: &mut Memory, heard: &[f32; HEARD_SAMPLES]) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(probability) = super::wide::look(self, memory, heard) {
            return probability;
        }
        self.look_with::<HAS_FUSED>(memory, heard)
    }

    /// As [`look`](Self::look), in the instructions of whoever calls.
    #[inline(always)]
    pub(super) fn look_with<const FUSED: bool>(&self, memory: &mut Memory, heard: &[f32; HEARD_SAMPLES]) -> f32 {
        let magnitudes = self.magnitudes::<FUSED>(heard);
        let heard = self.first.over::<WINDOWS, FUSED>(magnitudes.as_flattened(), BINS);
        let mut padded = [[0.0; CHANNELS[0]]; WINDOWS + 2];
        for (padded, heard) in padded[1..].iter_mut().zip(&heard) {
            rectify(heard, padded);
        }
        let heard = self.second.over::<2, FUSED>(padded.as_flattened(), 2 * CHANNELS[0]);
        let mut pair = [[0.0; CHANNELS[1]]; 2];
        for (pair, heard) in pair.iter_mut().zip(&heard) {
            rectify(heard, pair);
        }
        let [heard] = self.third.over::<1, FUSED>(pair.as_flattened(), 0);
        let mut third = [0.0; CHANNELS[2]];
        rectify(&heard, &mut third);
        let [heard] = self.fourth.over::<1, FUSED>(&third, 0);
        let mut input = [[0.0; CELLS]; 2];
        rectify(&heard, &mut input[0]);
        input[1] = memory.said;
        let [gates] = self.gates.over::<1, FUSED>(input.as_flattened(), 0);
        memory.update(gates.as_flattened());
        let sum: f32 = memory.said.iter().zip(&self.answer).map(|(said, weight)| said.max(0.0) * weight).sum();
        logistic(sum + self.answer_bias)
    }

    /// The magnitudes of the spectrum, with a zero before and behind.
    #[inline(always)]
    fn magnitudes<const FUSED: bool>(&self, heard: &[f32; HEARD_SAMPLES]) -> [[f32; BINS]; WINDOWS + 2] {
        let mut samples = [0.0; HEARD_SAMPLES + MIRRORED];
        samples[..HEARD_SAMPLES].copy_from_slice(heard);
        for (sample, mirrored) in samples[HEARD_SAMPLES..].iter_mut().zip(heard.iter().rev().skip(1)) {
            *sample = *mirrored;
        }
        let spectra = self.transform.over::<WINDOWS, FUSED>(&samples, HOP);
        let mut magnitudes = [[0.0; BINS]; WINDOWS + 2];
        for (magnitudes, parts) in magnitudes[1..].iter_mut().zip(&spectra) {
            let (real, imaginary) = parts.as_flattened().split_at(BINS);
            for ((magnitude, real), imaginary) in magnitudes.iter_mut().zip(real).zip(imaginary) {
                *magnitude = (real * real + imaginary * imaginary).sqrt();
            }
        }
        magnitudes
    }
}

impl Memory {
    /// An LSTM cell without peepholes (Gers et al. 2000), its gates in PyTorch's order.
    #[inline(always)]
    fn update(&mut self, gates: &[f32]) {
        let (input, gates) = gates.split_at(CELLS);
        let (forget, gates) = gates.split_at(CELLS);
        let (candidate, output) = gates.split_at(CELLS);
        for (n, (said, cell)) in self.said.iter_mut().zip(&mut self.cells).enumerate() {
            *cell = logistic(forget[n]) * *cell + logistic(input[n]) * tangent(candidate[n]);
            *said = logistic(output[n]) * tangent(*cell);
        }
    }
}

/// A layer of the encoder, from its tap `from` on.
fn convolution<const INPUTS: usize, const BLOCKS: usize, const LANES: usize>(
    weights: &Weights,
    number: usize,
    channels_in: usize,
    channels_out: usize,
    from: usize,
) -> Result<Layer<INPUTS, BLOCKS, LANES>, String> {
    let name = |part| format!("model.encoder.{number}.reparam_conv.{part}");
    let weight = weights.get(&name("weight"), &[channels_out, channels_in, TAPS])?;
    let bias = weights.get(&name("bias"), &[channels_out])?;
    Ok(Layer::new(&bias, |output, input| {
        let (tap, channel) = (from + input / channels_in, input % channels_in);
        weight[(output * channels_in + channel) * TAPS + tap]
    }))
}

#[inline(always)]
fn rectify<const LANES: usize>(from: &[[f32; LANES]], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from.as_flattened()) {
        *to = from.max(0.0);
    }
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The hyperbolic tangent, right to 10^-7; the standard library's, right to the last bit near zero too, takes ten times as
/// long.
#[inline(always)]
fn tangent(x: f32) -> f32 {
    2.0 * logistic(2.0 * x) - 1.0
}

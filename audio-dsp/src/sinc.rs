//! A windowed sinc at exactly rational positions: for pairs of rates whose common divisor is so small
//! that a synchronous FFT would need absurd sizes (8,001 to 48,000 Hz: blocks of two thirds of a second).
//!
//! Output frame `j` is the input at `j * from / to`, held as a whole part and a fraction of integers, so
//! nothing drifts and no sample depends on how the input was cut.

use std::f64::consts::PI;

/// Zero crossings of the kernel on each side, at the slower rate: passband up to 0.90 of its Nyquist frequency.
const CROSSINGS: usize = 80;
/// Tabulated positions between two input frames; cubic interpolation between them errs below -150 dB.
const PHASES: usize = 128;
/// Shape of the Kaiser window: side lobes below -120 dB.
const KAISER_BETA: f64 = 12.3;
/// Where the kernel has fallen to half, relative to the slower Nyquist frequency.
const CUTOFF: f64 = 0.95;

/// Streaming converter. Holds the input that later outputs still need.
pub(crate) struct RationalSinc {
    /// Rates divided by their common divisor.
    step: u64,
    per: u64,
    /// Kernel values, `[PHASES + 3][taps]`; row `r` is for an offset of `(r - 1) / PHASES` frames.
    rows: Vec<f32>,
    taps: usize,
    /// The kernel at one output's position.
    kernel: Vec<f32>,
    /// `[channels][..]`, beginning at the first input frame of the next output's kernel.
    held: Vec<Vec<f32>>,
    /// Input frames to drop before `held` begins where it should (when an output steps past all that is held).
    skip: u64,
    /// Fraction of the next output's position, in `per`-ths of a frame.
    fraction: u64,
}

/// Input frames taken at once; bounds what is held.
const PIECE_FRAMES: usize = 1024;

impl RationalSinc {
    pub(crate) fn new(step: u64, per: u64, channels: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "rates are below 2^18")]
        let slowing = (step as f64 / per as f64).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 80 * 24")]
        let half = (CROSSINGS as f64 * slowing).ceil() as usize;
        let taps = 2 * half;
        let mut sinc = Self {
            step,
            per,
            rows: make_rows(half, slowing),
            taps,
            kernel: vec![0.0; taps],
            held: (0..channels).map(|_| Vec::with_capacity(taps + PIECE_FRAMES)).collect(),
            skip: 0,
            fraction: 0,
        };
        sinc.reset();
        sinc
    }

    /// Input frames after a position that must have come before its output can.
    pub(crate) fn lookahead_frames(&self) -> usize {
        self.taps / 2
    }

    pub(crate) fn reset(&mut self) {
        self.skip = 0;
        self.fraction = 0;
        for held in &mut self.held {
            held.clear();
            held.resize(self.taps / 2 - 1, 0.0); // silence before frame 0
        }
    }

    /// Takes `frames` of planar input (`planar[channel * stride + frame]`) and gives each output frame to `emit`.
    pub(crate) fn push(&mut self, planar: &[f32], stride: usize, frames: usize, out: &mut [Vec<f32>]) {
        let mut at = 0;
        while at < frames {
            let piece = PIECE_FRAMES.min(frames - at);
            for (channel, held) in self.held.iter_mut().enumerate() {
                held.extend_from_slice(&planar[channel * stride + at..][..piece]);
            }
            at += piece;
            self.drain(out);
        }
    }

    /// Silence after the end, as much as makes the last outputs come.
    pub(crate) fn push_tail(&mut self, out: &mut [Vec<f32>]) {
        let mut left = self.lookahead_frames();
        while left > 0 {
            let piece = PIECE_FRAMES.min(left);
            self.held.iter_mut().for_each(|held| held.resize(held.len() + piece, 0.0));
            left -= piece;
            self.drain(out);
        }
    }

    /// Computes every output whose kernel lies in what is held, then drops what none needs any more.
    fn drain(&mut self, out: &mut [Vec<f32>]) {
        let available = self.held.first().map_or(0, Vec::len) as u64;
        let mut begin = self.skip;
        while begin + self.taps as u64 <= available {
            self.shape_kernel();
            #[expect(clippy::cast_possible_truncation, reason = "below `available`, a length")]
            let window = begin as usize..begin as usize + self.taps;
            for (held, out) in self.held.iter().zip(&mut *out) {
                out.push(dot(&held[window.clone()], &self.kernel));
            }
            self.fraction += self.step;
            begin += self.fraction / self.per;
            self.fraction %= self.per;
        }
        let drop = begin.min(available);
        self.skip = begin - drop;
        #[expect(clippy::cast_possible_truncation, reason = "at most `available`, a length")]
        self.held.iter_mut().for_each(|held| drop_front(held, drop as usize));
    }

    /// The kernel at the present fraction: four neighbouring rows, weighed by Lagrange's cubic.
    fn shape_kernel(&mut self) {
        let scaled = self.fraction * PHASES as u64;
        #[expect(clippy::cast_possible_truncation, reason = "below PHASES")]
        let row = (scaled / self.per) as usize;
        #[expect(clippy::cast_precision_loss, reason = "rates are below 2^18")]
        let x = (scaled % self.per) as f64 / self.per as f64;
        let weights = [
            -x * (x - 1.0) * (x - 2.0) / 6.0,
            (x + 1.0) * (x - 1.0) * (x - 2.0) / 2.0,
            -(x + 1.0) * x * (x - 2.0) / 2.0,
            (x + 1.0) * x * (x - 1.0) / 6.0,
        ];
        #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
        let [a, b, c, d] = weights.map(|w| w as f32);
        let (r0, rest) = self.rows[row * self.taps..].split_at(self.taps);
        let (r1, rest) = rest.split_at(self.taps);
        let (r2, rest) = rest.split_at(self.taps);
        for ((((k, r0), r1), r2), r3) in self.kernel.iter_mut().zip(r0).zip(r1).zip(r2).zip(rest) {
            *k = a * r0 + b * r1 + c * r2 + d * r3;
        }
    }
}

fn drop_front(held: &mut Vec<f32>, frames: usize) {
    held.copy_within(frames.., 0);
    held.truncate(held.len() - frames);
}

/// Eight sums side by side: the order is fixed, and the compiler can use vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Tap `t` of a window that begins at input frame `floor - half + 1` lies `t - half + 1 - offset` from the position.
fn make_rows(half: usize, slowing: f64) -> Vec<f32> {
    let taps = 2 * half;
    let mut rows = vec![0.0; (PHASES + 3) * taps];
    // The kernel is even: the row for `1 - offset` is the one for `offset` backwards.
    for row in 0..=(PHASES + 2) / 2 {
        let offset = (row as f64 - 1.0) / PHASES as f64;
        let values: Vec<f64> = (0..taps)
            .map(|t| kernel_at((t as f64 - half as f64 + 1.0 - offset) / slowing, half as f64 / slowing))
            .collect();
        // Every position passes a constant unchanged.
        let sum: f64 = values.iter().sum();
        for (t, value) in values.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
            let sample = (value / sum) as f32;
            rows[row * taps + t] = sample;
            rows[(PHASES + 2 - row) * taps + taps - 1 - t] = sample;
        }
    }
    rows
}

/// The kernel `x` slower frames from its centre, zero beyond `reach`; its scale does not matter.
fn kernel_at(x: f64, reach: f64) -> f64 {
    let edge = 1.0 - (x / reach).powi(2);
    if edge <= 0.0 {
        return 0.0;
    }
    let turn = PI * CUTOFF * x;
    let sinc = if turn == 0.0 { 1.0 } else { turn.sin() / turn };
    sinc * bessel_i0(KAISER_BETA * edge.sqrt())
}

/// Modified Bessel function of the first kind, order 0, by its power series, to 200 dB.
pub(crate) fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-10 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

//! A channel strip: what one source adds to a sum.

use crate::gain::{Ramp, frames_of};
use crate::layout::route;
use crate::sample::finite;

/// How long a change takes to come into effect, unless told otherwise: too short to be heard as a fade, long enough not
/// to be heard as a click.
///
/// And not longer: with the look-ahead of a [`Limiter`](crate::Limiter) behind the strip, [`LOOK_AHEAD_SECONDS`], it is
/// over within 10 ms at every rate, frames rounded up. Where the sum is made in blocks of that length, all of a change
/// leaves the limiter with the block that it began in; were it longer by a frame, its end would wait for the next one.
///
/// [`LOOK_AHEAD_SECONDS`]: crate::LOOK_AHEAD_SECONDS
pub const GLIDE_SECONDS: f64 = 0.004_8;

/// Fader, mute, pan and channel rules of one source. Each glides to what it is set to.
///
/// At unity and in the middle, mono into mono and stereo into stereo are added bit for bit. Samples that are no
/// finite numbers count as silence.
#[derive(Debug, Clone)]
pub struct Strip {
    fader: Ramp,
    gate: Ramp,
    pan: f32,
    /// From 0, all of `past`, to 1, all of `routing`.
    turn: Ramp,
    past: Vec<f32>,
    routing: Vec<f32>,
    /// Channels of source and sum that the routing is for.
    shape: (usize, usize),
    cells_max: usize,
    glide_frames: u32,
    /// Gains and turns of a piece of frames, while something glides.
    gains: Vec<f32>,
    turns: Vec<f32>,
}

/// Frames of a piece that is worked on at once while something glides.
const PIECE_FRAMES: usize = 256;

impl Strip {
    /// Open, at unity, in the middle; for sources and sums of at most so many channels. A change glides for `glide_s`
    /// seconds.
    #[must_use]
    pub fn new(rate_hz: u32, channels_max: usize, sum_channels_max: usize, glide_s: f64) -> Self {
        let cells = channels_max * sum_channels_max;
        Self {
            fader: Ramp::new(1.0),
            gate: Ramp::new(1.0),
            pan: 0.0,
            turn: Ramp::new(1.0),
            past: Vec::with_capacity(cells),
            routing: Vec::with_capacity(cells),
            shape: (0, 0),
            cells_max: cells,
            glide_frames: frames_of(glide_s, rate_hz),
            gains: vec![0.0; PIECE_FRAMES],
            turns: vec![0.0; PIECE_FRAMES],
        }
    }

    /// Sets the fader: a factor, 0 or more. What is no finite number changes nothing.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so do all setters.
    pub fn set_gain(&mut self, gain: f32) {
        if gain.is_finite() {
            self.fader.glide_to(gain.max(0.0), self.glide_frames);
        }
    }

    /// Opens or closes the gate: closed while the source is muted, or another one is soloed.
    pub fn set_open(&mut self, open: bool) {
        self.gate.glide_to(if open { 1.0 } else { 0.0 }, self.glide_frames);
    }

    /// Sets the pan, -1 (left) to 1 (right).
    pub fn set_pan(&mut self, pan: f32) {
        if pan.is_nan() || pan.clamp(-1.0, 1.0) == self.pan {
            return;
        }
        self.pan = pan.clamp(-1.0, 1.0);
        let turned = self.turn.value();
        self.past.iter_mut().zip(&self.routing).for_each(|(past, &next)| *past = between(*past, next, turned));
        self.turn = Ramp::new(0.0);
        self.turn.glide_to(1.0, self.glide_frames);
        let (channels, sum_channels) = self.shape;
        if channels > 0 {
            route(channels, sum_channels, self.pan, &mut self.routing);
        }
    }

    /// Jumps to where everything glides: before the first block, or after a silence.
    pub fn settle(&mut self) {
        self.fader.settle();
        self.gate.settle();
        self.turn.settle();
    }

    /// Adds `frames` of the source to the sum. `planar` is `[channels][frames]`; `sum` is `[sum_channels][stride]` with
    /// a stride of at least `frames`, of which the first `frames` are added to. With other channels than before, the
    /// source is routed anew at once.
    ///
    /// # Panics
    /// When a channel count is 0 or beyond what the strip was made for, `planar` is not `channels * frames` long, or
    /// `sum` is not `sum_channels` planes of at least `frames`.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub fn add(&mut self, sum: &mut [f32], sum_channels: usize, planar: &[f32], channels: usize, frames: usize) {
        assert_eq!(planar.len(), channels * frames, "planar is [channels][frames]");
        assert!(sum.len().is_multiple_of(sum_channels), "sum is [sum_channels][stride]");
        let stride = sum.len() / sum_channels;
        assert!(stride >= frames, "the sum's planes are as long as the source's, at least");
        self.shape_for(channels, sum_channels);
        let mut at = 0;
        while at < frames {
            let gliding = !(self.fader.is_settled() && self.gate.is_settled() && self.turn.is_settled());
            let piece = if gliding { PIECE_FRAMES.min(frames - at) } else { frames - at };
            let gain = self.fader.value() * self.gate.value();
            if gliding {
                self.shape_gains(piece);
            }
            for cell in 0..self.routing.len() {
                let (past, next) = (self.past[cell], self.routing[cell]);
                let source = &planar[cell % channels * frames + at..][..piece];
                let target = &mut sum[cell / channels * stride + at..][..piece];
                if gliding && (past != 0.0 || next != 0.0) {
                    let curves = self.gains[..piece].iter().zip(&self.turns[..piece]);
                    for ((sum, &sample), (&gain, &turn)) in target.iter_mut().zip(source).zip(curves) {
                        *sum += between(past, next, turn) * gain * finite(sample);
                    }
                } else if !gliding && next * gain != 0.0 {
                    let gain = next * gain;
                    target.iter_mut().zip(source).for_each(|(sum, &sample)| *sum += gain * finite(sample));
                }
            }
            at += piece;
        }
    }

    fn shape_for(&mut self, channels: usize, sum_channels: usize) {
        if self.shape == (channels, sum_channels) {
            return;
        }
        let cells = channels * sum_channels;
        assert!(cells > 0 && cells <= self.cells_max, "channels within what the strip was made for");
        self.shape = (channels, sum_channels);
        self.routing.resize(cells, 0.0);
        route(channels, sum_channels, self.pan, &mut self.routing);
        self.past.clear();
        self.past.extend_from_slice(&self.routing);
    }

    /// Gains and turns of the next `piece` frames.
    fn shape_gains(&mut self, piece: usize) {
        let (gains, gates) = (&mut self.gains[..piece], &mut self.turns[..piece]);
        self.fader.fill(gains);
        self.gate.fill(gates);
        gains.iter_mut().zip(&*gates).for_each(|(gain, gate)| *gain *= gate);
        self.turn.fill(&mut self.turns[..piece]);
    }
}

/// Exact at 0 and at 1.
fn between(past: f32, next: f32, turn: f32) -> f32 {
    past * (1.0 - turn) + next * turn
}

#[cfg(test)]
mod tests;

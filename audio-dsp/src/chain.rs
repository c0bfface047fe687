//! What a source passes before its strip: high-pass, gate, equaliser, compressor.

use crate::compressor::{Compression, Compressor};
use crate::equaliser::{Bands, Equaliser};
use crate::gain::frames_of;
use crate::gate::{Gate, Gating};
use crate::high_pass::{HighPass, Slope};

/// How long it takes to switch: four times as long as a gain, for a filter that turns has transients of its own.
const GLIDE_SECONDS: f64 = 0.020;

/// The processors of one source, in this order: rumble does not open the gate, and noise that it has taken away is not
/// raised. Each is off until it is set, and off it passes every bit; switching glides.
#[derive(Debug, Clone)]
pub struct Chain {
    high_pass: HighPass,
    gate: Gate,
    equaliser: Equaliser,
    compressor: Compressor,
}

impl Chain {
    /// All off, for so many channels.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize) -> Self {
        let glide_frames = frames_of(GLIDE_SECONDS, rate_hz);
        Self {
            high_pass: HighPass::new(rate_hz, channels, glide_frames),
            gate: Gate::new(rate_hz, channels, glide_frames),
            equaliser: Equaliser::new(rate_hz, channels, glide_frames),
            compressor: Compressor::new(rate_hz, channels, glide_frames),
        }
    }

    /// Frequency in Hz and slope of the high-pass; `None` is off.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn set_high_pass(&mut self, setting: Option<(f64, Slope)>) {
        self.high_pass.set(setting);
    }

    /// The gate; `None` is off.
    pub fn set_gate(&mut self, setting: Option<Gating>) {
        self.gate.set(setting);
    }

    /// The equaliser's bands; `None` is off.
    pub fn set_equaliser(&mut self, bands: Option<Bands>) {
        self.equaliser.set(bands);
    }

    /// The compressor; `None` is off.
    pub fn set_compressor(&mut self, setting: Option<Compression>) {
        self.compressor.set(setting);
    }

    /// Processes in place, `[channels][frames]`.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        self.high_pass.process(planar, frames);
        self.gate.process(planar, frames);
        self.equaliser.process(planar, frames);
        self.compressor.process(planar, frames);
    }

    /// Whether it passes every bit from now on, until something is set: everything is off, or does nothing, and no glide
    /// is under way.
    #[must_use]
    pub fn is_transparent(&self) -> bool {
        self.high_pass.is_off() && self.gate.is_off() && self.equaliser.is_flat() && self.compressor.is_off()
    }

    /// The compressor's deepest reduction since the last time, in dB, 0 or more.
    pub fn take_reduction_db(&mut self) -> f32 {
        self.compressor.take_reduction_db()
    }

    /// Forgets the signal and jumps to what is set: before the first block, or after a stop.
    pub fn reset(&mut self) {
        self.high_pass.reset();
        self.gate.reset();
        self.equaliser.reset();
        self.compressor.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_off_it_is_not_there_and_on_and_off_again_it_is_not_either() {
        let signal: Vec<f32> = (0..2_000).map(|n| (n as f32 * 0.07).sin()).collect();
        let mut chain = Chain::new(48_000, 2);
        let mut planar = signal.clone();
        chain.process(&mut planar, 1_000);
        assert_eq!(planar, signal);
        assert!(chain.is_transparent());

        chain.set_high_pass(Some((100.0, Slope::Db24)));
        chain.set_gate(Some(Gating { threshold_db: 0.0, ..Gating::default() }));
        chain.set_equaliser(Some(Bands { mid_db: 6.0, ..Bands::default() }));
        chain.set_compressor(Some(Compression::default()));
        assert!(!chain.is_transparent(), "about to glide");
        for _ in 0..10 {
            chain.process(&mut planar, 1_000);
        }
        assert_ne!(planar, signal);
        assert!(chain.take_reduction_db() > 1.0);

        chain.set_high_pass(None);
        chain.set_gate(None);
        chain.set_equaliser(None);
        chain.set_compressor(None);
        assert!(!chain.is_transparent(), "about to glide back");
        chain.process(&mut planar, 1_000); // 960 frames of it glide
        assert!(chain.is_transparent());
        let mut planar = signal.clone();
        chain.process(&mut planar, 1_000);
        assert_eq!(planar, signal);
    }
}

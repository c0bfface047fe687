//! A source with a clock of its own, kept in time with the engine's.
//!
//! A loop of two parts. The integral part is the source's rate, which a [`SourceClock`] learns from the callbacks
//! alone; the proportional part takes what lies between source and engine to its target length, quickly at first and
//! calmly once the clock is known. Both are bounded, and what is integrated is never the loop's own error: nothing
//! winds up.

use crate::source_clock::SourceClock;

/// The largest correction, in millionths. Sound devices are within 300.
pub const CORRECTION_PPM_MAX: f64 = 1_000.0;

/// The time in which the delay comes to within 1/e of its target: quick at first, then calm.
const PULL_SECONDS: [f64; 2] = [0.5, 15.0];

/// Keeps what lies between a source and the engine at one length.
#[derive(Debug, Clone)]
pub struct DriftLoop {
    clock: SourceClock,
    target_frames: f64,
    error_frames: f64,
    correction_ppm: f64,
}

impl DriftLoop {
    /// For a source of a nominal rate, to be read `target_frames` after it delivers: at least the longest period and
    /// its lateness, and what the resampler holds.
    #[must_use]
    pub fn new(rate_hz: u32, target_frames: f64) -> Self {
        Self { clock: SourceClock::new(rate_hz), target_frames, error_frames: 0.0, correction_ppm: 0.0 }
    }

    /// See [`SourceClock::observe`].
    pub fn observe(&mut self, time_s: f64, frames_total: u64) {
        self.clock.observe(time_s, frames_total);
    }

    /// Another length, from the next tick on.
    pub const fn set_target_frames(&mut self, target_frames: f64) {
        self.target_frames = target_frames;
    }

    /// The length that what lies between source and engine is kept at.
    #[must_use]
    pub const fn target_frames(&self) -> f64 {
        self.target_frames
    }

    /// A tick: `time_s` is when it is *due* by the engine's clock, `position` the source frame (with a fraction,
    /// counted as the source counts) that the resampler's next output frame lies at. Returns the correction for the
    /// resampler, in millionths: above 0 the source is to be read faster.
    pub fn steer(&mut self, time_s: f64, position: f64) -> f64 {
        let Some(delivered) = self.clock.frames_at(time_s) else { return self.correction_ppm };
        let error_frames = delivered - position - self.target_frames;
        if error_frames.is_finite() {
            self.error_frames = error_frames;
            let [quick_s, calm_s] = PULL_SECONDS;
            let pull_s = (self.clock.learnt_s() / 2.0).clamp(quick_s, calm_s);
            let pull_ppm = 1e6 * error_frames / self.clock.rate_hz() / pull_s;
            self.correction_ppm = (self.clock.rate_ppm() + pull_ppm).clamp(-CORRECTION_PPM_MAX, CORRECTION_PPM_MAX);
        }
        self.correction_ppm
    }

    /// The last correction.
    #[must_use]
    pub const fn correction_ppm(&self) -> f64 {
        self.correction_ppm
    }

    /// Frames by which the delay is longer than its target. A correction makes up for a millisecond in a second at
    /// most: of more, as at the beginning, skip so many frames of the source, or wait for them.
    #[must_use]
    pub const fn error_frames(&self) -> f64 {
        self.error_frames
    }

    /// What the source's clock is known to be.
    #[must_use]
    pub const fn clock(&self) -> &SourceClock {
        &self.clock
    }

    /// After a stop of the source: begins to learn anew, from the rate it knows.
    pub fn reset(&mut self) {
        self.clock.reset();
        self.error_frames = 0.0;
        self.correction_ppm = self.clock.rate_ppm();
    }
}

#[cfg(test)]
mod tests;

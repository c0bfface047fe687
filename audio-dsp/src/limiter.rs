//! A look-ahead limiter: no sample beyond its ceiling, no sample bent that is below.
//!
//! The gain a frame needs is `ceiling / peak`, over all channels. The least of it over the last `L + 1` frames, held
//! back on its way up by the release, is smoothed by a mean over `L + 1` frames, and what it is multiplied with is `L`
//! frames old. Each of the values in that mean covers the frame that comes out, so none is above what that frame needs,
//! and their mean is not either: the gain has arrived when the peak comes, on a line instead of a step.
//!
//! Gains are whole numbers of 2^-30: a running sum of such is exact, so that nothing drifts over days, unity is exactly
//! 1, and no bit depends on how the signal was cut into blocks.

use crate::gain::{Ramp, frames_of};
use crate::sample::finite;

/// The ceiling unless told otherwise: -1 dBFS, as EBU R128 wants of a programme.
pub const CEILING: f32 = 0.891_250_9;
/// A look-ahead that is gentle to speech and music, and the release that goes with it.
pub const LOOK_AHEAD_SECONDS: f64 = 0.005;
/// The time in which a gain comes back to within 1/e.
pub const RELEASE_SECONDS: f64 = 0.100;

const UNITY: u32 = 1 << 30;

/// The limiter of a planar signal. Its channels are turned down together, so that the picture does not move.
#[derive(Debug, Clone)]
pub struct Limiter {
    /// A ring of `look_ahead + 1` frames: `[channels][ring]`, the ceiling of each, and the gains in the mean.
    delayed: Vec<f32>,
    ceilings: Vec<f32>,
    gains: Vec<u32>,
    at: usize,
    sum: u64,
    least: Least,
    released: u32,
    release: u64,
    ceiling: Ramp,
    rate_hz: u32,
    reduction: f32,
}

impl Limiter {
    /// For so many channels: looks `look_ahead_s` ahead, never passes `ceiling` (a factor of full scale), and recovers
    /// within `release_s` to 1/e of a reduction.
    ///
    /// # Panics
    /// When the ceiling is not above 0.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize, ceiling: f32, look_ahead_s: f64, release_s: f64) -> Self {
        assert!(ceiling > 0.0 && ceiling.is_finite(), "a ceiling above silence");
        let ring = frames_of(look_ahead_s, rate_hz) as usize + 1;
        let mut limiter = Self {
            delayed: vec![0.0; channels * ring],
            ceilings: vec![ceiling; ring],
            gains: vec![UNITY; ring],
            at: 0,
            sum: 0,
            least: Least::new(ring),
            released: UNITY,
            release: 0,
            ceiling: Ramp::new(ceiling),
            rate_hz,
            reduction: 1.0,
        };
        limiter.set_release(release_s);
        limiter.reset();
        limiter
    }

    /// Frames by which the output is later than the input.
    #[must_use]
    pub fn latency_frames(&self) -> usize {
        self.gains.len() - 1
    }

    /// The ceiling of frames that are taken from now on; it glides there for as long as it looks ahead.
    pub fn set_ceiling(&mut self, ceiling: f32) {
        if ceiling > 0.0 {
            self.ceiling.glide_to(ceiling, u32::try_from(self.latency_frames()).unwrap_or(u32::MAX));
        }
    }

    /// The release of what is reduced from now on.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32; `as` saturates")]
    pub fn set_release(&mut self, release_s: f64) {
        let share = 1.0 - (-1.0 / (release_s.max(0.0) * f64::from(self.rate_hz)).max(1e-3)).exp();
        self.release = (share * f64::from(u32::MAX)) as u64;
    }

    /// The least gain since the last time: 1 where nothing was reduced.
    pub fn take_reduction(&mut self) -> f32 {
        std::mem::replace(&mut self.reduction, 1.0)
    }

    /// Forgets everything that it has taken.
    pub fn reset(&mut self) {
        self.ceiling.settle();
        self.delayed.fill(0.0);
        self.ceilings.fill(self.ceiling.value());
        self.gains.fill(UNITY);
        self.sum = u64::from(UNITY) * self.gains.len() as u64;
        self.least.clear();
        self.released = UNITY;
        self.at = 0;
    }

    /// Takes `frames` and puts those of [`latency_frames`](Self::latency_frames) before in their place. `planar` is
    /// `[channels][frames]`. Samples that are no finite numbers count as silence.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; a frame costs the same at any look-ahead.
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        let ring = self.gains.len();
        assert_eq!(planar.len(), self.delayed.len() / ring * frames, "planar is [channels][frames]");
        for frame in 0..frames {
            let now = self.at;
            let next = if now + 1 == ring { 0 } else { now + 1 }; // the oldest
            let ceiling = self.ceiling.advance();
            self.ceilings[now] = ceiling;
            let mut peak = 0.0_f32;
            for (delayed, channel) in self.delayed.chunks_exact_mut(ring).zip(planar.chunks_exact(frames)) {
                delayed[now] = finite(channel[frame]);
                peak = peak.max(delayed[now].abs());
            }
            let gain = self.gain_after(peak, ceiling);
            for (delayed, channel) in self.delayed.chunks_exact(ring).zip(planar.chunks_exact_mut(frames)) {
                channel[frame] = turned_down(delayed[next], gain);
            }
            self.at = next;
        }
    }

    /// Takes a frame's peak; the gain of the frame that comes out.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "`risen` is at most `missing`; sums stay below 2^53"
    )]
    fn gain_after(&mut self, peak: f32, ceiling: f32) -> f64 {
        let least = self.least.push(needed(peak, ceiling));
        let missing = u64::from(least.saturating_sub(self.released));
        let risen = ((missing * self.release) >> 32).max(1).min(missing) as u32;
        self.released = least.min(self.released + risen);
        let oldest = std::mem::replace(&mut self.gains[self.at], self.released);
        self.sum = self.sum + u64::from(self.released) - u64::from(oldest);
        let gain = self.sum as f64 / (f64::from(UNITY) * self.gains.len() as f64);
        self.reduction = self.reduction.min(gain as f32);
        gain
    }
}

/// The gain that brings a peak to the ceiling, rounded down.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^30")]
fn needed(peak: f32, ceiling: f32) -> u32 {
    if peak <= ceiling { UNITY } else { (f64::from(ceiling) / f64::from(peak) * f64::from(UNITY)) as u32 }
}

/// Unity leaves every bit.
#[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
fn turned_down(sample: f32, gain: f64) -> f32 {
    (f64::from(sample) * gain) as f32
}

/// The least of the last so many values: a queue in which each is less than all after it (Lemire 2006, "Streaming
/// maximum-minimum filter using no more than three comparisons per element").
#[derive(Debug, Clone)]
struct Least {
    /// A ring of frame and value.
    queue: Vec<(u64, u32)>,
    first: usize,
    len: usize,
    frame: u64,
}

impl Least {
    fn new(window: usize) -> Self {
        Self { queue: vec![(0, 0); window], first: 0, len: 0, frame: 0 }
    }

    const fn clear(&mut self) {
        (self.first, self.len, self.frame) = (0, 0, 0);
    }

    fn place(&self, n: usize) -> usize {
        let at = self.first + n;
        if at < self.queue.len() { at } else { at - self.queue.len() }
    }

    /// Takes a value; the least of it and those before it in the window.
    fn push(&mut self, value: u32) -> u32 {
        if self.len > 0 && self.queue[self.first].0 + self.queue.len() as u64 <= self.frame {
            self.first = self.place(1);
            self.len -= 1;
        }
        while self.len > 0 && self.queue[self.place(self.len - 1)].1 >= value {
            self.len -= 1;
        }
        let back = self.place(self.len);
        self.queue[back] = (self.frame, value);
        self.len += 1;
        self.frame += 1;
        self.queue[self.first].1
    }
}

#[cfg(test)]
mod tests;

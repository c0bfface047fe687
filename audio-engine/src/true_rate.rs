//! Whether a device gives as many frames a second as it says.
//!
//! Clocks differ by some hundred millionths, and loops make up for that. A device that was told one rate and runs at
//! another differs by per cents: nothing can be steered so far, and it would run dry, or over, again and again.

use std::time::{Duration, Instant};

/// Frames are counted for so long at a time, so often in a row.
const WINDOW: Duration = Duration::from_secs(3);
const WINDOWS: usize = 3;
/// Windows that differ by more are not of one rate: frames come in bursts, or are lost.
const STEADY: f64 = 0.01;
/// More than any clock is wrong.
const OTHER: f64 = 0.02;
/// Rates that devices have.
const RATES_HZ: [u32; 13] =
    [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000];

/// Counts a device's frames against time.
#[derive(Debug)]
pub(crate) struct TrueRate {
    since: Instant,
    frames: u64,
    /// Of the last windows, the newest last.
    rates_hz: [f64; WINDOWS],
}

impl TrueRate {
    /// It has given so many frames by then.
    pub(crate) const fn new(now: Instant, frames: u64) -> Self {
        Self { since: now, frames, rates_hz: [0.0; WINDOWS] }
    }

    /// The rate that it has, where it is one that devices have, has been steady, and is not the one that it is taken for.
    pub(crate) fn other_than(&mut self, taken_hz: u32, now: Instant, frames: u64) -> Option<u32> {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return None;
        }
        self.rates_hz.rotate_left(1);
        self.rates_hz[WINDOWS - 1] = frames.saturating_sub(self.frames) as f64 / elapsed.as_secs_f64();
        (self.since, self.frames) = (now, frames);
        let mean_hz = self.rates_hz.iter().sum::<f64>() / WINDOWS as f64;
        let is_near = |hz: f64, other: f64, by: f64| (hz / other - 1.0).abs() < by;
        if !self.rates_hz.iter().all(|&hz| is_near(hz, mean_hz, STEADY)) || is_near(mean_hz, taken_hz.into(), OTHER) {
            return None;
        }
        RATES_HZ.into_iter().find(|&known| is_near(mean_hz, known.into(), STEADY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says after windows with so many frames each.
    fn said(taken_hz: u32, windows: &[u64]) -> Option<u32> {
        let begin = Instant::now();
        let mut rate = TrueRate::new(begin, 77);
        let mut frames = 77;
        let mut last = None;
        for (number, window) in (1..).zip(windows) {
            frames += window;
            assert_eq!(rate.other_than(taken_hz, begin + number * WINDOW - WINDOW / 2, frames), None, "too early");
            last = rate.other_than(taken_hz, begin + number * WINDOW, frames);
        }
        last
    }

    #[test]
    fn another_rate_is_known_and_bursts_losses_and_wrong_clocks_are_none() {
        assert_eq!(said(48_000, &[132_300; 3]), Some(44_100));
        assert_eq!(said(48_000, &[96_000, 132_700, 132_000, 132_300]), Some(44_100), "steady since");
        assert_eq!(said(44_100, &[144_000; 3]), Some(48_000));
        assert_eq!(said(48_000, &[144_000 + 144; 5]), None, "a clock that is wrong by a thousandth");
        assert_eq!(said(48_000, &[132_300; 2]), None, "not long enough");
        assert_eq!(said(48_000, &[240_000, 96_000, 144_000, 192_000]), None, "bursts");
        assert_eq!(said(48_000, &[129_600; 5]), None, "a tenth is lost: no device has this rate");
        assert_eq!(said(48_000, &[0; 5]), None);
    }
}

//! Several readings as one, for whoever wants fewer a second.

use shm_layout::board::Reading;

/// Joins one stream's readings.
#[derive(Debug)]
pub(super) struct Join {
    rate: u64,
    held: Option<Reading>,
    missed: u64,
}

impl Join {
    /// Of sixty readings a second, so many are made.
    pub(super) const fn new(rate: u32) -> Self {
        Self { rate: rate as u64, held: None, missed: 0 }
    }

    /// Takes the next reading, before which so many were missed; gives what is whole. Readings on both sides of a hole are
    /// not joined.
    pub(super) fn take(&mut self, reading: &Reading, missed: u64, mut give: impl FnMut(&Reading, u64)) {
        if self.held.is_some_and(|held| held.to != reading.from)
            && let Some((held, before)) = self.rest()
        {
            give(&held, before);
        }
        self.missed += missed;
        let joined = self.held.take().map_or(*reading, |held| held.joined(reading));
        // A period ends within it, or with it.
        let period = |frame: u64| frame * self.rate / u64::from(reading.sample_rate_hz.max(1));
        if period(reading.to.0) > period(reading.from.0) {
            give(&joined, std::mem::take(&mut self.missed));
        } else {
            self.held = Some(joined);
        }
    }

    /// What is not whole, and how many readings were missed before it.
    pub(super) fn rest(&mut self) -> Option<(Reading, u64)> {
        Some((self.held.take()?, std::mem::take(&mut self.missed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::READINGS_HZ;
    use crate::meters::json::tests::reading;

    /// Sixty readings of a second, joined: from, to and peak of what comes out.
    fn joined(rate: u32, sample_rate_hz: u64, left_out: &[u64]) -> Vec<(u64, u64, f32, u64)> {
        let (mut join, mut out, mut missed) = (Join::new(rate), Vec::new(), 0);
        for number in 0..u64::from(READINGS_HZ) {
            if left_out.contains(&number) {
                missed += 1;
                continue;
            }
            let end = |number: u64| (number * sample_rate_hz).div_ceil(u64::from(READINGS_HZ));
            let peak = number as f32 / 100.0;
            let mut reading = reading(end(number), end(number + 1), peak);
            reading.sample_rate_hz = u32::try_from(sample_rate_hz).expect("a rate");
            join.take(&reading, std::mem::take(&mut missed), |r, m| out.push((r.from.0, r.to.0, r.loudest.peak, m)));
        }
        assert!(join.rest().is_none());
        out
    }

    #[test]
    fn each_second_has_as_many_as_were_asked_for_and_no_frame_is_left_out() {
        for rate in [1, 7, 10, 30, 59, 60] {
            for sample_rate_hz in [8_000, 11_025, 44_100, 48_000] {
                let out = joined(rate, sample_rate_hz, &[]);
                assert_eq!(out.len(), rate as usize, "{rate} of {sample_rate_hz}");
                assert!(out[0].0 == 0 && out[out.len() - 1].1 == sample_rate_hz);
                assert!(out.windows(2).all(|pair| pair[0].1 == pair[1].0), "{out:?}");
            }
        }
        assert_eq!(joined(2, 48_000, &[]), [(0, 24_000, 0.29, 0), (24_000, 48_000, 0.59, 0)]);
    }

    #[test]
    fn a_hole_is_between_two_and_counted() {
        let out = joined(2, 48_000, &[10, 11]);
        assert_eq!(out, [(0, 8_000, 0.09, 0), (9_600, 24_000, 0.29, 2), (24_000, 48_000, 0.59, 0)]);
    }
}

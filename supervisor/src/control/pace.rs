//! So many acts a second, and as many at once. Pure: the caller has the clock.

use std::time::{Duration, Instant};

/// An allowance that fills up again evenly; a second's worth is the most that it holds.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    /// When it will be full again.
    full_at: Instant,
}

/// What a full allowance is worth.
const HELD: Duration = Duration::from_secs(1);

impl Pace {
    /// A full one.
    pub(super) fn new(acts_a_second: u32, now: Instant) -> Self {
        Self { every: HELD / acts_a_second, full_at: now }
    }

    /// From when on one more act is allowed.
    pub(super) fn allowed_at(&self) -> Instant {
        // At boot the clock may have no second before it.
        (self.full_at + self.every).checked_sub(HELD).unwrap_or(self.full_at)
    }

    /// Whether one more act is allowed.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.allowed_at() <= now
    }

    /// Counts an act.
    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_at_once_and_then_evenly() {
        let begin = Instant::now() + HELD;
        let mut pace = Pace::new(50, begin);
        for _ in 0..50 {
            assert!(pace.allows(begin));
            pace.take(begin);
        }
        assert!(!pace.allows(begin));
        assert_eq!(pace.allowed_at(), begin + Duration::from_millis(20));
        // However long nobody asks, no more than a second's worth is held.
        let later = begin + Duration::from_secs(100);
        let at_once = (0..1_000).take_while(|_| pace.allows(later).then(|| pace.take(later)).is_some()).count();
        assert_eq!(at_once, 50);
        // Who takes what he can gets what is his, and no more.
        let (mut now, mut taken) = (later, 0);
        while now < later + Duration::from_secs(10) {
            now += Duration::from_millis(1);
            if pace.allows(now) {
                pace.take(now);
                taken += 1;
            }
        }
        assert_eq!(taken, 500);
    }
}

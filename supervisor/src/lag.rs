//! Whether words keep pace with what is spoken. No clock, no I/O.
//!
//! Under more speech than the workers can do, live text degrades in this order: texts of what is still being spoken come
//! less often, each about more of it; then the texts of whole utterances come late. None is lost: what would leave the ring
//! meanwhile is kept in files.

use serde::Serialize;
use std::time::Duration;

/// Texts of what is being spoken come every half second, and a computation takes half of that where all is well.
const PARTIAL_LATE_S: f64 = 2.5;
const PARTIAL_ON_TIME_S: f64 = 1.5;
/// A whole utterance is written down half a second after its end where all is well.
const FINAL_LATE_S: f64 = 2.0;
const FINAL_ON_TIME_S: f64 = 1.0;
/// So long all must be on time before it is said that it is: else who listens at the limit hears it at every breath.
const CALM: Duration = Duration::from_secs(3);

/// How live text keeps pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// As promised.
    #[default]
    Live,
    /// Text of what is being spoken comes less often.
    FewerPartials,
    /// Texts of whole utterances come late.
    LateFinals,
}

/// How long the oldest sound of a stream waits for its words, in seconds of the stream; 0 where none does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Waits {
    /// Of what is being spoken.
    pub partial_s: f64,
    /// Of whole utterances, since their ends.
    pub final_s: f64,
}

impl Waits {
    /// The pace that these mean, where such a wait is late and such a one on time.
    fn pace(self, partial_s: f64, final_s: f64) -> Pace {
        match self {
            waits if waits.final_s > final_s => Pace::LateFinals,
            waits if waits.partial_s > partial_s => Pace::FewerPartials,
            _ => Pace::Live,
        }
    }
}

/// The pace of one stream, as it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    told: Pace,
    better_since: Option<Duration>,
}

impl Lag {
    /// The pace as it was last told.
    pub(crate) const fn pace(&self) -> Pace {
        self.told
    }

    /// Looks again; gives the pace where it is another one now. Worse is told at once, better when it lasts.
    pub(crate) fn look(&mut self, now: Duration, waits: Waits) -> Option<Pace> {
        let worse = waits.pace(PARTIAL_LATE_S, FINAL_LATE_S);
        if worse > self.told {
            *self = Self { told: worse, better_since: None };
            return Some(worse);
        }
        let better = waits.pace(PARTIAL_ON_TIME_S, FINAL_ON_TIME_S);
        if better >= self.told {
            self.better_since = None;
            return None;
        }
        let since = *self.better_since.get_or_insert(now);
        (now.saturating_sub(since) >= CALM).then(|| {
            *self = Self { told: better, better_since: None };
            better
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ON_TIME: Waits = Waits { partial_s: 1.2, final_s: 0.5 };
    const STALE: Waits = Waits { partial_s: 3.0, final_s: 0.5 };
    const LATE: Waits = Waits { partial_s: 3.0, final_s: 2.5 };

    /// What is told when these waits are seen, half a second each.
    fn told(waits: &[Waits]) -> Vec<(usize, Pace)> {
        let mut lag = Lag::default();
        let looks = (0_u32..).zip(waits).enumerate();
        looks.filter_map(|(at, (n, waits))| Some((at, lag.look(Duration::from_millis(500) * n, *waits)?))).collect()
    }

    #[test]
    fn worse_is_told_at_once_and_better_when_it_lasts() {
        let waits = [&[ON_TIME; 9][..], &[STALE; 2], &[LATE; 5], &[ON_TIME; 20]].concat();
        assert_eq!(told(&waits), [(9, Pace::FewerPartials), (11, Pace::LateFinals), (22, Pace::Live)]);
        assert_eq!(told(&[ON_TIME; 100]), []);
    }

    #[test]
    fn at_the_limit_it_is_told_once() {
        let breath = [&[LATE; 1][..], &[ON_TIME; 4]].concat();
        assert_eq!(told(&breath.repeat(50)), [(0, Pace::LateFinals)]);
        let between = Waits { partial_s: 2.0, final_s: 1.5 };
        assert_eq!(told(&[&[LATE; 1][..], &[between; 100]].concat()), [(0, Pace::LateFinals)]);
    }

    #[test]
    fn it_may_get_better_by_one_step() {
        assert_eq!(told(&[&[LATE; 3][..], &[STALE; 20]].concat()), [(0, Pace::LateFinals), (9, Pace::FewerPartials)]);
    }

    proptest! {
        /// Each pace that is told is another one than before, and calm ends it.
        #[test]
        fn a_pace_is_told_once(waits in prop::collection::vec((0.0..5.0_f64, 0.0..5.0_f64), 0..200)) {
            let waits: Vec<_> = waits.into_iter().map(|(partial_s, final_s)| Waits { partial_s, final_s }).collect();
            let told = told(&[&waits[..], &[Waits::default(); 8]].concat());
            let paces: Vec<_> = std::iter::once(Pace::Live).chain(told.iter().map(|(_, pace)| *pace)).collect();
            prop_assert!(paces.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", paces);
            prop_assert_eq!(paces.last(), Some(&Pace::Live));
        }
    }
}

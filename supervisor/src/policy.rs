//! When a child that ended is started again. Pure: no clock, no I/O.

use control_protocol::Exit;
use std::time::Duration;

/// A child that ran this long was healthy: what went wrong before is forgotten.
const HEALTHY: Duration = Duration::from_secs(10);
/// The first pause before a restart; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Deaths by its own fault, one after the other, after which a part is given up.
const FAULTS_MAX: u32 = 5;
/// Deaths from outside before ready that are still answered at once. More look like the kernel's memory killer.
const KILLS_AT_ONCE: u32 = 5;

/// How a child ended, as policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Somebody ended it: a signal that a program does not raise by its own fault.
    FromOutside,
    /// Its own fault: a panic, a crash, a broken link.
    OwnFault,
    /// It cannot work as it was configured; again would be the same.
    Refused(Exit),
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Start it again, after this time.
    Restart(Duration),
    /// Give it up.
    GiveUp,
}

/// The memory of one part over its lives.
#[derive(Debug, Default, Clone)]
pub(crate) struct RestartPolicy {
    faults: u32,
    kills_before_ready: u32,
}

impl RestartPolicy {
    /// Decides after a death: how it died, whether it had become ready, how long it ran.
    pub(crate) fn after(&mut self, death: Death, was_ready: bool, ran: Duration) -> Decision {
        if ran >= HEALTHY {
            self.faults = 0;
        }
        if was_ready {
            self.kills_before_ready = 0;
        }
        match death {
            Death::Refused(_) => Decision::GiveUp,
            Death::FromOutside if was_ready => Decision::Restart(Duration::ZERO),
            Death::FromOutside => {
                self.kills_before_ready += 1;
                Decision::Restart(pause(self.kills_before_ready.saturating_sub(KILLS_AT_ONCE)))
            }
            Death::OwnFault => {
                self.faults += 1;
                if self.faults >= FAULTS_MAX { Decision::GiveUp } else { Decision::Restart(pause(self.faults)) }
            }
        }
    }
}

fn pause(times: u32) -> Duration {
    match times {
        0 => Duration::ZERO,
        n => PAUSE_FIRST.saturating_mul(1 << (n - 1).min(16)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHORT: Duration = Duration::from_millis(700);

    #[test]
    fn a_healthy_child_killed_from_outside_restarts_at_once_for_ever() {
        let mut policy = RestartPolicy::default();
        for _ in 0..1_000 {
            assert_eq!(policy.after(Death::FromOutside, true, SHORT), Decision::Restart(Duration::ZERO));
        }
    }

    #[test]
    fn own_faults_back_off_and_end() {
        let mut policy = RestartPolicy::default();
        let decisions: Vec<_> = (0..5).map(|_| policy.after(Death::OwnFault, true, SHORT)).collect();
        let ms = |ms| Decision::Restart(Duration::from_millis(ms));
        assert_eq!(decisions, [ms(100), ms(200), ms(400), ms(800), Decision::GiveUp]);
        assert_eq!(RestartPolicy::default().after(Death::Refused(Exit::NoModel), false, SHORT), Decision::GiveUp);
    }

    proptest! {
        #[test]
        fn faults_after_healthy_runs_never_end(rounds in 1_usize..200) {
            let mut policy = RestartPolicy::default();
            for _ in 0..rounds {
                prop_assert_ne!(policy.after(Death::OwnFault, true, HEALTHY), Decision::GiveUp);
            }
        }

        #[test]
        fn pauses_are_bounded(times in any::<u32>()) {
            prop_assert!(pause(times) <= PAUSE_MAX);
        }
    }
}

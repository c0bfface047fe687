//! The life of one part: when it is started, started again, asked to end, killed, given up. Pure: no clock, no I/O; times
//! are counted from the session's beginning.
//!
//! ```text
//!          begin            ready            healthy
//!   Idle ────────► Starting ─────► Ready ───────────► Running
//!     ▲               ▲ │ died       │ died from outside │
//!     │               │ ▼            ▼  (started at once)▼
//!     │  stopped   Waiting ◄───── own fault, or before ready
//!  Stopping           │ too many in a period
//!     ▲               ▼
//!     └─ any       Failed ── slow timer, or a command ──► Starting
//! ```
//!
//! As in Erlang's supervisors there is an intensity (so many faults in a period), and as in systemd a healthy run
//! forgives what was before. Pauses grow twofold, with jitter, so that parts that fail together do not come back together.

use std::collections::VecDeque;
use std::time::Duration;

/// The numbers of the policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The pause after the first fault; each further one is twice as long.
    pub pause_first: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// By how much of itself a pause may be longer or shorter, in per cent.
    pub jitter_percent: u32,
    /// A life this long after ready is healthy: the next pause is the first one again.
    pub healthy_after: Duration,
    /// So many faults ...
    pub faults_max: usize,
    /// ... within this time are too many.
    pub period: Duration,
    /// How long a failed part is left alone before it is tried again.
    pub retry_failed_after: Duration,
}

impl Rules {
    /// The rules of every part.
    pub(crate) const USUAL: Self = Self {
        pause_first: Duration::from_millis(100),
        pause_max: Duration::from_secs(5),
        jitter_percent: 20,
        healthy_after: Duration::from_secs(10),
        faults_max: 5,
        period: Duration::from_secs(60),
        retry_failed_after: Duration::from_secs(60),
    };
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Somebody ended it: a signal that a program does not raise by its own fault.
    FromOutside,
    /// Its own fault: a panic, a crash, a broken link, hanging, too much memory.
    OwnFault,
    /// It cannot work as it was configured; at once again would be the same.
    Refused,
}

/// Where a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Without a child, and none is wanted.
    Idle,
    /// A child is there, and not ready yet.
    Starting,
    /// It is ready since then, and has not shown yet that it is healthy.
    Ready { since: Duration },
    /// It is ready and healthy.
    Running,
    /// It was asked to end, and is killed then. Afterwards another one is started, or not.
    Stopping { kill_at: Duration, again: bool },
    /// Without a child until then.
    Waiting { until: Duration },
    /// Given up until then.
    Failed { until: Duration },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Start a child.
    Start,
    /// Ask the child to end.
    AskToEnd,
    /// Kill the child.
    Kill,
    /// Say that the part has failed.
    SayFailed,
}

/// See the module's head.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    rules: Rules,
    state: State,
    /// When the faults were, the newest last.
    faults: VecDeque<Duration>,
    /// Faults since the last healthy life.
    in_a_row: u32,
    /// xorshift64, for the jitter.
    chance: u64,
}

impl Life {
    /// A part without a child. Seeds differ from part to part.
    pub(crate) fn new(rules: Rules, seed: u64) -> Self {
        Self { rules, state: State::Idle, faults: VecDeque::new(), in_a_row: 0, chance: seed | 1 << 40 }
    }

    /// Where it is.
    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Whether a child is there.
    pub(crate) const fn has_child(&self) -> bool {
        !matches!(self.state, State::Idle | State::Waiting { .. } | State::Failed { .. })
    }

    /// Whether its child is ready, and not about to end.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Running)
    }

    /// The first start, and the start by command: of a part without a child, whatever was before. Where a child is about
    /// to end, another will follow it.
    #[must_use]
    pub(crate) fn begin(&mut self) -> Option<Act> {
        if let State::Stopping { again, .. } = &mut self.state {
            *again = true;
        }
        if self.has_child() {
            return None;
        }
        if matches!(self.state, State::Failed { .. }) {
            self.faults.clear();
            self.in_a_row = 0;
        }
        self.state = State::Starting;
        Some(Act::Start)
    }

    /// The child says that it is ready.
    pub(crate) fn ready(&mut self, now: Duration) {
        if self.state == State::Starting {
            self.state = State::Ready { since: now };
        }
    }

    /// The child is gone.
    #[must_use]
    pub(crate) fn died(&mut self, now: Duration, death: Death) -> Option<Act> {
        let was_ready = self.is_ready();
        self.look_at_health(now);
        match self.state {
            State::Idle | State::Waiting { .. } | State::Failed { .. } => None,
            State::Stopping { again: false, .. } => {
                self.state = State::Idle;
                None
            }
            State::Stopping { again: true, .. } => Some(self.start()),
            _ if death == Death::Refused => Some(self.give_up(now)),
            _ if death == Death::FromOutside && was_ready => Some(self.start()),
            _ => self.fault(now),
        }
    }

    /// The child is to end, within `patience`; then there is another one, or none.
    #[must_use]
    pub(crate) fn stop(&mut self, now: Duration, patience: Duration, again: bool) -> Option<Act> {
        match self.state {
            State::Starting | State::Ready { .. } | State::Running => {
                self.state = State::Stopping { kill_at: now + patience, again };
                Some(Act::AskToEnd)
            }
            State::Stopping { kill_at, again: before } => {
                // The end of all ends wins, and nobody is given more time than he was promised.
                self.state = State::Stopping { kill_at: kill_at.min(now + patience), again: before && again };
                None
            }
            State::Idle | State::Waiting { .. } | State::Failed { .. } if again => self.begin(),
            State::Idle | State::Waiting { .. } | State::Failed { .. } => {
                self.state = State::Idle;
                None
            }
        }
    }

    /// When [`Life::tick`] will have something to do.
    pub(crate) const fn due(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { until } | State::Failed { until } => Some(until),
            State::Stopping { kill_at, .. } => Some(kill_at),
            State::Idle | State::Starting | State::Ready { .. } | State::Running => None,
        }
    }

    /// What the time brings.
    #[must_use]
    pub(crate) fn tick(&mut self, now: Duration) -> Option<Act> {
        self.look_at_health(now);
        match self.state {
            State::Waiting { until } if until <= now => Some(self.start()),
            // The slow timer: its faults are as old as the pause was long, and most of them forgotten.
            State::Failed { until } if until <= now => Some(self.start()),
            State::Stopping { kill_at, again } if kill_at <= now => {
                // A kill that had no effect is repeated, and no more than once a second.
                self.state = State::Stopping { kill_at: now + Duration::from_secs(1), again };
                Some(Act::Kill)
            }
            _ => None,
        }
    }

    fn look_at_health(&mut self, now: Duration) {
        if let State::Ready { since } = self.state
            && now.saturating_sub(since) >= self.rules.healthy_after
        {
            self.state = State::Running;
            self.in_a_row = 0;
        }
    }

    fn start(&mut self) -> Act {
        self.state = State::Starting;
        Act::Start
    }

    fn give_up(&mut self, now: Duration) -> Act {
        self.state = State::Failed { until: now + self.rules.retry_failed_after };
        Act::SayFailed
    }

    fn fault(&mut self, now: Duration) -> Option<Act> {
        let since = now.saturating_sub(self.rules.period);
        self.faults.retain(|&at| at > since || now < self.rules.period);
        self.faults.push_back(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.faults.len() >= self.rules.faults_max {
            return Some(self.give_up(now));
        }
        self.state = State::Waiting { until: now + self.pause() };
        None
    }

    fn pause(&mut self) -> Duration {
        let doublings = (self.in_a_row - 1).min(16);
        let pause = self.rules.pause_first.saturating_mul(1 << doublings).min(self.rules.pause_max);
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let jitter = self.rules.jitter_percent;
        #[expect(clippy::cast_possible_truncation, reason = "below 2 * jitter + 1")]
        let share = 100 - jitter + (self.chance % u64::from(2 * jitter + 1)) as u32;
        pause * share / 100
    }
}

#[cfg(test)]
mod tests;

//! Runs of speech: the hysteresis between one probability and the next.

use super::{LOOK_SAMPLES, Policy};

/// Speech without a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First sample.
    pub(super) from: u64,
    /// One past the last sample of speech.
    pub(super) to: u64,
    /// Samples of it that were surely speech.
    pub(super) voiced: u64,
}

/// Finds the runs of a stream.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    policy: Policy,
    open: Option<Run>,
}

impl Runs {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy, open: None }
    }

    /// The run that has not ended yet, be it a click or speech.
    pub(super) const fn open(&self) -> Option<Run> {
        self.open
    }

    /// Takes the look that ends at `position`; gives a run when its pause is over.
    pub(super) fn push(&mut self, probability: f32, position: u64) -> Option<Run> {
        let sure = probability >= self.policy.enter;
        match &mut self.open {
            None if sure => {
                self.open = Some(Run { from: position - LOOK_SAMPLES, to: position, voiced: LOOK_SAMPLES });
                None
            }
            None => None,
            Some(run) if probability >= self.policy.leave => {
                run.to = position;
                run.voiced += if sure { LOOK_SAMPLES } else { 0 };
                None
            }
            Some(run) if position - run.to >= self.policy.pause_after(run.to - run.from) => self.finish(),
            Some(_) => None,
        }
    }

    /// Ends what is open.
    pub(super) fn finish(&mut self) -> Option<Run> {
        self.open.take().filter(|run| run.voiced >= self.policy.speech_min)
    }

    /// What is open begins at `at` now. The rest of it is speech however short it is.
    pub(super) fn cut(&mut self, at: u64) {
        self.open =
            self.open.filter(|run| run.to > at).map(|run| Run { from: at, to: run.to, voiced: self.policy.speech_min });
    }
}

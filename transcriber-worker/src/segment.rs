//! From probabilities to utterances: which samples belong together and are written down as one.
//!
//! Pure: no clock, no I/O, no audio but its loudness. All positions are 16 kHz samples since the stream was entered;
//! [`crate::timeline`] turns them into frames.
//!
//! What is promised, whatever the probabilities are:
//! - utterances come in order and are disjoint; none begins before the floor it was given;
//! - none is longer than [`Policy::longest`];
//! - what a segmenter would need if it had to begin again is never before [`Segmenter::mark`], and the mark never
//!   goes back.
//!
//! Live, an utterance ends at the first pause of [`Policy::pause`]. In a recording ([`Policy::join`]) pieces are joined
//! across pauses as long as the recogniser takes the whole, and cut where it was silent longest.

mod runs;
#[cfg(test)]
mod tests;

use runs::{Run, Runs};
use std::collections::VecDeque;

/// Samples of one look of the detector.
pub const LOOK_SAMPLES: u64 = crate::vad::FRAME_SAMPLES as u64;

const MS: u64 = crate::vad::SAMPLE_RATE_HZ as u64 / 1000;

/// How speech is cut into utterances. Lengths in 16 kHz samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Speech begins at this probability.
    pub enter: f32,
    /// Below this it may have ended.
    pub leave: f32,
    /// It has ended after so much without speech.
    pub pause: u64,
    /// Speech shorter than this is given [`Policy::pause_short`] to go on: a word is understood badly alone.
    pub short: u64,
    /// Takes the place of [`Policy::pause`] in short speech.
    pub pause_short: u64,
    /// After so much of it speech may have ended; what is heard after that belongs to no utterance (live).
    pub settle: u64,
    /// What is heard before the first sign of speech (live), or on both sides of a piece (recordings).
    pub padding: u64,
    /// Less speech than this is a click.
    pub speech_min: u64,
    /// No utterance is longer.
    pub longest: u64,
    /// Whether pieces are joined across pauses.
    pub join: bool,
}

impl Policy {
    /// For streams that are listened to while they are spoken.
    pub const LIVE: Self = Self {
        enter: 0.5,
        leave: 0.35,
        pause: 280 * MS,
        short: 800 * MS,
        pause_short: 560 * MS,
        settle: 64 * MS,
        padding: 500 * MS,
        speech_min: 128 * MS,
        longest: 20_000 * MS,
        join: false,
    };

    /// For recordings.
    pub const OFFLINE: Self = Self {
        enter: 0.5,
        leave: 0.35,
        pause: 192 * MS,
        short: 0,
        pause_short: 192 * MS,
        settle: 192 * MS,
        padding: 500 * MS,
        speech_min: 128 * MS,
        longest: 28_000 * MS,
        join: true,
    };

    /// How long speech of this length may pause before it has ended.
    #[must_use]
    pub const fn pause_after(&self, speech: u64) -> u64 {
        if speech < self.short { self.pause_short } else { self.pause }
    }

    /// The same with such a pause; twice as long after speech that is short.
    #[must_use]
    pub const fn ended_by(self, pause: u64) -> Self {
        Self { pause, pause_short: 2 * pause, ..self }
    }

    /// The same, where no more than `samples` can be kept; at least two seconds.
    #[must_use]
    pub fn within(self, samples: u64) -> Self {
        Self { longest: self.longest.min(samples).max(2_000 * MS), ..self }
    }
}

/// What one look of the detector found in the next [`LOOK_SAMPLES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Probability of speech.
    pub probability: f32,
    /// Mean square of the samples.
    pub power: f32,
}

/// A stretch of speech, in 16 kHz samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utterance {
    /// First sample.
    pub from: u64,
    /// One past the last sample.
    pub to: u64,
    /// Where the speech itself ended.
    pub speech_end: u64,
}

/// Cuts one stream. Begin a new one where the stream is interrupted.
#[derive(Debug, Clone)]
pub struct Segmenter {
    policy: Policy,
    /// Nothing may begin before.
    floor: u64,
    position: u64,
    runs: Runs,
    /// Speech that has ended and waits for company; empty while live.
    waiting: VecDeque<Run>,
    /// The power of the looks since the beginning of what is open, for a cut in mid-speech.
    power: VecDeque<f32>,
}

impl Segmenter {
    /// A segmenter whose first look begins at `position`; looks before `floor` count for nothing, and no utterance
    /// begins before it.
    #[must_use]
    pub fn new(policy: Policy, position: u64, floor: u64) -> Self {
        Self { policy, floor, position, runs: Runs::new(policy), waiting: VecDeque::new(), power: VecDeque::new() }
    }

    /// One past the last sample looked at.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Where a new segmenter would have to begin to find what this one has not yet given.
    #[must_use]
    pub fn mark(&self) -> u64 {
        let needed = self.first().map_or(self.position, |run| run.from);
        needed.saturating_sub(self.policy.padding).max(self.floor)
    }

    /// The utterance that is being spoken, as far as it is known; only while live.
    #[must_use]
    pub fn growing(&self) -> Option<Utterance> {
        let run = self.runs.open().filter(|run| !self.policy.join && run.voiced >= self.policy.speech_min)?;
        Some(Utterance { from: self.mark(), to: self.position, speech_end: run.to })
    }

    /// Where the speech that is going on began.
    #[must_use]
    pub fn speaking_since(&self) -> Option<u64> {
        self.runs.open().map(|run| run.from)
    }

    /// The utterance that ends here if nothing more is said; known with one look only, once in each pause. If the pause
    /// goes on, [`Segmenter::push`] gives the same one; only while live.
    #[must_use]
    pub fn tentative(&self) -> Option<Utterance> {
        let growing = self.growing()?;
        let settled = growing.speech_end + self.policy.settle;
        let with_this_look = (settled..settled + LOOK_SAMPLES).contains(&self.position);
        with_this_look.then_some(Utterance { to: settled, ..growing })
    }

    /// Takes the next look; gives an utterance when one has ended with it.
    pub fn push(&mut self, look: Look) -> Option<Utterance> {
        self.position += LOOK_SAMPLES;
        if self.position <= self.floor {
            return None;
        }
        self.power.push_back(look.power);
        if let Some(run) = self.runs.push(look.probability, self.position) {
            self.waiting.push_back(run);
        }
        let given = if self.policy.join { self.push_joined() } else { self.push_live() };
        let kept =
            usize::try_from(self.position.saturating_sub(self.mark()).div_ceil(LOOK_SAMPLES)).unwrap_or(usize::MAX);
        self.power.drain(..self.power.len().saturating_sub(kept));
        given
    }

    /// The stream ends at `end`: what is open is complete.
    pub fn finish(&mut self, end: u64) -> Option<Utterance> {
        let end = end.max(self.position);
        if let Some(run) = self.runs.finish() {
            self.waiting.push_back(run);
        }
        let speech_end = self.waiting.back()?.to;
        let after = if self.policy.join { self.policy.padding } else { self.policy.settle };
        Some(self.give((speech_end + after).min(end), speech_end, self.waiting.len()))
    }

    fn push_live(&mut self) -> Option<Utterance> {
        if let Some(&Run { to: speech_end, .. }) = self.waiting.front() {
            return Some(self.give(self.position.min(speech_end + self.policy.settle), speech_end, 1));
        }
        self.too_long(0).then(|| self.cut_in_speech())?
    }

    fn push_joined(&mut self) -> Option<Utterance> {
        let padding = self.policy.padding;
        let Some(open) = self.runs.open() else {
            // Nothing that begins now could join any more.
            if !self.too_long(0) {
                return None;
            }
            let speech_end = self.waiting.back()?.to;
            return Some(self.give((speech_end + padding).min(self.position), speech_end, self.waiting.len()));
        };
        if !self.too_long(padding) {
            return None;
        }
        let Some((count, pause)) = self.longest_pause(open.from) else { return self.cut_in_speech() };
        let speech_end = self.waiting[count - 1].to;
        Some(self.give(speech_end + padding.min(pause / 2), speech_end, count))
    }

    /// Whether the whole, with so much after it, would be longer than allowed once another look is added.
    fn too_long(&self, after: u64) -> bool {
        let open = self.first().is_some();
        open && self.position + LOOK_SAMPLES + after > self.mark() + self.policy.longest
    }

    /// The longest pause between two waiting runs (or the last and the open one, which begins at `open_from`): how
    /// many runs stand before it, and its length. One in the second half is preferred: two short pieces cost twice.
    fn longest_pause(&self, open_from: u64) -> Option<(usize, u64)> {
        let middle = self.mark() + self.policy.longest / 2;
        let next = self.waiting.iter().skip(1).map(|run| run.from).chain([open_from]);
        self.waiting
            .iter()
            .zip(next)
            .enumerate()
            .map(|(i, (run, next))| (i + 1, next - run.to, run.to >= middle))
            .max_by_key(|&(count, pause, late)| (late, pause, count))
            .map(|(count, pause, _)| (count, pause))
    }

    /// Cuts what is open at the quietest place of its last third.
    fn cut_in_speech(&mut self) -> Option<Utterance> {
        let third = usize::try_from(self.policy.longest / LOOK_SAMPLES / 3).unwrap_or(usize::MAX);
        let last = self.power.len().checked_sub(1)?;
        let first = last.saturating_sub(third).max(1);
        let power = |i: usize| self.power[i - 1] + self.power[i] + self.power.get(i + 1).copied().unwrap_or(0.0);
        let quietest = (first..last).min_by(|&a, &b| power(a).total_cmp(&power(b))).unwrap_or(last);
        let cut = self.position - (last - quietest) as u64 * LOOK_SAMPLES;
        let speech_end = self.runs.open()?.to.min(cut);
        let given = self.give(cut, speech_end, self.waiting.len());
        self.runs.cut(cut);
        Some(given)
    }

    /// Gives everything up to `to`, of which the first `count` waiting runs are a part.
    fn give(&mut self, to: u64, speech_end: u64, count: usize) -> Utterance {
        let from = self.mark();
        self.waiting.drain(..count);
        self.floor = to;
        Utterance { from, to, speech_end }
    }

    fn first(&self) -> Option<Run> {
        self.waiting.front().copied().or_else(|| self.runs.open())
    }
}

//! How far the words of each stream lag behind its sound, and whether that is to be told.

use super::Session;
use crate::lag::Waits;
use crate::report::Report;
use control_protocol::{ClockKind, Job, Samples, StreamName};
use shm_layout::{FrameIndex, RingWarden};

/// A stream's words, as `status` shows them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WordsLag {
    /// From the oldest sound that waits for words, or is not listened to yet, to the newest.
    pub behind_frames: Option<u64>,
    /// Utterances without their last text.
    pub utterances: usize,
    /// How many of them are kept in files.
    pub kept: usize,
    pub waits: Waits,
}

impl Session<'_> {
    pub(super) fn words_lag(&self, name: &StreamName) -> WordsLag {
        let Some(stream) = self.streams.get(name) else { return WordsLag::default() };
        let Some(newest) = self.rings.of(name).map(RingWarden::commit) else { return WordsLag::default() };
        let seconds = |frames: u64| FrameIndex(frames).seconds(self.plan.sample_rate_hz);
        let unheard_from = |from: FrameIndex| from.max(stream.worded);
        let open: Vec<&Job> = self.queue.open_jobs().filter(|job| job.stream == *name).collect();
        let growing = stream.growing.filter(|growing| growing.to > stream.worded);
        let oldest = open.iter().map(|job| unheard_from(job.from)).chain(growing.map(|g| unheard_from(g.from))).min();
        let silent_from = (!stream.finished).then_some(stream.position);
        let first_end = open.iter().map(|job| job.to).min();
        WordsLag {
            behind_frames: oldest.or(silent_from).map(|from| newest.since(from)),
            utterances: open.len(),
            kept: open.iter().filter(|job| job.samples != Samples::Ring).count(),
            waits: Waits {
                partial_s: growing.map_or(0.0, |growing| seconds(newest.since(unheard_from(growing.from)))),
                final_s: first_end.map_or(0.0, |end| seconds(newest.since(end))),
            },
        }
    }

    /// Tells which streams' words have fallen behind, or have caught up. Without a clock nothing is late.
    pub(super) fn look_at_lags(&mut self) {
        if self.plan.clock == ClockKind::Virtual {
            return;
        }
        let now = self.now();
        for name in self.streams.keys().cloned().collect::<Vec<_>>() {
            let lag = self.words_lag(&name);
            let Some(stream) = self.streams.get_mut(&name) else { continue };
            let Some(pace) = stream.lag.look(now, lag.waits) else { continue };
            let lag_s = FrameIndex(lag.behind_frames.unwrap_or(0)).seconds(self.plan.sample_rate_hz);
            let (waiting, kept) = (lag.utterances, lag.kept);
            self.reporter.report(Report::Lag { stream: name, pace, lag_s, waiting, kept });
        }
    }
}

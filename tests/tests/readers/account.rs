//! Where every frame of a stream went.

use anyhow::{Context, Result, ensure};
use system_tests::*;

/// Where every frame of a stream went.
#[derive(Debug, Default)]
pub(crate) struct Account {
    next: Option<u64>,
    pub(crate) began: u64,
    pub(crate) read: u64,
    pub(crate) in_table_gaps: u64,
    pub(crate) lost: u64,
    pub(crate) between_epochs: u64,
    pub(crate) epochs: Vec<u64>,
    pub(crate) crashed: Vec<u64>,
    closed: Option<u64>,
    /// Gaps that were told for the frames that come next.
    told: Vec<(u64, u64)>,
}

impl Account {
    /// Nothing is left out and nothing comes twice.
    pub(crate) fn take(
        &mut self,
        event: ReaderEvent,
        look: &mut impl FnMut(u64, &[&[f32]], &[(u64, u64)]) -> Result<()>,
    ) -> Result<()> {
        match event {
            ReaderEvent::Epoch { epoch, first, gap: (from, to) } => {
                ensure!(self.epochs.last().is_none_or(|&last| last < epoch), "epoch {epoch} after {:?}", self.epochs);
                match self.next {
                    Some(next) => {
                        ensure!(from == next && to == first, "the gap {from}..{to} after {next}, before {first}")
                    }
                    None => (self.began, self.next) = (to, Some(to)),
                }
                self.between_epochs += to - from;
                self.epochs.push(epoch);
                self.next = Some(to);
            }
            ReaderEvent::Gap(from, to) => self.told.push((from, to)),
            ReaderEvent::Frames { from, frames, planar } => {
                ensure!(self.next == Some(from), "{:?} was expected, {from} came", self.next);
                let end = from + frames as u64;
                let told: Vec<_> = self.told.drain(..).map(|gap| (gap.0.max(from), gap.1.min(end))).collect();
                ensure!(told.iter().all(|gap| gap.0 < gap.1), "gaps {told:?} of {from}..{end}");
                let channels: Vec<&[f32]> = planar.chunks_exact(frames).collect();
                look(from, &channels, &told)?;
                let gaps: u64 = told.iter().map(|gap| gap.1 - gap.0).sum();
                self.in_table_gaps += gaps;
                self.read += frames as u64 - gaps;
                self.next = Some(end);
            }
            ReaderEvent::Lost(from, to) => {
                ensure!(self.next == Some(from) && to > from, "lost {from}..{to} at {:?}", self.next);
                self.lost += to - from;
                self.next = Some(to);
            }
            ReaderEvent::Closed(at) | ReaderEvent::Crashed(at) => {
                ensure!(self.next == Some(at), "an end at {at}, and {:?} was next", self.next);
                if matches!(event, ReaderEvent::Closed(_)) { self.closed = Some(at) } else { self.crashed.push(at) }
            }
            ReaderEvent::Waiting => {}
        }
        Ok(())
    }

    pub(crate) fn check_sum(&self) -> Result<()> {
        let all = self.closed.context("never closed")? - self.began;
        let sum = self.read + self.in_table_gaps + self.lost + self.between_epochs;
        ensure!(all == sum, "{all} frames, and {sum} accounted for: {self:?}");
        Ok(())
    }
}

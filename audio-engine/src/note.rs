//! What the tick tells the control thread of missing frames, and when: a gap when it is over, a lasting one in parts.

use control_protocol::GapCause;
use rtrb::Producer;
use shm_layout::FrameIndex;

/// Frames of a track that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Frames of a track are missing. A long gap comes in parts.
    Gap {
        /// The track's place.
        place: usize,
        /// First missing frame.
        from: FrameIndex,
        /// One past the last missing frame.
        to: FrameIndex,
        /// Why.
        cause: GapCause,
    },
    /// Frames of a track were lost beyond the gaps.
    Dropped {
        /// The track's place.
        place: usize,
        /// In the block that begins here.
        at: FrameIndex,
        /// How many.
        frames: u64,
    },
    /// Frames of a track were not processed in time: they are in its ring, and not in the mix. Long ones come in parts.
    Unprocessed {
        /// The track's place.
        place: usize,
        /// First missing frame.
        from: FrameIndex,
        /// One past the last missing frame.
        to: FrameIndex,
    },
}

/// Where frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// In the track's ring.
    Captured(GapCause),
    /// In the mix.
    Processed,
}

impl Note {
    /// How many frames it tells of.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        match self {
            Self::Gap { from, to, .. } | Self::Unprocessed { from, to, .. } => to.since(*from),
            Self::Dropped { frames, .. } => *frames,
        }
    }
}

/// The way of the notes to the control thread. Without room a note is lost; the ring's own table has the gap in any case.
pub(crate) struct Notes {
    pub(crate) queue: Producer<Note>,
    /// How much of a lasting gap one note tells.
    pub(crate) report_frames: u64,
}

impl Notes {
    /// Says it.
    pub(crate) fn say(&mut self, note: Note) {
        let _ = self.queue.push(note);
    }
}

/// The gap of a track that is under way.
#[derive(Debug, Default)]
pub(crate) struct OpenGap(Option<(FrameIndex, FrameIndex, Missing)>);

impl OpenGap {
    /// These frames are missing.
    pub(crate) fn miss(&mut self, from: FrameIndex, to: FrameIndex, missing: Missing, place: usize, notes: &mut Notes) {
        match &mut self.0 {
            Some((_, end, known)) if *end == from && *known == missing => *end = to,
            _ => {
                self.tell(place, notes);
                self.0 = Some((from, to, missing));
            }
        }
    }

    /// The track has reached this frame: tells of a gap that is over, or that lasts.
    pub(crate) fn pass(&mut self, reached: FrameIndex, place: usize, notes: &mut Notes) {
        // One that goes up to here may go on: whether it does is known one block later.
        if self.0.is_some_and(|(from, to, _)| to != reached || to.since(from) >= notes.report_frames) {
            self.tell(place, notes);
        }
    }

    /// Tells of what there is.
    pub(crate) fn tell(&mut self, place: usize, notes: &mut Notes) {
        if let Some((from, to, missing)) = self.0.take() {
            notes.say(match missing {
                Missing::Captured(cause) => Note::Gap { place, from, to, cause },
                Missing::Processed => Note::Unprocessed { place, from, to },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtrb::RingBuffer;

    #[test]
    fn a_gap_is_told_when_it_is_over_and_a_lasting_one_in_parts() {
        let (queue, mut told) = RingBuffer::new(8);
        let mut notes = Notes { queue, report_frames: 30 };
        let mut open = OpenGap::default();
        let mut spans = || std::iter::from_fn(|| told.pop().ok()).collect::<Vec<_>>();
        let gap = |from, to, cause| Note::Gap { place: 3, from: FrameIndex(from), to: FrameIndex(to), cause };
        let (under, xrun) = (GapCause::Underrun, GapCause::Xrun);
        let captured = Missing::Captured;
        // Two blocks of ten, then sound.
        for at in [0, 10] {
            open.miss(FrameIndex(at), FrameIndex(at + 10), captured(under), 3, &mut notes);
            open.pass(FrameIndex(at + 10), 3, &mut notes);
            assert_eq!(spans(), []);
        }
        open.pass(FrameIndex(30), 3, &mut notes);
        assert_eq!(spans(), [gap(0, 20, under)]);
        // Another cause is another gap.
        open.miss(FrameIndex(30), FrameIndex(35), captured(under), 3, &mut notes);
        open.miss(FrameIndex(35), FrameIndex(40), captured(xrun), 3, &mut notes);
        assert_eq!(spans(), [gap(30, 35, under)]);
        // It lasts.
        for at in [40, 50, 60] {
            open.miss(FrameIndex(at), FrameIndex(at + 10), captured(xrun), 3, &mut notes);
            open.pass(FrameIndex(at + 10), 3, &mut notes);
        }
        assert_eq!(spans(), [gap(35, 70, xrun)]);
        open.tell(3, &mut notes);
        assert_eq!(spans(), []);
    }
}

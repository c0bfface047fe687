//! When a stream is not listened to: the frames at which that changes, as the supervisor ordered.
//!
//! An order names its frame, so that it means the same whenever it is heard of: by a listener that is behind, and by the
//! next one.

use shm_layout::FrameIndex;
use std::sync::{Mutex, PoisonError};

/// Frames that are all listened to, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// First frame.
    pub from: FrameIndex,
    /// One past the last frame.
    pub to: FrameIndex,
    /// Where the pause began that they are in.
    pub paused_since: Option<FrameIndex>,
}

/// The pauses of one stream. Told by the thread that hears the supervisor, asked by the one that scans.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<Vec<(FrameIndex, bool)>>);

impl Pauses {
    /// From `at` on it is paused, or not.
    pub(super) fn turn(&self, at: FrameIndex, paused: bool) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = turns.last().map_or(at, |(last, _)| at.max(*last));
        if turns.last().map_or(paused, |(_, last)| *last != paused) {
            turns.push((at, paused));
        }
    }

    /// `from..to` in pieces, in order. Frames before `from` are never asked for again.
    pub(super) fn pieces(&self, from: FrameIndex, to: FrameIndex) -> Vec<Piece> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let past = turns.partition_point(|(at, _)| *at <= from);
        turns.drain(..past.saturating_sub(1));
        let mut pieces = vec![Piece { from, to, paused_since: None }];
        for &(at, paused) in turns.iter().take_while(|(at, _)| *at < to) {
            if let Some(last) = pieces.last_mut() {
                last.to = at.max(from);
            }
            pieces.push(Piece { from: at.max(from), to, paused_since: paused.then_some(at) });
        }
        pieces.retain(|piece| piece.from < piece.to);
        pieces
    }
}

/// Some frames of `[channels][frames]`.
pub(super) fn part_of(planar: &[f32], frames: usize, range: std::ops::Range<usize>) -> Vec<f32> {
    planar.chunks_exact(frames.max(1)).flat_map(|channel| &channel[range.clone()]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(from: u64, to: u64, since: Option<u64>) -> Piece {
        Piece { from: FrameIndex(from), to: FrameIndex(to), paused_since: since.map(FrameIndex) }
    }

    #[test]
    fn a_pause_begins_and_ends_at_its_frames() {
        let pauses = Pauses::default();
        let pieces = |from, to| pauses.pieces(FrameIndex(from), FrameIndex(to));
        assert_eq!(pieces(0, 10), [piece(0, 10, None)]);
        pauses.turn(FrameIndex(14), true);
        assert_eq!(pieces(10, 14), [piece(10, 14, None)]);
        pauses.turn(FrameIndex(14), true);
        pauses.turn(FrameIndex(30), false);
        assert_eq!(pieces(10, 20), [piece(10, 14, None), piece(14, 20, Some(14))]);
        assert_eq!(pieces(20, 40), [piece(20, 30, Some(14)), piece(30, 40, None)]);
        assert_eq!(pieces(40, 50), [piece(40, 50, None)]);
    }

    #[test]
    fn an_order_may_come_late_and_a_pause_be_short() {
        let pauses = Pauses::default();
        pauses.turn(FrameIndex(5), true);
        assert_eq!(pauses.pieces(FrameIndex(9), FrameIndex(12)), [piece(9, 12, Some(5))]);
        pauses.turn(FrameIndex(15), false);
        pauses.turn(FrameIndex(15), true);
        pauses.turn(FrameIndex(16), false);
        let expected = [piece(12, 15, Some(5)), piece(15, 16, Some(15)), piece(16, 20, None)];
        assert_eq!(pauses.pieces(FrameIndex(12), FrameIndex(20)), expected);
    }

    #[test]
    fn a_part_has_all_channels() {
        assert_eq!(part_of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 1..3), [2.0, 3.0, 5.0, 6.0]);
    }

    proptest! {
        /// However the frames are cut, each is in one piece, and paused if an order says so.
        #[test]
        fn every_frame_is_listened_to_or_not(lengths in prop::collection::vec(1_u64..50, 0..10), cuts in prop::collection::vec(1_u64..40, 1..20)) {
            let pauses = Pauses::default();
            let (mut paused, mut at, mut turns) = (false, 0, Vec::new());
            for length in lengths {
                paused = !paused;
                at += length;
                turns.push((at, paused));
                pauses.turn(FrameIndex(at), paused);
            }
            let mut from = 0;
            for cut in cuts {
                let pieces = pauses.pieces(FrameIndex(from), FrameIndex(from + cut));
                let mut next = from;
                for piece in pieces {
                    prop_assert_eq!(piece.from.0, next);
                    for frame in piece.from.0..piece.to.0 {
                        let expected = turns.iter().rev().find(|(at, _)| *at <= frame).filter(|(_, paused)| *paused);
                        prop_assert_eq!(piece.paused_since.map(|since| since.0), expected.map(|(at, _)| *at));
                    }
                    next = piece.to.0;
                }
                prop_assert_eq!(next, from + cut);
                from += cut;
            }
        }
    }
}

//! When a stream is not listened to, as far as a new listener has to know. No clock, no I/O.
//!
//! The orders pile up while there is no listener, so their number is bounded: then the shortest pause is forgotten, and what
//! was said in it is heard. Nothing that was said outside of the pauses is ever in one.

use shm_layout::FrameIndex;

/// More pauses in a history than anybody orders by hand.
const MOST: usize = 64;

/// Frames that are not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    /// The first one.
    pub from: FrameIndex,
    /// One past the last one; none while it lasts.
    pub to: Option<FrameIndex>,
}

impl Pause {
    /// Its length; of one that lasts there is none.
    fn frames(&self) -> Option<u64> {
        self.to.map(|to| to.since(self.from))
    }
}

/// The pauses of one stream, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pauses(Vec<Pause>);

impl Pauses {
    /// Whether it is not listened to now.
    pub(super) fn last(&self) -> bool {
        self.0.last().is_some_and(|last| last.to.is_none())
    }

    /// From `at` on it is paused, or not.
    pub(super) fn turn(&mut self, at: FrameIndex, paused: bool) {
        match self.0.last_mut() {
            Some(Pause { from, to: to @ None }) if !paused => *to = Some(at.max(*from)),
            Some(Pause { to: to @ Some(_), .. }) if paused && *to >= Some(at) => *to = None,
            Some(Pause { to: Some(_), .. }) | None if paused => self.0.push(Pause { from: at, to: None }),
            _ => {}
        }
        // Nothing was captured in it.
        self.0.retain(|pause| pause.frames() != Some(0));
        if self.0.len() > MOST {
            let lengths = self.0.iter().enumerate().filter_map(|(at, pause)| Some((pause.frames()?, at)));
            if let Some((_, shortest)) = lengths.min() {
                self.0.remove(shortest);
            }
        }
    }

    /// Nobody will ask for frames before this one.
    pub(super) fn pass(&mut self, frame: FrameIndex) {
        self.0.retain(|pause| pause.to.is_none_or(|to| to > frame));
    }

    /// The orders that make them: from which frame on it is paused, or not.
    pub(super) fn orders(&self) -> impl Iterator<Item = (FrameIndex, bool)> {
        self.0.iter().flat_map(|pause| [Some((pause.from, true)), pause.to.map(|to| (to, false))]).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turned(turns: &[(u64, bool)]) -> Pauses {
        let mut pauses = Pauses::default();
        turns.iter().for_each(|&(at, paused)| pauses.turn(FrameIndex(at), paused));
        pauses
    }

    fn orders(pauses: &Pauses) -> Vec<(u64, bool)> {
        pauses.orders().map(|(at, paused)| (at.0, paused)).collect()
    }

    #[test]
    fn a_pause_lasts_until_it_ends() {
        let mut pauses = turned(&[(5, true), (9, false), (20, true)]);
        assert!(pauses.last());
        assert_eq!(orders(&pauses), [(5, true), (9, false), (20, true)]);
        pauses.pass(FrameIndex(30));
        assert_eq!(orders(&pauses), [(20, true)]);
        pauses.turn(FrameIndex(40), false);
        assert!(!pauses.last());
        pauses.pass(FrameIndex(40));
        assert_eq!(pauses, Pauses::default());
    }

    #[test]
    fn orders_at_the_same_frame_are_one() {
        assert_eq!(turned(&[(5, true), (5, false)]), Pauses::default());
        assert_eq!(orders(&turned(&[(5, true), (9, false), (9, true)])), [(5, true)]);
        assert_eq!(orders(&turned(&[(5, false), (7, true), (8, true)])), [(7, true)]);
    }

    #[test]
    fn any_number_of_orders_takes_as_much_room_as_a_few() {
        let mut pauses = turned(&[(0, true), (90_000, false)]);
        for n in 0..100_000 {
            pauses.turn(FrameIndex(100_000 + 10 * n), n % 2 == 0);
            assert!(pauses.0.len() <= MOST);
        }
        // The long one is known; of the short ones the last.
        let orders = orders(&pauses);
        assert_eq!(orders[..2], [(0, true), (90_000, false)]);
        assert_eq!(orders[orders.len() - 2..], [(1_099_980, true), (1_099_990, false)]);
    }

    proptest! {
        /// However often it is turned: the last order counts, what was said while it was not paused is in no pause, and few
        /// pauses are all known.
        #[test]
        fn what_was_not_paused_is_listened_to(lengths in prop::collection::vec(0_u64..40, 0..400), passed in 0_u64..2_000) {
            let (mut pauses, mut at) = (Pauses::default(), 0);
            let mut ordered = Vec::new();
            for (n, length) in lengths.iter().enumerate() {
                at += length;
                ordered.push((at, n % 2 == 0));
                pauses.turn(FrameIndex(at), n % 2 == 0);
            }
            let is_paused = |orders: &[(u64, bool)], frame| orders.iter().rev().find(|(at, _)| *at <= frame).is_some_and(|(_, paused)| *paused);
            prop_assert_eq!(pauses.last(), ordered.last().is_some_and(|(_, paused)| *paused));
            prop_assert!(pauses.0.len() <= MOST);
            pauses.pass(FrameIndex(passed));
            let known = orders(&pauses);
            prop_assert!(known.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1));
            for frame in passed..at + 2 {
                let (meant, held) = (is_paused(&ordered, frame), is_paused(&known, frame));
                prop_assert!(meant || !held, "frame {} is not listened to", frame);
                prop_assert!(held || !meant || ordered.len() > MOST, "frame {} is listened to", frame);
            }
        }
    }
}

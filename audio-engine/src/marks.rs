//! Which frames on their way through a converter stand for losses.

use control_protocol::GapCause;
use std::collections::VecDeque;

/// Losses that can be under way inside a converter.
const MARKS_MAX: usize = 1_024;

/// Frames `from..to` that are missing, and why.
pub(crate) type Mark = (u64, u64, GapCause);

/// Marks in order. Never grows beyond what it was made with.
pub(crate) struct Marks(VecDeque<Mark>);

impl Marks {
    pub(crate) fn new() -> Self {
        Self(VecDeque::with_capacity(MARKS_MAX))
    }

    /// These frames are missing; they lie behind all that were marked before.
    pub(crate) fn push(&mut self, from: u64, to: u64, cause: GapCause) {
        let full = self.0.len() == MARKS_MAX;
        match self.0.back_mut() {
            Some(last) if last.1 == from && last.2 == cause => last.1 = to,
            // Without room the newest mark grows over what lies between: too much is called missing, never too little.
            Some(last) if full => last.1 = to,
            _ => self.0.push_back((from, to, cause)),
        }
    }

    /// The first mark that does not end at or before this frame; those that do are forgotten.
    pub(crate) fn first_after(&mut self, frame: u64) -> Option<Mark> {
        while self.0.front().is_some_and(|mark| mark.1 <= frame) {
            self.0.pop_front();
        }
        self.0.front().copied()
    }

    /// All marks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_losses_are_too_much_missing_and_never_too_little() {
        let mut marks = Marks::new();
        for n in 0..2_000 {
            marks.push(10 * n, 10 * n + 3, GapCause::Xrun);
        }
        assert_eq!(marks.iter().count(), MARKS_MAX);
        assert_eq!(marks.iter().last(), Some(&(10_230, 19_993, GapCause::Xrun)));
        assert_eq!(marks.first_after(3), Some((10, 13, GapCause::Xrun)));
        assert_eq!(marks.first_after(12), Some((10, 13, GapCause::Xrun)));
    }
}

//! Whether a stream that has ended is still followed: it may come again under the same name, at any moment.

use std::sync::atomic::{AtomicU8, Ordering};

const FOLLOWED: u8 = 0;
const RELEASED: u8 = 1;
const LEFT: u8 = 2;

/// What the thread that hears the supervisor and the one that scans agree on. Where both want something else at the same
/// moment, either the thread goes on, or its end is known: never are two threads at one stream, nor none.
#[derive(Debug, Default)]
pub(super) struct Hold(AtomicU8);

impl Hold {
    /// The stream is wanted no more: its thread may leave when all of it was reported.
    pub(super) fn release(&self) {
        self.turn(FOLLOWED, RELEASED);
    }

    /// The stream is wanted again; false where its thread has left.
    pub(super) fn renew(&self) -> bool {
        self.turn(RELEASED, FOLLOWED);
        !self.is_left()
    }

    /// The thread has nothing more to report: whether it is to leave.
    pub(super) fn leave(&self) -> bool {
        self.turn(RELEASED, LEFT);
        self.is_left()
    }

    /// Whether the thread has left.
    pub(super) fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed) == LEFT
    }

    fn turn(&self, from: u8, to: u8) {
        // Nothing else is told by it, so no order with other memory is needed.
        let _ = self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Hold;

    #[test]
    fn a_thread_leaves_only_what_was_released_and_not_renewed() {
        let hold = Hold::default();
        assert!(!hold.leave() && hold.renew());
        hold.release();
        assert!(hold.renew() && !hold.leave(), "wanted again in time");
        hold.release();
        assert!(hold.leave() && hold.is_left());
        assert!(!hold.renew(), "too late: another thread is needed");
    }
}

//! A queue between threads that wakes nobody in vain.
//!
//! The supervisor's own time goes almost whole into waking threads, so this queue wakes its reader only when he sleeps,
//! and only after its lock is open again: a reader that runs at once does not run into it. (The standard library's
//! channel wakes inside a lock; 8 workers with 100 jobs a second took a quarter more with it.)

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A queue with room for so many letters: the way into it, which may be cloned, and the reader's end.
pub(crate) fn mailbox<T>(room: usize) -> (Post<T>, Mailbox<T>) {
    let state = State { letters: VecDeque::new(), posts: 1, read: true, reader_sleeps: false, writers_sleep: 0 };
    let shared = Arc::new(Shared { state: Mutex::new(state), room, letter: Condvar::new(), space: Condvar::new() });
    (Post { shared: Arc::clone(&shared) }, Mailbox { shared })
}

/// Why a letter was not taken; it comes back.
#[derive(Debug)]
pub(crate) enum Returned<T> {
    /// There is no room now.
    Full(T),
    /// Nobody reads any more.
    Unread(T),
}

/// Where letters are put in.
#[derive(Debug)]
pub(crate) struct Post<T> {
    shared: Arc<Shared<T>>,
}

/// Where letters are taken out, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    room: usize,
    letter: Condvar,
    space: Condvar,
}

#[derive(Debug)]
struct State<T> {
    letters: VecDeque<T>,
    posts: usize,
    read: bool,
    reader_sleeps: bool,
    writers_sleep: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing under this lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, letter: T) {
        state.letters.push_back(letter);
        let wake = std::mem::take(&mut state.reader_sleeps);
        drop(state);
        if wake {
            self.letter.notify_one();
        }
    }
}

impl<T> Post<T> {
    /// Puts in a letter; waits while there is no room.
    ///
    /// # Errors
    /// The letter, when nobody reads any more.
    pub(crate) fn send(&self, letter: T) -> Result<(), T> {
        let mut state = self.shared.lock();
        while state.read && state.letters.len() >= self.shared.room {
            state.writers_sleep += 1;
            state = self.shared.space.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.writers_sleep -= 1;
        }
        if !state.read {
            return Err(letter);
        }
        self.shared.put(state, letter);
        Ok(())
    }

    /// Puts in a letter where there is room.
    ///
    /// # Errors
    /// [`Returned`], with the letter.
    pub(crate) fn try_send(&self, letter: T) -> Result<(), Returned<T>> {
        let state = self.shared.lock();
        if !state.read {
            return Err(Returned::Unread(letter));
        }
        if state.letters.len() >= self.shared.room {
            return Err(Returned::Full(letter));
        }
        self.shared.put(state, letter);
        Ok(())
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        self.shared.lock().posts += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Post<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.posts -= 1;
        let last = state.posts == 0;
        drop(state);
        if last {
            self.shared.letter.notify_one();
        }
    }
}

impl<T> Mailbox<T> {
    /// Takes out at most `most` of the letters that are there; waits for one where there is none, until `until` if that is
    /// given. Empty when the time is over, or when nobody can send any more.
    pub(crate) fn take(&mut self, most: usize, until: Option<Instant>) -> VecDeque<T> {
        let mut state = self.shared.lock();
        while state.letters.is_empty() && state.posts > 0 {
            state.reader_sleeps = true;
            state = match until {
                None => self.shared.letter.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.shared.letter.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.reader_sleeps = false;
        let rest = state.letters.len().min(most);
        let rest = state.letters.split_off(rest);
        let taken = std::mem::replace(&mut state.letters, rest);
        let wake = state.writers_sleep > 0;
        drop(state);
        if wake {
            self.shared.space.notify_all();
        }
        taken
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.read = false;
        let letters = std::mem::take(&mut state.letters);
        drop(state);
        self.shared.space.notify_all();
        // What a letter does when it is dropped, it does without the lock.
        drop(letters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn letters_come_in_order_and_no_more_than_are_asked_for() {
        let (post, mut mailbox) = mailbox(10);
        for letter in 0..5 {
            post.send(letter).unwrap();
        }
        assert_eq!(mailbox.take(3, None), [0, 1, 2]);
        assert_eq!(mailbox.take(3, None), [3, 4]);
        assert!(mailbox.take(3, Some(Instant::now() + Duration::from_millis(5))).is_empty());
        drop(post);
        assert!(mailbox.take(3, None).is_empty(), "nobody can send any more");
    }

    #[test]
    fn a_full_box_returns_the_letter_or_lets_its_writer_wait() {
        let (post, mut mailbox) = mailbox(1);
        post.send(1).unwrap();
        assert!(matches!(post.try_send(2), Err(Returned::Full(2))));
        let writer = thread::spawn(move || (post.send(2), post));
        assert_eq!(mailbox.take(9, None), [1]);
        assert_eq!(mailbox.take(9, None), [2]);
        let (sent, post) = writer.join().unwrap();
        sent.unwrap();
        post.send(3).unwrap();
        let writer = thread::spawn(move || (post.send(4), post));
        drop(mailbox);
        let (sent, post) = writer.join().unwrap();
        assert_eq!(sent, Err(4), "nobody reads any more, so nobody waits");
        assert!(matches!(post.try_send(5), Err(Returned::Unread(5))));
    }

    /// Many writers, little room: all letters come, each writer's own in order, and nobody sleeps for ever.
    #[test]
    fn nothing_is_lost_between_many_writers_and_a_reader() {
        let (post, mut mailbox) = mailbox(3);
        let writers: Vec<_> = (0..4_usize)
            .map(|writer| {
                let post = post.clone();
                thread::spawn(move || (0..20_000_u32).for_each(|count| post.send((writer, count)).unwrap()))
            })
            .collect();
        drop(post);
        let mut next = [0_u32; 4];
        loop {
            let letters = mailbox.take(2, None);
            if letters.is_empty() {
                break;
            }
            for (writer, count) in letters {
                assert_eq!(count, next[writer]);
                next[writer] += 1;
            }
        }
        assert_eq!(next, [20_000; 4]);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
}

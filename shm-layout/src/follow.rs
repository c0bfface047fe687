//! Reading a stream through all its epochs, with every frame accounted for.

use crate::directory::epochs_of;
use crate::{Epoch, FrameIndex, ReadError, RingInfo, RingReader, Wait};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a follower without a ring looks for one.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// Frames, in the caller's memory as `[channels][frames]`.
    Frames {
        /// The first of them.
        from: FrameIndex,
        /// How many.
        frames: usize,
    },
    /// Frames that were overwritten before they were read.
    Lost {
        /// First lost frame.
        from: FrameIndex,
        /// One past the last lost frame.
        to: FrameIndex,
    },
    /// A ring was entered (the first one too).
    NewEpoch {
        /// What it is.
        info: Box<RingInfo>,
        /// The frames between the end of the ring before and its beginning, which nobody captured.
        gap: Option<(FrameIndex, FrameIndex)>,
    },
    /// The stream ended in order. A later epoch may still follow.
    Closed {
        /// One past its last frame.
        at: FrameIndex,
    },
    /// The writer died. A later epoch will follow, if somebody starts it again.
    Crashed {
        /// One past the last whole frame.
        at: FrameIndex,
    },
    /// Nothing came in time.
    Waiting,
}

/// What a follower that was lapped does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Lapped {
    /// It goes on at the oldest frame that is safe: it loses as little as possible, and stays late.
    #[default]
    Oldest,
    /// It goes on at the newest frame: it loses more, and is on time again. For meters and pictures.
    Newest,
}

/// A position in a stream.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    stream: String,
    start: Option<(Epoch, FrameIndex)>,
    ring: Option<RingReader>,
    position: FrameIndex,
    lapped: Lapped,
    end_said: bool,
}

impl Follower {
    /// Begins at the oldest frame of the stream's newest ring, as soon as there is one.
    #[must_use]
    pub fn new(dir: &Path, stream: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            stream: stream.to_owned(),
            start: None,
            ring: None,
            position: FrameIndex(0),
            lapped: Lapped::default(),
            end_said: false,
        }
    }

    /// Begins at a frame of an epoch; if that epoch has no file any more, at the beginning of the next one.
    #[must_use]
    pub fn at(dir: &Path, stream: &str, epoch: Epoch, frame: FrameIndex) -> Self {
        Self { start: Some((epoch, frame)), ..Self::new(dir, stream) }
    }

    /// The same follower with another way to go on when it was lapped.
    #[must_use]
    pub fn when_lapped(self, lapped: Lapped) -> Self {
        Self { lapped, ..self }
    }

    /// The frame that comes next.
    #[must_use]
    pub const fn position(&self) -> FrameIndex {
        self.position
    }

    /// The ring it is in.
    #[must_use]
    pub const fn ring(&self) -> Option<&RingReader> {
        self.ring.as_ref()
    }

    /// The next thing that happened, waiting up to `timeout` for it; at most `frames_max` frames, resized into
    /// `planar` as `[channels][frames]`.
    pub fn next(&mut self, planar: &mut Vec<f32>, frames_max: usize, timeout: Duration) -> Follow {
        let deadline = Instant::now() + timeout;
        loop {
            let Some(ring) = &self.ring else {
                match self.enter() {
                    Some(entered) => return entered,
                    None if self.pause(deadline) => continue,
                    None => return Follow::Waiting,
                }
            };
            match ring.wait(self.position, deadline.saturating_duration_since(Instant::now())) {
                Wait::Ready(commit) => return self.take(commit, planar, frames_max),
                Wait::TimedOut => return Follow::Waiting,
                Wait::Closed(at) if !self.end_said => {
                    self.end_said = true;
                    return Follow::Closed { at };
                }
                Wait::Crashed(at) if !self.end_said => {
                    self.end_said = true;
                    return Follow::Crashed { at };
                }
                Wait::Closed(_) | Wait::Crashed(_) => match self.enter() {
                    Some(entered) => return entered,
                    None if self.pause(deadline) => {}
                    None => return Follow::Waiting,
                },
            }
        }
    }

    fn take(&mut self, commit: FrameIndex, planar: &mut Vec<f32>, frames_max: usize) -> Follow {
        let Some(ring) = &self.ring else { return Follow::Waiting };
        let available = usize::try_from(commit.since(self.position)).unwrap_or(usize::MAX);
        let frames = available.min(frames_max);
        planar.resize(frames * ring.info().channels as usize, 0.0);
        let from = self.position;
        match ring.read(from, planar, frames) {
            Ok(()) => {
                self.position = from.plus(frames as u64);
                Follow::Frames { from, frames }
            }
            Err(ReadError::Lost { from, to }) => {
                let to = if self.lapped == Lapped::Newest { ring.commit().max(to) } else { to };
                self.position = to;
                Follow::Lost { from, to }
            }
            // Only a file with impossible counters gets here: begin where it can be read.
            Err(ReadError::BeforeFirst { first: to } | ReadError::NotYet { available: to }) => {
                self.position = to;
                Follow::Waiting
            }
        }
    }

    /// Enters the next ring, if there is one.
    fn enter(&mut self) -> Option<Follow> {
        let (ring, from) = self.next_ring()?;
        let missed = self.ring.as_ref().is_some_and(|old| {
            old.info().session == ring.info().session && ring.info().previous_epoch != Some(old.info().epoch)
        });
        if missed && ring.info().first_frame > self.position {
            // Whole epochs came and went unread: that is a loss of this reader's, and no gap in the stream.
            let lost = Follow::Lost { from: self.position, to: ring.info().first_frame };
            self.position = ring.info().first_frame;
            return Some(lost);
        }
        let info = Box::new(ring.info().clone());
        let same_session = self.ring.as_ref().is_some_and(|old| old.info().session == info.session);
        let gap = (same_session && info.first_frame > self.position).then_some((self.position, info.first_frame));
        self.position = from;
        self.ring = Some(ring);
        self.end_said = false;
        Some(Follow::NewEpoch { info, gap })
    }

    fn next_ring(&mut self) -> Option<(RingReader, FrameIndex)> {
        let after = match (&self.ring, self.start) {
            (Some(ring), _) => ring.info().epoch,
            (None, Some((epoch, frame))) => {
                if let Ok(ring) = RingReader::attach_epoch(&self.dir, &self.stream, epoch) {
                    let from = frame.max(ring.info().first_frame);
                    return Some((ring, from));
                }
                epoch
            }
            (None, None) => {
                let ring = RingReader::attach_stream(&self.dir, &self.stream).ok()?;
                let from = ring.oldest();
                return Some((ring, from));
            }
        };
        // The smallest epoch after this one: none is passed over while its file is there.
        let epochs = epochs_of(&self.dir, &self.stream).ok()?;
        let next = epochs.into_iter().find(|&epoch| epoch > after)?;
        let ring = RingReader::attach_epoch(&self.dir, &self.stream, next).ok()?;
        let from = ring.info().first_frame;
        Some((ring, from))
    }

    /// Sleeps a little; false when the time is over.
    fn pause(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(LOOK_EVERY));
        !left.is_zero()
    }
}

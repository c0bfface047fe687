//! A viewer's place in a stream.

use super::any_ring::{AnyRing, Shape, file_of};
use super::history::{self, Stretch};
use super::place::RingPlace;
use crate::refusal::{Refusal, refusal};
use shm_layout::{AttachError, FrameIndex, ReadError, RingReader, RingState, epochs_of, ring_file};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often is looked whether a ring that brings nothing new was replaced.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a view begins, and where it goes on when it was lapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the oldest frame that is there.
    Oldest,
    /// At the newest frame: pictures of now.
    Newest,
}

/// What happened since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    Nothing,
    /// Frames, in the caller's memory as `[channels][frames]`.
    Frames {
        /// The first of them.
        from: FrameIndex,
        /// How many.
        frames: usize,
        /// Which of them were never captured, as `(from, to)`: zeros, to be drawn as a gap.
        gaps: Vec<(FrameIndex, FrameIndex)>,
    },
    /// This viewer was too slow: these were overwritten before it read them.
    Lost {
        /// First lost frame.
        from: FrameIndex,
        /// One past the last lost frame.
        to: FrameIndex,
    },
    /// Another ring of the stream was entered: its next life, or another program's. Where the session is another one
    /// ([`Shape::session`]) its frames are not those of the ring before, and begin anew.
    Entered {
        /// What it is now.
        shape: Shape,
        /// The frames between the end of the ring before and its first, which nobody captured; in one session alone.
        gap: Option<(FrameIndex, FrameIndex)>,
    },
    /// The ring ended: closed in order, or crashed. A next one may follow.
    Ended {
        /// How.
        state: RingState,
        /// One past its last frame.
        at: FrameIndex,
    },
}

/// A stream, read by a viewer.
#[derive(Debug)]
pub struct RingView {
    place: RingPlace,
    ring: AnyRing,
    position: FrameIndex,
    lapped: Position,
    end_said: bool,
    looked_at: Instant,
}

impl RingView {
    /// Opens it. `begin` is also where it goes on after having been lapped.
    ///
    /// # Errors
    /// [`Refusal`]: it is not there, or no ring that can be read.
    pub fn open(place: &RingPlace, begin: Position) -> Result<Self, Refusal> {
        let ring = AnyRing::attach(&place.path).map_err(|error| {
            let name = &place.name;
            match error {
                AttachError::Missing(path) => refusal!(NotRunning, "there is no ring {name} any more ({path})"),
                error => refusal!(Refused, "ring {name}: {error}"),
            }
        })?;
        let position = match begin {
            Position::Oldest => ring.oldest(),
            Position::Newest => ring.newest(),
        };
        let looked_at = Instant::now();
        Ok(Self { place: place.clone(), ring, position, lapped: begin, end_said: false, looked_at })
    }

    /// Where it is.
    #[must_use]
    pub const fn place(&self) -> &RingPlace {
        &self.place
    }

    /// What the present ring is.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        self.ring.shape()
    }

    /// The present ring.
    pub const fn ring(&mut self) -> &mut AnyRing {
        &mut self.ring
    }

    /// The frame that [`news`](Self::news) comes to next.
    #[must_use]
    pub const fn position(&self) -> FrameIndex {
        self.position
    }

    /// Leaves out what is before this frame: not a loss, but a wish.
    pub fn go_to(&mut self, frame: FrameIndex) {
        self.position = frame.max(self.shape().first_frame);
    }

    /// The next thing that happened; at most `frames_max` frames, resized into `planar` as `[channels][frames]`. Returns
    /// at once. Call it again until there is [`News::Nothing`].
    pub fn news(&mut self, planar: &mut Vec<f32>, frames_max: usize) -> News {
        let newest = self.ring.newest();
        if newest > self.position {
            return self.take(newest, planar, frames_max);
        }
        // Only a writer that began anew in the same file gets behind us; version 1 has no other sign of that.
        if newest < self.position && self.shape().version == 1 {
            self.position = newest;
            return News::Entered { shape: self.shape().clone(), gap: None };
        }
        let state = self.ring.state();
        // What was committed before the end was said.
        let newest = self.ring.newest();
        if newest > self.position {
            return self.take(newest, planar, frames_max);
        }
        if state != RingState::Live && !self.end_said {
            self.end_said = true;
            return News::Ended { state, at: newest };
        }
        if self.looked_at.elapsed() < LOOK_EVERY {
            return News::Nothing;
        }
        self.looked_at = Instant::now();
        self.enter_next().unwrap_or(News::Nothing)
    }

    fn take(&mut self, newest: FrameIndex, planar: &mut Vec<f32>, frames_max: usize) -> News {
        let available = usize::try_from(newest.since(self.position)).unwrap_or(usize::MAX);
        let frames = available.min(frames_max);
        planar.resize(frames * self.shape().channels, 0.0);
        let from = self.position;
        match self.ring.read(from, planar, frames) {
            Ok(()) => {
                self.position = from.plus(frames as u64);
                let gaps = self.ring.gaps(from, self.position).into_iter();
                let gaps = gaps.map(|gap| (gap.from.max(from), gap.to.min(self.position))).collect();
                News::Frames { from, frames, gaps }
            }
            Err(ReadError::Lost { from, to }) => {
                let to = if self.lapped == Position::Newest {
                    self.ring.newest().max(to)
                } else {
                    to.max(self.ring.oldest())
                };
                self.position = to;
                News::Lost { from, to }
            }
            // Only a file with impossible counters gets here: begin where it can be read.
            Err(ReadError::BeforeFirst { first: to } | ReadError::NotYet { available: to }) => {
                self.position = to;
                News::Nothing
            }
        }
    }

    /// Enters the next life of the stream, where there is one.
    fn enter_next(&mut self) -> Option<News> {
        let (ring, in_session) = self.next_ring()?;
        let shape = ring.shape().clone();
        let first = shape.first_frame;
        let before = self.position;
        let missed = in_session
            && ring.version_2().map(|ring| ring.info().previous_epoch.map_or(0, |epoch| epoch.0))
                != Some(self.shape().epoch);
        if missed && first > before {
            // Whole lives came and went unseen: that is a loss of this viewer's, and no gap in the stream.
            self.position = first;
            return Some(News::Lost { from: before, to: first });
        }
        self.position = if in_session { first } else { ring.oldest() };
        self.ring = ring;
        self.end_said = false;
        Some(News::Entered { shape, gap: (in_session && first > before).then_some((before, first)) })
    }

    /// The next epoch of this session, or whatever lies in the stream's place now.
    fn next_ring(&self) -> Option<(AnyRing, bool)> {
        let present = self.shape();
        if let (Some(session), Some(stream)) = (present.session, &self.place.stream) {
            let epochs = epochs_of(self.place.folder(), stream).unwrap_or_default();
            let later = epochs.into_iter().filter(|epoch| epoch.0 > present.epoch);
            let later = later.map(|epoch| self.place.folder().join(ring_file(stream, epoch)));
            let next =
                later.filter_map(|path| AnyRing::attach(&path).ok()).find(|ring| ring.shape().session == Some(session));
            if let Some(next) = next {
                return Some((next, true));
            }
        }
        // Where the epochs' own files are in the folder, the link's inode is the newest one's.
        if file_of(&self.place.path).is_none_or(|file| Some(file) == self.ring.file()) {
            return None;
        }
        let ring = AnyRing::attach(&self.place.path).ok()?;
        let is_same = ring.shape().session.is_some()
            && (ring.shape().session, ring.shape().epoch) == (present.session, present.epoch);
        (!is_same).then_some((ring, false))
    }

    /// What there is of frames `from..to`, of this life of the stream and of those before it in its session that still
    /// have a file: `planar` is resized to `[channels][to - from]`, with zeros where there is nothing, and the stretches
    /// say what is where, without a hole and in order.
    ///
    /// # Panics
    /// When `to` is before `from`, or farther away than memory reaches.
    pub fn history(&mut self, from: FrameIndex, to: FrameIndex, planar: &mut Vec<f32>) -> Vec<Stretch> {
        let channels = self.shape().channels;
        let frames =
            usize::try_from(to.0.checked_sub(from.0).expect("a stretch")).expect("frames that fit into memory");
        planar.clear();
        planar.resize(channels * frames, 0.0);
        let mut stretches = Vec::new();
        let mut rest = from;
        for path in self.earlier_lives() {
            let Ok(mut ring) = AnyRing::attach(&path) else { continue };
            if ring.shape().channels == channels && ring.shape().sample_rate_hz == self.shape().sample_rate_hz {
                history::fill(&mut ring, (from, to), &mut rest, planar, &mut stretches);
            }
        }
        history::fill(&mut self.ring, (from, to), &mut rest, planar, &mut stretches);
        history::finish(rest, to, &mut stretches);
        stretches
    }

    /// Frames that the history goes back to.
    #[must_use]
    pub fn oldest(&self) -> FrameIndex {
        let earlier = self.earlier_lives().into_iter().find_map(|path| AnyRing::attach(&path).ok());
        earlier.map_or_else(|| self.ring.oldest(), |ring| ring.oldest().min(self.ring.oldest()))
    }

    /// One past the newest frame.
    #[must_use]
    pub fn newest(&self) -> FrameIndex {
        self.ring.newest()
    }

    /// The files of earlier epochs of this session, oldest first.
    fn earlier_lives(&self) -> Vec<PathBuf> {
        let (Some(session), Some(stream)) = (self.shape().session, &self.place.stream) else { return Vec::new() };
        let epochs = epochs_of(self.place.folder(), stream).unwrap_or_default();
        let earlier = epochs.into_iter().filter(|epoch| epoch.0 < self.shape().epoch);
        let files = earlier.map(|epoch| self.place.folder().join(ring_file(stream, epoch)));
        files.filter(|path| RingReader::attach(path).is_ok_and(|ring| ring.info().session == session)).collect()
    }
}

//! A ring of either layout version.

use shm_layout::{AttachError, FrameIndex, GapSpan, ReadError, RingReader, RingState, SessionId, is_alive, v1};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often is looked whether a writer's process lives.
const WRITER_LOOK: Duration = Duration::from_millis(500);

/// What a ring is; it does not change in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Version of its layout, 1 or 2.
    pub version: u32,
    /// The session its frame indices belong to. Version 1 has none.
    pub session: Option<SessionId>,
    /// Which life of its stream, counted from 1. Version 1 has none: 0.
    pub epoch: u64,
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Samples a frame, 1 to 64.
    pub channels: usize,
    /// Frames of history.
    pub capacity_frames: u64,
    /// The first frame of this life.
    pub first_frame: FrameIndex,
    /// What each channel is, such as `left`; empty where nobody said.
    pub labels: Vec<String>,
}

impl Shape {
    /// What a channel is called: its label, or its number, counted from 1.
    #[must_use]
    pub fn label(&self, channel: usize) -> String {
        let own = self.labels.get(channel).filter(|label| !label.is_empty());
        own.cloned().unwrap_or_else(|| (channel + 1).to_string())
    }
}

#[derive(Debug)]
enum Inner {
    Two(Box<RingReader>),
    One { ring: v1::Reader, wide: Vec<f64> },
}

/// An attached ring.
#[derive(Debug)]
pub struct AnyRing {
    inner: Inner,
    shape: Shape,
    /// Device and inode of its file: of version 1, all that tells one life from another.
    file: Option<(u64, u64)>,
    writer_looked_at: Option<Instant>,
    writer_gone: bool,
}

/// Device and inode of a file.
pub(super) fn file_of(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

impl AnyRing {
    /// Attaches to a file of either version.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach(path: &Path) -> Result<Self, AttachError> {
        // Before the file is opened: replaced meanwhile, it is replaced once more at the next look, and never missed.
        let file = file_of(path);
        let (inner, shape) = match RingReader::attach(path) {
            Ok(ring) => {
                let info = ring.info();
                let shape = Shape {
                    version: 2,
                    session: Some(info.session),
                    epoch: info.epoch.0,
                    sample_rate_hz: info.sample_rate_hz,
                    channels: info.channels as usize,
                    capacity_frames: info.capacity_frames,
                    first_frame: info.first_frame,
                    labels: info.labels.clone(),
                };
                (Inner::Two(Box::new(ring)), shape)
            }
            Err(AttachError::Version { actual: 1, .. }) => {
                let ring = v1::Reader::attach(path, 1)?;
                let info = ring.info();
                let shape = Shape {
                    version: 1,
                    session: None,
                    epoch: 0,
                    sample_rate_hz: info.sample_rate_hz,
                    channels: info.channels as usize,
                    capacity_frames: info.capacity_frames,
                    first_frame: FrameIndex(0),
                    labels: Vec::new(),
                };
                (Inner::One { ring, wide: Vec::new() }, shape)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { inner, shape, file, writer_looked_at: None, writer_gone: false })
    }

    /// What it is.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The reader of layout version 2, for what only that has: times, the overview.
    #[must_use]
    pub fn version_2(&self) -> Option<&RingReader> {
        match &self.inner {
            Inner::Two(ring) => Some(ring),
            Inner::One { .. } => None,
        }
    }

    /// Device and inode of its file.
    pub(crate) const fn file(&self) -> Option<(u64, u64)> {
        self.file
    }

    /// One past its newest frame.
    #[must_use]
    pub fn newest(&self) -> FrameIndex {
        match &self.inner {
            Inner::Two(ring) => ring.commit(),
            Inner::One { ring, .. } => ring.written(),
        }
    }

    /// The oldest frame worth asking for: a little younger than the oldest that is there.
    #[must_use]
    pub fn oldest(&self) -> FrameIndex {
        match &self.inner {
            Inner::Two(ring) => ring.oldest(),
            Inner::One { ring, .. } => {
                let info = ring.info();
                let written = ring.written();
                if written.0 <= info.capacity_frames - info.write_frames {
                    return FrameIndex(0);
                }
                // A write may be under way, and another one may begin.
                let spare = (2 * info.write_frames + info.capacity_frames / 64).min(info.capacity_frames);
                written.back(info.capacity_frames - spare)
            }
        }
    }

    /// Whether it is written. A version 1 ring says nothing of its end: it is live for as long as it is there.
    #[must_use]
    pub fn state(&mut self) -> RingState {
        let Inner::Two(ring) = &self.inner else { return RingState::Live };
        let state = ring.state();
        if state != RingState::Live {
            return state;
        }
        // With the supervisor dead too, nobody says that the writer died.
        if self.writer_looked_at.is_none_or(|at| at.elapsed() >= WRITER_LOOK) {
            let info = ring.info();
            self.writer_gone = !is_alive(info.writer_pid, info.writer_start_time);
            self.writer_looked_at = Some(Instant::now());
        }
        if self.writer_gone { RingState::Crashed } else { RingState::Live }
    }

    /// Copies frames out as `[channels][frames]`. On an error the contents of `planar` mean nothing.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Panics
    /// If `planar` is not `channels * frames` long.
    pub fn read(&mut self, from: FrameIndex, planar: &mut [f32], frames: usize) -> Result<(), ReadError> {
        match &mut self.inner {
            Inner::Two(ring) => ring.read(from, planar, frames),
            Inner::One { ring, wide } => {
                wide.resize(planar.len(), 0.0);
                ring.read(from, wide, frames)?;
                #[expect(clippy::cast_possible_truncation, reason = "pictures are made of f32")]
                planar.iter_mut().zip(&*wide).for_each(|(narrow, wide)| *narrow = *wide as f32);
                Ok(())
            }
        }
    }

    /// What was never captured of frames `from..to` (zeros in the ring), oldest first.
    #[must_use]
    pub fn gaps(&self, from: FrameIndex, to: FrameIndex) -> Vec<GapSpan> {
        match &self.inner {
            Inner::Two(ring) => ring.gaps(from, to),
            Inner::One { .. } => Vec::new(),
        }
    }
}

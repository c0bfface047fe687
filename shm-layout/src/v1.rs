//! Rings of layout version 1: planar f64, one counter. Read for programs that still write them, written for programs that
//! still read them.
//!
//! Version 1 counts a write after it was made and never announces one, so a reader keeps away from the place of writing by
//! the length of one write, and notices afterwards if the writer came nearer. With the writer below that is certain. What
//! it cannot do: tell a torn read for certain when another program writes, whose samples of the next write may be seen
//! before its count of the last one.

use crate::memory::Mapping;
use crate::offset as at;
use crate::open::{Opened, open_private};
use crate::parse::AttachError;
use crate::sync::{Ordering, fence};
use crate::writer::allocate;
use crate::{CreateError, ReadError};
use crate::{FrameIndex, header};
use rustix::fs::OFlags;
use std::io;
use std::path::Path;

const VERSION: u64 = 1;
const DATA: u64 = 4096;

/// What a version 1 ring says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Samples a frame.
    pub channels: u32,
    /// Frames of history.
    pub capacity_frames: u64,
    /// Frames of one write.
    pub write_frames: u64,
}

impl Info {
    fn at(&self, channel: usize, frame: u64) -> usize {
        let offset = DATA + (channel as u64 * self.capacity_frames + frame % self.capacity_frames) * 8;
        usize::try_from(offset).unwrap_or(usize::MAX)
    }
}

/// A version 1 ring that somebody else writes.
#[derive(Debug)]
pub struct Reader {
    map: Mapping,
    info: Info,
}

impl Reader {
    /// Attaches to a file. Some writers leave the frames of one write at 0: then they are `write_frames_default`.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach(path: &Path, write_frames_default: u64) -> Result<Self, AttachError> {
        use AttachError::Malformed;
        let Opened { file, bytes } = open_private(path, OFlags::RDONLY)?;
        let io = |source| AttachError::Io { path: path.display().to_string(), source };
        let map = Mapping::read_only(&file, bytes).map_err(io)?;
        let word = |offset| map.load_u64(offset, Ordering::Acquire);
        if word(at::MAGIC) != header::MAGIC {
            return Err(Malformed("no AUDITAB! at its beginning"));
        }
        if word(at::VERSION) != VERSION {
            return Err(AttachError::Version { actual: word(at::VERSION), expected: VERSION });
        }
        let (rate, channels, capacity) = (word(at::SAMPLE_RATE), word(at::CHANNELS), word(at::CAPACITY));
        let end = capacity.checked_mul(channels).and_then(|n| n.checked_mul(8)).and_then(|n| n.checked_add(DATA));
        let possible = (1..=header::SAMPLE_RATE_HZ_MAX).contains(&rate)
            && (1..=header::CHANNELS_MAX).contains(&channels)
            && capacity > 0
            && end.is_some_and(|end| end <= bytes as u64);
        let write_frames = match word(at::SAMPLES_PER_WRITE) {
            0 => write_frames_default,
            frames => frames,
        };
        if !possible || write_frames == 0 || write_frames > capacity {
            return Err(Malformed("impossible rate, channels, capacity or write"));
        }
        let narrow = |value: u64| u32::try_from(value).map_err(|_| Malformed("impossible rate or channels"));
        let info = Info {
            sample_rate_hz: narrow(rate)?,
            channels: narrow(channels)?,
            capacity_frames: capacity,
            write_frames,
        };
        Ok(Self::over(map, info))
    }

    /// Over a checked ring.
    pub(crate) const fn over(map: Mapping, info: Info) -> Self {
        Self { map, info }
    }

    /// What it says of itself.
    #[must_use]
    pub const fn info(&self) -> Info {
        self.info
    }

    /// Frames written since the ring was made.
    #[must_use]
    pub fn written(&self) -> FrameIndex {
        FrameIndex(self.map.load_u64(at::COMMIT, Ordering::Acquire).saturating_mul(self.info.write_frames))
    }

    /// Copies frames out as `[channels][frames]`.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Panics
    /// If `planar` is not `channels * frames` long.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub fn read(&self, position: FrameIndex, planar: &mut [f64], frames: usize) -> Result<(), ReadError> {
        assert!(planar.len() == self.info.channels as usize * frames, "wrong shape");
        let available = self.written();
        if position.0.checked_add(frames as u64).is_none_or(|end| end > available.0) {
            return Err(ReadError::NotYet { available });
        }
        if frames == 0 {
            return Ok(());
        }
        let fits = frames as u64 <= self.info.capacity_frames;
        if fits {
            for (channel, samples) in planar.chunks_exact_mut(frames).enumerate() {
                // In this order: the index behind the last frame is never asked for, and may not exist.
                for (sample, frame) in samples.iter_mut().zip(position.0..) {
                    *sample = f64::from_bits(self.map.load_u64(self.info.at(channel, frame), Ordering::Relaxed));
                }
            }
        }
        // Pairs with the Release fence in `Writer::write`.
        fence(Ordering::Acquire);
        // A write may be under way that is not counted yet.
        let reserve = self.written().0.saturating_add(self.info.write_frames);
        if fits && position.0.checked_add(self.info.capacity_frames).is_some_and(|safe| reserve <= safe) {
            return Ok(());
        }
        let oldest = reserve.saturating_sub(self.info.capacity_frames).max(position.0.saturating_add(1));
        Err(ReadError::Lost { from: position, to: FrameIndex(oldest) })
    }
}

/// Writes a version 1 ring.
#[derive(Debug)]
pub struct Writer {
    map: Mapping,
    info: Info,
    sequence: u64,
}

impl Writer {
    /// Makes the file, whole, and publishes it by rename.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn create(path: &Path, info: Info) -> Result<Self, CreateError> {
        let io = |source: io::Error| CreateError::Io { path: path.display().to_string(), source };
        let possible = (1..=header::SAMPLE_RATE_HZ_MAX).contains(&u64::from(info.sample_rate_hz))
            && (1..=header::CHANNELS_MAX).contains(&u64::from(info.channels))
            && (1..=1 << 40).contains(&info.capacity_frames)
            && (1..=info.capacity_frames).contains(&info.write_frames);
        if !possible {
            return Err(CreateError::Invalid("this rate, these channels, this capacity or this length of a write"));
        }
        let bytes = DATA + info.capacity_frames * u64::from(info.channels) * 8;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let draft = path.with_file_name(format!(".{name}.draft"));
        let _ = std::fs::remove_file(&draft);
        let made = allocate(&draft, bytes).and_then(|file| {
            let map = Mapping::read_write(&file, usize::try_from(bytes).map_err(io::Error::other)?)?;
            let fields = [
                (at::SAMPLE_RATE, u64::from(info.sample_rate_hz)),
                (at::CHANNELS, u64::from(info.channels)),
                (at::CAPACITY, info.capacity_frames),
                (at::SAMPLES_PER_WRITE, info.write_frames),
                (at::MAGIC, header::MAGIC),
                (at::VERSION, VERSION),
            ];
            fields.into_iter().for_each(|(offset, value)| map.store_u64(offset, value, Ordering::Relaxed));
            std::fs::rename(&draft, path)?;
            Ok(map)
        });
        let map = made.map_err(|e| {
            let _ = std::fs::remove_file(&draft);
            io(e)
        })?;
        Ok(Self::over(map, info))
    }

    /// Over a ring in which nothing is written yet.
    pub(crate) const fn over(map: Mapping, info: Info) -> Self {
        Self { map, info, sequence: 0 }
    }

    /// A reader over this writer's own mapping, as no process has it.
    #[cfg(test)]
    pub(crate) fn reader_beside(&self) -> Reader {
        Reader::over(self.map.for_reader(), self.info)
    }

    /// Writes one write's frames, given as `[channels][frames]`.
    ///
    /// # Panics
    /// If `planar` is not `channels * write_frames` long.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub fn write(&mut self, planar: &[f32]) {
        let frames = usize::try_from(self.info.write_frames).unwrap_or(usize::MAX);
        assert!(planar.len() == self.info.channels as usize * frames, "wrong shape");
        let position = self.sequence * self.info.write_frames;
        // Pairs with the Acquire fence in `Reader::read`: who saw one of the samples below sees the count of the writes
        // before, and with it that this one may be under way.
        fence(Ordering::Release);
        for (channel, samples) in planar.chunks_exact(frames).enumerate() {
            for (frame, sample) in (position..).zip(samples) {
                self.map.store_u64(self.info.at(channel, frame), f64::from(*sample).to_bits(), Ordering::Relaxed);
            }
        }
        self.sequence += 1;
        // Pairs with the Acquire load in `Reader::written`.
        self.map.store_u64(at::COMMIT, self.sequence, Ordering::Release);
    }
}

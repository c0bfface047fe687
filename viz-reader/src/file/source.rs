//! Where the sound of a picture comes from: a recording or a ring.

use super::when::When;
use crate::refusal::{Refusal, refuse};
use crate::rings::{Position, RingPlace, RingView, What, is_ring_file};
use anyhow::Result;
use control_protocol::{Exit, SourceError};
use shm_layout::{FrameIndex, RingState};
use sound_files::{DecodeError, Decoded, Frames, channels_text};
use std::path::{Path, PathBuf};

/// Frames that are read at once.
const PIECE_FRAMES: u64 = 65_536;

/// What is told of a source.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Its name.
    pub name: String,
    /// Kind, rate and channels, for people.
    pub description: String,
    /// Frames a second.
    pub rate_hz: u32,
    /// What its channels are called.
    pub labels: Vec<String>,
}

/// Why frames are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Never captured.
    Gap,
    /// Overwritten before they were read.
    Overwritten,
    /// The recording is cut off.
    CutOff,
    /// Still to come.
    Later,
}

impl Missing {
    /// The word in pictures.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Gap => "never captured",
            Self::Overwritten => "overwritten",
            Self::CutOff => "cut off",
            Self::Later => "still to come",
        }
    }

    /// The word in tables.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Overwritten => "overwritten",
            Self::CutOff => "cut_off",
            Self::Later => "later",
        }
    }
}

/// What takes the sound: frames in order, each once.
pub(super) trait Taker {
    /// The next frames, as one `Vec` a channel of the source.
    fn sound(&mut self, planar: &[&[f32]]) -> Result<()>;
    /// The next frames are not there.
    fn missing(&mut self, frames: u64, why: Missing) -> Result<()>;
}

/// A part of a sound: its frames `from..to`, and those that are there at all, `oldest..end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub from: u64,
    pub to: u64,
    oldest: u64,
    end: u64,
    /// Why nothing is known of what lies before and behind these; where that is silence, `None`.
    pub beyond: [Option<Missing>; 2],
}

impl Span {
    pub(super) const fn frames(self) -> u64 {
        self.to - self.from
    }

    /// How many frames are there before it, of so many; and where as many behind it end.
    pub(super) fn around(self, frames: usize) -> (usize, u64) {
        let lead = usize::try_from(self.from - self.oldest).unwrap_or(usize::MAX);
        (lead.min(frames), self.to.saturating_add(frames as u64).min(self.end))
    }
}

/// A source.
pub(super) enum Source {
    Recording { path: PathBuf, about: About, frames: u64 },
    Ring { view: Box<RingView>, about: About },
}

fn refused(error: &DecodeError) -> Refusal {
    Refusal::new(error.exit(), error.to_string())
}

impl Source {
    /// Opens what a user names: a file where there is one, else a ring.
    pub(super) fn open(name: &str, folder: &Path) -> Result<Self> {
        let path = Path::new(name);
        let is_file = path.symlink_metadata().is_ok() && !is_ring_file(path);
        // `talk.wav` is meant to be a file, even where it is not there.
        let looks_like_one = name.contains('/') || path.extension().is_some_and(|extension| extension != "ring");
        if is_file || (looks_like_one && !is_ring_file(path)) {
            return Self::recording(path);
        }
        let view = RingView::open(&RingPlace::find(folder, name)?, Position::Oldest)?;
        let shape = view.shape();
        let channels = channels_text(shape.channels);
        let about = About {
            name: view.place().name.clone(),
            description: format!("ring, {} kHz, {channels}", f64::from(shape.sample_rate_hz) / 1_000.0),
            rate_hz: shape.sample_rate_hz,
            labels: (0..shape.channels).map(|channel| shape.label(channel)).collect(),
        };
        Ok(Self::Ring { view: Box::new(view), about })
    }

    fn recording(path: &Path) -> Result<Self> {
        let file = Decoded::open(path).map_err(|e| refused(&e))?;
        let channels = channels_text(file.channels);
        let about = About {
            name: path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned()),
            description: format!("{}, {} kHz, {channels}", file.format, f64::from(file.sample_rate_hz) / 1_000.0),
            rate_hz: file.sample_rate_hz,
            labels: match file.channels {
                2 => vec!["left".into(), "right".into()],
                count => (1..=count).map(|channel| channel.to_string()).collect(),
            },
        };
        // Other formats tell their length roughly, or not at all.
        let told = file.total_frames.filter(|_| matches!(file.format.as_str(), "WAV" | "FLAC"));
        let frames = match told {
            Some(frames) => frames,
            None if path.metadata().is_ok_and(|meta| meta.is_file()) => count(file),
            None => refuse!(Refused, "{}: a pipe cannot be read twice; write it into a file first", about.name),
        };
        Ok(Self::Recording { path: path.to_owned(), about, frames })
    }

    pub(super) const fn about(&self) -> &About {
        match self {
            Self::Recording { about, .. } | Self::Ring { about, .. } => about,
        }
    }

    /// The frames that are meant.
    pub(super) fn span(&mut self, from: Option<When>, to: Option<When>) -> Result<Span> {
        let (oldest, end, beyond) = match self {
            Self::Recording { frames, .. } => (0, *frames, [None; 2]),
            Self::Ring { view, .. } => {
                let (oldest, newest) = (view.oldest(), view.newest());
                let before = (oldest > view.shape().first_frame).then_some(Missing::Overwritten);
                let behind = (view.ring().state() == RingState::Live).then_some(Missing::Later);
                (oldest.0, newest.0, [before, behind])
            }
        };
        let (rate_hz, name) = (self.about().rate_hz, &self.about().name);
        let seconds = |frame: u64| FrameIndex(frame).seconds(rate_hz);
        let there = match self {
            Self::Recording { .. } => format!("{name} is {:.2} s long", seconds(end)),
            Self::Ring { .. } => format!(
                "ring {name} has {:.2} s to {:.2} s of its session, the last {:.2} s",
                seconds(oldest),
                seconds(end),
                seconds(end - oldest.min(end))
            ),
        };
        if end <= oldest {
            refuse!(NotAudio, "{name}: no sound is in it yet");
        }
        let begin = match from {
            None => oldest,
            Some(When::Before(back)) if When::At(back).frame(rate_hz, end) > end - oldest => {
                refuse!(Usage, "--from begins before the sound that is there: {there}");
            }
            Some(from) => from.frame(rate_hz, end),
        };
        let stop = to.map_or(end, |to| to.frame(rate_hz, end));
        if begin < oldest {
            refuse!(Usage, "--from begins before the sound that is there: {there}");
        }
        if begin >= end {
            refuse!(Usage, "--from begins behind the sound that is there: {there}");
        }
        if stop > end {
            refuse!(Usage, "--to ends behind the sound that is there: {there}");
        }
        if stop <= begin {
            refuse!(Usage, "--to ({:.3} s) is not after --from ({:.3} s)", seconds(stop), seconds(begin));
        }
        Ok(Span { from: begin, to: stop, oldest, end, beyond })
    }

    /// Reads these frames. Returns what is wrong with the source, where not all of them are there by its fault.
    pub(super) fn read(&mut self, (from, to): (u64, u64), taker: &mut dyn Taker) -> Result<Option<SourceError>> {
        match self {
            Self::Recording { path, .. } => read_recording(path, (from, to), taker),
            Self::Ring { view, .. } => read_ring(view, (from, to), taker).map(|()| None),
        }
    }
}

/// Frames of a whole recording.
fn count(mut file: Decoded) -> u64 {
    let mut planar = vec![Vec::new(); file.channels];
    let mut frames = 0;
    loop {
        let more = file.next(&mut planar);
        frames += planar[0].len() as u64;
        planar.iter_mut().for_each(Vec::clear);
        if !matches!(more, Ok(true)) {
            return frames;
        }
    }
}

fn read_recording(path: &Path, (from, to): (u64, u64), taker: &mut dyn Taker) -> Result<Option<SourceError>> {
    let mut file = Decoded::open(path).map_err(|e| refused(&e))?;
    let mut planar = vec![Vec::new(); file.channels];
    let mut at = 0;
    let mut fault = None;
    while at < to {
        let more = file.next(&mut planar);
        let frames = planar[0].len() as u64;
        let (begin, end) = (from.clamp(at, at + frames) - at, to.clamp(at, at + frames) - at);
        if begin < end {
            let part = usize::try_from(begin)?..usize::try_from(end)?;
            let planes: Vec<&[f32]> = planar.iter().map(|plane| &plane[part.clone()]).collect();
            taker.sound(&planes)?;
        }
        planar.iter_mut().for_each(Vec::clear);
        at += frames;
        match more {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    if at < to {
        taker.missing(to - at.max(from), Missing::CutOff)?;
        let reason = || format!("{}: it ends before the length that it tells", path.display());
        fault = fault.or_else(|| Some(SourceError { reason: reason(), exit: Exit::CutOff }));
    }
    Ok(fault)
}

fn read_ring(view: &mut RingView, (from, to): (u64, u64), taker: &mut dyn Taker) -> Result<()> {
    let mut planar = Vec::new();
    let mut at = from;
    while at < to {
        let end = (at + PIECE_FRAMES).min(to);
        let stretches = view.history(FrameIndex(at), FrameIndex(end), &mut planar);
        let frames = usize::try_from(end - at)?;
        for stretch in stretches {
            let part = usize::try_from(stretch.from.0 - at)?..usize::try_from(stretch.to.0 - at)?;
            match stretch.what {
                What::Sound => {
                    let planes: Vec<&[f32]> = planar.chunks_exact(frames).map(|plane| &plane[part.clone()]).collect();
                    taker.sound(&planes)?;
                }
                What::Gap => taker.missing(part.len() as u64, Missing::Gap)?,
                What::Overwritten | What::Later => taker.missing(part.len() as u64, Missing::Overwritten)?,
            }
        }
        at = end;
    }
    Ok(())
}

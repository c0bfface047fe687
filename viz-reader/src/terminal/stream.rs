//! A stream as it is drawn: its history, its meters, and what was missing.

use super::columns::Columns;
use super::paint::Missing;
use super::spectrum::Spectrum;
use super::store::{Hole, Store};
use crate::rings::{News, RingView, Shape};
use audio_dsp::{Meters, Reading};
use shm_layout::RingState;
use shm_layout::board::{self, Loudness, MeterView};
use std::time::{Duration, Instant};

/// Samples read at once, of all channels.
const PIECE_SAMPLES: usize = 1 << 19;
/// A live ring that brings nothing for so long is said to stand still.
const STILL: Duration = Duration::from_secs(1);
/// How often the status board is looked for.
const BOARD_LOOK: Duration = Duration::from_secs(1);

/// Frames that are missing, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) times: u64,
    pub(super) frames: u64,
}

impl Count {
    const fn add(&mut self, frames: u64) {
        self.times += 1;
        self.frames += frames;
    }
}

/// What is known of a channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) columns: Columns,
    pub(super) spectrum: Spectrum,
    /// The greatest levels of late, by column of the picture.
    pub(super) held_db: Vec<f32>,
}

/// A stream, without the ring that it comes from.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) store: Store,
    pub(super) channels: Vec<Channel>,
    meters: Meters,
    /// As they were at the last [`show`](Self::show).
    pub(super) readings: Vec<Reading>,
    pub(super) loudness: Option<Loudness>,
    pub(super) state: RingState,
    /// Rings of the stream that were entered after the first one.
    pub(super) replaced: u64,
    pub(super) gaps: Count,
    pub(super) lost: Count,
    newest_at: Instant,
    /// Where the newest gap ends, so that one that comes in pieces is counted once.
    gap_end: u64,
    /// The edge of a picture that stands still.
    pub(super) frozen: Option<u64>,
}

impl Stream {
    pub(super) fn new(name: &str, shape: Shape) -> Self {
        let (channels, rate_hz) = (shape.channels, shape.sample_rate_hz);
        Self {
            name: name.to_owned(),
            store: Store::new(channels, rate_hz),
            channels: (0..channels).map(|_| Channel::default()).collect(),
            meters: Meters::new(rate_hz, channels),
            readings: vec![Reading::default(); channels],
            loudness: None,
            state: RingState::Live,
            replaced: 0,
            gaps: Count::default(),
            lost: Count::default(),
            newest_at: Instant::now(),
            gap_end: 0,
            frozen: None,
            shape,
        }
    }

    /// Takes what happened.
    pub(super) fn take(&mut self, news: &News, planar: &[f32]) {
        match news {
            News::Nothing => {}
            News::Frames { from, frames, gaps } => {
                if from.0 < self.store.end() {
                    self.channels.iter_mut().for_each(|channel| channel.columns.clear());
                }
                self.store.push(from.0, planar, *frames, gaps);
                self.meters.push(planar, *frames);
                for (from, to) in gaps {
                    self.count_gap(from.0, to.0);
                }
                self.newest_at = Instant::now();
            }
            News::Lost { from, to } => {
                self.store.miss(Hole { from: from.0, to: to.0, missing: Missing::Lost });
                self.lost.add(to.since(*from));
            }
            News::Entered { shape, gap } => self.enter(shape, *gap),
            News::Ended { state, .. } => self.state = *state,
        }
    }

    fn enter(&mut self, shape: &Shape, gap: Option<(shm_layout::FrameIndex, shm_layout::FrameIndex)>) {
        let own = &self.shape;
        let goes_on = shape.session.is_some()
            && shape.session == own.session
            && (shape.channels, shape.sample_rate_hz) == (own.channels, own.sample_rate_hz);
        if goes_on {
            self.shape = shape.clone();
            if let Some((from, to)) = gap {
                self.store.miss(Hole { from: from.0, to: to.0, missing: Missing::Gap });
                self.count_gap(from.0, to.0);
            }
        } else {
            let (name, gaps, lost, replaced) = (std::mem::take(&mut self.name), self.gaps, self.lost, self.replaced);
            *self = Self { gaps, lost, replaced, ..Self::new(&name, shape.clone()) };
        }
        self.state = RingState::Live;
        self.replaced += 1;
        self.newest_at = Instant::now();
    }

    fn count_gap(&mut self, from: u64, to: u64) {
        if from == self.gap_end {
            self.gaps.frames += to.saturating_sub(from);
        } else {
            self.gaps.add(to.saturating_sub(from));
        }
        self.gap_end = to;
    }

    /// Makes the levels since the last time those that are shown. The board's where there is one: they are of all frames,
    /// and clips are counted since the session's beginning.
    pub(super) fn show(&mut self, board: Option<&board::Reading>) {
        if self.meters.frames() > 0 {
            self.readings.clear();
            self.readings.extend(self.meters.readings());
            self.meters.begin();
        } else if self.state != RingState::Live || self.still().is_some() {
            // Nothing sounds any more; what was held was loud nevertheless.
            self.readings.iter_mut().for_each(|reading| (reading.peak, reading.rms) = (0.0, 0.0));
        }
        let Some(board) = board else { return };
        self.loudness = board.loudness;
        if self.shape.channels <= board.channels.len() {
            for (own, level) in self.readings.iter_mut().zip(&board.channels) {
                (own.peak, own.rms) = (level.peak, level.rms);
            }
        }
        if let [only] = &mut self.readings[..] {
            only.clips = board.clips;
        }
    }

    /// How long a live ring has brought nothing, where that is long.
    pub(super) fn still(&self) -> Option<Duration> {
        let still = self.newest_at.elapsed();
        (self.state == RingState::Live && still >= STILL).then_some(still)
    }

    /// What a channel is called beside its stream.
    pub(super) fn title(&self, channel: usize) -> String {
        if self.shape.channels == 1 {
            return self.name.clone();
        }
        format!("{} {}", self.name, self.shape.label(channel))
    }

    pub(super) fn seconds(&self, frames: u64) -> f64 {
        frames as f64 / f64::from(self.shape.sample_rate_hz)
    }
}

/// Where a stream comes from.
#[derive(Debug)]
pub(super) struct Source {
    view: RingView,
    meter: Option<MeterView>,
    board_at: Option<Instant>,
    planar: Vec<f32>,
}

impl Source {
    pub(super) fn new(mut view: RingView, stream: &Stream) -> Self {
        // What is older than the history would only be forgotten again.
        let oldest = view.oldest().0.max(view.newest().0.saturating_sub(stream.store.capacity()));
        if oldest > view.position().0 {
            view.go_to(shm_layout::FrameIndex(oldest));
        }
        Self { view, meter: None, board_at: None, planar: Vec::new() }
    }

    /// Reads what there is, until a deadline; whether anything came.
    pub(super) fn read(&mut self, stream: &mut Stream, deadline: Instant) -> bool {
        let mut any = false;
        loop {
            let frames_max = (PIECE_SAMPLES / self.view.shape().channels.max(1)).max(1);
            let news = self.view.news(&mut self.planar, frames_max);
            if news == News::Nothing {
                return any;
            }
            stream.take(&news, &self.planar);
            any = true;
            if Instant::now() >= deadline {
                return true;
            }
        }
    }

    /// What the status board says of the time since it was asked last.
    pub(super) fn board(&mut self) -> Option<board::Reading> {
        let stream = self.view.place().stream.clone()?;
        if self.meter.as_ref().is_none_or(|meter| !meter.is_taken()) {
            self.meter = None;
            if self.board_at.is_none_or(|at| at.elapsed() >= BOARD_LOOK) {
                self.board_at = Some(Instant::now());
                let meters = board::View::open(self.view.place().folder()).map(|view| view.meters()).ok()?;
                self.meter = meters.into_iter().find(|meter| meter.stream() == stream && meter.is_taken());
                self.meter.as_mut()?.skip();
            }
        }
        let meter = self.meter.as_mut()?;
        let mut joined: Option<board::Reading> = None;
        while let Some((reading, _)) = meter.read_next() {
            joined = Some(joined.map_or(reading, |held| held.joined(&reading)));
        }
        joined
    }
}

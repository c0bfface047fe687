//! What the supervisor knows of each stream.

use super::pauses::Pauses;
use crate::lag::Lag;
use control_protocol::{Exit, Mark};
use shm_layout::FrameIndex;
use std::time::{Duration, Instant};

/// How long a device counts as away after it was said.
const AWAY_FOR: Duration = Duration::from_millis(1_500);

/// How far a stream's source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceState {
    /// Not heard of yet.
    Opening,
    /// Delivering.
    Open,
    /// At its end.
    Ended,
    /// Could not be opened.
    Failed,
    /// The engine was told to let it go.
    Leaving,
    /// Captured no more; its last words may still come.
    Removed,
}

impl SourceState {
    /// What users see.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Leaving => "leaving",
            Self::Removed => "removed",
        }
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// What was asked for.
    pub uri: String,
    /// What is spoken in it: a code, or `auto`.
    pub language: String,
    /// What to open after a restart, where that differs.
    pub resume_uri: Option<String>,
    /// What it is, for people.
    pub description: String,
    /// Whether it came while others ran.
    pub added: bool,
    /// The form of its sound, where it is known: frames a second and channels.
    pub shape: Option<(u32, u32)>,
    /// Why it could not be opened, or broke off.
    pub failure: Option<(Exit, String)>,
    /// Where its source is.
    pub state: SourceState,
    /// Whether it has an own clock.
    pub live: bool,
    /// Frames of the source that were delivered in earlier epochs.
    pub resume_frames: u64,
    /// Its whole length, where known.
    pub total_frames: Option<u64>,
    /// Where a new listener begins.
    pub mark: Option<Mark>,
    /// How far the listener has looked.
    pub position: FrameIndex,
    /// Whether the listener has reported all of it.
    pub finished: bool,
    /// When its device was last said to be away.
    pub away: Option<Instant>,
    /// The utterance that is being spoken, as far as a text of it was asked for.
    pub growing: Option<Growing>,
    /// Up to where what was said is written down, be it for now or to stay.
    pub worded: FrameIndex,
    /// How its words keep pace.
    pub lag: Lag,
    /// When it is not to be listened to, as far as a new listener has to know.
    pub pauses: Pauses,
}

/// Frames of an utterance that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growing {
    /// The first one.
    pub from: FrameIndex,
    /// One past the last one.
    pub to: FrameIndex,
}

impl Stream {
    /// A stream nobody has opened yet.
    pub(super) fn new(uri: String, language: String) -> Self {
        Self {
            uri,
            language,
            resume_uri: None,
            description: String::new(),
            added: false,
            shape: None,
            failure: None,
            state: SourceState::Opening,
            live: false,
            resume_frames: 0,
            total_frames: None,
            mark: None,
            position: FrameIndex(0),
            finished: false,
            away: None,
            growing: None,
            worded: FrameIndex(0),
            lag: Lag::default(),
            pauses: Pauses::default(),
        }
    }

    /// The same stream with another source, or with the same once more. Where its words have got to stays known.
    pub(super) fn renew(&mut self, uri: String) {
        self.uri = uri;
        self.resume_uri = None;
        self.description.clear();
        self.added = true;
        self.shape = None;
        self.failure = None;
        self.state = SourceState::Opening;
        self.resume_frames = 0;
        self.total_frames = None;
        // What is not all reported yet goes on where it is; otherwise it begins with the new ring.
        if std::mem::take(&mut self.finished) {
            self.mark = None;
        }
        self.away = None;
    }

    /// What users see of where its source is.
    pub(super) fn shown_state(&self) -> &'static str {
        if self.state == SourceState::Open && self.is_away() { "away" } else { self.state.as_str() }
    }

    /// Whether its device is away: as long as it is, that is said once a second.
    pub(super) fn is_away(&self) -> bool {
        self.away.is_some_and(|said| said.elapsed() < AWAY_FOR)
    }

    /// Whether it is not listened to now.
    pub(super) fn is_paused(&self) -> bool {
        self.pauses.last()
    }

    /// A new listener begins here, where this is further than it was.
    pub(super) fn move_mark(&mut self, mark: Mark) {
        if self.mark.is_none_or(|old| (mark.epoch, mark.frame) > (old.epoch, old.frame)) {
            self.mark = Some(mark);
            // It is an utterance now, or was none.
            self.growing = self.growing.filter(|growing| growing.from >= mark.frame);
            self.pauses.pass(mark.frame);
        }
    }

    /// Whether the listener has still something to report of it.
    pub(super) const fn is_unfinished(&self) -> bool {
        !self.finished && !matches!(self.state, SourceState::Failed)
    }

    /// Whether an engine should open it.
    pub(super) const fn wants_source(&self) -> bool {
        matches!(self.state, SourceState::Opening | SourceState::Open)
    }
}

//! What a run tells its user: one closed enum, three ways to show it.

use crate::lag::Pace;
use control_protocol::{Role, StreamName, Word};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use shm_layout::FrameIndex;

/// Frames of a stream, with their times. Times are seconds since the session's frame 0.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Span {
    /// Which stream.
    pub stream: StreamName,
    /// First frame.
    pub start_frame: FrameIndex,
    /// One past the last frame.
    pub end_frame: FrameIndex,
    /// `start_frame` in seconds.
    pub start_s: f64,
    /// `end_frame` in seconds.
    pub end_s: f64,
}

impl Span {
    /// The span of these frames at this rate.
    pub(crate) fn new(stream: StreamName, from: FrameIndex, to: FrameIndex, sample_rate_hz: u32) -> Self {
        let (start_s, end_s) = (from.seconds(sample_rate_hz), to.seconds(sample_rate_hz));
        Self { stream, start_frame: from, end_frame: to, start_s, end_s }
    }

    /// Its length in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.end_s - self.start_s
    }
}

/// A report, and when it was told.
#[derive(Debug, Serialize)]
pub(crate) struct Stamped<R> {
    /// What.
    #[serde(flatten)]
    pub report: R,
    /// `CLOCK_MONOTONIC` in seconds.
    pub emitted_s: f64,
}

/// `CLOCK_MONOTONIC` in seconds.
#[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
pub(crate) fn monotonic_s() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Whom the engine's clock follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Leader {
    /// The device of this stream.
    Stream(StreamName),
    /// The output, under this name.
    Output(&'static str),
}

impl Leader {
    /// The output.
    pub(crate) const OUTPUT: Self = Self::Output("output");
}

/// A word, and when it was spoken.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WordTime {
    /// With its punctuation, and without the space before it.
    pub text: String,
    /// First frame.
    pub start_frame: FrameIndex,
    /// One past the last frame.
    pub end_frame: FrameIndex,
    /// `start_frame` in seconds.
    pub start_s: f64,
    /// `end_frame` in seconds.
    pub end_s: f64,
    /// The recogniser's probability, 0 to 1.
    pub confidence: f64,
}

impl WordTime {
    /// A word at this rate.
    pub(crate) fn new(word: &Word, sample_rate_hz: u32) -> Self {
        Self {
            text: word.text.trim().to_owned(),
            start_frame: word.from,
            end_frame: word.to,
            start_s: word.from.seconds(sample_rate_hz),
            end_s: word.to.seconds(sample_rate_hz),
            confidence: f64::from(word.confidence) / 100.0,
        }
    }
}

/// A stream as it was opened.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Opened {
    /// Its name.
    pub stream: StreamName,
    /// What was asked for.
    pub uri: String,
    /// What it is.
    pub description: String,
    /// Its recogniser.
    pub model: String,
}

/// The recognisers of a run, for people: one, or those of the streams.
pub(crate) fn models_shown(model: &str, streams: &[Opened]) -> String {
    if streams.iter().all(|opened| opened.model == model) {
        return model.to_owned();
    }
    let of = |opened: &Opened| format!("{} for {}", opened.model, opened.stream);
    streams.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// What happens to the device of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum DeviceState {
    /// It is gone, silent, or another one is meant now; it is looked for.
    Lost {
        /// Why.
        reason: String,
    },
    /// It delivers again.
    Back {
        /// What it is: maybe another one.
        description: String,
    },
}

/// What happens to an output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum OutputState {
    /// It is open, as was asked.
    Open,
    /// It is gone; it is tried again.
    Away,
    /// It is open again.
    Back {
        /// After so many seconds.
        away_s: f64,
    },
    /// There was nothing to play in time.
    Underrun,
    /// Nothing is played any more, as was asked.
    Off,
}

/// What is told of an output, for people.
pub(crate) fn output_text(
    state: OutputState,
    stream: &StreamName,
    description: &str,
    reason: Option<&str>,
    frames: Option<u64>,
) -> String {
    match state {
        OutputState::Open => format!("playing {stream} to {description}"),
        OutputState::Away => {
            format!("the output {description}: {}; it is tried again", reason.unwrap_or("it is gone"))
        }
        OutputState::Back { away_s } => format!("playing {stream} to {description} again, after {away_s:.1} s"),
        OutputState::Underrun => format!("the output had nothing to play for {} frames", frames.unwrap_or(0)),
        OutputState::Off => format!("{stream} is not played any more"),
    }
}

/// Something worth telling.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Report {
    /// Every source is open (or has failed).
    Started {
        /// The session's UUID.
        session: String,
        /// The rate of all frame indices.
        sample_rate_hz: u32,
        /// The open streams.
        streams: Vec<Opened>,
        /// The recogniser of most.
        model: String,
    },
    /// One more source is open.
    SourceAdded(Opened),
    /// A source is captured no more; the last words of it may still come.
    SourceRemoved {
        /// Which stream.
        stream: StreamName,
        /// One past its last frame.
        frame: FrameIndex,
        /// `frame` in seconds.
        at_s: f64,
    },
    /// The words of an utterance that still goes on; the next one, or its final, replaces it.
    Partial {
        /// Where.
        #[serde(flatten)]
        span: Span,
        /// What was said so far; empty where nothing was, after all.
        text: String,
        /// The beginning of it that will not change.
        committed: String,
    },
    /// Words of an utterance that still goes on, which will not change.
    Committed {
        /// Where.
        #[serde(flatten)]
        span: Span,
        /// What was said.
        text: String,
        /// Word by word.
        words: Vec<WordTime>,
    },
    /// The words of a whole utterance.
    Final {
        /// Where.
        #[serde(flatten)]
        span: Span,
        /// What was said. The words committed before are its beginning.
        text: String,
        /// Word by word; not of a recording's lines.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        words: Vec<WordTime>,
    },
    /// Sound that was captured and not looked at, or words that were not recognised.
    Lost {
        /// Where.
        #[serde(flatten)]
        span: Span,
        /// How many. More than the span has where a source ran ahead of the clock.
        frames: u64,
        /// Why.
        cause: String,
    },
    /// Sound that was never captured.
    Gap {
        /// Where.
        #[serde(flatten)]
        span: Span,
        /// Why.
        cause: String,
    },
    /// Sound that was captured, and not processed in time: it is silent in the mix.
    Unprocessed {
        /// Where.
        #[serde(flatten)]
        span: Span,
    },
    /// A stream is not listened to any more, and captured as ever.
    Paused {
        /// Which stream.
        stream: StreamName,
        /// The first frame that is not listened to.
        frame: FrameIndex,
        /// `frame` in seconds.
        at_s: f64,
    },
    /// A stream is listened to again.
    Resumed {
        /// Which stream.
        stream: StreamName,
        /// The first frame that is listened to.
        frame: FrameIndex,
        /// `frame` in seconds.
        at_s: f64,
    },
    /// Words of a live stream fell behind, or caught up.
    Lag {
        /// Which stream.
        stream: StreamName,
        /// How it keeps pace now.
        pace: Pace,
        /// From the oldest sound that waits for words to the newest, in seconds.
        lag_s: f64,
        /// Utterances that wait for their last text.
        waiting: usize,
        /// How many of them are kept in files.
        kept: usize,
    },
    /// The engine's clock follows this device from now on; without one, the computer's clock.
    Leads {
        /// Its stream, where it is one that is captured.
        stream: Option<StreamName>,
        /// Whether it is the output.
        output: bool,
    },
    /// The device of a stream is gone, or is there again. The sound that is missing is told as a gap.
    Device {
        /// Which stream.
        stream: StreamName,
        /// What happened.
        #[serde(flatten)]
        state: DeviceState,
    },
    /// An output was opened, went, or came back, or had nothing to play.
    Output {
        /// What happened.
        #[serde(flatten)]
        state: OutputState,
        /// What is played there.
        stream: StreamName,
        /// What was asked for.
        device: String,
        /// What it is.
        description: String,
        /// Why it is away.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Frames of silence, where there was nothing to play.
        #[serde(skip_serializing_if = "Option::is_none")]
        frames: Option<u64>,
    },
    /// A process began or ended.
    Process {
        /// What it is for.
        role: Role,
        /// A worker's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<u32>,
        /// Its process id.
        pid: u32,
        /// `starting`, `ready`, `exited` or `failed`.
        state: &'static str,
        /// Which life of its place.
        generation: u32,
        /// Why it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something a person should know.
    Notice {
        /// What.
        text: String,
    },
    /// How far a recording has been listened to.
    Progress {
        /// Which stream.
        stream: StreamName,
        /// Seconds done.
        done_s: f64,
        /// Seconds in all, where known.
        total_s: Option<f64>,
    },
    /// The last report.
    Stopped {
        /// Why it ended.
        reason: String,
        /// Utterances that were kept for later.
        pending: usize,
        /// Frames lost in this run, all streams together.
        lost_frames: u64,
    },
}

/// Shows reports. Called by the loop, so it never blocks.
pub(crate) trait Reporter {
    /// Shows one.
    fn report(&mut self, report: Report);
}

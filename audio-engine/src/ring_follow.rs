//! Follows a ring that another process writes, through all its epochs, and fills a queue as a device's callback does.
//!
//! It believes nothing of what it reads but that these samples stood there: counters and times are held against our own
//! clock. It waits in steps, so that a writer that dies or hangs holds nobody.

use crate::queue::Inlet;
use crate::ring_source::{is_written, other_shape};
use crate::rt;
use crate::source::{QUEUE_MS, frames_of};
use control_protocol::{Exit, GapCause, SourceError};
use shm_layout::{FrameIndex, GapSpan, ReadError, RingReader, SessionId, Wait, ring_file, stream_link};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long it sleeps at most before it looks whether it is wanted, the writer lives, and another ring has come.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often it looks for a ring while there is none.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What follows within this time is read together: a writer of single frames cannot keep a processor busy with us.
const REST: Duration = Duration::from_millis(1);
/// The most that is pushed at once.
const PIECE_MS: u32 = 100;
/// What a writer may have written more in a time than its rate says: it was behind, and caught up.
const CATCH_UP_NS: u64 = 2_000_000_000;
/// A time that a ring names is believed for so long.
const COMMIT_AGE_NS_MAX: u64 = 1_000_000_000;

/// A ring on its way into a queue.
pub(crate) struct Following {
    name: String,
    /// Where the next ring is looked for.
    link: PathBuf,
    /// Of whose rings none is read.
    own_session: Option<SessionId>,
    /// Rate and channels.
    shape: (u32, u32),
    inlet: Inlet,
    /// The one that is read, and the frame that comes next.
    ring: Option<RingReader>,
    position: FrameIndex,
    /// The session of the last one that was read.
    last: Option<SessionId>,
    /// The file that was looked at last: device and inode.
    seen: Option<(u64, u64)>,
    /// When frames came last.
    heard_ns: u64,
    gaps: Vec<GapSpan>,
    gap_frames: u64,
    /// `[channels][piece]`.
    planar: Vec<f32>,
}

impl Following {
    /// Of the ring at this path, and of those that come after it.
    pub(crate) fn new(
        name: String,
        path: &Path,
        own_session: Option<SessionId>,
        shape: (u32, u32),
        inlet: Inlet,
        ring: Option<RingReader>,
    ) -> Self {
        // Who names the file of one epoch means the stream.
        let info = ring.as_ref().map(RingReader::info);
        let of_epoch = |info: &&shm_layout::RingInfo| path.ends_with(ring_file(&info.stream, info.epoch));
        let link = info.filter(of_epoch).map(|info| path.with_file_name(stream_link(&info.stream)));
        let mut following = Self {
            name,
            link: link.unwrap_or_else(|| path.to_owned()),
            own_session,
            shape,
            planar: vec![0.0; frames_of(PIECE_MS, shape.0).max(1) * shape.1 as usize],
            inlet,
            ring: None,
            position: FrameIndex(0),
            last: None,
            seen: None,
            heard_ns: rt::now_ns(),
            gaps: Vec::new(),
            gap_frames: 0,
        };
        match ring {
            // Live sound begins now.
            Some(ring) => following.begin(ring.commit(), ring),
            None => following.inlet.health().gone.store(true, Ordering::Relaxed),
        }
        following
    }

    /// Until nobody wants it.
    pub(crate) fn run(mut self) {
        rt::promote(rt::PRIORITY_CALLBACK);
        let mut error = None;
        while !self.inlet.health().stop.load(Ordering::Relaxed) {
            match self.turn() {
                Ok(rest) => std::thread::sleep(rest),
                Err(end) => {
                    error = Some(end);
                    break;
                }
            }
        }
        self.inlet.flush();
        self.inlet.health().end(error);
    }

    /// Takes what there is, or looks for a ring; how long nothing need be looked at.
    fn turn(&mut self) -> Result<Duration, SourceError> {
        let Some(ring) = &self.ring else {
            self.look_for_another()?;
            return Ok(if self.ring.is_some() { Duration::ZERO } else { LOOK_EVERY });
        };
        match ring.wait(self.position, PATIENCE) {
            Wait::Ready(commit) => {
                self.take(commit);
                return Ok(REST);
            }
            // A writer that let go of its ring without a word, and has another one.
            Wait::TimedOut => self.look_for_another()?,
            Wait::Closed(_) | Wait::Crashed(_) => {
                self.ring = None;
                self.inlet.health().gone.store(true, Ordering::Relaxed);
            }
        }
        Ok(Duration::ZERO)
    }

    /// Everything up to `commit`, as far as there is room: what is not taken now is in the ring still.
    fn take(&mut self, commit: FrameIndex) {
        let now_ns = rt::now_ns();
        let queue_frames = frames_of(QUEUE_MS, self.shape.0) as u64;
        if commit.since(self.position) > queue_frames {
            // So late it would stay late. What is behind is lost, and counted.
            self.lose(commit, now_ns);
        }
        // Back in its place below; nothing here ends it.
        let Some(ring) = self.ring.take() else { return };
        let told_ns = ring.commit_time_ns();
        let at_ns =
            if (now_ns.saturating_sub(COMMIT_AGE_NS_MAX)..=now_ns).contains(&told_ns) { told_ns } else { now_ns };
        let (channels, piece) = (self.shape.1 as usize, self.planar.len() / self.shape.1 as usize);
        while self.position < commit {
            let frames = usize::try_from(commit.since(self.position)).unwrap_or(piece).min(piece);
            if self.inlet.room_frames() < frames {
                break;
            }
            match ring.read(self.position, &mut self.planar[..channels * frames], frames) {
                Ok(()) => {
                    self.push(&ring, frames, at_ns);
                    self.position = self.position.plus(frames as u64);
                }
                Err(ReadError::Lost { to, .. }) => self.lose(to, now_ns),
                // Counters that no writer could have made: begin where it can be read.
                Err(ReadError::BeforeFirst { first: to } | ReadError::NotYet { available: to }) => {
                    self.position = to;
                    break;
                }
            }
        }
        self.heard_ns = now_ns;
        self.ring = Some(ring);
    }

    /// The frames in `planar`; what was never captured there is a gap here, too.
    fn push(&mut self, ring: &RingReader, frames: usize, at_ns: u64) {
        let (from, end) = (self.position, self.position.plus(frames as u64));
        let gap_frames = ring.gap_frames();
        if gap_frames != self.gap_frames {
            self.gap_frames = gap_frames;
            self.gaps = ring.gaps(from, FrameIndex(u64::MAX));
            self.gaps.sort_unstable_by_key(|gap| gap.from);
        }
        let health = self.inlet.health();
        if health.gone.load(Ordering::Relaxed) {
            health.gone.store(false, Ordering::Relaxed);
        }
        let mut at = from;
        for gap in &self.gaps {
            let (gap_from, gap_to) = (gap.from.clamp(at, end), gap.to.clamp(at, end));
            if gap_from < gap_to {
                push_part(&mut self.inlet, &self.planar, (from, at, gap_from), frames, at_ns);
                self.inlet.skip(gap_to.since(gap_from), cause_of(gap.cause));
                // At once: it lasts, perhaps, and its place is now.
                self.inlet.flush_at(at_ns);
                at = gap_to;
            }
        }
        push_part(&mut self.inlet, &self.planar, (from, at, end), frames, at_ns);
        self.gaps.retain(|gap| gap.to > end);
    }

    /// Frames that were overwritten, or are too old: no more than can have come since frames came last.
    fn lose(&mut self, to: FrameIndex, now_ns: u64) {
        let most = self.frames_in(now_ns.saturating_sub(self.heard_ns).saturating_add(CATCH_UP_NS));
        self.inlet.skip(to.since(self.position).min(most), GapCause::Overrun);
        self.position = to;
    }

    /// Enters the ring that the link names now, where that is another one that somebody writes.
    fn look_for_another(&mut self) -> Result<(), SourceError> {
        let Ok(file) = self.link.metadata() else { return Ok(()) };
        let file = (file.dev(), file.ino());
        if self.seen == Some(file) {
            return Ok(());
        }
        let ring = match RingReader::attach(&self.link) {
            Ok(ring) => ring,
            Err(shm_layout::AttachError::Missing(_)) => return Ok(()),
            Err(error) => {
                let reason = format!("ring {}: {error}", self.name);
                return Err(SourceError { reason, exit: Exit::Refused });
            }
        };
        self.seen = Some(file);
        if Some(ring.info().session) == self.own_session || !is_written(&ring) {
            return Ok(());
        }
        let shape = (ring.info().sample_rate_hz, ring.info().channels);
        if shape != self.shape {
            let reason = other_shape(&self.name, shape, self.shape);
            return Err(SourceError { reason, exit: Exit::BadShape });
        }
        self.enter(ring);
        Ok(())
    }

    /// The next ring of the stream: between the last one and it there is a gap, of the length that the rings name where
    /// they are of one session, and of the time that passed where they are not.
    fn enter(&mut self, ring: RingReader) {
        let (info, commit) = (ring.info(), ring.commit());
        let past = self.frames_in(rt::now_ns().saturating_sub(self.heard_ns));
        let behind = commit.since(info.first_frame);
        // One that somebody has written for long is not new: live sound begins now.
        let from = if behind > u64::from(self.shape.0) { commit } else { info.first_frame };
        let gap = match self.last {
            Some(session) if session == info.session && from >= self.position => from.since(self.position).min(past),
            Some(_) => past.saturating_sub(commit.since(from)),
            // Nothing was heard before it.
            None => 0,
        };
        self.inlet.jump(gap, GapCause::Disappeared);
        self.begin(from, ring);
    }

    fn begin(&mut self, from: FrameIndex, ring: RingReader) {
        self.position = from;
        self.last = Some(ring.info().session);
        (self.gaps, self.gap_frames) = (Vec::new(), 0);
        self.seen = ring.path().metadata().ok().map(|file| (file.dev(), file.ino()));
        self.ring = Some(ring);
    }

    fn frames_in(&self, time_ns: u64) -> u64 {
        let frames = u128::from(time_ns) * u128::from(self.shape.0) / 1_000_000_000;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }
}

/// Frames `at..end` of those that begin with `from`.
fn push_part(
    inlet: &mut Inlet,
    planar: &[f32],
    (from, at, end): (FrameIndex, FrameIndex, FrameIndex),
    frames: usize,
    at_ns: u64,
) {
    let index = |frame: FrameIndex| usize::try_from(frame.since(from)).unwrap_or(frames).min(frames);
    let (begin, end) = (index(at), index(end));
    if begin < end {
        let channels = inlet.channels();
        let samples = (begin..end).flat_map(|frame| (0..channels).map(move |channel| planar[channel * frames + frame]));
        inlet.push_at(at_ns, end - begin, samples);
    }
}

/// Why frames are missing in somebody else's ring. That its own queue was full is nothing that our clock could be blamed
/// for, and what nobody knows is not there.
const fn cause_of(cause: u32) -> GapCause {
    match cause {
        2 => GapCause::Xrun,
        3 => GapCause::Disappeared,
        4 => GapCause::EngineDown,
        _ => GapCause::Underrun,
    }
}

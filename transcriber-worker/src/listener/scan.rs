//! One stream, from its ring to its jobs.

use super::Report;
use super::hold::Hold;
use super::keeper::Errand;
use super::pauses::{Pauses, part_of};
use crate::samples::ToMono;
use crate::segment::{LOOK_SAMPLES, Look, Policy, Segmenter, Utterance};
use crate::timeline::Timeline;
use crate::vad::{Detector, FRAME_SAMPLES, SAMPLE_RATE_HZ};
use crate::vitals::Vitals;
use control_protocol::{FromListener, Job, JobId, JobKind, ListenerConfig, Mark, Samples, StreamName};
use shm_layout::board::Counter;
use shm_layout::{Epoch, Follow, Follower, FrameIndex, RingInfo, RingReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long one wait for frames lasts at most; only what nobody sees depends on it.
const PATIENCE: Duration = Duration::from_millis(500);
/// A live ring grows by a block every few milliseconds, and the detector wants more than that: this is added to the time
/// until it has enough.
const REST_MORE: Duration = Duration::from_millis(2);
/// While nobody speaks, so many looks are taken together: a third of the wake-ups, and none of it is seen, for the first
/// words of an utterance are waited for much longer.
const LOOKS_IN_SILENCE: usize = 3;
/// The same while nobody is to listen. What is said right after the pause is heard as much later, and all of it.
const PAUSED_REST: Duration = Duration::from_millis(200);
/// Below this power, -72 dBFS, nobody is heard: the softest speech is 20 dB louder. The detector, which takes most of an idle
/// listener's time, need not look.
const INAUDIBLE: f32 = 6.3e-8;
/// It looks on for a second all the same, until its memory of the speech before has faded.
const SETTLED_LOOKS: u32 = 32;
/// What is heard again before a mark, so that the detector knows the room.
const WARM_UP_MS: u64 = 1_000;
/// How often the supervisor hears of progress and of an utterance that grows, in samples.
const SCANNED_EVERY: u64 = SAMPLE_RATE_HZ as u64 / 2;
const GROWING_EVERY: u64 = SAMPLE_RATE_HZ as u64 / 2;
/// How much speech is needed before the supervisor hears of it.
const GROWN_MIN: u64 = SAMPLE_RATE_HZ as u64 * 4 / 10;

/// What a scanning thread needs.
pub(super) struct Scan<R> {
    pub(super) config: Arc<ListenerConfig>,
    pub(super) stream: StreamName,
    pub(super) mark: Option<Mark>,
    pub(super) pauses: Arc<Pauses>,
    pub(super) hold: Arc<Hold>,
    pub(super) vitals: Vitals,
    /// Ids given so far, over all streams.
    pub(super) jobs: Arc<AtomicU32>,
    pub(super) errands: mpsc::Sender<Errand>,
    pub(super) report: R,
}

impl<R: Report> Scan<R> {
    /// Follows the stream until nobody hears the reports any more, or wants them.
    pub(super) fn run(self, detector: Detector) {
        let mut follower = self.follower();
        let mut scanner =
            Scanner { scan: &self, detector, floor: None, stretch: None, ring: None, id: None, paused_at: None };
        let mut planar = Vec::new();
        let mut ended = false;
        let pulse = self.vitals.pulse();
        loop {
            pulse.turn();
            // An ended stream has no next epoch, unless it is added again: looking for one is not worth much.
            let patience = if ended { Duration::ZERO } else { PATIENCE };
            let rate = scanner.ring.as_ref().map_or(SAMPLE_RATE_HZ, |ring| ring.sample_rate_hz);
            let frames_max = rate as usize / 4;
            let heard = match follower.next(&mut planar, frames_max, patience) {
                Follow::Frames { from, frames } => {
                    let heard = scanner.hear(from, &planar, frames);
                    if frames < frames_max && !self.config.offline {
                        thread::sleep(if scanner.paused_at.is_some() { PAUSED_REST } else { scanner.until_a_look() });
                    }
                    heard
                }
                Follow::Lost { from, to } => scanner.lost(from, to),
                Follow::NewEpoch { info, .. } => {
                    ended = false;
                    scanner.enter(*info)
                }
                Follow::Closed { at } => {
                    ended = true;
                    scanner.close() && self.say(FromListener::Finished { stream: self.stream.clone(), at })
                }
                // The supervisor knows it too; what follows is the next epoch, or the end.
                Follow::Crashed { .. } => true,
                Follow::Waiting if ended => {
                    if self.hold.leave() {
                        return;
                    }
                    thread::sleep(PATIENCE);
                    true
                }
                Follow::Waiting => true,
            };
            if !heard {
                return;
            }
        }
    }

    fn follower(&self) -> Follower {
        let (dir, stream) = (Path::new(&self.config.runtime_dir), self.stream.as_str());
        let Some(mark) = self.mark else { return Follower::new(dir, stream) };
        let begin = RingReader::attach_epoch(dir, stream, mark.epoch).map_or(mark.frame, |ring| {
            let warm_up = u64::from(ring.info().sample_rate_hz) * WARM_UP_MS / 1_000;
            mark.frame.back(warm_up).max(ring.oldest()).min(mark.frame)
        });
        Follower::at(dir, stream, mark.epoch, begin)
    }

    fn say(&self, message: FromListener) -> bool {
        self.report.say(message)
    }
}

/// The state of a scan.
struct Scanner<'a, R> {
    scan: &'a Scan<R>,
    detector: Detector,
    /// Where utterances may begin.
    floor: Option<Mark>,
    ring: Option<RingInfo>,
    /// Frames without an interruption.
    stretch: Option<Stretch>,
    /// The name of the utterance that is open, once somebody has heard of it.
    id: Option<JobId>,
    /// While paused: how far the supervisor knows that it is.
    paused_at: Option<FrameIndex>,
}

/// Frames of one epoch without an interruption.
struct Stretch {
    epoch: Epoch,
    timeline: Timeline,
    /// One past the last frame taken.
    end: FrameIndex,
    mono: ToMono,
    segmenter: Segmenter,
    scanned_said: u64,
    growing_said: u64,
    /// Looks in a row in which nobody could be heard.
    silent_looks: u32,
}

impl<R: Report> Scanner<'_, R> {
    /// A ring begins.
    fn enter(&mut self, info: RingInfo) -> bool {
        let heard = self.close();
        // The first ring is the mark's, unless that one is gone with all that was in it.
        let missed = match (self.ring.is_none(), self.scan.mark) {
            (true, Some(mark)) if mark.epoch == info.epoch => {
                self.floor = Some(mark);
                None
            }
            (true, Some(mark)) => (mark.frame < info.first_frame).then_some((mark.frame, info.first_frame)),
            _ => None,
        };
        self.ring = Some(info);
        heard && missed.is_none_or(|(from, to)| self.report_lost(from, to))
    }

    fn hear(&mut self, from: FrameIndex, planar: &[f32], frames: usize) -> bool {
        let pieces = self.scan.pauses.pieces(from, from.plus(frames as u64));
        pieces.iter().all(|piece| {
            let at = |frame: FrameIndex| usize::try_from(frame.since(from)).unwrap_or(frames);
            let range = at(piece.from)..at(piece.to);
            match piece.paused_since {
                Some(since) => self.pass(since, piece.to),
                None if range == (0..frames) => self.listen(from, planar, frames),
                None => self.listen(piece.from, &part_of(planar, frames, range.clone()), range.len()),
            }
        })
    }

    /// Frames up to `to` are not listened to, nor was anything from `since` on to be.
    fn pass(&mut self, since: FrameIndex, to: FrameIndex) -> bool {
        if let Some(stretch) = &mut self.stretch {
            // More may have been heard before the order came.
            stretch.end = stretch.end.min(since);
        }
        let Some((epoch, rate)) = self.ring.as_ref().map(|ring| (ring.epoch, ring.sample_rate_hz)) else { return true };
        let said = self.paused_at.filter(|_| self.stretch.is_none());
        if !self.close() {
            return false;
        }
        if said.is_some_and(|said| to.since(said) < u64::from(rate) * SCANNED_EVERY / u64::from(SAMPLE_RATE_HZ)) {
            return true;
        }
        self.paused_at = Some(to);
        let mark = Mark { epoch, frame: to };
        self.scan.say(FromListener::Scanned { stream: self.scan.stream.clone(), mark, position: to })
    }

    fn listen(&mut self, from: FrameIndex, planar: &[f32], frames: usize) -> bool {
        self.paused_at = None;
        if self.stretch.as_ref().is_some_and(|stretch| stretch.end != from) && !self.close() {
            return false;
        }
        if self.stretch.is_none() {
            match self.begin(from) {
                Ok(stretch) => self.stretch = Some(stretch),
                Err(reason) => {
                    self.scan.say(FromListener::Fault(reason));
                    return false;
                }
            }
        }
        let Some(stretch) = &mut self.stretch else { return true };
        stretch.mono.push(planar, frames);
        stretch.end = from.plus(frames as u64);
        self.look() && self.progress()
    }

    /// When the next look of the detector is complete.
    fn until_a_look(&mut self) -> Duration {
        let (there, looks) = self.stretch.as_mut().map_or((0, 1), |stretch| {
            let speaking = stretch.segmenter.speaking_since().is_some();
            (stretch.mono.samples().len(), if speaking { 1 } else { LOOKS_IN_SILENCE })
        });
        let missing = (looks * FRAME_SAMPLES).saturating_sub(there) as u64;
        Duration::from_micros(missing * 1_000_000 / u64::from(SAMPLE_RATE_HZ)) + REST_MORE
    }

    fn begin(&mut self, from: FrameIndex) -> Result<Stretch, String> {
        let info = self.ring.as_ref().ok_or("frames without a ring")?;
        let refuse = |e| format!("stream {}: {e}", self.scan.stream);
        let mono = ToMono::prompt(info.sample_rate_hz, info.channels).map_err(refuse)?;
        let timeline = Timeline { origin: from, sample_rate_hz: info.sample_rate_hz };
        let floor = self.floor.filter(|mark| mark.epoch == info.epoch);
        let floor = floor.map_or(0, |mark| timeline.sample_of(mark.frame));
        let hangover = u64::from(self.scan.config.hangover_ms) * u64::from(SAMPLE_RATE_HZ) / 1_000;
        let policy = if self.scan.config.offline { Policy::OFFLINE } else { Policy::LIVE.ended_by(hangover) };
        // Half of the history: an utterance that has just ended is not yet in danger.
        let kept = timeline.samples_in(info.capacity_frames / 2);
        let segmenter = Segmenter::new(policy.within(kept), 0, floor);
        self.detector.reset();
        let epoch = info.epoch;
        Ok(Stretch { epoch, timeline, end: from, mono, segmenter, scanned_said: 0, growing_said: 0, silent_looks: 0 })
    }

    /// Looks at all whole frames of the detector.
    fn look(&mut self) -> bool {
        let Some(mut stretch) = self.stretch.take() else { return true };
        let samples = std::mem::take(stretch.mono.samples());
        let (frames, rest) = samples.as_chunks::<FRAME_SAMPLES>();
        for frame in frames {
            #[expect(clippy::cast_precision_loss, reason = "512")]
            let power = frame.iter().map(|s| s * s).sum::<f32>() / FRAME_SAMPLES as f32;
            stretch.silent_looks = if power < INAUDIBLE { stretch.silent_looks + 1 } else { 0 };
            let probability = if stretch.silent_looks > SETTLED_LOOKS {
                self.detector.pass_over(frame);
                0.0
            } else {
                self.detector.probability(frame)
            };
            let given = stretch.segmenter.push(Look { probability, power });
            if given.is_some_and(|utterance| !self.finished(&mut stretch, utterance)) || !self.may_end(&mut stretch) {
                return false;
            }
        }
        stretch.mono.samples().extend_from_slice(rest);
        self.stretch = Some(stretch);
        true
    }

    /// An utterance is complete.
    fn finished(&mut self, stretch: &mut Stretch, utterance: Utterance) -> bool {
        let kind = if self.scan.config.offline { JobKind::Offline } else { JobKind::Final };
        let id = self.id.take().unwrap_or_else(|| self.next_id());
        let job = self.job(stretch, id, kind, utterance);
        stretch.growing_said = stretch.segmenter.position();
        stretch.scanned_said = stretch.segmenter.position();
        if job.from >= job.to {
            return true; // said in a pause whose order came late
        }
        self.scan.vitals.add(Counter::Done, 1);
        // It is kept before anybody can say that it is done.
        let _ = self.scan.errands.send(Errand::Keep(job.clone()));
        self.scan.say(FromListener::Utterance(job))
    }

    /// Says what an utterance will be if it ends now, at the beginning of each pause.
    fn may_end(&mut self, stretch: &mut Stretch) -> bool {
        let Some(utterance) = stretch.segmenter.tentative().filter(|_| self.scan.config.early) else { return true };
        stretch.growing_said = stretch.segmenter.position();
        self.early(stretch, JobKind::Tentative, utterance)
    }

    fn early(&mut self, stretch: &Stretch, kind: JobKind, utterance: Utterance) -> bool {
        let id = self.id.unwrap_or_else(|| self.next_id());
        self.id = Some(id);
        self.scan.say(FromListener::Growing(self.job(stretch, id, kind, utterance)))
    }

    /// Says how far things are, where it is time.
    fn progress(&mut self) -> bool {
        let Some(stretch) = self.stretch.take() else { return true };
        let position = stretch.segmenter.position();
        let scanned = position >= stretch.scanned_said + SCANNED_EVERY;
        let due = match stretch.segmenter.speaking_since() {
            Some(from) if stretch.growing_said > from => stretch.growing_said + GROWING_EVERY,
            Some(from) => from + GROWN_MIN,
            None => u64::MAX,
        };
        let growing = stretch
            .segmenter
            .growing()
            .filter(|u| self.scan.config.early && position >= due && u.speech_end + LOOK_SAMPLES >= position);
        let mut heard = growing.is_none_or(|utterance| self.early(&stretch, JobKind::Partial, utterance));
        self.stretch = Some(stretch);
        let Some(stretch) = &self.stretch else { return heard };
        if scanned {
            let frame = stretch.timeline.frame_of(stretch.segmenter.mark()).min(stretch.end);
            heard &= self.scan.say(FromListener::Scanned {
                stream: self.scan.stream.clone(),
                mark: Mark { epoch: stretch.epoch, frame },
                position: stretch.timeline.frame_of(position).min(stretch.end),
            });
        }
        if let Some(stretch) = &mut self.stretch {
            stretch.scanned_said = if scanned { position } else { stretch.scanned_said };
            stretch.growing_said = if growing.is_some() { position } else { stretch.growing_said };
        }
        heard
    }

    /// Nothing follows without an interruption: what is open is an utterance as it is.
    fn close(&mut self) -> bool {
        if let Some(stretch) = &mut self.stretch {
            stretch.mono.finish();
        }
        if !self.look() {
            return false;
        }
        let Some(mut stretch) = self.stretch.take() else { return true };
        let taken = stretch.end.since(stretch.timeline.origin);
        let heard = match stretch.segmenter.finish(stretch.timeline.samples_in(taken)) {
            Some(utterance) => self.finished(&mut stretch, utterance),
            None => true,
        };
        self.id = None;
        self.floor = Some(Mark { epoch: stretch.epoch, frame: stretch.end });
        heard
            && self.scan.say(FromListener::Scanned {
                stream: self.scan.stream.clone(),
                mark: Mark { epoch: stretch.epoch, frame: stretch.end },
                position: stretch.end,
            })
    }

    fn lost(&mut self, from: FrameIndex, to: FrameIndex) -> bool {
        let heard = self.close();
        // What was to be heard again for the warm-up only is no loss.
        let from = self.floor.map_or(from, |mark| mark.frame.max(from));
        heard && (from >= to || self.report_lost(from, to))
    }

    fn report_lost(&self, from: FrameIndex, to: FrameIndex) -> bool {
        let pieces = self.scan.pauses.pieces(from, to);
        pieces.iter().filter(|piece| piece.paused_since.is_none()).all(|piece| {
            self.scan.vitals.add(Counter::Lost, piece.to.since(piece.from));
            self.scan.say(FromListener::Lost { stream: self.scan.stream.clone(), from: piece.from, to: piece.to })
        })
    }

    fn next_id(&self) -> JobId {
        JobId::new(self.scan.config.board.generation, self.scan.jobs.fetch_add(1, Ordering::Relaxed))
    }

    fn job(&self, stretch: &Stretch, id: JobId, kind: JobKind, utterance: Utterance) -> Job {
        let frame_of = |sample| stretch.timeline.frame_of(sample).min(stretch.end);
        Job {
            id,
            kind,
            stream: self.scan.stream.clone(),
            epoch: stretch.epoch,
            from: frame_of(utterance.from),
            to: frame_of(utterance.to),
            speech_end: frame_of(utterance.speech_end),
            samples: Samples::Ring,
        }
    }
}

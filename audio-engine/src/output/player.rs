//! From a ring to the queue of an output.
//!
//! Each next frame of the queue has a time at which the device takes it, by the device's own clock, and at that time
//! the ring is so far, by the clock of its commits. What lies between that and the frame is the *delay*. It is kept
//! at one length: a block, since the ring grows by blocks, what the resampler holds, and some *slack* for commits and
//! wake-ups that are late. The queue ran dry: then the slack grows. Whatever is further off than can be pulled without
//! being heard is skipped, or waited for.
//!
//! Of an output that leads nothing is resampled but to another nominal rate. The tick keeps the delay for it: at the
//! length that it had when the device's rate was known.

use super::callback::{Asked, Play};
use super::pilot::Pilot;
use crate::clock::Clock;
use audio_dsp::{DriftLoop, Quality, Routing, SourceClock, VariableResampler};
use rtrb::{Consumer, Producer};
use shm_layout::{Epoch, FrameIndex, RingReader, RingState, SessionId, Wait};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The ring that is played.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The folder of the rings.
    pub dir: PathBuf,
    /// Only rings of this session are played.
    pub session: SessionId,
    /// The name of the stream; it may change at any time.
    pub stream: Arc<Mutex<String>>,
    /// Frames of a commit.
    pub block_frames: u32,
}

/// What is told of a player, in frames and times of the device.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Frames in the queue after the last callback.
    pub queued_frames: AtomicU64,
    /// From a frame's commit to the end of the period that it is played in, in microseconds; 0 while nothing plays.
    pub delay_us: AtomicU64,
    /// By how many thousandths of a millionth the device is faster than it says.
    pub ppm_thousandths: AtomicI64,
    /// Frames of the ring that were skipped: after the queue had run dry, or when a clock jumped.
    pub skipped_frames: AtomicU64,
}

/// What is made at once is an eighth of a block. What a block leaves over waits for the next one.
const PIECES_A_SECOND: u32 = 800;
/// How late commits and wake-ups may be, at first, and at the most.
const SLACK_SECONDS: f64 = 0.003;
const SLACK_SECONDS_MAX: f64 = 0.2;
/// By how much it grows at a time.
const SLACK_STEP_SECONDS: f64 = 0.005;
/// What the loop pulls; more is skipped.
const PULL_SECONDS_MAX: f64 = 0.02;
/// A device is listened to for so long before anything is played: the first callbacks fill its own memory.
const SETTLE_SECONDS: f64 = 0.25;
/// After a jump the sound comes within this time.
const FADE_SECONDS: f64 = 0.005;
/// In this time a device's rate is known well enough to lead with it.
const LEARNING_SECONDS: f64 = 2.0;
/// The time in which the tick makes up for what the delay of an output that leads is away from its length.
const LEADER_PULL_SECONDS: f64 = 5.0;
/// A device that leads and has asked for nothing for so long, or for two of its periods, leads no more.
const LEADS_SECONDS: f64 = 0.5;
/// How long the player sleeps at the most.
const REST: Duration = Duration::from_millis(20);
/// How often a ring is looked for.
const LOOK_SECONDS: f64 = 0.03;

/// The player of one opened output.
pub struct Player {
    samples: Producer<f32>,
    asked: Consumer<Asked>,
    play: Arc<Play>,
    gauge: Arc<Gauge>,
    reading: Reading,
    /// Of the device.
    rate_hz: u32,
    channels: usize,
    clock: SourceClock,
    first_asked_s: Option<f64>,
    last: Asked,
    /// Frames that went into the queue.
    pushed: u64,
    slack_s: f64,
    underruns_seen: u64,
    looked_s: f64,
    feed: Option<Feed>,
    /// The last ring that came to its end.
    past: Option<(String, Epoch)>,
    /// It leads.
    lead: Option<Lead>,
}

/// What an output needs that leads.
struct Lead {
    pilot: Arc<Pilot>,
    clock: Clock,
}

/// The ring that is being read.
struct Feed {
    ring: RingReader,
    stream: String,
    drift: DriftLoop,
    /// None where the device leads at the ring's rate: frames pass bit by bit.
    resampler: Option<VariableResampler>,
    /// What lies between the tick and the next frame, as an output that leads wants it kept, and how much more it is.
    kept_frames: Option<f64>,
    ahead_frames: f64,
    /// `[device][ring]`.
    gains: Vec<f32>,
    piece_frames: usize,
    /// Where the resampler's first input frame lies, in frames since the ring's first; `None` before a place is found.
    start: Option<u64>,
    /// The next frame to read, counted the same way.
    next: u64,
    seen: u64,
    input: Vec<f32>,
    output: Vec<f32>,
    /// Frames until the sound is there whole.
    fading: usize,
}

impl Player {
    /// A player for a device of this rate and so many channels.
    #[must_use]
    pub fn new(
        (samples, asked): (Producer<f32>, Consumer<Asked>),
        play: &Arc<Play>,
        gauge: &Arc<Gauge>,
        reading: Reading,
        rate_hz: u32,
        channels: usize,
    ) -> Self {
        Self {
            samples,
            asked,
            play: Arc::clone(play),
            gauge: Arc::clone(gauge),
            reading,
            rate_hz,
            channels,
            clock: SourceClock::new(rate_hz),
            first_asked_s: None,
            last: Asked { at_ns: 0, frames: 0, silent: 0 },
            pushed: 0,
            slack_s: SLACK_SECONDS,
            underruns_seen: 0,
            looked_s: f64::NEG_INFINITY,
            feed: None,
            past: None,
            lead: None,
        }
    }

    /// The tick, which keeps this clock where nobody leads, follows the device.
    #[must_use]
    pub fn leading(mut self, pilot: Arc<Pilot>, clock: Clock) -> Self {
        self.lead = Some(Lead { pilot, clock });
        self
    }

    /// Plays until [`Play::stop`]. On a thread of its own.
    pub fn run(mut self) {
        crate::rt::promote(crate::rt::PRIORITY_PLAYER);
        while !self.play.stop.load(Ordering::Relaxed) {
            self.turn(crate::rt::now_ns());
            match &self.feed {
                Some(feed) => match feed.ring.wait(FrameIndex(feed.first() + feed.seen), REST) {
                    Wait::Ready(_) | Wait::TimedOut => {}
                    Wait::Closed(_) | Wait::Crashed(_) => std::thread::sleep(Duration::from_millis(2)),
                },
                None => std::thread::sleep(REST),
            }
        }
        self.play.playing.store(false, Ordering::Relaxed);
        if let Some(Lead { pilot, .. }) = &self.lead {
            pilot.release();
        }
    }

    /// Takes the ring's new frames into the queue, as far as they are there. Never waits.
    pub fn turn(&mut self, now_ns: u64) {
        let now_s = now_ns as f64 * 1e-9;
        self.learn();
        if self.first_asked_s.is_none_or(|first_s| now_s - first_s < SETTLE_SECONDS) {
            return;
        }
        self.attend(now_s);
        self.note_underruns();
        if let Some(mut feed) = self.feed.take() {
            if self.play_on(&mut feed, now_s) {
                self.feed = Some(feed);
            } else {
                self.past = Some((feed.stream.clone(), feed.ring.info().epoch));
            }
        }
        if self.feed.is_none() {
            self.play.playing.store(false, Ordering::Relaxed);
        }
        self.wish();
    }

    /// Tells the tick how fast to be.
    fn wish(&self) {
        let Some(Lead { pilot, .. }) = &self.lead else { return };
        if self.clock.learnt_s() < LEARNING_SECONDS {
            return;
        }
        let ahead_frames = self.feed.as_ref().map_or(0.0, |feed| feed.ahead_frames);
        let rate_hz = self.feed.as_ref().map_or(1.0, |feed| feed.drift.clock().rate_hz());
        let pull_ppm = 1e6 * ahead_frames / rate_hz / LEADER_PULL_SECONDS;
        let period_s = self.play.period_frames_max.load(Ordering::Relaxed) as f64 / f64::from(self.rate_hz);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of some seconds")]
        let good_ns = (LEADS_SECONDS.max(2.0 * period_s) * 1e9) as u64;
        pilot.wish(self.clock.rate_ppm() - pull_ppm, self.last.at_ns.saturating_add(good_ns));
    }

    /// Learns from the callbacks since the last turn.
    fn learn(&mut self) {
        while let Ok(asked) = self.asked.pop() {
            let at_s = asked.at_ns as f64 * 1e-9;
            self.first_asked_s.get_or_insert(at_s);
            self.clock.observe(at_s, asked.frames);
            self.last = asked;
        }
        let queued = self.pushed.saturating_sub(self.last.frames - self.last.silent);
        self.gauge.queued_frames.store(queued, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "a thousandth at most")]
        self.gauge.ppm_thousandths.store((self.clock.rate_ppm() * 1e3) as i64, Ordering::Relaxed);
    }

    /// Enters the ring of the stream, where there is one and it is another than the present one.
    fn attend(&mut self, now_s: f64) {
        let stream = self.reading.stream.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.feed.as_ref().is_some_and(|feed| feed.stream == stream) || now_s - self.looked_s < LOOK_SECONDS {
            return;
        }
        self.looked_s = now_s;
        let ring = RingReader::attach_stream(&self.reading.dir, &stream).ok();
        let is_new = |ring: &RingReader| {
            let past = self.past.as_ref().is_some_and(|(name, epoch)| *name == stream && *epoch == ring.info().epoch);
            ring.info().session == self.reading.session && ring.state() == RingState::Live && !past
        };
        match ring.filter(is_new).and_then(|ring| self.enter(ring, stream.clone())) {
            Some(feed) => self.feed = Some(feed),
            // Another stream is wished, and is not there yet: silence.
            None if self.feed.as_ref().is_some_and(|feed| feed.stream != stream) => self.feed = None,
            None => {}
        }
    }

    fn enter(&self, ring: RingReader, stream: String) -> Option<Feed> {
        let (from_hz, channels) = (ring.info().sample_rate_hz, ring.info().channels as usize);
        let piece_frames = (self.rate_hz / PIECES_A_SECOND).max(1) as usize;
        let resampler = if self.lead.is_some() && from_hz == self.rate_hz {
            None
        } else {
            Some(VariableResampler::new(from_hz, self.rate_hz, channels, piece_frames, Quality::Normal).ok()?)
        };
        let input_frames_max = resampler.as_ref().map_or(0, VariableResampler::input_frames_max);
        Some(Feed {
            drift: DriftLoop::new(from_hz, 0.0),
            gains: Routing::new(channels, self.channels, 0.0).gains().to_vec(),
            piece_frames,
            start: None,
            next: 0,
            seen: 0,
            input: vec![0.0; channels * input_frames_max],
            output: vec![0.0; channels * piece_frames],
            fading: 0,
            kept_frames: None,
            ahead_frames: 0.0,
            ring,
            stream,
            resampler,
        })
    }

    /// The queue ran dry: more slack from now on, and a new place.
    fn note_underruns(&mut self) {
        let underruns = self.play.underruns.load(Ordering::Relaxed);
        if underruns == self.underruns_seen {
            return;
        }
        self.underruns_seen = underruns;
        self.slack_s = (self.slack_s + SLACK_STEP_SECONDS).min(SLACK_SECONDS_MAX);
        if let Some(feed) = &mut self.feed {
            feed.start = None;
        }
    }

    /// Makes as many pieces as the ring has frames for. False when the ring is at its end.
    fn play_on(&mut self, feed: &mut Feed, now_s: f64) -> bool {
        let pushed_before = self.pushed;
        let commit = feed.ring.commit().0.saturating_sub(feed.first());
        if commit > feed.seen {
            feed.seen = commit;
            feed.drift.observe(now_s, commit);
        }
        loop {
            if self.samples.slots() < feed.piece_frames * self.channels {
                // The device takes nothing. What it will have missed is skipped when it does.
                break;
            }
            let Some(due_s) = self.next_due_s(now_s) else { break };
            if feed.start.is_none() && !self.place(feed, due_s) {
                break;
            }
            let Some(position) = feed.position() else { break };
            feed.drift.set_target_frames(self.delay_frames(feed));
            let ring_ppm = feed.drift.steer(due_s, position);
            if feed.drift.error_frames().abs() > PULL_SECONDS_MAX * feed.drift.clock().rate_hz() {
                feed.start = None;
                continue;
            }
            match &self.lead {
                Some(lead) => feed.keep(lead.ahead_frames(feed, due_s, position), self.clock.learnt_s()),
                None => feed.correct(ring_ppm - self.clock.rate_ppm()),
            }
            let frames = feed.needed_frames();
            if feed.next + frames as u64 > commit {
                break;
            }
            if feed.read(frames) {
                self.push(feed);
            } else {
                // Overwritten before it was read: this thread was away for as long as the ring's history is.
                feed.start = None;
            }
            self.show_delay(feed);
        }
        if self.pushed > pushed_before {
            // Only now: a callback in the middle of the first pieces finds some of them, which is no fault.
            self.play.playing.store(true, Ordering::Relaxed);
        }
        let is_over = feed.ring.state() != RingState::Live && feed.ring.commit().0 <= feed.first() + feed.seen;
        let is_played = feed.start.is_some_and(|_| feed.next + feed.piece_frames_max() as u64 > feed.seen);
        !(is_over && (is_played || feed.start.is_none()))
    }

    /// When the device takes the next frame that goes into the queue, by its own clock.
    fn next_due_s(&self, now_s: f64) -> Option<f64> {
        let frame = (self.pushed + self.last.silent) as f64;
        let rate_hz = f64::from(self.rate_hz) * (1.0 + 1e-6 * self.clock.rate_ppm());
        Some(now_s + (frame - self.clock.frames_at(now_s)?) / rate_hz)
    }

    /// How much lies between the ring's end and the frame that the device takes at that time, in frames of the ring.
    fn delay_frames(&self, feed: &Feed) -> f64 {
        let rate_hz = feed.drift.clock().rate_hz();
        let piece = rate_hz / f64::from(PIECES_A_SECOND);
        let held = feed.resampler.as_ref().map_or(0.0, |resampler| resampler.latency_frames() as f64);
        f64::from(self.reading.block_frames) + piece + held + self.slack_s * rate_hz
    }

    /// Finds the frame that is to be heard at this time. False where it cannot be yet.
    fn place(&mut self, feed: &mut Feed, due_s: f64) -> bool {
        let Some(there) = feed.drift.clock().frames_at(due_s) else { return false };
        let inside = feed.resampler.as_mut().map_or(0.0, |resampler| {
            resampler.reset();
            resampler.position()
        });
        let wanted = there - self.delay_frames(feed) - inside;
        if wanted < feed.next as f64 {
            // It was heard already, or was never there: silence until its time has come.
            self.play.playing.store(false, Ordering::Relaxed);
            return false;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below a frame of the ring")]
        let start = wanted.round() as u64;
        if feed.next > 0 {
            self.gauge.skipped_frames.fetch_add(start - feed.next, Ordering::Relaxed);
        }
        (feed.start, feed.next, feed.kept_frames, feed.ahead_frames) = (Some(start), start, None, 0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
        let fading = (FADE_SECONDS * f64::from(self.rate_hz)) as usize;
        feed.fading = fading;
        true
    }

    /// Puts a piece into the queue, frame by frame.
    fn push(&mut self, feed: &mut Feed) {
        let frames = feed.piece_frames;
        let Ok(chunk) = self.samples.write_chunk_uninit(frames * self.channels) else { return };
        let fade_frames = FADE_SECONDS * f64::from(self.rate_hz);
        let (gains, output, fading) = (&feed.gains, &feed.output, feed.fading);
        let channels = output.len() / frames;
        let sample = |at: usize| {
            let (frame, row) = (at / self.channels, at % self.channels);
            let routed = gains[row * channels..][..channels].iter().enumerate();
            let sum: f32 = routed.map(|(channel, gain)| gain * output[channel * frames + frame]).sum();
            let left = fading.saturating_sub(frame);
            #[expect(clippy::cast_possible_truncation, reason = "a gain")]
            let gain = if left == 0 { 1.0 } else { (1.0 - left as f64 / fade_frames).max(0.0) as f32 };
            sum * gain
        };
        chunk.fill_from_iter((0..frames * self.channels).map(sample));
        feed.fading = fading.saturating_sub(frames);
        self.pushed += frames as u64;
    }

    fn show_delay(&self, feed: &Feed) {
        let period_s = self.play.period_frames_max.load(Ordering::Relaxed) as f64 / f64::from(self.rate_hz);
        let behind_s = (feed.drift.target_frames() + feed.drift.error_frames()) / feed.drift.clock().rate_hz();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
        self.gauge.delay_us.store(((behind_s + period_s) * 1e6) as u64, Ordering::Relaxed);
    }
}

impl Lead {
    /// How much lies between the tick and the next frame, in frames of the ring.
    fn ahead_frames(&self, feed: &Feed, due_s: f64, position: f64) -> f64 {
        self.pilot.frame_at(self.clock, due_s, feed.ring.info().first_frame) - position
    }
}

impl Feed {
    /// What lies before the tick is to stay as it is, as soon as the device's rate is known.
    fn keep(&mut self, ahead_frames: f64, learnt_s: f64) {
        if learnt_s < LEARNING_SECONDS {
            self.kept_frames = None;
        }
        self.ahead_frames = ahead_frames - *self.kept_frames.get_or_insert(ahead_frames);
    }

    fn correct(&mut self, ppm: f64) {
        if let Some(resampler) = &mut self.resampler {
            resampler.set_correction_ppm(ppm);
        }
    }

    /// Frames of the ring that the next piece takes, and the most that one can take.
    fn needed_frames(&mut self) -> usize {
        self.resampler.as_mut().map_or(self.piece_frames, |resampler| resampler.needed_input_frames(self.piece_frames))
    }

    fn piece_frames_max(&self) -> usize {
        self.resampler.as_ref().map_or(self.piece_frames, VariableResampler::input_frames_max)
    }

    fn first(&self) -> u64 {
        self.ring.info().first_frame.0
    }

    /// Where the next frame of the output lies, in frames since the ring's first.
    fn position(&self) -> Option<f64> {
        let start = self.start?;
        Some(self.resampler.as_ref().map_or(self.next as f64, |resampler| start as f64 + resampler.position()))
    }

    /// Reads so many frames and resamples them. False where they are not there any more.
    fn read(&mut self, frames: usize) -> bool {
        let channels = self.ring.info().channels as usize;
        let at = FrameIndex(self.first() + self.next);
        let input = if self.resampler.is_some() { &mut self.input[..channels * frames] } else { &mut self.output[..] };
        if self.ring.read(at, input, frames).is_err() {
            return false;
        }
        self.next += frames as u64;
        if let Some(resampler) = &mut self.resampler {
            resampler.process(&self.input[..channels * frames], frames, &mut self.output, self.piece_frames);
        }
        true
    }
}

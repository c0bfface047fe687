//! The way from a source to the engine's tick: interleaved samples, and notes that say where some are missing.
//!
//! Two `rtrb` queues, each with one writer and one reader. A period's samples are pushed before its
//! note, and only samples under a note are read; so a period is delivered whole or not at all. What does
//! not fit is counted, and the next note says how many frames are missing *before* its own:
//! delivered plus lost is what was offered, and every loss has its place.
//!
//! Nothing here blocks, allocates after [`queue`] or makes a system call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::delays::Delays;
use crate::locked::Locked;
use control_protocol::{GapCause, SourceError};
use rtrb::{Consumer, Producer, RingBuffer};

/// A period as the reading side learns of it: first `lost` frames that are missing, then `frames` in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    lost: u64,
    cause: GapCause,
    frames: u32,
    /// When its callback was, on `CLOCK_MONOTONIC`; 0 where that means nothing.
    at_ns: u64,
    /// How many are lost is an estimate.
    estimated: bool,
}

/// A device's callback, as a clock sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When it was, on `CLOCK_MONOTONIC`, in nanoseconds.
    pub at_ns: u64,
    /// Frames of the source until its end, lost ones too.
    pub frames_total: u64,
    /// How many were lost before it was estimated: the count is no clock across this.
    pub after_glitch: bool,
}

/// Arrivals that are kept for whoever looks at them; the oldest go.
const ARRIVALS_MAX: usize = 256;

/// What both sides and the control thread know of a source. Advisory counters, and flags.
#[derive(Debug, Default)]
pub struct Health {
    /// Periods delivered or lost so far: shows that the device is alive.
    pub periods: AtomicU64,
    /// Frames that its callbacks were given so far.
    pub frames: AtomicU64,
    /// Glitches the device reported.
    pub xruns: AtomicU64,
    /// Frames that found the queue full.
    pub overrun_frames: AtomicU64,
    /// Nothing more will be pushed.
    pub ended: AtomicBool,
    /// The device has gone away and may come back.
    pub gone: AtomicBool,
    /// The engine wants nothing more.
    pub stop: AtomicBool,
    /// By how much later than at its nominal rate the tick is due, in nanoseconds: for sources that keep its time.
    pub tick_late_ns: AtomicI64,
    /// Ask the source to begin (a virtual device waits for this).
    pub begin: AtomicBool,
    /// How long its sound is on its way.
    pub delays: Delays,
    error: Mutex<Option<SourceError>>,
    device_news: Mutex<Vec<DeviceNews>>,
}

/// What happened to the device of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceNews {
    /// It is gone, silent, or another one is meant now; it is looked for.
    Lost {
        /// Why.
        reason: String,
    },
    /// It delivers again.
    Back {
        /// What it is now, where it may be another one.
        description: Option<String>,
    },
}

/// News that wait to be told; there are a few in an hour.
const DEVICE_NEWS_MAX: usize = 64;

impl Health {
    /// Says that nothing more comes, and why if it is not a plain end. Not from a real-time thread.
    pub fn end(&self, error: Option<SourceError>) {
        *self.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = error;
        // Pairs with the Acquire load in `Outlet::is_finished`: who sees the end sees all that was pushed.
        self.ended.store(true, Ordering::Release);
    }

    /// Says what happened to its device. Not from a real-time thread.
    pub fn tell(&self, news: DeviceNews) {
        let mut waiting = self.device_news.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if waiting.len() < DEVICE_NEWS_MAX {
            waiting.push(news);
        }
    }

    /// What happened to its device since this was asked last. Not from a real-time thread.
    #[must_use]
    pub fn take_device_news(&self) -> Vec<DeviceNews> {
        std::mem::take(&mut self.device_news.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Why the source ended, where it was not a plain end. Not from a real-time thread.
    #[must_use]
    pub fn error(&self) -> Option<SourceError> {
        self.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// The writing end, owned by a device callback or a reader thread.
#[derive(Debug)]
pub struct Inlet {
    /// Stands before the queues here and in the [`Outlet`]: whoever of both goes last, it goes before their memory.
    _locked: Arc<[Option<Locked>; 2]>,
    samples: Producer<f32>,
    notes: Producer<Note>,
    channels: usize,
    lost: u64,
    cause: GapCause,
    estimated: bool,
    health: Arc<Health>,
}

/// The reading end, owned by the tick.
#[derive(Debug)]
pub struct Outlet {
    _locked: Arc<[Option<Locked>; 2]>,
    samples: Consumer<f32>,
    notes: Consumer<Note>,
    /// Notes taken out of the queue and not used up yet. Never grows beyond what it was made with.
    open: VecDeque<Note>,
    sound_ready: u64,
    lost_ready: u64,
    period_frames_max: u32,
    /// What all periods so far are multiples of.
    period_step_frames: u32,
    /// Frames, sound and losses, of all notes so far.
    offered: u64,
    arrivals: VecDeque<Arrival>,
    /// When the newest callback was that told its time; 0 before one did.
    last_at_ns: u64,
    channels: usize,
    health: Arc<Health>,
}

/// What comes next out of an [`Outlet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// So many frames of sound have been copied.
    Sound(usize),
    /// So many frames are missing here.
    Lost(usize, GapCause),
    /// Nothing is there now.
    Dry,
}

/// The greatest one (Euclid); of 0 and another number, that one.
pub(crate) const fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A queue of at least `frames` frames. The smallest period it is made for is 16 frames on average.
#[must_use]
pub fn queue(channels: usize, frames: usize, health: &Arc<Health>) -> (Inlet, Outlet) {
    let notes_max = (frames / 16).max(64);
    let (samples_in, samples_out, samples_locked) = touched(frames * channels, 0.0);
    let none = Note { frames: 0, lost: 0, cause: GapCause::Overrun, at_ns: 0, estimated: false };
    let (notes_in, notes_out, notes_locked) = touched(notes_max, none);
    let locked = Arc::new([samples_locked, notes_locked]);
    let inlet = Inlet {
        _locked: Arc::clone(&locked),
        samples: samples_in,
        notes: notes_in,
        channels,
        lost: 0,
        cause: GapCause::Overrun,
        estimated: false,
        health: Arc::clone(health),
    };
    let outlet = Outlet {
        _locked: locked,
        samples: samples_out,
        notes: notes_out,
        open: VecDeque::with_capacity(notes_max),
        sound_ready: 0,
        lost_ready: 0,
        period_frames_max: 0,
        period_step_frames: 0,
        offered: 0,
        arrivals: VecDeque::with_capacity(ARRIVALS_MAX),
        last_at_ns: 0,
        channels,
        health: Arc::clone(health),
    };
    (inlet, outlet)
}

/// A queue whose memory is there already, and stays there where that is allowed: a callback takes no page faults.
pub(crate) fn touched<T: Copy>(capacity: usize, value: T) -> (Producer<T>, Consumer<T>, Option<Locked>) {
    let (mut producer, mut consumer) = RingBuffer::new(capacity);
    if let Ok(places) = producer.write_chunk_uninit(capacity) {
        places.fill_from_iter(std::iter::repeat_n(value, capacity));
    }
    let mut locked = None;
    if let Ok(filled) = consumer.read_chunk(capacity) {
        locked = Locked::queue(filled.as_slices().0);
        filled.commit_all();
    }
    (producer, consumer, locked)
}

impl Inlet {
    /// Channels of every frame.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// What this source and its readers know of each other.
    #[must_use]
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Frames that fit now.
    #[must_use]
    pub fn room_frames(&self) -> usize {
        if self.notes.is_full() { 0 } else { self.samples.slots() / self.channels }
    }

    /// Frames that fit into it when it is empty.
    #[must_use]
    pub fn capacity_frames(&self) -> usize {
        self.samples.buffer().capacity() / self.channels
    }

    /// Counts frames that the device lost before the period that is pushed next. How many an xrun cost is an estimate.
    pub fn lose(&mut self, frames: u64, cause: GapCause) {
        self.skip(frames, cause);
        self.estimated |= frames > 0 && cause == GapCause::Xrun;
    }

    /// As [`lose`](Self::lose), where the source itself counted them: its frames stay a clock across the loss.
    pub fn skip(&mut self, frames: u64, cause: GapCause) {
        if frames > 0 {
            if self.lost == 0 {
                self.cause = cause;
            }
            self.lost += frames;
        }
    }

    /// As [`lose`](Self::lose), where the source was away: what it counts from now on is no clock for what was before.
    pub fn jump(&mut self, frames: u64, cause: GapCause) {
        self.skip(frames, cause);
        self.estimated |= frames > 0;
    }

    /// As [`push_at`](Self::push_at), for a source without a clock of its own.
    pub fn push(&mut self, frames: usize, samples: impl Iterator<Item = f32>) {
        self.push_at(0, frames, samples);
    }

    /// Pushes a period, whole; without room it is counted as lost, whole. `samples` is interleaved and yields
    /// `frames * channels` values. `at_ns` is when its callback was, on `CLOCK_MONOTONIC`.
    ///
    /// # Real time
    /// Wait-free: no allocation, lock or system call.
    pub fn push_at(&mut self, at_ns: u64, frames: usize, samples: impl Iterator<Item = f32>) {
        self.health.periods.fetch_add(1, Ordering::Relaxed);
        let count = frames * self.channels;
        let Ok(notes_frames) = u32::try_from(frames) else { return self.lose(frames as u64, GapCause::Overrun) };
        if !self.notes.is_full()
            && frames > 0
            && let Ok(room) = self.samples.write_chunk_uninit(count)
        {
            let pushed = room.fill_from_iter(samples);
            debug_assert_eq!(pushed, count, "a period is whole");
            let note =
                Note { lost: self.lost, cause: self.cause, frames: notes_frames, at_ns, estimated: self.estimated };
            // There is room: this is the only writer, and it looked.
            if self.notes.push(note).is_ok() {
                (self.lost, self.estimated) = (0, false);
            }
            return;
        }
        self.health.overrun_frames.fetch_add(frames as u64, Ordering::Relaxed);
        self.lose(frames as u64, GapCause::Overrun);
    }

    /// Leaves a last note for frames lost at the very end. Call before [`Health::end`].
    pub fn flush(&mut self) {
        self.flush_at(0);
    }

    /// Leaves a note for frames that are missing, before any that are not: a source that goes on without sound. It counted
    /// them at this time, as [`push_at`](Self::push_at) says.
    ///
    /// # Real time
    /// Wait-free.
    pub fn flush_at(&mut self, at_ns: u64) {
        let note = Note { lost: self.lost, cause: self.cause, frames: 0, at_ns, estimated: self.estimated };
        if self.lost > 0 && self.notes.push(note).is_ok() {
            (self.lost, self.estimated) = (0, false);
        }
    }
}

impl Drop for Inlet {
    /// A stream that is given up leaves the account of what it lost.
    fn drop(&mut self) {
        self.flush();
    }
}

impl Outlet {
    /// Channels of every frame.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// What this source and its readers know of each other.
    #[must_use]
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Frames that fit into the queue.
    #[must_use]
    pub fn capacity_frames(&self) -> usize {
        self.samples.buffer().capacity() / self.channels
    }

    /// Looks for new notes. Wait-free; allocates nothing.
    pub fn refresh(&mut self) {
        while self.open.len() < self.open.capacity() {
            let Ok(note) = self.notes.pop() else { return };
            self.sound_ready += u64::from(note.frames);
            self.lost_ready += note.lost;
            self.period_frames_max = self.period_frames_max.max(note.frames);
            self.period_step_frames = common_divisor(self.period_step_frames, note.frames);
            self.offered += note.lost + u64::from(note.frames);
            self.open.push_back(note);
            if note.at_ns > 0 {
                self.last_at_ns = note.at_ns;
                if self.arrivals.len() == ARRIVALS_MAX {
                    self.arrivals.pop_front();
                }
                let after_glitch = note.lost > 0 && note.estimated;
                self.arrivals.push_back(Arrival { at_ns: note.at_ns, frames_total: self.offered, after_glitch });
            }
        }
    }

    /// The next callback that was not looked at, of those before the last [`refresh`](Self::refresh).
    pub fn next_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    /// Frames of the source, sound and losses, before what comes next.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.offered - self.ready()
    }

    /// Frames of sound that can be taken, as of the last [`refresh`](Self::refresh).
    #[must_use]
    pub const fn sound_ready(&self) -> u64 {
        self.sound_ready
    }

    /// Frames of sound and of losses that can be taken, as of the last [`refresh`](Self::refresh).
    #[must_use]
    pub const fn ready(&self) -> u64 {
        self.sound_ready + self.lost_ready
    }

    /// When the newest callback was, of those before the last [`refresh`](Self::refresh); `None` where nobody told.
    #[must_use]
    pub fn last_callback_ns(&self) -> Option<u64> {
        (self.last_at_ns > 0).then_some(self.last_at_ns)
    }

    /// The largest period seen.
    #[must_use]
    pub const fn period_frames_max(&self) -> u32 {
        self.period_frames_max
    }

    /// The most frames that all periods seen are multiples of: a device's period, unless it varies.
    #[must_use]
    pub const fn period_step_frames(&self) -> u32 {
        self.period_step_frames
    }

    /// Whether the source has ended and everything was taken.
    pub fn is_finished(&mut self) -> bool {
        // Pairs with the Release store in `Health::end`; the look for notes must come after it.
        let ended = self.health.ended.load(Ordering::Acquire);
        self.refresh();
        ended && self.open.is_empty()
    }

    /// Takes up to `frames_max` frames of one kind, sound as planar into `planar[channel * stride + offset ..]`.
    ///
    /// # Panics
    /// When `planar` is too short for that.
    ///
    /// # Real time
    /// Wait-free; allocates nothing.
    pub fn take(&mut self, planar: &mut [f32], stride: usize, offset: usize, frames_max: usize) -> Run {
        if let Some(note) = self.open.front_mut() {
            if note.lost > 0 {
                let lost = usize::try_from(note.lost).unwrap_or(usize::MAX).min(frames_max);
                note.lost -= lost as u64;
                self.lost_ready -= lost as u64;
                let cause = note.cause;
                self.drop_if_used_up();
                return Run::Lost(lost, cause);
            }
            let frames = frames_max.min(note.frames as usize);
            let Ok(samples) = self.samples.read_chunk(frames * self.channels) else {
                // Cannot be: the samples were pushed before their note. A loss is counted rather than a panic risked.
                let frames = note.frames as usize;
                self.sound_ready -= frames as u64;
                self.open.pop_front();
                return Run::Lost(frames.min(frames_max), GapCause::Overrun);
            };
            let (first, second) = samples.as_slices();
            deinterleave(first, second, self.channels, planar, stride, offset);
            samples.commit_all();
            self.sound_ready -= frames as u64;
            #[expect(clippy::cast_possible_truncation, reason = "not more than the note's own count")]
            {
                note.frames -= frames as u32;
            }
            self.drop_if_used_up();
            return Run::Sound(frames);
        }
        Run::Dry
    }

    /// No note without frames stays in front: what is next can be seen there.
    fn drop_if_used_up(&mut self) {
        if self.open.front().is_some_and(|note| note.lost == 0 && note.frames == 0) {
            self.open.pop_front();
        }
    }

    /// Takes frames away without anybody hearing them: what came before the ring began. Returns how many.
    pub fn discard(&mut self, mut frames: u64) -> u64 {
        let wanted = frames;
        while frames > 0 {
            let Some(note) = self.open.front_mut() else { break };
            let lost = note.lost.min(frames);
            note.lost -= lost;
            self.lost_ready -= lost;
            frames -= lost;
            let sound = frames.min(u64::from(note.frames));
            let samples = usize::try_from(sound).unwrap_or(0) * self.channels;
            if let Ok(old) = self.samples.read_chunk(samples) {
                old.commit_all();
            }
            note.frames -= u32::try_from(sound).unwrap_or(note.frames);
            self.sound_ready -= sound;
            frames -= sound;
            self.drop_if_used_up();
        }
        wanted - frames
    }

    /// Shortens the loss that comes next to `frames`: for losses whose place on the timeline is already past.
    pub fn shorten_loss(&mut self, frames: u64) {
        if let Some(note) = self.open.front_mut() {
            let cut = note.lost.saturating_sub(frames);
            note.lost -= cut;
            self.lost_ready -= cut;
        }
        self.drop_if_used_up();
    }

    /// The loss that comes next, if one does.
    #[must_use]
    pub fn next_loss(&self) -> Option<(u64, GapCause)> {
        self.open.front().filter(|note| note.lost > 0).map(|note| (note.lost, note.cause))
    }
}

fn deinterleave(first: &[f32], second: &[f32], channels: usize, planar: &mut [f32], stride: usize, offset: usize) {
    if channels == 1 {
        planar[offset..offset + first.len()].copy_from_slice(first);
        planar[offset + first.len()..offset + first.len() + second.len()].copy_from_slice(second);
        return;
    }
    // A frame may lie across the end of the queue, so the two parts are one sequence.
    let all = first.len() + second.len();
    for (channel, plane) in planar.chunks_mut(stride).take(channels).enumerate() {
        let head = first.iter().skip(channel).step_by(channels);
        let begin = (channels + channel - first.len() % channels) % channels;
        let tail = second.iter().skip(begin).step_by(channels);
        for (place, sample) in plane[offset..offset + all / channels].iter_mut().zip(head.chain(tail)) {
            *place = *sample;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn number(n: u64) -> f32 {
        n as f32
    }

    /// Takes what is there and notes for each frame its number, or that it is missing.
    fn drain(outlet: &mut Outlet, step: usize, timeline: &mut Vec<Option<u64>>) {
        let channels = outlet.channels();
        let mut planar = vec![0.0; channels * (step + 3)];
        outlet.refresh();
        loop {
            match outlet.take(&mut planar, step + 3, 2, step) {
                Run::Sound(frames) => {
                    for frame in 0..frames {
                        let first = planar[2 + frame];
                        for channel in 1..channels {
                            let expected = first + f32::from(u8::try_from(channel).unwrap()) * 0.125;
                            assert_eq!(planar[channel * (step + 3) + 2 + frame], expected);
                        }
                        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
                        timeline.push(Some(first as u64));
                    }
                }
                Run::Lost(frames, _) => timeline.extend(std::iter::repeat_n(None, frames)),
                Run::Dry => return,
            }
        }
    }

    proptest! {
        /// Delivered plus lost is what was offered, and every frame stands at its own place.
        #[test]
        fn every_frame_is_delivered_once_or_counted_at_its_place(
            channels in 1_usize..5,
            capacity in 8_usize..200,
            steps in prop::collection::vec((1_usize..90, 0_u8..4, 1_usize..50, 0_u64..30), 1..120),
        ) {
            let health = Arc::new(Health::default());
            let (mut inlet, mut outlet) = queue(channels, capacity, &health);
            let mut offered = 0_u64;
            let mut timeline = Vec::new();
            let mut full = 0_u64;
            for (frames, action, step, xrun) in steps {
                if action == 3 {
                    inlet.lose(xrun, GapCause::Xrun);
                    offered += xrun;
                }
                let start = offered;
                let samples = (0..frames).flat_map(|frame| {
                    (0..channels).map(move |c| number(start + frame as u64) + f32::from(u8::try_from(c).unwrap()) * 0.125)
                });
                inlet.push(frames, samples);
                offered += frames as u64;
                full = health.overrun_frames.load(Ordering::Relaxed);
                if action == 0 {
                    drain(&mut outlet, step, &mut timeline);
                }
            }
            drain(&mut outlet, 7, &mut timeline);
            inlet.flush();
            health.end(None);
            drain(&mut outlet, 7, &mut timeline);
            prop_assert!(outlet.is_finished());
            prop_assert_eq!(timeline.len() as u64, offered);
            for (place, frame) in timeline.iter().enumerate() {
                prop_assert!(frame.is_none_or(|number| number == place as u64), "frame {frame:?} at {place}");
            }
            let missing = timeline.iter().filter(|frame| frame.is_none()).count() as u64;
            prop_assert!(missing >= full);
        }
    }

    #[test]
    fn a_full_queue_loses_whole_periods_and_says_where() {
        let health = Arc::new(Health::default());
        let (mut inlet, mut outlet) = queue(1, 100, &health);
        for period in 0..5 {
            inlet.push(30, (0..30).map(|n| number(period * 30 + n)));
        }
        assert_eq!(health.overrun_frames.load(Ordering::Relaxed), 60);
        let mut timeline = Vec::new();
        drain(&mut outlet, 50, &mut timeline);
        assert_eq!(timeline.len(), 90);
        inlet.push(30, (0..30).map(|n| number(150 + n)));
        drain(&mut outlet, 50, &mut timeline);
        assert_eq!(timeline[89], Some(89));
        assert_eq!(timeline[90..150], [None; 60]);
        assert_eq!(timeline[150], Some(150));
    }

    #[test]
    fn too_many_small_periods_are_counted_too() {
        let health = Arc::new(Health::default());
        let (mut inlet, _outlet) = queue(1, 1_024, &health);
        for _ in 0..100 {
            inlet.push(1, std::iter::once(0.0));
        }
        assert_eq!(health.overrun_frames.load(Ordering::Relaxed), 36);
    }

    #[test]
    fn discarding_and_shortening_keep_the_counts() {
        let health = Arc::new(Health::default());
        let (mut inlet, mut outlet) = queue(2, 100, &health);
        inlet.push(10, (0..20).map(|_| 0.0));
        inlet.lose(40, GapCause::Overrun);
        inlet.push(10, (0..20).map(|_| 1.0));
        outlet.refresh();
        assert_eq!((outlet.sound_ready(), outlet.ready()), (20, 60));
        assert_eq!(outlet.discard(15), 15);
        assert_eq!(outlet.next_loss(), Some((35, GapCause::Overrun)));
        outlet.shorten_loss(1);
        assert_eq!((outlet.sound_ready(), outlet.ready()), (10, 11));
        assert_eq!(outlet.taken(), 49);
        assert_eq!(outlet.discard(99), 11);
        assert_eq!((outlet.ready(), outlet.taken()), (0, 60));
    }

    #[test]
    fn arrivals_tell_when_a_callback_was_and_how_much_the_source_had_counted() {
        let (mut inlet, mut outlet) = queue(1, 100, &Arc::default());
        inlet.push_at(7, 10, std::iter::repeat_n(0.0, 10));
        inlet.push(5, std::iter::repeat_n(0.0, 5));
        inlet.lose(20, GapCause::Xrun);
        inlet.push_at(9, 10, std::iter::repeat_n(0.0, 10));
        outlet.refresh();
        let arrivals: Vec<_> = std::iter::from_fn(|| outlet.next_arrival()).collect();
        let arrival = |at_ns, frames_total, after_glitch| Arrival { at_ns, frames_total, after_glitch };
        assert_eq!(arrivals, [arrival(7, 10, false), arrival(9, 45, true)]);
    }
}

//! The audio threads allocate and free nothing: not in the callback, not in the tick, not when something is wrong.

#![expect(unsafe_code, reason = "a counting allocator, and samples by raw pointer as a device gives them")]

use audio_dsp::{GLIDE_SECONDS, Quality, Strip};
use audio_engine::capture::{Capture, on_error};
use audio_engine::clock::Clock;
use audio_engine::desk::{Desk, Setting};
use audio_engine::feed::Feed;
use audio_engine::gauge::Gauge;
use audio_engine::insert::insert;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::output::{Pilot, Play, Playback, playback};
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Change, Done, Tick};
use audio_engine::track::Track;
use control_protocol::{Gain, GapCause, Master, Pan, Processing, StreamName, Strip as Wished};
use cpal::{Data, InputCallbackInfo, InputStreamTimestamp, SampleFormat, StreamInstant};
use shm_layout::board::{Board, Meters, Reading};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingState, RingWriter, SessionId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more; it is no audio thread.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: everything is the system allocator's own work; counting touches a plain cell of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and frees of this thread during `work`.
fn calls_in(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;

fn ring(dir: &Path, stream: &str, channels: u32) -> RingWriter {
    made(dir, stream, 1, channels, (FrameIndex(0), 1_000_000))
}

/// One of a guest's, which does not stay long.
fn ring_from(dir: &Path, stream: &str, epoch: u64, first_frame: FrameIndex) -> RingWriter {
    made(dir, stream, epoch, 1, (first_frame, 48_000))
}

fn made(
    dir: &Path,
    stream: &str,
    epoch: u64,
    channels: u32,
    (first_frame, capacity_frames): (FrameIndex, u64),
) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(epoch),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels,
        capacity_frames,
        first_frame,
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

fn strip() -> Strip {
    Strip::new(RATE_HZ, 2, 2, GLIDE_SECONDS)
}

/// What a strip may be set to.
fn settings() -> Vec<Setting> {
    let name = StreamName::new("mic").unwrap();
    let wished = [(0.5, 0.3, false), (2.0, -1.0, false), (1.0, 0.0, true), (1.0, 0.0, false)];
    let setting = |(gain, pan, mute)| {
        let mut desk = Desk::default();
        let (gain, pan) = (Gain::of_factor(gain).unwrap(), Pan::new(pan).unwrap());
        desk.set(name.clone(), Wished { gain, pan, mute, solo: false });
        desk.settings(&[&name])[0]
    };
    wished.map(setting).to_vec()
}

/// The newest readings of the two streams.
fn readings(board: &Board) -> [Reading; 2] {
    let meters = board.meters();
    assert_eq!([meters[0].stream(), meters[1].stream()], ["mic", "mix"]);
    [0, 1].map(|place| meters[place].newest().unwrap())
}

/// Gives the callback one period of 16-bit stereo, as a device does.
fn period(capture: &mut Capture, samples: &mut [i16], at: u64, rate_hz: u32) {
    let instant = StreamInstant::from_nanos(at * 1_000_000_000 / u64::from(rate_hz));
    // Captured before it was delivered, as far as the device knows: a part of the latency.
    let delivered = instant.checked_add(std::time::Duration::from_millis(11)).unwrap();
    let info = InputCallbackInfo::new(InputStreamTimestamp { callback: delivered, capture: instant });
    // SAFETY: `samples` holds this many initialised 16-bit values, borrowed for the whole call.
    let data = unsafe { Data::from_parts(samples.as_mut_ptr().cast(), samples.len(), SampleFormat::I16) };
    capture.on_period(&data, &info);
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls_in(|| drop(std::hint::black_box(Box::new(1)))), 2);
}

#[test]
fn callback_and_tick_allocate_nothing_whatever_happens() {
    // The second run converts: the device has another rate than the engine.
    for device_hz in [RATE_HZ, 44_100] {
        let dir = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let (inlet, outlet) = queue(2, 24_000, &health);
        let feed = Feed::new(outlet, device_hz, RATE_HZ, BLOCK).unwrap();
        let lane = Lane::new(feed, true, BLOCK, 0);
        let rings = (ring(dir.path(), "mic", 2), ring(dir.path(), "mix", 2));
        let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
        let board = Board::create(dir.path()).unwrap();
        let meters = Meters::claim(dir.path()).unwrap();
        let gauge = |stream: &str| Gauge::new(meters.take(stream), 2, RATE_HZ);
        let track = Track::new(lane, rings.0, gauge("mic"), strip(), false);
        let mix = Mix::new(rings.1, gauge("mix"), BLOCK, Master::default());
        let (mut tick, mut control) = Tick::new(vec![track], mix, BLOCK, RATE_HZ);
        let mut capture = Capture::new(inlet, device_hz);
        let mut samples = vec![1_000_i16; 2 * BLOCK];
        let mut at = 0;
        let frames = BLOCK as u64;

        // Steady, with a few blocks of priming before: gaps that are told.
        let steady = calls_in(|| {
            for _ in 0..500 {
                period(&mut capture, &mut samples, at, device_hz);
                at += frames;
                if !(device_hz < RATE_HZ && at % (frames * 10) == 0) {
                    tick.run(false);
                }
            }
        });
        // Xruns, and counts that begin anew.
        assert!(["mic", "mix"].into_iter().all(|stream| board.reset_meter(stream)));
        let xruns = calls_in(|| {
            for round in 0..100 {
                if round % 5 == 0 {
                    on_error(&health, &cpal::ErrorKind::Xrun.into());
                    at += frames;
                }
                period(&mut capture, &mut samples, at, device_hz);
                at += frames;
                tick.run(false);
            }
        });
        // The queue runs full, then dry.
        let full = calls_in(|| {
            for _ in 0..200 {
                period(&mut capture, &mut samples, at, device_hz);
                at += frames;
            }
        });
        let overrun_frames = health.overrun_frames.load(Ordering::Relaxed);
        let dry = calls_in(|| {
            for _ in 0..30 {
                tick.run(false);
            }
            for _ in 0..10 {
                period(&mut capture, &mut samples, at, device_hz);
                at += frames;
                tick.run(false);
            }
            for _ in 0..150 {
                tick.run(false);
            }
        });
        // Another queue for a device that was opened again.
        let (inlet, outlet) = queue(2, 24_000, &health);
        control.changes.push(Change::Succeed(0, outlet)).unwrap();
        let mut capture = Capture::new(inlet, device_hz);
        let reopened = calls_in(|| {
            for _ in 0..10 {
                period(&mut capture, &mut samples, at, device_hz);
                at += frames;
                tick.run(false);
            }
        });
        // Faders, pan, mute and ceiling, each while the last change still glides.
        let settings = settings();
        let mixed = calls_in(|| {
            for (round, &setting) in (0..100).zip(settings.iter().cycle()) {
                control.changes.push(Change::Set(0, setting)).unwrap();
                let gain = if round % 2 == 0 { Gain::SILENCE } else { Gain::UNITY };
                control.changes.push(Change::SetMaster(Master { gain, ceiling: Gain::UNITY })).unwrap();
                period(&mut capture, &mut samples, at, device_hz);
                at += frames;
                tick.run(false);
            }
        });
        // The end: the rings leave whole.
        let end = calls_in(|| {
            while !tick.is_done() {
                tick.run(true);
            }
        });

        assert!(capture.thread().is_known());
        assert_eq!([steady, xruns, full, dry, reopened, mixed, end], [0; 7], "at {device_hz} Hz");
        // The cases did occur.
        let [of_mic, of_mix] = readings(&board);
        assert!(of_mic.loudest.peak > 0.03 && of_mic.loudness.is_none(), "{of_mic:?}");
        let loudness = of_mix.loudness.unwrap();
        assert!(loudness.integrated > -60.0 && loudness.true_peak_max > 0.03, "{loudness:?}");
        assert!(of_mix.since > FrameIndex(0), "the counts were begun anew");
        let gaps = reader.gaps(reader.oldest(), reader.commit());
        let causes: Vec<u32> = gaps.iter().map(|gap| gap.cause).collect();
        for cause in [GapCause::Underrun, GapCause::Overrun, GapCause::Xrun] {
            assert!(causes.contains(&(cause as u32)), "{cause:?} is not among {gaps:?}");
        }
        assert!(overrun_frames > 0);
        assert!(control.notes.slots() > 10);
        assert_eq!(control.done.slots(), 2);
        assert_eq!(control.retired.slots(), 1);
        while let Ok(done) = control.done.pop() {
            match done {
                Done::Track(_, track) => track.close(),
                Done::Mix(mix) => mix.close(),
            }
        }
    }
}

/// Gives the callback of an output one period to fill, as a device does.
fn play_period(callback: &mut Playback, samples: &mut [i16]) {
    // SAFETY: `samples` holds this many initialised 16-bit values, borrowed for the whole call.
    let mut data = unsafe { Data::from_parts(samples.as_mut_ptr().cast(), samples.len(), SampleFormat::I16) };
    callback.on_period(&mut data);
}

#[test]
fn the_callback_of_an_output_allocates_nothing_whatever_happens() {
    let play = Arc::new(Play::default());
    let (mut queue, mut asked, mut callback) = playback(2, 4 * BLOCK, &play);
    play.playing.store(true, Ordering::Relaxed);
    let mut samples = vec![7_i16; 2 * BLOCK];
    // Full, then half a period, then dry for so long that nobody takes what is told; then given up.
    let calls = calls_in(|| {
        for round in 0..400 {
            if round % 3 == 0 {
                while queue.push(0.5).is_ok() {}
            }
            play_period(&mut callback, &mut samples);
            while round % 2 == 0 && asked.pop().is_ok() {}
        }
        (0..BLOCK).for_each(|_| {
            let _ = queue.push(0.5);
        });
        (0..1_000).for_each(|_| play_period(&mut callback, &mut samples));
        play.stop.store(true, Ordering::Relaxed);
        play_period(&mut callback, &mut samples);
    });
    assert_eq!(calls, 0);
    assert!(play.thread.is_known());
    assert!(play.underrun_frames.load(Ordering::Relaxed) > 400_000 && samples.iter().all(|&sample| sample == 0));
    assert_eq!(play.periods.load(Ordering::Relaxed), 1_401);
}

#[test]
fn clocks_are_learnt_and_frames_resampled_without_allocating() {
    const BEGIN_NS: u64 = 1_000_000_000_000;
    const BLOCK_NS: u64 = 10_000_000;
    for leads in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let made = || queue(2, 24_000, &health);
        let (mut inlet, outlet) = made();
        let mut lane = Lane::retimed(outlet, (44_100, RATE_HZ), BLOCK, 480, Quality::default()).unwrap();
        if leads {
            lane.lead().unwrap();
        }
        let gauge = || Gauge::new(None, 2, RATE_HZ);
        let track = Track::new(lane, ring(dir.path(), "mic", 2), gauge(), strip(), true);
        let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
        let mix = Mix::new(ring(dir.path(), "mix", 2), gauge(), BLOCK, Master::default());
        let (mut tick, mut control) = Tick::new(vec![track], mix, BLOCK, RATE_HZ);
        tick.keep_time(Clock { first_frame: FrameIndex(0), first_frame_ns: BEGIN_NS, sample_rate_hz: RATE_HZ });
        // 100 ppm too fast: a period of 10 ms comes a microsecond early.
        let (mut at_ns, mut periods) = (BEGIN_NS, 0_u64);
        let mut callback = |inlet: &mut Inlet, health: &Health| {
            periods += 1;
            at_ns += BLOCK_NS - 1_000;
            if periods % 500 == 0 {
                inlet.lose(441, GapCause::Xrun);
                health.xruns.fetch_add(1, Ordering::Relaxed);
                at_ns += BLOCK_NS;
            }
            inlet.push_at(at_ns, 441, std::iter::repeat_n(0.25, 882));
            at_ns
        };
        let calls = calls_in(|| {
            let mut now_ns = BEGIN_NS;
            for round in 0..4_000_u32 {
                // It is away for a while, then it is delivered faster than it is taken.
                if !(1_000..1_100).contains(&round) {
                    now_ns = callback(&mut inlet, &health);
                }
                (0..if (2_000..2_200).contains(&round) { 3 } else { 0 }).for_each(|_| {
                    callback(&mut inlet, &health);
                });
                if tick.due().is_some_and(|due| due.at_ns <= now_ns + 100 * BLOCK_NS) {
                    tick.run(false);
                }
            }
        });
        let (mut inlet, outlet) = made();
        control.changes.push(Change::Succeed(0, outlet)).unwrap();
        let end = calls_in(|| {
            for _ in 0..20 {
                callback(&mut inlet, &health);
                tick.run(false);
            }
            while !tick.is_done() {
                tick.run(true);
            }
        });
        assert_eq!([calls, end], [0; 2], "leads: {leads}");
        // The cases did occur.
        let causes: Vec<u32> = reader.gaps(reader.oldest(), reader.commit()).iter().map(|gap| gap.cause).collect();
        for cause in [GapCause::Underrun, GapCause::Overrun, GapCause::Xrun] {
            assert!(causes.contains(&(cause as u32)), "{cause:?} is not among {causes:?}");
        }
        assert!(tick.due().is_some_and(|due| leads == (due.ppm.abs() > 1.0)));
        while let Ok(done) = control.done.pop() {
            match done {
                Done::Track(_, track) => track.close(),
                Done::Mix(mix) => mix.close(),
            }
        }
    }
}

/// A source of one channel that counts, in steps that floats have exactly.
struct Counter {
    inlet: Inlet,
    health: Arc<Health>,
    next: u32,
}

const STEP: f32 = 1.0 / 1_048_576.0;

fn counter(live: bool) -> (Counter, Lane) {
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(1, 24_000, &health);
    let feed = Feed::new(outlet, RATE_HZ, RATE_HZ, BLOCK).unwrap();
    (Counter { inlet, health, next: 1 }, Lane::new(feed, live, BLOCK, 0))
}

impl Counter {
    fn block(&mut self) {
        let numbers = self.next..self.next + u32::try_from(BLOCK).unwrap();
        self.next = numbers.end;
        self.inlet.push(BLOCK, numbers.map(|number| number as f32 * STEP));
    }
}

/// All of a ring that is still whole: its frames from the first one on.
fn contents(ring: &RingReader) -> Vec<f32> {
    let first = ring.info().first_frame;
    let frames = usize::try_from(ring.commit().since(first)).unwrap();
    let mut planar = vec![0.0; frames];
    ring.read(first, &mut planar, frames).unwrap();
    planar
}

fn counts_from(samples: &[f32], first: u32) -> bool {
    samples.iter().zip(first..).all(|(sample, number)| sample.to_bits() == (number as f32 * STEP).to_bits())
}

#[test]
fn tracks_come_and_go_and_nobody_else_notices() {
    const ROUNDS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let board = Board::create(dir.path()).unwrap();
    let meters = Meters::claim(dir.path()).unwrap();
    let gauge = |stream: &str| Gauge::new(meters.take(stream), 1, RATE_HZ);
    let (mut own, lane) = counter(true);
    let track = Track::new(lane, ring(dir.path(), "own", 1), gauge("own"), strip(), false);
    let mix = Mix::new(ring(dir.path(), "mix", 1), gauge("mix"), BLOCK, Master::default());
    let (mut tick, mut control) = Tick::new(vec![track], mix, BLOCK, RATE_HZ);
    let readers = ["own", "mix"].map(|stream| RingReader::attach_stream(dir.path(), stream).unwrap());
    own.block(); // once more than it is taken, for a steady flow
    let mut calls = 0;
    let mut expected_mix = Vec::new();
    for round in 0..ROUNDS {
        // Of three, one comes early, one in time, one 5 to 12 blocks too late; one of two is a device.
        let (live, place) = (round % 2 == 0, 1 + usize::try_from(round % 7).unwrap());
        let (early, late) = match round % 3 {
            0 => (3, 0),
            1 => (0, 0),
            _ => (0, 5 + round % 8),
        };
        let first = tick.next_frame().plus(early * BLOCK as u64);
        let (mut guest, lane) = counter(live);
        let ring = ring_from(dir.path(), "guest", round + 1, first);
        let reader = RingReader::attach_epoch(dir.path(), "guest", ring.info().epoch).unwrap();
        let mut step = |guest: Option<&mut Counter>| {
            own.block();
            if let Some(guest) = guest {
                guest.block();
            }
            calls += calls_in(|| tick.run(false));
        };
        (0..late).for_each(|_| step(None));
        let track = Track::new(lane, ring, gauge("guest"), strip(), false);
        control.changes.push(Change::Enter(place, track)).unwrap();
        assert!(board.meters().iter().any(|meter| meter.stream() == "guest"));
        // It has more than it needs, and none of it is trimmed.
        (0..3).for_each(|_| guest.block());
        let (begins, blocks) = (early + late.div_ceil(3), 20);
        (0..blocks).for_each(|_| step(Some(&mut guest)));
        guest.health.stop.store(true, Ordering::Relaxed);
        control.changes.push(Change::Leave(place)).unwrap();
        let mut turns = 0;
        let gone = loop {
            step(None);
            turns += 1;
            if let Ok(done) = control.done.pop() {
                break done;
            }
            assert!(turns < 20, "it does not leave");
        };
        let Done::Track(left, track) = gone else { panic!("the mix has ended") };
        assert_eq!(left, place);
        let end = track.next_frame();
        track.close();
        assert_eq!(reader.state(), RingState::Closed);
        assert!(!board.meters().iter().any(|meter| meter.stream() == "guest"), "its meter is free");

        let samples = contents(&reader);
        let gaps = reader.gaps(first, end);
        let silent = gaps.iter().map(|gap| usize::try_from(gap.to.since(gap.from)).unwrap()).sum::<usize>();
        if late == 0 {
            assert_eq!(gaps, [], "round {round}");
        } else {
            assert!(gaps.len() == 1 && gaps[0].from == first && silent >= usize::try_from(late).unwrap() * BLOCK);
            assert!(silent <= usize::try_from(late + begins).unwrap() * BLOCK, "{silent}");
        }
        assert!(counts_from(&samples[silent..], 1) && samples[..silent].iter().all(|sample| *sample == 0.0));
        // A device's frames are all there; a file's that were not due are not.
        let heard = samples.len() - silent;
        if live {
            assert_eq!(heard, usize::try_from(guest.next - 1).unwrap(), "round {round}");
        } else {
            assert_eq!(heard % BLOCK, 0);
        }
        let begun = usize::try_from(first.0).unwrap() + silent;
        expected_mix.resize(begun.max(expected_mix.len()), 0.0);
        expected_mix.extend_from_slice(&samples[silent..]);
        while control.retired.pop().is_ok() {}
    }
    own.health.end(None);
    calls += calls_in(|| {
        while !tick.is_done() {
            tick.run(true);
        }
    });
    assert_eq!(calls, 0, "the tick has allocated or freed");
    // The others: every sample, no gap but of the priming in the beginning, and their sum.
    let [own_reader, mix_reader] = readers;
    let (own_samples, mix_samples) = (contents(&own_reader), contents(&mix_reader));
    assert!(own_samples.len() > 1_000 * BLOCK, "{}", own_samples.len());
    assert_eq!(own_reader.gaps(FrameIndex(0), own_reader.commit()), []);
    assert!(counts_from(&own_samples, 1));
    assert_eq!(mix_samples.len(), own_samples.len());
    expected_mix.resize(own_samples.len(), 0.0);
    for (at, ((mix, own), guest)) in mix_samples.iter().zip(&own_samples).zip(&expected_mix).enumerate() {
        assert_eq!(mix.to_bits(), (own + guest).to_bits(), "at {at}");
    }
}

#[test]
fn the_last_one_removed_leaves_silence_and_the_last_one_ended_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let gauge = || Gauge::new(None, 1, RATE_HZ);
    let (mut first, lane) = counter(false);
    let track = Track::new(lane, ring(dir.path(), "first", 1), gauge(), strip(), false);
    let mix = Mix::new(ring(dir.path(), "mix", 1), gauge(), BLOCK, Master::default());
    let (mut tick, mut control) = Tick::new(vec![track], mix, BLOCK, RATE_HZ);
    (0..3).for_each(|_| first.block());
    tick.run(false);
    control.changes.push(Change::Leave(0)).unwrap();
    (0..5).for_each(|_| tick.run(false));
    assert!(!tick.is_done());
    assert_eq!(tick.next_frame(), FrameIndex(6 * BLOCK as u64), "silence comes in whole blocks");
    assert!(matches!(control.done.pop(), Ok(Done::Track(0, track)) if track.next_frame().0 == BLOCK as u64));
    // Another one comes into the same place, and ends by itself in the middle of a block.
    let (mut second, lane) = counter(false);
    let ring = ring_from(dir.path(), "second", 1, tick.next_frame());
    control.changes.push(Change::Enter(0, Track::new(lane, ring, gauge(), strip(), false))).unwrap();
    second.block();
    second.inlet.push(100, std::iter::repeat_n(0.5, 100));
    second.health.end(None);
    (0..3).for_each(|_| tick.run(false));
    assert!(tick.is_done());
    assert_eq!(tick.next_frame(), FrameIndex(7 * BLOCK as u64 + 100));
    assert!(matches!(control.done.pop(), Ok(Done::Track(0, _))) && matches!(control.done.pop(), Ok(Done::Mix(_))));
    // Who comes now is turned away whole.
    let (_, lane) = counter(false);
    let ring = ring_from(dir.path(), "third", 1, tick.next_frame());
    control.changes.push(Change::Enter(3, Track::new(lane, ring, gauge(), strip(), false))).unwrap();
    assert_eq!(tick.turned_away().map(Track::close).count(), 1);
    assert_eq!(RingReader::attach_stream(dir.path(), "third").unwrap().state(), RingState::Closed);
}

#[test]
fn a_tick_that_is_led_by_an_output_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let gauge = || Gauge::new(None, 1, RATE_HZ);
    let (mut source, lane) = counter(true);
    let track = Track::new(lane, ring(dir.path(), "own", 1), gauge(), strip(), false);
    let mix = Mix::new(ring(dir.path(), "mix", 1), gauge(), BLOCK, Master::default());
    let (mut tick, _control) = Tick::new(vec![track], mix, BLOCK, RATE_HZ);
    let pilot = Arc::new(Pilot::default());
    tick.follow(Arc::clone(&pilot));
    tick.keep_time(Clock { first_frame: FrameIndex(0), first_frame_ns: 1_000_000_000, sample_rate_hz: RATE_HZ });
    let mut fastest_ppm = 0.0_f64;
    // It leads, falls silent, and is released.
    let calls = calls_in(|| {
        for round in 0..600 {
            let due = tick.due().unwrap();
            match round {
                100..300 => pilot.wish(500.0, due.at_ns + 50_000_000),
                450 => pilot.release(),
                _ => {}
            }
            source.block();
            tick.run(false);
            fastest_ppm = fastest_ppm.max(due.ppm);
        }
    });
    assert_eq!(calls, 0);
    assert!(fastest_ppm > 400.0 && tick.due().unwrap().ppm < fastest_ppm - 50.0, "{fastest_ppm}");
}

/// Everything on, or some of it.
fn processing(round: u32) -> Processing {
    Processing {
        high_pass: Processing::read_high_pass("80Hz").ok().filter(|_| round.is_multiple_of(2)),
        gate: Processing::read_gate("-50dB").ok(),
        equaliser: "-3,0,+2".parse().ok().filter(|_| round.is_multiple_of(3)),
        compressor: "-20dB:4".parse().ok(),
    }
}

#[test]
fn streams_are_processed_without_allocating_in_time_or_late() {
    let dir = tempfile::tempdir().unwrap();
    let gauge = || Gauge::new(None, 1, RATE_HZ);
    let (mut dry, dry_lane) = counter(true);
    let (mut wet, wet_lane) = counter(false);
    let tracks = vec![
        Track::new(dry_lane, ring(dir.path(), "dry", 1), gauge(), strip(), false),
        Track::new(wet_lane, ring(dir.path(), "wet", 1), gauge(), strip(), false),
    ];
    let mix = Mix::new(ring(dir.path(), "mix", 1), gauge(), BLOCK, Master::default());
    let (mut tick, mut control) = Tick::new(tracks, mix, BLOCK, RATE_HZ);
    let pair = || insert(RATE_HZ, 1, BLOCK, &Processing::default(), std::thread::current());
    let (way, mut unit) = pair();
    control.changes.push(Change::Insert(1, way)).unwrap();
    dry.block();
    wet.block();
    let (mut ticks, mut turns) = (0, 0);
    let mut block = |control: &mut audio_engine::tick::Control, set: Option<Processing>, in_time: bool| {
        set.into_iter().for_each(|set| control.changes.push(Change::Process(1, set)).unwrap());
        dry.block();
        wet.block();
        ticks += calls_in(|| tick.run(false));
        if in_time {
            turns += calls_in(|| unit.turn());
        }
    };
    // Set while the last change glides, then off.
    for round in 0..30 {
        block(&mut control, Some(processing(round)), true);
    }
    (0..20).for_each(|_| block(&mut control, None, true));
    block(&mut control, Some(Processing::default()), true);
    (0..20).for_each(|_| block(&mut control, None, true));
    // On again, late, and stuck.
    block(&mut control, Some(processing(0)), true);
    for round in 0..100 {
        block(&mut control, None, round % 7 == 0 || round > 60);
    }
    (0..40).for_each(|_| block(&mut control, None, false));
    (0..10).for_each(|_| block(&mut control, None, true));
    // One insert too many goes back, and so does one for nobody.
    for place in [1, 5] {
        control.changes.push(Change::Insert(place, pair().0)).unwrap();
        block(&mut control, None, true);
    }
    assert_eq!(control.retired.slots(), 2);
    control.changes.push(Change::Leave(1)).unwrap();
    (0..60).for_each(|_| block(&mut control, None, true));
    assert!(matches!(control.done.pop(), Ok(Done::Track(1, _))));
    assert_eq!([ticks, turns], [0; 2], "the tick, or a chain, has allocated or freed");
    let silent: u64 = std::iter::from_fn(|| control.notes.pop().ok()).map(|note| note.frames()).sum();
    assert!(silent >= 39 * BLOCK as u64, "{silent} frames: it was not stuck");
}

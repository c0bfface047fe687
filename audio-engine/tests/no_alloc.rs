//! The audio threads allocate and free nothing: not in the callback, not in the tick, not when something is wrong.

#![expect(unsafe_code, reason = "a counting allocator, and samples by raw pointer as a device gives them")]

use audio_engine::capture::{Capture, on_error};
use audio_engine::feed::Feed;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::queue::{Health, queue};
use audio_engine::tick::{Change, Done, Tick};
use audio_engine::track::Track;
use audio_engine::vitals::Gauge;
use cpal::{Data, InputCallbackInfo, InputStreamTimestamp, SampleFormat, StreamInstant};
use shm_layout::board::{Board, Meters};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingWriter, SessionId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
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

fn ring(dir: &std::path::Path, stream: &str, channels: u32) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels,
        capacity_frames: 480_000,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

/// Gives the callback one period of 16-bit stereo, as a device does.
fn period(capture: &mut Capture, samples: &mut [i16], at: u64, rate_hz: u32) {
    let instant = StreamInstant::from_nanos(at * 1_000_000_000 / u64::from(rate_hz));
    let info = InputCallbackInfo::new(InputStreamTimestamp { callback: instant, capture: instant });
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
        let track = Track::new(lane, rings.0, gauge("mic"), false);
        let mix = Mix::new(rings.1, gauge("mix"), BLOCK);
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
        // Xruns.
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
        // The end: the rings leave whole.
        let end = calls_in(|| {
            while !tick.is_done() {
                tick.run(true);
            }
        });

        assert_eq!([steady, xruns, full, dry, reopened, end], [0; 6], "at {device_hz} Hz");
        // The cases did occur.
        let levels = board.levels();
        assert!(levels.iter().all(|level| level.at_ns > 0) && levels[0].peak > 0.03, "{levels:?}");
        let gaps = reader.gaps(reader.oldest(), reader.commit());
        let causes: Vec<u32> = gaps.iter().map(|gap| gap.cause).collect();
        for cause in [
            control_protocol::GapCause::Underrun,
            control_protocol::GapCause::Overrun,
            control_protocol::GapCause::Xrun,
        ] {
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

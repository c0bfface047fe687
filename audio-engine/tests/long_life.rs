//! An hour of a host that never rests, at many times real time: memory is flat, every frame is counted, and nothing happens
//! when frame indices outgrow 32 bits.
//!
//! The whole way but the threads: queues, lanes, tick, rings. A device leads that glitches now and then, one with a clock of its
//! own is resampled. Six minutes by default; `TYMPAN_LONG=1` is an hour.

use audio_dsp::{COUNT_MODULUS, GLIDE_SECONDS, Quality, Strip, decode_count};
use audio_engine::clock::Clock;
use audio_engine::gauge::Gauge;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::note::Note;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Control, Tick};
use audio_engine::track::Track;
use control_protocol::{GapCause, Master};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::sync::Arc;

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const CUSHION: u64 = 480;
const BEGIN_NS: u64 = 1_000_000_000_000;
/// The rings begin half a minute before their indices need a 33rd bit.
const FIRST: u64 = (1 << 32) - 30 * RATE_HZ as u64;
/// Numbers of frames fit exactly into a sample up to here, and begin anew.
const NUMBERS: u64 = COUNT_MODULUS as u64;
/// A glitch comes after so many periods, and takes so many frames.
const GLITCH_EVERY: u64 = 1_733;
const GLITCH_FRAMES: u64 = 777;
/// By how much anonymous memory may grow from the first minute to the end, in kB.
const GROWTH_KB_MAX: u64 = 512;

fn seconds() -> u64 {
    if std::env::var_os("TYMPAN_LONG").is_some_and(|long| long == "1") { 3_600 } else { 360 }
}

fn number(n: u64) -> f32 {
    (n % NUMBERS) as f32 / NUMBERS as f32
}

/// A device that numbers its frames.
struct Device {
    inlet: Inlet,
    rate_hz: f64,
    period: u64,
    frames: u64,
    periods: u64,
    lost: u64,
    glitches: bool,
}

impl Device {
    fn run(&mut self, until_s: f64) {
        loop {
            let end_s = BEGIN_NS as f64 * 1e-9 - 0.2 + (self.frames + self.period) as f64 / self.rate_hz;
            if end_s > until_s {
                return;
            }
            if self.glitches && self.periods % GLITCH_EVERY == GLITCH_EVERY - 1 {
                self.inlet.lose(GLITCH_FRAMES, GapCause::Xrun);
                self.lost += GLITCH_FRAMES;
                self.frames += GLITCH_FRAMES;
                self.periods += 1;
                continue;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a simulation")]
            let at_ns = (end_s * 1e9) as u64;
            let period = usize::try_from(self.period).unwrap();
            self.inlet.push_at(at_ns, period, (self.frames..self.frames + self.period).map(number));
            self.frames += self.period;
            self.periods += 1;
        }
    }
}

fn ring(dir: &Path, stream: &str) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels: 1,
        capacity_frames: 10 * u64::from(RATE_HZ),
        first_frame: FrameIndex(FIRST),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

fn track(dir: &Path, stream: &str, (rate_hz, period): (f64, u64), leads: bool) -> (Track, Device) {
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(1, 96_000, &health);
    let mut lane = Lane::retimed(outlet, (RATE_HZ, RATE_HZ), BLOCK, CUSHION, Quality::Normal).unwrap();
    if leads {
        lane.lead().unwrap();
    }
    let mut device = Device { inlet, rate_hz, period, frames: 0, periods: 0, lost: 0, glitches: leads };
    device.run(BEGIN_NS as f64 * 1e-9);
    assert!(lane.is_primed());
    lane.trim();
    let strip = Strip::new(RATE_HZ, 1, 1, GLIDE_SECONDS);
    (Track::new(lane, ring(dir, stream), Gauge::new(None, 1, RATE_HZ), strip, false), device)
}

/// What a reader of a ring has seen.
struct Seen {
    reader: RingReader,
    position: FrameIndex,
    /// The number that comes next.
    next: Option<u64>,
    numbered: u64,
    missing: u64,
}

impl Seen {
    fn of(dir: &Path, stream: &str) -> Self {
        let reader = RingReader::attach_stream(dir, stream).unwrap();
        Self { reader, position: FrameIndex(FIRST), next: None, numbered: 0, missing: 0 }
    }

    /// All frames since the last look: of a stream that passes bit by bit each is the next one, or in a gap.
    fn look(&mut self, is_exact: bool) {
        let end = self.reader.commit();
        let frames = usize::try_from(end.since(self.position)).unwrap();
        let mut samples = vec![0.0; frames];
        self.reader.read(self.position, &mut samples, frames).unwrap();
        let gaps = self.reader.gaps(self.position, end);
        let mut at = self.position;
        for sample in samples {
            if gaps.iter().any(|gap| (gap.from..gap.to).contains(&at)) {
                self.missing += 1;
                self.next = self.next.map(|next| next + 1);
            } else {
                if is_exact {
                    let found = u64::from(decode_count(sample).unwrap());
                    let next = *self.next.get_or_insert(found);
                    assert_eq!(found, next % NUMBERS, "at {at:?}");
                    self.next = Some(next + 1);
                }
                self.numbered += 1;
            }
            at = at.plus(1);
        }
        self.position = end;
    }
}

fn anonymous_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Frames that were told as missing.
fn told(control: &mut Control, place: usize) -> u64 {
    let mut frames = 0;
    while let Ok(note) = control.notes.pop() {
        if let Note::Gap { place: of, from, to, .. } = note
            && of == place
        {
            frames += to.since(from);
        }
    }
    frames
}

#[test]
fn an_hour_leaves_memory_flat_and_every_frame_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (leader, mut first) = track(dir.path(), "first", (48_000.0 * (1.0 + 40e-6), 480), true);
    let (other, mut second) = track(dir.path(), "second", (48_000.0 * (1.0 - 90e-6), 441), false);
    let mut seen = [Seen::of(dir.path(), "first"), Seen::of(dir.path(), "second")];
    let mix = Mix::new(ring(dir.path(), "mix"), Gauge::new(None, 1, RATE_HZ), BLOCK, Master::default());
    let (mut tick, mut control) = Tick::new(vec![leader, other], mix, BLOCK, RATE_HZ);
    tick.keep_time(Clock { first_frame: FrameIndex(FIRST), first_frame_ns: BEGIN_NS, sample_rate_hz: RATE_HZ });
    let (mut told_frames, mut memory_kb) = (0, 0);
    for second_n in 0..seconds() {
        for _ in 0..100 {
            let due_s = tick.due().unwrap().at_s();
            first.run(due_s);
            second.run(due_s);
            tick.run(false);
        }
        told_frames += told(&mut control, 0);
        seen[0].look(true);
        seen[1].look(false);
        if second_n == 60 {
            memory_kb = anonymous_kb();
        }
    }
    let [first_seen, second_seen] = &seen;
    assert!(first_seen.position.0 > 1 << 32, "the indices have outgrown 32 bits");
    assert!(first.lost > 0 && first_seen.missing > 0);
    // Of the last glitch some may still be on the way.
    assert!(
        first.lost.abs_diff(first_seen.missing) <= GLITCH_FRAMES,
        "{} lost, {} missing",
        first.lost,
        first_seen.missing
    );
    assert!(
        first_seen.missing.abs_diff(told_frames) <= GLITCH_FRAMES,
        "{} missing, {told_frames} told",
        first_seen.missing
    );
    assert_eq!(first_seen.numbered + first_seen.missing, first_seen.position.0 - FIRST);
    assert_eq!(
        (second_seen.missing, second_seen.numbered),
        (0, second_seen.position.0 - FIRST),
        "a gap in the other one"
    );
    let growth_kb = anonymous_kb().saturating_sub(memory_kb);
    assert!(growth_kb <= GROWTH_KB_MAX, "memory has grown by {growth_kb} kB from {memory_kb} kB");
}

//! Devices with clocks of their own, on simulated time: what was captured at one time stands at one place in every ring.
//!
//! The whole way but the threads: queue, lane, tick, ring. Minutes pass in seconds; `TYMPAN_LONG=1` takes ten of them.

use audio_dsp::{GLIDE_SECONDS, Quality, Strip};
use audio_engine::clock::Clock;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Control, Tick};
use audio_engine::track::Track;
use audio_engine::vitals::Gauge;
use control_protocol::{GapCause, Master};
use shm_layout::{Epoch, FrameIndex, GapSpan, RingReader, RingSpec, RingWriter, SessionId};
use std::f64::consts::TAU;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const PERIOD: u64 = 480;
const CUSHION: u64 = 480;
/// When the rings begin, on the simulated `CLOCK_MONOTONIC`.
const BEGIN_NS: u64 = 1_000_000_000_000;
/// Of true time; whole turns in a second, and so slow that a wrong turn cannot be taken for a right one.
const TONE_HZ: f64 = 12.0;
/// A period, a block, the cushion, 5 ms of lateness, and what the resampler holds.
const LENGTH_S: f64 = (PERIOD + BLOCK as u64 + CUSHION + 240 + 64) as f64 / RATE_HZ as f64;
const SETTLING_S: u64 = 10;
const ERROR_MAX_S: f64 = 1e-4;

/// Pseudo-random numbers from 0 to 1 (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What a device hears at a time: a tone of true time, or the number of its frame.
#[derive(Clone, Copy, PartialEq)]
enum Hears {
    Tone,
    Numbers,
}

/// A device, whose callbacks are up to 2 ms late.
struct Device {
    inlet: Inlet,
    health: Arc<Health>,
    rate_hz: f64,
    hears: Hears,
    /// Since it was there, or is again; and the frames until then.
    since_s: f64,
    before: u64,
    periods: u64,
    late_s: f64,
    dice: Dice,
    /// It stops at the first time and is back at the second.
    away: Option<(f64, f64)>,
}

impl Device {
    fn new(inlet: Inlet, health: Arc<Health>, ppm: f64, hears: Hears, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let since_s = BEGIN_NS as f64 * 1e-9 - 0.1 + 0.01 * dice.roll();
        let rate_hz = f64::from(RATE_HZ) * (1.0 + 1e-6 * ppm);
        let late_s = 0.002 * dice.roll();
        Self { inlet, health, rate_hz, hears, since_s, before: 0, periods: 0, late_s, dice, away: None }
    }

    /// All callbacks until then.
    fn run(&mut self, until_s: f64) {
        loop {
            let end_s = self.since_s + ((self.periods + 1) * PERIOD) as f64 / self.rate_hz;
            if let Some((_, back_s)) = self.away.filter(|(stop_s, _)| end_s > *stop_s) {
                self.away = None;
                self.before += self.periods * PERIOD;
                (self.since_s, self.periods) = (back_s, 0);
                continue;
            }
            if end_s + self.late_s > until_s {
                return;
            }
            let first = self.periods * PERIOD;
            let (rate_hz, since_s, before, hears) = (self.rate_hz, self.since_s, self.before, self.hears);
            #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
            let samples = (first..first + PERIOD).map(|n| match hears {
                Hears::Tone => (0.5 * (TAU * TONE_HZ * (since_s + n as f64 / rate_hz)).sin()) as f32,
                Hears::Numbers => number(before + n),
            });
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a simulation")]
            let at_ns = ((end_s + self.late_s) * 1e9) as u64;
            self.inlet.push_at(at_ns, 480, samples);
            self.periods += 1;
            self.late_s = 0.002 * self.dice.roll();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "24 bits are whole in an f32")]
fn number(n: u64) -> f32 {
    (n % (1 << 23)) as f32 / (1_u64 << 23) as f32
}

struct World {
    _dir: tempfile::TempDir,
    tick: Tick,
    control: Control,
    devices: Vec<Device>,
    readers: Vec<RingReader>,
    dice: Dice,
    /// When each block of the last second was due: its end, and how fast the tick was.
    dues: Vec<(FrameIndex, f64, f64)>,
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
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

impl World {
    /// Devices of these rate errors; the first one leads, if any does.
    fn new(devices: &[(f64, Hears)], first_leads: bool, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut tracks, mut made, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for (place, &(ppm, hears)) in devices.iter().enumerate() {
            let health = Arc::new(Health::default());
            let (inlet, outlet) = queue(1, 96_000, &health);
            let mut lane = Lane::retimed(outlet, (RATE_HZ, RATE_HZ), BLOCK, CUSHION, Quality::Normal).unwrap();
            if place == 0 && first_leads {
                lane.lead().unwrap();
            }
            let mut device = Device::new(inlet, health, ppm, hears, seed * 7 + place as u64);
            device.run(BEGIN_NS as f64 * 1e-9);
            assert!(lane.is_primed());
            lane.trim();
            let name = format!("mic{place}");
            let ring = ring(dir.path(), &name);
            readers.push(RingReader::attach_stream(dir.path(), &name).unwrap());
            let strip = Strip::new(RATE_HZ, 1, 1, GLIDE_SECONDS);
            tracks.push(Track::new(lane, ring, Gauge::new(None, 1, RATE_HZ), strip, false));
            made.push(device);
        }
        let mix = Mix::new(ring(dir.path(), "mix"), Gauge::new(None, 1, RATE_HZ), BLOCK, Master::default());
        let (mut tick, control) = Tick::new(tracks, mix, BLOCK, RATE_HZ);
        tick.keep_time(Clock { first_frame: FrameIndex(0), first_frame_ns: BEGIN_NS, sample_rate_hz: RATE_HZ });
        Self { _dir: dir, tick, control, devices: made, readers, dice: Dice(seed), dues: Vec::new() }
    }

    /// One second of the engine. The tick wakes up to 1 ms late.
    fn second(&mut self) {
        self.dues.clear();
        for _ in 0..100 {
            let due = self.tick.due().unwrap();
            let wake_s = due.at_s() + 0.001 * self.dice.roll();
            self.devices.iter_mut().for_each(|device| device.run(wake_s));
            self.dues.push((self.tick.next_frame().plus(BLOCK as u64), due.at_s(), due.ppm));
            self.tick.run(false);
        }
        while self.control.notes.pop().is_ok() {}
    }

    /// How long the last second's sound of a device has been on its way, and its level.
    fn length_s(&self, place: usize) -> f64 {
        let frames = 100 * BLOCK;
        let from = self.readers[place].commit().back(frames as u64);
        let mut samples = vec![0.0; frames];
        self.readers[place].read(from, &mut samples, frames).unwrap();
        let (mut sines, mut cosines) = (0.0, 0.0);
        for (block, &(_, due_s, ppm)) in samples.chunks(BLOCK).zip(&self.dues) {
            let step_s = 1.0 / (f64::from(RATE_HZ) * (1.0 + 1e-6 * ppm));
            for (n, &sample) in block.iter().enumerate() {
                // A block is due when its last frame is; its first frame was given the place of then.
                let (sin, cos) = (TAU * TONE_HZ * (due_s + n as f64 * step_s)).sin_cos();
                sines += f64::from(sample) * sin;
                cosines += f64::from(sample) * cos;
            }
        }
        let peak = 2.0 * sines.hypot(cosines) / frames as f64;
        assert!((peak - 0.5).abs() < 0.005, "the tone is there in full, not at {peak}");
        (-cosines.atan2(sines) / TAU / TONE_HZ).rem_euclid(1.0 / TONE_HZ)
    }

    fn gaps(&self, place: usize) -> Vec<GapSpan> {
        self.readers[place].gaps(FrameIndex(0), self.readers[place].commit())
    }

    fn nothing_is_missing(&self, place: usize) {
        assert_eq!(self.gaps(place), []);
        assert_eq!(self.devices[place].health.overrun_frames.load(Ordering::Relaxed), 0);
    }
}

/// One minute, or ten.
fn seconds() -> u64 {
    if std::env::var_os("TYMPAN_LONG").is_some_and(|long| long == "1") { 600 } else { 60 }
}

/// The worst that lengths are away from where they should be.
#[derive(Debug, Default)]
struct Worst(f64);

impl Worst {
    fn see(&mut self, second: u64, place: usize, error_s: f64) {
        assert!(error_s.abs() < ERROR_MAX_S, "device {place} is {} ms away after {second} s", 1e3 * error_s);
        self.0 = self.0.max(error_s.abs());
    }
}

#[test]
fn devices_of_all_clocks_keep_their_places() {
    for (seed, ppms) in [&[200.0][..], &[-200.0], &[200.0, -200.0]].into_iter().enumerate() {
        let devices: Vec<_> = ppms.iter().map(|&ppm| (ppm, Hears::Tone)).collect();
        let mut world = World::new(&devices, false, seed as u64);
        let mut worst = Worst::default();
        for second in 1..=SETTLING_S + seconds() {
            world.second();
            for place in 0..ppms.len() {
                if second > SETTLING_S {
                    worst.see(second, place, world.length_s(place) - LENGTH_S);
                }
            }
        }
        (0..ppms.len()).for_each(|place| world.nothing_is_missing(place));
        eprintln!("{ppms:?} ppm: at most {:.4} ms away", 1e3 * worst.0);
    }
}

#[test]
fn the_tick_follows_the_leader_whose_frames_pass_as_they_are() {
    for ppm in [200.0, -200.0] {
        let devices = [(ppm, Hears::Numbers), (-ppm, Hears::Tone), (ppm, Hears::Tone)];
        let mut world = World::new(&devices, true, 5);
        let (mut worst, mut next) = (Worst::default(), None);
        for second in 1..=SETTLING_S + seconds() {
            world.second();
            let reader = &world.readers[0];
            let mut samples = vec![0.0; 100 * BLOCK];
            reader.read(reader.commit().back(48_000), &mut samples, 48_000).unwrap();
            let first = next.unwrap_or_else(|| (samples[0] * (1 << 23) as f32) as u64);
            assert!(samples.iter().zip(first..).all(|(sample, n)| sample.to_bits() == number(n).to_bits()));
            next = Some(first + 48_000);
            let tick_ppm = world.tick.due().unwrap().ppm;
            if second > SETTLING_S {
                (1..3).for_each(|place| worst.see(second, place, world.length_s(place) - LENGTH_S));
                assert!((tick_ppm - ppm).abs() < 30.0, "{tick_ppm} after {second} s");
            }
        }
        (0..3).for_each(|place| world.nothing_is_missing(place));
        let tick_ppm = world.tick.due().unwrap().ppm;
        assert!((tick_ppm - ppm).abs() < 2.0, "{tick_ppm}");
        eprintln!("beside a leader of {ppm} ppm: at most {:.4} ms away, the tick at {tick_ppm:.2} ppm", 1e3 * worst.0);
    }
}

#[test]
fn a_device_that_stops_and_returns_leaves_one_gap_of_its_length_and_is_where_it_was() {
    for (leads, ppm) in [(false, 200.0), (false, -200.0), (true, 200.0), (true, -200.0)] {
        let mut world = World::new(&[(ppm, Hears::Tone), (70.0, Hears::Tone)], leads, 9);
        let stop_s = BEGIN_NS as f64 * 1e-9 + 20.003;
        world.devices[0].away = Some((stop_s, stop_s + 3.0));
        let (mut worst, mut length_s) = (Worst::default(), LENGTH_S);
        for second in 1..=23 + SETTLING_S + seconds() / 3 {
            world.second();
            if leads && second == 20 {
                length_s = world.length_s(0);
            }
            if (11..20).contains(&second) && !leads || second > 24 + SETTLING_S {
                let limit = if leads { 5.0 } else { 1.0 };
                worst.see(second, 0, (world.length_s(0) - length_s) / limit);
            }
            if second > SETTLING_S {
                worst.see(second, 1, world.length_s(1) - LENGTH_S);
            }
        }
        let gaps = world.gaps(0);
        assert!(gaps.iter().all(|gap| gap.cause == GapCause::Underrun as u32), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[0].to == pair[1].from), "one gap: {gaps:?}");
        let frames: u64 = gaps.iter().map(|gap| gap.to.since(gap.from)).sum();
        // A period that was under way when it stopped was never captured.
        let (least, most) = (3 * 48_000 - 150, 3 * 48_000 + PERIOD + 150);
        assert!((least..=most).contains(&frames), "{frames} frames of gap");
        world.nothing_is_missing(1);
        eprintln!("leads: {leads}, {ppm} ppm: {frames} frames of gap, at most {:.4} ms away", 1e3 * worst.0);
    }
}

//! Devices with clocks of their own, on simulated time: what was captured at one time stands at one place in every ring.
//!
//! The whole way but the threads: queue, lane, tick, ring, player. Minutes pass in seconds; `TYMPAN_LONG=1` takes ten of
//! them.

#[path = "clock/speaker.rs"]
mod speaker;

use audio_dsp::{GLIDE_SECONDS, Quality, RateConverter, Strip};
use audio_engine::clock::Clock;
use audio_engine::gauge::Gauge;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::output::Pilot;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Control, Tick};
use audio_engine::track::Track;
use control_protocol::{GapCause, Master};
use shm_layout::{Epoch, FrameIndex, GapSpan, RingReader, RingSpec, RingWriter, SessionId};
use speaker::Speaker;
use std::f64::consts::TAU;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const CUSHION: u64 = 480;
const SESSION: SessionId = SessionId([1; 16]);
/// When the rings begin, on the simulated `CLOCK_MONOTONIC`.
const BEGIN_NS: u64 = 1_000_000_000_000;
/// Of true time; whole turns in a second, and so slow that a wrong turn cannot be taken for a right one.
const TONE_HZ: f64 = 12.0;
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

/// What a device is like.
#[derive(Clone, Copy)]
struct Spec {
    /// What it says its rate is, and by how much it is faster.
    nominal_hz: u32,
    ppm: f64,
    period: u64,
    hears: Hears,
}

fn tone(ppm: f64) -> Spec {
    Spec { nominal_hz: RATE_HZ, ppm, period: 480, hears: Hears::Tone }
}

impl Spec {
    /// How long its sound is to be on its way: a period, a block, the cushion, 5 ms of lateness, and what the resampler
    /// holds.
    fn length_s(&self) -> f64 {
        let rate_hz = u64::from(self.nominal_hz);
        let at_source = |frames: u64| (frames * rate_hz).div_ceil(u64::from(RATE_HZ));
        (self.period + at_source(BLOCK as u64) + at_source(CUSHION) + 64) as f64 / rate_hz as f64 + 0.005
    }
}

/// A device, whose callbacks are up to 2 ms late.
struct Device {
    inlet: Inlet,
    health: Arc<Health>,
    spec: Spec,
    rate_hz: f64,
    /// Since it was there, or is again; and the frames until then.
    since_s: f64,
    before: u64,
    periods: u64,
    late_s: f64,
    last_s: f64,
    dice: Dice,
    /// It stops at the first time and is back at the second.
    away: Option<(f64, f64)>,
    /// How long nothing was captured then.
    silent_s: f64,
}

impl Device {
    fn new(inlet: Inlet, health: Arc<Health>, spec: Spec, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let since_s = BEGIN_NS as f64 * 1e-9 - 0.1 + 0.01 * dice.roll();
        let rate_hz = f64::from(spec.nominal_hz) * (1.0 + 1e-6 * spec.ppm);
        let late_s = 0.002 * dice.roll();
        Self {
            inlet,
            health,
            spec,
            rate_hz,
            since_s,
            before: 0,
            periods: 0,
            late_s,
            last_s: 0.0,
            dice,
            away: None,
            silent_s: 0.0,
        }
    }

    /// All callbacks until then.
    fn run(&mut self, until_s: f64) {
        let Spec { period, hears, .. } = self.spec;
        loop {
            let end_s = self.since_s + ((self.periods + 1) * period) as f64 / self.rate_hz;
            if let Some((_, back_s)) = self.away.filter(|(stop_s, _)| end_s > *stop_s) {
                self.away = None;
                self.silent_s = back_s - self.since_s - (self.periods * period) as f64 / self.rate_hz;
                self.before += self.periods * period;
                (self.since_s, self.periods) = (back_s, 0);
                continue;
            }
            // One that is held up holds up those behind it.
            let at_s = (end_s + self.late_s).max(self.last_s);
            if at_s > until_s {
                return;
            }
            self.last_s = at_s;
            let first = self.periods * period;
            let (rate_hz, since_s, before) = (self.rate_hz, self.since_s, self.before);
            #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
            let samples = (first..first + period).map(|n| match hears {
                Hears::Tone => (0.5 * (TAU * TONE_HZ * (since_s + n as f64 / rate_hz)).sin()) as f32,
                Hears::Numbers => number(before + n),
            });
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a simulation")]
            let at_ns = (at_s * 1e9) as u64;
            self.inlet.push_at(at_ns, usize::try_from(period).unwrap(), samples);
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
    dir: tempfile::TempDir,
    tick: Tick,
    control: Control,
    devices: Vec<Device>,
    readers: Vec<RingReader>,
    dice: Dice,
    /// When each block of the last second was due: its end, and how fast the tick was.
    dues: Vec<(FrameIndex, f64, f64)>,
    /// An output that leads, where there is one.
    pilot: Arc<Pilot>,
    speaker: Option<Speaker>,
}

const fn clock() -> Clock {
    Clock { first_frame: FrameIndex(0), first_frame_ns: BEGIN_NS, sample_rate_hz: RATE_HZ }
}

fn ring(dir: &Path, stream: &str) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SESSION,
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
    fn new(devices: &[Spec], first_leads: bool, seed: u64) -> Self {
        Self::with_cushion(devices, first_leads, seed, CUSHION)
    }

    fn with_cushion(devices: &[Spec], first_leads: bool, seed: u64, cushion: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut begin_ns = BEGIN_NS;
        let (mut tracks, mut made, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for (place, &spec) in devices.iter().enumerate() {
            let health = Arc::new(Health::default());
            let (inlet, outlet) = queue(1, 96_000, &health);
            let mut lane = Lane::retimed(outlet, (spec.nominal_hz, RATE_HZ), BLOCK, cushion, Quality::Normal).unwrap();
            if place == 0 && first_leads {
                lane.lead().unwrap();
            }
            let mut device = Device::new(inlet, health, spec, seed * 7 + place as u64);
            device.run(BEGIN_NS as f64 * 1e-9);
            assert!(lane.is_primed());
            lane.trim();
            if place == 0 {
                // As an engine begins: in step with the leader's callbacks.
                begin_ns = lane.tick_after(BEGIN_NS);
            }
            let name = format!("mic{place}");
            let ring = ring(dir.path(), &name);
            readers.push(RingReader::attach_stream(dir.path(), &name).unwrap());
            let strip = Strip::new(RATE_HZ, 1, 1, GLIDE_SECONDS);
            tracks.push(Track::new(lane, ring, Gauge::new(None, 1, RATE_HZ), strip, false));
            made.push(device);
        }
        let mix = Mix::new(ring(dir.path(), "mix"), Gauge::new(None, 1, RATE_HZ), BLOCK, Master::default());
        let (mut tick, control) = Tick::new(tracks, mix, BLOCK, RATE_HZ);
        tick.keep_time(Clock { first_frame_ns: begin_ns, ..clock() });
        let pilot = Arc::new(Pilot::default());
        tick.follow(Arc::clone(&pilot));
        let (dice, dues, speaker) = (Dice(seed), Vec::new(), None);
        Self { dir, tick, control, devices: made, readers, dice, dues, pilot, speaker }
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
            self.speaker.iter_mut().for_each(|speaker| speaker.run(wake_s));
        }
        while self.control.notes.pop().is_ok() {}
    }

    /// An output of such a rate, rate error and period plays a stream from now on.
    fn play(&mut self, stream: &str, device: (u32, f64, usize)) {
        let now_s = self.tick.due().unwrap().at_s();
        self.speaker = Some(Speaker::new(self.dir.path(), stream, &self.pilot, device, now_s));
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

/// How far sound is from its place, at worst.
#[derive(Debug, Default)]
struct Worst(f64);

impl Worst {
    fn see(&mut self, second: u64, place: usize, error_s: f64) {
        assert!(error_s.abs() < ERROR_MAX_S, "device {place} is {} ms away after {second} s", 1e3 * error_s);
        self.0 = self.0.max(error_s.abs());
    }

    /// Sees how far a device's sound of the last second is from its place.
    fn look(&mut self, second: u64, place: usize, world: &World) {
        self.see(second, place, world.length_s(place) - world.devices[place].spec.length_s());
    }
}

#[test]
fn devices_of_all_clocks_keep_their_places() {
    let other = Spec { nominal_hz: 44_100, ppm: -80.0, period: 1_024, hears: Hears::Tone };
    let worlds = [vec![tone(200.0)], vec![tone(-200.0)], vec![tone(200.0), tone(-200.0)], vec![other]];
    for (seed, specs) in (0..).zip(worlds) {
        let mut world = World::new(&specs, false, seed);
        let mut worst = Worst::default();
        for second in 1..=SETTLING_S + seconds() {
            world.second();
            if second > SETTLING_S {
                (0..specs.len()).for_each(|place| worst.look(second, place, &world));
            }
        }
        (0..specs.len()).for_each(|place| world.nothing_is_missing(place));
        let ppms: Vec<f64> = specs.iter().map(|spec| spec.ppm).collect();
        eprintln!("{ppms:?} ppm: at most {:.4} ms away", 1e3 * worst.0);
    }
}

#[test]
fn the_tick_follows_the_leader_whose_frames_pass_as_they_are() {
    for ppm in [200.0, -200.0] {
        let devices = [Spec { hears: Hears::Numbers, ..tone(ppm) }, tone(-ppm), tone(ppm)];
        let mut world = World::new(&devices, true, 5);
        let (mut worst, mut next) = (Worst::default(), None);
        for second in 1..=SETTLING_S + seconds() {
            world.second();
            let reader = &world.readers[0];
            let mut samples = vec![0.0; 100 * BLOCK];
            reader.read(reader.commit().back(48_000), &mut samples, 48_000).unwrap();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number")]
            let first = next.unwrap_or((samples[0] * (1 << 23) as f32) as u64);
            assert!(samples.iter().zip(first..).all(|(sample, n)| sample.to_bits() == number(n).to_bits()));
            next = Some(first + 48_000);
            let tick_ppm = world.tick.due().unwrap().ppm;
            if second > SETTLING_S {
                (1..3).for_each(|place| worst.look(second, place, &world));
                assert!((tick_ppm - ppm).abs() < 30.0, "{tick_ppm} after {second} s");
            }
        }
        (0..3).for_each(|place| world.nothing_is_missing(place));
        let tick_ppm = world.tick.due().unwrap().ppm;
        assert!((tick_ppm - ppm).abs() < 2.0, "{tick_ppm}");
        eprintln!("beside a leader of {ppm} ppm: at most {:.4} ms away, the tick at {tick_ppm:.2} ppm", 1e3 * worst.0);
    }
}

/// How long a leader's sound is on its way, at least, besides its cushion: until its period is full, until its block is, and
/// how far callbacks and ticks may be apart.
fn shortest_s(spec: Spec) -> f64 {
    let (mut step, mut rest) = (spec.period, BLOCK as u64);
    while rest > 0 {
        (step, rest) = (rest, step % rest);
    }
    // A converter holds some frames, and its blocks have no step in common with periods.
    let held = RateConverter::new(spec.nominal_hz, RATE_HZ, 1).unwrap().latency_frames_max();
    let step = if spec.nominal_hz == RATE_HZ { step } else { 1 };
    let block_s = BLOCK as f64 / f64::from(RATE_HZ);
    (spec.period + held as u64 - step) as f64 / f64::from(spec.nominal_hz) + block_s
}

#[test]
fn a_leaders_sound_is_on_its_way_no_longer_than_periods_blocks_and_cushion_take() {
    // 3 ms; callbacks are up to 2 ms late, and a rate is learnt in 2 s.
    let cushion = 144;
    let at = |nominal_hz, ppm, period| Spec { nominal_hz, ppm, period, hears: Hears::Tone };
    for (seed, spec) in (20..).zip([
        at(RATE_HZ, 200.0, 480),
        at(RATE_HZ, -200.0, 480),
        at(RATE_HZ, -200.0, 320),
        at(RATE_HZ, 200.0, 441),
        at(RATE_HZ, -200.0, 1_024),
        at(44_100, 150.0, 441),
    ]) {
        let mut world = World::with_cushion(&[spec, tone(90.0)], true, seed, cushion);
        let (mut worst, less_s) = (Worst::default(), (CUSHION - cushion) as f64 / f64::from(RATE_HZ));
        for second in 1..=SETTLING_S + seconds() / 3 {
            world.second();
            if second > SETTLING_S {
                worst.see(second, 1, world.length_s(1) - (world.devices[1].spec.length_s() - less_s));
            }
        }
        world.nothing_is_missing(0);
        let (length_s, shortest_s) = (world.length_s(0), shortest_s(spec) + cushion as f64 / f64::from(RATE_HZ));
        eprintln!(
            "{} in periods of {}: {:.2} ms, {:.2} at least",
            spec.nominal_hz,
            spec.period,
            1e3 * length_s,
            1e3 * shortest_s
        );
        // The first callbacks were late, too, and the tick has learnt its rate meanwhile.
        assert!((-0.001..0.003).contains(&(length_s - shortest_s)), "{length_s} s, and not {shortest_s} s");
    }
}

/// Seconds in which a leader is back where it was: the tick makes up for a millisecond in some seconds.
const LEADER_SETTLING_S: u64 = 25;

#[test]
fn a_device_that_stops_and_returns_leaves_one_gap_of_its_length_and_is_where_it_was() {
    for (leads, ppm) in [(false, 200.0), (false, -200.0), (true, 200.0), (true, -200.0)] {
        let mut world = World::new(&[tone(ppm), tone(70.0)], leads, 9);
        let stop_s = BEGIN_NS as f64 * 1e-9 + 40.003;
        world.devices[0].away = Some((stop_s, stop_s + 3.0));
        let (mut worst, mut length_s) = (Worst::default(), world.devices[0].spec.length_s());
        let settled = 44 + if leads { LEADER_SETTLING_S } else { SETTLING_S };
        for second in 1..=settled + seconds() / 3 {
            world.second();
            if leads && second == 40 {
                length_s = world.length_s(0);
            }
            if second > settled {
                worst.see(second, 0, world.length_s(0) - length_s);
            }
            // The other one does not notice.
            if second > SETTLING_S {
                worst.look(second, 1, &world);
            }
        }
        let gaps = world.gaps(0);
        assert!(gaps.iter().all(|gap| gap.cause == GapCause::Underrun as u32), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[0].to == pair[1].from), "one gap: {gaps:?}");
        let frames: u64 = gaps.iter().map(|gap| gap.to.since(gap.from)).sum();
        // To within what callbacks are late.
        let stopped = world.devices[0].silent_s * f64::from(RATE_HZ);
        assert!((frames as f64 - stopped).abs() < 100.0, "{frames} frames of gap, {stopped} of silence");
        world.nothing_is_missing(1);
        eprintln!(
            "leads: {leads}, {ppm} ppm: {frames} frames of gap for {stopped:.1}, at most {:.4} ms away",
            1e3 * worst.0
        );
    }
}

#[test]
fn when_the_leader_goes_the_tick_glides_back_and_nobody_notices() {
    let mut world = World::new(&[tone(200.0), tone(-200.0)], true, 3);
    let mut worst = Worst::default();
    world.devices[0].away = Some((BEGIN_NS as f64 * 1e-9 + 30.0, f64::INFINITY));
    let mut last_ppm = 0.0;
    for second in 1..=90 {
        world.second();
        let ppm = world.tick.due().unwrap().ppm;
        assert!(second < 12 || (ppm - last_ppm).abs() < 25.0, "{last_ppm} ppm, then {ppm} after {second} s");
        last_ppm = ppm;
        if second > SETTLING_S {
            worst.look(second, 1, &world);
        }
        assert!(second != 30 || (ppm - 200.0).abs() < 5.0, "{ppm}");
    }
    assert!(last_ppm.abs() < 2.0, "{last_ppm}");
    world.nothing_is_missing(1);
    eprintln!("at most {:.4} ms away", 1e3 * worst.0);
}

#[test]
fn what_an_xrun_loses_is_a_gap_of_its_length_and_what_is_late_is_heard() {
    // The shorter one is over before the ring has come to it; in the longer one the ring runs dry.
    for lost in [1, 7] {
        let mut world = World::new(&[tone(150.0)], false, 1);
        let mut worst = Worst::default();
        for second in 1..=3 * SETTLING_S {
            let device = &mut world.devices[0];
            match second {
                15 => {
                    device.inlet.lose(lost * 480, GapCause::Xrun);
                    device.periods += lost;
                }
                // The machine is busy, for less than what is kept in the queue.
                17 => device.late_s = 0.008,
                _ => {}
            }
            world.second();
            if (SETTLING_S + 1..15).contains(&second) || second > 15 + SETTLING_S {
                worst.look(second, 0, &world);
            }
        }
        let gaps = world.gaps(0);
        assert!(gaps.windows(2).all(|pair| pair[0].to == pair[1].from), "one gap: {gaps:?}");
        assert_eq!(gaps.last().map(|gap| gap.cause), Some(GapCause::Xrun as u32));
        assert!(gaps.len() == 1 || lost == 7, "{gaps:?}");
        let frames: u64 = gaps.iter().map(|gap| gap.to.since(gap.from)).sum();
        assert!(frames.abs_diff(lost * 480) <= 1, "{frames} frames: {gaps:?}");
        eprintln!("{lost} periods lost: {frames} frames of gap, at most {:.4} ms away", 1e3 * worst.0);
    }
}

#[test]
fn a_device_whose_callbacks_are_held_up_again_and_again_soon_has_a_larger_cushion() {
    for leads in [false, true] {
        let mut world = World::new(&[tone(-60.0), tone(60.0)], leads, 4);
        let mut worst = Worst::default();
        for second in 1..=60 {
            world.devices[0].late_s = 0.032;
            world.second();
            if second > SETTLING_S {
                worst.look(second, 1, &world);
            }
        }
        let gaps = world.gaps(0);
        // 60 times it was held up for as long as two or three growths.
        assert!((1..=3).contains(&gaps.len()), "{gaps:?}");
        let frames: u64 = gaps.iter().map(|gap| gap.to.since(gap.from)).sum();
        assert!(frames < 4 * 480, "{gaps:?}");
        world.nothing_is_missing(1);
        eprintln!("leads: {leads}: {frames} frames of gap; the other one is at most {:.4} ms away", 1e3 * worst.0);
    }
}

#[test]
fn an_output_leads_and_plays_the_ring_bit_by_bit() {
    for (ppm, period) in [(200.0, 480), (-200.0, 1_024)] {
        let mut world = World::new(&[tone(-200.0), tone(200.0)], false, 6);
        let mut worst = Worst::default();
        world.play("mic0", (RATE_HZ, ppm, period));
        for second in 1..=SETTLING_S + seconds() {
            world.second();
            let speaker = world.speaker.as_mut().unwrap();
            if second > 2 {
                speaker.is_the_ring(&world.readers[0]);
            }
            assert_eq!(speaker.faults(), [0, 0], "after {second} s");
            // A block of the ring, a piece, and two periods.
            let most_ms = 10.0 + 2.0 + 2e3 * period as f64 / f64::from(RATE_HZ) + 1.0;
            assert!(speaker.delay_ms() <= most_ms, "{} of {most_ms} ms after {second} s", speaker.delay_ms());
            let tick_ppm = world.tick.due().unwrap().ppm;
            if second > SETTLING_S {
                (0..2).for_each(|place| worst.look(second, place, &world));
                assert!((tick_ppm - ppm).abs() < 30.0, "{tick_ppm} after {second} s");
            }
        }
        (0..2).for_each(|place| world.nothing_is_missing(place));
        let (tick_ppm, delay_ms) = (world.tick.due().unwrap().ppm, world.speaker.unwrap().delay_ms());
        assert!((tick_ppm - ppm).abs() < 5.0, "{tick_ppm}");
        eprintln!(
            "an output of {ppm} ppm leads: at most {:.4} ms away, the tick at {tick_ppm:.2} ppm, {delay_ms:.1} ms",
            1e3 * worst.0
        );
    }
}

#[test]
fn an_output_that_leads_goes_and_comes_back_and_nothing_jumps() {
    let mut world = World::new(&[tone(-200.0)], false, 7);
    let mut worst = Worst::default();
    // When the last block was due, and how fast the tick was.
    let (mut last_s, mut last_ppm) = (world.tick.due().unwrap().at_s() - 0.01, 0.0);
    let mut ppms = Vec::new();
    for second in 1..=100_u64 {
        match second {
            1 | 61 => world.play("mic0", (RATE_HZ, 200.0, 480)),
            31 => {
                world.speaker = None;
                // As the end of its thread does.
                world.pilot.release();
            }
            _ => {}
        }
        world.second();
        for &(_, due_s, ppm) in &world.dues {
            let length_s = due_s - last_s;
            assert!((length_s - 0.01).abs() < 1.1e-5, "{length_s} s after {second} s");
            assert!((ppm - last_ppm).abs() < 20.0, "{last_ppm} ppm, then {ppm} after {second} s");
            (last_s, last_ppm) = (due_s, ppm);
        }
        ppms.push(last_ppm);
        if second > SETTLING_S {
            worst.look(second, 0, &world);
        }
        if let Some(speaker) = world.speaker.as_mut().filter(|_| !(61..65).contains(&second) && second > 2) {
            speaker.is_the_ring(&world.readers[0]);
            assert_eq!(speaker.faults(), [0, 0], "after {second} s");
        }
    }
    assert!((ppms[29] - 200.0).abs() < 5.0 && ppms[59] < 15.0 && (ppms[99] - 200.0).abs() < 5.0, "{ppms:?}");
    world.nothing_is_missing(0);
    eprintln!("at most {:.4} ms away", 1e3 * worst.0);
}

#[test]
fn an_output_of_another_rate_leads_and_never_runs_dry() {
    let mut world = World::new(&[tone(-200.0)], false, 8);
    let mut worst = Worst::default();
    world.play("mic0", (44_100, 150.0, 1_024));
    for second in 1..=SETTLING_S + seconds() / 3 {
        world.second();
        assert_eq!(world.speaker.as_ref().map(Speaker::faults), Some([0, 0]), "after {second} s");
        if second > SETTLING_S {
            worst.look(second, 0, &world);
        }
    }
    let tick_ppm = world.tick.due().unwrap().ppm;
    assert!((tick_ppm - 150.0).abs() < 5.0, "{tick_ppm}");
    eprintln!("at most {:.4} ms away, the tick at {tick_ppm:.2} ppm", 1e3 * worst.0);
}

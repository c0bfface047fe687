//! What is played is what is in the ring, whatever the two clocks do: simulated callbacks and commits, hours in seconds.

#![expect(unsafe_code, reason = "samples by raw pointer, as a device gives them")]

use audio_engine::output::{Gauge, Play, Playback, Player, Reading, playback};
use cpal::{Data, SampleFormat};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const TONE_HZ: f64 = 1_000.0;
const SESSION: SessionId = SessionId([3; 16]);
const BEGIN_NS: u64 = 1_000_000_000_000;

/// Numbers from 0 to 1 that look like chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }
}

fn ring(dir: &Path, stream: &str, epoch: u64, channels: u32, first_frame: u64) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SESSION,
        epoch: Epoch(epoch),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels,
        capacity_frames: 5 * u64::from(RATE_HZ),
        first_frame: FrameIndex(first_frame),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

/// An engine, a player and a device on one simulated time.
struct Stage {
    dir: tempfile::TempDir,
    writer: RingWriter,
    player: Player,
    callback: Playback,
    play: Arc<Play>,
    gauge: Arc<Gauge>,
    stream: Arc<Mutex<String>>,
    now_s: f64,
    ring_ppm: f64,
    device_ppm: f64,
    device_hz: u32,
    period: usize,
    channels: usize,
    jitter_s: f64,
    chance: Chance,
    next_commit_s: f64,
    next_period_s: f64,
    frame: u64,
    amplitude: f32,
    heard: Vec<f32>,
    device_stands: bool,
    player_stands: bool,
}

impl Stage {
    fn new(device_hz: u32, period: usize, (ring_ppm, device_ppm): (f64, f64), jitter_s: f64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let writer = ring(dir.path(), "mix", 1, 1, 7);
        let (play, gauge) = (Arc::new(Play::default()), Arc::new(Gauge::default()));
        let channels = 2;
        let (samples, asked, callback) = playback(channels, device_hz as usize / 4 + 4 * period, &play);
        let stream = Arc::new(Mutex::new("mix".to_owned()));
        let reading =
            Reading { dir: dir.path().to_owned(), session: SESSION, stream: Arc::clone(&stream), block_frames: 480 };
        let player = Player::new((samples, asked), &play, &gauge, reading, device_hz, channels);
        Self {
            dir,
            writer,
            player,
            callback,
            play,
            gauge,
            stream,
            now_s: 0.0,
            ring_ppm,
            device_ppm,
            device_hz,
            period,
            channels,
            jitter_s,
            chance: Chance(1),
            next_commit_s: 0.01,
            next_period_s: 0.004,
            frame: 0,
            amplitude: 0.5,
            heard: Vec::new(),
            device_stands: false,
            player_stands: false,
        }
    }

    /// So many seconds, event by event; what the device played on its first channel is `heard`.
    fn go(&mut self, seconds: f64) {
        let until = self.now_s + seconds;
        loop {
            let next = self.next_commit_s.min(self.next_period_s);
            if next > until {
                break;
            }
            self.now_s = next;
            if self.next_commit_s <= self.next_period_s {
                self.commit();
                self.next_commit_s += BLOCK as f64 / f64::from(RATE_HZ) / (1.0 + self.ring_ppm * 1e-6);
            } else {
                self.period();
                self.next_period_s += self.period as f64 / f64::from(self.device_hz) / (1.0 + self.device_ppm * 1e-6);
            }
        }
        self.now_s = until;
    }

    fn at_ns(&mut self) -> u64 {
        let late_s = self.chance.next() * self.jitter_s;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a few minutes")]
        let at_ns = ((self.now_s + late_s) * 1e9) as u64;
        BEGIN_NS + at_ns
    }

    fn commit(&mut self) {
        let block: Vec<f32> = (0..BLOCK as u64)
            .map(|n| {
                let angle = std::f64::consts::TAU * TONE_HZ * (self.frame + n) as f64 / f64::from(RATE_HZ);
                #[expect(clippy::cast_possible_truncation, reason = "a sample")]
                let sample = (f64::from(self.amplitude) * angle.sin()) as f32;
                sample
            })
            .collect();
        self.frame += BLOCK as u64;
        self.writer.write(&block, BLOCK);
        let at_ns = self.at_ns();
        if !self.player_stands {
            self.player.turn(at_ns);
        }
    }

    fn period(&mut self) {
        if self.device_stands {
            return;
        }
        let at_ns = self.at_ns();
        let mut samples = vec![9.0_f32; self.period * self.channels];
        // SAFETY: the vector holds this many initialised f32 and is borrowed for the whole call.
        let mut data = unsafe { Data::from_parts(samples.as_mut_ptr().cast(), samples.len(), SampleFormat::F32) };
        self.callback.on_period_at(at_ns, &mut data);
        for frame in samples.chunks_exact(self.channels) {
            assert_eq!(frame[0].to_bits(), frame[1].to_bits(), "mono is heard on both sides");
            self.heard.push(frame[0]);
        }
    }

    fn underruns(&self) -> u64 {
        self.play.underruns.load(Ordering::Relaxed)
    }

    fn delay_ms(&self) -> f64 {
        self.gauge.delay_us.load(Ordering::Relaxed) as f64 / 1e3
    }

    /// What is no sine in the last second, in dB below it: the frequency is found in steps of a millionth.
    fn distortion_db(&self) -> f64 {
        let samples = &self.heard[self.heard.len() - self.device_hz as usize / 4..];
        let rate_hz = f64::from(self.device_hz);
        let residue = |ppm: f64| {
            let hz = TONE_HZ * (1.0 + ppm * 1e-6);
            let (mut a, mut b) = (0.0, 0.0);
            let angle = |n: usize| std::f64::consts::TAU * hz * n as f64 / rate_hz;
            for (n, &sample) in samples.iter().enumerate() {
                a += f64::from(sample) * angle(n).sin();
                b += f64::from(sample) * angle(n).cos();
            }
            let scale = 2.0 / samples.len() as f64;
            let (a, b) = (a * scale, b * scale);
            let of =
                |(n, &sample): (usize, &f32)| (f64::from(sample) - a * angle(n).sin() - b * angle(n).cos()).powi(2);
            let rest: f64 = samples.iter().enumerate().map(of).sum();
            let all: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
            10.0 * (rest / all).log10()
        };
        let best = |from: f64, step: f64| {
            (-40..=40).map(|n| from + f64::from(n) * step).min_by(|a, b| residue(*a).total_cmp(&residue(*b))).unwrap()
        };
        let ppm = best(best(self.ring_ppm - self.device_ppm, 10.0), 0.5);
        residue(ppm)
    }
}

#[test]
fn a_tone_is_played_without_a_gap_whatever_the_clocks() {
    for (device_hz, period, ppm, jitter_s) in [
        (48_000, 480, (0.0, 0.0), 0.0),
        (48_000, 480, (0.0, 200.0), 0.001),
        (48_000, 256, (-150.0, 150.0), 0.002),
        (44_100, 1_024, (100.0, -100.0), 0.001),
        (16_000, 160, (0.0, -300.0), 0.001),
    ] {
        let mut stage = Stage::new(device_hz, period, ppm, jitter_s);
        stage.go(60.0);
        let what = format!("{device_hz} Hz, {period} frames, {ppm:?} ppm");
        assert_eq!(stage.underruns(), 0, "{what}");
        assert_eq!(stage.gauge.skipped_frames.load(Ordering::Relaxed), 0, "{what}");
        let silent = stage.heard.iter().skip(device_hz as usize).filter(|sample| **sample == 0.0).count();
        assert!(silent < stage.heard.len() / 40, "{what}: {silent} frames of silence");
        let distortion_db = stage.distortion_db();
        assert!(distortion_db < -60.0, "{what}: {distortion_db} dB");
        // A block of the ring, and two periods.
        let most_ms = 10.0 + 2e3 * period as f64 / f64::from(device_hz) + 1.0;
        eprintln!("{what}: {distortion_db:.1} dB, {:.1} ms of {most_ms:.1}", stage.delay_ms());
        assert!(stage.delay_ms() > 5.0 && stage.delay_ms() <= most_ms, "{what}: {} ms", stage.delay_ms());
    }
}

#[test]
fn a_player_that_is_late_is_heard_counted_and_on_time_again() {
    let mut stage = Stage::new(48_000, 480, (0.0, 50.0), 0.001);
    stage.go(10.0);
    let delay_ms = stage.delay_ms();
    stage.player_stands = true;
    stage.go(0.1);
    stage.player_stands = false;
    stage.go(10.0);
    let (underruns, frames) = (stage.underruns(), stage.play.underrun_frames.load(Ordering::Relaxed));
    assert!((5..=12).contains(&underruns) && frames > 2_400, "{underruns} underruns of {frames} frames");
    let skipped = stage.gauge.skipped_frames.load(Ordering::Relaxed);
    assert!((2_400..=5_000).contains(&skipped), "{skipped}");
    assert!(stage.delay_ms() < delay_ms + 10.0, "{delay_ms} ms, then {}", stage.delay_ms());
    stage.go(10.0);
    assert_eq!(stage.underruns(), underruns, "and not again");
    assert!(stage.distortion_db() < -60.0);
}

#[test]
fn a_device_that_stands_and_goes_on_is_on_time_again() {
    let mut stage = Stage::new(48_000, 480, (0.0, 0.0), 0.001);
    stage.go(10.0);
    let delay_ms = stage.delay_ms();
    stage.device_stands = true;
    stage.go(1.5);
    stage.device_stands = false;
    stage.go(20.0);
    assert!(stage.gauge.skipped_frames.load(Ordering::Relaxed) > 48_000, "what it missed is skipped");
    assert!((stage.delay_ms() - delay_ms).abs() < 25.0, "{delay_ms} ms, then {}", stage.delay_ms());
    assert!(stage.distortion_db() < -60.0);
}

#[test]
fn a_stream_that_ends_is_silence_and_its_next_epoch_is_heard() {
    let mut stage = Stage::new(48_000, 480, (0.0, 0.0), 0.0);
    stage.go(2.0);
    let next = ring(stage.dir.path(), "mix", 2, 1, 200_000);
    std::mem::replace(&mut stage.writer, next).close();
    stage.go(2.0);
    assert!(stage.distortion_db() < -60.0);
    assert_eq!(stage.underruns(), 0, "an end is no fault");
    // One that is not there is silence.
    "other".clone_into(&mut stage.stream.lock().unwrap());
    stage.go(1.0);
    assert!(stage.heard[stage.heard.len() - 4_800..].iter().all(|&sample| sample == 0.0));
    assert_eq!(stage.underruns(), 0);
    let other = ring(stage.dir.path(), "other", 3, 1, 500_000);
    let mut before = std::mem::replace(&mut stage.writer, other);
    before.write(&[0.0; BLOCK], BLOCK);
    stage.go(2.0);
    assert!(stage.distortion_db() < -60.0);
}

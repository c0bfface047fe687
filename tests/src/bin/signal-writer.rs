//! Writes a ring of known signals in real time, until its standard input ends.
//!
//! `signal-writer FOLDER STREAM RATE_HZ HISTORY_SECONDS SIGNAL…`, a signal for each channel: `sine:HZ:AMPLITUDE` (several of
//! them, added: `sine:HZ:AMPLITUDE:HZ:AMPLITUDE`), `against:HZ:AMPLITUDE` (the same turned over), `chirp:LOW:HIGH:AMPLITUDE` (up in 2 s, again and again), `click` (one sample
//! of 0.9 at each whole second), `noise:AMPLITUDE`, `silence`, `bad` (what is no number, infinities and denormals).
//!
//! Lines on standard input: `gap MS` (so much is not captured), `close` (in order), `epoch` (closes, and goes on in the next
//! epoch a second later), `anew` (closes, and begins at frame 0 of another session), `until S` (writes no more after so many
//! seconds). Everything is written a block of 10 ms at a time.

use anyhow::{Context, Result, bail};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
enum Signal {
    /// Frequencies in Hz and amplitudes of tones that are added.
    Sine {
        tones: Vec<(f64, f64)>,
    },
    Chirp {
        low: f64,
        high: f64,
        amplitude: f64,
    },
    Click,
    Noise {
        amplitude: f64,
    },
    Silence,
    Bad,
}

/// Seconds that a chirp takes.
const CHIRP_S: f64 = 2.0;

impl Signal {
    fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let mut number = || -> Result<f64> { Ok(parts.next().context("a number is missing")?.parse()?) };
        Ok(match name {
            "sine" => {
                let numbers = parts.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
                let (pairs, []) = numbers.as_chunks::<2>() else { bail!("an amplitude is missing: {text}") };
                Self::Sine { tones: pairs.iter().map(|&[hz, amplitude]| (hz, amplitude)).collect() }
            }
            "against" => Self::Sine { tones: vec![(number()?, -number()?)] },
            "chirp" => Self::Chirp { low: number()?, high: number()?, amplitude: number()? },
            "click" => Self::Click,
            "noise" => Self::Noise { amplitude: number()? },
            "silence" => Self::Silence,
            "bad" => Self::Bad,
            other => bail!("no signal: {other}"),
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "samples")]
    fn at(&self, frame: u64, rate_hz: u32) -> f32 {
        let seconds = frame as f64 / f64::from(rate_hz);
        match *self {
            Self::Sine { ref tones } => {
                let tone = |&(hz, amplitude): &(f64, f64)| amplitude * (std::f64::consts::TAU * hz * seconds).sin();
                tones.iter().map(tone).sum::<f64>() as f32
            }
            Self::Chirp { low, high, amplitude } => {
                let t = seconds % CHIRP_S;
                let turns = low * t + (high - low) * t * t / (2.0 * CHIRP_S);
                (amplitude * (std::f64::consts::TAU * turns).sin()) as f32
            }
            Self::Click if frame.is_multiple_of(u64::from(rate_hz)) => 0.9,
            Self::Click | Self::Silence => 0.0,
            Self::Noise { amplitude } => {
                // SplitMix64 of the frame: the same noise for whoever knows it.
                let mut z = frame.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (amplitude * ((z >> 40) as f64 / f64::from(1 << 23) - 1.0)) as f32
            }
            Self::Bad => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-42, -1e38][(frame % 5) as usize],
        }
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let (dir, stream) = (PathBuf::from(next("folder")?), next("stream")?);
    let (rate_hz, history_s): (u32, u32) = (next("rate")?.parse()?, next("history")?.parse()?);
    let signals = arguments.map(|text| Signal::parse(&text)).collect::<Result<Vec<_>>>()?;
    let channels = u32::try_from(signals.len())?;
    let spec = RingSpec {
        stream,
        session: SessionId(*b"a known sound!!!"),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: rate_hz,
        channels,
        capacity_frames: u64::from(rate_hz) * u64::from(history_s),
        first_frame: FrameIndex(0),
        labels: if channels == 2 { vec!["left".into(), "right".into()] } else { Vec::new() },
        overview: true,
    };
    let (sender, orders) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    write(&dir, spec, &signals, &orders)
}

fn write(dir: &std::path::Path, mut spec: RingSpec, signals: &[Signal], orders: &Receiver<String>) -> Result<()> {
    let rate_hz = spec.sample_rate_hz;
    let block = u64::from(rate_hz) / 100;
    let mut ring = RingWriter::create(dir, &spec)?;
    let mut planar = Vec::new();
    let (mut begin, mut origin) = (Instant::now(), 0);
    let mut last = u64::MAX;
    loop {
        let mut gap_frames = 0;
        match orders.try_recv() {
            Ok(order) => match order.split_once(' ').unwrap_or((&order, "")) {
                ("gap", ms) => gap_frames = ms.parse::<u64>()? * u64::from(rate_hz) / 1_000,
                ("until", seconds) => last = seconds.parse::<u64>()? * u64::from(rate_hz),
                ("close", _) => {
                    ring.close();
                    // Until the test ends: what is closed stays to be looked at.
                    while orders.recv().is_ok() {}
                    return Ok(());
                }
                ("epoch", _) => {
                    let at = ring.next_frame().0;
                    ring.close();
                    spec.previous_epoch = Some(spec.epoch);
                    spec.epoch = Epoch(spec.epoch.0 + 1);
                    spec.first_frame = FrameIndex(at + u64::from(rate_hz));
                    ring = RingWriter::create(dir, &spec)?;
                    (begin, origin) = (Instant::now(), spec.first_frame.0);
                }
                ("anew", _) => {
                    ring.close();
                    spec.session = SessionId(*b"a later session!");
                    (spec.epoch, spec.previous_epoch, spec.first_frame) = (Epoch(1), None, FrameIndex(0));
                    ring = RingWriter::create(dir, &spec)?;
                    (begin, origin) = (Instant::now(), 0);
                }
                (other, _) => bail!("no order: {other}"),
            },
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {}
        }
        let from = ring.next_frame().0;
        if from >= last {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        if gap_frames > 0 {
            ring.mark_gap(FrameIndex(from), FrameIndex(from + gap_frames), 5);
            for _ in 0..gap_frames.div_ceil(block) {
                let frames = usize::try_from(block.min(from + gap_frames - ring.next_frame().0))?;
                ring.write(&vec![0.0; frames * signals.len()], frames);
            }
            continue;
        }
        planar.clear();
        for signal in signals {
            planar.extend((from..from + block).map(|frame| signal.at(frame, rate_hz)));
        }
        ring.write(&planar, usize::try_from(block)?);
        let due = begin + Duration::from_secs_f64((ring.next_frame().0 - origin) as f64 / f64::from(rate_hz));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

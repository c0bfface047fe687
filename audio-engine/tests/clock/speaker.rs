//! An output on the simulated time: its callbacks are up to 2 ms late, and it plays the ring of a stream.

#![expect(unsafe_code, reason = "samples by raw pointer, as a device gives them")]

use super::{BEGIN_NS, BLOCK, Dice, RATE_HZ, SESSION, clock};
use audio_engine::output::{Gauge, Pilot, Play, Playback, Player, Reading, playback};
use cpal::{Data, SampleFormat};
use shm_layout::{FrameIndex, RingReader};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

const CHANNELS: usize = 2;

/// A player that leads, and its device.
pub(crate) struct Speaker {
    player: Player,
    callback: Playback,
    play: Arc<Play>,
    gauge: Arc<Gauge>,
    period: usize,
    period_s: f64,
    next_s: f64,
    last_s: f64,
    dice: Dice,
    /// What it has played on its first channel.
    heard: Vec<f32>,
    /// The frame of the ring that the next one to be looked at is, and how many were.
    place: Option<FrameIndex>,
    looked: usize,
}

impl Speaker {
    /// A device of this nominal rate, rate error and period.
    pub(crate) fn new(
        dir: &Path,
        stream: &str,
        pilot: &Arc<Pilot>,
        (rate_hz, ppm, period): (u32, f64, usize),
        at_s: f64,
    ) -> Self {
        let (play, gauge) = (Arc::new(Play::default()), Arc::new(Gauge::default()));
        let (samples, asked, callback) = playback(CHANNELS, rate_hz as usize / 4 + 4 * period, &play);
        let stream = Arc::new(Mutex::new(stream.to_owned()));
        let block_frames = u32::try_from(BLOCK).unwrap();
        let reading = Reading { dir: dir.to_owned(), session: SESSION, stream, block_frames };
        let player = Player::new((samples, asked), &play, &gauge, reading, rate_hz, CHANNELS);
        let player = player.leading(Arc::clone(pilot), clock());
        let period_s = period as f64 / f64::from(rate_hz) / (1.0 + 1e-6 * ppm);
        let (heard, dice) = (Vec::new(), Dice(8));
        Self {
            player,
            callback,
            play,
            gauge,
            period,
            period_s,
            next_s: at_s,
            last_s: at_s,
            dice,
            heard,
            place: None,
            looked: 0,
        }
    }

    /// All callbacks until then; the player wakes up then.
    pub(crate) fn run(&mut self, until_s: f64) {
        loop {
            // One that is held up holds up those behind it.
            let at_s = (self.next_s + 0.002 * self.dice.roll()).max(self.last_s);
            if at_s > until_s {
                break;
            }
            (self.next_s, self.last_s) = (self.next_s + self.period_s, at_s);
            let mut samples = vec![9.0_f32; self.period * CHANNELS];
            // SAFETY: the vector holds this many initialised f32 and is borrowed for the whole call.
            let mut data = unsafe { Data::from_parts(samples.as_mut_ptr().cast(), samples.len(), SampleFormat::F32) };
            self.callback.on_period_at(nanoseconds(at_s), &mut data);
            self.heard.extend(samples.iter().step_by(CHANNELS));
        }
        self.player.turn(nanoseconds(until_s));
    }

    /// What was played since the last look is the ring, frame by frame and bit by bit.
    pub(crate) fn is_the_ring(&mut self, ring: &RingReader) {
        let place = self.place.unwrap_or_else(|| {
            self.looked = self.heard.len() - BLOCK;
            let from = ring.commit().back(u64::from(RATE_HZ));
            let mut there = vec![0.0; RATE_HZ as usize];
            ring.read(from, &mut there, RATE_HZ as usize).unwrap();
            let is_it = |window: &[f32]| same(window, &self.heard[self.looked..]);
            from.plus(there.windows(BLOCK).position(is_it).expect("what is heard is in the ring") as u64)
        });
        let heard = &self.heard[self.looked..];
        let mut there = vec![0.0; heard.len()];
        ring.read(place, &mut there, heard.len()).unwrap();
        assert!(same(&there, heard), "from {place} on something else is heard");
        (self.place, self.looked) = (Some(place.plus(heard.len() as u64)), self.heard.len());
    }

    /// Periods that ran dry, and frames of the ring that were left out.
    pub(crate) fn faults(&self) -> [u64; 2] {
        [&self.play.underruns, &self.gauge.skipped_frames].map(|count| count.load(Ordering::Relaxed))
    }

    /// From a frame's commit to the end of its period.
    pub(crate) fn delay_ms(&self) -> f64 {
        self.gauge.delay_us.load(Ordering::Relaxed) as f64 / 1e3
    }
}

fn same(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a simulation")]
fn nanoseconds(seconds: f64) -> u64 {
    debug_assert!(seconds * 1e9 >= BEGIN_NS as f64 - 1e9);
    (seconds * 1e9) as u64
}

//! Sounds in which nobody speaks: the same in every run, of any length.

use crate::Chance;
use std::f64::consts::TAU;

/// Their rate.
pub const SOUNDS_RATE_HZ: u32 = 16_000;

/// Loud, and not clipped.
const LOUD: f64 = 0.3;
/// As loud as noise is at -20 dBFS.
const USUAL: f64 = 0.1;

/// A sound in which nobody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// Zeros.
    Silence,
    /// What a good microphone has in a quiet room: noise at -66 dBFS.
    Room,
    /// White noise.
    White,
    /// Pink noise: as much in each octave.
    Pink,
    /// Pink noise that grows and fades, up to four times a second, as a sea does, and as syllables do.
    Surf,
    /// The mains of Europe, with their overtones.
    Hum50,
    /// Those of America.
    Hum60,
    /// Another tone each half second, from 60 to 6,000 Hz.
    Tones,
    /// A tone that glides up and down.
    Siren,
    /// Another chord each second, struck and fading as a piano's.
    Chords,
    /// Clicks of one to five milliseconds, at any time, five in a second.
    Clicks,
    /// A metronome in a room that answers.
    Ticks,
}

impl Sound {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Silence,
        Self::Room,
        Self::White,
        Self::Pink,
        Self::Surf,
        Self::Hum50,
        Self::Hum60,
        Self::Tones,
        Self::Siren,
        Self::Chords,
        Self::Clicks,
        Self::Ticks,
    ];

    /// Its name as that of a stream.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// So many seconds of it.
    #[must_use]
    pub fn samples(self, seconds: u32) -> Vec<i16> {
        let count = seconds as usize * SOUNDS_RATE_HZ as usize;
        let sound: Vec<f64> = match self {
            Self::Silence => vec![0.0; count],
            Self::Room => white(1).map(|noise| noise * 0.0009).take(count).collect(),
            Self::White => white(2).map(|noise| noise * USUAL * 1.7).take(count).collect(),
            Self::Pink => pink(3).map(|noise| noise * USUAL).take(count).collect(),
            Self::Surf => surf(4).take(count).collect(),
            Self::Hum50 => hum(50.0).take(count).collect(),
            Self::Hum60 => hum(60.0).take(count).collect(),
            Self::Tones => tones(5).take(count).collect(),
            Self::Siren => siren().take(count).collect(),
            Self::Chords => chords(6).take(count).collect(),
            Self::Clicks => clicks(7, count),
            Self::Ticks => ticks(8, count),
        };
        #[expect(clippy::cast_possible_truncation, reason = "clamped")]
        sound.into_iter().map(|sample| (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16).collect()
    }
}

fn times() -> impl Iterator<Item = f64> {
    (0_u32..).map(|n| f64::from(n) / f64::from(SOUNDS_RATE_HZ))
}

/// A fraction between -1 and 1.
fn fraction(chance: &mut Chance) -> f64 {
    chance.below(2_000_001) as f64 / 1e6 - 1.0
}

/// A number less than `bound`.
fn below(chance: &mut Chance, bound: usize) -> usize {
    usize::try_from(chance.below(bound.max(1) as u64)).unwrap_or(0)
}

fn white(seed: u64) -> impl Iterator<Item = f64> {
    let mut chance = Chance::of(seed);
    std::iter::repeat_with(move || fraction(&mut chance))
}

/// Voss and McCartney: sixteen rows of noise, each held twice as long as the one before.
fn pink(seed: u64) -> impl Iterator<Item = f64> {
    let mut chance = Chance::of(seed);
    let mut rows = [0.0_f64; 16];
    (1_u32..).map(move |n| {
        let row = (n.trailing_zeros() as usize).min(rows.len() - 1);
        rows[row] = fraction(&mut chance);
        rows.iter().sum::<f64>() / 2.3
    })
}

fn surf(seed: u64) -> impl Iterator<Item = f64> {
    pink(seed).zip(times()).map(|(noise, t)| {
        let pace_hz = 1.0 + 3.0 * (0.05 * TAU * t).sin().abs();
        noise * USUAL * 1.5 * (0.5 * TAU * pace_hz * t).sin().powi(2)
    })
}

fn hum(mains_hz: f64) -> impl Iterator<Item = f64> {
    let overtones = move |t: f64| (1..8).map(move |n| (TAU * mains_hz * f64::from(n) * t).sin() / f64::from(n * n));
    times().map(move |t| USUAL * overtones(t).sum::<f64>())
}

/// Holds what chance draws for so long; the time since it was drawn stands beside it.
fn held<T: Clone>(length_s: f64, mut draw: impl FnMut() -> T) -> impl Iterator<Item = (T, f64)> {
    let mut now = (draw(), -1.0_f64);
    times().map(move |t| {
        let turn = (t / length_s).floor();
        if turn > now.1 {
            now = (draw(), turn);
        }
        (now.0.clone(), t - turn * length_s)
    })
}

fn tones(seed: u64) -> impl Iterator<Item = f64> {
    let mut chance = Chance::of(seed);
    // As many in each octave.
    let hz = move || 60.0 * 100_f64.powf(chance.below(1_000) as f64 / 1e3);
    held(0.5, hz).map(|(hz, t)| LOUD * (TAU * hz * t).sin() * (t * 200.0).min(1.0) * ((0.5 - t) * 200.0).min(1.0))
}

fn siren() -> impl Iterator<Item = f64> {
    let mut phase = 0.0;
    times().map(move |t| {
        let hz = 500.0 * 2_f64.powf((TAU * 0.3 * t).sin());
        phase = (phase + hz / f64::from(SOUNDS_RATE_HZ)).fract();
        LOUD * (TAU * phase).sin()
    })
}

fn chords(seed: u64) -> impl Iterator<Item = f64> {
    const CHORDS: [[i32; 3]; 4] = [[0, 4, 7], [0, 3, 7], [0, 4, 9], [0, 5, 9]];
    let mut chance = Chance::of(seed);
    let draw = move || (i32::try_from(chance.below(25)).unwrap_or(0) - 12, CHORDS[below(&mut chance, CHORDS.len())]);
    let key = |note: i32, t: f64| {
        let hz = 220.0 * 2_f64.powf(f64::from(note) / 12.0);
        (1..6).map(|n| (TAU * hz * f64::from(n) * t).sin() / f64::from(n * n)).sum::<f64>()
    };
    held(1.0, draw).map(move |((root, chord), t)| {
        let struck = (t * 200.0).min(1.0) * (-3.0 * t).exp();
        LOUD / 2.0 * struck * chord.iter().map(|note| key(root + note, t)).sum::<f64>()
    })
}

fn clicks(seed: u64, count: usize) -> Vec<f64> {
    let mut chance = Chance::of(seed);
    let mut sound = vec![0.0; count];
    for _ in 0..count / (SOUNDS_RATE_HZ as usize / 5) {
        let at = below(&mut chance, count);
        let length = 16 + below(&mut chance, 64);
        for sample in sound.iter_mut().skip(at).take(length) {
            *sample = 0.7 * fraction(&mut chance);
        }
    }
    sound
}

fn ticks(seed: u64, count: usize) -> Vec<f64> {
    let mut noise = white(seed);
    let tick = |t: f64, noise: f64| 0.6 * (-60.0 * t).exp() * ((TAU * 1_800.0 * t).sin() + 0.3 * noise);
    times().take(count).map(|t| tick(t % 0.5, noise.next().unwrap_or(0.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(samples: &[i16]) -> f64 {
        (samples.iter().map(|&s| (f64::from(s) / 32_768.0).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn each_has_its_length_and_is_as_loud_as_it_says() {
        for sound in Sound::ALL {
            let samples = sound.samples(12);
            assert_eq!(samples.len(), 12 * SOUNDS_RATE_HZ as usize, "{sound:?}");
            assert_eq!(samples, sound.samples(12), "{sound:?} is another one the second time");
            let loud = rms(&samples);
            let expected = match sound {
                Sound::Silence => 0.0..=0.0,
                Sound::Room => 0.0004..=0.0006,
                _ => 0.02..=0.25,
            };
            assert!(expected.contains(&loud), "{sound:?}: {loud}");
            let clipped = samples.iter().filter(|s| s.unsigned_abs() > 32_700).count();
            assert!(clipped * 1_000 < samples.len(), "{sound:?}: {clipped} samples are clipped");
        }
    }
}

//! A compressor: what is above a threshold grows more slowly.
//!
//! Feed-forward, after Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design: a tutorial and
//! analysis" (2012): a soft knee, its reduction smoothed in decibels by the smooth, decoupled peak
//! detector, so that neither has a corner. All channels get the gain of the loudest.

use crate::gain::{Decibels, Ramp};
use crate::sample::finite;

/// What a compressor does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compression {
    /// The level from which on it acts, in dBFS.
    pub threshold_db: f32,
    /// By how many dB the input rises for one of the output: 1 does nothing.
    pub ratio: f32,
    /// The width of the bend around the threshold, in dB.
    pub knee_db: f32,
    /// The time in which 63 % of a reduction comes into effect.
    pub attack_s: f32,
    /// The time in which 63 % of it goes.
    pub release_s: f32,
    /// What is added to everything, in dB.
    pub make_up_db: f32,
}

impl Default for Compression {
    /// Gentle, for speech.
    fn default() -> Self {
        Self { threshold_db: -20.0, ratio: 3.0, knee_db: 6.0, attack_s: 0.010, release_s: 0.150, make_up_db: 0.0 }
    }
}

/// The compressor of a planar signal.
#[derive(Debug, Clone)]
pub struct Compressor {
    rate_hz: f32,
    channels: usize,
    glide_frames: u32,
    setting: Compression,
    attack: f32,
    release: f32,
    make_up: Ramp,
    /// From 0, as if it were not there, to 1.
    presence: Ramp,
    /// The detector's two stages, in dB of reduction.
    held_db: f32,
    smooth_db: f32,
    deepest_db: f32,
}

/// A reduction below this is none, long before it is denormal.
const NOTHING_DB: f32 = 1e-5;

impl Compressor {
    /// Off, for so many channels; changes glide for so many frames.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are below 2^24")]
    pub fn new(rate_hz: u32, channels: usize, glide_frames: u32) -> Self {
        Self {
            rate_hz: rate_hz as f32,
            channels,
            glide_frames,
            setting: Compression::default(),
            attack: 0.0,
            release: 0.0,
            make_up: Ramp::new(1.0),
            presence: Ramp::new(0.0),
            held_db: 0.0,
            smooth_db: 0.0,
            deepest_db: 0.0,
        }
    }

    /// Sets what it does; `None` is off. What is no finite number changes nothing.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    pub fn set(&mut self, setting: Option<Compression>) {
        let Some(new) = setting else { return self.presence.glide_to(0.0, self.glide_frames) };
        let all = [new.threshold_db, new.ratio, new.knee_db, new.attack_s, new.release_s, new.make_up_db];
        if !all.iter().all(|value| value.is_finite()) {
            return;
        }
        self.setting = Compression { ratio: new.ratio.max(1.0), knee_db: new.knee_db.max(0.0), ..new };
        let keeping = |seconds: f32| (-1.0 / (seconds * self.rate_hz).max(0.1)).exp();
        (self.attack, self.release) = (keeping(new.attack_s), keeping(new.release_s));
        self.make_up.glide_to(Decibels(new.make_up_db).to_gain(), self.glide_frames);
        self.presence.glide_to(1.0, self.glide_frames);
    }

    /// Compresses in place, `[channels][frames]`. Samples that are no finite numbers count as silence, except while it
    /// is off: then it touches nothing.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        assert_eq!(planar.len(), self.channels * frames, "planar is [channels][frames]");
        for frame in 0..frames {
            if self.is_off() {
                (self.held_db, self.smooth_db) = (0.0, 0.0);
                break;
            }
            let mut peak = 0.0_f32;
            for channel in 0..self.channels {
                peak = peak.max(finite(planar[channel * frames + frame]).abs());
            }
            self.detect(peak);
            let reduced = if self.smooth_db == 0.0 { 1.0 } else { Decibels(-self.smooth_db).to_gain() };
            let (gain, presence) = (reduced * self.make_up.advance(), self.presence.advance());
            // Exactly 1 where nothing is reduced, however far it is there.
            let gain = 1.0 + presence * (gain - 1.0);
            for channel in 0..self.channels {
                let sample = &mut planar[channel * frames + frame];
                *sample = finite(*sample) * gain;
            }
        }
        self.deepest_db = self.deepest_db.max(self.smooth_db);
    }

    /// Whether it passes every bit from now on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.presence.is_settled() && self.presence.value() == 0.0
    }

    /// The deepest reduction at the end of a block since the last time, in dB, 0 or more.
    pub fn take_reduction_db(&mut self) -> f32 {
        std::mem::take(&mut self.deepest_db)
    }

    /// Forgets the signal and jumps to what is set.
    pub fn reset(&mut self) {
        self.make_up.settle();
        self.presence.settle();
        (self.held_db, self.smooth_db, self.deepest_db) = (0.0, 0.0, 0.0);
    }

    fn detect(&mut self, peak: f32) {
        let wanted_db = self.setting.reduction_db(peak);
        self.held_db = wanted_db.max(self.release * self.held_db + (1.0 - self.release) * wanted_db);
        self.smooth_db = self.attack * self.smooth_db + (1.0 - self.attack) * self.held_db;
        for level in [&mut self.held_db, &mut self.smooth_db] {
            if *level < NOTHING_DB {
                *level = 0.0;
            }
        }
    }
}

impl Compression {
    /// By how much a magnitude is to be reduced, in dB.
    fn reduction_db(&self, magnitude: f32) -> f32 {
        // A logarithm is dear: most samples lie below.
        if magnitude <= 1e-6 {
            return 0.0;
        }
        let over_db = Decibels::from_gain(magnitude).0 - self.threshold_db;
        let slope = 1.0 - 1.0 / self.ratio;
        if 2.0 * over_db <= -self.knee_db {
            0.0
        } else if 2.0 * over_db < self.knee_db {
            slope * (over_db + self.knee_db / 2.0).powi(2) / (2.0 * self.knee_db)
        } else {
            slope * over_db
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settled(setting: Compression, level_db: f32) -> f32 {
        let mut compressor = Compressor::new(48_000, 1, 480);
        compressor.set(Some(setting));
        compressor.reset();
        let mut samples = vec![Decibels(level_db).to_gain(); 48_000];
        compressor.process(&mut samples, 48_000);
        Decibels::from_gain(samples[47_999]).0
    }

    #[test]
    fn levels_follow_threshold_ratio_and_make_up() {
        let setting = Compression { ratio: 4.0, make_up_db: 6.0, ..Compression::default() };
        assert!((settled(setting, -40.0) - (-34.0)).abs() < 0.01);
        assert!((settled(setting, 0.0) - (-20.0 + 5.0 + 6.0)).abs() < 0.05);
        // In the middle of the knee: (1 - 1/4) * (6/2)^2 / (2 * 6).
        assert!((settled(setting, -20.0) - (-20.0 - 0.5625 + 6.0)).abs() < 0.01);
        let hard = Compression { knee_db: 0.0, ..setting };
        assert!((settled(hard, -20.0) - (-14.0)).abs() < 0.01);
        assert!((settled(Compression { ratio: 1.0, ..setting }, 0.0) - 6.0).abs() < 0.01);
    }

    #[test]
    fn attack_and_release_take_their_time() {
        let mut compressor = Compressor::new(48_000, 1, 0);
        compressor.set(Some(Compression { ratio: 1e9, knee_db: 0.0, ..Compression::default() }));
        let mut loud = vec![1.0; 480];
        compressor.process(&mut loud, 480);
        let after_attack = -Decibels::from_gain(loud[479]).0;
        assert!((after_attack - 20.0 * 0.632).abs() < 0.1, "{after_attack}");
        let mut long = vec![1.0; 48_000];
        compressor.process(&mut long, 48_000);
        let mut quiet = vec![0.01; 7_200];
        compressor.process(&mut quiet, 7_200);
        let after_release = -Decibels::from_gain(quiet[7_199] / 0.01).0;
        // The attack's stage follows the release's by 10 ms.
        assert!((20.0 * 0.368..20.0 * 0.42).contains(&after_release), "{after_release}");
        assert!((compressor.take_reduction_db() - 20.0).abs() < 0.1);
    }

    #[test]
    fn channels_are_linked_and_poison_is_silence() {
        let mut compressor = Compressor::new(48_000, 2, 0);
        compressor.set(Some(Compression::default()));
        compressor.set(Some(Compression { ratio: f32::NAN, ..Compression::default() }));
        let mut planar = vec![1.0; 2 * 4_800];
        planar[4_800..].fill(0.1);
        planar[7] = f32::NAN;
        planar[9] = f32::INFINITY;
        compressor.process(&mut planar, 4_800);
        assert!(planar[7] == 0.0 && planar[9] == 0.0 && planar.iter().all(|sample| sample.is_finite()));
        assert!((planar[4_799] / planar[9_599] - 10.0).abs() < 1e-4);
    }

    proptest! {
        /// Switched and turned at any time, the gain never leaps.
        #[test]
        fn nothing_clicks_and_cuts_do_not_show(
            settings in prop::collection::vec(
                (prop::option::of((-60.0_f32..0.0, 1.0_f32..20.0, 0.0_f32..20.0, 0.0_f32..12.0)), 1_usize..900), 1..8),
            cut in 1_usize..500,
        ) {
            let (mut whole, mut cut_up) = (Compressor::new(48_000, 1, 480), Compressor::new(48_000, 1, 480));
            let mut last = 0.5_f32;
            for (setting, frames) in settings {
                let setting = setting.map(|(threshold_db, ratio, knee_db, make_up_db)| {
                    Compression { threshold_db, ratio, knee_db, make_up_db, ..Compression::default() }
                });
                whole.set(setting);
                cut_up.set(setting);
                let (mut a, mut b) = (vec![0.5; frames], vec![0.5; frames]);
                whole.process(&mut a, frames);
                b.chunks_mut(cut).for_each(|part| cut_up.process(part, part.len()));
                for (&a, &b) in a.iter().zip(&b) {
                    prop_assert_eq!(a, b);
                    prop_assert!((a - last).abs() < 0.03, "{} after {}", a, last);
                    last = a;
                }
            }
        }
    }
}

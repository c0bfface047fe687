//! A noise gate: what stays below a threshold is turned down, so that a room's noise is not heard while nobody speaks.
//!
//! It opens at the threshold and closes only below another one that is lower (hysteresis), and not before a time has
//! passed (hold): a voice that dies away, or a low tone between its crests, does not make it flutter. All channels get
//! one gain, by the loudest of them.

use crate::gain::{Decibels, Ramp};
use crate::sample::finite;

/// What a gate does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gating {
    /// The level from which on it is open, in dBFS.
    pub threshold_db: f32,
    /// By how much lower the level is below which it closes, in dB.
    pub hysteresis_db: f32,
    /// By how much it turns down what it closes for, in dB.
    pub range_db: f32,
    /// The time in which 63 % of the way to open is gone.
    pub attack_s: f32,
    /// How long it stays open after the last sample that kept it open.
    pub hold_s: f32,
    /// The time in which 63 % of the way to closed is gone.
    pub release_s: f32,
}

impl Default for Gating {
    /// For speech: opens within a consonant, stays open between words.
    fn default() -> Self {
        Self {
            threshold_db: -50.0,
            hysteresis_db: 6.0,
            range_db: 40.0,
            attack_s: 0.002,
            hold_s: 0.200,
            release_s: 0.100,
        }
    }
}

/// The gate of a planar signal.
#[derive(Debug, Clone)]
pub struct Gate {
    rate_hz: f32,
    channels: usize,
    glide_frames: u32,
    /// Magnitudes from which on it opens, and below which it closes.
    opens_at: f32,
    closes_at: f32,
    floor: f32,
    attack: f32,
    release: f32,
    hold_frames: u32,
    /// From 0, as if it were not there, to 1.
    presence: Ramp,
    is_open: bool,
    /// Frames of the hold that are left.
    held: u32,
    gain: f32,
}

/// A gain that is as near to where it goes has arrived: -100 dB of the signal, which is no click.
const ARRIVED: f32 = 1e-5;

impl Gate {
    /// Off, for so many channels; switching glides for so many frames.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are below 2^24")]
    pub fn new(rate_hz: u32, channels: usize, glide_frames: u32) -> Self {
        Self {
            rate_hz: rate_hz as f32,
            channels,
            glide_frames,
            opens_at: 0.0,
            closes_at: 0.0,
            floor: 0.0,
            attack: 0.0,
            release: 0.0,
            hold_frames: 0,
            presence: Ramp::new(0.0),
            is_open: true,
            held: 0,
            gain: 1.0,
        }
    }

    /// Sets what it does; `None` is off. What is no finite number changes nothing. Switched on it is open, and closes
    /// when there is nothing to hear.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything but [`new`](Self::new).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few seconds of frames; `as` saturates"
    )]
    pub fn set(&mut self, setting: Option<Gating>) {
        let Some(new) = setting else { return self.presence.glide_to(0.0, self.glide_frames) };
        let all = [new.threshold_db, new.hysteresis_db, new.range_db, new.attack_s, new.hold_s, new.release_s];
        if !all.iter().all(|value| value.is_finite()) {
            return;
        }
        self.opens_at = Decibels(new.threshold_db).to_gain();
        self.closes_at = Decibels(new.threshold_db - new.hysteresis_db.max(0.0)).to_gain();
        self.floor = Decibels(-new.range_db.max(0.0)).to_gain();
        let step = |seconds: f32| 1.0 - (-1.0 / (seconds * self.rate_hz).max(0.1)).exp();
        (self.attack, self.release) = (step(new.attack_s), step(new.release_s));
        self.hold_frames = (new.hold_s.max(0.0) * self.rate_hz) as u32;
        self.presence.glide_to(1.0, self.glide_frames);
    }

    /// Gates in place, `[channels][frames]`. Samples that are no finite numbers count as silence, except while it is
    /// off: then it touches nothing. Open it passes every bit.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    pub fn process(&mut self, planar: &mut [f32], frames: usize) {
        assert_eq!(planar.len(), self.channels * frames, "planar is [channels][frames]");
        for frame in 0..frames {
            if self.is_off() {
                self.open();
                break;
            }
            let mut peak = 0.0_f32;
            for channel in 0..self.channels {
                peak = peak.max(finite(planar[channel * frames + frame]).abs());
            }
            self.advance(peak);
            // Exactly 1 where it is open, however far it is there.
            let gain = 1.0 + self.presence.advance() * (self.gain - 1.0);
            for channel in 0..self.channels {
                let sample = &mut planar[channel * frames + frame];
                *sample = finite(*sample) * gain;
            }
        }
    }

    /// Whether it passes every bit from now on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.presence.is_settled() && self.presence.value() == 0.0
    }

    /// Forgets the signal and jumps to what is set: open.
    pub fn reset(&mut self) {
        self.presence.settle();
        self.open();
    }

    fn open(&mut self) {
        (self.is_open, self.held, self.gain) = (true, self.hold_frames, 1.0);
    }

    /// One frame of this magnitude: where the gain goes, and a step of its way.
    fn advance(&mut self, peak: f32) {
        self.is_open = peak >= self.opens_at || (self.is_open && (peak >= self.closes_at || self.held > 0));
        if peak >= if self.is_open { self.closes_at } else { self.opens_at } {
            self.held = self.hold_frames;
        } else {
            self.held = self.held.saturating_sub(1);
        }
        let (target, share) = if self.is_open { (1.0, self.attack) } else { (self.floor, self.release) };
        self.gain += share * (target - self.gain);
        if (self.gain - target).abs() < ARRIVED {
            self.gain = target;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// So many frames of one level.
    fn passed(gate: &mut Gate, level_db: f32, frames: usize) -> Vec<f32> {
        let mut samples = vec![Decibels(level_db).to_gain(); frames];
        gate.process(&mut samples, frames);
        samples
    }

    fn gate(setting: Gating) -> Gate {
        let mut gate = Gate::new(48_000, 1, 480);
        gate.set(Some(setting));
        gate.reset();
        gate
    }

    fn last_db(samples: &[f32]) -> f32 {
        Decibels::from_gain(samples[samples.len() - 1]).0
    }

    #[test]
    fn what_is_above_passes_bit_by_bit_and_what_is_below_is_turned_down_by_the_range() {
        let mut gate = gate(Gating::default());
        assert!(passed(&mut gate, -49.0, 48_000).iter().all(|&sample| sample == Decibels(-49.0).to_gain()));
        assert!((last_db(&passed(&mut gate, -60.0, 96_000)) - (-100.0)).abs() < 0.1);
        let loud = passed(&mut gate, -20.0, 4_800);
        assert_eq!(loud[4_799], Decibels(-20.0).to_gain(), "open again, all of it");
    }

    #[test]
    fn hold_attack_and_release_take_their_time() {
        let mut gate = gate(Gating { range_db: 200.0, ..Gating::default() });
        passed(&mut gate, -20.0, 480);
        // 200 ms of hold, then 63 % of the way in 100 ms.
        let quiet = passed(&mut gate, -70.0, 14_400);
        let gain = |frame: usize| quiet[frame] / Decibels(-70.0).to_gain();
        assert!(gain(9_599) == 1.0 && gain(9_650) < 1.0);
        assert!((gain(14_399) - 0.368).abs() < 0.01, "{}", gain(14_399));
        passed(&mut gate, -70.0, 96_000);
        let loud = passed(&mut gate, 0.0, 96);
        assert!((loud[95] - 0.632).abs() < 0.01, "{}", loud[95]);
    }

    #[test]
    fn between_its_thresholds_it_stays_as_it_is() {
        let mut gate = gate(Gating { hold_s: 0.0, ..Gating::default() });
        passed(&mut gate, -49.0, 480);
        assert!((last_db(&passed(&mut gate, -55.0, 96_000)) - (-55.0)).abs() < 0.01, "open stays open");
        passed(&mut gate, -57.0, 96_000);
        assert!((last_db(&passed(&mut gate, -55.0, 96_000)) - (-95.0)).abs() < 0.1, "closed stays closed");
    }

    #[test]
    fn channels_are_linked_and_poison_is_silence() {
        let mut gate = Gate::new(48_000, 2, 0);
        gate.set(Some(Gating::default()));
        gate.set(Some(Gating { threshold_db: f32::NAN, ..Gating::default() }));
        let mut planar = vec![0.5; 2 * 48_000];
        planar[48_000..].fill(1e-4);
        (planar[7], planar[9]) = (f32::NAN, f32::INFINITY);
        gate.process(&mut planar, 48_000);
        assert!(planar[7] == 0.0 && planar[9] == 0.0);
        assert!(planar[48_000..].iter().all(|&sample| sample == 1e-4), "the other channel keeps it open");
    }

    proptest! {
        /// Set and switched at any time, over loud and quiet: the gain never leaps, and off it is not there.
        #[test]
        fn nothing_clicks_and_cuts_do_not_show(
            settings in prop::collection::vec(
                (prop::option::of((-80.0_f32..0.0, 0.0_f32..12.0, 0.0_f32..80.0)), 0.0_f32..1.0, 1_usize..2_000), 1..8),
            cut in 1_usize..500,
        ) {
            let (mut whole, mut cut_up) = (Gate::new(48_000, 1, 480), Gate::new(48_000, 1, 480));
            let mut last = 1.0_f32;
            for (setting, level, frames) in settings {
                let setting = setting.map(|(threshold_db, hysteresis_db, range_db)| {
                    Gating { threshold_db, hysteresis_db, range_db, hold_s: 0.002, ..Gating::default() }
                });
                whole.set(setting);
                cut_up.set(setting);
                let level = level.max(1e-4);
                let (mut a, mut b) = (vec![level; frames], vec![level; frames]);
                whole.process(&mut a, frames);
                b.chunks_mut(cut).for_each(|part| cut_up.process(part, part.len()));
                prop_assert_eq!(&a, &b);
                for &sample in &a {
                    let gain = sample / level;
                    prop_assert!((gain - last).abs() < 0.015, "a gain of {} after {}", gain, last);
                    last = gain;
                }
            }
            whole.set(None);
            let mut rest = vec![0.3; 480];
            whole.process(&mut rest, 480);
            prop_assert!(whole.is_off());
            let mut after = vec![1e-6; 48_000];
            whole.process(&mut after, 48_000);
            prop_assert!(after.iter().all(|&sample| sample == 1e-6));
        }
    }
}

//! Gains: decibels, and the glide from one gain to the next.

/// A gain in decibels of amplitude; minus infinity is silence.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Decibels(pub f32);

impl Decibels {
    /// Unchanged.
    pub const UNITY: Self = Self(0.0);
    /// Nothing left.
    pub const SILENCE: Self = Self(f32::NEG_INFINITY);

    /// The factor, `10^(dB / 20)`: 0 dB is exactly 1, minus infinity exactly 0. What is no number is silence.
    #[must_use]
    pub fn to_gain(self) -> f32 {
        if self.0.is_nan() { 0.0 } else { 10.0_f32.powf(self.0 / 20.0) }
    }

    /// The decibels of a factor's magnitude.
    #[must_use]
    pub fn from_gain(gain: f32) -> Self {
        if gain.is_nan() { Self::SILENCE } else { Self(20.0 * gain.abs().log10()) }
    }
}

/// A value that glides linearly to its target, one step a frame.
///
/// Both ends are exact: the frame before the glide has the old value, its last frame the new one. The value of a frame
/// does not depend on how the frames were cut into blocks.
#[derive(Debug, Clone, Copy)]
pub struct Ramp {
    from: f32,
    to: f32,
    /// Frames of the glide, and how many of them are over.
    frames: u32,
    done: u32,
}

impl Ramp {
    /// Settled at a value.
    #[must_use]
    pub const fn new(value: f32) -> Self {
        Self { from: value, to: value, frames: 0, done: 0 }
    }

    /// From where it is now, glides to `target` within so many frames; 0 frames jump. A target that is no finite
    /// number, or the one that it has already, changes nothing.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything else here.
    pub fn glide_to(&mut self, target: f32, frames: u32) {
        if target.is_finite() && target.to_bits() != self.to.to_bits() {
            *self = Self { from: self.value(), to: target, frames, done: 0 };
        }
    }

    /// Jumps to its target.
    pub fn settle(&mut self) {
        *self = Self::new(self.to);
    }

    /// The value of the last frame taken.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a glide has far fewer than 2^24 frames")]
    pub fn value(&self) -> f32 {
        if self.is_settled() {
            return self.to;
        }
        self.from + (self.to - self.from) * (self.done as f32 / self.frames as f32)
    }

    /// Where it goes.
    #[must_use]
    pub const fn target(&self) -> f32 {
        self.to
    }

    /// Whether it has arrived.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.done >= self.frames
    }

    /// The value of the next frame.
    pub fn advance(&mut self) -> f32 {
        self.done = self.done.saturating_add(1).min(self.frames);
        self.value()
    }

    /// The values of the next frames.
    pub fn fill(&mut self, values: &mut [f32]) {
        let mut at = 0;
        while at < values.len() && !self.is_settled() {
            values[at] = self.advance();
            at += 1;
        }
        values[at..].fill(self.to);
    }
}

/// Frames of a time at a rate, rounded up to whole ones.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds are few; `as` saturates")]
pub(crate) fn frames_of(seconds: f64, rate_hz: u32) -> u32 {
    (seconds * f64::from(rate_hz)).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decibels_are_exact_where_it_matters() {
        assert_eq!(Decibels::UNITY.to_gain(), 1.0);
        assert_eq!(Decibels::SILENCE.to_gain(), 0.0);
        assert_eq!(Decibels(f32::NAN).to_gain(), 0.0);
        assert!((Decibels(-6.0206).to_gain() - 0.5).abs() < 1e-6);
        assert_eq!(Decibels::from_gain(1.0), Decibels::UNITY);
        assert_eq!(Decibels::from_gain(0.0), Decibels::SILENCE);
        assert_eq!(Decibels::from_gain(f32::NAN), Decibels::SILENCE);
    }

    #[test]
    fn a_target_that_is_no_number_changes_nothing() {
        let mut ramp = Ramp::new(0.5);
        for target in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            ramp.glide_to(target, 8);
            assert!(ramp.is_settled() && ramp.value() == 0.5);
        }
    }

    proptest! {
        #[test]
        fn decibels_there_and_back(db in -120.0_f32..24.0) {
            prop_assert!((Decibels::from_gain(Decibels(db).to_gain()).0 - db).abs() < 1e-3);
        }

        /// Steps are equal, ends exact, and a new target begins where the old glide was.
        #[test]
        fn a_glide_is_even_and_exact_at_its_ends(
            from in 0.0_f32..4.0, to in 0.0_f32..4.0, then in 0.0_f32..4.0,
            frames in 1_u32..2_000, stop in 0_usize..2_000,
        ) {
            let mut ramp = Ramp::new(from);
            ramp.glide_to(to, frames);
            let mut values = vec![0.0; frames as usize + 3];
            ramp.fill(&mut values);
            let step_max = (to - from).abs() / frames as f32 + 1e-6;
            prop_assert!((values[0] - from).abs() <= step_max);
            prop_assert!(values.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= step_max));
            prop_assert!(values[frames as usize - 1..].iter().all(|&value| value == to) && ramp.is_settled());

            let mut ramp = Ramp::new(from);
            ramp.glide_to(to, frames);
            let stop = stop.min(frames as usize);
            (0..stop).for_each(|_| { ramp.advance(); });
            let held = ramp.value();
            ramp.glide_to(then, frames);
            prop_assert!((ramp.advance() - held).abs() <= (then - held).abs() / frames as f32 + 1e-6);
        }

        #[test]
        fn cuts_do_not_show(frames in 1_u32..700, cut in 0_usize..800) {
            let (mut whole, mut cut_up) = (Ramp::new(0.25), Ramp::new(0.25));
            whole.glide_to(1.0, frames);
            cut_up.glide_to(1.0, frames);
            let (mut a, mut b) = ([0.0; 800], [0.0; 800]);
            whole.fill(&mut a);
            let (first, second) = b.split_at_mut(cut);
            cut_up.fill(first);
            cut_up.fill(second);
            prop_assert_eq!(a, b);
        }
    }
}

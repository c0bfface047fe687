//! Channel layouts, and how the channels of a source reach those of a sum.
//!
//! | channels | order |
//! |---|---|
//! | 1 | mono |
//! | 2 | L R |
//! | 3 | L R C |
//! | 4 | L R Ls Rs (quadraphonic) |
//! | 5 | L R C Ls Rs |
//! | 6 | L R C LFE Ls Rs (5.1) |
//! | 7 | L R C LFE Cs Ls Rs (6.1) |
//! | 8 | L R C LFE Lb Rb Ls Rs (7.1) |
//!
//! L, R, C, the low-frequency channel, backs and sides, in the order of the WAVE format's channel mask.
//! More than eight channels have no names.
//!
//! Rules, in this order:
//! 1. More than eight channels on either side meet by number; what a wider source has beyond the sum's channels starts
//!    again at the first; into mono goes the mean.
//! 2. A speaker that both have passes at 1.
//! 3. Mono goes to L and R at 1.
//! 4. A speaker that the sum lacks goes to its neighbours at 0.7071 (ITU-R BS.775-3, downward mixing, for C, Ls and Rs;
//!    the same for Lb and Rb): C to L and R; Ls to Lb, else L; Lb to Ls, else L; the right ones likewise; Cs to the
//!    pair of surrounds, and at 0.5 to L and R where there is none. The low-frequency channel is dropped.
//! 5. Into mono goes the mean of the stereo downmix.
//!
//! Pan acts on the sum's side: L, Ls, Lb are its left, R, Rs, Rb its right ([`balance`]). A mono sum has no sides.

use crate::pan::balance;
use std::f32::consts::FRAC_1_SQRT_2;

/// The most channels whose speakers have names.
pub const NAMED_CHANNELS_MAX: usize = 8;

/// Where a channel is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The only one.
    Mono,
    /// Front left.
    Left,
    /// Front right.
    Right,
    /// Front centre.
    Centre,
    /// Low frequencies.
    Lfe,
    /// Left surround, at the side.
    SideLeft,
    /// Right surround, at the side.
    SideRight,
    /// Left surround, behind.
    BackLeft,
    /// Right surround, behind.
    BackRight,
    /// Surround in the middle behind.
    BackCentre,
}

use Speaker::{BackCentre, BackLeft, BackRight, Centre, Left, Lfe, Mono, Right, SideLeft, SideRight};

/// The speakers of 1 to 8 channels in their order; empty for more.
#[must_use]
pub const fn speakers(channels: usize) -> &'static [Speaker] {
    match channels {
        1 => &[Mono],
        2 => &[Left, Right],
        3 => &[Left, Right, Centre],
        4 => &[Left, Right, SideLeft, SideRight],
        5 => &[Left, Right, Centre, SideLeft, SideRight],
        6 => &[Left, Right, Centre, Lfe, SideLeft, SideRight],
        7 => &[Left, Right, Centre, Lfe, BackCentre, SideLeft, SideRight],
        8 => &[Left, Right, Centre, Lfe, BackLeft, BackRight, SideLeft, SideRight],
        _ => &[],
    }
}

/// Gains from every channel of a source to every channel of a sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    from: usize,
    to: usize,
    /// `[to][from]`.
    gains: Vec<f32>,
}

impl Routing {
    /// By the rules above, at a pan from -1 (left) to 1 (right).
    ///
    /// # Panics
    /// When a channel count is 0.
    #[must_use]
    pub fn new(from_channels: usize, to_channels: usize, pan: f32) -> Self {
        let mut gains = vec![0.0; from_channels * to_channels];
        route(from_channels, to_channels, pan, &mut gains);
        Self { from: from_channels, to: to_channels, gains }
    }

    /// All gains, `[to_channels][from_channels]`.
    #[must_use]
    pub fn gains(&self) -> &[f32] {
        &self.gains
    }

    /// The gain from one channel to another.
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    pub fn gain(&self, from_channel: usize, to_channel: usize) -> f32 {
        assert!(from_channel < self.from && to_channel < self.to, "channels of the routing");
        self.gains[to_channel * self.from + from_channel]
    }
}

/// Fills `gains`, `[to][from]`.
///
/// # Panics
/// When a channel count is 0 or `gains` is not `from * to` long.
pub(crate) fn route(from: usize, to: usize, pan: f32, gains: &mut [f32]) {
    assert!(from > 0 && to > 0, "routing of no channels");
    assert_eq!(gains.len(), from * to, "gains are [to][from]");
    gains.fill(0.0);
    let (sources, targets) = (speakers(from), speakers(to));
    if to == 1 {
        into_mono(sources, gains);
        return; // no sides
    }
    if from == 1 {
        (gains[0], gains[1]) = (1.0, 1.0);
    } else if sources.is_empty() || targets.is_empty() {
        (0..from).for_each(|channel| gains[channel % to * from + channel] = 1.0);
    } else {
        for (channel, &speaker) in sources.iter().enumerate() {
            for (target, gain) in heard_at(speaker, targets) {
                if let Some(row) = targets.iter().position(|&s| s == target) {
                    gains[row * from + channel] = gain;
                }
            }
        }
    }
    let sides = balance(pan);
    for (row, gains) in gains.chunks_exact_mut(from).enumerate() {
        if let Some(side) = side(targets.get(row).copied(), row) {
            gains.iter_mut().for_each(|gain| *gain *= sides[side]);
        }
    }
}

fn into_mono(sources: &[Speaker], gains: &mut [f32]) {
    let from = gains.len();
    if sources.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "channels are few")]
        gains.fill(1.0 / from as f32);
        return;
    }
    for (gain, &speaker) in gains.iter_mut().zip(sources) {
        let stereo: f32 = heard_at(speaker, speakers(2)).iter().map(|(_, gain)| gain).sum();
        *gain = if speaker == Mono { 1.0 } else { stereo / 2.0 };
    }
}

/// Where a speaker's sound goes, at which gain.
fn heard_at(speaker: Speaker, targets: &[Speaker]) -> [(Speaker, f32); 2] {
    let has = |speaker| targets.contains(&speaker);
    // The second place is nowhere: no wider layout has it.
    let single = |target, gain| [(target, gain), (Mono, 0.0)];
    let fold = FRAC_1_SQRT_2;
    if has(speaker) {
        return single(speaker, 1.0);
    }
    match speaker {
        Centre => [(Left, fold), (Right, fold)],
        SideLeft => single(if has(BackLeft) { BackLeft } else { Left }, fold),
        SideRight => single(if has(BackRight) { BackRight } else { Right }, fold),
        BackLeft => single(if has(SideLeft) { SideLeft } else { Left }, fold),
        BackRight => single(if has(SideRight) { SideRight } else { Right }, fold),
        BackCentre if has(BackLeft) => [(BackLeft, fold), (BackRight, fold)],
        BackCentre if has(SideLeft) => [(SideLeft, fold), (SideRight, fold)],
        BackCentre => [(Left, 0.5), (Right, 0.5)],
        Mono | Left | Right | Lfe => single(Mono, 0.0),
    }
}

/// 0 for the left side, 1 for the right one. Without names even and odd ones.
fn side(speaker: Option<Speaker>, channel: usize) -> Option<usize> {
    match speaker {
        Some(Left | SideLeft | BackLeft) => Some(0),
        Some(Right | SideRight | BackRight) => Some(1),
        Some(Mono | Centre | Lfe | BackCentre) => None,
        None => Some(channel % 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::mix_into;
    use proptest::prelude::*;

    const FOLD: f32 = FRAC_1_SQRT_2;

    fn rows(from: usize, to: usize) -> Vec<Vec<f32>> {
        Routing::new(from, to, 0.0).gains().chunks(from).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn five_point_one_to_stereo_is_bs_775() {
        assert_eq!(rows(6, 2), [[1.0, 0.0, FOLD, 0.0, FOLD, 0.0], [0.0, 1.0, FOLD, 0.0, 0.0, FOLD]]);
        assert_eq!(rows(6, 1), [[0.5, 0.5, FOLD, 0.0, FOLD / 2.0, FOLD / 2.0]]);
    }

    #[test]
    fn wider_layouts_keep_their_sides() {
        let seven_to_five = Routing::new(8, 6, 0.0);
        assert_eq!([seven_to_five.gain(4, 4), seven_to_five.gain(6, 4), seven_to_five.gain(5, 5)], [FOLD, 1.0, FOLD]);
        let quad_to_three = Routing::new(4, 3, 0.0);
        assert_eq!([quad_to_three.gain(2, 0), quad_to_three.gain(3, 1), quad_to_three.gain(3, 0)], [FOLD, FOLD, 0.0]);
        let six_one = Routing::new(7, 6, 0.0);
        assert_eq!([six_one.gain(4, 4), six_one.gain(4, 5), six_one.gain(4, 0)], [FOLD, FOLD, 0.0]);
        assert_eq!([Routing::new(7, 2, 0.0).gain(4, 0), Routing::new(7, 8, 0.0).gain(4, 4)], [0.5, FOLD]);
        assert_eq!(Routing::new(5, 8, 0.0).gain(3, 6), 1.0); // Ls stays at the side
    }

    #[test]
    fn mono_goes_to_both_fronts_and_comes_back_as_their_mean() {
        for to in 2..12 {
            let routing = Routing::new(1, to, 0.0);
            assert!((0..to).all(|channel| routing.gain(0, channel) == if channel < 2 { 1.0 } else { 0.0 }), "{to}");
        }
        assert_eq!(rows(2, 1), [[0.5, 0.5]]);
        assert_eq!(rows(1, 1), [[1.0]]);
    }

    #[test]
    fn pan_moves_sides_and_leaves_the_centre() {
        let left = Routing::new(6, 6, -1.0);
        let through: Vec<f32> = (0..6).map(|channel| left.gain(channel, channel)).collect();
        assert_eq!(through, [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(Routing::new(1, 2, 1.0).gains(), [0.0, 1.0]);
        assert_eq!(Routing::new(2, 1, 1.0).gains(), [0.5, 0.5]);
    }

    #[test]
    fn mono_stereo_and_nameless_channels_meet_as_in_a_plain_sum() {
        for (from, to) in [(1, 1), (2, 2), (1, 2), (2, 1), (2, 3), (9, 9), (12, 9), (9, 12), (16, 2), (10, 1)] {
            for channel in 0..from {
                let mut source = vec![0.0; from];
                source[channel] = 1.0;
                let mut sum = vec![0.0; to];
                mix_into(&mut sum, to, &source, from, 1);
                let routing = Routing::new(from, to, 0.0);
                let routed: Vec<f32> = (0..to).map(|to| routing.gain(channel, to)).collect();
                assert_eq!(routed, sum, "channel {channel} of {from} into {to}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_but_bass_is_lost_and_nothing_amplified(
            from in 1_usize..20, to in 1_usize..20, pan in -1.0_f32..=1.0,
        ) {
            let routing = Routing::new(from, to, pan);
            prop_assert!(routing.gains().iter().all(|gain| (0.0..=1.0).contains(gain)));
            let centred = Routing::new(from, to, 0.0);
            for channel in 0..from {
                let heard = (0..to).any(|to| centred.gain(channel, to) > 0.0);
                let dropped = speakers(from).get(channel) == Some(&Lfe)
                    && to <= NAMED_CHANNELS_MAX && !speakers(to).contains(&Lfe);
                prop_assert_eq!(heard, !dropped, "channel {} of {} into {}", channel, from, to);
            }
        }
    }
}

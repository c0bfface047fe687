use super::*;
use crate::mix::mix_into;
use crate::pan::balance;
use proptest::prelude::*;

const RATE_HZ: u32 = 48_000;
const GLIDE_FRAMES: usize = 231;

fn strip(channels: usize, sum_channels: usize) -> Strip {
    Strip::new(RATE_HZ, channels, sum_channels, GLIDE_SECONDS)
}

fn sine(frames: usize, channels: usize) -> Vec<f32> {
    (0..channels * frames).map(|n| 0.5 * ((n % frames) as f32 * 0.031).sin()).collect()
}

#[test]
fn untouched_it_is_a_plain_sum_bit_for_bit() {
    for (channels, sum_channels) in [(1, 1), (2, 2), (1, 2), (2, 1), (9, 9)] {
        let source = sine(700, channels);
        let mut plain = sine(700, sum_channels);
        let mut sum = plain.clone();
        mix_into(&mut plain, sum_channels, &source, channels, 700);
        strip(channels, sum_channels).add(&mut sum, sum_channels, &source, channels, 700);
        assert_eq!(sum, plain, "{channels} into {sum_channels}");
    }
}

#[test]
fn one_that_joins_or_goes_leaves_the_others_as_they_are() {
    let (first, second) = (sine(4_800, 2), vec![0.125; 2 * 4_800]);
    let (mut one, mut other) = (strip(2, 2), strip(2, 2));
    let mut sum = vec![0.0; 2 * 4_800];
    one.add(&mut sum, 2, &first, 2, 4_800);
    other.add(&mut sum, 2, &second, 2, 4_800);
    let rest = sum.iter().zip(&second).map(|(sum, second)| sum - second);
    assert!(rest.zip(&first).all(|(rest, first)| (rest - first).abs() < 1e-7), "no averaging");
}

#[test]
fn a_shorter_last_block_goes_to_the_head_of_each_plane() {
    let mut sum = vec![0.0; 6];
    strip(2, 2).add(&mut sum, 2, &[1.0, 2.0, 3.0, 4.0], 2, 2);
    assert_eq!(sum, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
}

#[test]
fn what_is_no_number_is_silence() {
    let mut sum = vec![0.25; 4];
    let mut strip = strip(1, 1);
    strip.add(&mut sum, 1, &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5], 1, 4);
    assert_eq!(sum, [0.25, 0.25, 0.25, 0.75]);
    strip.set_gain(f32::NAN);
    strip.set_gain(f32::INFINITY);
    strip.set_pan(f32::NAN);
    let mut sum = vec![0.0; 2];
    strip.add(&mut sum, 1, &[0.5; 2], 1, 2);
    assert_eq!(sum, [0.5; 2]);
}

#[test]
fn settled_targets_are_exact() {
    let mut strip = strip(1, 2);
    strip.set_gain(0.5);
    strip.set_pan(-0.5);
    let mut sum = vec![0.0; 2 * 1_000];
    strip.add(&mut sum, 2, &vec![1.0; 1_000], 1, 1_000);
    assert_eq!([sum[GLIDE_FRAMES - 1], sum[1_999]], [0.5, 0.5 * balance(-0.5)[1]]);
    strip.set_open(false);
    strip.settle();
    let mut sum = vec![0.0; 2];
    strip.add(&mut sum, 2, &[1.0], 1, 1);
    assert_eq!(sum, [0.0, 0.0]);
}

#[test]
fn a_source_may_change_its_channels() {
    let mut strip = strip(2, 2);
    let mut sum = vec![0.0; 2];
    strip.add(&mut sum, 2, &[1.0], 1, 1);
    strip.set_pan(1.0);
    strip.add(&mut sum, 2, &[1.0, 1.0], 2, 1);
    strip.settle();
    strip.add(&mut sum, 2, &[1.0], 1, 1);
    assert_eq!(sum[1], 3.0);
}

#[derive(Debug, Clone)]
enum Act {
    Gain(f32),
    Open(bool),
    Pan(f32),
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let act = prop_oneof![
        (0.0_f32..2.0).prop_map(Act::Gain),
        any::<bool>().prop_map(Act::Open),
        (-1.0_f32..=1.0).prop_map(Act::Pan),
    ];
    (1_usize..900, act)
}

fn apply(strip: &mut Strip, act: &Act) {
    match *act {
        Act::Gain(gain) => strip.set_gain(gain),
        Act::Open(open) => strip.set_open(open),
        Act::Pan(pan) => strip.set_pan(pan),
    }
}

proptest! {
    /// A constant, whatever is done to it and whenever, never steps by more than the glides' own slopes together.
    #[test]
    fn nothing_clicks(acts in prop::collection::vec(act(), 1..12)) {
        let mut strip = strip(1, 2);
        strip.add(&mut [0.0; 2], 2, &[1.0], 1, 1); // it sounds already
        let (mut left, mut right) = (vec![1.0], vec![1.0]);
        for (frames, act) in &acts {
            apply(&mut strip, act);
            let mut sum = vec![0.0; 2 * frames];
            strip.add(&mut sum, 2, &vec![1.0; *frames], 1, *frames);
            left.extend_from_slice(&sum[..*frames]);
            right.extend_from_slice(&sum[*frames..]);
        }
        // A fader over 2, a gate over 1 and a turn over 1, at most 2 in size.
        let step_max = (2.0 + 2.0 + 2.0) / GLIDE_FRAMES as f32 + 1e-5;
        for side in [left, right] {
            for pair in side.windows(2) {
                prop_assert!((pair[1] - pair[0]).abs() <= step_max, "{:?}", pair);
            }
        }
    }

    #[test]
    fn cuts_do_not_show(acts in prop::collection::vec(act(), 1..6), cut in 1_usize..900) {
        let (mut whole, mut cut_up) = (strip(2, 2), strip(2, 2));
        for (frames, act) in &acts {
            apply(&mut whole, act);
            apply(&mut cut_up, act);
            let source = sine(*frames, 2);
            let mut a = vec![0.0; 2 * frames];
            whole.add(&mut a, 2, &source, 2, *frames);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for at in (0..*frames).step_by(cut) {
                let piece = cut.min(frames - at);
                let planar = [&source[at..at + piece], &source[frames + at..][..piece]].concat();
                let mut sum = vec![0.0; 2 * piece];
                cut_up.add(&mut sum, 2, &planar, 2, piece);
                left.extend_from_slice(&sum[..piece]);
                right.extend_from_slice(&sum[piece..]);
            }
            prop_assert_eq!(&a[..*frames], &left[..]);
            prop_assert_eq!(&a[*frames..], &right[..]);
        }
    }
}

use super::*;
use proptest::prelude::*;

const RATE_HZ: u32 = 48_000;

fn limiter(channels: usize) -> Limiter {
    Limiter::new(RATE_HZ, channels, CEILING, LOOK_AHEAD_SECONDS, RELEASE_SECONDS)
}

/// Planar in, planar out, in blocks of at most so many frames.
fn in_blocks(limiter: &mut Limiter, planar: &[f32], channels: usize, block: usize) -> Vec<f32> {
    let frames = planar.len() / channels;
    let mut out = vec![0.0; planar.len()];
    for at in (0..frames).step_by(block) {
        let piece = block.min(frames - at);
        let mut part: Vec<f32> = (0..channels).flat_map(|c| planar[c * frames + at..][..piece].to_vec()).collect();
        limiter.process(&mut part, piece);
        for channel in 0..channels {
            out[channel * frames + at..][..piece].copy_from_slice(&part[channel * piece..][..piece]);
        }
    }
    out
}

fn sine(frames: usize, peak: f32) -> Vec<f32> {
    (0..frames).map(|n| peak * (n as f32 * 0.13).sin()).collect()
}

#[test]
fn a_loud_tone_ends_at_the_ceiling_and_comes_back_bit_for_bit() {
    let mut limiter = limiter(1);
    let latency = limiter.latency_frames();
    assert_eq!(latency, 240);
    let mut loud = sine(RATE_HZ as usize, 4.0);
    limiter.process(&mut loud, RATE_HZ as usize);
    let peak = loud.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    assert!(peak <= CEILING && peak > 0.995 * CEILING, "{peak}");
    assert!((limiter.take_reduction() - CEILING / 4.0).abs() < 1e-3);

    let quiet = sine(4 * RATE_HZ as usize, 0.5);
    let mut out = quiet.clone();
    limiter.process(&mut out, quiet.len());
    let tail = 3 * RATE_HZ as usize;
    assert_eq!(out[tail + latency..], quiet[tail..quiet.len() - latency], "the release ends");
    limiter.take_reduction();
    limiter.process(&mut out, quiet.len());
    assert_eq!(limiter.take_reduction(), 1.0);
}

#[test]
fn the_gain_falls_on_a_line_and_not_on_a_step() {
    let mut limiter = limiter(2);
    let latency = limiter.latency_frames();
    let frames = 4 * latency;
    let mut planar = vec![0.25; 2 * frames];
    planar[2 * latency] = 1.5; // in one channel: both are turned down
    limiter.process(&mut planar, frames);
    let (left, right) = planar.split_at(frames);
    assert!((left[3 * latency] - CEILING).abs() < 1e-6);
    let steps = right.windows(2).skip(latency + 1).map(|pair| (pair[1] - pair[0]).abs());
    let line = 0.25 * (1.0 - CEILING / 1.5) / (latency + 1) as f32;
    assert!(steps.clone().fold(0.0, f32::max) < 1.01 * line, "no step");
    assert!((right[3 * latency] - 0.25 * CEILING / 1.5).abs() < 1e-6, "linked");
}

#[test]
fn a_lower_ceiling_holds_for_what_comes_after_its_glide() {
    let mut limiter = limiter(1);
    let latency = limiter.latency_frames();
    let mut before = sine(14_400, 0.8);
    let mut after = before.split_off(4_800);
    limiter.process(&mut before, 4_800);
    limiter.set_ceiling(0.25);
    limiter.set_ceiling(f32::NAN);
    limiter.set_ceiling(0.0);
    limiter.process(&mut after, 9_600);
    assert!(after[2 * latency..].iter().all(|s| s.abs() <= 0.25));
    assert!(after.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.13), "no click");
}

#[test]
fn without_look_ahead_it_still_holds() {
    let mut limiter = Limiter::new(RATE_HZ, 1, 0.5, 0.0, 0.1);
    assert_eq!(limiter.latency_frames(), 0);
    let mut samples = [0.25, 2.0, -0.5, 0.1];
    limiter.process(&mut samples, 4);
    assert!(samples.iter().all(|s| s.abs() <= 0.5) && samples[0] == 0.25 && samples[1] == 0.5);
}

#[test]
fn streams_whose_sum_fits_do_not_move_one_another() {
    let (first, second) = (sine(48_000, 0.4), vec![0.3; 48_000]);
    let mut sum: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    let expected = sum.clone();
    let mut limiter = limiter(1);
    limiter.process(&mut sum, 48_000);
    let latency = limiter.latency_frames();
    assert_eq!(sum[latency..], expected[..48_000 - latency]);
}

/// Any samples, from tiny to infinite.
fn wild() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -2.0_f32..2.0,
        2 => -0.5_f32..0.5,
        1 => any::<f32>(),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, 1e-42]),
    ]
}

proptest! {
    #[test]
    fn never_beyond_the_ceiling_however_cut(
        samples in prop::collection::vec(wild(), 2..3_000), ceiling in 0.01_f32..1.0, look_ahead in 0_u32..400,
        release in 0.0_f64..0.2, block in 1_usize..700,
    ) {
        let planar = &samples[..samples.len() / 2 * 2];
        let new = || Limiter::new(RATE_HZ, 2, ceiling, f64::from(look_ahead) / f64::from(RATE_HZ), release);
        let whole = in_blocks(&mut new(), planar, 2, usize::MAX);
        prop_assert!(whole.iter().all(|sample| sample.abs() <= ceiling), "beyond the ceiling");
        let cut = in_blocks(&mut new(), planar, 2, block);
        prop_assert!(whole.iter().zip(&cut).all(|(a, b)| a.to_bits() == b.to_bits()), "cuts show");
    }

    #[test]
    fn what_is_below_passes_bit_for_bit(samples in prop::collection::vec(-CEILING..=CEILING, 500..2_000)) {
        let mut limiter = limiter(1);
        let out = in_blocks(&mut limiter, &samples, 1, 77);
        let latency = limiter.latency_frames();
        prop_assert_eq!(&out[latency..], &samples[..samples.len() - latency]);
        prop_assert!(out[..latency].iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn the_least_of_a_window(values in prop::collection::vec(0_u32..50, 1..300), window in 1_usize..40) {
        let mut least = Least::new(window);
        for (n, &value) in values.iter().enumerate() {
            let expected = values[(n + 1).saturating_sub(window)..=n].iter().min().copied();
            prop_assert_eq!(Some(least.push(value)), expected);
        }
    }
}

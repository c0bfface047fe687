//! Counts, cuts, delay and quality of the rate converter.

use audio_dsp::{RateConverter, RateError};
use proptest::prelude::*;
use std::f64::consts::TAU;

const PAIRS: [(u32, u32); 18] = [
    (48_000, 16_000),
    (16_000, 48_000),
    (44_100, 48_000),
    (48_000, 44_100),
    (44_100, 16_000),
    (11_025, 16_000),
    (11_025, 48_000),
    (22_050, 16_000),
    (8_000, 16_000),
    (8_000, 192_000),
    (192_000, 8_000),
    (37_800, 48_000),
    (96_000, 48_000),
    (88_200, 48_000),
    (8_001, 48_000),
    (47_999, 16_000),
    (192_000, 8_001),
    (191_999, 192_000),
];

/// Samples of a tone of amplitude 0.5.
#[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
fn tone(hz: f64, rate_hz: u32, frames: usize) -> Vec<f32> {
    (0..frames).map(|n| (0.5 * (TAU * hz * n as f64 / f64::from(rate_hz)).sin()) as f32).collect()
}

fn convert(from: u32, to: u32, input: &[f32]) -> Vec<f32> {
    let mut converter = RateConverter::new(from, to, 1).expect("rates");
    let mut out = vec![Vec::new()];
    converter.process(input, input.len(), &mut out);
    converter.finish(&mut out);
    out.remove(0)
}

/// Amplitude ratio, phase error in radians, and signal to noise in dB against the ideal tone.
fn against_ideal(samples: &[f32], first: usize, hz: f64, rate_hz: u32) -> (f64, f64, f64) {
    let angle = |n: usize| TAU * hz * (first + n) as f64 / f64::from(rate_hz);
    // Least squares for a*sin + b*cos.
    let (mut ss, mut cc, mut sc, mut ys, mut yc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, &y) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        ss += s * s;
        cc += c * c;
        sc += s * c;
        ys += f64::from(y) * s;
        yc += f64::from(y) * c;
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((ys * cc - yc * sc) / determinant, (yc * ss - ys * sc) / determinant);
    let noise: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, &y)| (f64::from(y) - a * angle(n).sin() - b * angle(n).cos()).powi(2))
        .sum();
    let signal = samples.len() as f64 * a.hypot(b).powi(2) / 2.0;
    (a.hypot(b) / 0.5, b.atan2(a), 10.0 * (signal / noise).log10())
}

#[test]
fn a_tone_keeps_its_phase_and_stays_clean() {
    for (from, to) in PAIRS {
        let out = convert(from, to, &tone(1_000.0, from, from as usize));
        let edge = to as usize / 5; // a tone that begins at once is not a tone
        let (gain, phase, snr_db) = against_ideal(&out[edge..out.len() - edge], edge, 1_000.0, to);
        assert!(phase.abs() < 1e-3, "{from} to {to}: phase error {phase} rad");
        assert!(snr_db > 100.0, "{from} to {to}: {snr_db} dB");
        assert!((gain - 1.0).abs() < 1e-3, "{from} to {to}: gain {gain}");
    }
}

#[test]
fn speech_band_passes_and_aliases_do_not() {
    let middle = |out: Vec<f32>| out[3_200..12_800].to_vec();
    let level_db = |out: &[f32]| {
        let power = out.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / out.len() as f64;
        10.0 * (power / 0.125).log10()
    };
    for from in [48_000, 44_100, 22_050, 47_999] {
        let pass = level_db(&middle(convert(from, 16_000, &tone(7_000.0, from, from as usize))));
        assert!(pass > -0.5, "{from}: 7 kHz at {pass} dB");
        let alias = level_db(&middle(convert(from, 16_000, &tone(9_000.0, from, from as usize))));
        assert!(alias < -100.0, "{from}: 9 kHz at {alias} dB");
    }
}

#[test]
fn the_full_band_passes_where_nobody_waits() {
    for (from, to) in PAIRS.into_iter().filter(|&(from, to)| ![8_001, 47_999, 191_999].contains(&from) && to != 8_001) {
        let through = |hz: f64| {
            let input = tone(hz, from, 2 * from as usize);
            let mut converter = RateConverter::full_band(from, to, 1).expect("rates");
            let mut out = vec![Vec::new()];
            converter.process(&input, input.len(), &mut out);
            converter.finish(&mut out);
            assert_eq!(out[0].len(), (2 * to) as usize, "{from} to {to}: no frame more or less");
            let middle = &out[0][to as usize / 2..3 * to as usize / 2];
            10.0 * (middle.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / to as f64 / 0.125).log10()
        };
        let nyquist = f64::from(from.min(to)) / 2.0;
        let pass = through(0.98 * nyquist);
        assert!(pass.abs() < 0.5, "{from} to {to}: 0.98 of the band at {pass} dB");
        if from > to {
            let alias = through(1.01 * nyquist);
            assert!(alias < -100.0, "{from} to {to}: what is above the band at {alias} dB");
        }
    }
}

#[test]
fn equal_rates_are_bit_exact() {
    let input: Vec<f32> = [0.1, -0.0, f32::MIN_POSITIVE, 1.5, f32::INFINITY, 0.3, -7.0, 1e-40].to_vec();
    let mut converter = RateConverter::new(44_100, 44_100, 2).expect("rates");
    let mut out = vec![Vec::new(); 2];
    converter.process(&input, 4, &mut out);
    converter.finish(&mut out);
    let bits = |samples: &[f32]| samples.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&out[0]), bits(&input[..4]));
    assert_eq!(bits(&out[1]), bits(&input[4..]));
}

#[test]
fn wrong_rates_are_refused() {
    for actual in [0, 7_999, 192_001] {
        assert_eq!(RateConverter::new(actual, 48_000, 1).err(), Some(RateError::RateOutOfRange { actual }));
        assert_eq!(RateConverter::new(48_000, actual, 1).err(), Some(RateError::RateOutOfRange { actual }));
    }
    assert_eq!(RateConverter::new(8_000, 48_000, 0).err(), Some(RateError::NoChannels));
}

#[test]
fn latency_is_bounded() {
    for from in (8_000..=192_000).step_by(2_003) {
        let converter = RateConverter::new(from, 48_000, 1).expect("rates");
        assert!(converter.latency_frames_max() * 1_000 <= 150 * from as usize, "{from}");
    }
    let listener = RateConverter::new(48_000, 16_000, 1).expect("rates");
    assert_eq!(listener.latency_frames_max(), 720); // 15 ms
}

#[test]
fn after_reset_a_converter_is_as_new() {
    for (from, to) in [(44_100, 48_000), (8_001, 48_000)] {
        let input = tone(440.0, from, 10_000);
        let mut converter = RateConverter::new(from, to, 1).expect("rates");
        let mut scrap = vec![Vec::new()];
        converter.process(&input[17..], input.len() - 17, &mut scrap);
        converter.reset();
        let mut out = vec![Vec::new()];
        converter.process(&input, input.len(), &mut out);
        converter.finish(&mut out);
        assert_eq!(out[0], convert(from, to, &input));
    }
}

#[test]
fn hours_keep_the_count() {
    // Two hours at 16 kHz (minutes without optimisation); silence is as good as anything to be counted.
    let seconds: u64 = if cfg!(debug_assertions) { 300 } else { 7_200 };
    let mut converter = RateConverter::new(11_025, 16_000, 1).expect("rates");
    let (input, mut out, mut given) = (vec![0.0; 11_025], vec![Vec::new()], 0);
    for second in 1..=seconds {
        converter.process(&input, input.len(), &mut out);
        given += out[0].len() as u64;
        out[0].clear();
        let due = second * 16_000;
        let latency = converter.latency_frames_max() as u64 * 16_000 / 11_025 + 1;
        assert!(given <= due && given + latency >= due, "second {second}: {given} of {due}");
    }
    converter.finish(&mut out);
    assert_eq!(given + out[0].len() as u64, seconds * 16_000);
}

fn rates() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        proptest::sample::select(PAIRS.to_vec()),
        (8_000_u32..=192_000, 8_000_u32..=192_000),
        (8_000_u32..=192_000, Just(48_000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 96 }))]

    #[test]
    fn counts_are_exact_and_cuts_do_not_matter(
        (from, to) in rates(),
        cuts in proptest::collection::vec(0_usize..3_000, 0..12),
        channels in 1_usize..=3,
    ) {
        let frames: usize = cuts.iter().sum();
        let signal = |channel: usize, n: usize| ((n * (channel + 7) % 101) as f32 - 50.0) / 64.0;
        let planar = |begin: usize, frames: usize| -> Vec<f32> {
            (0..channels).flat_map(|c| (begin..begin + frames).map(move |n| signal(c, n))).collect()
        };
        let mut converter = RateConverter::new(from, to, channels).expect("rates");
        let mut whole = vec![Vec::new(); channels];
        converter.process(&planar(0, frames), frames, &mut whole);
        converter.finish(&mut whole);
        let expected = (frames as u64 * u64::from(to)).div_ceil(u64::from(from));
        prop_assert!(whole.iter().all(|out| out.len() as u64 == expected), "{} of {}", whole[0].len(), expected);

        // The same converter again: finish left it as new.
        let (mut pieces, mut begin) = (vec![Vec::new(); channels], 0);
        for cut in cuts {
            let before = pieces[0].len();
            converter.process(&planar(begin, cut), cut, &mut pieces);
            prop_assert!(pieces[0].len() - before <= converter.out_frames_max(cut));
            begin += cut;
        }
        let before = pieces[0].len();
        converter.finish(&mut pieces);
        prop_assert!(pieces[0].len() - before <= converter.out_frames_max(0));
        for (a, b) in whole.iter().zip(&pieces) {
            prop_assert!(a.iter().map(|s| s.to_bits()).eq(b.iter().map(|s| s.to_bits())));
        }
    }
}

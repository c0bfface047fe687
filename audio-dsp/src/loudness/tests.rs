use super::*;
use proptest::prelude::*;

/// A sine at a level, the same on the channels asked for.
struct Part {
    dbfs: [f64; 6],
    seconds: f64,
}

fn stereo(dbfs: f64, seconds: f64) -> Part {
    let off = f64::NEG_INFINITY;
    Part { dbfs: [dbfs, dbfs, off, off, off, off], seconds }
}

/// Parts of a 1 kHz sine (997 Hz gives nearly the same), one after the other.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "test signal")]
fn measure(rate_hz: u32, channels: usize, parts: &[Part]) -> Loudness {
    let mut loudness = Loudness::new(rate_hz, channels);
    let mut at = 0;
    for part in parts {
        let frames = (part.seconds * f64::from(rate_hz)).round() as usize;
        let planar: Vec<f32> = part.dbfs[..channels]
            .iter()
            .flat_map(|dbfs| {
                let peak = 10.0_f64.powf(dbfs / 20.0);
                let turns = 1_000.0 * std::f64::consts::TAU / f64::from(rate_hz);
                (at..at + frames).map(move |n| (peak * (turns * n as f64).sin()) as f32)
            })
            .collect();
        loudness.push(&planar, frames);
        at += frames;
    }
    loudness
}

fn assert_near(actual: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((actual - expected).abs() <= tolerance, "{what}: {actual}, expected {expected}");
}

#[test]
fn at_48_khz_the_weighting_is_the_standards_table() {
    let [shelf, high_pass] = k_weighting(48_000);
    let table = Coefficients {
        b: [1.535_124_859_586_97, -2.691_696_189_406_38, 1.198_392_810_852_85],
        a: [-1.690_659_293_182_41, 0.732_480_774_215_85],
    };
    for (actual, expected) in shelf.b.iter().chain(&shelf.a).zip(table.b.iter().chain(&table.a)) {
        assert_near(*actual, *expected, 1e-12, "shelf");
    }
    assert_near(high_pass.a[0], -1.990_047_454_833_98, 1e-12, "high-pass a1");
    assert_near(high_pass.a[1], 0.990_072_250_366_21, 1e-12, "high-pass a2");
}

/// EBU Tech 3341, table 1, cases 1 and 2.
#[test]
fn a_steady_tone_at_any_rate() {
    for rate_hz in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
        for level in [-23.0, -33.0] {
            let loudness = measure(rate_hz, 2, &[stereo(level, 20.0)]);

            for value in [loudness.momentary(), loudness.short_term(), loudness.integrated()] {
                assert_near(value, level, 0.1, &format!("{rate_hz} Hz"));
            }
            assert_near(loudness.range_lu(), 0.0, 0.11, "range");
        }
    }
}

/// Cases 3 to 6: what is quiet is gated, and channels have their weights.
#[test]
fn gates_and_weights() {
    let cases: [(&str, usize, Vec<Part>); 4] = [
        ("3", 2, vec![stereo(-36.0, 10.0), stereo(-23.0, 60.0), stereo(-36.0, 10.0)]),
        (
            "4",
            2,
            vec![
                stereo(-72.0, 10.0),
                stereo(-36.0, 10.0),
                stereo(-23.0, 60.0),
                stereo(-36.0, 10.0),
                stereo(-72.0, 10.0),
            ],
        ),
        ("5", 2, vec![stereo(-26.0, 20.0), stereo(-20.0, 20.1), stereo(-26.0, 20.0)]),
        ("6", 6, vec![Part { dbfs: [-28.0, -28.0, -24.0, f64::NEG_INFINITY, -30.0, -30.0], seconds: 20.0 }]),
    ];
    for (name, channels, parts) in cases {
        assert_near(measure(48_000, channels, &parts).integrated(), -23.0, 0.1, name);
    }
}

/// EBU Tech 3342, table 1, cases 1 to 4.
#[test]
fn loudness_range() {
    let case = |levels: &[f64]| {
        let parts: Vec<Part> = levels.iter().map(|&level| stereo(level, 20.0)).collect();
        measure(48_000, 2, &parts).range_lu()
    };
    assert_near(case(&[-20.0, -30.0]), 10.0, 1.0, "1");
    assert_near(case(&[-20.0, -15.0]), 5.0, 1.0, "2");
    assert_near(case(&[-40.0, -20.0]), 20.0, 1.0, "3");
    assert_near(case(&[-50.0, -35.0, -20.0, -35.0, -50.0]), 15.0, 1.0, "4");
}

#[test]
fn silence_has_no_loudness_and_low_frequencies_do_not_count() {
    let mut loudness = Loudness::new(48_000, 6);
    let mut planar = vec![0.0; 6 * 48_000];
    planar[3 * 48_000..4 * 48_000].fill(0.9);
    planar[0] = f32::NAN;
    planar[1] = f32::INFINITY;
    (0..4).for_each(|_| loudness.push(&planar, 48_000));
    for value in [loudness.momentary(), loudness.short_term(), loudness.integrated()] {
        assert_eq!(value, f64::NEG_INFINITY);
    }
    assert_eq!(loudness.range_lu(), 0.0);
    let mut again = measure(48_000, 2, &[stereo(-10.0, 5.0)]);
    again.reset();
    assert_eq!(again.integrated(), f64::NEG_INFINITY);
    assert_eq!(again.maxima(), [f64::NEG_INFINITY; 2]);
}

#[test]
fn maxima_are_the_loudest_moments() {
    let loudness = measure(48_000, 2, &[stereo(-40.0, 3.0), stereo(-20.0, 0.4), stereo(-40.0, 3.0)]);
    assert_near(loudness.maxima()[0], -20.0, 0.1, "momentary");
    assert!(loudness.maxima()[1] < -25.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cuts_do_not_show(cut in 1_usize..6_000) {
        let swelling = |n: u16| (f32::from(n) * 0.05).sin() * f32::from(n) / 44_100.0;
        let samples: Vec<f32> = (0..44_100).map(swelling).collect();
        let (mut whole, mut cut_up) = (Loudness::new(11_025, 1), Loudness::new(11_025, 1));
        whole.push(&samples, samples.len());
        samples.chunks(cut).for_each(|part| cut_up.push(part, part.len()));
        prop_assert!((whole.integrated() - cut_up.integrated()).abs() < 1e-9);
        prop_assert!((whole.short_term() - cut_up.short_term()).abs() < 1e-9);
    }
}

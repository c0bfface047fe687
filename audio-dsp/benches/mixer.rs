//! What a mixer costs: 32 stereo strips, limiter and meters, against a bare sum of the same blocks.
//!
//! `cargo bench -p audio-dsp`. One line a row: microseconds of a block of 10 ms at 48 kHz (the median), the share of a
//! core that is, and the ratio to the bare sum.

use audio_dsp::{
    Bands, CEILING, Chain, Compression, GLIDE_SECONDS, Gating, LOOK_AHEAD_SECONDS, Limiter, Loudness, Meters, Quality,
    RELEASE_SECONDS, Slope, Strip, TruePeak, VariableResampler, mix_into,
};
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const RATE_HZ: u32 = 48_000;
const FRAMES: usize = 480;
const CHANNELS: usize = 2;
const STRIPS: usize = 32;
const BLOCKS: usize = 3_000;

/// The median time of a block, in microseconds.
fn median_us(mut block: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..BLOCKS)
        .map(|n| {
            let begin = Instant::now();
            block(n);
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[BLOCKS / 2]
}

fn main() {
    // A whole tone's worth of different blocks, none of them clipping much.
    let sources: Vec<Vec<f32>> = (0..STRIPS)
        .map(|strip| (0..CHANNELS * FRAMES).map(|n| 0.05 * ((n * (strip + 3)) as f32 * 0.01).sin()).collect())
        .collect();
    let mut sum = vec![0.0_f32; CHANNELS * FRAMES];
    let bare = median_us(|_| {
        sum.fill(0.0);
        sources.iter().for_each(|source| mix_into(&mut sum, CHANNELS, black_box(source), CHANNELS, FRAMES));
        black_box(&sum);
    });
    let row = |name: &str, us: f64| {
        let share = us / 10_000.0 * 100.0;
        writeln!(
            std::io::stdout(),
            "{name:<44} {us:>9.2} us  {share:>6.3} % of a core  {:>7.2} of a bare sum",
            us / bare
        )
        .expect("standard output");
    };
    row("bare sum of 32 stereo sources", bare);

    let mut strips: Vec<Strip> = (0..STRIPS).map(|_| Strip::new(RATE_HZ, CHANNELS, CHANNELS, GLIDE_SECONDS)).collect();
    let mix = |strips: &mut [Strip], sum: &mut [f32]| {
        sum.fill(0.0);
        for (strip, source) in strips.iter_mut().zip(&sources) {
            strip.add(sum, CHANNELS, black_box(source), CHANNELS, FRAMES);
        }
    };
    row("32 strips, at rest", median_us(|_| mix(&mut strips, &mut sum)));
    row(
        "32 strips, all gliding",
        median_us(|n| {
            for strip in &mut strips {
                strip.set_gain(if n % 2 == 0 { 0.5 } else { 1.0 });
                strip.set_pan(if n % 2 == 0 { 0.5 } else { -0.5 });
            }
            mix(&mut strips, &mut sum);
        }),
    );

    let mut limiter = Limiter::new(RATE_HZ, CHANNELS, CEILING, LOOK_AHEAD_SECONDS, RELEASE_SECONDS);
    row("limiter, stereo", median_us(|_| limiter.process(black_box(&mut sum), FRAMES)));
    let mut meters: Vec<Meters> = (0..=STRIPS).map(|_| Meters::new(RATE_HZ, CHANNELS)).collect();
    row(
        "33 meters, stereo",
        median_us(|_| {
            let blocks = sources.iter().map(Vec::as_slice).chain([&*sum]);
            meters.iter_mut().zip(blocks).for_each(|(meters, block)| meters.push(black_box(block), FRAMES));
        }),
    );
    let mut loudness = Loudness::new(RATE_HZ, CHANNELS);
    row("loudness, stereo", median_us(|_| loudness.push(black_box(&sum), FRAMES)));
    let mut peak = TruePeak::new(RATE_HZ, CHANNELS);
    row("true peak, stereo", median_us(|_| peak.push(black_box(&sum), FRAMES)));
    row(
        "32 strips, 33 meters, limiter, loudness, peak",
        median_us(|_| {
            mix(&mut strips, &mut sum);
            limiter.process(&mut sum, FRAMES);
            let blocks = sources.iter().map(Vec::as_slice).chain([&*sum]);
            meters.iter_mut().zip(blocks).for_each(|(meters, block)| meters.push(block, FRAMES));
            loudness.push(&sum, FRAMES);
            peak.push(&sum, FRAMES);
        }),
    );

    let mut chain = Chain::new(RATE_HZ, CHANNELS);
    let mut planar = sources[0].clone();
    row("chain, all off, one stereo source", median_us(|_| chain.process(black_box(&mut planar), FRAMES)));
    chain.set_high_pass(Some((80.0, Slope::Db24)));
    chain.set_gate(Some(Gating::default()));
    chain.set_equaliser(Some(Bands { low_db: 3.0, mid_db: -3.0, high_db: 3.0, ..Bands::default() }));
    chain.set_compressor(Some(Compression { threshold_db: -40.0, ..Compression::default() }));
    row(
        "chain, all on, one stereo source",
        median_us(|_| {
            planar.copy_from_slice(&sources[0]);
            chain.process(black_box(&mut planar), FRAMES);
        }),
    );
    for quality in [Quality::Fast, Quality::Normal, Quality::Best] {
        let mut resampler = VariableResampler::new(RATE_HZ, RATE_HZ, CHANNELS, FRAMES, quality).expect("rates");
        let input = vec![0.25; CHANNELS * resampler.input_frames_max()];
        let us = median_us(|n| {
            resampler.set_correction_ppm(if n % 2 == 0 { 100.0 } else { 101.0 });
            let frames = resampler.needed_input_frames(FRAMES);
            resampler.process(black_box(&input[..CHANNELS * frames]), frames, &mut planar, FRAMES);
        });
        row(&format!("resampler, {quality:?}, one stereo source"), us);
    }
}

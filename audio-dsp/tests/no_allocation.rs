//! Once constructed, and into room that suffices, nothing allocates.
#![expect(unsafe_code, reason = "an allocator that counts")]

use audio_dsp::{
    Bands, CEILING, Chain, Compression, DriftLoop, FrequencyAxis, FrequencyScale, GLIDE_SECONDS, Gating,
    LOOK_AHEAD_SECONDS, Limiter, Loudness, Meters, Peaks, PhaseCorrelation, Pyramid, Quality, RELEASE_SECONDS,
    RateConverter, Rows, Signal, SignalSource, Slope, Stft, Strip, TruePeak, VariableResampler, Window, mix_into,
    peaks_in_columns,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell of this
// thread, const-initialised and without a destructor, so touching it never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of(act: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

#[test]
fn conversion_does_not_allocate() {
    assert!(allocations_of(|| drop(vec![1_u8; 100])) >= 2, "the counter counts");
    for (from, to) in [(48_000, 16_000), (44_100, 48_000), (11_025, 16_000), (8_001, 48_000), (192_000, 8_001)] {
        let mut converter = RateConverter::new(from, to, 2).expect("rates");
        let input = vec![0.25; 2 * 4_096];
        let mut out: Vec<Vec<f32>> = (0..2).map(|_| Vec::with_capacity(converter.out_frames_max(4_096))).collect();
        for round in 0..20 {
            let frames = 1 + (round * 977) % 4_096;
            let count = allocations_of(|| converter.process(&input[..2 * frames], frames, &mut out));
            assert_eq!(count, 0, "{from} to {to}, process");
            out.iter_mut().for_each(Vec::clear);
            if round % 5 == 4 {
                assert_eq!(allocations_of(|| converter.finish(&mut out)), 0, "{from} to {to}, finish");
                out.iter_mut().for_each(Vec::clear);
            }
        }
    }
}

#[test]
fn signals_and_sums_do_not_allocate() {
    let mut source = SignalSource::new(Signal::Sweep { from_hz: 20.0, to_hz: 20_000.0, seconds: 1.0 }, 48_000);
    let (mut block, mut sum) = (vec![0.0; 960], vec![0.0; 960]);
    let count = allocations_of(|| {
        source.fill(&mut block, 2);
        mix_into(&mut sum, 2, &block, 2, 480);
    });
    assert_eq!(count, 0);
}

#[test]
fn a_mixer_does_not_allocate() {
    let (mut strip, mut chain) = (Strip::new(48_000, 8, 8, GLIDE_SECONDS), Chain::new(48_000, 2));
    let mut limiter = Limiter::new(48_000, 2, CEILING, LOOK_AHEAD_SECONDS, RELEASE_SECONDS);
    let (mut meters, mut peak) = (Meters::new(48_000, 2), TruePeak::new(48_000, 2));
    let mut loudness = Loudness::new(48_000, 2);
    let (mut planar, mut sum) = (vec![0.7; 8 * 480], vec![0.0; 8 * 480]);
    for round in 0..100_u8 {
        let on = round % 20 < 10;
        let count = allocations_of(|| {
            chain.set_high_pass(on.then_some((100.0, Slope::Db24)));
            chain.set_gate(on.then_some(Gating::default()));
            chain.set_equaliser(on.then_some(Bands { mid_db: 6.0, ..Bands::default() }));
            chain.set_compressor(on.then_some(Compression::default()));
            chain.process(&mut planar[..960], 480);
            strip.set_gain(f32::from(round) / 100.0);
            strip.set_pan(f32::from(round) / 100.0);
            strip.set_open(on);
            let channels = 1 + usize::from(round) % 8; // a source may change its channels
            strip.add(&mut sum[..960], 2, &planar[..channels * 480], channels, 480);
            strip.add(&mut sum, 8, &planar[..channels * 480], channels, 480);
            limiter.set_ceiling(if on { 0.5 } else { CEILING });
            limiter.process(&mut sum[..960], 480);
            meters.push(&sum[..960], 480);
            peak.push(&sum[..960], 480);
            loudness.push(&sum[..960], 480);
            assert!(loudness.integrated() + loudness.range_lu() < 50.0);
            assert!(meters.reading(0).peak < 1.0 && peak.take() < 2.0);
        });
        assert_eq!(count, 0, "round {round}");
    }
}

#[test]
fn following_a_foreign_clock_does_not_allocate() {
    for quality in [Quality::Fast, Quality::Normal, Quality::Best] {
        let mut resampler = VariableResampler::new(44_100, 48_000, 2, 480, quality).expect("rates");
        let mut drift = DriftLoop::new(44_100, 1_323.0);
        let (input, mut out) = (vec![0.5; 2 * resampler.input_frames_max()], vec![0.0; 2 * 480]);
        for round in 1..500_u32 {
            let count = allocations_of(|| {
                let time_s = f64::from(round) * 0.01;
                drift.observe(time_s, u64::from(round) * 441);
                resampler.set_correction_ppm(drift.steer(time_s, resampler.position()));
                let out_frames = if round % 7 == 0 { 97 } else { 480 };
                let frames = resampler.needed_input_frames(out_frames);
                resampler.process(&input[..2 * frames], frames, &mut out[..2 * out_frames], out_frames);
                if round % 100 == 0 {
                    drift.reset();
                    resampler.reset();
                }
            });
            assert_eq!(count, 0, "{quality:?}, round {round}");
        }
    }
}

#[test]
fn what_pictures_are_made_of_does_not_allocate() {
    let samples: Vec<f32> = (0..48_000_u32).map(|n| (n as f32 * 0.1).sin()).collect();
    for frames in [64, 2_048, 16_384] {
        let mut stft = Stft::new(Window::Hann, frames).expect("a power of two");
        let axis = FrequencyAxis { scale: FrequencyScale::Mel, low_hz: 0.0, high_hz: 24_000.0 };
        let rows = Rows::new(axis, 300, stft.bins(), 48_000);
        let (mut levels, mut out) = (vec![0.0; stft.bins()], vec![0.0; 300]);
        let count = allocations_of(|| {
            stft.levels_db(&samples[..frames], &mut levels);
            rows.apply(&levels, &mut out);
        });
        assert_eq!(count, 0, "transforms of {frames}");
        assert!(out.iter().any(|level| *level > -20.0));
    }
    let (mut pyramid, mut correlation) = (Pyramid::new(100_000), PhaseCorrelation::new(48_000, 0.3));
    let mut columns = [Peaks::NONE; 100];
    let count = allocations_of(|| {
        for turn in 0..5 {
            pyramid.push(turn * 60_000, &samples);
            pyramid.columns(0, pyramid.end(), &mut columns);
        }
        peaks_in_columns(&samples, &mut columns);
        correlation.push(&samples, &samples);
    });
    assert_eq!(count, 0, "peaks, overview and correlation");
    assert!(columns.iter().all(|peaks| peaks.max > 0.9) && correlation.value() > 0.99);
}

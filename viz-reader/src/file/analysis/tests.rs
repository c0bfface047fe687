use super::*;
use audio_dsp::{FrequencyAxis, FrequencyScale, Window};

fn plan(frames: u64, columns: usize, hop: u64) -> Plan {
    let axis = FrequencyAxis { scale: FrequencyScale::Linear, low_hz: 0.0, high_hz: 4_000.0 };
    let rows = Rows::new(axis, 32, 129, 8_000);
    Plan {
        from: 1_000,
        frames,
        lead: 0,
        beyond: [None; 2],
        channels: vec![1],
        hop,
        step_every: 1,
        columns,
        rows: Some(rows),
    }
}

struct Outcome {
    /// Frame, peaks, and whether there are levels, of each step.
    steps: Vec<(u64, Peaks, bool)>,
    channel: OfChannel,
    columns: Vec<Column>,
}

/// Of the second of two channels, in pieces of so many frames, with a gap in the place of some.
fn run(plan: Plan, cut: usize, samples: &[f32], gap: std::ops::Range<usize>) -> Outcome {
    let mut steps = Vec::new();
    let stft = Stft::new(Window::Hann, 256).unwrap();
    let mut analysis = Analysis::new(plan, stft, |step: &Step<'_>| {
        steps.push((step.frame, step.peaks, step.levels.is_ok()));
        Ok(())
    });
    for piece in samples[..gap.start].chunks(cut) {
        analysis.sound(&[&vec![9.0; piece.len()], piece]).unwrap();
    }
    if !gap.is_empty() {
        analysis.missing(gap.len() as u64, Missing::Gap).unwrap();
    }
    for piece in samples[gap.end..].chunks(cut) {
        analysis.sound(&[&vec![9.0; piece.len()], piece]).unwrap();
    }
    analysis.finish().unwrap();
    let Analysis { mut channels, columns, .. } = analysis;
    Outcome { steps, channel: channels.remove(0), columns }
}

#[test]
fn how_the_sound_is_cut_does_not_show_and_every_sample_is_in_one_step() {
    let mut samples: Vec<f32> = (0..50_000_u32).map(|n| (n as f32 * 0.7).sin() * 0.1).collect();
    samples[49_999] = 0.9;
    samples[0] = -0.8;
    for hop in [64, 100, 1_000] {
        let whole = run(plan(50_000, 300, hop), 50_000, &samples, 0..0);
        let cut = run(plan(50_000, 300, hop), 777, &samples, 0..0);
        assert_eq!(whole.steps, cut.steps);
        assert_eq!(whole.channel.levels, cut.channel.levels);
        assert_eq!(whole.channel.wave, cut.channel.wave);
        assert_eq!(whole.steps.len() as u64, 50_000_u64.div_ceil(hop));
        assert_eq!(whole.steps[0].0, 1_000, "the middle of the first is the first frame");
        let (first, last) = (whole.steps[0].1, whole.steps.last().unwrap().1);
        assert!(first.min < -0.7 && last.max > 0.8, "the ends are in no step");
        assert!(whole.channel.wave[299].max > 0.8);
        assert!(whole.columns.iter().all(|column| *column == Column::Levels));
    }
}

#[test]
fn transforms_between_the_steps_are_for_the_picture_alone() {
    let samples: Vec<f32> = (0..5_003_u32).map(|n| (n as f32 * n as f32 * 1e-4).sin() * 0.1).collect();
    let steps_alone = run(plan(5_003, 500, 64), 777, &samples, 2_000..2_500);
    let finer = run(Plan { step_every: 8, ..plan(5_003, 500, 8) }, 777, &samples, 2_000..2_500);
    assert_eq!(finer.steps, steps_alone.steps);
    assert_eq!(finer.channel.power, steps_alone.channel.power);
    assert_eq!(finer.channel.greatest, steps_alone.channel.greatest);
    // Columns are 10 frames wide: at every 64 six of them are alike.
    let changes =
        |of: &Outcome| of.channel.levels.chunks(32).collect::<Vec<_>>().windows(2).filter(|w| w[0] != w[1]).count();
    assert!(changes(&steps_alone) < 80 && changes(&finer) > 400, "{}, {}", changes(&steps_alone), changes(&finer));
}

#[test]
fn a_gap_has_neither_wave_nor_levels() {
    let Outcome { steps, channel, columns } = run(plan(20_000, 200, 100), 333, &vec![0.5; 20_000], 5_000..10_000);
    let wave = &channel.wave;
    assert!(wave[..50].iter().chain(&wave[100..]).all(|peaks| *peaks == Peaks::at(0.5)));
    assert!(wave[50..100].iter().all(Peaks::is_none));
    for (frame, peaks, has_levels) in steps {
        let middle = frame - 1_000;
        assert_eq!(has_levels, middle + 128 <= 5_000 || middle >= 10_000 + 128, "{middle}");
        assert_eq!(peaks.is_none(), (5_050..=9_950).contains(&middle), "{middle}");
    }
    assert!(columns[52..98].iter().all(|column| *column == Column::Missing));
    assert!(columns[..48].iter().chain(&columns[102..]).all(|column| *column == Column::Levels));
}

#[test]
fn a_part_of_a_sound_has_the_levels_that_the_whole_has_there() {
    let samples: Vec<f32> = (0..20_000_u32).map(|n| (n as f32 * n as f32 * 1e-4).sin() * 0.1).collect();
    // The levels of each step, from one frame to another, with so much around them.
    let levels = |from: usize, to: usize, lead: usize, trail: usize, cut: usize, missing: std::ops::Range<usize>| {
        let mut levels = Vec::new();
        let frames = (to - from) as u64;
        let plan = Plan { from: from as u64, lead, ..plan(frames, 0, 100) };
        let mut analysis = Analysis::new(plan, Stft::new(Window::Hann, 256).unwrap(), |step: &Step<'_>| {
            levels.push((step.frame, step.peaks, step.levels.map(<[f32]>::to_vec).ok()));
            Ok(())
        });
        for at in (from - lead..to + trail).step_by(cut) {
            let end = (at + cut).min(to + trail);
            if missing.contains(&at) {
                analysis.missing((end - at) as u64, Missing::Gap).unwrap();
            } else {
                analysis.sound(&[&vec![9.0; end - at], &samples[at..end]]).unwrap();
            }
        }
        analysis.finish().unwrap();
        assert_eq!(
            analysis.holes.iter().map(|hole| hole.to - hole.from).sum::<u64>(),
            (from..to).filter(|frame| missing.contains(frame)).count() as u64
        );
        levels
    };
    let whole = levels(0, 20_000, 0, 0, 20_000, 0..0);
    for cut in [1, 100, 128, 5_000] {
        let part = levels(5_000, 10_000, 128, 128, cut, 0..0);
        let ours: Vec<_> = part.iter().map(|step| (step.0, &step.2)).collect();
        let theirs: Vec<_> = whole[50..100].iter().map(|step| (step.0, &step.2)).collect();
        assert_eq!(ours, theirs);
        assert!(part[1..49].iter().zip(&whole[51..]).all(|(ours, theirs)| ours.1 == theirs.1));
    }
    // Without anything around it there is silence; what is missing there is missing in the transforms that need it.
    let alone = levels(5_000, 10_000, 0, 0, 100, 0..0);
    assert_ne!(alone[0].2, whole[50].2);
    assert_eq!(alone[2].2, whole[52].2);
    for (missing, lost) in [(4_900..5_000, vec![0, 1]), (10_000..10_100, vec![49]), (4_900..5_100, vec![0, 1, 2])] {
        let part = levels(5_000, 10_000, 100, 100, 100, missing);
        let none: Vec<usize> = (0..50).filter(|&n| part[n].2.is_none()).collect();
        assert_eq!(none, lost);
    }
}

#[test]
fn what_would_need_frames_of_which_nothing_is_known_is_not_computed() {
    let open = Plan { beyond: [Some(Missing::Overwritten), Some(Missing::Later)], ..plan(20_000, 200, 100) };
    let Outcome { steps, channel, columns } = run(open, 777, &vec![0.5; 20_000], 0..0);
    for (frame, peaks, has_levels) in steps {
        let middle = frame - 1_000;
        assert_eq!(has_levels, (128..=20_000 - 128).contains(&middle), "{middle}");
        assert_eq!(peaks, Peaks::at(0.5), "{middle}");
    }
    // No click stands at the ends: their columns are those beside them.
    assert!(columns.iter().all(|column| *column == Column::Levels));
    let rows: Vec<_> = channel.levels.chunks(32).collect();
    assert!(rows[0] == rows[100] && rows[199] == rows[100]);
}

#[test]
fn fewer_samples_than_columns_are_a_line() {
    let Outcome { channel, columns, .. } = run(plan(5, 50, 64), 5, &[0.0, 0.5, 0.0, -0.5, 0.0], 0..0);
    let wave = &channel.wave;
    assert!(wave[..41].iter().all(|peaks| !peaks.is_none()), "{wave:?}");
    assert!(wave.windows(2).take(40).all(|pair| pair[0].min <= pair[1].max && pair[1].min <= pair[0].max));
    assert!(columns.iter().all(|column| *column == Column::Levels));
}

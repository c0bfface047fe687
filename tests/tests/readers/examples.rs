//! The examples and the benches of the readers.

use crate::writer::Writer;
use crate::{READERS, shared_folder};
use anyhow::{Context, Result, ensure};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingState, RingWriter, SessionId};
use std::path::Path;
use system_tests::*;

#[test]
fn the_examples_do_what_they_say() -> Result<()> {
    let folder = shared_folder()?;
    let dir = folder.path();
    let writer = Writer::start(dir, 1, 1_000, 2_000)?;
    let ring = RingReader::attach_stream(dir, "pattern")?;
    wait_until("a second of sound", watchdog(2.0), || Ok((ring.commit().0 > 49_000).then_some(())))?;
    writer.close()?;
    ensure!(ring.state() == RingState::Closed, "{:?}", ring.state());
    let wav = dir.join("last.wav");
    for (bits, step) in [("16", 1.0 / 32_767.0), ("24", 1.0 / 8_388_607.0)] {
        let mut save = READERS.python("examples/save_last.py");
        save.arg(dir).arg("pattern").arg(&wav).args(["--seconds", "0.5", "--bits", bits]);
        run_reader(&mut save)?;
        let mut saved = hound::WavReader::open(&wav)?;
        ensure!((saved.spec().channels, saved.spec().sample_rate) == (2, 48_000), "{:?}", saved.spec());
        ensure!(saved.duration() == 24_000, "{} frames", saved.duration());
        let scale = if bits == "16" { 32_767.0 } else { 8_388_607.0 };
        let begin = ring.commit().0 - 24_000;
        for (at, sample) in (0_u64..).zip(saved.samples::<i32>()) {
            let expected = pattern_sample(begin + at / 2, at % 2);
            let found = f64::from(sample?) / scale;
            ensure!((found - f64::from(expected)).abs() <= step, "{bits} bits, {at}: {found}, not {expected}");
        }
    }
    let newest = dir.join("pattern.ring");
    for mut bench in [READERS.built("bench"), READERS.python("examples/bench.py"), READERS.node("examples/bench.js")] {
        let said = run_reader(bench.arg(&newest))?;
        eprintln!("{}", said.stdout.trim());
        ensure!(said.stdout.contains("p50"), "{said:?}");
    }
    Ok(())
}

/// A second of a stereo sine at half of full scale on the left, and silence on the right.
fn write_tone(dir: &Path, hz: f64) -> Result<()> {
    let spec = RingSpec {
        stream: "tone".into(),
        session: SessionId([7; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels: 2,
        capacity_frames: 96_000,
        first_frame: FrameIndex(0),
        labels: vec!["left".into(), "right".into()],
        overview: false,
    };
    let mut ring = RingWriter::create(dir, &spec)?;
    for from in (0..48_000_u32).step_by(480) {
        #[expect(clippy::cast_possible_truncation, reason = "samples are f32")]
        let sine = |n: u32| (0.5 * (std::f64::consts::TAU * hz * f64::from(n) / 48_000.0).sin()) as f32;
        let planar: Vec<f32> = (from..from + 480).map(sine).chain(std::iter::repeat_n(0.0, 480)).collect();
        ring.write(&planar, 480);
    }
    ring.close();
    Ok(())
}

#[test]
fn the_pictures_show_what_is_there() -> Result<()> {
    let folder = shared_folder()?;
    let dir = folder.path();
    write_tone(dir, 1_000.0)?;
    let meter = run_reader(READERS.built("level-meter").arg(dir).arg("tone"))?;
    let of = |channel: &str| meter.stdout.lines().rfind(|line| line.contains(channel)).context(meter.stdout.clone());
    ensure!(of("left")?.contains("-9.0 dB  peak   -6.0 dBFS"), "{meter:?}");
    ensure!(of("right")?.contains("-100.0 dBFS"), "{meter:?}");
    let spectrum = run_reader(READERS.node("examples/spectrum.js").arg(dir).arg("tone"))?;
    // 79 columns from 40 Hz to 16 kHz, in equal steps of pitch; the highest bar is the tone.
    let column = 79.0 * (1_000.0_f64 / 40.0).ln() / (16_000.0_f64 / 40.0).ln();
    let top = spectrum.stdout.lines().find(|line| line.contains('█')).context("no picture")?;
    let shown = top.chars().position(|c| c == '█').context("no bar")?;
    ensure!((shown as f64 - column).abs() <= 1.5, "the bar is in column {shown}, not {column}:\n{}", spectrum.stdout);
    Ok(())
}

//! `tympan transcribe` against whisper-rs called directly, each as a command from its start to its end, over the same
//! six clips.

use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Context, Result};
use hound::WavReader;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use system_tests::{CLIPS, Folders, clip_file, model, program, run_to_end, tympan, watchdog};

pub(crate) const MEASURE: Measure = Measure {
    names: &["real-time factor of transcribe, vs 1 thread", "real-time factor of transcribe, vs 2 threads"],
    run: measure,
};

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let clips: Vec<PathBuf> = CLIPS.iter().map(|name| clip_file(name)).collect();
    let mut sound_s = 0.0;
    for clip in &clips {
        let reader = WavReader::open(clip)?;
        sound_s += f64::from(reader.duration()) / f64::from(reader.spec().sample_rate);
    }
    let (mut ours, mut one, mut two) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that what else the machine does meets all of them.
    for _ in 0..plan.times(3) {
        let folders = Folders::new()?;
        let mut command = tympan(&folders)?;
        command.args(["transcribe", "--json", "--workers", "2", "--threads", "1", "--model"]).arg(model()?);
        ours.push(seconds_of(command.args(&clips))? / sound_s);
        folders.assert_clean()?;
        for (threads, factors) in [("1", &mut one), ("2", &mut two)] {
            let mut command = Command::new(program("transcriber-worker")?);
            command.args(["--role", "direct", "--threads", threads, "--model"]).arg(model()?);
            factors.push(seconds_of(command.args(&clips))? / sound_s);
        }
    }
    let peers = [("whisper-rs directly, 1 thread", &mut one), ("whisper-rs directly, 2 threads", &mut two)];
    let rows = MEASURE.names.iter().zip(peers).map(|(name, (what, peer))| {
        Row::new(name, quantile(&mut ours, 0.5), "s per s of sound", ours.len()).against(what, quantile(peer, 0.5))
    });
    Ok(rows.collect())
}

/// Wall time of a command that must have written down every clip.
fn seconds_of(command: &mut Command) -> Result<f64> {
    let begin = Instant::now();
    let finished = run_to_end(command, watchdog(60.0))?;
    let seconds = begin.elapsed().as_secs_f64();
    finished.expect_success()?;
    let lines = finished.stdout.lines().count();
    (lines == CLIPS.len()).then_some(seconds).with_context(|| format!("{lines} texts of {} clips", CLIPS.len()))
}

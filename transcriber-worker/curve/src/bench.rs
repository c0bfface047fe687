//! The joins of `tympan bench`, played and counted.

#[path = "../../../supervisor/src/bench/errors.rs"]
#[allow(dead_code, reason = "the supervisor uses all of it")]
mod errors;
#[path = "../../../supervisor/src/bench/join.rs"]
#[allow(dead_code, reason = "the supervisor uses all of it")]
mod join;
mod listener;
#[path = "../../../supervisor/src/bench/normalise.rs"]
mod normalise;
#[path = "../../../supervisor/src/bench/numbers.rs"]
mod numbers;
mod passes;
mod play;
#[path = "../../../supervisor/src/bench/recordings.rs"]
#[allow(dead_code, reason = "the supervisor uses all of it")]
mod recordings;
#[path = "../../../supervisor/src/bench/sound.rs"]
#[allow(dead_code, reason = "the supervisor uses all of it")]
mod sound;
#[path = "../../../supervisor/src/bench/spelling.rs"]
mod spelling;

use crate::Args;
use anyhow::{Context, Result};
use join::{Joined, Plan, join};
use passes::Passes;
use play::{Heard, Player};
use std::collections::BTreeMap;
use std::path::Path;
use transcriber_worker::vad::Detector;

/// Bytes of a WAV file before its samples; the clips have nothing else.
const HEADER_BYTES: usize = 44;

/// What came of all joins.
#[derive(Debug, Default)]
struct Sum {
    words: usize,
    errors: usize,
    differences: BTreeMap<String, usize>,
    first_s: Vec<f64>,
    commit_s: Vec<f64>,
    final_s: Vec<f64>,
    busy_s: f64,
    speech_s: f64,
}

/// Plays all joins, and prints what came of them.
///
/// # Errors
/// When a model or a clip cannot be read.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut passes = Passes::open(&args.model, &args.kept)?;
    let mut detector = Detector::load(&args.vad)?;
    let recordings = recordings::find(&args.speech)?;
    let mut sum = Sum::default();
    for seed in args.seed.map_or(1..=args.joins, |seed| seed..=seed) {
        let parts = join::shuffled(recordings.clone(), seed);
        let parts = parts.iter().map(|recording| Ok((recording, samples(&recording.path)?)));
        let plan = Plan { seed, noise_db: args.noise, quiet_s: 0.0 };
        let joined = join(parts.collect::<Result<_>>()?, plan);
        let heard = Player::new(args, &joined, &mut passes, &format!("{seed} {:?}", args.noise)).play(&mut detector)?;
        let before = sum.errors;
        sum.add(&joined, &heard);
        println!("seed {seed:2}                      {} wrong", sum.errors - before);
        passes.keep()?;
    }
    sum.print(passes.computed);
    Ok(())
}

fn samples(file: &Path) -> Result<Vec<i16>> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let samples = bytes.get(HEADER_BYTES..).context("no WAV file")?;
    Ok(samples.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect())
}

impl Sum {
    fn add(&mut self, joined: &Joined, heard: &Heard) {
        let (said, written) = (normalise::words(&joined.transcript()), normalise::words(&heard.finals.join(" ")));
        let errors = errors::count(&said, &written);
        self.words += said.len();
        self.errors += errors.substitutions + errors.deletions + errors.insertions;
        for difference in errors::differences(&said, &written) {
            let word = |word: Option<String>| word.unwrap_or_else(|| "-".into());
            let name = format!("{} > {}", word(difference.said), word(difference.written));
            *self.differences.entry(name).or_default() += 1;
        }
        self.commit_s.extend(heard.words.iter().map(|(end_s, at_s)| at_s - end_s));
        for (clip, span_s) in joined.clips.iter().map(|clip| &clip.sound_s).enumerate() {
            self.first_s.extend(heard.first_s.get(&clip).map(|at_s| at_s - span_s.start));
            self.final_s.extend(heard.final_s.get(&clip).map(|at_s| at_s - span_s.end));
        }
        self.busy_s += heard.busy_s;
        let spoken_s = joined.spoken_s();
        self.speech_s += spoken_s.end - spoken_s.start;
    }

    fn print(mut self, computed: usize) {
        let both = |times: &mut Vec<f64>| format!("{:.2} / {:.2} s", quantile(times, 0.5), quantile(times, 0.95));
        println!("wrong                        {} of {} words", self.errors, self.words);
        println!("first word to first partial  {}", both(&mut self.first_s));
        println!("word to its commitment       {}", both(&mut self.commit_s));
        println!("end of speech to final       {}", both(&mut self.final_s));
        println!("cores, by the formula        {:.2}", self.busy_s / self.speech_s);
        println!("passes computed now          {computed}");
        let mut differences: Vec<_> = self.differences.into_iter().collect();
        differences.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (difference, count) in differences {
            println!("{count:4} {difference}");
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few hundred"
)]
fn quantile(times: &mut [f64], at: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * at).round() as usize).copied().unwrap_or(f64::NAN)
}

//! Recordings as fast as the machine can: `tympan transcribe --json`.

use super::child::Measured;
use super::errors::{Difference, WordErrors, count, differences};
use super::normalise::words;
use super::recordings::Recording;
use super::room::Room;
use super::{Asked, rounded};
use anyhow::{Result, bail};
use control_protocol::Exit;
use serde::Serialize;
use serde_json::Value;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// A command line has room for so many paths.
const FILES_MAX: usize = 200;

/// Nobody reads more.
const DIFFERENCES: usize = 300;

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Offline {
    /// Seconds of sound.
    pub seconds: f64,
    /// Seconds it took, from the start of the program to its end.
    pub taken_s: f64,
    /// The second divided by the first.
    pub real_time_factor: f64,
    /// Words said, and errors by their kind.
    #[serde(flatten)]
    pub errors: WordErrors,
    /// Errors for a hundred words said.
    pub word_error_rate_percent: Option<f64>,
    /// What these errors are; the first few hundred of many.
    pub differences: Vec<Difference>,
    /// Frames whose words are missing, at 16 kHz.
    pub lost_frames: u64,
}

/// Writes all recordings down, and compares. `seconds` is how long they are together.
///
/// # Errors
/// When a recording cannot be written down.
pub(super) fn measure(asked: &Asked, room: &Room, recordings: &[Recording], seconds: f64) -> Result<Offline> {
    let mut offline = Offline { seconds: rounded(seconds), ..Offline::default() };
    let mut taken = Duration::ZERO;
    for (n, batch) in recordings.chunks(FILES_MAX).enumerate() {
        let mut command = asked.command(room, "transcribe");
        command.arg("--json").arg("--").args(batch.iter().map(|recording| &recording.path));
        let begin = Instant::now();
        let measured = Measured::start(room, command)?;
        let mut done = 0;
        loop {
            let line = match measured.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    asked.heed()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let said: Value = serde_json::from_str(&line)?;
            let Some(recording) = batch.get(done) else { bail!("transcribe said more than was asked: {line}") };
            let (heard, written) = (words(&recording.transcript), words(said["text"].as_str().unwrap_or_default()));
            offline.errors += count(&heard, &written);
            if offline.differences.len() < DIFFERENCES {
                offline.differences.extend(differences(&heard, &written));
            }
            offline.lost_frames += said["lost_frames"].as_u64().unwrap_or(0);
            done += 1;
            asked.say(&format!("{} of {} recordings written down", n * FILES_MAX + done, recordings.len()));
        }
        let exit = measured.end()?;
        taken += begin.elapsed();
        if done < batch.len() || (exit == Exit::Incomplete && offline.lost_frames == 0) {
            asked.incomplete();
        }
    }
    offline.taken_s = rounded(taken.as_secs_f64());
    offline.real_time_factor = rounded(taken.as_secs_f64() / seconds.max(0.001));
    offline.word_error_rate_percent = offline.errors.percent().map(rounded);
    if offline.lost_frames > 0 {
        asked.incomplete();
    }
    Ok(offline)
}

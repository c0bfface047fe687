//! Samples of recordings, and where in them something is heard: by their energy, not by our voice detection.

use crate::refusal::Refusal;
use anyhow::{Context, Result};
use control_protocol::Exit;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

/// The rate of all samples here: what Whisper hears.
pub(super) const RATE_HZ: u32 = 16_000;
/// A hundredth of a second.
const WINDOW: usize = 160;
/// A window is heard when it is so far above the recording's quietest tenth, in dB …
const ABOVE_FLOOR_DB: f64 = 8.0;
/// … and not so far below its loudest. A recording without a quiet tenth has no floor: there the second counts.
const BELOW_LOUDEST_DB: [f64; 2] = [30.0, 20.0];
/// Of so many windows the most are heard where speech begins or ends; a click is shorter.
const STEADY: usize = 5;

/// Seconds of so many samples.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
pub(super) fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(RATE_HZ)
}

/// Asks the engine's program for the samples of a recording, for none of the decoders is linked here.
///
/// # Errors
/// Why it cannot be decoded.
pub(super) fn decode(engine: &Path, recording: &Path) -> Result<Vec<i16>> {
    let output = Command::new(engine)
        .args(["samples", "--rate", &RATE_HZ.to_string(), "--"])
        .arg(recording)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", engine.display()))?;
    let code = output.status.code();
    // What a recording that is cut off has is used.
    if code != Some(Exit::Clean.code().into()) && (code != Some(Exit::CutOff.code().into()) || output.stdout.is_empty())
    {
        let exit = code.and_then(|code| Exit::ALL.into_iter().find(|exit| i32::from(exit.code()) == code));
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let text =
            if said.is_empty() { format!("{}: cannot be decoded", recording.display()) } else { said.to_owned() };
        return Err(Refusal::new(exit.unwrap_or(Exit::Fault), text).into());
    }
    Ok(output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

/// Mean power of samples.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
pub(super) fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// From the first sample that is heard to the last; `None` when all is silent.
pub(super) fn heard(samples: &[i16]) -> Option<Range<usize>> {
    let levels_db: Vec<f64> = samples.chunks(WINDOW).map(|window| 10.0 * (1.0 + power(window)).log10()).collect();
    let mut sorted = levels_db.clone();
    sorted.sort_by(f64::total_cmp);
    let (floor_db, loudest_db) = (*sorted.get(sorted.len() / 10)?, *sorted.last()?);
    if loudest_db <= 0.0 {
        return None;
    }
    let [low, high] = BELOW_LOUDEST_DB.map(|below_db| loudest_db - below_db);
    let least_db = (floor_db + ABOVE_FLOOR_DB).clamp(low, high);
    let steady = |windows: &[f64]| 2 * windows.iter().filter(|&&db| db >= least_db).count() > windows.len();
    let begins = |at: &usize| levels_db[*at] >= least_db && steady(&levels_db[*at..levels_db.len().min(at + STEADY)]);
    let ends = |at: &usize| levels_db[*at] >= least_db && steady(&levels_db[(at + 1).saturating_sub(STEADY)..=*at]);
    let first = (0..levels_db.len()).find(begins)?;
    let last = (0..levels_db.len()).rfind(ends)?;
    (first <= last).then(|| first * WINDOW..samples.len().min((last + 1) * WINDOW))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Square waves of these amplitudes, each for so many windows.
    fn sound(parts: &[(usize, i16)]) -> Vec<i16> {
        let part = |&(windows, level): &(usize, i16)| {
            (0..windows * WINDOW).map(move |n| if n % 2 == 0 { level } else { -level })
        };
        parts.iter().flat_map(part).collect()
    }

    #[test]
    fn speech_is_heard_above_its_noise() {
        let samples = sound(&[(30, 100), (50, 8_000), (20, 100), (40, 5_000), (40, 110)]);
        assert_eq!(heard(&samples), Some(30 * WINDOW..140 * WINDOW));
    }

    #[test]
    fn a_click_is_no_speech() {
        let samples = sound(&[(10, 10), (1, 9_000), (30, 10), (50, 8_000), (20, 10), (1, 9_000), (20, 10)]);
        assert_eq!(heard(&samples), Some(41 * WINDOW..91 * WINDOW));
    }

    #[test]
    fn all_of_a_recording_without_silence_is_heard_and_nothing_of_a_silent_one() {
        let samples = sound(&[(50, 8_000)]);
        assert_eq!(heard(&samples), Some(0..50 * WINDOW));
        assert_eq!(heard(&sound(&[(50, 0)])), None);
        assert_eq!(heard(&[]), None);
    }
}

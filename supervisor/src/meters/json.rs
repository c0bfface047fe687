//! Readings for programs: an object a line.

use crate::decibels::dbfs;
use serde_json::{Value, json};
use shm_layout::board::{Level, Reading};

/// Two digits behind the point: a hundredth of a decibel; null where it is minus infinity.
fn rounded(value: f32) -> Value {
    if value.is_finite() { json!((f64::from(value) * 100.0).round() / 100.0) } else { Value::Null }
}

/// A reading, before which so many were missed.
pub(super) fn line(stream: &str, reading: &Reading, missed: u64) -> String {
    let level = |level: &Level| json!({"peak_dbfs": rounded(dbfs(level.peak)), "rms_dbfs": rounded(dbfs(level.rms))});
    let channels = &reading.channels[..reading.channels.len().min(reading.channel_count as usize)];
    let loudness = reading.loudness.map(|loudness| {
        json!({
            "momentary_lufs": rounded(loudness.momentary),
            "short_term_lufs": rounded(loudness.short_term),
            "integrated_lufs": rounded(loudness.integrated),
            "range_lu": rounded(loudness.range_lu),
            "momentary_max_lufs": rounded(loudness.momentary_max),
            "short_term_max_lufs": rounded(loudness.short_term_max),
            "true_peak_dbtp": rounded(dbfs(loudness.true_peak)),
            "true_peak_max_dbtp": rounded(dbfs(loudness.true_peak_max)),
        })
    });
    #[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
    let at_s = (reading.at_ns / 1_000) as f64 / 1e6;
    let line = json!({
        "event": "reading", "stream": stream,
        "from_frame": reading.from, "to_frame": reading.to, "end_s": reading.to.seconds(reading.sample_rate_hz),
        "at_s": at_s, "missed": missed,
        "peak_dbfs": rounded(dbfs(reading.loudest.peak)), "rms_dbfs": rounded(dbfs(reading.loudest.rms)),
        "held_peak_dbfs": rounded(dbfs(reading.held_peak)),
        "clips": reading.clips, "since_frame": reading.since,
        "channel_count": reading.channel_count, "channels": channels.iter().map(level).collect::<Vec<_>>(),
        "loudness": loudness,
    });
    format!("{line}\n")
}

/// A stream that shows nothing any more.
pub(super) fn gone(stream: &str) -> String {
    format!("{}\n", json!({"event": "gone", "stream": stream}))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use shm_layout::FrameIndex;
    use shm_layout::board::{Loudness, READING_CHANNELS};

    /// A mono reading.
    pub(in super::super) fn reading(from: u64, to: u64, peak: f32) -> Reading {
        let level = Level { peak, rms: peak / 2.0 };
        let mut channels = [Level::default(); READING_CHANNELS];
        channels[0] = level;
        Reading {
            from: FrameIndex(from),
            to: FrameIndex(to),
            at_ns: 1_500_000_000,
            sample_rate_hz: 48_000,
            channel_count: 1,
            since: FrameIndex(0),
            clips: 2,
            held_peak: 1.0,
            loudest: level,
            channels,
            loudness: None,
        }
    }

    #[test]
    fn a_line_has_every_number_and_null_for_what_is_not_known() {
        let mut shown = reading(48_000, 48_800, 0.5);
        let parsed: Value = serde_json::from_str(&line("mic", &shown, 3)).expect("JSON");
        assert_eq!(
            (&parsed["peak_dbfs"], &parsed["rms_dbfs"], &parsed["missed"]),
            (&json!(-6.02), &json!(-12.04), &json!(3))
        );
        assert_eq!((&parsed["channels"].as_array().map(Vec::len), &parsed["loudness"]), (&Some(1), &Value::Null));
        shown.loudness = Some(Loudness {
            momentary: -23.004,
            short_term: f32::NEG_INFINITY,
            integrated: f32::NEG_INFINITY,
            range_lu: 0.0,
            momentary_max: -20.0,
            short_term_max: f32::NEG_INFINITY,
            true_peak: 0.0,
            true_peak_max: 1.0,
        });
        let parsed: Value = serde_json::from_str(&line("mix", &shown, 0)).expect("JSON");
        let loudness = &parsed["loudness"];
        assert_eq!((&loudness["momentary_lufs"], &loudness["short_term_lufs"]), (&json!(-23.0), &Value::Null));
        assert_eq!((&loudness["true_peak_dbtp"], &loudness["true_peak_max_dbtp"]), (&json!(-144.0), &json!(0.0)));
    }
}

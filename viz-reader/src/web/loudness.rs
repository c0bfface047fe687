//! How loud a running instance's mix is: read off its status board a few times a second, for all pages at once.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use shm_layout::board::{Loudness, MeterView, View};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How often is looked: numbers that change more often cannot be read.
const EVERY: Duration = Duration::from_millis(200);
/// How often is looked for a board, where none is.
const RETRY: Duration = Duration::from_secs(1);
/// A meter that shows nothing for so long is of an instance that is gone.
const GONE_AFTER_NS: u64 = 1_000_000_000;
/// The stream that is the sum of all: the only one whose loudness is measured.
const MIX: &str = "mix";

/// The message that pages are told; `None` before there was any loudness.
pub(super) type Told = Option<Arc<str>>;

/// Looks while somebody listens, for as long as it is polled.
pub(super) async fn look(folder: PathBuf, sender: watch::Sender<Told>) {
    let mut meter = None;
    loop {
        // One is the server's own, which it gives to pages.
        if sender.receiver_count() > 1 {
            meter = meter.filter(is_alive).or_else(|| find(&folder));
            let loudness = meter.as_ref().and_then(|meter| meter.newest()?.loudness);
            let told = loudness.as_ref().map_or_else(|| json!(null), numbers);
            let message: Arc<str> = json!({"type": "loudness", "loudness": told}).to_string().into();
            sender.send_if_modified(|last| {
                // That there is none is no news to whoever knows of none.
                let changed = last.as_ref().map_or_else(|| loudness.is_some(), |last| *last != message);
                if changed {
                    *last = Some(message);
                }
                changed
            });
        }
        sleep(if meter.is_some() { EVERY } else { RETRY }).await;
    }
}

/// The mix's meter. Without an instance there is none, and that is no fault.
fn find(folder: &Path) -> Option<MeterView> {
    View::open(folder).ok()?.meters().into_iter().find(|meter| meter.stream() == MIX).filter(is_alive)
}

/// Whether it shows something still: the board of an instance that was killed stays.
fn is_alive(meter: &MeterView) -> bool {
    let now = clock_gettime(ClockId::Monotonic);
    let now_ns = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0);
    meter.is_taken() && meter.newest().is_some_and(|reading| now_ns.saturating_sub(reading.at_ns) < GONE_AFTER_NS)
}

fn numbers(loudness: &Loudness) -> Value {
    json!({
        "momentary_lufs": rounded(loudness.momentary),
        "short_term_lufs": rounded(loudness.short_term),
        "integrated_lufs": rounded(loudness.integrated),
        "range_lu": rounded(loudness.range_lu),
        "true_peak_dbtp": rounded(20.0 * loudness.true_peak_max.log10()),
    })
}

/// A tenth of a decibel, as it is shown; null where it is minus infinity.
fn rounded(value: f32) -> Value {
    if value.is_finite() { json!((f64::from(value) * 10.0).round() / 10.0) } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_layout::FrameIndex;
    use shm_layout::board::{Board, Level, Meters, READING_CHANNELS, Reading};
    use tokio::time::timeout;

    fn reading(momentary: f32) -> Reading {
        let loudness = Loudness {
            momentary,
            short_term: f32::NEG_INFINITY,
            integrated: -22.96,
            range_lu: 0.0,
            momentary_max: momentary,
            short_term_max: f32::NEG_INFINITY,
            true_peak: 0.1,
            true_peak_max: 0.5,
        };
        Reading {
            from: FrameIndex(0),
            to: FrameIndex(800),
            at_ns: 0,
            sample_rate_hz: 48_000,
            channel_count: 2,
            since: FrameIndex(0),
            clips: 0,
            held_peak: 0.1,
            loudest: Level::default(),
            channels: [Level::default(); READING_CHANNELS],
            loudness: Some(loudness),
        }
    }

    #[tokio::test]
    async fn a_mix_s_loudness_is_told_while_it_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let _board = Board::create(dir.path()).unwrap();
        let meters = Meters::claim(dir.path()).unwrap();
        let mut mix = meters.take(MIX).unwrap();
        mix.show(&reading(-18.04));
        let (sender, server) = watch::channel(None);
        let mut receiver = server.clone();
        let looking = tokio::spawn(look(dir.path().to_owned(), sender));
        let mut next = async || -> Value {
            timeout(Duration::from_secs(50), receiver.changed()).await.unwrap().unwrap();
            let told = receiver.borrow_and_update().clone().unwrap();
            serde_json::from_str(&told).unwrap()
        };
        let first = next().await;
        assert_eq!(first["type"], "loudness");
        let numbers = json!({"momentary_lufs": -18.0, "short_term_lufs": null, "integrated_lufs": -23.0,
            "range_lu": 0.0, "true_peak_dbtp": -6.0});
        assert_eq!(first["loudness"], numbers);
        mix.show(&reading(-20.0));
        assert_eq!(next().await["loudness"]["momentary_lufs"], -20.0);
        drop(mix);
        assert_eq!(next().await["loudness"], Value::Null);
        looking.abort();
    }
}

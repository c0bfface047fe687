//! Waiting, never without end.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How long to wait for something promised within `promise_s` seconds: ten times as long.
#[must_use]
pub fn watchdog(promise_s: f64) -> Duration {
    Duration::from_secs_f64(promise_s * 10.0)
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// When `limit` passes first, or the question itself fails.
pub fn wait_until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if begin.elapsed() > limit {
            bail!("watchdog: {what} did not come within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

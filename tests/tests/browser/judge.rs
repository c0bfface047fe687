//! What every job of the browser is judged by.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

pub(crate) fn clean(seen: &Value) -> Result<()> {
    for field in ["faults", "violations"] {
        let none = seen[field].as_array().is_none_or(Vec::is_empty);
        ensure!(none, "{field}: {}", seen[field]);
    }
    Ok(())
}

/// A number of what was seen.
pub(crate) fn number(seen: &Value, name: &str) -> Result<f64> {
    seen[name].as_f64().with_context(|| format!("{name} in {seen}"))
}

/// One of the page's counts, `before` a job or `after` it.
fn count(seen: &Value, when: &str, what: &str) -> Result<u64> {
    seen[when][what].as_u64().with_context(|| format!("{when} {what}: {seen}"))
}

/// By how much one of the page's counts has grown while a job went on.
pub(crate) fn grown(seen: &Value, what: &str) -> Result<u64> {
    let (before, after) = (count(seen, "before", what)?, count(seen, "after", what)?);
    after.checked_sub(before).with_context(|| format!("{what} falls: {seen}"))
}

/// Of all frames that passed, each came, or is told as lost or never captured.
pub(crate) fn accounts_hold(seen: &Value) -> Result<()> {
    let grown = |what: &str| grown(seen, what);
    let (all, told) = (grown("newest")?, grown("came")? + grown("lost")? + grown("gaps")?);
    ensure!(all == told && all > 0, "of {all} frames {told} are accounted for: {seen}");
    Ok(())
}

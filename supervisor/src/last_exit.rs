//! How the last child of a place ended that should not have: kept by the loop, shown by `status`.

use crate::output::harmless;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;

/// An end that nobody wanted.
#[derive(Debug, Clone)]
pub(crate) struct LastExit {
    reason: String,
    last_words: Vec<String>,
    at: Instant,
}

impl LastExit {
    /// An end now. What a healthy child said before it was killed `from_outside` explains nothing and is left out.
    pub(crate) fn new(reason: &str, from_outside: bool, last_words: Vec<String>) -> Self {
        let last_words = if from_outside { Vec::new() } else { last_words };
        Self { reason: reason.to_owned(), last_words, at: Instant::now() }
    }

    /// For `status --json`.
    pub(crate) fn json(&self) -> Value {
        json!({ "reason": self.reason, "last_words": self.last_words, "ago_s": self.at.elapsed().as_secs_f64() })
    }
}

/// A line for each part of `status`'s `processes` that ended so.
pub(crate) fn lines(processes: &Value) -> String {
    let mut out = String::new();
    for process in processes.as_array().into_iter().flatten() {
        let last = &process["last_exit"];
        let Some(reason) = last["reason"].as_str() else { continue };
        let who = process["role"].as_str().unwrap_or("?");
        let number = process["worker"].as_u64().map(|number| format!(" {number}")).unwrap_or_default();
        let ago = ago(last["ago_s"].as_f64().unwrap_or(0.0));
        let words: Vec<&str> = last["last_words"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let words = gist(&words).map(|words| format!(": {words}")).unwrap_or_default();
        let _ = writeln!(out, "{who}{number}, {ago} ago: {}", harmless(&format!("{reason}{words}")));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// What the last words come down to: a panic with its place and its message, or the last line.
fn gist(lines: &[&str]) -> Option<String> {
    match lines.iter().rposition(|line| line.contains(" panicked at ")) {
        Some(panic) => Some(lines[panic..].iter().take(2).copied().collect::<Vec<_>>().join(" ")),
        None => lines.last().map(|line| (*line).to_owned()),
    }
}

fn ago(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6_000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place_and_its_message() {
        let said = ["warn: slow", "thread 'main' (7) panicked at src/a.rs:1:2:", "index out of bounds"];
        let said: Vec<String> = said.iter().map(|&line| line.to_owned()).collect();
        let crashed = LastExit::new("ended with code 101", false, said.clone()).json();
        let killed = LastExit::new("ended by SIGKILL", true, said).json();
        assert!(killed["last_words"].as_array().unwrap().is_empty());
        let processes = json!([
            { "role": "engine" },
            { "role": "listener", "last_exit": killed },
            { "role": "worker", "worker": 1, "last_exit": crashed },
        ]);
        assert_eq!(
            lines(&processes),
            "\nlistener, 0 s ago: ended by SIGKILL\nworker 1, 0 s ago: ended with code 101: \
             thread 'main' (7) panicked at src/a.rs:1:2: index out of bounds\n"
        );
        assert_eq!(lines(&json!([{ "role": "engine" }])), "");
    }

    #[test]
    fn what_was_long_ago_is_told_in_longer_units() {
        assert_eq!((ago(59.6), ago(130.0), ago(9_000.0)), ("60 s".into(), "2 min".into(), "2 h".into()));
    }
}

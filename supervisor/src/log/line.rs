//! One line of the log.

use super::stamp::stamp;
use crate::event::Part;
use serde::Serialize;
use std::time::SystemTime;

/// How grave a line is, as its writer marked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// For whoever wants to know.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// As above, and more.
    Trace,
}

impl Level {
    /// The level that a line of standard error begins with, and the rest of it.
    pub(crate) fn of(line: &str) -> (Option<Self>, &str) {
        const MARKS: [(&str, Level); 6] = [
            ("error: ", Level::Error),
            ("warn: ", Level::Warn),
            ("warning: ", Level::Warn),
            ("info: ", Level::Info),
            ("debug: ", Level::Debug),
            ("trace: ", Level::Trace),
        ];
        for (mark, level) in MARKS {
            if let Some(rest) = line.strip_prefix(mark) {
                return (Some(level), rest);
            }
        }
        let panic = line.starts_with("thread '") && line.contains(" panicked at ");
        (panic.then_some(Self::Error), line)
    }
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Speaker {
    role: &'static str,
    worker: Option<u32>,
    pid: u32,
    generation: u32,
}

impl Speaker {
    /// This process.
    pub(crate) fn supervisor() -> Self {
        Self { role: "supervisor", worker: None, pid: std::process::id(), generation: 1 }
    }

    /// A life of a part.
    pub(crate) const fn child(part: Part, pid: u32, generation: u32) -> Self {
        let (role, worker) = match part {
            Part::Engine => ("engine", None),
            Part::Listener => ("listener", None),
            Part::Worker(worker) => ("worker", Some(worker)),
        };
        Self { role, worker, pid, generation }
    }

    /// A life of a part, by the words of a report.
    pub(crate) const fn of_role(role: &'static str, worker: Option<u32>, pid: u32, generation: u32) -> Self {
        Self { role, worker, pid, generation }
    }
}

/// Something to be logged.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    at: SystemTime,
    speaker: Speaker,
    event: &'static str,
    level: Option<Level>,
    text: String,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<u32>,
    pid: u32,
    generation: u32,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    text: &'a str,
    /// Lines before this one that did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    instance: &'a str,
}

impl Entry {
    /// Said now.
    pub(crate) fn new(speaker: Speaker, event: &'static str, level: Option<Level>, text: impl Into<String>) -> Self {
        Self { at: SystemTime::now(), speaker, event, level, text: text.into() }
    }

    /// Its line, with an end. `instance` is the supervisor's own name.
    pub(super) fn line(&self, instance: &str, dropped: u64) -> Vec<u8> {
        let Speaker { role, worker, pid, generation } = self.speaker;
        let line = Line {
            time: stamp(self.at),
            role,
            worker,
            pid,
            generation,
            event: self.event,
            level: self.level,
            text: &self.text,
            dropped: (dropped > 0).then_some(dropped),
            instance,
        };
        // Texts and numbers always are JSON.
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_taken_off_the_text() {
        assert_eq!(Level::of("error: no model"), (Some(Level::Error), "no model"));
        assert_eq!(Level::of("warn: slow"), (Some(Level::Warn), "slow"));
        assert_eq!(Level::of("no error: here"), (None, "no error: here"));
        let panic = "thread 'main' (1) panicked at src/a.rs:1:2:";
        assert_eq!(Level::of(panic), (Some(Level::Error), panic));
    }

    #[test]
    fn a_line_is_one_object() {
        let speaker = Speaker::child(Part::Worker(2), 77, 3);
        let line = Entry::new(speaker, "said", Some(Level::Warn), "two\nlines \x1b[31m").line("5-6", 0);
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&value["role"], &value["worker"], &value["pid"]), (&"worker".into(), &2.into(), &77.into()));
        assert_eq!((&value["generation"], &value["level"]), (&3.into(), &"warn".into()));
        assert_eq!((&value["text"], &value["instance"]), (&"two\nlines \x1b[31m".into(), &"5-6".into()));
        assert!(value.get("dropped").is_none());
        assert_eq!(value["time"].as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
    }
}

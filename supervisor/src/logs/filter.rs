//! Which lines are wanted.

use crate::log::stamp;
use crate::refusal::refuse;
use anyhow::Result;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// A line as it is read. Later versions may write more.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    pub time: String,
    pub role: String,
    pub worker: Option<u32>,
    pub pid: u32,
    pub level: Option<String>,
    pub text: String,
    #[serde(default)]
    pub dropped: u64,
    #[serde(default)]
    pub instance: String,
}

/// Whose lines are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    role: Option<&'static str>,
    worker: Option<u32>,
}

impl Who {
    /// As a user says it: nothing, `worker`, `worker 1`, `worker.1`.
    ///
    /// # Errors
    /// A refusal that names the roles.
    pub(super) fn of(words: &[String]) -> Result<Self> {
        const ROLES: [&str; 4] = ["supervisor", "engine", "listener", "worker"];
        let Some(first) = words.first() else { return Ok(Self::default()) };
        let (name, number) = match (first.split_once('.'), words.get(1)) {
            (Some((name, number)), None) => (name, Some(number)),
            (None, number) => (first.as_str(), number.map(String::as_str)),
            (Some(_), Some(_)) => ("", None),
        };
        // Several workers are still `worker`, as people say it.
        let role = ROLES.into_iter().find(|role| name.strip_suffix('s').unwrap_or(name) == *role);
        let worker = number.map(str::parse::<u32>);
        match (role, worker) {
            (Some("worker"), Some(Ok(number))) => Ok(Self { role: Some("worker"), worker: Some(number) }),
            (Some(role), None) => Ok(Self { role: Some(role), worker: None }),
            _ => refuse!(
                Usage,
                "\"{}\" is no part; name supervisor, engine, listener, worker, or one worker, as in `tympan logs worker 1`",
                words.join(" ")
            ),
        }
    }

    /// Whether a line is theirs.
    pub(super) fn is(&self, line: &Line) -> bool {
        self.role.is_none_or(|role| role == line.role) && (self.worker.is_none() || self.worker == line.worker)
    }
}

/// A point in time, as the beginning of a stamp.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Since(String);

impl Since {
    /// As a user says it: `90s`, `10m`, `2h`, `3d`, or a date with as much of a time as is wanted.
    ///
    /// # Errors
    /// A refusal with examples.
    pub(super) fn of(text: &str) -> Result<Self> {
        if let Some(age) = age(text) {
            let then = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            return Ok(Self(stamp(then)));
        }
        const SHAPE: &[u8] = b"0000-00-00T00:00:00.000";
        let plain = text.strip_suffix(['Z', 'z']).unwrap_or(text).replacen(' ', "T", 1);
        let fits = |(given, shape): (u8, &u8)| if *shape == b'0' { given.is_ascii_digit() } else { given == *shape };
        // A date at the least, and no half a number.
        let ends = [10, 13, 16, 19, 23].contains(&plain.len());
        if ends && plain.bytes().zip(SHAPE).all(fits) {
            return Ok(Self(plain));
        }
        refuse!(
            Usage,
            "--since {text} is no time; give an age such as 90s, 10m, 2h, 3d, or a time in UTC: 2026-11-21T17:42"
        );
    }

    /// Whether a stamp is at this time or later.
    pub(super) fn is_before(&self, stamp: &str) -> bool {
        self.0.as_str() <= stamp
    }
}

fn age(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(words: &[&str]) -> Result<Who> {
        Who::of(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    fn line(role: &str, worker: Option<u32>) -> Line {
        let time = "2026-11-21T17:42:28.123Z".to_owned();
        Line {
            time,
            role: role.into(),
            worker,
            pid: 1,
            level: None,
            text: String::new(),
            dropped: 0,
            instance: String::new(),
        }
    }

    #[test]
    fn parts_are_named_as_people_name_them() {
        assert!(who(&[]).unwrap().is(&line("engine", None)));
        for words in [&["worker", "2"][..], &["worker.2"], &["workers", "2"]] {
            let two = who(words).unwrap();
            assert!(two.is(&line("worker", Some(2))) && !two.is(&line("worker", Some(1))), "{words:?}");
        }
        let all = who(&["worker"]).unwrap();
        assert!(all.is(&line("worker", Some(2))) && !all.is(&line("engine", None)));
        for words in [&["wroker"][..], &["worker", "x"], &["engine", "1"], &["worker.1", "2"], &[""]] {
            assert!(who(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn times_are_ages_or_dates() {
        let stamp = "2026-11-21T17:42:28.123Z";
        for before in
            ["2026-11-21", "2026-11-21 17", "2026-11-21T17:42", "2026-11-21T17:42:28.123Z", "2026-11-21T17:42:28z"]
        {
            assert!(Since::of(before).unwrap().is_before(stamp), "{before}");
        }
        for after in ["2026-11-22", "2026-11-21 18:00", "2026-11-21T17:42:28.124Z"] {
            assert!(!Since::of(after).unwrap().is_before(stamp), "{after}");
        }
        for none in ["", "h", "10", "yesterday", "2026-11-2", "2026-11-21T17:4", "2026-11-21T17:42+02:00", "-5m", "5ü"]
        {
            assert!(Since::of(none).is_err(), "{none}");
        }
        let now = crate::log::stamp(SystemTime::now());
        assert!(Since::of("10m").unwrap().is_before(&now));
        assert!(Since::of("99999999999999d").unwrap().is_before(&now));
    }
}

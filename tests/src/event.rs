//! The lines of `run --json`, with the times at which they came.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One object of the output.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its place in the output.
    pub index: usize,
    /// When its line was read.
    pub at: Instant,
    /// All its fields.
    pub fields: Value,
}

impl Event {
    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.fields["event"] == kind
    }

    /// A `process` event of this role and state.
    #[must_use]
    pub fn is_process(&self, role: &str, state: &str) -> bool {
        self.is("process") && self.fields["role"] == role && self.fields["state"] == state
    }

    /// A text.
    ///
    /// # Errors
    /// When it is missing.
    pub fn text(&self, field: &str) -> Result<&str> {
        self.fields[field].as_str().with_context(|| format!("no text {field:?} in {}", self.fields))
    }

    /// A whole number.
    ///
    /// # Errors
    /// When it is missing or negative.
    pub fn whole(&self, field: &str) -> Result<u64> {
        self.fields[field].as_u64().with_context(|| format!("no whole number {field:?} in {}", self.fields))
    }

    /// A number.
    ///
    /// # Errors
    /// When it is missing.
    pub fn number(&self, field: &str) -> Result<f64> {
        self.fields[field].as_f64().with_context(|| format!("no number {field:?} in {}", self.fields))
    }

    /// `start_frame..end_frame`.
    ///
    /// # Errors
    /// When one is missing.
    pub fn span(&self) -> Result<std::ops::Range<u64>> {
        Ok(self.whole("start_frame")?..self.whole("end_frame")?)
    }
}

/// All events so far. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct EventLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    /// A line that is no object: the contract is broken.
    broken: Option<String>,
    ended: bool,
}

impl EventLog {
    /// Reads lines to their end on a thread of its own.
    pub fn follow(&self, from: impl Read + Send + 'static) {
        let this = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                let Ok(line) = line else { break };
                let at = Instant::now();
                let mut log = this.lock();
                match serde_json::from_str::<Value>(&line) {
                    Ok(fields) if fields["event"].is_string() => {
                        let index = log.events.len();
                        log.events.push(Event { index, at, fields });
                    }
                    _ => log.broken = Some(line),
                }
                this.0.grown.notify_all();
            }
            this.lock().ended = true;
            this.0.grown.notify_all();
        });
    }

    /// All events so far.
    ///
    /// # Errors
    /// When a line was no event.
    pub fn all(&self) -> Result<Vec<Event>> {
        let log = self.lock();
        if let Some(line) = &log.broken {
            bail!("a line of run --json that is no event: {line:?}");
        }
        Ok(log.events.clone())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the first event from `from` on that fits.
    ///
    /// # Errors
    /// When `limit` passes, the output ends, or a line is no event.
    pub fn wait(
        &self,
        from: usize,
        what: &str,
        limit: Duration,
        mut fits: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        let begin = Instant::now();
        let mut next = from;
        let mut log = self.lock();
        loop {
            if let Some(found) = log.events.iter().skip(next).find(|event| fits(event)) {
                return Ok(found.clone());
            }
            next = next.max(log.events.len());
            if let Some(line) = &log.broken {
                bail!("a line of run --json that is no event: {line:?}");
            }
            if log.ended {
                bail!("the output ended before {what}; last: {:?}", log.events.last().map(|e| &e.fields));
            }
            let Some(left) = limit.checked_sub(begin.elapsed()) else {
                bail!(
                    "watchdog: {what} did not come within {limit:?}; last: {:?}",
                    log.events.last().map(|e| &e.fields)
                );
            };
            log = self.0.grown.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of the output.
    ///
    /// # Errors
    /// When `limit` passes first.
    pub fn wait_end(&self, limit: Duration) -> Result<()> {
        crate::wait_until("the end of the output", limit, || Ok(self.lock().ended.then_some(())))
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watchdog;

    #[test]
    fn events_come_in_order_and_waits_end() {
        let log = EventLog::default();
        log.follow(
            &br#"{"event":"started","emitted_s":1.5}
{"event":"final","start_frame":3,"end_frame":9,"text":"hello"}
"#[..],
        );
        let event = log.wait(0, "a final", watchdog(1.0), |e| e.is("final")).expect("it is there");
        assert_eq!((event.index, event.span().expect("span"), event.text("text").expect("text")), (1, 3..9, "hello"));
        assert!(event.number("emitted_s").is_err() && event.whole("text").is_err());
        log.wait_end(watchdog(1.0)).expect("the end");
        assert_eq!(log.all().expect("events").len(), 2);
        let late = log.wait(2, "a third", watchdog(1.0), |_| true).expect_err("there is none");
        assert!(late.to_string().contains("ended before a third"), "{late}");
    }

    #[test]
    fn a_line_that_is_no_event_is_an_error() {
        for line in ["Loading model...\n", "{\"stream\":\"mic\"}\n", "[1]\n"] {
            let log = EventLog::default();
            log.follow(line.as_bytes());
            log.wait_end(watchdog(1.0)).expect("the end");
            assert!(log.all().is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_watchdog_barks() {
        let (reader, _writer) = std::io::pipe().expect("pipe");
        let log = EventLog::default();
        log.follow(reader);
        let error = log.wait(0, "anything", Duration::from_millis(20), |_| true).expect_err("nothing comes");
        assert!(error.to_string().starts_with("watchdog: anything"), "{error}");
    }
}

//! What was said last, for those who come and ask: the request `words` of the control socket.

use super::Session;
use crate::report::{Report, Span, Stamped, monotonic_s};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reports that are remembered, and the bytes of their texts: what is older is forgotten first.
const REPORTS_MAX: usize = 1_024;
/// Of one answer, which is at most 256 KiB.
const ANSWER_BYTES: usize = 200 * 1024;
/// Who asks for words as they are spoken asks again within this time.
const WATCHED_FOR: Duration = Duration::from_secs(3);

/// The newest reports about words, in their order. A text that a newer one has replaced is not kept.
#[derive(Default)]
pub(super) struct Told {
    reports: VecDeque<Kept>,
    /// The number of the newest; the first is 1.
    last: u64,
    /// The highest number of those forgotten that nothing newer stands for.
    forgotten: u64,
    /// Until when somebody wants words while they are spoken.
    watched_until: Option<Instant>,
}

struct Kept {
    number: u64,
    report: Report,
    /// As it is answered, and the length of that.
    line: Value,
    bytes: usize,
}

impl Kept {
    fn new(number: u64, report: Report) -> Self {
        #[derive(Serialize)]
        struct Numbered<'a> {
            number: u64,
            #[serde(flatten)]
            said: Stamped<&'a Report>,
        }
        let said = Stamped { report: &report, emitted_s: monotonic_s() };
        let line = json!(Numbered { number, said });
        Self { number, bytes: line.to_string().len(), line, report }
    }
}

impl Told {
    /// Remembers a report, and forgets those whose words it holds.
    fn remember(&mut self, report: Report) {
        match &report {
            Report::Partial { span, .. } => self.reports.retain(|old| !is_partial_of(&old.report, span)),
            Report::Final { span, .. } => self.reports.retain(|old| !is_within(&old.report, span)),
            _ => {}
        }
        self.last += 1;
        self.reports.push_back(Kept::new(self.last, report));
        if self.reports.len() > REPORTS_MAX
            && let Some(oldest) = self.reports.pop_front()
        {
            self.forgotten = oldest.number;
        }
    }

    /// What came after this number, as much as an answer holds.
    fn after(&self, number: u64) -> Value {
        // One fits in any case: who asks must get on.
        let fits = |bytes: &mut usize, kept: &'_ Kept| {
            let is_first = *bytes == 0;
            *bytes += kept.bytes;
            is_first || *bytes <= ANSWER_BYTES
        };
        let newer = self.reports.iter().filter(|kept| kept.number > number);
        let told: Vec<&Kept> = newer.scan(0, |bytes, kept| fits(bytes, kept).then_some(kept)).collect();
        json!({
            "last": told.last().map_or(self.last, |kept| kept.number),
            "forgotten": self.forgotten.saturating_sub(number),
            "words": told.iter().map(|kept| &kept.line).collect::<Vec<_>>(),
        })
    }
}

/// Whether this is an unfinished text of the same stream: there is one at a time.
fn is_partial_of(report: &Report, newer: &Span) -> bool {
    matches!(report, Report::Partial { span, .. } if span.stream == newer.stream)
}

/// Whether a final text of this span says all that this report does.
fn is_within(report: &Report, whole: &Span) -> bool {
    is_partial_of(report, whole)
        || matches!(report, Report::Committed { span, .. }
            if span.stream == whole.stream && span.start_frame >= whole.start_frame && span.end_frame <= whole.end_frame)
}

impl Session<'_> {
    /// What was said after this number. `live`: text is wanted while it is spoken, for some seconds from now on.
    pub(super) fn words_after(&mut self, number: u64, live: bool) -> Value {
        if live {
            self.told.watched_until = Some(Instant::now() + WATCHED_FOR);
        }
        let mut answer = self.told.after(number);
        answer["session"] = json!(self.id.to_string());
        answer["sample_rate_hz"] = json!(self.plan.sample_rate_hz);
        answer
    }

    /// Whether text is wanted while it is spoken: by the run itself, or by somebody who looks on.
    pub(super) fn wants_partials(&self) -> bool {
        self.plan.partials || self.told.watched_until.is_some_and(|until| Instant::now() < until)
    }

    /// Tells words that stay.
    pub(super) fn tell(&mut self, report: Report) {
        self.told.remember(report.clone());
        self.reporter.report(report);
    }

    /// Tells words while they are spoken: to the run where it wants them, and to those who look on.
    pub(super) fn tell_early(&mut self, report: Report) {
        if self.plan.partials {
            self.tell(report);
        } else {
            self.told.remember(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_protocol::StreamName;
    use shm_layout::FrameIndex;

    fn span(stream: &str, from: u64, to: u64) -> Span {
        Span::new(StreamName::new(stream).unwrap(), FrameIndex(from), FrameIndex(to), 48_000)
    }

    fn partial(stream: &str, from: u64, to: u64) -> Report {
        Report::Partial { span: span(stream, from, to), text: "and".into(), committed: String::new() }
    }

    fn committed(stream: &str, from: u64, to: u64) -> Report {
        Report::Committed { span: span(stream, from, to), text: "and".into(), words: Vec::new() }
    }

    fn finished(stream: &str, from: u64, to: u64) -> Report {
        Report::Final { span: span(stream, from, to), text: "And so.".into(), words: Vec::new() }
    }

    fn numbers(answer: &Value) -> Vec<u64> {
        answer["words"].as_array().unwrap().iter().map(|word| word["number"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_newer_text_stands_for_the_older_ones() {
        let mut told = Told::default();
        for report in [partial("a", 0, 10), partial("b", 0, 10), partial("a", 0, 20), committed("a", 0, 9)] {
            told.remember(report);
        }
        assert_eq!(numbers(&told.after(0)), [2, 3, 4]);
        told.remember(finished("a", 0, 25));
        assert_eq!(numbers(&told.after(0)), [2, 5], "what was unfinished in a is not");
        assert_eq!(numbers(&told.after(2)), [5]);
        let nothing = told.after(5);
        assert_eq!((numbers(&nothing), &nothing["last"], &nothing["forgotten"]), (vec![], &json!(5), &json!(0)));
    }

    #[test]
    fn what_is_forgotten_is_counted_and_an_answer_is_bounded() {
        let mut told = Told::default();
        for n in 0..2 * REPORTS_MAX as u64 {
            told.remember(Report::Final { span: span("a", n, n + 1), text: "x".repeat(1_000), words: Vec::new() });
        }
        let (mut number, mut seen, mut forgotten) = (0, Vec::new(), 0);
        loop {
            let answer = told.after(number);
            assert!(answer.to_string().len() < 256 * 1024);
            if numbers(&answer).is_empty() {
                break;
            }
            forgotten += if number == 0 { answer["forgotten"].as_u64().unwrap() } else { 0 };
            seen.extend(numbers(&answer));
            number = answer["last"].as_u64().unwrap();
        }
        assert_eq!((forgotten, seen.len()), (REPORTS_MAX as u64, REPORTS_MAX));
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, and none twice");
    }
}

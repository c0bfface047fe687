//! What was said last, for those who come and ask: the request `words` of the control socket.

use super::Session;
use crate::report::{Report, Span, Stamped, monotonic_s};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of reports that are remembered, some ten minutes of speech: what is older is forgotten first.
const BYTES_MAX: usize = 512 * 1024;
/// Of one answer, which is at most 256 KiB.
const ANSWER_BYTES: usize = 200 * 1024;
/// Who asks for words as they are spoken asks again within this time.
const WATCHED_FOR: Duration = Duration::from_secs(3);

/// The newest reports about words, in their order. A text that a newer one has replaced is not kept.
#[derive(Default)]
pub(super) struct Told {
    reports: VecDeque<Kept>,
    /// The lengths of all their lines.
    bytes: usize,
    /// The number of the newest; the first is 1.
    last: u64,
    /// The highest number of those forgotten that nothing newer stands for.
    forgotten: u64,
    /// Until when somebody wants words while they are spoken.
    watched_until: Option<Instant>,
}

struct Kept {
    number: u64,
    /// What a newer one may stand for; nothing does for others.
    unfinished: Option<Unfinished>,
    /// As it is answered: as text, a tenth of what it takes as a tree.
    line: Box<str>,
}

/// Words that a final text says again.
enum Unfinished {
    Partial(Span),
    Committed(Span),
}

impl Unfinished {
    fn of(report: &Report) -> Option<Self> {
        match report {
            Report::Partial { span, .. } => Some(Self::Partial(span.clone())),
            Report::Committed { span, .. } => Some(Self::Committed(span.clone())),
            _ => None,
        }
    }

    /// Whether this is an unfinished text of the same stream: there is one at a time.
    fn is_partial_of(&self, newer: &Span) -> bool {
        matches!(self, Self::Partial(span) if span.stream == newer.stream)
    }

    /// Whether a final text of this span says all that this does.
    fn is_within(&self, whole: &Span) -> bool {
        self.is_partial_of(whole)
            || matches!(self, Self::Committed(span)
                if span.stream == whole.stream && span.start_frame >= whole.start_frame && span.end_frame <= whole.end_frame)
    }
}

impl Kept {
    fn new(number: u64, report: &Report) -> Self {
        #[derive(Serialize)]
        struct Numbered<'a> {
            number: u64,
            #[serde(flatten)]
            said: Stamped<&'a Report>,
        }
        let said = Stamped { report, emitted_s: monotonic_s() };
        let line = json!(Numbered { number, said }).to_string();
        Self { number, unfinished: Unfinished::of(report), line: line.into() }
    }
}

impl Told {
    /// Remembers a report, and forgets those whose words it holds.
    fn remember(&mut self, report: &Report) {
        match report {
            Report::Partial { span, .. } => self.replace(|old| old.is_partial_of(span)),
            Report::Final { span, .. } => self.replace(|old| old.is_within(span)),
            _ => {}
        }
        self.last += 1;
        let kept = Kept::new(self.last, report);
        self.bytes += kept.line.len();
        self.reports.push_back(kept);
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.reports.pop_front()
        {
            self.bytes -= oldest.line.len();
            self.forgotten = oldest.number;
        }
    }

    /// Drops what something newer stands for.
    fn replace(&mut self, is_old: impl Fn(&Unfinished) -> bool) {
        self.reports.retain(|kept| {
            let stays = !kept.unfinished.as_ref().is_some_and(&is_old);
            self.bytes -= if stays { 0 } else { kept.line.len() };
            stays
        });
    }

    /// What came after this number, as much as an answer holds.
    fn after(&self, number: u64) -> Value {
        // One fits in any case: who asks must get on.
        let fits = |bytes: &mut usize, kept: &'_ Kept| {
            let is_first = *bytes == 0;
            *bytes += kept.line.len();
            is_first || *bytes <= ANSWER_BYTES
        };
        let newer = self.reports.iter().filter(|kept| kept.number > number);
        let told: Vec<&Kept> = newer.scan(0, |bytes, kept| fits(bytes, kept).then_some(kept)).collect();
        json!({
            "last": told.last().map_or(self.last, |kept| kept.number),
            "forgotten": self.forgotten.saturating_sub(number),
            "words": told.iter().filter_map(|kept| serde_json::from_str(&kept.line).ok()).collect::<Vec<Value>>(),
        })
    }
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
        self.told.remember(&report);
        self.reporter.report(report);
    }

    /// Tells words while they are spoken: to the run where it wants them, and to those who look on.
    pub(super) fn tell_early(&mut self, report: Report) {
        if self.plan.partials {
            self.tell(report);
        } else {
            self.told.remember(&report);
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
            told.remember(&report);
        }
        assert_eq!(numbers(&told.after(0)), [2, 3, 4]);
        told.remember(&finished("a", 0, 25));
        assert_eq!(numbers(&told.after(0)), [2, 5], "what was unfinished in a is not");
        assert_eq!(numbers(&told.after(2)), [5]);
        let nothing = told.after(5);
        assert_eq!((numbers(&nothing), &nothing["last"], &nothing["forgotten"]), (vec![], &json!(5), &json!(0)));
    }

    #[test]
    fn what_is_forgotten_is_counted_and_an_answer_is_bounded() {
        let mut told = Told::default();
        // Twice as many bytes of texts as are kept.
        let count = 2 * BYTES_MAX as u64 / 1_000;
        for n in 0..count {
            told.remember(&Report::Final { span: span("a", n, n + 1), text: "x".repeat(1_000), words: Vec::new() });
            assert!(
                told.bytes <= BYTES_MAX && told.bytes == told.reports.iter().map(|kept| kept.line.len()).sum::<usize>()
            );
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
        assert_eq!(forgotten + seen.len() as u64, count);
        assert!((count / 3..count / 2).contains(&(seen.len() as u64)), "{} of {count} are kept", seen.len());
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, and none twice");
    }
}

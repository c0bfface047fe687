//! What the events of live text promise of one another, whoever died meanwhile.

use crate::Event;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// What is known of a stream between two finals.
#[derive(Debug, Default)]
struct Open {
    committed: Vec<(String, u64, u64)>,
    shown: String,
    end: u64,
}

/// Words of an event: texts and frames.
fn words(event: &Event) -> Result<Vec<(String, u64, u64)>> {
    let words = event.fields["words"].as_array().with_context(|| format!("no words in {}", event.fields))?;
    let word = |word: &serde_json::Value| {
        Some((word["text"].as_str()?.to_owned(), word["start_frame"].as_u64()?, word["end_frame"].as_u64()?))
    };
    words.iter().map(|found| word(found).with_context(|| format!("a word without times: {found}"))).collect()
}

/// A text without what stands between its words.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// In each stream: committed words never change, and are the beginning of the next final, with their times; partial texts
/// begin with them; no sound is in two finals, and no word before the one before it; no text is left without its final.
///
/// Returns how many words were committed before their finals.
///
/// # Errors
/// What is not so.
pub fn assert_live_text(events: &[Event]) -> Result<usize> {
    let mut streams: BTreeMap<String, Open> = BTreeMap::new();
    let mut committed = 0;
    for event in events.iter().filter(|e| ["partial", "committed", "final"].iter().any(|kind| e.is(kind))) {
        let open = streams.entry(event.text("stream")?.to_owned()).or_default();
        let (text, said) = (event.text("text")?, || event.fields.to_string());
        let before = open.committed.iter().map(|(word, ..)| squeezed(word)).collect::<String>();
        if event.is("partial") {
            ensure!(squeezed(text).starts_with(&before), "committed {before:?}, and then {}", said());
            ensure!(squeezed(event.text("committed")?) == before, "committed {before:?}, and then {}", said());
            text.clone_into(&mut open.shown);
            continue;
        }
        let words = words(event)?;
        let in_order = |words: &[(String, u64, u64)]| words.is_sorted_by(|a, b| a.2 <= b.1);
        ensure!(squeezed(text) == words.iter().map(|(word, ..)| squeezed(word)).collect::<String>(), "{}", said());
        if event.is("committed") {
            committed += words.len();
            open.committed.extend(words);
            ensure!(in_order(&open.committed), "words at the same time: {}", said());
        } else {
            ensure!(in_order(&words), "words at the same time: {}", said());
            ensure!(words.starts_with(&open.committed), "committed {:?}, and then {}", open.committed, said());
            let span = event.span()?;
            ensure!(span.start >= open.end, "some of it was in a final before: {}", said());
            *open = Open { end: span.end, ..Open::default() };
        }
    }
    for (stream, open) in streams {
        ensure!(open.committed.is_empty(), "{stream}: committed, and without a final: {:?}", open.committed);
        ensure!(open.shown.is_empty(), "{stream}: shown, and without a final: {:?}", open.shown);
    }
    Ok(committed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Instant;

    /// Words of ten frames each, the first at `from`.
    fn event(kind: &str, from: u64, text: &str, committed: &str) -> Event {
        let words: Vec<&str> = text.split_whitespace().collect();
        let timed = (0..).zip(&words).map(|(n, word)| {
            let start = from + 10 * n;
            json!({"text": word, "start_frame": start, "end_frame": start + 10})
        });
        let fields = json!({"event": kind, "stream": "mic", "start_frame": from, "end_frame": from + 10 * words.len() as u64,
            "text": text, "committed": committed, "words": timed.collect::<Vec<Value>>()});
        Event { index: 0, at: Instant::now(), fields }
    }

    fn good() -> Vec<Event> {
        vec![
            event("partial", 0, "and so by", ""),
            event("committed", 0, "and so", ""),
            event("partial", 0, "and so my", "and so"),
            event("committed", 20, "my", ""),
            event("final", 0, "and so my fellow", ""),
            event("partial", 50, "you", ""),
            event("partial", 50, "", ""),
            event("final", 60, "and so", ""),
        ]
    }

    #[test]
    fn good_events_are_good() {
        assert_eq!(assert_live_text(&good()).expect("good"), 3);
        assert_eq!(assert_live_text(&[]).expect("nothing"), 0);
    }

    #[test]
    fn each_broken_promise_is_seen() {
        let broken: [(usize, Event); 7] = [
            (4, event("final", 0, "and so by fellow", "")),  // another word
            (4, event("final", 1, "and so my fellow", "")),  // at another time
            (3, event("committed", 10, "my", "")),           // at the time of another word
            (2, event("partial", 0, "end so my", "and so")), // changed
            (2, event("partial", 0, "and so my", "and")),    // not all that was committed
            (6, event("partial", 50, "you", "")),            // and then nothing
            (7, event("final", 30, "and so", "")),           // twice
        ];
        for (at, event) in broken {
            let mut events = good();
            events[at] = event;
            if at == 6 {
                events.truncate(at + 1);
            }
            assert!(assert_live_text(&events).is_err(), "{:?}", events[at].fields);
        }
        assert!(assert_live_text(&good()[..2]).is_err(), "committed, and then nothing");
    }
}

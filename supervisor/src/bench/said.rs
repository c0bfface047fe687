//! What `tympan run --json` says, as far as a bench reads it. What is missing is taken as not said, for an older or a
//! newer program may be asked.

use serde_json::Value;

/// A word with its times.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SaidWord {
    /// The word.
    pub text: String,
    /// Where it begins in the file, in seconds.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

/// What kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What was said so far; the next text of the utterance takes its place.
    Partial,
    /// Words that will not change.
    Committed,
    /// All words of an utterance.
    Final,
}

/// A text. Times are seconds of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// Of what kind.
    pub kind: Kind,
    /// When it was written.
    pub emitted_s: f64,
    /// The beginning of the speech it is about.
    pub start_s: f64,
    /// Its end.
    pub end_s: f64,
    /// The words.
    pub text: String,
    /// The words with their times, where they are told.
    pub words: Vec<SaidWord>,
}

impl Said {
    /// Reads an event whose clock shows `session_s` where the file begins, and which was written at `emitted_s` of the
    /// file; `None` for those that are no texts.
    pub(super) fn read(event: &Value, session_s: f64, emitted_s: f64) -> Option<Self> {
        let kind = match event["event"].as_str()? {
            "partial" => Kind::Partial,
            "committed" => Kind::Committed,
            "final" => Kind::Final,
            _ => return None,
        };
        let second = |value: &Value, name: &str| Some(value[name].as_f64()? - session_s);
        let word = |word: &Value| {
            let text = word["text"].as_str()?.trim().to_owned();
            Some(SaidWord { text, start_s: second(word, "start_s")?, end_s: second(word, "end_s")? })
        };
        Some(Self {
            kind,
            emitted_s,
            start_s: second(event, "start_s")?,
            end_s: second(event, "end_s")?,
            text: event["text"].as_str()?.to_owned(),
            words: event["words"].as_array().into_iter().flatten().filter_map(word).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_read_with_and_without_words() {
        let mut event = json!({"event": "final", "stream": "file", "start_frame": 1, "end_frame": 2, "start_s": 3.5,
            "end_s": 5.0, "text": "And so", "emitted_s": 99.0});
        let said = Said::read(&event, 1.5, 4.25).expect("a text");
        assert_eq!((said.kind, said.start_s, said.end_s, said.emitted_s), (Kind::Final, 2.0, 3.5, 4.25));
        assert!(said.words.is_empty());
        event["words"] = json!([{"text": " And", "start_s": 3.5, "end_s": 4.0, "confidence": 90}, {"text": " so"}]);
        let said = Said::read(&event, 1.5, 4.25).expect("a text");
        assert_eq!(said.words, [SaidWord { text: "And".into(), start_s: 2.0, end_s: 2.5 }]);
        assert_eq!(Said::read(&json!({"event": "process"}), 0.0, 0.0), None);
        assert_eq!(Said::read(&json!({"event": "final"}), 0.0, 0.0), None);
    }
}

//! How often text that was shown was taken back.

use super::errors::taken_back;
use super::normalise::words;
use super::said::{Kind, Said};

/// What was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stability {
    /// How many partial texts there were.
    pub partials: usize,
    /// Words of them that the next text of the same speech did not have.
    pub taken_back: usize,
    /// Words in the end.
    pub words: usize,
}

/// Compares each partial text with the next text of the same speech. Case and punctuation do not count.
pub(super) fn stability(said: &[Said]) -> Stability {
    let mut seen = Stability::default();
    let mut shown: Vec<&Said> = Vec::new();
    for text in said {
        if text.kind == Kind::Committed {
            continue;
        }
        let now = words(&text.text);
        shown.retain(|before| {
            let same = before.start_s < text.end_s && text.start_s < before.end_s;
            if same {
                seen.taken_back += taken_back(&words(&before.text), &now);
            }
            !same
        });
        if text.kind == Kind::Partial {
            seen.partials += 1;
            shown.push(text);
        } else {
            seen.words += now.len();
        }
    }
    // What no other text followed is gone.
    seen.taken_back += shown.iter().map(|text| words(&text.text).len()).sum::<usize>();
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Kind, start_s: f64, end_s: f64, text: &str) -> Said {
        Said { kind, emitted_s: end_s, start_s, end_s, text: text.into(), words: Vec::new() }
    }

    #[test]
    fn words_that_change_are_counted_once() {
        let all = [
            said(Kind::Partial, 0.0, 1.0, "And so"),
            said(Kind::Partial, 0.0, 2.0, "and so, my fell"),
            said(Kind::Committed, 0.0, 1.5, "and so"),
            said(Kind::Partial, 0.0, 3.0, "And so my fellow Americans"),
            said(Kind::Final, 0.0, 3.5, "And so, my fellow Americans."),
            said(Kind::Partial, 5.0, 6.0, "ask knot"),
            said(Kind::Final, 5.0, 6.5, "Ask not."),
            said(Kind::Partial, 8.0, 9.0, "gone again"),
        ];
        assert_eq!(stability(&all), Stability { partials: 5, taken_back: 1 + 1 + 2, words: 7 });
    }

    #[test]
    fn two_utterances_at_once_do_not_mix() {
        let all = [
            said(Kind::Partial, 0.0, 3.0, "one fine day"),
            said(Kind::Partial, 4.0, 5.0, "in may"),
            said(Kind::Final, 0.0, 3.0, "One fine day."),
            said(Kind::Final, 4.0, 5.0, "In May."),
        ];
        assert_eq!(stability(&all), Stability { partials: 2, taken_back: 0, words: 5 });
    }
}

//! What of a recogniser's answer was spoken, and whether it got stuck.

use crate::recogniser::Word;

/// The spoken part of a text: without the spaces around it, and without the descriptions of sounds that Whisper gives
/// ("[BLANK_AUDIO]", "(wind blowing)", "*music*", "♪"). Parentheses are kept where words stand outside of them.
#[must_use]
pub(crate) fn spoken(text: &str) -> String {
    let without_brackets = without(text, '[', ']');
    let mut bare = without(&without_brackets, '(', ')');
    bare = without(&bare, '*', '*');
    if bare.chars().any(char::is_alphanumeric) {
        without_brackets.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        String::new()
    }
}

/// The words of a text that were spoken ([`spoken`]).
#[must_use]
pub(crate) fn keep_spoken(words: Vec<Word>) -> Vec<Word> {
    let text: String = words.iter().map(|word| word.text.as_str()).collect();
    if spoken(&text).is_empty() {
        return Vec::new();
    }
    let mut kept = Vec::with_capacity(words.len());
    let mut rest = words.into_iter().peekable();
    while let Some(word) = rest.next() {
        let text = word.text.trim();
        let closes = |word: &Word| word.text.contains(']');
        if text.starts_with('[') && (closes(&word) || rest.clone().any(|word| closes(&word))) {
            if !closes(&word) {
                let _inside = rest.by_ref().take_while(|word| !closes(word)).count();
            }
        } else if !text.chars().all(is_mark) {
            kept.push(word);
        }
    }
    kept
}

/// Whether this marks a change of speakers or music.
const fn is_mark(c: char) -> bool {
    matches!(c, '>' | '♪')
}

/// A text without what stands between two marks. A mark that is never closed is a character like any other.
fn without(text: &str, open: char, close: char) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        let Some((_, behind)) = after.split_once(close) else { break };
        kept.push_str(before);
        rest = behind;
    }
    kept + rest
}

/// The longest phrase that is looked for, in words.
const PHRASE_WORDS_MAX: usize = 12;

/// Whether a recogniser that decodes greedily has got stuck: a phrase stands there again and again, one of a word or
/// two five times, a longer one three times.
#[must_use]
pub(crate) fn is_stuck(text: &str) -> bool {
    let words = bare_words(text);
    (1..=PHRASE_WORDS_MAX).any(|length| repeats(&words, length, if length <= 2 { 5 } else { 3 }))
}

/// Whether a phrase of three words and more stands there twice in a row: somebody may have said so.
#[must_use]
pub(crate) fn echoes(text: &str) -> bool {
    let words = bare_words(text);
    (3..=PHRASE_WORDS_MAX).any(|length| repeats(&words, length, 2))
}

fn bare_words(text: &str) -> Vec<String> {
    let bare = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    text.split_whitespace().map(bare).collect()
}

/// Whether a phrase of so many words stands there so many times in a row.
fn repeats(words: &[String], length: usize, times: usize) -> bool {
    words.windows(length * times).any(|window| window.chunks(length).all(|phrase| phrase == &window[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_are_not_spoken() {
        for sound in ["", " ", "[BLANK_AUDIO]", " (wind blowing)", "*sighs*", "♪", "[Music] (applause)", "...", "♪ ♪"]
        {
            assert_eq!(spoken(sound), "", "{sound:?}");
        }
    }

    #[test]
    fn words_are_spoken() {
        assert_eq!(spoken(" Hello, world. "), "Hello, world.");
        assert_eq!(spoken("Yes. [BLANK_AUDIO]"), "Yes.");
        assert_eq!(spoken("one (or two) of them"), "one (or two) of them");
        assert_eq!(spoken("a [ b"), "a [ b");
        assert_eq!(spoken(" 42 "), "42");
        assert_eq!(spoken("你好"), "你好");
    }

    #[test]
    fn words_in_brackets_are_dropped() {
        let word = |text: &str| Word { text: text.into(), from: 0, to: 1, confidence: 9, line: false };
        let kept = |texts: &[&str]| {
            keep_spoken(texts.iter().map(|text| word(text)).collect())
                .iter()
                .map(|word| word.text.clone())
                .collect::<String>()
        };
        assert_eq!(kept(&[" Yes.", " [BLANK", "_AUDIO]", " No."]), " Yes. No.");
        assert_eq!(kept(&[" Yes.", " [Music]"]), " Yes.");
        assert_eq!(kept(&[" (wind", " blowing)"]), "");
        assert_eq!(kept(&[" >>", " Yes", " – no.", " ♪"]), " Yes – no.");
        assert_eq!(kept(&[" a", " [", " b"]), " a [ b");
    }

    #[test]
    fn loops_are_noticed_and_emphasis_is_not() {
        assert!(is_stuck("and so, and so, and so, and so, and so,"));
        assert!(is_stuck("I like it. I like it. I like it."));
        assert!(is_stuck("well no no no no no"));
        assert!(!is_stuck("no, no, no, that is very, very good"));
        assert!(!is_stuck("ask not what your country can do for you, ask what you can do for your country"));
        assert!(!is_stuck(""));
        assert!(echoes("And so my fellow Americans, and so my fellow Americans."));
        assert!(!echoes("a man is a man, and what you can do for me you can do for her"));
    }
}

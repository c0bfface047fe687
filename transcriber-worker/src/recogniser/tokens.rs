//! From Whisper's tokens to words. Whisper writes parts of words, with the space before a word in its first part.

use crate::vad::SAMPLE_RATE_HZ;

/// A token of text, as Whisper gave it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// Part of a UTF-8 text; a letter may be spread over several.
    pub(super) bytes: Vec<u8>,
    /// How sure Whisper was of it, 0 to 1.
    pub(super) probability: f32,
    /// Where it ends, in samples, by the alignment of text and sound; `None` without one.
    pub(super) end: Option<usize>,
    /// Whether it begins a line.
    pub(super) line: bool,
}

/// A word and where it stands, in 16 kHz samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it joins the text before: with its space, and with its punctuation.
    pub text: String,
    /// First sample.
    pub from: usize,
    /// One past the last sample.
    pub to: usize,
    /// The probability of its least sure part, in percent.
    pub confidence: u8,
    /// Whether it begins a line.
    pub line: bool,
}

/// The samples of an instant in hundredths of a second, as Whisper counts.
pub(super) fn samples_at(centiseconds: i64) -> usize {
    usize::try_from(centiseconds).unwrap_or(0).saturating_mul(SAMPLE_RATE_HZ as usize / 100)
}

/// Joins tokens to words. Words without an alignment have the whole span `from..to`.
pub(super) fn words(tokens: &[Token], from: usize, to: usize) -> Vec<Word> {
    let mut words: Vec<(Vec<u8>, Word)> = Vec::new();
    let mut end_before = from;
    for token in tokens {
        let end = token.end.map_or(to, |end| end.clamp(end_before, to));
        let begin = if token.end.is_some() { end_before } else { from };
        let confidence = percent(token.probability);
        match words.last_mut() {
            Some((bytes, word)) if !token.line && !begins_word(bytes, &token.bytes) => {
                // Punctuation is no part of what was spoken.
                if token.bytes.iter().any(|byte| !byte.is_ascii_punctuation()) {
                    word.to = end;
                    word.confidence = word.confidence.min(confidence);
                }
                bytes.extend_from_slice(&token.bytes);
            }
            _ => {
                let word = Word { text: String::new(), from: begin, to: end, confidence, line: token.line };
                words.push((token.bytes.clone(), word));
            }
        }
        end_before = token.end.map_or(from, |_| end);
    }
    let named = |(bytes, word): (Vec<u8>, Word)| Word { text: String::from_utf8_lossy(&bytes).into_owned(), ..word };
    words.into_iter().map(named).collect()
}

/// Whether a token begins a word after the bytes of another.
fn begins_word(before: &[u8], token: &[u8]) -> bool {
    let Ok(before) = std::str::from_utf8(before) else { return false };
    if token.first() == Some(&b' ') {
        return true;
    }
    // Where nothing is written between words, each letter is one.
    let unspaced = |c: char| matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}');
    let first = String::from_utf8_lossy(token).chars().next();
    before.chars().next_back().is_some_and(unspaced) && first.is_some_and(|c| unspaced(c) || c == '\u{fffd}')
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn percent(probability: f32) -> u8 {
    (probability.clamp(0.0, 1.0) * 100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &[u8], end: usize) -> Token {
        Token { bytes: text.to_vec(), probability: 0.5, end: Some(end), line: false }
    }

    fn texts(tokens: &[Token]) -> Vec<String> {
        words(tokens, 0, 9_000).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn parts_are_joined_and_punctuation_belongs_to_its_word() {
        let mut sure = token(b" Mr", 300);
        sure.probability = 0.98;
        let tokens = [sure, token(b".", 350), token(b" Dash", 500), token(b"wood", 700), token(b",", 900)];
        let words = words(&tokens, 100, 9_000);
        let word = |text: &str, from, to, confidence| Word { text: text.into(), from, to, confidence, line: false };
        assert_eq!(words, [word(" Mr.", 100, 300, 98), word(" Dashwood,", 350, 700, 50)]);
    }

    #[test]
    fn a_letter_may_be_spread_over_tokens() {
        let tokens = [token(" Stra".as_bytes(), 1), token(&[0xc3], 2), token(&[0x9f, b'e'], 3), token(b" 5", 4)];
        assert_eq!(texts(&tokens), [" Straße", " 5"]);
    }

    #[test]
    fn where_no_spaces_are_written_letters_are_words() {
        let tokens = [token("你".as_bytes(), 1), token("好".as_bytes(), 2), token("。".as_bytes(), 3)];
        assert_eq!(texts(&tokens), ["你", "好。"]);
    }

    #[test]
    fn without_alignment_a_word_has_the_span_of_its_line() {
        let bare = |text: &str, line| Token { bytes: text.into(), probability: 1.0, end: None, line };
        let spans: Vec<_> =
            words(&[bare(" so", true), bare(" it", false)], 5, 70).iter().map(|w| (w.from, w.to)).collect();
        assert_eq!(spans, [(5, 70), (5, 70)]);
    }
}

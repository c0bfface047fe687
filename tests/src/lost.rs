//! Words that are gone, by text and time.

use serde::{Deserialize, Serialize};

/// A word, and when it was said, in seconds of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedWord {
    /// The word, normalised.
    pub text: String,
    /// Where it begins.
    pub start_s: f64,
    /// Where it ends.
    pub end_s: f64,
}

/// How far a word may be from the time of those that it stands for.
const NEAR_S: f64 = 0.5;

impl TimedWord {
    const fn middle_s(&self) -> f64 {
        f64::midpoint(self.start_s, self.end_s)
    }
}

/// Pairs of the same words in both, in order; the most there can be.
fn same(one: &[TimedWord], other: &[TimedWord]) -> Vec<(usize, usize)> {
    let width = other.len() + 1;
    // most[i * width + j]: pairs of one[i..] and other[j..].
    let mut most = vec![0_usize; (one.len() + 1) * width];
    for (i, word) in one.iter().enumerate().rev() {
        for (j, there) in other.iter().enumerate().rev() {
            let paired = usize::from(word.text == there.text) * (1 + most[(i + 1) * width + j + 1]);
            most[i * width + j] = paired.max(most[(i + 1) * width + j]).max(most[i * width + j + 1]);
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < one.len() && j < other.len() {
        let here = most[i * width + j];
        if one[i].text == other[j].text && here == 1 + most[(i + 1) * width + j + 1] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if here == most[(i + 1) * width + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Words of `expected` that are not in `said`: not the same word, nor another one at their time. Live text depends on when
/// its answers came, so a word may be heard as another one, and two as one: then there is a word at that time all the same.
#[must_use]
pub fn lost_words(expected: &[TimedWord], said: &[TimedWord]) -> Vec<TimedWord> {
    let pairs = same(expected, said);
    // Two runs of the same file do not begin at the same time of their sessions.
    let mut late_s: Vec<f64> = pairs.iter().map(|&(i, j)| said[j].start_s - expected[i].start_s).collect();
    late_s.sort_by(f64::total_cmp);
    let late_s = late_s.get(late_s.len() / 2).copied().unwrap_or(0.0);
    let stands_for = |j: usize, word: &TimedWord| {
        let (middle_s, there) = (word.middle_s() + late_s, &said[j]);
        let covers = there.start_s <= middle_s && middle_s <= there.end_s;
        let is_free = pairs.iter().all(|&(_, paired)| paired != j);
        covers || (is_free && (there.middle_s() - middle_s).abs() <= NEAR_S)
    };
    let is_lost = |i: usize, word: &TimedWord| {
        pairs.iter().all(|&(paired, _)| paired != i) && !(0..said.len()).any(|j| stands_for(j, word))
    };
    let lost = expected.iter().enumerate().filter(|(i, word)| is_lost(*i, word));
    lost.map(|(_, word)| word.clone()).collect()
}

/// How many words in a row are gone at most. The recogniser leaves out a short one now and then; a sentence it does not.
#[must_use]
pub fn lost_in_a_row(expected: &[TimedWord], said: &[TimedWord]) -> usize {
    let lost = lost_words(expected, said);
    let (mut row, mut most) = (0, 0);
    for word in expected {
        row = if lost.contains(word) { row + 1 } else { 0 };
        most = most.max(row);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of 0.3 s, one every 0.4 s.
    fn words(text: &str, from_s: f64) -> Vec<TimedWord> {
        let word = |(n, text): (u32, &str)| {
            let start_s = from_s + 0.4 * f64::from(n);
            TimedWord { text: text.into(), start_s, end_s: start_s + 0.3 }
        };
        (0..).zip(text.split(' ').filter(|text| *text != "_")).map(word).collect()
    }

    fn lost(expected: &[TimedWord], said: &[TimedWord]) -> Vec<String> {
        lost_words(expected, said).into_iter().map(|word| word.text).collect()
    }

    const SENTENCE: &str = "he might even have been made amiable himself";

    #[test]
    fn a_sentence_that_is_missing_is_found() {
        let expected = [words("he was not an ill disposed young man", 1.0), words(SENTENCE, 6.0)].concat();
        let said = words("he was not an ill disposed young man", 1.3);
        assert_eq!(lost(&expected, &said).join(" "), SENTENCE);
        assert_eq!(lost_in_a_row(&expected, &said), 8);
        assert_eq!(lost(&expected, &expected), [""; 0]);
        assert_eq!(lost(&expected, &[]).len(), expected.len());
        // It is no help that another sentence has other words, at another time.
        let elsewhere = [words("he was nothing ill dispose a young man ah", 1.0), Vec::new()].concat();
        assert_eq!(lost(&expected, &elsewhere).join(" "), SENTENCE);
    }

    #[test]
    fn a_word_that_leaves_a_hole_is_found() {
        let expected = words(SENTENCE, 0.0);
        let mut said = expected.clone();
        said.remove(3);
        assert_eq!(lost(&expected, &said), ["have"]);
        said.remove(1);
        assert_eq!(lost_in_a_row(&expected, &said), 1);
    }

    #[test]
    fn words_that_are_heard_otherwise_are_not_lost() {
        let expected = words(SENTENCE, 0.0);
        // Two as one, whose times are its own; and one that stretches over another.
        let mut merged = expected.clone();
        merged.remove(3);
        merged[3] = TimedWord { text: "avenue".into(), ..merged[3].clone() };
        assert_eq!(lost(&expected, &merged), [""; 0]);
        let mut stretched = expected.clone();
        stretched.remove(3);
        stretched[3].start_s = expected[3].start_s;
        assert_eq!(lost(&expected, &stretched), [""; 0]);
        // Another run began two seconds later.
        let other = words("he mite even have bin made amiable himself", 2.0);
        assert_eq!(lost(&expected, &other), [""; 0]);
    }
}

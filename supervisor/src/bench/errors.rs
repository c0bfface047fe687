//! Word errors: the cheapest way from what was said to what was written.

use serde::Serialize;

/// How a text differs from what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct WordErrors {
    /// Words said.
    pub words: usize,
    /// Words replaced.
    pub substitutions: usize,
    /// Words missing.
    pub deletions: usize,
    /// Words too many.
    pub insertions: usize,
}

impl WordErrors {
    /// All of them.
    pub(super) const fn errors(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Errors for a hundred words said; `None` where nothing was.
    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    pub(super) fn percent(&self) -> Option<f64> {
        (self.words > 0).then(|| 100.0 * self.errors() as f64 / self.words as f64)
    }
}

impl std::ops::AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.words += other.words;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// A step from what was said to what was written. Numbers are places in the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The same word in both.
    Same(usize, usize),
    /// Another word in its place.
    Replaced(usize, usize),
    /// Said, and not written.
    Missing(usize),
    /// Written, and not said.
    Added(usize),
}

/// The cheapest steps from `said` to `written` (Levenshtein over words), in order. Takes memory for each pair of words.
pub(super) fn steps<W: PartialEq>(said: &[W], written: &[W]) -> Vec<Step> {
    let width = written.len() + 1;
    // cost[i * width + j]: from the first i words said to the first j written.
    let mut cost = vec![0_u32; (said.len() + 1) * width];
    for (j, cell) in (0_u32..).zip(&mut cost[..width]) {
        *cell = j;
    }
    for (i, word) in said.iter().enumerate() {
        let (before, row) = cost[i * width..(i + 2) * width].split_at_mut(width);
        row[0] = before[0] + 1;
        for (j, other) in written.iter().enumerate() {
            let replaced = before[j] + u32::from(word != other);
            row[j + 1] = replaced.min(before[j + 1] + 1).min(row[j] + 1);
        }
    }
    let (mut i, mut j, mut steps) = (said.len(), written.len(), Vec::new());
    while i > 0 || j > 0 {
        let here = cost[i * width + j];
        let same = i > 0 && j > 0 && said[i - 1] == written[j - 1];
        if i > 0 && j > 0 && here == cost[(i - 1) * width + j - 1] + u32::from(!same) {
            (i, j) = (i - 1, j - 1);
            steps.push(if same { Step::Same(i, j) } else { Step::Replaced(i, j) });
        } else if i > 0 && here == cost[(i - 1) * width + j] + 1 {
            i -= 1;
            steps.push(Step::Missing(i));
        } else {
            j -= 1;
            steps.push(Step::Added(j));
        }
    }
    steps.reverse();
    steps
}

/// How many errors of which kind.
pub(super) fn count<W: PartialEq>(said: &[W], written: &[W]) -> WordErrors {
    let mut errors = WordErrors { words: said.len(), ..WordErrors::default() };
    for step in steps(said, written) {
        match step {
            Step::Same(..) => {}
            Step::Replaced(..) => errors.substitutions += 1,
            Step::Missing(_) => errors.deletions += 1,
            Step::Added(_) => errors.insertions += 1,
        }
    }
    errors
}

/// A place where what was written is not what was said. One of the two is missing where a word is missing or too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// The word that was said.
    pub said: Option<String>,
    /// The word that was written.
    pub written: Option<String>,
}

/// All of them, in order.
pub(super) fn differences(said: &[String], written: &[String]) -> Vec<Difference> {
    let (a, b) = (|at: usize| said.get(at).cloned(), |at: usize| written.get(at).cloned());
    let difference = |step| match step {
        Step::Same(..) => None,
        Step::Replaced(i, j) => Some(Difference { said: a(i), written: b(j) }),
        Step::Missing(i) => Some(Difference { said: a(i), written: None }),
        Step::Added(j) => Some(Difference { said: None, written: b(j) }),
    };
    steps(said, written).into_iter().filter_map(difference).collect()
}

/// How many words of a text that was shown are gone or replaced in the next one. What was added behind them is no change.
pub(super) fn taken_back<W: PartialEq>(shown: &[W], next: &[W]) -> usize {
    let steps = steps(shown, next);
    let kept = steps.iter().filter(|step| matches!(step, Step::Same(..))).count();
    shown.len() - kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    fn counts(said: &str, written: &str) -> (usize, usize, usize) {
        let errors = count(&words(said), &words(written));
        assert_eq!(errors.words, words(said).len());
        (errors.substitutions, errors.deletions, errors.insertions)
    }

    #[test]
    fn errors_are_counted_by_their_kind() {
        assert_eq!(counts("a b c", "a b c"), (0, 0, 0));
        assert_eq!(counts("a b c", "a x c"), (1, 0, 0));
        assert_eq!(counts("a b c", "a c"), (0, 1, 0));
        assert_eq!(counts("a b c", "a b b c"), (0, 0, 1));
        assert_eq!(counts("", "a b"), (0, 0, 2));
        assert_eq!(counts("a b", ""), (0, 2, 0));
        assert_eq!(counts("a b c d", "b c d e"), (0, 1, 1));
        assert_eq!(count(&words("a b c d"), &words("a x")).percent(), Some(75.0));
        assert_eq!(count(&words(""), &words("a")).percent(), None);
    }

    #[test]
    fn differences_name_the_words() {
        let list = |text: &str| words(text).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let found = differences(&list("ask not what you can"), &list("asked not you can do"));
        let plain: Vec<_> = found.iter().map(|d| (d.said.as_deref(), d.written.as_deref())).collect();
        assert_eq!(plain, [(Some("ask"), Some("asked")), (Some("what"), None), (None, Some("do"))]);
    }

    #[test]
    fn what_was_shown_and_is_gone_was_taken_back() {
        let back = |shown, next| taken_back(&words(shown), &words(next));
        assert_eq!(back("ask not", "ask not what your country"), 0);
        assert_eq!(back("ask not watch", "ask not what your"), 1);
        assert_eq!(back("ask not what", ""), 3);
        assert_eq!(back("ask not what", "not what"), 1);
        assert_eq!(back("", "and so"), 0);
    }

    fn texts() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let text = || proptest::collection::vec(0_u8..4, 0..12);
        (text(), text())
    }

    proptest! {
        #[test]
        fn steps_lead_from_one_to_the_other((said, written) in texts()) {
            let (mut i, mut j) = (0, 0);
            for step in steps(&said, &written) {
                match step {
                    Step::Same(a, b) | Step::Replaced(a, b) => {
                        prop_assert_eq!((a, b), (i, j));
                        prop_assert_eq!(matches!(step, Step::Same(..)), said[a] == written[b]);
                        (i, j) = (i + 1, j + 1);
                    }
                    Step::Missing(a) => {
                        prop_assert_eq!(a, i);
                        i += 1;
                    }
                    Step::Added(b) => {
                        prop_assert_eq!(b, j);
                        j += 1;
                    }
                }
            }
            prop_assert_eq!((i, j), (said.len(), written.len()));
        }

        #[test]
        fn errors_are_a_distance((said, written) in texts(), third in proptest::collection::vec(0_u8..4, 0..12)) {
            let (there, back) = (count(&said, &written), count(&written, &said));
            prop_assert_eq!(there.errors(), back.errors());
            prop_assert_eq!(there.errors() == 0, said == written);
            prop_assert!(there.errors() <= said.len().max(written.len()));
            prop_assert!(there.errors() >= said.len().abs_diff(written.len()));
            prop_assert!(there.errors() <= count(&said, &third).errors() + count(&third, &written).errors());
            prop_assert_eq!(said.len() - there.deletions, written.len() - there.insertions);
        }

        #[test]
        fn nothing_is_taken_back_where_words_are_only_added((shown, more) in texts()) {
            let next = [shown.as_slice(), more.as_slice()].concat();
            prop_assert_eq!(taken_back(&shown, &next), 0);
        }
    }
}

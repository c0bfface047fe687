//! Word errors after Whisper's English normaliser.

use crate::workspace_root;
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::process::{Command, Stdio};

/// How a text differs from what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WordErrors {
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
    #[must_use]
    pub const fn errors(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
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

const NORMALISE: &str = "\
import json, sys
from whisper_normalizer.english import EnglishTextNormalizer
normalise = EnglishTextNormalizer()
json.dump([normalise(text) for text in json.load(sys.stdin)], sys.stdout)";

/// The words of some texts, as Whisper's normaliser has them.
///
/// # Errors
/// When `scripts/setup-python` has not run, or the normaliser fails.
pub fn normalise(texts: &[&str]) -> Result<Vec<Vec<String>>> {
    let python = workspace_root().join("target/python/bin/python");
    ensure!(python.exists(), "{} is missing: run scripts/setup-python", python.display());
    let mut child =
        Command::new(&python).args(["-c", NORMALISE]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("piped")?.write_all(&serde_json::to_vec(texts)?)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the normaliser failed: {}", output.status);
    let texts: Vec<String> = serde_json::from_slice(&output.stdout)?;
    Ok(texts.iter().map(|text| text.split_whitespace().map(str::to_owned).collect()).collect())
}

/// Word errors of `text` against `transcript`, both normalised.
///
/// # Errors
/// As [`normalise`].
pub fn errors_of(transcript: &str, text: &str) -> Result<WordErrors> {
    let words = normalise(&[transcript, text])?;
    Ok(align(&words[0], &words[1]))
}

/// The cheapest way from `said` to `written` (Levenshtein over words), and what it takes.
#[must_use]
pub fn align<W: PartialEq>(said: &[W], written: &[W]) -> WordErrors {
    // best[j]: the cheapest way from the words of `said` so far to the first j of `written`.
    let insert = |n: usize| WordErrors { insertions: n, ..WordErrors::default() };
    let mut best: Vec<WordErrors> = (0..=written.len()).map(insert).collect();
    for word in said {
        let mut diagonal = best[0];
        best[0].deletions += 1;
        for (j, other) in written.iter().enumerate() {
            let replace = WordErrors { substitutions: diagonal.substitutions + usize::from(word != other), ..diagonal };
            let delete = WordErrors { deletions: best[j + 1].deletions + 1, ..best[j + 1] };
            let insert = WordErrors { insertions: best[j].insertions + 1, ..best[j] };
            diagonal = best[j + 1];
            best[j + 1] =
                [delete, insert].into_iter().fold(replace, |a, b| if b.errors() < a.errors() { b } else { a });
        }
    }
    WordErrors { words: said.len(), ..best[written.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(said: &str, written: &str) -> (usize, usize, usize) {
        let split = |text: &str| text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let errors = align(&split(said), &split(written));
        assert_eq!(errors.words, split(said).len());
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
    }

    #[test]
    fn the_normaliser_is_whispers() {
        let words =
            normalise(&["Mr. Smith's colour, um, isn't twenty-one!", ""]).expect("scripts/setup-python has run");
        assert_eq!(words[0].join(" "), "mister smith is color is not 21");
        assert!(words[1].is_empty());
    }
}

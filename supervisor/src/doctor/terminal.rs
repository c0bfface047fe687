//! The terminal: whether words in any language can be shown.

use super::Case;
use super::finding::Finding;
use super::show::speaks_utf8;
use std::io::IsTerminal;

pub(super) const NAME: &str = "terminal";

/// Looks at the locale, when there is a terminal at all.
pub(super) fn look(_: &Case) -> Vec<Finding> {
    findings(std::io::stdout().is_terminal(), speaks_utf8())
}

fn findings(terminal: bool, utf8: bool) -> Vec<Finding> {
    if !terminal || utf8 {
        return Vec::new();
    }
    vec![
        Finding::note(NAME, "the locale is not UTF-8")
            .means("words are printed in UTF-8; letters beyond English may look wrong here")
            .mend("export LANG=C.UTF-8"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_has_a_locale_that_matters() {
        assert_eq!(findings(true, false).len(), 1);
        assert!(findings(true, true).is_empty() && findings(false, false).is_empty());
    }
}

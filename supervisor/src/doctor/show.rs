//! Findings for people: a line each, and below what is not good what it means and what to type.

use super::finding::{Finding, Severity};
use super::outside::count as counted;
use crate::output::{columns, lines_of, may_colour, wrapped};
use unicode_width::UnicodeWidthStr;

/// From this width on, the findings stand in a column of their own.
const WIDE: usize = 70;

/// What the reader's screen can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub width: usize,
    pub utf8: bool,
    pub colour: bool,
}

impl Screen {
    /// Of standard output.
    pub(super) fn here() -> Self {
        Self { width: columns(), utf8: speaks_utf8(), colour: may_colour() }
    }

    /// The lines of a finding.
    pub(super) fn lines(&self, finding: &Finding) -> String {
        let (mark, colour) = match (finding.severity, self.utf8) {
            (Severity::Good, true) => ("✓", 32),
            (Severity::Good, false) => ("ok  ", 32),
            (Severity::Note, true) => ("·", 36),
            (Severity::Note, false) => ("note", 36),
            (Severity::Warning, true) => ("!", 33),
            (Severity::Warning, false) => ("warn", 33),
            (Severity::Fault, true) => ("✗", 31),
            (Severity::Fault, false) => ("FAIL", 31),
        };
        let wide = self.width >= WIDE;
        let indent = if wide { mark.width() + 1 + 15 } else { 4 };
        let head = if wide {
            let what = wrapped(&self.plain(&finding.what), self.width, indent);
            format!("{} {:<15}{what}", self.painted(colour, mark), finding.check)
        } else {
            let text = format!("{mark} {}: {}", finding.check, self.plain(&finding.what));
            // The mark is part of the first line's width; its colour is not.
            let text = wrapped(&text, self.width, indent);
            text.replacen(mark, &self.painted(colour, mark), 1)
        };
        let mut out = format!("{head}\n");
        if finding.severity == Severity::Good {
            return out;
        }
        let pad = " ".repeat(indent);
        if let Some(means) = &finding.means {
            out.push_str(&format!("{pad}{}\n", wrapped(&self.plain(means), self.width, indent)));
        }
        for command in finding.mend.iter().flat_map(|mend| mend.lines()) {
            let text = command_lines(command, self.width, indent + 2);
            out.push_str(&format!("{pad}  {}\n", self.painted(1, &text)));
        }
        out
    }

    /// The last line.
    pub(super) fn summary(&self, findings: &[Finding], exit: u8) -> String {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
        let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
        let text = match (faults, warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, _) => format!("{}; exit code {exit}", counted(warnings, "warning")),
            (_, 0) => format!("{}; exit code {exit}", counted(faults, "fault")),
            _ => format!("{}, {}; exit code {exit}", counted(faults, "fault"), counted(warnings, "warning")),
        };
        format!("{}\n", wrapped(&text, self.width, 0))
    }

    fn painted(&self, colour: u8, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Without signs that the locale does not have.
    fn plain(&self, text: &str) -> String {
        if self.utf8 {
            return text.to_owned();
        }
        [("…", "..."), ("–", "-"), ("×", "x")]
            .iter()
            .fold(text.to_owned(), |text, (sign, plain)| text.replace(sign, plain))
    }
}

/// A command in lines of at most this width that a shell takes as one: cut at spaces outside of quotes.
fn command_lines(command: &str, width: usize, indent: usize) -> String {
    let pad = " ".repeat(indent);
    if let Some(comment) = command.strip_prefix("# ") {
        return format!(
            "# {}",
            wrapped(comment, width, indent + 2).replace(&format!("\n{pad}  "), &format!("\n{pad}# "))
        );
    }
    lines_of(words(command), width.saturating_sub(indent + 2)).join(&format!(" \\\n{pad}"))
}

/// The words of a command, quoted ones whole.
fn words(command: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quote) = (Vec::new(), 0, None);
    for (at, sign) in command.char_indices() {
        match (sign, quote) {
            (' ', None) => {
                words.push(&command[begin..at]);
                begin = at + 1;
            }
            ('\'' | '"', None) => quote = Some(sign),
            (sign, Some(open)) if sign == open => quote = None,
            _ => {}
        }
    }
    words.push(&command[begin..]);
    words
}

/// Whether the locale's text is UTF-8.
pub(super) fn speaks_utf8() -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = names.iter().find_map(|name| super::outside::variable(name)).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_protocol::Exit;

    const NARROW: Screen = Screen { width: 40, utf8: true, colour: false };

    fn fault() -> Finding {
        Finding::fault("shared memory", Exit::NoRoom, "only 3 s of history fit into /dev/shm (1 MB of 64 MB are free)")
            .means("the rings need 92 MB for 30 s; 10 s are the least")
            .mend("sudo mount -o remount,size=256M /dev/shm\ntympan run --history 5")
    }

    #[test]
    fn a_narrow_screen_is_not_overrun() {
        let text = NARROW.lines(&fault());
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.starts_with("✗ shared memory: only 3 s of"), "{text}");
        assert!(text.contains("\n      tympan run --history 5\n"), "{text}");
    }

    #[test]
    fn a_wide_screen_has_columns() {
        let text = Screen { width: 200, ..NARROW }.lines(&fault());
        assert!(text.starts_with("✗ shared memory  only 3 s"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_good_finding_is_one_line() {
        let good = Finding::good("disk", "room").means("more").mend("less");
        assert_eq!(NARROW.lines(&good), "✓ disk: room\n");
    }

    #[test]
    fn without_utf8_and_colour_there_is_neither() {
        let screen = Screen { utf8: false, ..NARROW };
        let text = screen.lines(&Finding::warning("disk", "5 × 2 – …"));
        assert_eq!(text, "warn disk: 5 x 2 - ...\n");
        assert!(Screen { colour: true, ..NARROW }.lines(&fault()).starts_with("\x1b[31m✗\x1b[0m shared"));
    }

    #[test]
    fn a_wrapped_command_can_still_be_pasted() {
        let command = "printf '%s\\n' 'a long quoted text' | sudo tee -a /etc/some/file && echo it is done";
        let text = command_lines(command, 40, 6);
        assert!(text.lines().count() > 1 && text.lines().rev().skip(1).all(|line| line.ends_with(" \\")), "{text}");
        assert_eq!(text.replace(" \\\n      ", " "), command);
        let echoed = |command: &str| std::process::Command::new("sh").args(["-c", command]).output().unwrap().stdout;
        let harmless = "printf '%s,' 'a long quoted text of words' and some plain ones 'and then more' at the end";
        let text = command_lines(harmless, 40, 6);
        assert!(text.contains('\n'));
        assert_eq!(echoed(harmless), echoed(&text));
    }

    #[test]
    fn the_last_line_counts() {
        let found = [fault(), Finding::warning("a", ""), Finding::warning("b", ""), Finding::note("c", "")];
        assert_eq!(NARROW.summary(&found, 15), "1 fault, 2 warnings; exit code 15\n");
        assert_eq!(NARROW.summary(&found[3..], 0), "all is well\n");
    }
}

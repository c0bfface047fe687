//! A line of the log for people.

use super::filter::Line;
use crate::output::harmless;

/// A line, or two where some are missing before it.
pub(super) fn shown(line: &Line, colour: bool) -> String {
    let paint = |code: u8, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let mut out = String::new();
    if line.dropped > 0 {
        out.push_str(&paint(33, &format!("-- {} lines are missing here --", line.dropped)));
        out.push('\n');
    }
    let number = line.worker.map(|number| format!(" {number}")).unwrap_or_default();
    let who = harmless(&format!("{}{number}", line.role)).into_owned();
    let text = harmless(&line.text);
    let text = match line.level.as_deref() {
        Some("error") => paint(31, &format!("error: {text}")),
        Some("warn") => paint(33, &format!("warn: {text}")),
        _ => text.into_owned(),
    };
    let (time, who) = (paint(2, &harmless(&line.time)), paint(36, &format!("{who:<10}")));
    out.push_str(&format!("{time} {who} {:>7}  {text}\n", line.pid));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        serde_json::from_str(
            r#"{"time":"2026-11-21T17:42:28.123Z","role":"worker","worker":1,"pid":77,"generation":1,"event":"said",
                "level":"error","text":"no \u001b[2Jroom","dropped":3,"instance":"1-2"}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_line_says_when_who_and_what() {
        assert_eq!(
            shown(&line(), false),
            "-- 3 lines are missing here --\n2026-11-21T17:42:28.123Z worker 1        77  error: no \\u{1b}[2Jroom\n"
        );
    }

    #[test]
    fn colours_are_taken_back() {
        let text = shown(&line(), true);
        assert_eq!(text.matches("\x1b[0m").count(), 4);
        assert_eq!(text.matches("\x1b[").count(), 8);
    }
}

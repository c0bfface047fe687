//! Answers on standard output, for people and for programs.

use anyhow::{Context, Result};
use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use unicode_width::UnicodeWidthStr;

/// Prints an answer. A reader that has gone (`| head -1`) has what it wanted.
///
/// # Errors
/// When standard output takes no more for any other reason, such as a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    print_on(text).map(|_| ())
}

/// Prints a part of an answer; whether more is wanted.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_on(text: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("standard output"),
    }
}

/// Whether standard output may be coloured: a terminal that can, and nobody who objects.
pub(crate) fn may_colour() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty());
    wanted && able && std::io::stdout().is_terminal()
}

/// A text that does nothing to a terminal but be shown: control characters, and those that turn the direction of writing,
/// are spelled out.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let bad = |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Prints an answer as one line of JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(answer: &impl serde::Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string(answer)?))
}

/// Columns of standard output: the terminal's, or `COLUMNS`, or as many as are needed.
pub(crate) fn columns() -> usize {
    let terminal = || {
        let out = std::io::stdout();
        out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten().map(|size| size.ws_col)
    };
    let wanted = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    terminal().filter(|&columns| columns > 0).or(wanted).map_or(usize::MAX, usize::from)
}

/// Rows under headings. Where they do not fit the width, a row becomes a few lines.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let mut widths = headings.map(UnicodeWidthStr::width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(cell.width());
        }
    }
    let total = widths.iter().sum::<usize>() + 2 * N.saturating_sub(1);
    if total > width {
        return stacked(headings, rows, width);
    }
    let mut out = String::new();
    let mut line = |cells: [&str; N]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width + 2 - cell.width()));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(headings);
    rows.iter().for_each(|row| line(std::array::from_fn(|at| row[at].as_str())));
    out
}

fn stacked<const N: usize>(headings: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let mut out = String::new();
    let indent = headings.iter().skip(1).map(|heading| heading.width()).max().unwrap_or(0) + 4;
    for row in rows {
        out.push_str(&row[0]);
        out.push('\n');
        for (heading, cell) in headings.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            let pad = " ".repeat(indent - 2 - heading.width());
            out.push_str(&format!("  {heading}{pad}{}\n", wrapped(cell, width, indent)));
        }
    }
    out
}

/// A text in lines of at most this width, all but the first indented. Words longer than that stay whole.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    lines_of(text.split(' '), width.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)))
}

/// Words in lines of at most this width, or of a few letters where that is less.
pub(crate) fn lines_of<'a>(words: impl IntoIterator<Item = &'a str>, width: usize) -> Vec<String> {
    let room = width.max(16);
    let mut lines = vec![String::new()];
    for word in words {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[String; 3]> {
        vec![["mic", "USB Mikrofon 東京", "48 kHz"], ["b", "x", ""]]
            .into_iter()
            .map(|row| row.map(str::to_owned))
            .collect()
    }

    #[test]
    fn columns_stand_under_each_other() {
        let text = table(["name", "what", "rate"], &rows(), 80);
        assert_eq!(text, "name  what               rate\nmic   USB Mikrofon 東京  48 kHz\nb     x\n");
    }

    #[test]
    fn a_narrow_terminal_gets_a_line_a_cell() {
        let text = table(["name", "what", "rate"], &rows(), 20);
        assert_eq!(
            text,
            "mic\n  what  USB\n        Mikrofon\n        東京\n  rate  48 kHz\nb\n  what  x\n"
                .replace("USB\n        Mikrofon\n        東京", "USB Mikrofon\n        東京")
        );
    }

    #[test]
    fn long_text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three four five", 18, 2), "one two three\n  four five");
        assert_eq!(wrapped("/a/very/long/path/without/spaces x", 18, 2), "/a/very/long/path/without/spaces\n  x");
    }
}

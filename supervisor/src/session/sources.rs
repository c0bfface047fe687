//! Sources that come and go while the run goes on. What is listed here is what an engine opens, the next one too.

use super::streams::{SourceState, Stream};
use super::{Part, Session};
use crate::doctor::quoted;
use crate::refusal::{Refusal, refusal};
use crate::report::Report;
use control_protocol::{ClockKind, SOURCES_MAX, StreamName, ToEngine, ToListener, URI_BYTES_MAX};
use serde_json::{Value, json};
use shm_layout::{FrameIndex, RingWarden};

/// The most sources that are listed: those that ended or failed, too.
const LISTED_MAX: usize = 2 * SOURCES_MAX;

impl Session<'_> {
    /// Has one more source. Whether it could be opened, the list says.
    ///
    /// # Errors
    /// When it cannot even be tried.
    pub(super) fn add_source(&mut self, name: &str, uri: String) -> Result<Value, Refusal> {
        self.may_change_sources()?;
        let name = StreamName::new(name).map_err(|e| refusal!(Usage, "{e}"))?;
        if name == StreamName::mix() {
            return Err(refusal!(Usage, "the name mix belongs to the sum of all sources; take another"));
        }
        if uri.starts_with("stdin:") {
            return Err(refusal!(Usage, "stdin: {}", crate::sources::STDIN_BELONGS_TO_RUN));
        }
        if uri.len() > URI_BYTES_MAX {
            return Err(refusal!(Usage, "a source of {} bytes, and {URI_BYTES_MAX} are the most", uri.len()));
        }
        match self.streams.get(&name).map(|stream| stream.state) {
            Some(SourceState::Opening | SourceState::Open) => {
                return Err(refusal!(
                    Refused,
                    "there is a source {name} already; another name is given as NAME=URI, and `tympan source remove {name}` \
                     makes this one free"
                ));
            }
            Some(SourceState::Leaving) => {
                return Err(refusal!(Refused, "the source {name} is about to go; try again in a moment"));
            }
            _ => {}
        }
        let others = || self.listed().filter(|(other, _)| **other != name).map(|(_, stream)| stream);
        let is_there = |stream: &&Stream| stream.wants_source() || stream.state == SourceState::Leaving;
        let room = "and there are so many; `tympan source remove NAME` makes room";
        if others().filter(is_there).count() >= SOURCES_MAX {
            return Err(refusal!(Refused, "{SOURCES_MAX} sources are the most, {room}"));
        }
        if others().count() >= LISTED_MAX {
            return Err(refusal!(
                Refused,
                "{LISTED_MAX} sources, with those that ended or failed, are the most, {room}"
            ));
        }
        let language = self.plan.languages.check(&name, &self.plan.models)?.to_owned();
        let bytes = self.bytes_of_one_more();
        self.make_room(bytes);
        self.rings.retire(&name);
        let stream = self.streams.entry(name.clone()).or_insert_with(|| Stream::new(String::new(), language));
        stream.renew(uri);
        self.idle = false;
        self.outcome.sources += 1;
        self.tell_added(&name);
        Ok(json!({"ok": true, "stream": name}))
    }

    /// Has a source no more. The list says when it is gone.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(super) fn remove_source(&mut self, name: &str) -> Result<Value, Refusal> {
        self.may_change_sources()?;
        let known = self.listed().find(|(known, _)| known.as_str() == name);
        let Some((name, state)) = known.map(|(name, stream)| (name.clone(), stream.state)) else {
            let names: Vec<_> = self.listed().map(|(name, _)| name.as_str()).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(refusal!(Refused, "there is no source {name}; there is {there}"));
        };
        let has_engine = self.places.get(&Part::Engine).is_some_and(|place| place.child.is_some());
        if let Some(stream) = self.streams.get_mut(&name) {
            stream.state = SourceState::Leaving;
        }
        self.idle |= !self.streams.values().any(Stream::wants_source);
        match state {
            SourceState::Opening | SourceState::Open if has_engine => {
                self.tell_engine(ToEngine::RemoveSource { stream: name.clone() });
            }
            SourceState::Leaving => {}
            _ => {
                self.rings.close_old(&name);
                self.source_removed(&name, self.rings.end_of(&name));
            }
        }
        Ok(json!({"ok": true, "stream": name}))
    }

    /// The sources there are. Those that were removed are none any more.
    pub(super) fn list_sources(&self) -> Value {
        let row = |(name, stream): (&StreamName, &Stream)| {
            let (rate, channels) = stream.shape.unzip();
            let (exit, reason) = stream.failure.as_ref().map(|(exit, reason)| (exit.code(), reason)).unzip();
            json!({
                "stream": name, "uri": stream.uri, "description": stream.description, "state": stream.shown_state(),
                "reason": reason, "exit": exit, "live": stream.live, "added": stream.added,
                "sample_rate_hz": rate, "channels": channels,
                "gap_frames": self.rings.of(name).map(RingWarden::gap_frames),
                "lost_frames": self.outcome.lost_frames.get(name).copied().unwrap_or(0),
            })
        };
        json!({"sources": self.listed().map(row).collect::<Vec<_>>()})
    }

    /// The command that tries a source again which failed or broke off; none where nothing can.
    pub(super) fn mend_of(&self, name: &StreamName, stream: &Stream) -> Option<String> {
        let can_come = self.may_change_sources().is_ok() && !stream.uri.starts_with("stdin:");
        let is_free = matches!(stream.state, SourceState::Failed | SourceState::Ended);
        let source = quoted(format!("{name}={}", stream.uri));
        (stream.failure.is_some() && is_free && can_come).then(|| format!("tympan source add {source}"))
    }

    /// A source is captured no more, as was wished; its ring, where it had one, ends at this frame.
    pub(super) fn source_removed(&mut self, name: &StreamName, at: FrameIndex) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.state != SourceState::Leaving {
            return;
        }
        stream.state = SourceState::Removed;
        self.latency.forget(name);
        if stream.is_paused() {
            // A pause does not outlive its source.
            stream.pauses.turn(at, false);
            if self.is_ready(Part::Listener) {
                self.tell_listener(ToListener::Pause { stream: name.clone(), at, paused: false });
            }
        }
        self.rings.retire(name);
        let at_s = at.seconds(self.plan.sample_rate_hz);
        self.reporter.report(Report::SourceRemoved { stream: name.clone(), frame: at, at_s });
    }

    /// The engine is gone before it could say so: what was to leave has left.
    pub(super) fn let_leaving_go(&mut self) {
        let leaving =
            |(name, stream): (&StreamName, &Stream)| (stream.state == SourceState::Leaving).then(|| name.clone());
        for name in self.streams.iter().filter_map(leaving).collect::<Vec<_>>() {
            self.source_removed(&name, self.rings.end_of(&name));
        }
    }

    /// Removed sources of which every word is written down are known no more.
    pub(super) fn forget_removed(&mut self) {
        let is_over = |(name, stream): (&StreamName, &Stream)| {
            let said = stream.mark.is_none() || stream.finished;
            let over = stream.state == SourceState::Removed && said && !self.queue.has_open(name);
            over.then(|| name.clone())
        };
        for name in self.streams.iter().filter_map(is_over).collect::<Vec<_>>() {
            self.end_text_of(&name);
            self.spoken.remove(&name);
            let listened_to = self.streams.remove(&name).is_some_and(|stream| stream.mark.is_some());
            // A listener that is not ready yet is not told of it at all.
            if listened_to && self.is_ready(Part::Listener) {
                self.tell_listener(ToListener::Forget { stream: name });
            }
        }
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = (&StreamName, &Stream)> {
        self.streams.iter().filter(|(_, stream)| stream.state != SourceState::Removed)
    }

    fn may_change_sources(&self) -> Result<(), Refusal> {
        self.is_running().map_err(|text| refusal!(Refused, "{text}"))?;
        if self.plan.clock == ClockKind::Virtual {
            return Err(refusal!(Refused, "this run is as fast as it goes (--fast): its sources stay what they are"));
        }
        Ok(())
    }
}

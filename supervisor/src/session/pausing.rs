//! Pauses: a stream is not listened to for a while, and captured as ever.
//!
//! A pause begins and ends at a frame: where the stream's ring is when it is ordered. So it means the same to a listener
//! that is behind, and to the next one, which is told the pauses that its mark has not passed.

use super::{Session, Stream};
use crate::event::Wish;
use crate::report::Report;
use control_protocol::{StreamName, ToListener};
use serde_json::{Value, json};
use shm_layout::RingWarden;

impl Session<'_> {
    /// Pauses these streams, all where none is named, or listens to them again.
    ///
    /// # Errors
    /// In words.
    pub(super) fn pause(&mut self, wish: Wish, names: &[String]) -> Result<Value, String> {
        self.is_running()?;
        let meant = self.meant(names)?;
        let is_paused = |name: &StreamName| self.streams.get(name).is_some_and(Stream::is_paused);
        // Whoever toggles while one of several is heard wants quiet.
        let paused = match wish {
            Wish::Pause => true,
            Wish::Resume => false,
            Wish::Toggle => !meant.iter().all(is_paused),
        };
        for name in meant {
            self.turn(&name, paused);
        }
        let named = |paused| {
            let open = self.streams.iter().filter(|(_, stream)| stream.wants_source());
            open.filter(|(_, stream)| stream.is_paused() == paused).map(|(name, _)| name).collect::<Vec<_>>()
        };
        Ok(json!({"ok": true, "paused": named(true), "listening": named(false)}))
    }

    /// The streams of these names; all that have not ended where none is named.
    fn meant(&self, names: &[String]) -> Result<Vec<StreamName>, String> {
        let list = |names: &[&StreamName]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let open: Vec<_> = self.streams.iter().filter(|(_, s)| s.wants_source()).map(|(name, _)| name).collect();
        if open.is_empty() {
            return Err("no stream is open any more".into());
        }
        if names.is_empty() {
            return Ok(open.into_iter().cloned().collect());
        }
        let known = |name: &String| match self.streams.keys().find(|known| known.as_str() == name) {
            Some(known) if open.contains(&known) => Ok(known.clone()),
            Some(_) => Err(format!("the stream {name} has ended; there is {}", list(&open))),
            None => Err(format!("there is no stream {name}; there is {}", list(&open))),
        };
        names.iter().map(known).collect()
    }

    fn turn(&mut self, name: &StreamName, paused: bool) {
        let at = self.rings.of(name).map_or(self.rings.next_frame(), RingWarden::commit);
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.is_paused() == paused {
            return;
        }
        stream.pauses.turn(at, paused);
        self.spoken_in(name).forget_sound_before(at);
        // A listener that is not ready yet is told all when it is.
        if self.is_ready(super::Part::Listener) {
            self.tell_listener(ToListener::Pause { stream: name.clone(), at, paused });
        }
        let (stream, at_s) = (name.clone(), at.seconds(self.plan.sample_rate_hz));
        self.reporter.report(if paused {
            Report::Paused { stream, frame: at, at_s }
        } else {
            Report::Resumed { stream, frame: at, at_s }
        });
    }

    /// Tells a new listener of a stream's pauses.
    pub(super) fn tell_pauses(&self, name: &StreamName) {
        let orders = self.streams.get(name).into_iter().flat_map(|stream| stream.pauses.orders());
        for (at, paused) in orders {
            self.tell_listener(ToListener::Pause { stream: name.clone(), at, paused });
        }
    }
}

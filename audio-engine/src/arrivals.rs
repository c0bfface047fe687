//! Sources on their way: named, being opened on threads of their own, open, waited for.

use crate::engine::Event;
use crate::entrant::{Entrant, Lineage, Retiming};
use crate::ring_source::Surroundings;
use crate::source::{self, OpenSource};
use control_protocol::{EngineConfig, SourceSpec, StreamName};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// A source is known by this until it is open: the thread that opens it may end long after it was removed, and another
/// one of its name came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// See the module's head.
#[derive(Default)]
pub struct Arrivals {
    slots: Vec<Slot>,
    tickets: u64,
}

struct Slot {
    ticket: Ticket,
    name: StreamName,
    lineage: Lineage,
    state: State,
}

#[expect(clippy::large_enum_variant, reason = "there are a few")]
enum State {
    Opening,
    Open(Box<OpenSource>),
    Waited(Entrant, Instant),
}

impl Arrivals {
    /// Opens a source on a thread of its own, which says [`Event::Opened`].
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn open(
        &mut self,
        spec: SourceSpec,
        lineage: Lineage,
        config: &EngineConfig,
        own: &Sender<Event>,
    ) -> io::Result<()> {
        self.tickets += 1;
        let (ticket, own, rate_hz) = (Ticket(self.tickets), own.clone(), config.sample_rate_hz);
        let SourceSpec { stream, uri, resume_frames } = spec;
        let surroundings = Surroundings::of(config, &stream);
        std::thread::Builder::new().name("open source".into()).spawn(move || {
            let result = source::open_among(&uri, rate_hz, resume_frames, Some(&surroundings)).map(Box::new);
            // Nobody listens any more when the process is ending.
            let _ = own.send(Event::Opened(ticket, result));
        })?;
        self.slots.push(Slot { ticket, name: stream, lineage, state: State::Opening });
        Ok(())
    }

    /// The name of a source that is being opened.
    #[must_use]
    pub fn name_of(&self, ticket: Ticket) -> Option<&StreamName> {
        self.slots.iter().find(|slot| slot.ticket == ticket).map(|slot| &slot.name)
    }

    /// It is open. Where nobody wants it any more, it is ended.
    pub fn opened(&mut self, ticket: Ticket, open: Box<OpenSource>) {
        match self.slots.iter_mut().find(|slot| slot.ticket == ticket) {
            Some(slot) => slot.state = State::Open(open),
            None => open.health.stop.store(true, Ordering::Relaxed),
        }
    }

    /// It cannot be opened.
    pub fn failed(&mut self, ticket: Ticket) {
        self.slots.retain(|slot| slot.ticket != ticket);
    }

    /// Forgets a source; false where there is none of this name.
    pub fn remove(&mut self, name: &StreamName) -> bool {
        let Some(at) = self.slots.iter().position(|slot| slot.name == *name) else { return false };
        self.slots.remove(at).end();
        true
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        std::mem::take(&mut self.slots).into_iter().for_each(Slot::end);
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn has(&self, name: &StreamName) -> bool {
        self.slots.iter().any(|slot| slot.name == *name)
    }

    /// Whether some are still being opened.
    #[must_use]
    pub fn are_opening(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Opening))
    }

    /// Whether some are waited for.
    #[must_use]
    pub fn are_waited_for(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Waited(..)))
    }

    /// Asks all that are open to begin, and waits for them from now on. Those that cannot, with the reasons.
    pub fn ask_to_begin(&mut self, config: &EngineConfig, retiming: Retiming) -> Vec<(StreamName, String)> {
        let mut refused = Vec::new();
        for slot in std::mem::take(&mut self.slots) {
            let Slot { ticket, name, lineage, state } = slot;
            let state = match state {
                State::Open(open) => match Entrant::new(name.clone(), lineage, *open, config, retiming) {
                    Ok(entrant) => {
                        entrant.ask_to_begin();
                        State::Waited(entrant, Instant::now())
                    }
                    Err(reason) => {
                        refused.push((name, reason));
                        continue;
                    }
                },
                other => other,
            };
            self.slots.push(Slot { ticket, name, lineage, state });
        }
        refused
    }

    /// All that are waited for, when every one of them may begin.
    pub fn all_ready(&mut self) -> Option<Vec<Entrant>> {
        let alone = self.slots.iter().filter(|slot| matches!(slot.state, State::Waited(..))).count() == 1;
        let waits = |slot: &mut Slot| match &mut slot.state {
            State::Waited(entrant, since) => !entrant.may_begin(since.elapsed(), alone),
            _ => false,
        };
        if self.slots.iter_mut().any(waits) { None } else { Some(self.waited_for()) }
    }

    /// All that are waited for, ready or not.
    pub fn waited_for(&mut self) -> Vec<Entrant> {
        self.take(|_, _| true)
    }

    /// Those that may begin.
    pub fn ready(&mut self) -> Vec<Entrant> {
        self.take(|entrant, since| entrant.may_begin(since.elapsed(), false))
    }

    fn take(&mut self, is_wanted: impl Fn(&mut Entrant, Instant) -> bool) -> Vec<Entrant> {
        let wanted = |slot: &mut Slot| match &mut slot.state {
            State::Waited(entrant, since) => is_wanted(entrant, *since),
            _ => false,
        };
        let taken: Vec<_> = self.slots.extract_if(.., wanted).collect();
        let entrant = |slot: Slot| if let State::Waited(entrant, _) = slot.state { Some(entrant) } else { None };
        taken.into_iter().filter_map(entrant).collect()
    }
}

impl Slot {
    /// Ends its source; one that is being opened is ended when it is open.
    fn end(self) {
        match self.state {
            State::Opening => {}
            State::Open(open) => open.health.stop.store(true, Ordering::Relaxed),
            State::Waited(entrant, _) => entrant.dismiss(),
        }
    }
}

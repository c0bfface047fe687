//! The outputs of this engine, seen from the control thread.

use crate::clock::Clock;
use crate::engine::Event;
use crate::limits::short;
use crate::output::{Form, News, Opening, Output, Pilot, Reading, Which, keep};
use control_protocol::{ClockKind, EngineConfig, Exit, FromEngine, OutputSpec};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it is told how they do.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// All of them, those that are still being opened too.
#[derive(Default)]
pub(crate) struct Outputs {
    kept: Vec<Kept>,
    tickets: u32,
    told: Option<Instant>,
    /// Which one was told to lead.
    leader_told: Option<u32>,
}

struct Kept {
    ticket: u32,
    spec: OutputSpec,
    output: Output,
    /// The tick follows it whenever it is there.
    leads: bool,
    /// As it was opened last.
    form: Option<Form>,
    /// Why it is away, while it is.
    lost: Option<String>,
    /// When it has played the last impulse that was told.
    impulse_ns: Option<u64>,
}

impl Outputs {
    /// Opens one more, which takes the place of the one of its number as soon as it is open. On the same device, the
    /// stream alone changes. With a pilot it leads, unless one of another number does.
    pub(crate) fn set(
        &mut self,
        spec: OutputSpec,
        config: Option<&EngineConfig>,
        pilot: Option<&Arc<Pilot>>,
        own: &Sender<Event>,
        send: &dyn Fn(FromEngine),
    ) {
        let (number, wish) = (spec.number, spec.wish);
        // What was wished before and is not open yet is not wished any more.
        self.kept.retain(|kept| kept.spec.number != number || kept.form.is_some() || kept.spec.keep_trying);
        let same = |kept: &&mut Kept| kept.spec.number == number && kept.spec.device == spec.device;
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.output.play(spec.stream.as_str());
            kept.spec = spec;
            return kept.tell(send);
        }
        let pilot = pilot.filter(|_| !self.kept.iter().any(|kept| kept.leads && kept.spec.number != number));
        if let Err((reason, exit)) = self.open(spec, config, pilot, own) {
            send(FromEngine::OutputFailed { number, wish, reason: short(reason), exit });
        }
        self.tell_leader(send);
    }

    fn open(
        &mut self,
        spec: OutputSpec,
        config: Option<&EngineConfig>,
        pilot: Option<&Arc<Pilot>>,
        own: &Sender<Event>,
    ) -> Result<(), (String, Exit)> {
        let config = config.filter(|config| config.clock == ClockKind::Monotonic);
        let config = config.ok_or_else(|| ("only what is live is played".to_owned(), Exit::Refused))?;
        let which: Which = spec.device.parse().map_err(|e| (format!("{e}"), Exit::Usage))?;
        let clock = Clock {
            first_frame: config.first_frame,
            first_frame_ns: config.first_frame_ns,
            sample_rate_hz: config.sample_rate_hz,
        };
        let opening = Opening {
            which,
            lead: pilot.map(|pilot| (Arc::clone(pilot), clock)),
            reading: Reading {
                dir: config.runtime_dir.clone().into(),
                session: config.session,
                stream: Arc::new(Mutex::new(spec.stream.as_str().to_owned())),
                block_frames: config.block_frames,
            },
            engine_rate_hz: config.sample_rate_hz,
            keep_trying: spec.keep_trying,
        };
        self.tickets += 1;
        let (ticket, own) = (self.tickets, own.clone());
        // Who is gone does not hear it.
        let tell = move |news| drop(own.send(Event::Output(ticket, news)));
        let output = keep(opening, tell).map_err(|e| (format!("no thread for the output: {e}"), Exit::Refused))?;
        self.kept.push(Kept { ticket, spec, output, leads: pilot.is_some(), form: None, lost: None, impulse_ns: None });
        Ok(())
    }

    /// Lets it go.
    pub(crate) fn close(&mut self, number: u32, send: &dyn Fn(FromEngine)) {
        self.kept.retain(|kept| kept.spec.number != number);
        self.tell_leader(send);
    }

    /// Whether one of them leads whenever it is there: then no other device does.
    pub(crate) fn lead(&self) -> bool {
        self.kept.iter().any(|kept| kept.leads)
    }

    /// Tells which one leads now, where that is another one, or none any more.
    fn tell_leader(&mut self, send: &dyn Fn(FromEngine)) {
        let plays = |kept: &&Kept| kept.leads && kept.form.is_some() && kept.lost.is_none();
        let leader = self.kept.iter().find(plays).map(|kept| kept.spec.number);
        if leader != std::mem::replace(&mut self.leader_told, leader) {
            send(leader.map_or(FromEngine::Leads { stream: None }, |number| FromEngine::OutputLeads { number }));
        }
    }

    /// A keeper has something to say. One that was let go is not heard any more.
    pub(crate) fn on_news(&mut self, ticket: u32, news: News, send: &dyn Fn(FromEngine)) {
        let Some(at) = self.kept.iter().position(|kept| kept.ticket == ticket) else { return };
        let OutputSpec { number, wish, .. } = self.kept[at].spec;
        match news {
            News::Opened(form) | News::Back(form) => {
                (self.kept[at].form, self.kept[at].lost) = (Some(form), None);
                // Who hears that it is open is to know whether it leads.
                self.tell_leader(send);
                self.kept[at].tell(send);
                self.kept.retain(|kept| kept.spec.number != number || kept.ticket == ticket);
            }
            News::Failed(error) => {
                self.kept.remove(at);
                let reason = short(error.reason);
                send(FromEngine::OutputFailed { number, wish, reason, exit: error.exit });
            }
            News::Lost { reason } => {
                self.kept[at].lost = Some(short(reason));
                self.kept[at].tell(send);
            }
        }
        self.tell_leader(send);
    }

    /// Tells how those do that are open.
    pub(crate) fn look(&mut self, send: &dyn Fn(FromEngine)) {
        for kept in &mut self.kept {
            let last_ns = kept.output.last_impulse_ns();
            if let Some(at_ns) = last_ns.filter(|_| last_ns != kept.impulse_ns) {
                kept.impulse_ns = last_ns;
                send(FromEngine::ImpulsePlayed { number: kept.spec.number, at_ns });
            }
        }
        if self.kept.is_empty() || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        for kept in self.kept.iter().filter(|kept| kept.form.is_some()) {
            let figures = kept.output.figures();
            send(FromEngine::OutputPlays { number: kept.spec.number, wish: kept.spec.wish, figures });
        }
    }
}

impl Kept {
    fn tell(&self, send: &dyn Fn(FromEngine)) {
        let OutputSpec { number, wish, .. } = self.spec;
        if let Some(Form { description, sample_rate_hz, channels }) = &self.form {
            let (description, sample_rate_hz, channels) = (short(description.clone()), *sample_rate_hz, *channels);
            if self.lost.is_none() {
                return send(FromEngine::OutputOpened { number, wish, description, sample_rate_hz, channels });
            }
        }
        if let Some(reason) = &self.lost {
            send(FromEngine::OutputLost { number, wish, reason: reason.clone() });
        }
    }
}

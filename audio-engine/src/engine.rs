//! The control thread: messages in, sources opened, rings made, the tick started, news out.
//!
//! Everything that may block or allocate happens here. The tick has its own thread ([`crate::pace`]).

use crate::limits::{SAMPLE_RATES_HZ, short};
use crate::pace::Orders;
use crate::rings::{self, Running, StartError};
use crate::source::{self, OpenError, OpenSource};
use crate::vitals::Vitals;
use control_protocol::{ClockKind, EngineConfig, Exit, FromEngine, SourceSpec, StreamName, ToEngine};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// What the control thread reacts to.
pub enum Event {
    /// The supervisor says something.
    Message(ToEngine),
    /// The supervisor is gone.
    Gone,
    /// Opening a source has ended.
    Opened(usize, Result<Box<OpenSource>, OpenError>),
}

/// How often the control thread looks after a running tick.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it sleeps at most when nothing goes on: often enough to be seen alive.
const REST: Duration = Duration::from_millis(200);
/// How often it looks whether the sources are ready to begin.
const PRIME_LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long the others wait for a device that delivers nothing.
const PRIME_PATIENCE: Duration = Duration::from_secs(1);

/// Serves one supervisor until it says [`ToEngine::Shutdown`] or is gone. `own` feeds `events`.
pub fn serve(events: &Receiver<Event>, own: &Sender<Event>, send: &dyn Fn(FromEngine)) -> Exit {
    let mut engine = Engine {
        own,
        send,
        config: None,
        slots: Vec::new(),
        orders: Arc::default(),
        phase: Phase::Adding,
        vitals: Vitals::default(),
    };
    loop {
        engine.vitals.turn();
        let wait = match engine.phase {
            Phase::Adding | Phase::Opening | Phase::Stopped => REST,
            Phase::Priming { .. } => PRIME_LOOK_EVERY,
            Phase::Running(_) => LOOK_EVERY,
        };
        let end = match events.recv_timeout(wait) {
            Ok(event) => engine.on(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Exit::Orphaned),
        };
        if let Some(exit) = end.or_else(|| engine.advance()) {
            return exit;
        }
    }
}

struct Engine<'a> {
    own: &'a Sender<Event>,
    send: &'a dyn Fn(FromEngine),
    config: Option<EngineConfig>,
    slots: Vec<Slot>,
    orders: Arc<Orders>,
    phase: Phase,
    vitals: Vitals,
}

struct Slot {
    name: StreamName,
    state: SlotState,
}

enum SlotState {
    Opening,
    Open(Box<OpenSource>),
    Failed,
}

enum Phase {
    /// Sources are being named.
    Adding,
    /// Told to start; some sources are still being opened.
    Opening,
    /// Waiting until every source delivers.
    Priming { sources: Vec<rings::Source>, since: Instant },
    /// The tick runs.
    Running(Running),
    /// All rings are closed.
    Stopped,
}

impl Engine<'_> {
    fn on(&mut self, event: Event) -> Option<Exit> {
        match event {
            Event::Gone => return Some(Exit::Orphaned),
            Event::Message(ToEngine::Hello(_)) => {}
            Event::Message(ToEngine::Configure(config)) => {
                if let Err(reason) = check(&config) {
                    return Some(self.fault(reason, Exit::Refused));
                }
                self.vitals = Vitals::claim(&config);
                self.config = Some(config);
            }
            Event::Message(ToEngine::AddSource(spec)) => self.add(spec),
            Event::Message(ToEngine::Start) => {
                if self.config.is_none() {
                    return Some(self.fault("told to start before it was configured".into(), Exit::Refused));
                }
                if matches!(self.phase, Phase::Adding) {
                    self.phase = Phase::Opening;
                }
            }
            Event::Message(ToEngine::Credit { until }) => {
                self.orders.credit.fetch_max(until.0, Ordering::AcqRel);
            }
            Event::Message(ToEngine::Close) => self.close(),
            Event::Message(ToEngine::Shutdown) => return Some(Exit::Clean),
            Event::Opened(index, result) => self.opened(index, result),
        }
        None
    }

    fn add(&mut self, spec: SourceSpec) {
        let refuse = |reason: &str| {
            let reason = short(format!("{}: {reason}", spec.stream));
            let stream = spec.stream.clone();
            (self.send)(FromEngine::SourceFailed { stream, reason, retry: false, exit: Exit::Refused });
        };
        let Some(config) = &self.config else { return refuse("sources come after the configuration") };
        if !matches!(self.phase, Phase::Adding) {
            return refuse("sources come before the start");
        }
        if spec.stream == StreamName::mix() {
            return refuse("this name belongs to the sum of all sources; take another");
        }
        if self.slots.iter().any(|slot| slot.name == spec.stream) {
            return refuse("two sources of this name; give each its own");
        }
        let (index, rate_hz, own) = (self.slots.len(), config.sample_rate_hz, self.own.clone());
        let opening = std::thread::Builder::new().name("open source".into());
        let opening = opening.spawn(move || {
            let result = source::open(&spec.uri, rate_hz, spec.resume_frames).map(Box::new);
            // Nobody listens any more when the process is ending.
            let _ = own.send(Event::Opened(index, result));
        });
        let stream = spec.stream;
        match opening {
            Ok(_) => self.slots.push(Slot { name: stream, state: SlotState::Opening }),
            Err(e) => {
                let reason = format!("{stream}: no thread to open it: {e}");
                (self.send)(FromEngine::SourceFailed { stream, reason, retry: true, exit: Exit::Refused });
            }
        }
    }

    fn opened(&mut self, index: usize, result: Result<Box<OpenSource>, OpenError>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        match result {
            Ok(open) => {
                (self.send)(FromEngine::SourceOpened {
                    stream: slot.name.clone(),
                    description: short(open.description.clone()),
                    sample_rate_hz: open.sample_rate_hz,
                    channels: u32::try_from(open.channels).unwrap_or(u32::MAX),
                    live: open.live,
                    resume_uri: open.resume_uri.clone(),
                    total_frames: open.total_frames,
                });
                slot.state = SlotState::Open(open);
            }
            Err(OpenError { reason, retry, exit }) => {
                let (stream, reason) = (slot.name.clone(), short(reason));
                (self.send)(FromEngine::SourceFailed { stream, reason, retry, exit });
                slot.state = SlotState::Failed;
            }
        }
    }

    /// Goes on to the next phase when its time has come.
    fn advance(&mut self) -> Option<Exit> {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Opening => {
                if self.slots.iter().any(|slot| matches!(slot.state, SlotState::Opening)) {
                    self.phase = Phase::Opening;
                    return None;
                }
                self.prime()
            }
            Phase::Priming { mut sources, since } => {
                if may_begin(&mut sources, since.elapsed()) {
                    return self.begin(sources);
                }
                self.phase = Phase::Priming { sources, since };
                None
            }
            Phase::Running(mut running) => {
                running.look(&self.vitals, self.send);
                if running.is_over() {
                    (self.send)(FromEngine::Stopped);
                } else {
                    self.phase = Phase::Running(running);
                }
                None
            }
            same => {
                self.phase = same;
                None
            }
        }
    }

    fn prime(&mut self) -> Option<Exit> {
        let config = self.config.clone()?;
        let mut sources = Vec::new();
        for slot in std::mem::take(&mut self.slots) {
            let SlotState::Open(open) = slot.state else { continue };
            match rings::Source::new(slot.name, *open, &config) {
                Ok(source) => sources.push(source),
                Err(reason) => return Some(self.fault(reason, Exit::Refused)),
            }
        }
        if sources.is_empty() {
            return Some(self.fault("no source could be opened".into(), Exit::Refused));
        }
        sources.iter().for_each(rings::Source::ask_to_begin);
        if config.clock == ClockKind::Virtual {
            return self.begin(sources);
        }
        self.phase = Phase::Priming { sources, since: Instant::now() };
        None
    }

    fn begin(&mut self, sources: Vec<rings::Source>) -> Option<Exit> {
        let config = self.config.as_ref()?;
        match Running::start(config, sources, Arc::clone(&self.orders), &self.vitals, self.send) {
            Ok(running) => {
                self.phase = Phase::Running(running);
                None
            }
            Err(StartError { reason, exit }) => Some(self.fault(reason, exit)),
        }
    }

    fn close(&mut self) {
        match &mut self.phase {
            Phase::Running(running) => running.close(),
            Phase::Stopped => {}
            Phase::Adding | Phase::Opening | Phase::Priming { .. } => {
                self.phase = Phase::Stopped;
                (self.send)(FromEngine::Stopped);
            }
        }
    }

    fn fault(&self, reason: String, exit: Exit) -> Exit {
        (self.send)(FromEngine::Fault(short(reason)));
        exit
    }
}

/// Whether all sources deliver, or those that do have waited long enough for those that do not. A file is always
/// waited for (it will come); a device or a pipe is not, unless it is all there is.
fn may_begin(sources: &mut [rings::Source], waited: Duration) -> bool {
    let alone = sources.len() == 1;
    let patient = waited < PRIME_PATIENCE;
    sources.iter_mut().all(|source| {
        let waits = patient || (!source.is_live() && (alone || source.is_file()));
        source.is_primed() || !waits
    })
}

fn check(config: &EngineConfig) -> Result<(), String> {
    let EngineConfig { sample_rate_hz, block_frames, .. } = *config;
    if !SAMPLE_RATES_HZ.contains(&sample_rate_hz) {
        return Err(format!("a rate of {sample_rate_hz} Hz: 8,000 to 192,000 are possible"));
    }
    if block_frames == 0 || block_frames > sample_rate_hz / 4 {
        return Err(format!("blocks of {block_frames} frames: 1 to a quarter of a second are possible"));
    }
    Ok(())
}

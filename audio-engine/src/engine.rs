//! The control thread: messages in, sources opened, rings made, the tick started, news out.
//!
//! Everything that may block or allocate happens here. The tick has its own thread ([`crate::pace`]).

use crate::arrivals::{Arrivals, Ticket};
use crate::desk::Desk;
use crate::entrant::{Entrant, Lineage, Retiming};
use crate::limits::{SAMPLE_RATES_HZ, short};
use crate::output::News;
use crate::outputs::Outputs;
use crate::pace::Orders;
use crate::rings::source_failed;
use crate::room::StartError;
use crate::running::Running;
use crate::source::{OpenError, OpenSource};
use crate::vitals::Vitals;
use control_protocol::{ClockKind, EngineConfig, Exit, FromEngine, SOURCES_MAX, SourceSpec, StreamName, ToEngine};
use shm_layout::FrameIndex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// What the control thread reacts to.
pub enum Event {
    /// The supervisor says something.
    Message(ToEngine),
    /// The supervisor is gone.
    Gone,
    /// Opening a source has ended.
    Opened(Ticket, Result<Box<OpenSource>, OpenError>),
    /// The keeper of this output says something.
    Output(u32, News),
}

/// How often the control thread looks after a running tick.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it sleeps at most when nothing goes on: often enough to be seen alive.
const REST: Duration = Duration::from_millis(200);
/// How often it looks whether sources are ready to begin, or gone.
const CHANGE_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Serves one supervisor until it says [`ToEngine::Shutdown`] or is gone. `own` feeds `events`.
pub fn serve(events: &Receiver<Event>, own: &Sender<Event>, send: &dyn Fn(FromEngine)) -> Exit {
    let mut engine = Engine {
        own,
        send,
        config: None,
        lineages: BTreeMap::new(),
        arrivals: Arrivals::default(),
        desk: Desk::default(),
        retiming: Retiming::default(),
        outputs: Outputs::default(),
        some_failed: false,
        orders: Arc::default(),
        phase: Phase::Adding,
        vitals: Vitals::default(),
    };
    loop {
        engine.vitals.turn();
        let end = match events.recv_timeout(engine.rest()) {
            Ok(event) => engine.on(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Exit::Orphaned),
        };
        engine.outputs.look(send);
        if let Some(exit) = end.or_else(|| engine.advance()) {
            return exit;
        }
    }
}

struct Engine<'a> {
    own: &'a Sender<Event>,
    send: &'a dyn Fn(FromEngine),
    config: Option<EngineConfig>,
    /// Of streams that are to come, where they were named.
    lineages: BTreeMap<StreamName, Lineage>,
    arrivals: Arrivals,
    desk: Desk,
    retiming: Retiming,
    outputs: Outputs,
    some_failed: bool,
    orders: Arc<Orders>,
    phase: Phase,
    vitals: Vitals,
}

enum Phase {
    /// Sources are being named.
    Adding,
    /// Told to start; some sources are still being opened.
    Opening,
    /// Waiting until every source delivers.
    Priming,
    /// The tick runs; sources come and go.
    Running(Box<Running>),
    /// All rings are closed.
    Stopped,
}

impl Engine<'_> {
    /// How long nothing need be looked at.
    fn rest(&self) -> Duration {
        match &self.phase {
            Phase::Priming => CHANGE_LOOK_EVERY,
            Phase::Running(running) if running.is_changing() || self.arrivals.are_waited_for() => CHANGE_LOOK_EVERY,
            Phase::Running(_) => LOOK_EVERY,
            Phase::Adding | Phase::Opening | Phase::Stopped => REST,
        }
    }

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
            Event::Message(ToEngine::RingEpoch { stream, epoch, previous }) => {
                self.lineages.insert(stream, Lineage { epoch, previous });
            }
            Event::Message(ToEngine::AddSource(spec)) => self.add(spec),
            Event::Message(ToEngine::RemoveSource { stream }) => self.remove(stream),
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
            Event::Message(ToEngine::SetStrip { stream, strip }) => {
                self.desk.set(stream, strip);
                if let Phase::Running(running) = &mut self.phase {
                    running.set_strips(&self.desk);
                }
            }
            Event::Message(ToEngine::SetProcessing { stream, processing }) => {
                self.desk.process(stream.clone(), processing);
                if let Phase::Running(running) = &mut self.phase {
                    running.set_processing(&stream, &self.desk);
                }
            }
            Event::Message(ToEngine::SetMaster(master)) => {
                self.desk.set_master(master);
                if let Phase::Running(running) = &mut self.phase {
                    running.set_master(&self.desk);
                }
            }
            Event::Message(ToEngine::Resampling(resampling)) => self.retiming.resampling = resampling,
            Event::Message(ToEngine::Cushion { ms }) => self.retiming.cushion_ms = Some(ms),
            Event::Message(ToEngine::SetOutput(spec)) => {
                // A device that leads already goes on to lead: to resample it from now on would be heard.
                let is_led = matches!(&self.phase, Phase::Running(running) if running.has_leader());
                let pilot = (!is_led && spec.number == 0).then_some(&self.orders.pilot);
                self.outputs.set(spec, self.config.as_ref(), pilot, self.own, self.send);
                self.orders.output_leads.store(self.outputs.lead(), Ordering::Relaxed);
            }
            Event::Message(ToEngine::CloseOutput { number }) => {
                self.outputs.close(number, self.send);
                self.orders.output_leads.store(self.outputs.lead(), Ordering::Relaxed);
            }
            Event::Output(ticket, news) => {
                self.outputs.on_news(ticket, news, self.send);
                self.orders.output_leads.store(self.outputs.lead(), Ordering::Relaxed);
            }
            Event::Message(ToEngine::Close) => self.close(),
            Event::Message(ToEngine::Shutdown) => return Some(Exit::Clean),
            Event::Opened(ticket, result) => self.opened(ticket, result),
        }
        None
    }

    fn add(&mut self, spec: SourceSpec) {
        let lineage = self.lineages.remove(&spec.stream);
        let refuse = |reason: &str| {
            let reason = short(format!("{}: {reason}", spec.stream));
            let stream = spec.stream.clone();
            (self.send)(FromEngine::SourceFailed { stream, reason, retry: false, exit: Exit::Refused });
        };
        let Some(config) = &self.config else { return refuse("sources come after the configuration") };
        let (running, sources) = match &self.phase {
            Phase::Adding | Phase::Opening | Phase::Priming => (None, 0),
            Phase::Running(running) => (Some(running), running.sources()),
            Phase::Stopped => return refuse("the engine has stopped"),
        };
        if config.clock == ClockKind::Virtual && !matches!(self.phase, Phase::Adding) {
            return refuse("on a virtual clock sources come before the start");
        }
        if spec.stream == StreamName::mix() {
            return refuse("this name belongs to the sum of all sources; take another");
        }
        if self.arrivals.has(&spec.stream) || running.is_some_and(|running| running.has(&spec.stream)) {
            return refuse("two sources of this name; give each its own");
        }
        if self.arrivals.count() + sources >= SOURCES_MAX {
            return refuse(&format!("{SOURCES_MAX} sources are the most"));
        }
        let stream = spec.stream.clone();
        if let Err(e) = self.arrivals.open(spec, lineage.unwrap_or_else(|| Lineage::of(config)), config, self.own) {
            let reason = format!("{stream}: no thread to open it: {e}");
            (self.send)(FromEngine::SourceFailed { stream, reason, retry: true, exit: Exit::Refused });
        }
    }

    /// Lets a source go, wherever it is. One that is not there has ended by itself, and that was told.
    fn remove(&mut self, stream: StreamName) {
        if self.arrivals.remove(&stream) {
            // It has no frame; the next one that it could have had is told.
            let at = match &self.phase {
                Phase::Running(running) => running.now(),
                _ => self.config.as_ref().map_or(FrameIndex(0), |config| config.first_frame),
            };
            (self.send)(FromEngine::SourceRemoved { stream, at });
        } else if let Phase::Running(running) = &mut self.phase {
            running.remove(&stream);
        }
    }

    fn opened(&mut self, ticket: Ticket, result: Result<Box<OpenSource>, OpenError>) {
        let name = self.arrivals.name_of(ticket).cloned();
        match result {
            Ok(open) => {
                if let Some(stream) = name {
                    (self.send)(FromEngine::SourceOpened {
                        stream,
                        description: short(open.description.clone()),
                        sample_rate_hz: open.sample_rate_hz,
                        channels: u32::try_from(open.channels).unwrap_or(u32::MAX),
                        live: open.live,
                        resume_uri: open.resume_uri.clone(),
                        total_frames: open.total_frames,
                    });
                }
                self.arrivals.opened(ticket, open);
            }
            Err(OpenError { reason, retry, exit }) => {
                self.arrivals.failed(ticket);
                self.some_failed = true;
                if let Some(stream) = name {
                    (self.send)(FromEngine::SourceFailed { stream, reason: short(reason), retry, exit });
                }
            }
        }
    }

    /// Goes on to the next phase when its time has come.
    fn advance(&mut self) -> Option<Exit> {
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Opening => {
                if self.arrivals.are_opening() {
                    self.phase = Phase::Opening;
                    return None;
                }
                self.prime()
            }
            Phase::Priming => match self.arrivals.all_ready() {
                Some(entrants) => self.begin(entrants),
                None => {
                    self.phase = Phase::Priming;
                    None
                }
            },
            Phase::Running(mut running) => {
                self.let_in(&mut running);
                running.look(&mut self.desk, &self.vitals, self.send);
                if running.is_over() {
                    self.arrivals.clear();
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
        self.ask_to_begin();
        // Where none was wanted, the mix is silent until one comes.
        if self.arrivals.count() == 0 && self.some_failed {
            return Some(self.fault("no source could be opened".into(), Exit::Refused));
        }
        if self.config.as_ref()?.clock == ClockKind::Virtual {
            let entrants = self.arrivals.waited_for();
            return self.begin(entrants);
        }
        self.phase = Phase::Priming;
        None
    }

    fn ask_to_begin(&mut self) {
        let Some(config) = &self.config else { return };
        for (stream, reason) in self.arrivals.ask_to_begin(config, self.retiming) {
            self.some_failed = true;
            (self.send)(source_failed(stream, StartError::refused(reason)));
        }
    }

    fn begin(&mut self, entrants: Vec<Entrant>) -> Option<Exit> {
        let config = self.config.as_ref()?;
        let mix = self.lineages.remove(&StreamName::mix()).unwrap_or_else(|| Lineage::of(config));
        let orders = Arc::clone(&self.orders);
        match Running::start(config, mix, entrants, &self.desk, orders, &self.vitals, self.send) {
            Ok(running) => {
                self.phase = Phase::Running(Box::new(running));
                None
            }
            Err(StartError { reason, exit }) => Some(self.fault(reason, exit)),
        }
    }

    /// Sources that came after the start, each as soon as it delivers.
    fn let_in(&mut self, running: &mut Running) {
        self.ask_to_begin();
        for entrant in self.arrivals.ready() {
            if let Err((stream, error)) = running.enter(entrant, &self.desk, self.send) {
                (self.send)(source_failed(stream, error));
            }
        }
    }

    fn close(&mut self) {
        self.arrivals.clear();
        match &mut self.phase {
            Phase::Running(running) => running.close(),
            Phase::Stopped => {}
            Phase::Adding | Phase::Opening | Phase::Priming => {
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

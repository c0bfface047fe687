//! One run: an engine, a listener and workers over one session of frame indices, and the loop that holds them.
//!
//! The loop takes one event at a time and never waits for anything else. What it decides, pure parts decide
//! ([`crate::policy`], [`crate::queue`]); what it does, the files beside this one do.

mod ending;
mod engine;
mod hearts;
mod lags;
mod latency;
mod listener;
mod memory;
mod mixing;
mod orders;
mod outputs;
mod pauses;
mod pausing;
mod places;
mod sources;
mod status;
mod streams;
mod told;
mod words;
mod workers;

use crate::agreement::Spoken;
use crate::event::{ChildEvent, Event, Part, Request, Said, Wish};
use crate::language::Languages;
use crate::log::Log;
use crate::mailbox::{Mailbox, Post};
use crate::mix_wish::MixWish;
use crate::models::Models;
use crate::paths::Folders;
use crate::patient;
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::report::{Leader, Report, Reporter};
use crate::siblings::Siblings;
use crate::voice::Voice;
use anyhow::Result;
use control_protocol::{ClockKind, Exit, JobId, Resampling, StreamName};
use ending::Phase;
use engine::Rings;
use hearts::Hearts;
use latency::Latency;
use mixing::Desk;
use outputs::Outputs;
use places::Place;
use shm_layout::{FrameIndex, SessionId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use streams::Stream;
use told::Told;

/// Events that are handled before the rest of a turn.
const AT_ONCE: usize = 64;

/// What a run is to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where its files are.
    pub folders: Folders,
    /// The other programs.
    pub siblings: Siblings,
    /// Its sources: names and URIs.
    pub sources: Vec<(StreamName, String)>,
    /// Live, or as fast as it goes.
    pub clock: ClockKind,
    /// Whether utterances are as long as the recogniser takes.
    pub offline: bool,
    /// How much resamplers compute.
    pub resampling: Resampling,
    /// What devices' queues keep for callbacks that are late; `None` is the engine's choice.
    pub cushion_ms: Option<u32>,
    /// How streams go into the mix.
    pub mix: Vec<(StreamName, MixWish)>,
    /// What is played, and to which device: nothing, unless it is asked for.
    pub output: Option<(String, StreamName)>,
    /// The rate of all rings.
    pub sample_rate_hz: u32,
    /// History wanted in each ring.
    pub history_ms: u32,
    /// The recognisers' model files, and which one each stream has.
    pub models: Models,
    /// The voice detector's model file.
    pub vad_model: PathBuf,
    /// What is spoken in each stream.
    pub languages: Languages,
    /// How many workers.
    pub workers: u32,
    /// Threads of each.
    pub threads: u32,
    /// Memory of its own that each may take.
    pub worker_memory_bytes: u64,
    /// Whether text is wanted while it is spoken.
    pub partials: bool,
    /// How long a pause ends an utterance, in milliseconds.
    pub hangover_ms: u16,
    /// Where the children's standard error is shown.
    pub voice: Option<Voice>,
    /// Where the children's standard error goes.
    pub log: Log,
}

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Sources that could not be opened, or broke off.
    pub failed: Vec<Failure>,
    /// Frames that were lost, by stream.
    pub lost_frames: BTreeMap<StreamName, u64>,
    /// How many sources it had, all together.
    pub sources: usize,
    /// Utterances kept for later.
    pub pending: usize,
    /// What ended the run before its end.
    pub error: Option<Refusal>,
    /// Whether the user ended it.
    pub interrupted: bool,
}

/// A source that gave nothing, or not all.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Its stream.
    pub stream: StreamName,
    /// What kind of failure it is.
    pub exit: Exit,
    /// What, on what, why, and what to do.
    pub reason: String,
}

/// A run in progress.
pub(crate) struct Session<'a> {
    plan: &'a Plan,
    reporter: &'a mut dyn Reporter,
    events: Post<Event>,
    inbox: &'a mut Mailbox<Event>,
    id: SessionId,
    started: Instant,
    started_said: bool,
    shrunk_said: bool,
    places: BTreeMap<Part, Place>,
    streams: BTreeMap<StreamName, Stream>,
    rings: Rings,
    hearts: Hearts,
    desk: Desk,
    latency: Latency,
    /// Whom the engine's clock follows, and whom it was last said to follow.
    leader: Option<Leader>,
    leader_said: Option<Leader>,
    /// Whether the engine's tick has real-time priority, as far as it is known, and whether the want of it was told.
    real_time: Option<bool>,
    refusal_said: bool,
    outputs: Outputs,
    queue: Queue<u32>,
    told: Told,
    /// What was said in each stream.
    spoken: BTreeMap<StreamName, Spoken>,
    /// Jobs that are done, and the listener does not know it yet.
    done_untold: Vec<JobId>,
    credit: FrameIndex,
    /// How many workers there should be.
    workers_wanted: u32,
    /// Whether the last source was removed: the run goes on, and waits for another one.
    idle: bool,
    phase: Phase,
    outcome: Outcome,
}

/// An answer on the control socket.
fn answer_of(done: Result<serde_json::Value, String>) -> serde_json::Value {
    done.unwrap_or_else(|error| serde_json::json!({"error": error}))
}

/// The same, with the code that a command is to end with.
fn answer_with_exit(done: Result<serde_json::Value, Refusal>) -> serde_json::Value {
    done.unwrap_or_else(|Refusal { exit, text }| serde_json::json!({"error": text, "exit": exit.code()}))
}

impl<'a> Session<'a> {
    /// Prepares a run. `events` feeds `inbox`; signals and the control socket may feed it too.
    pub(crate) fn new(
        plan: &'a Plan,
        reporter: &'a mut dyn Reporter,
        events: Post<Event>,
        inbox: &'a mut Mailbox<Event>,
    ) -> Self {
        let parts = [Part::Engine, Part::Listener].into_iter().chain((0..plan.workers).map(Part::Worker));
        let stream = |name: &StreamName, uri: &String| Stream::new(uri.clone(), plan.languages.of(name).to_owned());
        let streams = plan.sources.iter().map(|(name, uri)| (name.clone(), stream(name, uri)));
        Self {
            plan,
            reporter,
            events,
            inbox,
            id: SessionId(uuid::Uuid::new_v4().into_bytes()),
            started: Instant::now(),
            started_said: false,
            shrunk_said: false,
            places: parts.map(|part| (part, Place::new(part))).collect(),
            streams: streams.collect(),
            rings: Rings::new(),
            hearts: Hearts::default(),
            desk: Desk::new(&plan.mix),
            latency: Latency::default(),
            leader: None,
            leader_said: None,
            real_time: None,
            refusal_said: false,
            outputs: Outputs::new(plan.output.as_ref()),
            queue: Queue::default(),
            told: Told::default(),
            spoken: BTreeMap::new(),
            done_untold: Vec::new(),
            credit: FrameIndex(0),
            workers_wanted: plan.workers,
            idle: false,
            phase: Phase::Running,
            outcome: Outcome { sources: plan.sources.len(), ..Outcome::default() },
        }
    }

    /// Runs to the end. Must be called on the main thread, which starts the children.
    ///
    /// # Errors
    /// When no child can be started at all.
    pub(crate) fn run(mut self) -> Result<Outcome> {
        self.hang_up_board();
        patient::interrupt_nobody();
        for part in self.places.keys().copied().collect::<Vec<_>>() {
            self.begin(part);
        }
        let mut housekeeping = Instant::now() + hearts::LOOK_EVERY;
        while self.phase != Phase::Over {
            let due = self.next_deadline().map_or(housekeeping, |at| at.min(housekeeping));
            // Not for ever, for there is more to do than to listen.
            for event in self.inbox.take(AT_ONCE, Some(due)) {
                self.handle(event);
            }
            if Instant::now() >= housekeeping {
                self.look_at_hearts();
                self.look_at_memory();
                self.remove_old_rings();
                self.forget_removed();
                self.tell_all_done();
                self.look_at_lags();
                self.end_probe_in_time();
                housekeeping = Instant::now() + hearts::LOOK_EVERY;
            }
            self.tick_lives();
            self.dispatch();
            self.give_credit();
            self.advance_phases();
        }
        Ok(self.outcome)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let lives = self.places.values().filter_map(|place| place.life.due()).map(|due| self.started + due);
        lives.chain(self.phase.deadline()).min()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::EndAsked => self.end_asked(),
            Event::OutputClosed => self.end("standard output was closed"),
            Event::Request(request, answer) => {
                let reply = match request {
                    Request::Status {} => self.status(),
                    Request::Stop {} => {
                        self.end_asked();
                        serde_json::json!({"ok": true})
                    }
                    Request::Scale { workers } => answer_of(self.scale(workers)),
                    Request::Restart { role, worker } => answer_of(self.restart(role, worker)),
                    Request::Pause { streams } => answer_of(self.pause(Wish::Pause, &streams)),
                    Request::Resume { streams } => answer_of(self.pause(Wish::Resume, &streams)),
                    Request::Toggle { streams } => answer_of(self.pause(Wish::Toggle, &streams)),
                    Request::SourceAdd { stream, uri } => answer_with_exit(self.add_source(&stream, uri)),
                    Request::SourceRemove { stream } => answer_with_exit(self.remove_source(&stream)),
                    Request::SourceList {} => self.list_sources(),
                    Request::Words { after, live } => self.words_after(after, live),
                    Request::MixSet { stream, wish } => answer_with_exit(self.set_mix(&stream, wish)),
                    Request::Latency {} => self.latency(),
                    Request::LatencyProbe {} => answer_with_exit(self.send_probe()),
                    Request::OutputSet { device, stream } => answer_with_exit(self.set_output(device, stream)),
                    Request::OutputOff {} => self.close_output(),
                    Request::OutputList {} => serde_json::json!({"outputs": self.output_rows()}),
                    Request::MixShow {} => serde_json::json!({"mix": self.mix()}),
                    Request::MetersReset { streams } => answer_with_exit(self.hearts.reset_meters(&streams)),
                };
                // A client that left does not get its answer.
                let _ = answer.try_send(reply);
            }
            Event::Child(part, generation, event) => self.child_event(part, generation, event),
        }
    }

    fn child_event(&mut self, part: Part, generation: u32, event: ChildEvent) {
        // What an earlier life said after its death was noticed is stale, and so is everything of a part unknown.
        let current = self.places.get(&part).and_then(|place| place.child.as_ref());
        if current.is_none_or(|child| child.generation != generation) {
            return;
        }
        match event {
            ChildEvent::Connected => {}
            ChildEvent::Said(Said::Engine(message)) => self.engine_said(message),
            ChildEvent::Said(Said::Listener(message)) => self.listener_said(message),
            ChildEvent::Said(Said::Worker(message)) => {
                if let Part::Worker(worker) = part {
                    self.worker_said(worker, message);
                }
            }
            ChildEvent::LinkFault(why) => self.cut_off(part, &why),
            ChildEvent::Exited(status) => self.died(part, status),
        }
    }

    fn notice(&mut self, text: impl Into<String>) {
        self.reporter.report(Report::Notice { text: text.into() });
    }
}

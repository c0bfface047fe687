//! A running tick, seen from the control thread: where the frame index of an engine begins, who comes, who goes, and what
//! is told of it.

use crate::clock::Clock;
use crate::desk::Desk;
use crate::entrant::{Entrant, Lineage, elect};
use crate::lane::Lane;
use crate::limits::short;
use crate::live::Outlets;
use crate::mix::Mix;
use crate::note::Note;
use crate::pace::{self, Orders, Pace};
use crate::queue::{DeviceNews, Health};
use crate::rack::Rack;
use crate::rings::{RingMaker, ring_opened};
use crate::room::StartError;
use crate::rt;
use crate::tick::{Change, Control, Done, Tick};
use crate::track::Track;
use crate::vitals::Vitals;
use audio_dsp::{GLIDE_SECONDS, Strip};
use control_protocol::{ClockKind, EngineConfig, FromEngine, Processing, SOURCES_MAX, SourceError, StreamName};
use shm_layout::board::Counter;
use shm_layout::{FrameIndex, Prefaulter};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How far beyond the clock a ring begins that is made while the tick runs: this long, and as long as making it may take.
const LEAD_NS: u64 = 40_000_000;
/// A slow machine fills 500 MB of memory in a second.
const MAKING_NS_PER_BYTE: u64 = 2;

/// How often it is told how long sound is on its way.
const DELAYS_EVERY: Duration = Duration::from_secs(1);

/// A running tick.
pub struct Running {
    control: Control,
    orders: Arc<Orders>,
    thread: Option<JoinHandle<Tick>>,
    maker: RingMaker,
    rack: Rack,
    clock: Clock,
    /// Every block of this engine begins so many blocks after this frame.
    first_frame: FrameIndex,
    block_frames: u64,
    /// Who has which place in the tick.
    seats: Vec<Option<Seat>>,
    /// Whom the tick follows.
    leader: Option<StreamName>,
    /// Channels of the mix, and by how much it is behind.
    mix_channels: usize,
    mix_ns: u64,
    /// Changes that found no room on their way to the tick.
    waiting: VecDeque<Change>,
    /// Glitches of those who have left.
    past_xruns: u64,
    /// Whether it was told whether the tick has real-time priority.
    real_time_told: bool,
    /// When the delays are told again.
    delays_due: Instant,
    closing: bool,
    over: bool,
}

struct Seat {
    name: StreamName,
    health: Arc<Health>,
    successors: Outlets,
    channels: usize,
    /// It was told to leave.
    leaving: bool,
    /// When the last impulse sounded that was told.
    impulse_ns: Option<u64>,
    /// It has a way to a chain, which is set so.
    processing: Option<Processing>,
}

impl Seat {
    fn new(
        (name, channels): (StreamName, usize),
        health: Arc<Health>,
        successors: Outlets,
        processing: Option<Processing>,
    ) -> Self {
        Self { name, health, successors, channels, leaving: false, impulse_ns: None, processing }
    }
}

impl Running {
    /// Makes all rings, tells of them, and starts the tick. Without any source the mix is silent.
    ///
    /// # Errors
    /// [`StartError`], when there is no room for the rings or no thread.
    pub fn start(
        config: &EngineConfig,
        mix_lineage: Lineage,
        mut entrants: Vec<Entrant>,
        desk: &Desk,
        orders: Arc<Orders>,
        vitals: &Vitals,
        send: &dyn Fn(FromEngine),
    ) -> Result<Self, StartError> {
        let mix_channels = entrants.iter().map(|e| e.lane.channels()).max().unwrap_or(1);
        let channels_total = entrants.iter().map(|e| e.lane.channels()).sum::<usize>() + mix_channels;
        let maker = RingMaker::new(config, channels_total)?;
        let no_rack = |e| StartError::refused(format!("no thread for processing: {e}"));
        let mut rack = Rack::start(config, vitals.pulse()).map_err(no_rack)?;
        entrants.iter_mut().for_each(Entrant::trim);
        let output_leads = orders.output_leads.load(Ordering::Relaxed);
        let leader = if output_leads { None } else { elect(&mut entrants) };

        // The rings begin now, or less than a block later, where that suits the leader's callbacks. Making them takes a while; the first ticks catch up with what has come in meanwhile.
        let clock = Clock {
            first_frame: config.first_frame,
            first_frame_ns: config.first_frame_ns,
            sample_rate_hz: config.sample_rate_hz,
        };
        let (first_frame, pace) = match config.clock {
            ClockKind::Monotonic => {
                let now_ns = rt::now_ns();
                let begin_ns = leader_of(&mut entrants, leader.as_ref()).map_or(now_ns, |lane| lane.tick_after(now_ns));
                (clock.frame_at(begin_ns), Pace::Monotonic(clock))
            }
            ClockKind::Virtual => (config.first_frame, Pace::Virtual),
        };
        let (mut prefaulters, mut opened) = (Vec::new(), Vec::new());
        let (mut tracks, mut seats) = (Vec::new(), Vec::new());
        let present: Vec<StreamName> = entrants.iter().map(|entrant| entrant.name.clone()).collect();
        let settings = desk.settings(&present.iter().collect::<Vec<_>>());
        for (Entrant { name, lineage, lane, health, successors, .. }, setting) in entrants.into_iter().zip(settings) {
            let ring = maker.ring(&name, lineage, lane.channels(), first_frame)?;
            prefaulters.push(ring.prefaulter());
            opened.push(ring_opened(&name, &ring));
            let gauge = maker.gauge(&name, lane.channels());
            let mut strip = strip(config.sample_rate_hz, lane.channels(), mix_channels);
            setting.turn(&mut strip);
            strip.settle();
            let channels = lane.channels();
            let mut track = Track::new(lane, ring, gauge, strip, false);
            let processing = begin_processed(&mut track, &mut rack, (&name, channels), desk);
            tracks.push(track);
            seats.push(Some(Seat::new((name, channels), health, successors, processing)));
        }
        seats.resize_with(SOURCES_MAX, || None);
        let mix_name = StreamName::mix();
        let ring = maker.ring(&mix_name, mix_lineage, mix_channels, first_frame)?;
        prefaulters.push(ring.prefaulter());
        opened.push(ring_opened(&mix_name, &ring));
        let gauge = maker.gauge(&mix_name, mix_channels);
        let mix = Mix::new(ring, gauge, config.block_frames as usize, desk.master());
        let mix_ns = mix.latency_frames() * 1_000_000_000 / u64::from(config.sample_rate_hz);

        let (tick, control) = Tick::new(tracks, mix, config.block_frames as usize, config.sample_rate_hz);
        prefault(prefaulters);
        let (theirs, pulse) = (Arc::clone(&orders), vitals.pulse());
        let thread = std::thread::Builder::new()
            .name("tick".into())
            .spawn(move || pace::run(tick, pace, &theirs, &pulse))
            .map_err(|e| StartError::refused(format!("no thread for the tick: {e}")))?;
        opened.into_iter().for_each(send);
        if let Some(leader) = &leader {
            send(FromEngine::Leads { stream: Some(leader.clone()) });
        }
        Ok(Self {
            control,
            orders,
            thread: Some(thread),
            maker,
            rack,
            clock,
            first_frame,
            block_frames: u64::from(config.block_frames),
            seats,
            leader,
            mix_channels,
            mix_ns,
            waiting: VecDeque::new(),
            past_xruns: 0,
            real_time_told: false,
            delays_due: Instant::now() + DELAYS_EVERY,
            closing: false,
            over: false,
        })
    }

    /// Lets one more source in: its ring begins with a block in the near future, and the tick takes it in when it is there.
    /// Live clocks only.
    ///
    /// # Errors
    /// [`StartError`], when there is no room; the others go on.
    pub fn enter(
        &mut self,
        mut entrant: Entrant,
        desk: &Desk,
        send: &dyn Fn(FromEngine),
    ) -> Result<(), (StreamName, StartError)> {
        let place = self.seats.iter().position(Option::is_none);
        let room = place.ok_or_else(|| StartError::refused(format!("{SOURCES_MAX} sources are the most")));
        let first_frame = |bytes| self.block_after(LEAD_NS.saturating_add(bytes * MAKING_NS_PER_BYTE));
        let channels = entrant.lane.channels();
        let made = room
            .and_then(|place| Ok((place, self.maker.one_more(&entrant.name, entrant.lineage, channels, first_frame)?)));
        let (place, ring) = match made {
            Ok(made) => made,
            Err(error) => {
                let name = entrant.name.clone();
                entrant.dismiss();
                return Err((name, error));
            }
        };
        if self.leader.is_none() && !self.orders.output_leads.load(Ordering::Relaxed) {
            self.leader = elect(std::slice::from_mut(&mut entrant));
        }
        let leads = self.leader.as_ref() == Some(&entrant.name);
        let Entrant { name, lane, health, successors, trims, .. } = entrant;
        prefault(vec![ring.prefaulter()]);
        let opened = ring_opened(&name, &ring);
        let gauge = self.maker.gauge(&name, channels);
        let strip = strip(ring.info().sample_rate_hz, channels, self.mix_channels);
        let mut track = Track::new(lane, ring, gauge, strip, trims);
        let processing = begin_processed(&mut track, &mut self.rack, (&name, channels), desk);
        self.seats[place] = Some(Seat::new((name, channels), health, successors, processing));
        self.change(Change::Enter(place, track));
        self.set_strips(desk);
        send(opened);
        if leads {
            send(FromEngine::Leads { stream: self.leader.clone() });
        }
        Ok(())
    }

    /// Lets a source go; false where there is none of this name. What is left of it is told when it is gone.
    pub fn remove(&mut self, name: &StreamName) -> bool {
        let taken = |seat: &Option<Seat>| seat.as_ref().is_some_and(|seat| seat.name == *name);
        let Some(place) = self.seats.iter().position(taken) else { return false };
        if let Some(seat) = &mut self.seats[place]
            && !std::mem::replace(&mut seat.leaving, true)
        {
            seat.health.stop.store(true, Ordering::Relaxed);
            self.change(Change::Leave(place));
        }
        true
    }

    /// Sets all strips as they are wished: one that is solo closes others.
    pub fn set_strips(&mut self, desk: &Desk) {
        let present = |(place, seat): (usize, &Option<Seat>)| Some((place, seat.as_ref()?.name.clone()));
        let present: Vec<_> = self.seats.iter().enumerate().filter_map(present).collect();
        let settings = desk.settings(&present.iter().map(|(_, name)| name).collect::<Vec<_>>());
        present.iter().zip(settings).for_each(|((place, _), setting)| self.change(Change::Set(*place, setting)));
    }

    /// Sets what a stream passes before its strip, as it is wished.
    pub fn set_processing(&mut self, name: &StreamName, desk: &Desk) {
        let wished = desk.processing(name);
        let is_meant = |seat: &Option<Seat>| seat.as_ref().is_some_and(|seat| seat.name == *name);
        let Some(place) = self.seats.iter().position(is_meant) else { return };
        let Some(seat) = &mut self.seats[place] else { return };
        if seat.processing.unwrap_or_default() == wished {
            return;
        }
        let has_insert = seat.processing.is_some();
        let channels = seat.channels;
        if !has_insert {
            // It is there with everything off, and glides from that.
            let Some(insert) = self.rack.insert(channels, &Processing::default()) else { return hangs(name) };
            self.change(Change::Insert(place, insert));
        }
        if let Some(seat) = &mut self.seats[place] {
            seat.processing = Some(wished);
        }
        self.change(Change::Process(place, wished));
    }

    /// Sets what is done to the sum.
    pub fn set_master(&mut self, desk: &Desk) {
        self.change(Change::SetMaster(desk.master()));
    }

    /// Whether there is a source of this name.
    #[must_use]
    pub fn has(&self, name: &StreamName) -> bool {
        self.seats.iter().flatten().any(|seat| seat.name == *name)
    }

    /// Whether the tick follows a device that is captured.
    #[must_use]
    pub const fn has_leader(&self) -> bool {
        self.leader.is_some()
    }

    /// How many sources there are.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.seats.iter().flatten().count()
    }

    /// Whether somebody is about to leave.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.seats.iter().flatten().any(|seat| seat.leaving)
    }

    /// What the clock says.
    #[must_use]
    pub fn now(&self) -> FrameIndex {
        self.frame_in(0)
    }

    /// What the clock will say so much later: the tick's own, which follows the device that leads.
    fn frame_in(&self, lead_ns: u64) -> FrameIndex {
        let late_ns = self.orders.late_ns.load(Ordering::Relaxed);
        self.clock.frame_at(rt::now_ns().saturating_add(lead_ns).saturating_add_signed(late_ns.saturating_neg()))
    }

    /// The first block that begins so much later than now.
    fn block_after(&self, lead_ns: u64) -> FrameIndex {
        let frame = self.frame_in(lead_ns);
        let blocks = frame.since(self.first_frame).div_ceil(self.block_frames);
        self.first_frame.plus(blocks * self.block_frames)
    }

    fn change(&mut self, change: Change) {
        self.waiting.push_back(change);
        while let Some(change) = self.waiting.pop_front() {
            if let Err(rtrb::PushError::Full(change)) = self.control.changes.push(change) {
                self.waiting.push_front(change);
                return;
            }
        }
    }

    /// Stops capturing; the tick writes what it has and ends.
    pub fn close(&mut self) {
        self.closing = true;
        for seat in self.seats.iter().flatten() {
            seat.health.stop.store(true, Ordering::Relaxed);
        }
        // Pairs with the Acquire load in `pace::run`.
        self.orders.close.store(true, Ordering::Release);
    }

    /// Whether all rings are closed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Passes on what the tick has reported, closes rings that are written to their end, frees what is used up.
    pub fn look(&mut self, desk: &mut Desk, vitals: &Vitals, send: &dyn Fn(FromEngine)) {
        // Before the queues are emptied: what was reported before the end is in them then.
        let finished = self.orders.finished.load(Ordering::Acquire);
        let reopened =
            |(place, seat): (usize, &Option<Seat>)| Some((place, seat.as_ref()?.successors.try_recv().ok()?));
        let successors: Vec<_> = self.seats.iter().enumerate().filter_map(reopened).collect();
        successors.into_iter().for_each(|(place, outlet)| self.change(Change::Succeed(place, outlet)));
        while self.control.retired.pop().is_ok() {}
        if let Some(&granted) = self.orders.real_time.get()
            && !std::mem::replace(&mut self.real_time_told, true)
        {
            send(FromEngine::RealTime { granted });
        }
        for Seat { name, health, .. } in self.seats.iter().flatten() {
            for news in health.take_device_news() {
                let stream = name.clone();
                send(match news {
                    DeviceNews::Lost { reason } => FromEngine::DeviceLost { stream, reason: short(reason) },
                    DeviceNews::Back { description } => {
                        FromEngine::DeviceBack { stream, description: description.map(short) }
                    }
                });
            }
        }
        vitals.set(Counter::Done, self.orders.blocks.load(Ordering::Relaxed));
        let present = self.seats.iter().flatten().map(|seat| seat.health.xruns.load(Ordering::Relaxed));
        vitals.set(Counter::Xruns, self.past_xruns + present.sum::<u64>());
        self.tell_delays(send);
        // Before the notes: what a track has reported before it left is in them then, and its name is known still.
        let left: Vec<_> = std::iter::from_fn(|| self.control.done.pop().ok()).collect();
        while let Ok(note) = self.control.notes.pop() {
            vitals.add(Counter::Lost, note.frames());
            self.pass_on(note, send);
        }
        let some_left = !left.is_empty();
        for done in left {
            match done {
                Done::Track(place, track) => {
                    if let Some(removed) = self.has_left(place, track, send) {
                        desk.forget(&removed);
                    }
                }
                Done::Mix(mix) => mix.close(),
            }
        }
        if some_left && !finished {
            // Who was solo may be among them.
            self.set_strips(desk);
        }
        if finished && let Some(tick) = self.thread.take().and_then(|thread| thread.join().ok()) {
            // Who came when the tick had ended.
            tick.turned_away().for_each(Track::close);
        }
        self.over = finished;
    }

    /// Tells what the callbacks and the tick have measured.
    fn tell_delays(&mut self, send: &dyn Fn(FromEngine)) {
        for seat in self.seats.iter_mut().flatten() {
            let last_ns = seat.health.delays.last_impulse_ns();
            if let Some(at_ns) = last_ns.filter(|_| last_ns != seat.impulse_ns) {
                seat.impulse_ns = last_ns;
                send(FromEngine::Impulse { stream: seat.name.clone(), at_ns });
            }
        }
        if Instant::now() < self.delays_due {
            return;
        }
        self.delays_due = Instant::now() + DELAYS_EVERY;
        let tick_ns = self.orders.written_ns.load(Ordering::Relaxed);
        for seat in self.seats.iter().flatten() {
            if let Some(delays) = seat.health.delays.told(tick_ns, self.mix_ns) {
                send(FromEngine::Delays { stream: seat.name.clone(), delays });
            }
        }
    }

    fn pass_on(&self, note: Note, send: &dyn Fn(FromEngine)) {
        let stream = |place: usize| self.seats.get(place)?.as_ref().map(|seat| seat.name.clone());
        let told = match note {
            Note::Gap { place, from, to, cause } => {
                stream(place).map(|stream| FromEngine::Gap { stream, from, to, cause })
            }
            Note::Dropped { place, at, frames } => {
                stream(place).map(|stream| FromEngine::Dropped { stream, at, frames })
            }
            Note::Unprocessed { place, from, to } => {
                stream(place).map(|stream| FromEngine::Unprocessed { stream, from, to })
            }
        };
        told.into_iter().for_each(send);
    }

    /// Closes a track; its name, where it was removed.
    fn has_left(&mut self, place: usize, track: Track, send: &dyn Fn(FromEngine)) -> Option<StreamName> {
        let (at, lost_frames) = (track.next_frame(), track.lost_frames());
        track.close();
        let Seat { name, health, leaving, .. } = self.seats.get_mut(place).and_then(Option::take)?;
        let overrun = health.overrun_frames.load(Ordering::Relaxed);
        let xruns = health.xruns.load(Ordering::Relaxed);
        self.past_xruns += xruns;
        if self.leader.as_ref() == Some(&name) {
            self.leader = None;
            send(FromEngine::Leads { stream: None });
        }
        if lost_frames > 0 || xruns > 0 {
            eprintln!("{name}: {lost_frames} frames lost, {overrun} of them to a full queue; {xruns} xruns");
        }
        if leaving {
            send(FromEngine::SourceRemoved { stream: name.clone(), at });
            return Some(name);
        }
        if !self.closing {
            let error = health.error().map(|error| SourceError { reason: short(error.reason), ..error });
            send(FromEngine::SourceEnded { stream: name, at, error });
        }
        None
    }
}

/// The lane of the entrant that leads.
fn leader_of<'a>(entrants: &'a mut [Entrant], leader: Option<&StreamName>) -> Option<&'a mut Lane> {
    entrants.iter_mut().find(|entrant| leader == Some(&entrant.name)).map(|entrant| &mut entrant.lane)
}

/// A strip of the mixer for a source of so many channels: open, at unity.
fn strip(rate_hz: u32, channels: usize, mix_channels: usize) -> Strip {
    Strip::new(rate_hz, channels, mix_channels, GLIDE_SECONDS)
}

/// Has a track that begins processed as it is wished; what it is then.
fn begin_processed(
    track: &mut Track,
    rack: &mut Rack,
    (name, channels): (&StreamName, usize),
    desk: &Desk,
) -> Option<Processing> {
    let wished = Some(desk.processing(name)).filter(|wished| !wished.is_off())?;
    let Some(insert) = rack.insert(channels, &wished) else {
        hangs(name);
        return None;
    };
    // It has none: nothing comes back.
    track.set_insert(insert);
    Some(wished)
}

fn hangs(name: &StreamName) {
    eprintln!("{name}: the processing thread hangs; it goes into the mix as it comes");
}

/// Touches the pages of rings beside the tick. It only spares page faults: without a thread the rings work as well.
fn prefault(rings: Vec<Prefaulter>) {
    let thread = std::thread::Builder::new().name("prefault".into());
    let _ = thread.spawn(move || rings.iter().for_each(Prefaulter::run));
}

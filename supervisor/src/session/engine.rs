//! The engine's side of the supervisor: its sources, its rings, its death.

use super::ending::LEAVE;
use super::latency::PROBE_OUTPUT;
use super::streams::SourceState;
use super::{Failure, Part, Phase, Session, Stream};
use crate::models::file_name;
use crate::refusal::Refusal;
use crate::report::{DeviceState, Leader, Opened, Report, Span};
use control_protocol::{
    ClockKind, EngineConfig, Exit, FromEngine, GapCause, Mark, Samples, SourceError, SourceSpec, StreamName, ToEngine,
};
use rustix::time::{ClockId, clock_gettime};
use shm_layout::{Epoch, FrameIndex, RingState, RingWarden};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

/// Frames of one tick, in a second: a block is 10 ms.
const BLOCKS_A_SECOND: u32 = 100;
/// What it costs, and what to do.
const NO_REAL_TIME: &str = "no real-time priority: on a loaded machine there may be short gaps, which are counted and told; \
                            `tympan doctor` says how to allow it";
/// So many names of streams are known with the epochs of their last rings.
const REMEMBERED: usize = 1_024;

/// The rings of this session.
///
/// Each engine gives its rings an epoch that no other had, and so has each source that is added while one runs: a stream
/// that is removed and added again is another epoch of the same name, beyond its own past.
#[derive(Debug)]
pub(super) struct Rings {
    /// The newest epoch that was given to anybody; 0 before the first.
    epoch: Epoch,
    /// The epoch with which the present engine began.
    engine: Epoch,
    /// The newest ring of each stream.
    newest: BTreeMap<StreamName, Epoch>,
    /// Whether all rings are closed and none will come.
    pub stopped: bool,
    /// The present epoch's rings.
    live: BTreeMap<StreamName, RingWarden>,
    /// Rings of dead engines, kept for what is still to be read there.
    old: Vec<(StreamName, RingWarden)>,
    /// Where and when the next epoch may begin.
    next_frame: FrameIndex,
    next_frame_ns: u64,
}

impl Rings {
    pub(super) fn new() -> Self {
        Self {
            epoch: Epoch(0),
            engine: Epoch(0),
            newest: BTreeMap::new(),
            stopped: false,
            live: BTreeMap::new(),
            old: Vec::new(),
            next_frame: FrameIndex(0),
            next_frame_ns: monotonic_ns(),
        }
    }

    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.epoch
    }

    /// A ring was opened; the one before it of this stream is old.
    fn open(&mut self, stream: &StreamName, ring: RingWarden) {
        self.newest.insert(stream.clone(), ring.info().epoch);
        if self.newest.len() > REMEMBERED
            && let Some(oldest) = self.newest.iter().min_by_key(|(_, epoch)| **epoch).map(|(name, _)| name.clone())
        {
            self.newest.remove(&oldest);
        }
        self.retire(stream);
        self.live.insert(stream.clone(), ring);
    }

    /// The ring of a stream is written no more.
    pub(super) fn retire(&mut self, stream: &StreamName) {
        self.old.extend(self.live.remove_entry(stream));
    }

    /// Tells the readers of a dead engine's ring that nothing follows.
    pub(super) fn close_old(&self, stream: &StreamName) {
        if let Some((_, ring)) = self.old.iter().rev().find(|(name, _)| name == stream) {
            ring.close_for_dead_writer();
        }
    }

    /// One past the last frame of a stream's newest ring.
    pub(super) fn end_of(&self, stream: &StreamName) -> FrameIndex {
        let old = self.old.iter().rev().find(|(name, _)| name == stream).map(|(_, ring)| ring);
        self.of(stream).or(old).map_or(self.next_frame, RingWarden::commit)
    }

    /// The smallest history of the present rings that listeners read.
    pub(super) fn capacity_frames(&self) -> Option<u64> {
        self.live.values().map(|ring| ring.info().capacity_frames).min()
    }

    /// Where the next engine begins.
    pub(super) const fn next_frame(&self) -> FrameIndex {
        self.next_frame
    }

    /// The present ring of a stream.
    pub(super) fn of(&self, stream: &StreamName) -> Option<&RingWarden> {
        self.live.get(stream)
    }
}

fn bytes_of(ring: &RingWarden) -> u64 {
    ring.info().capacity_frames * u64::from(ring.info().channels) * 4
}

#[expect(clippy::cast_sign_loss, reason = "the monotonic clock is never negative")]
pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

impl Session<'_> {
    pub(super) fn configure_engine(&mut self) {
        let bytes = self.bytes_wanted();
        self.make_room(bytes);
        let epoch = self.rings.next_epoch();
        self.rings.engine = epoch;
        let rate = self.plan.sample_rate_hz;
        self.tell_engine(ToEngine::Configure(EngineConfig {
            runtime_dir: self.plan.folders.runtime.display().to_string(),
            session: self.id,
            epoch,
            first_frame: self.rings.next_frame,
            first_frame_ns: self.rings.next_frame_ns,
            sample_rate_hz: rate,
            block_frames: self.block_frames(),
            history_ms: self.plan.history_ms,
            clock: self.plan.clock,
            board: self.board_place(Part::Engine),
        }));
        self.tell_engine(ToEngine::Resampling(self.plan.resampling));
        if let Some(ms) = self.plan.cushion_ms {
            self.tell_engine(ToEngine::Cushion { ms });
        }
        self.tell_epoch(&StreamName::mix(), epoch);
        self.tell_strip(&StreamName::mix());
        self.tell_outputs();
        for (name, stream) in self.streams.iter().filter(|(_, stream)| stream.wants_source()) {
            self.tell_source(name, stream, epoch);
        }
        self.tell_engine(ToEngine::Start);
        if self.credit > FrameIndex(0) {
            self.tell_engine(ToEngine::Credit { until: self.credit });
        }
    }

    pub(super) fn tell_epoch(&self, stream: &StreamName, epoch: Epoch) {
        let previous = self.rings.newest.get(stream).copied();
        self.tell_engine(ToEngine::RingEpoch { stream: stream.clone(), epoch, previous });
    }

    fn tell_source(&self, name: &StreamName, stream: &Stream, epoch: Epoch) {
        self.tell_epoch(name, epoch);
        self.tell_strip(name);
        self.tell_engine(ToEngine::AddSource(SourceSpec {
            stream: name.clone(),
            uri: stream.resume_uri.clone().unwrap_or_else(|| stream.uri.clone()),
            resume_frames: stream.resume_frames,
        }));
    }

    /// Has the present engine open one more source. Where there is none, the next one does.
    pub(super) fn tell_added(&mut self, name: &StreamName) {
        let epoch = self.rings.next_epoch();
        if let Some(stream) = self.streams.get(name) {
            self.tell_source(name, stream, epoch);
        }
    }

    pub(super) fn engine_said(&mut self, message: FromEngine) {
        match message {
            FromEngine::Hello(_) => {}
            FromEngine::Leads { stream } => self.leads(stream.map(Leader::Stream)),
            // There is one.
            FromEngine::OutputLeads { .. } => self.leads(Some(Leader::OUTPUT)),
            FromEngine::RealTime { granted } => self.has_real_time(granted),
            FromEngine::Delays { stream, delays } => self.latency.told(stream, delays),
            FromEngine::Impulse { stream, at_ns } => self.latency.impulse(&stream, at_ns),
            FromEngine::ImpulsePlayed { number: PROBE_OUTPUT, at_ns } => self.latency.played(at_ns),
            FromEngine::ImpulsePlayed { .. } => {}
            FromEngine::OutputPlays { number: PROBE_OUTPUT, figures, .. } => self.latency.plays(figures),
            FromEngine::SourceOpened {
                stream,
                description,
                sample_rate_hz,
                channels,
                live,
                resume_uri,
                total_frames,
            } => {
                let Some(known) = self.streams.get_mut(&stream) else { return };
                known.description = description;
                known.shape = Some((sample_rate_hz, channels));
                known.live = live;
                known.resume_uri = resume_uri;
                known.total_frames = total_frames;
            }
            FromEngine::SourceFailed { stream, reason, .. } if self.is_probe(&stream) => self.probe_failed(reason),
            FromEngine::SourceRemoved { stream, .. } if self.is_probe(&stream) => self.probe_left(&stream),
            FromEngine::SourceFailed { stream, reason, retry, exit } => {
                self.source_failed(&stream, reason, retry, exit);
            }
            FromEngine::RingOpened { stream, epoch, first_frame, capacity_frames, .. } => {
                self.say_if_shrunk(capacity_frames);
                self.ring_opened(&stream, epoch, first_frame);
            }
            FromEngine::Gap { stream, from, to, cause } => self.report_gap(stream, from, to, cause),
            FromEngine::Dropped { stream, .. } if self.is_probe(&stream) => {}
            FromEngine::Dropped { stream, at, frames } => {
                self.report_lost_frames(stream, at, at, frames, "the source runs faster than the clock");
            }
            FromEngine::Unprocessed { stream, from, to } => self.report_unprocessed(stream, from, to),
            FromEngine::SourceEnded { stream, at, error } => self.source_ended(stream, at, error),
            FromEngine::SourceRemoved { stream, at } => self.source_removed(&stream, at),
            FromEngine::Stopped => {
                self.rings.stopped = true;
                for stream in self.streams.values_mut().filter(|stream| stream.wants_source()) {
                    stream.state = SourceState::Ended;
                }
                self.stop(Part::Engine, LEAVE, false);
            }
            FromEngine::Fault(why) => self.blame(Part::Engine, why),
            FromEngine::DeviceLost { stream, reason } => {
                self.reporter.report(Report::Device { stream, state: DeviceState::Lost { reason } });
            }
            FromEngine::DeviceBack { stream, description } => {
                let Some(known) = self.streams.get_mut(&stream) else { return };
                known.away = None;
                if let Some(description) = description {
                    known.description = description;
                }
                let description = known.description.clone();
                self.reporter.report(Report::Device { stream, state: DeviceState::Back { description } });
            }
            output @ (FromEngine::OutputOpened { .. }
            | FromEngine::OutputFailed { .. }
            | FromEngine::OutputLost { .. }
            | FromEngine::OutputPlays { .. }) => self.output_said(output),
        }
        self.say_started();
    }

    /// Frames of one tick.
    pub(super) const fn block_frames(&self) -> u32 {
        self.plan.sample_rate_hz.div_ceil(BLOCKS_A_SECOND)
    }

    /// The engine's clock follows another device, or none. Told when it is another one than was told before: the next
    /// engine's choice is most often the same.
    fn leads(&mut self, leader: Option<Leader>) {
        self.leader.clone_from(&leader);
        if self.leader_said != leader {
            self.leader_said.clone_from(&leader);
            let (stream, output) = match leader {
                Some(Leader::Stream(stream)) => (Some(stream), false),
                Some(Leader::Output(_)) => (None, true),
                None => (None, false),
            };
            self.reporter.report(Report::Leads { stream, output });
        }
    }

    /// The engine has real-time priority or was refused it, which is told once in a run: the next engine is of the same user.
    fn has_real_time(&mut self, granted: bool) {
        self.real_time = Some(granted);
        if !granted && !std::mem::replace(&mut self.refusal_said, true) {
            self.notice(NO_REAL_TIME);
        }
    }

    fn source_ended(&mut self, stream: StreamName, at: FrameIndex, error: Option<SourceError>) {
        if let Some(known) = self.streams.get_mut(&stream) {
            if known.state == SourceState::Leaving {
                // Both at once: it is gone, as was wished.
                return self.source_removed(&stream, at);
            }
            known.state = SourceState::Ended;
            self.latency.forget(&stream);
            known.failure = error.as_ref().map(|error| (error.exit, error.reason.clone()));
        }
        if let Some(error) = error {
            self.notice(format!("{stream}: {}", error.reason));
            self.outcome.failed.push(Failure { stream, exit: error.exit, reason: error.reason });
        }
    }

    fn source_failed(&mut self, stream: &StreamName, reason: String, retry: bool, exit: Exit) {
        let at = self.rings.next_frame;
        let Some(known) = self.streams.get_mut(stream) else { return };
        if known.state == SourceState::Leaving {
            return self.source_removed(stream, at);
        }
        if retry && known.state == SourceState::Open {
            // It worked before this engine's life: try again, with the pauses of the restart policy.
            self.cut_off(Part::Engine, &reason);
            return;
        }
        // Who added it is told, and the run is what it was before.
        let never_came = known.added && known.state == SourceState::Opening;
        known.state = SourceState::Failed;
        known.failure = Some((exit, reason.clone()));
        // Before all have answered it is not known whether this is a notice or the end of the run.
        if self.started_said {
            self.notice(format!("{stream}: {reason}"));
        }
        if !never_came {
            self.outcome.failed.push(Failure { stream: stream.clone(), exit, reason });
        }
    }

    /// Says once when there was less room than history wanted. A recording does not mind: it waits for its readers.
    fn say_if_shrunk(&mut self, capacity_frames: u64) {
        let rate = self.plan.sample_rate_hz;
        let wanted = u64::from(self.plan.history_ms) * u64::from(rate) / 1_000;
        if self.shrunk_said || capacity_frames >= wanted || self.plan.clock == ClockKind::Virtual {
            return;
        }
        self.shrunk_said = true;
        let (fits_s, wanted_s) = (capacity_frames / u64::from(rate), self.plan.history_ms / 1_000);
        let dir = self.plan.folders.runtime.display();
        self.notice(format!(
            "only {fits_s} s of history fit into {dir} ({wanted_s} s wanted); `--history {fits_s}` asks for what fits"
        ));
    }

    fn ring_opened(&mut self, stream: &StreamName, epoch: Epoch, first_frame: FrameIndex) {
        self.mark_ready(Part::Engine);
        match RingWarden::attach(&self.plan.folders.runtime, stream.as_str(), epoch) {
            Ok(warden) => self.rings.open(stream, warden),
            Err(e) => return self.cut_off(Part::Engine, &format!("it named a ring that is none: {e}")),
        }
        let before = self.rings.old.iter().rev().find(|(name, _)| name == stream);
        // One that was closed had come to its end: what follows is another source.
        let end_before = before.filter(|(_, ring)| ring.state() == RingState::Crashed).map(|(_, ring)| ring.commit());
        if let Some(known) = self.streams.get_mut(stream) {
            let has_come = known.added && self.started_said && known.state == SourceState::Opening;
            if known.wants_source() {
                known.state = SourceState::Open;
            }
            if has_come {
                let opened = self.opened(stream);
                self.reporter.report(Report::SourceAdded(opened));
            }
        }
        if let Some(known) = self.streams.get_mut(stream).filter(|known| known.mark.is_none()) {
            known.mark = Some(Mark { epoch, frame: first_frame });
            self.listen(stream.clone());
        }
        if let Some(from) = end_before.filter(|&from| from < first_frame) {
            self.report_gap(stream.clone(), from, first_frame, GapCause::EngineDown);
        }
    }

    fn report_gap(&mut self, stream: StreamName, from: FrameIndex, to: FrameIndex, cause: GapCause) {
        // The mix has the gaps of its sources, and they are told there.
        let Some(known) = self.streams.get_mut(&stream) else { return };
        if cause == GapCause::Disappeared {
            known.away = Some(Instant::now());
        }
        let cause = match cause {
            GapCause::Underrun => "underrun",
            GapCause::Overrun => "overrun",
            GapCause::Xrun => "xrun",
            GapCause::Disappeared => "disappeared",
            GapCause::EngineDown => "engine_down",
        };
        let span = Span::new(stream, from, to, self.plan.sample_rate_hz);
        self.reporter.report(Report::Gap { span, cause: cause.to_owned() });
    }

    /// Says, once, that every source has answered; ends the run when none can be opened.
    fn say_started(&mut self) {
        let answered =
            self.streams.values().all(|stream| stream.state != SourceState::Opening) && self.outputs.have_answered();
        if self.started_said || !answered {
            return;
        }
        self.started_said = true;
        let is_open = |stream: &Stream| matches!(stream.state, SourceState::Open | SourceState::Ended);
        let open = self.streams.iter().filter(|(_, stream)| is_open(stream));
        let streams: Vec<_> = open.map(|(name, _)| self.opened(name)).collect();
        if streams.is_empty() && !self.idle {
            let failed = &self.outcome.failed;
            let exit = failed.first().map_or(Exit::Fault, |failure| failure.exit);
            let text = failed.iter().map(|failure| failure.reason.as_str()).collect::<Vec<_>>().join("\n");
            self.outcome.error.get_or_insert_with(|| Refusal::new(exit, text));
            self.end("no source could be opened");
            return;
        }
        for Failure { stream, reason, .. } in self.outcome.failed.clone() {
            let mend = self.streams.get(&stream).and_then(|known| self.mend_of(&stream, known));
            let again = mend.map(|mend| format!("; it is left out, and `{mend}` tries it again")).unwrap_or_default();
            self.notice(format!("{stream}: {reason}{again}"));
        }
        self.reporter.report(Report::Started {
            session: self.id.to_string(),
            sample_rate_hz: self.plan.sample_rate_hz,
            streams,
            model: file_name(self.plan.models.first()),
        });
    }

    /// A stream as users are told of it.
    fn opened(&self, name: &StreamName) -> Opened {
        let of = |text: fn(&Stream) -> &String| self.streams.get(name).map(text).cloned().unwrap_or_default();
        Opened {
            stream: name.clone(),
            uri: of(|stream| &stream.uri),
            description: of(|stream| &stream.description),
            model: self.plan.models.name_of(name),
        }
    }

    /// Whether nothing more is to be captured, and nobody is to bring anything: then no other engine is needed.
    pub(super) fn all_captured(&self) -> bool {
        self.started_said && !self.idle && !self.streams.values().any(Stream::wants_source)
    }

    /// The engine is gone: its rings are marked, and the next epoch is laid beyond all that it may have begun.
    pub(super) fn engine_died(&mut self) {
        self.latency.clear();
        self.leader = None;
        self.real_time = None;
        self.outputs.engine_died();
        let rate = u64::from(self.plan.sample_rate_hz);
        for (name, ring) in std::mem::take(&mut self.rings.live) {
            if name == StreamName::mix() || self.streams.get(&name).is_some_and(Stream::wants_source) {
                ring.mark_crashed();
            } else {
                ring.close_for_dead_writer();
            }
            if let Some(stream) = self.streams.get_mut(&name) {
                let written = ring.commit().since(ring.info().first_frame);
                stream.resume_frames += written.saturating_sub(ring.gap_frames());
            }
            if ring.reserve() >= self.rings.next_frame {
                let in_work_ns = ring.reserve().since(ring.commit()) * 1_000_000_000 / rate;
                self.rings.next_frame = ring.reserve();
                if ring.commit_time_ns() > 0 {
                    self.rings.next_frame_ns = ring.commit_time_ns() + in_work_ns;
                }
            }
            self.rings.old.push((name, ring));
        }
        self.let_leaving_go();
        if !matches!(self.phase, Phase::Running) || self.rings.stopped || self.all_captured() {
            self.close_dead_rings();
        }
    }

    /// Tells the readers of dead engines' rings that nothing follows.
    pub(super) fn close_dead_rings(&mut self) {
        self.rings.stopped = true;
        for (name, ring) in &self.rings.old {
            let newest = self.rings.old.iter().rev().find(|(other, _)| other == name);
            if newest.is_some_and(|(_, other)| other.info().epoch == ring.info().epoch) {
                ring.close_for_dead_writer();
            }
        }
    }

    /// Removes rings of dead engines: nothing of them is open, and they are older than their own history.
    pub(super) fn remove_old_rings(&mut self) {
        let history_ns = u64::from(self.plan.history_ms) * 1_000_000;
        let now_ns = monotonic_ns();
        let old = std::mem::take(&mut self.rings.old);
        let is_young = |ring: &RingWarden| now_ns < ring.commit_time_ns() + history_ns;
        let (kept, gone): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|(name, ring)| is_young(ring) || self.is_needed(name, ring));
        gone.iter().for_each(|(name, ring)| self.remove_ring(name, ring));
        self.rings.old = kept;
    }

    /// What the rings of the next engine will take: as much as those of the last one.
    fn bytes_wanted(&self) -> u64 {
        self.rings.old.iter().filter(|(name, ring)| self.goes_on(name, ring)).map(|(_, ring)| bytes_of(ring)).sum()
    }

    /// What the ring of one more source may take, for all that is known of it.
    pub(super) fn bytes_of_one_more(&self) -> u64 {
        self.rings.live.values().map(|ring| bytes_of(ring) / u64::from(ring.info().channels) * 2).max().unwrap_or(0)
    }

    /// Whether a ring of a dead engine was that of its last life and will have another after it.
    fn goes_on(&self, name: &StreamName, ring: &RingWarden) -> bool {
        let is_wanted = *name == StreamName::mix() || self.streams.get(name).is_some_and(Stream::wants_source);
        ring.info().epoch >= self.rings.engine && is_wanted
    }

    /// Before rings of so many bytes are made: those that only strangers may still want go, the oldest first, where they
    /// would cost the new ones their room.
    pub(super) fn make_room(&mut self, bytes: u64) {
        let dir = self.plan.folders.runtime.clone();
        // `fit_history` leaves three quarters of what is free.
        let wanted = 4 * bytes;
        let is_short = || rustix::fs::statvfs(&dir).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) < wanted);
        while is_short() {
            let is_spare =
                |(name, ring): &(StreamName, RingWarden)| !self.goes_on(name, ring) && !self.is_needed(name, ring);
            let Some(at) = self.rings.old.iter().position(is_spare) else { return };
            let (name, ring) = self.rings.old.remove(at);
            self.remove_ring(&name, &ring);
        }
    }

    /// Whether anything in a dead engine's ring is still to be read by us.
    fn is_needed(&self, name: &StreamName, ring: &RingWarden) -> bool {
        let epoch = ring.info().epoch;
        let is_read = |s: &Stream| s.is_unfinished() && s.mark.is_some_and(|mark| mark.epoch <= epoch);
        let names = |j: &control_protocol::Job| j.stream == *name && j.epoch == epoch && j.samples == Samples::Ring;
        self.streams.get(name).is_some_and(is_read) || self.queue.open_jobs().any(names)
    }

    fn remove_ring(&self, name: &StreamName, ring: &RingWarden) {
        let dir = &self.plan.folders.runtime;
        let file = dir.join(shm_layout::ring_file(name.as_str(), ring.info().epoch));
        let link = dir.join(shm_layout::stream_link(name.as_str()));
        let inode = |path: &Path| path.metadata().map(|meta| meta.ino()).ok();
        // Of a stream that has no other ring, the second name is to go, too, or the memory stays. One that is about to
        // have another one is the engine's.
        let is_last = inode(&file).is_some() && inode(&file) == inode(&link);
        if is_last && !self.streams.get(name).is_some_and(Stream::wants_source) && *name != StreamName::mix() {
            let _ = std::fs::remove_file(link);
        }
        let _ = std::fs::remove_file(file);
    }

    /// Virtual clock: lets the sources run as far as the rings can still hold what is not written down.
    pub(super) fn give_credit(&mut self) {
        if self.plan.clock != ClockKind::Virtual {
            return;
        }
        let Some(capacity) = self.rings.capacity_frames() else { return };
        let unheard = self.streams.values().filter(|s| s.is_unfinished()).filter_map(|s| s.mark.map(|mark| mark.frame));
        let unwritten = self.queue.open_jobs().filter(|job| job.samples == Samples::Ring).map(|job| job.from);
        let Some(oldest) = unheard.chain(unwritten).min() else { return };
        // A third is left, so that the listener does not think it must spill.
        let ahead = capacity.saturating_sub(capacity / 3 + u64::from(self.plan.sample_rate_hz) / 2);
        let until = oldest.plus(ahead.max(1));
        if until > self.credit {
            self.credit = until;
            self.tell_engine(ToEngine::Credit { until });
        }
    }
}

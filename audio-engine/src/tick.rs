//! The engine's inner loop: every tick moves one block of every source into its ring, and their sum into the mix.
//!
//! It allocates nothing, frees nothing, takes no lock, logs nothing and makes no system call but the futex wake of each
//! ring and of the rack. Where a stream is processed, blocks of the mix wait for the rack (`detour.rs`). What the
//! supervisor has to know leaves as small `Copy` notes; tracks that are done and queues that are used up leave whole, to
//! be closed and freed elsewhere. Tracks come whole, too, into places that are there from the beginning.

use crate::clock::Clock;
use crate::desk::Setting;
use crate::detour::Waiting;
use crate::insert::Insert;
use crate::mix::Mix;
use crate::note::{Note, Notes};
use crate::output::Pilot;
use crate::queue::Outlet;
use crate::tempo::{Due, Tempo};
use crate::track::{Step, Track, Turn};
use control_protocol::{Master, Processing, SOURCES_MAX};
use rtrb::{Consumer, Producer, RingBuffer};
use shm_layout::FrameIndex;
use std::sync::Arc;

/// What is to change between two ticks.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a track comes whole and without a box, which somebody would have to free"
)]
pub enum Change {
    /// A track comes, into a place that is free. It begins when the tick has reached its ring's next frame.
    Enter(usize, Track),
    /// The track of this place goes, as soon as all that it has captured is written.
    Leave(usize),
    /// The device of this place was opened again, and has this queue.
    Succeed(usize, Outlet),
    /// The strip of this place is set.
    Set(usize, Setting),
    /// The sum is set.
    SetMaster(Master),
    /// The track of this place is processed from now on, as [`Change::Process`] will say.
    Insert(usize, Insert),
    /// The chain of this place is set.
    Process(usize, Processing),
}

/// Who has left the tick, to be closed by the control thread.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "as in `Change`")]
pub enum Done {
    /// The track of this place, which is free now.
    Track(usize, Track),
    /// The mix; nothing comes after it.
    Mix(Mix),
}

/// What is used up, to be freed by the control thread.
#[derive(Debug)]
pub enum Retired {
    /// The queue of a device that was opened again.
    Outlet(Outlet),
    /// An insert of a place that has one, or is empty.
    Insert(Insert),
}

/// The control thread's side of a [`Tick`].
#[derive(Debug)]
pub struct Control {
    /// Gaps.
    pub notes: Consumer<Note>,
    /// Whom to close.
    pub done: Consumer<Done>,
    /// What is to change, in this order.
    pub changes: Producer<Change>,
    /// What to free.
    pub retired: Consumer<Retired>,
}

/// The state of the inner loop.
pub struct Tick {
    /// [`SOURCES_MAX`] places.
    tracks: Vec<Option<Track>>,
    mix: Option<Mix>,
    /// Blocks that are not in the mix yet.
    waiting: Waiting,
    /// The last block was made; it may wait.
    is_ending: bool,
    block_frames: usize,
    next: FrameIndex,
    tempo: Option<Tempo>,
    pilot: Option<Arc<Pilot>>,
    notes: Notes,
    done: Producer<Done>,
    changes: Consumer<Change>,
    retired: Producer<Retired>,
}

impl Tick {
    /// A loop over these tracks, of which the first [`SOURCES_MAX`] have places, and over the mix, with whose next frame it
    /// begins. `report_frames` is how much of a lasting gap one note tells.
    #[must_use]
    pub fn new(tracks: Vec<Track>, mix: Mix, block_frames: usize, report_frames: u32) -> (Self, Control) {
        let mut places: Vec<_> = tracks.into_iter().map(Some).collect();
        places.resize_with(SOURCES_MAX, || None);
        let (notes_in, notes) = RingBuffer::new(1_024);
        // A place is taken again only after what has left it was fetched.
        let (done_in, done) = RingBuffer::new(SOURCES_MAX + 1);
        let (changes, changes_out) = RingBuffer::new(4 * SOURCES_MAX);
        let (retired_in, retired) = RingBuffer::new(SOURCES_MAX);
        let tick = Self {
            next: mix.next_frame(),
            tempo: None,
            pilot: None,
            tracks: places,
            mix: Some(mix),
            waiting: Waiting::new(),
            is_ending: false,
            block_frames,
            notes: Notes { queue: notes_in, report_frames: u64::from(report_frames) },
            done: done_in,
            changes: changes_out,
            retired: retired_in,
        };
        (tick, Control { notes, done, changes, retired })
    }

    /// The index of the next block.
    #[must_use]
    pub const fn next_frame(&self) -> FrameIndex {
        self.next
    }

    /// Frames of a block.
    #[must_use]
    pub const fn block_frames(&self) -> usize {
        self.block_frames
    }

    /// Keeps time from now on: blocks are due by this clock, bent to the rate of the device that leads.
    pub const fn keep_time(&mut self, clock: Clock) {
        self.tempo = Some(Tempo::new(clock));
        self.waiting.keep_time();
    }

    /// Follows an output, whenever one leads.
    pub fn follow(&mut self, pilot: Arc<Pilot>) {
        self.pilot = Some(pilot);
    }

    /// When the next block is due, where it keeps time.
    #[must_use]
    pub fn due(&self) -> Option<Due> {
        self.tempo.map(|tempo| tempo.due(self.next.plus(self.block_frames as u64)))
    }

    /// Whether every source can fill a block without a gap, or has ended, and the rack has not fallen behind.
    pub fn can_run(&mut self) -> bool {
        !self.must_wait()
            && self.tracks.iter_mut().flatten().filter(|track| track.last().is_none()).all(Track::can_fill)
    }

    /// Whether the last block of all was made: what is left waits for the rack.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.is_ending && self.mix.is_some()
    }

    /// Whether somebody who has time waits now, for the rack's sake.
    pub fn must_wait(&mut self) -> bool {
        let in_need = self.is_ending() || self.waiting.is_nearly_full();
        in_need && !self.waiting.is_over() && !is_ready(&mut self.tracks, self.waiting.first_number())
    }

    /// Whether all rings are written to their ends.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.mix.is_none()
    }

    /// Forgets what is queued of sources without a clock: the engine closes.
    pub fn stop(&mut self) {
        self.tracks.iter_mut().flatten().for_each(Track::stop);
    }

    /// One block of everything. With `draining`, a source that is dry has ended.
    ///
    /// It is done with the block in which its last source has ended by itself; where the last one was removed, the mix
    /// goes on in silence, until another source comes.
    ///
    /// # Real time
    /// As the module says.
    #[cfg_attr(rtsan, sanitize(realtime = "nonblocking"))]
    pub fn run(&mut self, draining: bool) {
        if self.is_ending() {
            return self.catch_up();
        }
        self.take_changes();
        let turn = Turn { block_frames: self.block_frames, draining, due: self.due() };
        let Some(mix) = &mut self.mix else { return };
        let waits = !self.waiting.is_empty() || self.tracks.iter().flatten().any(Track::is_processed);
        let (number, needed) = (self.waiting.next_number(), self.waiting.first_number());
        if !waits {
            mix.clear();
        }
        let (mut longest, mut going, mut ended) = (0, false, draining);
        let mut leader_ppm = None;
        for (place, seat) in self.tracks.iter_mut().enumerate() {
            let Some(track) = seat.as_mut().filter(|track| track.last().is_none()) else { continue };
            let retired = &mut self.retired;
            let step = track
                .step(place, self.next, turn, &mut self.notes, |outlet| give_back(retired, Retired::Outlet(outlet)));
            let frames = match step {
                Step::Waits => 0,
                Step::Goes => self.block_frames,
                Step::Ended(frames) | Step::Left(frames) => frames,
            };
            match frames {
                0 => {}
                _ if waits => track.keep(number, frames, needed),
                _ => track.add_to(mix, frames),
            }
            longest = longest.max(frames);
            leader_ppm = leader_ppm.or(track.leader_ppm());
            ended |= matches!(step, Step::Ended(_));
            match step {
                Step::Waits | Step::Goes => going = true,
                Step::Ended(_) | Step::Left(_) => track.depart(number),
            }
        }
        let over = ended && !going;
        // Whoever is still there keeps to the blocks.
        let frames = if over { longest } else { self.block_frames };
        if waits {
            self.waiting.push(self.next, frames);
        } else {
            mix.write(frames);
        }
        self.next = self.next.plus(frames as u64);
        if let Some(tempo) = &mut self.tempo {
            let output_ppm = |due: Due| self.pilot.as_ref()?.wished_ppm(due.at_ns);
            tempo.pass(frames, turn.due.and_then(output_ppm).or(leader_ppm));
            if let Some(pilot) = &self.pilot {
                pilot.set_late(tempo.due(self.next).late_ns);
            }
        }
        self.is_ending = over;
        self.catch_up();
    }

    /// Puts into the mix what has waited long enough, and lets go whose last block is there.
    fn catch_up(&mut self) {
        let Some(mix) = &mut self.mix else { return };
        while let Some(block) = self.waiting.first() {
            let goes = self.waiting.is_full() || is_ready(&mut self.tracks, block.number) || self.waiting.is_over();
            if !goes {
                break;
            }
            mix.clear();
            for (place, track) in self.tracks.iter_mut().enumerate() {
                if let Some(track) = track {
                    track.add_kept(mix, block, place, &mut self.notes);
                }
            }
            mix.write(block.frames);
            self.waiting.pop();
        }
        let in_mix = |last: u64| self.waiting.first().is_none_or(|block| last < block.number);
        for (place, seat) in self.tracks.iter_mut().enumerate() {
            if seat.as_ref().and_then(Track::last).is_some_and(in_mix) {
                hand_over(&mut self.done, seat.take().map(|track| Done::Track(place, track)));
            }
        }
        if self.is_ending && self.waiting.is_empty() {
            mix.finish();
            hand_over(&mut self.done, self.mix.take().map(Done::Mix));
        }
    }

    /// Tracks that were to come when it was done already. Not on the tick's thread.
    pub fn turned_away(mut self) -> impl Iterator<Item = Track> {
        std::iter::from_fn(move || {
            loop {
                if let Change::Enter(_, track) = self.changes.pop().ok()? {
                    return Some(track);
                }
            }
        })
    }

    fn take_changes(&mut self) {
        while let Ok(change) = self.changes.pop() {
            match change {
                Change::Set(place, setting) => {
                    if let Some(Some(track)) = self.tracks.get_mut(place) {
                        track.set(setting);
                    }
                }
                Change::SetMaster(master) => {
                    if let Some(mix) = &mut self.mix {
                        mix.set(master);
                    }
                }
                Change::Enter(place, track) => match self.tracks.get_mut(place) {
                    Some(seat @ None) => *seat = Some(track),
                    // Nobody sends one where somebody is; and to free it here would be wrong in any case.
                    _ => std::mem::forget(track),
                },
                Change::Leave(place) => {
                    if let Some(Some(track)) = self.tracks.get_mut(place) {
                        track.leave();
                    }
                }
                Change::Succeed(place, outlet) => {
                    let unused = match self.tracks.get_mut(place) {
                        Some(Some(track)) => track.succeed(outlet),
                        _ => Some(outlet),
                    };
                    if let Some(unused) = unused {
                        give_back(&mut self.retired, Retired::Outlet(unused));
                    }
                }
                Change::Insert(place, insert) => {
                    let unused = match self.tracks.get_mut(place) {
                        Some(Some(track)) => track.set_insert(insert),
                        _ => Some(insert),
                    };
                    if let Some(unused) = unused {
                        give_back(&mut self.retired, Retired::Insert(unused));
                    }
                }
                Change::Process(place, processing) => {
                    if let Some(Some(track)) = self.tracks.get_mut(place) {
                        track.process(processing);
                    }
                }
            }
        }
    }
}

/// Whether every track's part of a block is there, or will never be.
fn is_ready(tracks: &mut [Option<Track>], number: u64) -> bool {
    tracks.iter_mut().flatten().all(|track| track.is_ready(number))
}

/// The queue for what is used up is far larger than the number of reopenings between two looks at it; were it full, leaking
/// one beats freeing it here.
fn give_back(retired: &mut Producer<Retired>, unused: Retired) {
    if let Err(rtrb::PushError::Full(unused)) = retired.push(unused) {
        std::mem::forget(unused);
    }
}

/// There is room for everybody who can be there; nobody is freed here in any case.
fn hand_over(queue: &mut Producer<Done>, done: Option<Done>) {
    if let Some(done) = done
        && let Err(rtrb::PushError::Full(done)) = queue.push(done)
    {
        std::mem::forget(done);
    }
}

//! The engine's inner loop: every tick moves one block of every source into its ring, and their sum into the mix.
//!
//! It allocates nothing, frees nothing, takes no lock, logs nothing and makes no system call but the futex
//! wake of each ring. What the supervisor has to know leaves as small `Copy` notes; rings that are done and
//! queues that are used up leave whole, to be closed and freed elsewhere.

use crate::lane::{GapPart, Lane};
use crate::queue::Outlet;
use crate::vitals::Gauge;
use audio_dsp::mix_into;
use control_protocol::GapCause;
use rtrb::{Consumer, Producer, RingBuffer};
use shm_layout::{FrameIndex, RingWriter};

/// What the tick tells the control thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Frames of a track are missing. A long gap comes in parts.
    Gap {
        /// Which track.
        track: usize,
        /// First missing frame.
        from: FrameIndex,
        /// One past the last missing frame.
        to: FrameIndex,
        /// Why.
        cause: GapCause,
    },
    /// Frames of a track were lost beyond the gaps.
    Dropped {
        /// Which track.
        track: usize,
        /// In the block that begins here.
        at: FrameIndex,
        /// How many.
        frames: u64,
    },
}

impl Note {
    /// How many frames it tells of.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        match self {
            Self::Gap { from, to, .. } => to.since(*from),
            Self::Dropped { frames, .. } => *frames,
        }
    }
}

/// A ring that is written to its end, to be closed by the control thread.
#[derive(Debug)]
pub struct Done {
    /// Which track; `None` is the mix.
    pub track: Option<usize>,
    /// One past its last frame.
    pub at: FrameIndex,
    /// The ring.
    pub ring: RingWriter,
    /// Frames of the source that are missing, all together, at the source's rate.
    pub lost_frames: u64,
}

/// The control thread's side of a [`Tick`].
#[derive(Debug)]
pub struct Control {
    /// Gaps.
    pub notes: Consumer<Note>,
    /// Rings to close.
    pub done: Consumer<Done>,
    /// Queues of devices that were opened again: track, queue.
    pub successors: Producer<(usize, Outlet)>,
    /// Queues to free.
    pub retired: Consumer<Outlet>,
}

struct Track {
    lane: Lane,
    ring: Option<RingWriter>,
    gauge: Gauge,
    /// The gap under way: reported when it ends, or once a second.
    gap: Option<(FrameIndex, FrameIndex, GapCause)>,
}

/// The state of the inner loop.
pub struct Tick {
    tracks: Vec<Track>,
    mix: Option<RingWriter>,
    mix_gauge: Gauge,
    mix_channels: usize,
    mix_planar: Vec<f32>,
    block_frames: usize,
    report_frames: u64,
    next: FrameIndex,
    notes: Producer<Note>,
    done: Producer<Done>,
    successors: Consumer<(usize, Outlet)>,
    retired: Producer<Outlet>,
}

impl Tick {
    /// A loop over these lanes, each with its ring, whose next frame must all be the same, and its gauge; and over the
    /// mix. `report_frames` is how much of a lasting gap one note tells.
    #[must_use]
    pub fn new(
        tracks: Vec<(Lane, RingWriter, Gauge)>,
        (mix, mix_gauge): (RingWriter, Gauge),
        block_frames: usize,
        report_frames: u32,
    ) -> (Self, Control) {
        let count = tracks.len();
        let (notes_in, notes) = RingBuffer::new(1_024);
        let (done_in, done) = RingBuffer::new(count + 1);
        let (successors, successors_out) = RingBuffer::new(count.max(1));
        let (retired_in, retired) = RingBuffer::new(64);
        let mix_channels = mix.channels() as usize;
        let tick = Self {
            next: mix.next_frame(),
            tracks: tracks
                .into_iter()
                .map(|(lane, ring, gauge)| Track { lane, ring: Some(ring), gauge, gap: None })
                .collect(),
            mix: Some(mix),
            mix_gauge,
            mix_channels,
            mix_planar: vec![0.0; mix_channels * block_frames],
            block_frames,
            report_frames: u64::from(report_frames),
            notes: notes_in,
            done: done_in,
            successors: successors_out,
            retired: retired_in,
        };
        (tick, Control { notes, done, successors, retired })
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

    /// Whether every source can fill a block without a gap, or has ended.
    pub fn can_run(&mut self) -> bool {
        self.tracks.iter_mut().all(|track| track.lane.can_fill())
    }

    /// Whether all rings are written to their ends.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.mix.is_none()
    }

    /// Forgets what is queued of sources without a clock: the engine closes.
    pub fn stop(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.lane.stop());
    }

    /// One block of everything. With `draining`, a source that is dry has ended.
    ///
    /// # Real time
    /// As the module says.
    pub fn run(&mut self, draining: bool) {
        self.take_successors();
        self.mix_planar.fill(0.0);
        let mut longest = 0;
        let mut going = false;
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let Some(ring) = &mut track.ring else { continue };
            let retired = &mut self.retired;
            // The queue for used-up queues is far larger than the number of reopenings between two looks at it; were
            // it full, leaking one beats freeing it here.
            let frames = track.lane.fill(draining, |outlet| {
                if let Err(rtrb::PushError::Full(outlet)) = retired.push(outlet) {
                    std::mem::forget(outlet);
                }
            });
            for gap in track.lane.gaps() {
                let (from, to) = (self.next.plus(gap.from as u64), self.next.plus(gap.to as u64));
                ring.mark_gap(from, to, gap.cause as u32);
            }
            ring.write(track.lane.planar(frames), frames);
            track.gauge.push(track.lane.planar(frames), frames);
            report(&mut self.notes, index, &mut track.gap, track.lane.gaps(), self.next, self.report_frames);
            if track.lane.dropped_frames() > 0 {
                let _ =
                    self.notes.push(Note::Dropped { track: index, at: self.next, frames: track.lane.dropped_frames() });
            }
            if frames > 0 {
                add(&mut self.mix_planar, self.mix_channels, self.block_frames, &track.lane, frames);
            }
            longest = longest.max(frames);
            if track.lane.has_ended() {
                flush(&mut self.notes, index, &mut track.gap);
                finish(&mut self.done, Some(index), &mut track.ring, track.lane.lost_frames());
            } else {
                going = true;
            }
        }
        if let Some(mix) = &mut self.mix {
            if longest < self.block_frames {
                crate::feed::pack(&mut self.mix_planar, self.block_frames, longest);
            }
            let planar = &self.mix_planar[..self.mix_channels * longest];
            mix.write(planar, longest);
            self.mix_gauge.push(planar, longest);
        }
        self.next = self.next.plus(longest as u64);
        if !going {
            finish(&mut self.done, None, &mut self.mix, 0);
        }
    }

    fn take_successors(&mut self) {
        while let Ok((index, outlet)) = self.successors.pop() {
            let unused = match self.tracks.get_mut(index) {
                Some(track) => track.lane.succeed(outlet),
                None => Some(outlet),
            };
            if let Some(unused) = unused
                && let Err(rtrb::PushError::Full(unused)) = self.retired.push(unused)
            {
                std::mem::forget(unused);
            }
        }
    }
}

fn add(sum: &mut [f32], sum_channels: usize, stride: usize, lane: &Lane, frames: usize) {
    let planar = lane.planar(frames);
    if frames == stride {
        mix_into(sum, sum_channels, planar, lane.channels(), frames);
        return;
    }
    // A source's last, shorter block: its planes are closer together than the sum's.
    for (channel, plane) in sum.chunks_exact_mut(stride).enumerate() {
        let from = if lane.channels() == 1 { 0 } else { channel };
        if let Some(samples) = planar.chunks_exact(frames).nth(from) {
            plane.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
        }
    }
}

fn finish(done: &mut Producer<Done>, track: Option<usize>, ring: &mut Option<RingWriter>, lost_frames: u64) {
    if let Some(ring) = ring.take() {
        let at = ring.next_frame();
        // There is a place for every ring.
        if let Err(rtrb::PushError::Full(done)) = done.push(Done { track, at, ring, lost_frames }) {
            std::mem::forget(done);
        }
    }
}

type OpenGap = Option<(FrameIndex, FrameIndex, GapCause)>;

fn report(notes: &mut Producer<Note>, track: usize, open: &mut OpenGap, gaps: &[GapPart], base: FrameIndex, max: u64) {
    for gap in gaps {
        let (from, to) = (base.plus(gap.from as u64), base.plus(gap.to as u64));
        match open {
            Some((_, end, cause)) if *end == from && *cause == gap.cause => *end = to,
            _ => {
                flush(notes, track, open);
                *open = Some((from, to, gap.cause));
            }
        }
    }
    if let Some((from, to, _)) = *open {
        // It goes on only if it reaches the end of this block; whether it does is known one block later at most.
        let over = gaps.last().is_none_or(|last| base.plus(last.to as u64) != to);
        if over || to.since(from) >= max {
            flush(notes, track, open);
        }
    }
}

/// Without room the note is lost; the ring's own table has the gap in any case.
fn flush(notes: &mut Producer<Note>, track: usize, open: &mut OpenGap) {
    if let Some((from, to, cause)) = open.take() {
        let _ = notes.push(Note::Gap { track, from, to, cause });
    }
}

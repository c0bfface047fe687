//! From a source's frames to the engine's: a resampler that is steered, and where losses lie behind it.

use crate::feed::pack;
use crate::intake::GapPart;
use crate::locked::LockedSamples;
use crate::marks::Marks;
use audio_dsp::{Quality, RateError, VariableResampler};
use control_protocol::GapCause;

/// Blocks at the engine's rate of frames at a source's.
pub(crate) struct Retimer {
    resampler: VariableResampler,
    channels: usize,
    block_frames: usize,
    from_hz: u32,
    to_hz: u32,
    /// Frames that the resampler begins before its first input.
    lead_in: u64,
    /// Frames until the end of what was put in, counted from the lead-in's beginning.
    given: u64,
    marks: Marks,
    /// One past the last frame of the source, once it has ended.
    end: Option<f64>,
    /// `[channels][block_frames]`.
    out: LockedSamples,
    gaps: Vec<GapPart>,
}

impl Retimer {
    /// # Errors
    /// [`RateError`] for a rate out of range.
    pub(crate) fn new(
        (from_hz, to_hz): (u32, u32),
        channels: usize,
        block_frames: usize,
        quality: Quality,
    ) -> Result<Self, RateError> {
        let resampler = VariableResampler::new(from_hz, to_hz, channels, block_frames, quality)?;
        let lead_in = whole((-resampler.position()).ceil()) as u64;
        let mut marks = Marks::new();
        marks.push(0, lead_in, GapCause::Underrun);
        Ok(Self {
            resampler,
            channels,
            block_frames,
            from_hz,
            to_hz,
            lead_in,
            given: lead_in,
            marks,
            end: None,
            out: LockedSamples::zeros(channels * block_frames),
            gaps: Vec::with_capacity(block_frames + 1),
        })
    }

    /// The most frames of the source that a block takes.
    pub(crate) fn input_frames_max(&self) -> usize {
        self.resampler.input_frames_max()
    }

    /// Says by how many millionths the source is faster than the engine, and asks how many of its frames the next block
    /// takes.
    pub(crate) fn needed(&mut self, ppm: f64) -> usize {
        self.resampler.set_correction_ppm(ppm);
        self.resampler.needed_input_frames(self.block_frames)
    }

    /// Frames of the source that are inside: put in, and to be heard from the next block on.
    pub(crate) fn inside(&self) -> f64 {
        self.given as f64 - self.position()
    }

    /// Frames of the source that are inside in a steady flow.
    pub(crate) fn latency_frames(&self) -> f64 {
        self.resampler.latency_frames() as f64
    }

    /// Frames of the source that lie before its first one: nothing is heard there.
    pub(crate) fn lead_in(&self) -> f64 {
        (self.lead_in as f64 - self.position()).max(0.0)
    }

    /// The frames that the lead-in takes, of which `run_in` is to be given so many: blocks of at most one block each.
    pub(crate) fn needed_to_run_in(&mut self) -> Option<(usize, usize)> {
        let frames = whole((self.lead_in() * f64::from(self.to_hz) / f64::from(self.from_hz)).ceil());
        let out_frames = frames.min(self.block_frames);
        (out_frames > 0).then(|| (out_frames, self.resampler.needed_input_frames(out_frames)))
    }

    /// Puts frames in, `[channels][frames]`, and makes a part of a block that nobody hears.
    pub(crate) fn run_in(&mut self, planar: &[f32], gaps: &[GapPart], (out_frames, frames): (usize, usize)) {
        self.put(planar, gaps, frames, out_frames);
    }

    /// Puts frames in, `[channels][frames]` with `filled` of them before the source's end, and makes a block. Returns its
    /// frames: fewer than a block at the end.
    pub(crate) fn make(&mut self, planar: &mut [f32], gaps: &[GapPart], filled: usize, frames: usize) -> usize {
        if filled < frames || self.end.is_some() {
            self.end.get_or_insert(self.given as f64 + filled as f64);
            planar.chunks_exact_mut(frames.max(1)).for_each(|plane| plane[filled.min(frames)..].fill(0.0));
        }
        let from = self.position();
        self.put(planar, gaps, frames, self.block_frames);
        // Steps differ by so little within a block that a line is right to an eighth of a frame.
        let (block, per_frame) = (self.block_frames, (self.position() - from) / self.block_frames as f64);
        let place = |at: f64| whole(((at - from) / per_frame).ceil()).min(block);
        let made = self.end.map_or(block, place);
        self.gaps.clear();
        let _ = self.marks.first_after(whole(from) as u64);
        for &(mark_from, mark_to, cause) in self.marks.iter() {
            let (from, to) = (place(mark_from as f64), place(mark_to as f64).min(made));
            if from >= made {
                break;
            }
            if from < to {
                self.out.chunks_exact_mut(block).for_each(|plane| plane[from..to].fill(0.0));
                self.gaps.push(GapPart { from, to, cause });
            }
        }
        pack(&mut self.out, block, made);
        made
    }

    /// The block, `[channels][frames]`.
    pub(crate) fn block(&self, frames: usize) -> &[f32] {
        &self.out[..self.channels * frames]
    }

    /// The block's gaps.
    pub(crate) fn gaps(&self) -> &[GapPart] {
        &self.gaps
    }

    /// Whether the source has ended and all of it was heard.
    pub(crate) fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.position())
    }

    fn position(&self) -> f64 {
        self.resampler.position() + self.lead_in as f64
    }

    fn put(&mut self, planar: &[f32], gaps: &[GapPart], frames: usize, out_frames: usize) {
        for gap in gaps {
            self.marks.push(self.given + gap.from as u64, self.given + gap.to as u64, gap.cause);
        }
        self.resampler.process(planar, frames, &mut self.out[..self.channels * out_frames], out_frames);
        self.given += frames as u64;
    }
}

/// A whole number of frames as a count; below 0 there are none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
pub(crate) const fn whole(frames: f64) -> usize {
    frames as usize
}

//! The numbers of a picture, computed while the sound passes: memory grows with the picture, not with the sound.

use super::source::{Missing, Taker};
use anyhow::Result;
use audio_dsp::{FLOOR_DB, Peaks, Rows, Stft, decibels_of_power};

/// What is to be computed.
pub(super) struct Plan {
    /// The first frame.
    pub from: u64,
    /// How many frames there are.
    pub frames: u64,
    /// How many come before the first one, for transforms that reach beyond it. What comes after the last one is as much.
    pub lead: usize,
    /// Why nothing is known of what lies before the lead, and behind all that comes; where that is silence, `None`.
    pub beyond: [Option<Missing>; 2],
    /// The channels, counted from 0.
    pub channels: Vec<usize>,
    /// Frames from one transform to the next.
    pub hop: u64,
    /// Every so many transforms, from the first on, are steps, and their powers are summed up. Those between are only
    /// for the picture, whose columns may be narrower than what is a step.
    pub step_every: u64,
    /// Columns of the picture; none where there is none.
    pub columns: usize,
    /// Where the bins lie in a picture of the frequencies over time.
    pub rows: Option<Rows>,
}

/// Frames that are not there, counted from the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub from: u64,
    pub to: u64,
    pub why: Missing,
}

/// What a column of a spectrogram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// No transform's middle lies in it.
    Empty,
    /// It has levels.
    Levels,
    /// A transform would have needed frames that are not there.
    Missing,
}

/// What is known of a channel.
pub(super) struct OfChannel {
    /// Least and greatest samples of each column.
    pub wave: Vec<Peaks>,
    /// Levels in dBFS, a column after the other, of the rows from the lowest on.
    pub levels: Vec<f32>,
    /// Sums of the bins' powers.
    pub power: Vec<f64>,
    /// The greatest power of each bin.
    pub greatest: Vec<f32>,
    /// The last samples.
    tail: Vec<f32>,
}

/// A transform, as it is computed, with the frames that it stands for.
pub(super) struct Step<'a> {
    /// Its channel's place in [`Plan::channels`].
    pub channel: usize,
    /// The frame in its middle.
    pub frame: u64,
    /// The peaks of the frames that are nearer to it than to other steps.
    pub peaks: Peaks,
    /// Its levels in dBFS; or why there are none.
    pub levels: Result<&'a [f32], Missing>,
}

/// Computes, and hands every step on.
pub(super) struct Analysis<F> {
    pub plan: Plan,
    pub channels: Vec<OfChannel>,
    pub columns: Vec<Column>,
    pub holes: Vec<Hole>,
    /// The same of the frames around those that are meant, counted alike: from, to, why.
    holes_around: Vec<(i128, i128, Missing)>,
    /// Transforms whose powers are summed up, of each channel.
    pub transforms: u64,
    stft: Stft,
    /// Frames that came, counted from the first one.
    at: u64,
    /// Frames of the lead that are still to come.
    lead_left: usize,
    /// Where the tails begin: before the lead and behind all that comes there is silence.
    tail_from: i128,
    /// The next transform.
    next: u64,
    power: Vec<f32>,
    bins: Vec<f32>,
    column: Vec<f32>,
    each: F,
}

/// Silence is put into the tails by so many frames.
const PIECE_FRAMES: usize = 16_384;
static SILENCE: [f32; PIECE_FRAMES] = [0.0; PIECE_FRAMES];

impl<F: FnMut(&Step<'_>) -> Result<()>> Analysis<F> {
    /// Begins. `each` gets every step of every channel.
    pub(super) fn new(plan: Plan, stft: Stft, each: F) -> Self {
        let bins = stft.bins();
        let rows = plan.rows.as_ref().map_or(0, Rows::len);
        let before = stft.frames() / 2;
        let of_channel = || OfChannel {
            wave: vec![Peaks::NONE; plan.columns],
            levels: vec![FLOOR_DB; plan.columns * rows],
            power: vec![0.0; bins],
            greatest: vec![0.0; bins],
            tail: vec![0.0; before],
        };
        Self {
            channels: plan.channels.iter().map(|_| of_channel()).collect(),
            columns: vec![Column::Empty; plan.columns],
            holes: Vec::new(),
            holes_around: Vec::new(),
            transforms: 0,
            at: 0,
            lead_left: plan.lead.min(before),
            tail_from: -(before as i128),
            next: 0,
            power: vec![0.0; bins],
            bins: vec![0.0; bins],
            column: vec![0.0; rows],
            stft,
            plan,
            each,
        }
    }

    /// Frames of a transform.
    pub(super) const fn fft_frames(&self) -> usize {
        self.stft.frames()
    }

    /// Frames from one step to the next.
    const fn step_frames(&self) -> u64 {
        self.plan.hop * self.plan.step_every
    }

    /// How much of the sound has passed, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a part")]
    pub(super) fn part(&self) -> f64 {
        self.at as f64 / self.plan.frames as f64
    }

    /// The column that a frame lies in.
    const fn column_of(&self, frame: u64) -> usize {
        (frame as u128 * self.plan.columns as u128 / self.plan.frames as u128) as usize
    }

    /// The first frame of a column.
    #[expect(clippy::cast_possible_truncation, reason = "at most the frames")]
    const fn frame_of(&self, column: usize) -> u64 {
        (column as u128 * self.plan.frames as u128).div_ceil(self.plan.columns as u128) as u64
    }

    /// The least and greatest samples of the columns that these frames lie in.
    fn draw_wave(&mut self, channel: usize, samples: &[f32]) {
        if self.plan.columns == 0 || samples.is_empty() {
            return;
        }
        let end = self.at + samples.len() as u64;
        for column in self.column_of(self.at)..=self.column_of(end - 1) {
            let begin = self.frame_of(column).max(self.at) - self.at;
            let stop = self.frame_of(column + 1).min(end) - self.at;
            let part = usize::try_from(begin).unwrap_or(0)..usize::try_from(stop).unwrap_or(0);
            let wave = &mut self.channels[channel].wave[column];
            *wave = wave.with(Peaks::of(&samples[part]));
        }
    }

    /// How many of the next frames are of the lead, and how many are meant; the others are behind these.
    fn split(&self, frames: usize) -> (usize, usize) {
        let lead = frames.min(self.lead_left);
        let own = usize::try_from(self.plan.frames - self.at).unwrap_or(usize::MAX);
        (lead, own.min(frames - lead))
    }

    /// Frames around those that are meant: of the lead in the place of silence, of those behind at the end.
    fn around(&mut self, planar: &[&[f32]]) {
        let frames = planar[0].len();
        for (of, &channel) in self.channels.iter_mut().zip(&self.plan.channels) {
            if self.lead_left == 0 {
                of.tail.extend_from_slice(planar[channel]);
                continue;
            }
            let from = of.tail.len() - self.lead_left;
            of.tail[from..from + frames].copy_from_slice(planar[channel]);
        }
        self.lead_left -= frames.min(self.lead_left);
    }

    fn append(&mut self, planar: &[&[f32]], frames: u64) -> Result<()> {
        for (place, &channel) in self.plan.channels.iter().enumerate() {
            self.channels[place].tail.extend_from_slice(planar[channel]);
        }
        self.at += frames;
        self.transform_what_is_there(false)
    }

    /// The next frames, of those that are meant, are not there.
    fn hole(&mut self, frames: u64, why: Missing) {
        let (from, to) = (self.at, self.at + frames);
        match self.holes.last_mut() {
            Some(last) if last.to == from && last.why == why => last.to = to,
            _ => self.holes.push(Hole { from, to, why }),
        }
    }

    /// Why a transform cannot be computed: a frame that it needs is not there.
    fn hole_in(&self, begin: i128, end: i128) -> Option<Missing> {
        let mut near = self.holes.iter().rev().take_while(|hole| i128::from(hole.to) > begin);
        let inside = near.find(|hole| i128::from(hole.from) < end).map(|hole| hole.why);
        let around = || self.holes_around.iter().find(|(from, to, _)| *from < end && *to > begin).map(|hole| hole.2);
        inside.or_else(around)
    }

    /// Computes all transforms whose frames came; `at_end` those that need silence behind them, too.
    fn transform_what_is_there(&mut self, at_end: bool) -> Result<()> {
        let half = self.stft.frames() as u64 / 2;
        let hop = self.plan.hop;
        // A step also needs the frames that it stands for.
        let around = half.max(self.step_frames());
        while self.next * hop < self.plan.frames && (at_end || self.next * hop + around <= self.at) {
            self.transform(self.next * hop)?;
            self.next += 1;
        }
        self.forget(around);
        Ok(())
    }

    fn transform(&mut self, middle: u64) -> Result<()> {
        let half = self.stft.frames() as i128 / 2;
        let (begin, end) = (i128::from(middle) - half, i128::from(middle) + half);
        let place = |frame: i128| usize::try_from(frame - self.tail_from).unwrap_or(0);
        let (first, last) = (place(begin), place(end));
        let is_step = self.next.is_multiple_of(self.plan.step_every);
        // The frames that are nearer to this step than to others: together all, each once.
        let apart = self.step_frames();
        let is_last = middle + apart >= self.plan.frames;
        let own_end = if is_last { self.plan.frames } else { middle + apart - apart / 2 };
        let own_begin = middle.saturating_sub(apart / 2);
        let own = place(i128::from(own_begin))..place(i128::from(own_end));
        let hole = self.hole_in(begin, end);
        let own_is_gone = self.is_hole(own_begin, own_end);
        let column = if self.plan.columns > 0 { self.column_of(middle) } else { 0 };
        let why = hole.or_else(|| self.beyond(begin, end));
        self.transforms += u64::from(is_step && why.is_none());
        for (channel, of) in self.channels.iter_mut().enumerate() {
            let peaks = if own_is_gone || !is_step {
                Peaks::NONE
            } else {
                Peaks::of(&of.tail[own.start..own.end.min(of.tail.len())])
            };
            if let Some(why) = why {
                if is_step {
                    (self.each)(&Step { channel, frame: self.plan.from + middle, peaks, levels: Err(why) })?;
                }
                continue;
            }
            if of.tail.len() < last {
                of.tail.resize(last, 0.0);
            }
            self.stft.powers(&of.tail[first..last], &mut self.power);
            self.bins.iter_mut().zip(&self.power).for_each(|(bin, power)| *bin = decibels_of_power(*power));
            if is_step {
                for (power, (sum, greatest)) in self.power.iter().zip(of.power.iter_mut().zip(&mut of.greatest)) {
                    *sum += f64::from(*power);
                    *greatest = greatest.max(*power);
                }
            }
            if let Some(rows) = self.plan.rows.as_ref().filter(|rows| !rows.is_empty() && self.plan.columns > 0) {
                rows.apply(&self.bins, &mut self.column);
                let count = rows.len();
                let levels = &mut of.levels[column * count..(column + 1) * count];
                levels.iter_mut().zip(&self.column).for_each(|(level, &now)| *level = level.max(now));
            }
            if is_step {
                (self.each)(&Step { channel, frame: self.plan.from + middle, peaks, levels: Ok(&self.bins) })?;
            }
        }
        if let Some(state) = self.columns.get_mut(column) {
            *state = match (hole, *state) {
                (Some(_), _) | (_, Column::Missing) => Column::Missing,
                // Where only what lies beyond is not known, the nearest column is the best guess.
                (None, state) if why.is_some() => state,
                (None, _) => Column::Levels,
            };
        }
        Ok(())
    }

    /// Why a transform cannot be computed that reaches beyond all that came.
    fn beyond(&self, begin: i128, end: i128) -> Option<Missing> {
        let [before, behind] = self.plan.beyond;
        let lead = self.plan.lead.min(self.stft.frames() / 2);
        let came = self.tail_from + self.channels.first().map_or(0, |of| of.tail.len()) as i128;
        before.filter(|_| begin < -(lead as i128)).or_else(|| behind.filter(|_| end > came))
    }

    /// Whether none of these frames is there.
    fn is_hole(&self, from: u64, to: u64) -> bool {
        self.holes.iter().rev().take_while(|hole| hole.to > from).any(|hole| hole.from <= from && to <= hole.to)
    }

    /// Drops samples that no transform will need, by and by.
    fn forget(&mut self, keep: u64) {
        let needed = i128::from(self.next * self.plan.hop) - i128::from(keep);
        let Ok(old) = usize::try_from(needed.min(i128::from(self.at)) - self.tail_from) else { return };
        if old >= PIECE_FRAMES {
            self.channels.iter_mut().for_each(|of| drop(of.tail.drain(..old.min(of.tail.len()))));
            self.tail_from += old as i128;
        }
    }

    /// Computes what was waiting for more, and makes the picture whole: columns between two transforms are those of the
    /// nearest.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.transform_what_is_there(true)?;
        let rows = self.plan.rows.as_ref().map_or(0, Rows::len);
        let known: Vec<usize> = (0..self.columns.len()).filter(|&n| self.columns[n] != Column::Empty).collect();
        for column in 0..self.columns.len() {
            if self.columns[column] != Column::Empty {
                continue;
            }
            let behind = known.partition_point(|&known| known < column);
            let sides = [behind.checked_sub(1).map(|n| known[n]), known.get(behind).copied()];
            let Some(nearest) = sides.into_iter().flatten().min_by_key(|side| side.abs_diff(column)) else { continue };
            self.columns[column] = self.columns[nearest];
            for of in &mut self.channels {
                of.levels.copy_within(nearest * rows..(nearest + 1) * rows, column * rows);
            }
        }
        for of in &mut self.channels {
            let holes = &self.holes;
            let is_whole = |from: usize, to: usize| {
                let (columns, frames) = (self.plan.columns as u128, u128::from(self.plan.frames));
                let hole = |hole: &Hole| {
                    u128::from(hole.from) * columns < (to as u128 + 1) * frames
                        && u128::from(hole.to) * columns > from as u128 * frames
                };
                !holes.iter().any(hole)
            };
            connect(&mut of.wave, is_whole);
        }
        Ok(())
    }

    /// The mean level of each bin in dBFS, of a channel.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a mean of f32")]
    pub(super) fn mean_levels(&self, channel: usize) -> Vec<f32> {
        let count = self.transforms.max(1) as f64;
        self.channels[channel].power.iter().map(|sum| decibels_of_power((sum / count) as f32)).collect()
    }

    /// The greatest level of each bin in dBFS, of a channel.
    pub(super) fn greatest_levels(&self, channel: usize) -> Vec<f32> {
        self.channels[channel].greatest.iter().map(|&power| decibels_of_power(power)).collect()
    }
}

impl<F: FnMut(&Step<'_>) -> Result<()>> Taker for Analysis<F> {
    fn sound(&mut self, planar: &[&[f32]]) -> Result<()> {
        let (lead, own) = self.split(planar[0].len());
        let part = |from: usize, to: usize| planar.iter().map(|plane| &plane[from..to]).collect::<Vec<_>>();
        if lead > 0 {
            self.around(&part(0, lead));
        }
        if own > 0 {
            let planar = part(lead, lead + own);
            for place in 0..self.channels.len() {
                self.draw_wave(place, planar[self.plan.channels[place]]);
            }
            self.append(&planar, own as u64)?;
        }
        if lead + own < planar[0].len() {
            self.around(&part(lead + own, planar[0].len()));
        }
        Ok(())
    }

    fn missing(&mut self, frames: u64, why: Missing) -> Result<()> {
        let channels = self.plan.channels.iter().max().map_or(0, |most| most + 1);
        let mut left = frames;
        while left > 0 {
            let count = usize::try_from(left.min(PIECE_FRAMES as u64))?;
            let (lead, own) = self.split(count);
            // A piece that lies on an end of what is meant is two.
            let (count, is_own) = if lead > 0 { (lead, false) } else { (if own > 0 { own } else { count }, own > 0) };
            let silence = vec![&SILENCE[..count]; channels];
            if is_own {
                self.hole(count as u64, why);
                self.append(&silence, count as u64)?;
            } else {
                // What comes behind is at the end of the tails.
                let behind = self.tail_from + self.channels.first().map_or(0, |of| of.tail.len()) as i128;
                let from = if self.lead_left > 0 { -(self.lead_left as i128) } else { behind };
                self.holes_around.push((from, from + count as i128, why));
                self.around(&silence);
            }
            left -= count as u64;
        }
        Ok(())
    }
}

/// Makes neighbouring columns touch, and draws a line over columns without a sample, where no frame is missing.
fn connect(wave: &mut [Peaks], is_whole: impl Fn(usize, usize) -> bool) {
    let mut before: Option<(usize, Peaks)> = None;
    for column in 0..wave.len() {
        let peaks = wave[column];
        if peaks.is_none() {
            continue;
        }
        if let Some((last, left)) = before.filter(|(last, _)| is_whole(*last, column)) {
            if column > last + 1 {
                let (from, to) = (f32::midpoint(left.min, left.max), f32::midpoint(peaks.min, peaks.max));
                let width = (column - last) as f32;
                let at = |step: usize| from + (to - from) * (step as f32 / width);
                for (step, between) in wave[last + 1..column].iter_mut().enumerate() {
                    let (a, b) = (at(step), at(step + 1));
                    *between = Peaks { min: a.min(b), max: a.max(b) };
                }
            }
            let left = wave[column - 1];
            if peaks.min > left.max {
                wave[column].min = left.max;
            } else if peaks.max < left.min {
                wave[column].max = left.min;
            }
        }
        before = Some((column, peaks));
    }
}

#[cfg(test)]
mod tests;

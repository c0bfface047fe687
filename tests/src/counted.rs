//! The frames of a source that counts them: each arrives once, or lies in a gap.

use anyhow::{Context, Result, ensure};
use audio_dsp::{COUNT_MODULUS, decode_count};
use shm_layout::{FrameIndex, GapSpan, RingReader};

/// What was seen in a ring.
#[derive(Debug, Default)]
pub struct Counted {
    /// Frames that carried a number.
    pub numbered: u64,
    /// Frames inside gaps.
    pub gap_frames: u64,
    /// Gaps, joined where they touch.
    pub gaps: u64,
    /// Numbers that never came.
    pub missing: u64,
    /// The number before, and the frames of gap since.
    last: Option<(u32, u64)>,
}

impl Counted {
    /// One frame in a gap.
    fn gap(&mut self) {
        self.gap_frames += 1;
        match &mut self.last {
            Some((_, since)) => {
                self.gaps += u64::from(*since == 0);
                *since += 1;
            }
            None => self.gaps += u64::from(self.gap_frames == 1),
        }
    }

    /// One frame outside of gaps: the next number, or after a gap one that lies no further than the gap is long.
    fn sample(&mut self, at: FrameIndex, sample: f32) -> Result<()> {
        let number = decode_count(sample).with_context(|| format!("{at:?} carries {sample}, which is no count"))?;
        if let Some((before, gap)) = self.last {
            let jump = number.wrapping_sub(before.wrapping_add(1)) % COUNT_MODULUS;
            ensure!(u64::from(jump) <= gap, "{at:?}: {number} after {before}, with a gap of {gap} frames between them");
            self.missing += u64::from(jump);
        }
        self.last = Some((number, 0));
        self.numbered += 1;
        Ok(())
    }

    /// Looks at frames of a ring, `[channels][frames]`, all of them alike.
    ///
    /// # Errors
    /// The first that is not what it should be.
    pub fn look_at(&mut self, ring: &RingReader, from: FrameIndex, planar: &[f32], frames: usize) -> Result<()> {
        let gaps: Vec<GapSpan> = ring.gaps(from, from.plus(frames as u64));
        for n in 0..frames {
            let at = from.plus(n as u64);
            let mut channels = planar.chunks_exact(frames).map(|channel| channel[n]);
            let sample = channels.next().context("no channel")?;
            ensure!(channels.all(|other| other.to_bits() == sample.to_bits()), "{at:?}: the channels differ");
            if gaps.iter().any(|gap| gap.from <= at && at < gap.to) {
                ensure!(sample == 0.0, "{at:?} lies in a gap and carries {sample}");
                self.gap();
            } else {
                self.sample(at, sample)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_twice_or_a_jump_without_a_gap_is_noticed() {
        let count = |n: u32| n as f32 / COUNT_MODULUS as f32;
        let look = |numbers: &[Option<u32>]| {
            let mut seen = Counted::default();
            for (at, number) in (0..).zip(numbers) {
                match number {
                    Some(number) => seen.sample(FrameIndex(at), count(*number))?,
                    None => seen.gap(),
                }
            }
            anyhow::Ok(seen)
        };
        assert!(look(&[Some(5), Some(6), Some(7)]).is_ok_and(|seen| seen.numbered == 3 && seen.missing == 0));
        assert!(look(&[Some(16_777_215), Some(0)]).is_ok());
        assert!(look(&[Some(5), None, None, Some(8)]).is_ok_and(|seen| seen.missing == 2 && seen.gaps == 1));
        assert!(look(&[Some(5), None, None, Some(6)]).is_ok_and(|seen| seen.missing == 0));
        assert!(look(&[None, Some(0), None, Some(1)]).is_ok_and(|seen| seen.gaps == 2 && seen.gap_frames == 2));
        assert!(look(&[Some(5), None, Some(8)]).is_err(), "two missing, one counted");
        assert!(look(&[Some(5), Some(5)]).is_err(), "twice");
        assert!(look(&[Some(5), Some(7)]).is_err(), "one missing");
        assert!(look(&[Some(5), None, Some(5)]).is_err(), "twice across a gap");
        assert!(look(&[Some(5), None, Some(4)]).is_err(), "backwards");
    }
}

//! A stream's way to its chain and back: blocks of fixed memory that circulate between the tick and the rack.
//!
//! The tick hands a block over and goes on; the rack ([`crate::rack`]) processes it in place and sends it back. What is
//! set travels with the block it is set for. A rack that does not keep up leaves the tick without spare blocks: then a
//! block is not handed over, and nobody waits.

use crate::detour::BLOCKS_MAX;
use audio_dsp::{Bands, Chain, Compression, Gating, Slope};
use control_protocol::{Equaliser, Processing};
use rtrb::{Consumer, Producer, RingBuffer};
use std::thread::Thread;

/// The tick's side.
pub struct Insert {
    to_rack: Producer<Block>,
    from_rack: Consumer<Block>,
    spare: Vec<Block>,
    /// The block that was taken last.
    taken: Option<Block>,
    rack: Thread,
    /// What is set, until a block has carried it.
    unsent: Option<Processing>,
    /// The block that carried what was set last.
    set_at: u64,
    is_on: bool,
}

/// The rack's side: a chain.
pub struct Unit {
    from_tick: Consumer<Block>,
    to_tick: Producer<Block>,
    chain: Chain,
    channels: usize,
}

struct Block {
    /// Room for a whole block.
    planar: Box<[f32]>,
    number: u64,
    frames: usize,
    setting: Option<Processing>,
    /// The chain passes every bit after this block.
    is_transparent: bool,
}

/// Both sides for a stream of so many channels. It begins with what is set: of a stream that begins, too; of one that
/// runs, that is nothing, and what is set follows with a block. `rack` is the thread that turns the unit.
#[must_use]
pub fn insert(
    rate_hz: u32,
    channels: usize,
    block_frames: usize,
    begins_with: &Processing,
    rack: Thread,
) -> (Insert, Unit) {
    let (to_rack, from_tick) = RingBuffer::new(BLOCKS_MAX + 1);
    let (to_tick, from_rack) = RingBuffer::new(BLOCKS_MAX + 1);
    let mut chain = Chain::new(rate_hz, channels);
    turn(&mut chain, begins_with);
    chain.reset();
    // One is still read when the line of those that wait is full. They are written, so that their memory is there.
    let block = |_| Block {
        planar: vec![f32::EPSILON; channels * block_frames].into(),
        number: 0,
        frames: 0,
        setting: None,
        is_transparent: true,
    };
    let insert = Insert {
        to_rack,
        from_rack,
        spare: (0..=BLOCKS_MAX).map(block).collect(),
        taken: None,
        rack,
        unsent: None,
        set_at: 0,
        is_on: !begins_with.is_off(),
    };
    (insert, Unit { from_tick, to_tick, chain, channels })
}

impl Insert {
    /// Whether blocks are to be handed over: something is on, or glides to where it is off.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Sets the chain, from the next block on.
    ///
    /// # Real time
    /// Wait-free, allocates and frees nothing; so does everything here. Handing over may wake a thread.
    pub(crate) fn set(&mut self, processing: Processing) {
        if self.is_on || !processing.is_off() {
            (self.unsent, self.is_on) = (Some(processing), true);
        }
    }

    /// Hands a block over, of which those before `needed` are not wanted any more; false where there is none to spare.
    pub(crate) fn hand_over(&mut self, number: u64, planar: &[f32], frames: usize, needed: u64) -> bool {
        self.reclaim(needed);
        let Some(mut block) = self.spare.pop() else { return false };
        block.planar[..planar.len()].copy_from_slice(planar);
        (block.number, block.frames, block.setting) = (number, frames, self.unsent.take());
        if block.setting.is_some() {
            self.set_at = number;
        }
        // There is room for all blocks that there are.
        if let Err(rtrb::PushError::Full(block)) = self.to_rack.push(block) {
            self.unsent = block.setting;
            self.spare.push(block);
            return false;
        }
        self.rack.unpark();
        true
    }

    /// Whether this block, or a later one, is back.
    pub(crate) fn is_back(&mut self, number: u64) -> bool {
        self.reclaim(number);
        !self.from_rack.is_empty()
    }

    /// Whether exactly this block is back.
    pub(crate) fn has(&mut self, number: u64) -> bool {
        self.reclaim(number);
        self.from_rack.peek().is_ok_and(|block| block.number == number)
    }

    /// This block, `[channels][frames]`, where it is back. When it shows that nothing is on any more, none need follow.
    pub(crate) fn take(&mut self, number: u64) -> Option<&[f32]> {
        if !self.has(number) {
            return None;
        }
        let block = self.from_rack.pop().ok()?;
        if block.is_transparent && self.unsent.is_none() && number >= self.set_at {
            self.is_on = false;
        }
        self.spare.extend(self.taken.take());
        self.taken = Some(block);
        self.taken.as_ref().map(|block| &*block.planar)
    }

    /// Takes back what came too late.
    fn reclaim(&mut self, needed: u64) {
        while self.from_rack.peek().is_ok_and(|block| block.number < needed) {
            self.spare.extend(self.from_rack.pop());
        }
    }
}

impl Unit {
    /// Processes all that is there. Allocates nothing.
    pub fn turn(&mut self) {
        while let Ok(mut block) = self.from_tick.pop() {
            if let Some(setting) = block.setting.take() {
                turn(&mut self.chain, &setting);
            }
            self.chain.process(&mut block.planar[..self.channels * block.frames], block.frames);
            block.is_transparent = self.chain.is_transparent();
            // There is room for all blocks that there are.
            let _ = self.to_tick.push(block);
        }
    }

    /// Whether the tick's side is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.from_tick.is_abandoned()
    }
}

/// Sets a chain, which glides there.
fn turn(chain: &mut Chain, Processing { high_pass, gate, equaliser, compressor }: &Processing) {
    chain.set_high_pass(high_pass.map(|hz| (f64::from(hz.get()), Slope::Db24)));
    chain.set_gate(gate.map(|db| Gating { threshold_db: db.get(), ..Gating::default() }));
    chain.set_equaliser(equaliser.map(|Equaliser([low, mid, high])| Bands {
        low_db: low.get().into(),
        mid_db: mid.get().into(),
        high_db: high.get().into(),
        ..Bands::default()
    }));
    chain.set_compressor(compressor.map(|wished| Compression {
        threshold_db: wished.threshold_db.get(),
        ratio: wished.ratio.get(),
        ..Compression::default()
    }));
}

impl std::fmt::Debug for Insert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insert").field("on", &self.is_on).field("spare", &self.spare.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit").field("channels", &self.channels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 480;

    fn processing(gate: &str) -> Processing {
        Processing { gate: Processing::read_gate(gate).ok(), ..Processing::default() }
    }

    fn rig(begins_with: &Processing) -> (Insert, Unit) {
        insert(48_000, 1, BLOCK, begins_with, std::thread::current())
    }

    #[test]
    fn a_block_comes_back_processed_and_one_that_is_too_late_is_used_again() {
        let (mut insert, mut unit) = rig(&processing("0dB"));
        for number in 0..3 {
            assert!(insert.hand_over(number, &[0.5; BLOCK], BLOCK, 0));
            assert!(!insert.is_back(number));
        }
        unit.turn();
        assert!(insert.is_back(0));
        assert_eq!(insert.take(0).map(|planar| planar[0]), Some(0.5));
        // Number 1 was not waited for.
        assert!(insert.is_back(2) && insert.take(1).is_none());
        assert!(insert.take(2).is_some());
        assert_eq!(insert.spare.len(), BLOCKS_MAX);
    }

    #[test]
    fn a_rack_that_is_stuck_leaves_nothing_to_hand_over_until_it_goes_on() {
        let (mut insert, mut unit) = rig(&processing("-60dB"));
        let blocks = BLOCKS_MAX as u64 + 1;
        for number in 0..2 * blocks {
            assert_eq!(insert.hand_over(number, &[0.5; BLOCK], BLOCK, number), number < blocks, "{number}");
        }
        insert.set(processing("-70dB"));
        unit.turn();
        assert!(insert.hand_over(2 * blocks, &[0.5; BLOCK], BLOCK, 2 * blocks), "what came back is used again");
        unit.turn();
        assert!(insert.take(2 * blocks).is_some() && insert.is_on());
    }

    #[test]
    fn it_rests_when_what_was_set_last_passes_every_bit() {
        let (mut insert, mut unit) = rig(&Processing::default());
        assert!(!insert.is_on());
        insert.set(Processing::default());
        assert!(!insert.is_on(), "off stays off");
        insert.set(processing("-60dB"));
        let mut number = 0;
        let mut block = |insert: &mut Insert, set: Option<Processing>| {
            assert!(insert.hand_over(number, &[0.5; BLOCK], BLOCK, number));
            unit.turn();
            // It is set while an older block is on its way.
            if let Some(set) = set {
                insert.set(set);
            }
            assert!(insert.take(number).is_some());
            number += 1;
        };
        (0..5).for_each(|_| block(&mut insert, None));
        assert!(insert.is_on());
        insert.set(Processing::default());
        block(&mut insert, None);
        assert!(insert.is_on(), "it glides");
        block(&mut insert, Some(processing("-60dB")));
        assert!(insert.is_on(), "it was set again");
        block(&mut insert, Some(Processing::default()));
        (0..3).for_each(|_| block(&mut insert, None));
        assert!(!insert.is_on());
    }
}

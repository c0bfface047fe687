//! A device that is resampled: every frame it delivers is heard once, and what is lost is missing where it was lost.
//!
//! The device numbers its frames. Numbers that rise evenly are what a resampler leaves even, so that what is heard tells
//! which frame is heard, to a fraction.

use audio_dsp::Quality;
use audio_engine::lane::Lane;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tempo::Due;
use control_protocol::GapCause;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const PERIOD: u64 = 480;
const BEGIN_S: f64 = 1_000.0;
/// A power of two: numbers below 2^19 are whole in an f32, and a hundredth part of them is.
const STEP: f64 = 1.0 / (1 << 20) as f64;
/// So far from a gap its edge is heard.
const EDGE: usize = 140;

struct Device {
    inlet: Inlet,
    health: Arc<Health>,
    rate_hz: f64,
    /// When frame 0 would have been captured.
    origin_s: f64,
    count: u64,
    /// Frames that were lost.
    lost: Vec<Range<u64>>,
}

impl Device {
    /// Delivers all periods that are over by then, at their times, but not before `from_s`.
    fn run(&mut self, from_s: f64, until_s: f64) {
        loop {
            let end_s = self.origin_s + (self.count + PERIOD) as f64 / self.rate_hz;
            if end_s > until_s {
                return;
            }
            let overrun = self.health.overrun_frames.load(Ordering::Relaxed);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a simulation")]
            let at_ns = (end_s.max(from_s) * 1e9) as u64;
            #[expect(clippy::cast_possible_truncation, reason = "a sample")]
            let samples = (self.count..self.count + PERIOD).map(|n| ((n + 1) as f64 * STEP) as f32);
            self.inlet.push_at(at_ns, 480, samples);
            if self.health.overrun_frames.load(Ordering::Relaxed) > overrun {
                self.lost.push(self.count..self.count + PERIOD);
            }
            self.count += PERIOD;
        }
    }

    fn lose(&mut self, frames: u64) {
        self.inlet.lose(frames, GapCause::Xrun);
        self.lost.push(self.count..self.count + frames);
        self.count += frames;
    }

    /// Lost frames between two numbers.
    fn lost_between(&self, from: f64, to: f64) -> f64 {
        let overlap = |lost: &Range<u64>| (to.min(lost.end as f64) - from.max(lost.start as f64)).max(0.0);
        self.lost.iter().map(overlap).sum()
    }
}

/// What is heard: the numbers, `None` in gaps.
struct Heard {
    lane: Lane,
    blocks: u32,
    frames: Vec<Option<f64>>,
}

impl Heard {
    fn due_s(&self) -> f64 {
        BEGIN_S + f64::from(self.blocks + 1) * BLOCK as f64 / f64::from(RATE_HZ)
    }

    fn block(&mut self) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a simulation")]
        let at_ns = (self.due_s() * 1e9) as u64;
        self.lane.set_due(Due { at_ns, late_ns: 0, ppm: 0.0 });
        let frames = self.lane.fill(false, |_| {});
        let begin = self.frames.len();
        self.frames.extend(self.lane.planar(frames).iter().map(|&sample| Some(f64::from(sample) / STEP - 1.0)));
        for gap in self.lane.gaps() {
            assert!(gap.from < gap.to && gap.to <= frames);
            for frame in &mut self.frames[begin + gap.from..begin + gap.to] {
                assert_eq!(*frame, Some(-1.0), "sound in a gap");
                *frame = None;
            }
        }
        self.blocks += 1;
    }

    /// Places and numbers that no gap is near.
    fn clear(&self) -> Vec<(usize, f64)> {
        let mut since_gap = 0;
        let mut clear = Vec::new();
        for (at, frame) in self.frames.iter().enumerate() {
            since_gap = if frame.is_none() { 0 } else { since_gap + 1 };
            if let Some(number) = frame
                && since_gap > EDGE
            {
                clear.push((at, *number));
            }
        }
        let gap_soon = |at: usize| self.frames[at..].iter().take(EDGE).any(Option::is_none);
        clear.retain(|&(at, _)| !gap_soon(at) && at + EDGE < self.frames.len());
        clear
    }
}

fn world(ppm: f64, queue_frames: usize) -> (Device, Heard) {
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(1, queue_frames, &health);
    let lane = Lane::retimed(outlet, (RATE_HZ, RATE_HZ), BLOCK, 240, Quality::Fast).unwrap();
    let rate_hz = f64::from(RATE_HZ) * (1.0 + 1e-6 * ppm);
    let mut device = Device { inlet, health, rate_hz, origin_s: BEGIN_S - 0.0333, count: 0, lost: Vec::new() };
    device.run(0.0, BEGIN_S);
    (device, Heard { lane, blocks: 0, frames: Vec::new() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_frame_is_heard_once_and_what_is_lost_is_missing_at_its_place(
        ppm in -300.0_f64..300.0,
        queue_frames in 3_000_usize..20_000,
        steps in prop::collection::vec((0_u8..16, 1_u32..8), 1..60),
    ) {
        let (mut device, mut heard) = world(ppm, queue_frames);
        for (action, n) in steps {
            let now_s = heard.due_s();
            match action {
                // It loses some frames, and knows how many.
                0 => device.lose(u64::from(n) * 100),
                // It captures nothing for a while, and does not say so.
                1 => device.origin_s += f64::from(n) * 0.03,
                // Its callbacks are held up.
                2 => {
                    (0..n).for_each(|_| heard.block());
                    device.run(heard.due_s(), heard.due_s());
                }
                // The tick is held up.
                3 => {
                    device.run(0.0, now_s + f64::from(n) * 0.01);
                    (0..n).for_each(|_| heard.block());
                }
                _ => {}
            }
            for _ in 0..2 * n {
                device.run(0.0, heard.due_s());
                heard.block();
            }
        }
        device.inlet.flush();
        device.health.end(None);
        while !heard.lane.has_ended() {
            heard.block();
            prop_assert!(heard.blocks < 20_000, "it does not end");
        }
        let clear = heard.clear();
        for pair in clear.windows(2) {
            let [(at, number), (next_at, next)] = [pair[0], pair[1]];
            let sound = heard.frames[at + 1..=next_at].iter().flatten().count() as f64;
            let (jump, lost) = (next - number - sound, device.lost_between(number, next));
            // Frames are heard by up to a thousandth faster or slower; a gap begins and ends at a whole frame.
            let gaps = heard.frames[at..next_at].windows(2).filter(|two| two[0].is_some() && two[1].is_none()).count();
            let margin = 0.1 + 0.0012 * sound + gaps as f64;
            prop_assert!((jump - lost).abs() < margin, "{jump} missing, {lost} lost from {number} to {next}");
        }
        // From the first frame that is heard to the last one that there is.
        if let (Some(&(_, first)), Some(&(last_at, last))) = (clear.first(), clear.last()) {
            let after = heard.frames[last_at + 1..].iter().flatten().count() as f64;
            let lost = device.lost_between(last, f64::INFINITY);
            let end = device.count as f64 - lost;
            prop_assert!((last + after + 1.0 - end).abs() < 3.0 + 0.0012 * after, "{last} and {after}, {end} in all");
            prop_assert!(first < 6.0 * PERIOD as f64 + device.lost_between(0.0, first), "{first} is the first");
        }
        prop_assert_eq!(
            heard.lane.lost_frames(),
            device.lost.iter().map(|lost| lost.end - lost.start).sum::<u64>(),
            "all that was lost is counted"
        );
    }
}

#[test]
fn the_sound_begins_with_the_ring_at_every_rate() {
    let rates_hz = [8_000, 16_000, 44_100, 48_000, 192_000];
    for (from_hz, to_hz) in rates_hz.iter().flat_map(|&from_hz| rates_hz.map(|to_hz| (from_hz, to_hz))) {
        for trims in [false, true] {
            let health = Arc::new(Health::default());
            let (mut inlet, outlet) = queue(1, 4 * from_hz as usize, &health);
            let (period, block) = (from_hz as usize / 100, to_hz as usize / 100);
            let mut lane = Lane::retimed(outlet, (from_hz, to_hz), block, 0, Quality::Normal).unwrap();
            let mut at_ns = 1_000_000_000_000;
            let mut callback = |count: usize| {
                for _ in 0..count {
                    at_ns += 10_000_000;
                    inlet.push_at(at_ns, period, std::iter::repeat_n(0.5, period));
                }
                at_ns
            };
            let mut now_ns = callback(if trims { 30 } else { 1 });
            while !lane.is_primed() {
                now_ns = callback(1);
            }
            if trims {
                lane.trim();
            }
            for block_index in 1..100 {
                lane.set_due(Due { at_ns: now_ns + 10_000_000, late_ns: 0, ppm: 0.0 });
                now_ns = callback(1);
                assert_eq!(lane.fill(false, |_| {}), block);
                assert_eq!(lane.gaps(), [], "{from_hz} to {to_hz} Hz, block {block_index}");
                let quiet = lane.planar(block).iter().filter(|&&sample| (sample - 0.5).abs() > 0.05).count();
                // The resampler rings a little where it begins.
                assert!(quiet == 0 || block_index == 1, "{from_hz} to {to_hz} Hz, block {block_index}: {quiet}");
            }
        }
    }
}

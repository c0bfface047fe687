//! Streams that are processed: their samples are where they would be without, nobody else's change, and what is late is
//! silence that is told.

use audio_dsp::{Chain, GLIDE_SECONDS, Slope, Strip};
use audio_engine::feed::Feed;
use audio_engine::gauge::Gauge;
use audio_engine::insert::{Unit, insert};
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::note::Note;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Change, Control, Done, Tick};
use audio_engine::track::Track;
use control_protocol::{Master, Processing};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingState, RingWriter, SessionId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
const STREAMS: usize = 3;
/// The one that is processed: its place is between the others'.
const WET: usize = 1;

/// A tick over three streams, whose processing thread is this one.
struct Rig {
    dir: tempfile::TempDir,
    inlets: Vec<Inlet>,
    health: Vec<Arc<Health>>,
    tick: Tick,
    control: Control,
    unit: Option<Unit>,
    frames: usize,
    notes: Vec<Note>,
}

fn ring(dir: &Path, stream: &str) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels: 1,
        capacity_frames: 200_000,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

/// What a stream's frame is. No two streams, and no two frames near each other, have the same one.
fn sample(stream: usize, frame: usize) -> f32 {
    let (stream, frame) = (stream as f32, frame as f32);
    0.2 * (frame * (0.01 + 0.007 * stream) + stream).sin() + 0.05
}

impl Rig {
    fn new() -> Self {
        Self::with(false)
    }

    /// Where the processed stream is a device, all that it has captured is written when it leaves.
    fn with(is_device: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut inlets, mut health, mut tracks) = (Vec::new(), Vec::new(), Vec::new());
        for stream in 0..STREAMS {
            let own = Arc::new(Health::default());
            let (inlet, outlet) = queue(1, 24_000, &own);
            let lane =
                Lane::new(Feed::new(outlet, RATE_HZ, RATE_HZ, BLOCK).unwrap(), is_device && stream == WET, BLOCK, 0);
            let ring = ring(dir.path(), &format!("s{stream}"));
            let strip = Strip::new(RATE_HZ, 1, 1, GLIDE_SECONDS);
            tracks.push(Track::new(lane, ring, Gauge::new(None, 1, RATE_HZ), strip, false));
            inlets.push(inlet);
            health.push(own);
        }
        let mix = Mix::new(ring(dir.path(), "mix"), Gauge::new(None, 1, RATE_HZ), BLOCK, Master::default());
        let (tick, control) = Tick::new(tracks, mix, BLOCK, RATE_HZ);
        let mut rig = Self { dir, inlets, health, tick, control, unit: None, frames: 0, notes: Vec::new() };
        // Once more than is taken, for a steady flow.
        rig.feed(BLOCK);
        rig
    }

    fn reader(&self, stream: &str) -> RingReader {
        RingReader::attach_stream(self.dir.path(), stream).unwrap()
    }

    fn set(&mut self, processing: Processing) {
        if self.unit.is_none() {
            let nothing = Processing::default();
            let (insert, unit) = insert(RATE_HZ, 1, BLOCK, &nothing, std::thread::current());
            self.control.changes.push(Change::Insert(WET, insert)).unwrap();
            self.unit = Some(unit);
        }
        self.control.changes.push(Change::Process(WET, processing)).unwrap();
    }

    fn feed(&mut self, frames: usize) {
        for (stream, inlet) in self.inlets.iter_mut().enumerate() {
            if self.health[stream].stop.load(Ordering::Relaxed) {
                continue;
            }
            inlet.push(frames, (self.frames..self.frames + frames).map(|frame| sample(stream, frame)));
        }
        self.frames += frames;
    }

    fn tick(&mut self) {
        self.feed(BLOCK);
        self.tick.run(false);
        self.notes.extend(std::iter::from_fn(|| self.control.notes.pop().ok()));
    }

    fn process(&mut self) {
        self.unit.iter_mut().for_each(Unit::turn);
    }

    /// Blocks, each with its whole time.
    fn blocks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick();
            self.process();
        }
    }

    /// By how many frames the mix is behind the tick, but for what its limiter looks ahead.
    fn behind(&self) -> u64 {
        self.tick.next_frame().since(self.reader("mix").commit()) - 240
    }

    /// Ends all streams in the middle of a block; the frames of the mix.
    fn end(mut self) -> Vec<f32> {
        self.feed(100);
        self.health.iter().for_each(|health| health.end(None));
        let mix = self.reader("mix");
        for _ in 0..100 {
            self.tick.run(false);
            self.process();
        }
        assert!(self.tick.is_done());
        let mut left = 0;
        while let Ok(done) = self.control.done.pop() {
            left += 1;
            match done {
                Done::Track(_, track) => track.close(),
                Done::Mix(mix) => mix.close(),
            }
        }
        assert_eq!(left, STREAMS + 1);
        // Their own rings have them as they came.
        for stream in 0..STREAMS {
            let own = contents(&self.reader(&format!("s{stream}")));
            assert!(own.len() == self.frames && (0..self.frames).all(|frame| own[frame] == sample(stream, frame)));
        }
        assert_eq!(mix.state(), RingState::Closed);
        contents(&mix)
    }
}

fn contents(ring: &RingReader) -> Vec<f32> {
    let frames = usize::try_from(ring.commit().0).unwrap();
    let mut planar = vec![0.0; frames];
    ring.read(FrameIndex(0), &mut planar, frames).unwrap();
    planar
}

/// The streams' sum, where the processed one is this.
fn sum(wet: impl Fn(usize) -> f32, frames: usize) -> Vec<f32> {
    (0..frames).map(|frame| sample(0, frame) + wet(frame) + sample(2, frame)).collect()
}

fn assert_same(mix: &[f32], expected: &[f32]) {
    assert_eq!(mix.len(), expected.len());
    let differs = mix.iter().zip(expected).position(|(mix, expected)| mix.to_bits() != expected.to_bits());
    assert_eq!(differs, None, "of {} frames", mix.len());
}

/// A chain that is on and changes nothing: the gate is open for all that there is.
fn identity() -> Processing {
    Processing { gate: Processing::read_gate("-100dB").ok(), ..Processing::default() }
}

fn high_pass() -> Processing {
    Processing { high_pass: Processing::read_high_pass("500Hz").ok(), ..Processing::default() }
}

#[test]
fn a_chain_that_changes_nothing_changes_nothing_and_costs_a_block_of_delay_while_it_is_on() {
    let mut rig = Rig::new();
    rig.blocks(10);
    assert_eq!(rig.behind(), 0);
    for _ in 0..5 {
        rig.set(identity());
        rig.blocks(20);
        assert_eq!(rig.behind(), BLOCK as u64);
        rig.set(Processing::default());
        rig.blocks(10);
        assert_eq!(rig.behind(), 0, "the mix is as near as before");
    }
    rig.set(identity());
    rig.blocks(3);
    assert_eq!(rig.notes, []);
    let frames = rig.frames + 100;
    assert_same(&rig.end(), &sum(|frame| sample(WET, frame), frames));
}

#[test]
fn the_others_pass_bit_by_bit_while_a_chain_is_switched() {
    let mut rig = Rig::new();
    // The same chain, beside.
    let (mut chain, mut wet) = (Chain::new(RATE_HZ, 1), Vec::new());
    let beside = |chain: &mut Chain, wet: &mut Vec<f32>, frames: usize| {
        let mut samples: Vec<f32> = (wet.len()..wet.len() + frames).map(|frame| sample(WET, frame)).collect();
        chain.process(&mut samples, frames);
        wet.extend(samples);
    };
    for round in 0..6 {
        let on = round % 2 == 0;
        rig.set(if on { high_pass() } else { Processing::default() });
        chain.set_high_pass(on.then_some((500.0, Slope::Db24)));
        let blocks = 7 + round;
        rig.blocks(blocks);
        beside(&mut chain, &mut wet, blocks * BLOCK);
    }
    let frames = rig.frames + 100;
    let rest = frames - wet.len();
    beside(&mut chain, &mut wet, rest);
    assert!((0..wet.len()).any(|frame| (wet[frame] - sample(WET, frame)).abs() > 0.04), "it does something");
    assert_eq!(rig.notes, []);
    assert_same(&rig.end(), &sum(|frame| wet[frame], frames));
}

#[test]
fn a_rack_that_is_late_for_some_blocks_loses_none() {
    let mut rig = Rig::new();
    rig.set(identity());
    rig.blocks(5);
    for late in [1, 2, 5, 14] {
        (0..late).for_each(|_| rig.tick());
        assert_eq!(rig.behind(), late * BLOCK as u64);
        rig.process();
        rig.blocks(2);
        assert_eq!(rig.behind(), BLOCK as u64);
    }
    assert_eq!(rig.notes, []);
    let frames = rig.frames + 100;
    assert_same(&rig.end(), &sum(|frame| sample(WET, frame), frames));
}

#[test]
fn a_rack_that_is_stuck_silences_what_it_has_and_nobody_else() {
    let mut rig = Rig::new();
    rig.set(identity());
    rig.blocks(10);
    (0..40).for_each(|_| rig.tick());
    assert!(rig.behind() <= 16 * BLOCK as u64, "the mix goes on: {} behind", rig.behind());
    assert!(rig.notes.is_empty(), "it lasts");
    rig.process();
    rig.blocks(30);
    assert_eq!(rig.behind(), BLOCK as u64);
    let [Note::Unprocessed { place: WET, from, to }] = rig.notes[..] else { panic!("{:?}", rig.notes) };
    let silent = usize::try_from(from.0).unwrap()..usize::try_from(to.0).unwrap();
    assert!(silent.len() >= 39 * BLOCK && silent.len() <= 42 * BLOCK, "{silent:?}");
    let frames = rig.frames + 100;
    let expected = sum(|frame| if silent.contains(&frame) { 0.0 } else { sample(WET, frame) }, frames);
    assert_same(&rig.end(), &expected);
}

#[test]
fn a_stream_that_is_removed_is_in_the_mix_to_its_end() {
    let mut rig = Rig::with(true);
    rig.set(identity());
    rig.blocks(10);
    rig.health[WET].stop.store(true, Ordering::Relaxed);
    rig.control.changes.push(Change::Leave(WET)).unwrap();
    let end = rig.frames;
    rig.blocks(1);
    assert!(rig.control.done.is_empty(), "its last block waits");
    rig.blocks(2);
    let Ok(Done::Track(WET, track)) = rig.control.done.pop() else { panic!("it has not left") };
    assert_eq!(track.next_frame().0, end as u64);
    track.close();
    assert!(rig.unit.as_ref().is_some_and(Unit::is_over), "its chain can be freed");
    rig.blocks(5);
    assert_eq!(rig.behind(), 0);
    let mix = contents(&rig.reader("mix"));
    let expected = |frame| if frame < end { sample(WET, frame) } else { 0.0 };
    assert_same(&mix, &sum(expected, mix.len()));
}

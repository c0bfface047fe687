//! What is set is whole in the mix with the next block, and its end does not wait for the one after.

use audio_dsp::{GLIDE_SECONDS, Strip as DspStrip};
use audio_engine::desk::Desk;
use audio_engine::feed::Feed;
use audio_engine::gauge::Gauge;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Change, Control, Tick};
use audio_engine::track::Track;
use control_protocol::{Gain, Master, Pan, StreamName, Strip};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::sync::Arc;

/// Every frame of both channels of the only stream.
const LEVEL: f32 = 0.5;

struct Rig {
    dir: tempfile::TempDir,
    inlet: Inlet,
    tick: Tick,
    control: Control,
    desk: Desk,
    block: usize,
    _health: Arc<Health>,
}

fn ring(dir: &Path, stream: &str, rate_hz: u32) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: rate_hz,
        channels: 2,
        capacity_frames: u64::from(rate_hz),
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

impl Rig {
    fn new(rate_hz: u32) -> Self {
        let (dir, block) = (tempfile::tempdir().unwrap(), rate_hz as usize / 100);
        let health = Arc::new(Health::default());
        let (inlet, outlet) = queue(2, rate_hz as usize, &health);
        let lane = Lane::new(Feed::new(outlet, rate_hz, rate_hz, block).unwrap(), false, block, 0);
        let strip = DspStrip::new(rate_hz, 2, 2, GLIDE_SECONDS);
        let gauge = || Gauge::new(None, 2, rate_hz);
        let track = Track::new(lane, ring(dir.path(), "one", rate_hz), gauge(), strip, false);
        let mix = Mix::new(ring(dir.path(), "mix", rate_hz), gauge(), block, Master::default());
        let (tick, control) = Tick::new(vec![track], mix, block, rate_hz);
        let mut rig = Self { dir, inlet, tick, control, desk: Desk::default(), block, _health: health };
        rig.feed();
        (0..3).for_each(|_| rig.tick());
        rig
    }

    fn feed(&mut self) {
        self.inlet.push(self.block, std::iter::repeat_n(LEVEL, 2 * self.block));
    }

    fn tick(&mut self) {
        self.feed();
        self.tick.run(false);
    }

    fn set(&mut self, strip: Strip) {
        let one = StreamName::new("one").unwrap();
        self.desk.set(one.clone(), strip);
        self.control.changes.push(Change::Set(0, self.desk.settings(&[&one])[0])).unwrap();
    }

    /// What of the mix was written by the newest tick, a channel each: its first frame and its last.
    fn newest(&self) -> [[f32; 2]; 2] {
        let mix = RingReader::attach_stream(self.dir.path(), "mix").unwrap();
        let mut planar = vec![0.0; 2 * self.block];
        mix.read_newest(&mut planar, self.block).unwrap();
        [0, 1].map(|channel| [planar[channel * self.block], planar[(channel + 1) * self.block - 1]])
    }
}

#[test]
fn a_change_begins_and_ends_in_one_block_of_the_mix() {
    for rate_hz in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 88_200, 96_000, 192_000] {
        let mut rig = Rig::new(rate_hz);
        rig.tick();
        assert_eq!(rig.newest(), [[LEVEL; 2]; 2], "{rate_hz} Hz");
        rig.set(Strip { mute: true, ..Strip::default() });
        rig.tick();
        assert_eq!(rig.newest(), [[LEVEL, 0.0]; 2], "{rate_hz} Hz: muted");
        rig.set(Strip { gain: Gain::of_factor(0.5).unwrap(), ..Strip::default() });
        rig.tick();
        assert_eq!(rig.newest(), [[0.0, 0.25]; 2], "{rate_hz} Hz: half as loud");
        rig.set(Strip { pan: Pan::new(1.0).unwrap(), ..Strip::default() });
        rig.tick();
        assert_eq!(rig.newest()[0], [0.25, 0.0], "{rate_hz} Hz: on the right");
        rig.set(Strip::default());
        rig.tick();
        assert_eq!(rig.newest().map(|[_, last]| last), [LEVEL; 2], "{rate_hz} Hz: as it was");
        let master = Master { gain: Gain::of_factor(0.5).unwrap(), ..Master::default() };
        rig.control.changes.push(Change::SetMaster(master)).unwrap();
        rig.tick();
        assert_eq!(rig.newest(), [[LEVEL, 0.25]; 2], "{rate_hz} Hz: the sum");
    }
}

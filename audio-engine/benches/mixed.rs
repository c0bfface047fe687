//! What a tick costs with many streams: from their queues through their strips into their rings and, summed and limited,
//! into the mix, with a meter on each; beside nothing but the sum.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, PERIOD_NS, RATE_HZ, clock_cost, time};
use anyhow::{Context, Result, ensure};
use audio_dsp::{GLIDE_SECONDS, Strip, mix_into};
use audio_engine::feed::Feed;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Control, Tick};
use audio_engine::track::Track;
use audio_engine::vitals::Gauge;
use control_protocol::Master;
use shm_layout::board::{Board, Meters};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::sync::Arc;

pub(crate) const MEASURE: Measure =
    Measure { names: &["tick of 32 stereo streams, p50", "tick of 32 stereo streams, p99"], run: measure };

const STREAMS: usize = 32;
const SAMPLES: usize = CHANNELS * BLOCK_FRAMES;
/// The rings' first lap touches memory that nobody has touched before.
const WARM_UP: usize = 1_100;

struct World {
    _dir: tempfile::TempDir,
    _board: Board,
    tick: Tick,
    control: Control,
    inlets: Vec<Inlet>,
}

fn world() -> Result<World> {
    let dir = tempfile::tempdir()?;
    let board = Board::create(dir.path())?;
    let meters = Meters::claim(dir.path())?;
    let gauge = |name: &str| {
        let meter = meters.take(name).context("no meter")?;
        anyhow::Ok(Gauge::new(Some(meter), CHANNELS, RATE_HZ))
    };
    let (mut tracks, mut inlets) = (Vec::new(), Vec::new());
    for n in 0..STREAMS {
        let name = format!("s{n}");
        let (inlet, outlet) = queue(CHANNELS, 4_800, &Arc::new(Health::default()));
        let lane = Lane::new(Feed::new(outlet, RATE_HZ, RATE_HZ, BLOCK_FRAMES)?, true, BLOCK_FRAMES, 0);
        let mut strip = Strip::new(RATE_HZ, CHANNELS, CHANNELS, GLIDE_SECONDS);
        strip.set_gain(0.5);
        strip.set_pan(if n % 2 == 0 { 0.3 } else { -0.3 });
        tracks.push(Track::new(lane, ring(dir.path(), &name)?, gauge(&name)?, strip, false));
        inlets.push(inlet);
    }
    let mix = Mix::new(ring(dir.path(), "mix")?, gauge("mix")?, BLOCK_FRAMES, Master::default());
    let (tick, control) = Tick::new(tracks, mix, BLOCK_FRAMES, RATE_HZ);
    Ok(World { _dir: dir, _board: board, tick, control, inlets })
}

fn ring(dir: &Path, stream: &str) -> Result<RingWriter> {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels: u32::try_from(CHANNELS)?,
        capacity_frames: 10 * u64::from(RATE_HZ),
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    Ok(RingWriter::create(dir, &spec)?)
}

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let blocks = plan.times(10_000);
    let mut world = world()?;
    // Each its own tone, together louder than full scale now and then: the limiter has work to do.
    let tone = |n: usize, at: usize| 0.08 * ((at * (n + 3)) as f32 * 0.004).sin();
    let sound: Vec<Vec<f32>> = (0..STREAMS).map(|n| (0..SAMPLES).map(|at| tone(n, at / CHANNELS)).collect()).collect();
    let planar = sound.clone();
    let mut sum = vec![0.0_f32; SAMPLES];
    let (mut ours, mut plain) = (Vec::with_capacity(blocks), Vec::with_capacity(blocks));
    let clock_ns = clock_cost();
    for block in 0..WARM_UP + blocks {
        for (inlet, sound) in world.inlets.iter_mut().zip(&sound) {
            inlet.push(BLOCK_FRAMES, sound.iter().copied());
        }
        let ours_ns = time(|| world.tick.run(false)) - clock_ns;
        let plain_ns = time(|| {
            sum.fill(0.0);
            for planar in &planar {
                mix_into(&mut sum, CHANNELS, std::hint::black_box(planar), CHANNELS, BLOCK_FRAMES);
            }
            std::hint::black_box(&sum);
        }) - clock_ns;
        if block < WARM_UP {
            while world.control.notes.pop().is_ok() {}
            continue;
        }
        ensure!(world.control.notes.pop().is_err(), "a gap in block {block}");
        ours.push(ours_ns);
        plain.push(plain_ns);
    }
    let share = |ns: f64| ns / PERIOD_NS * 100.0;
    Ok([0.5, 0.99]
        .iter()
        .zip(MEASURE.names)
        .map(|(&part, name)| {
            Row::new(name, share(quantile(&mut ours, part)), "% of a core", blocks)
                .against("a bare sum of them", share(quantile(&mut plain, part)))
        })
        .collect())
}

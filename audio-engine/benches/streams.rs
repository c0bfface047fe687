//! What a tick costs with many streams: 32 stereo sources from their queues through their strips into their rings and,
//! summed and limited, into the mix, with a meter on each, and loudness and true peak; beside the same tick without a board,
//! and beside nothing but the sum.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{BLOCK_FRAMES, CHANNELS, PERIOD_NS, RATE_HZ, clock_cost, time};
use anyhow::{Context, Result, ensure};
use audio_dsp::{GLIDE_SECONDS, Strip, mix_into};
use audio_engine::feed::Feed;
use audio_engine::gauge::Gauge;
use audio_engine::lane::Lane;
use audio_engine::mix::Mix;
use audio_engine::queue::{Health, Inlet, queue};
use audio_engine::tick::{Control, Tick};
use audio_engine::track::Track;
use control_protocol::Master;
use shm_layout::board::{Board, Meters, View};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::sync::Arc;

pub(crate) const MEASURE: Measure =
    Measure { names: &["tick of 32 stereo streams, p50", "tick of 32 stereo streams, meters, p50"], run };

const STREAMS: usize = 32;

/// A tick, and what feeds it.
struct Rig {
    tick: Tick,
    inlets: Vec<Inlet>,
    _control: Control,
    folder: tempfile::TempDir,
    board: Option<Board>,
}

impl Rig {
    fn new(metered: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let board = metered.then(|| Board::create(folder.path())).transpose()?;
        let meters = metered.then(|| Meters::claim(folder.path())).transpose()?;
        let gauge = |stream: &str| Gauge::new(meters.as_ref().and_then(|m| m.take(stream)), CHANNELS, RATE_HZ);
        let health = Arc::new(Health::default());
        let (mut tracks, mut inlets) = (Vec::new(), Vec::new());
        for place in 0..STREAMS {
            let (inlet, outlet) = queue(CHANNELS, 24_000, &health);
            let lane = Lane::new(Feed::new(outlet, RATE_HZ, RATE_HZ, BLOCK_FRAMES)?, true, BLOCK_FRAMES, 0);
            let name = format!("s{place}");
            let mut strip = Strip::new(RATE_HZ, CHANNELS, CHANNELS, GLIDE_SECONDS);
            strip.set_gain(0.5);
            strip.set_pan(if place % 2 == 0 { 0.3 } else { -0.3 });
            tracks.push(Track::new(lane, ring(folder.path(), &name)?, gauge(&name), strip, false));
            inlets.push(inlet);
        }
        let mix = Mix::new(ring(folder.path(), "mix")?, gauge("mix"), BLOCK_FRAMES, Master::default());
        let (tick, control) = Tick::new(tracks, mix, BLOCK_FRAMES, RATE_HZ);
        Ok(Self { tick, inlets, _control: control, folder, board })
    }

    /// Nanoseconds of one block.
    fn block(&mut self, number: usize) -> f64 {
        for (place, inlet) in self.inlets.iter_mut().enumerate() {
            // Together louder than full scale now and then: the limiter has work to do.
            let sample = |n: usize| 0.2 * (((n + number) * (place + 3)) as f32 * 0.01).sin();
            inlet.push(BLOCK_FRAMES, (0..BLOCK_FRAMES * CHANNELS).map(sample));
        }
        time(|| self.tick.run(false))
    }
}

fn ring(dir: &Path, stream: &str) -> Result<RingWriter> {
    let spec = RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: RATE_HZ,
        channels: u32::try_from(CHANNELS)?,
        capacity_frames: u64::from(RATE_HZ),
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    Ok(RingWriter::create(dir, &spec)?)
}

fn run(plan: &Plan) -> Result<Vec<Row>> {
    let blocks = plan.times(10_000);
    let (mut with, mut without) = (Rig::new(true)?, Rig::new(false)?);
    let (mut ours, mut bare, mut sums) = (Vec::with_capacity(blocks), Vec::with_capacity(blocks), Vec::new());
    let sound = vec![vec![0.01_f32; CHANNELS * BLOCK_FRAMES]; STREAMS];
    let mut sum = vec![0.0_f32; CHANNELS * BLOCK_FRAMES];
    let clock_ns = clock_cost();
    // The first lap through the rings takes page faults.
    let warm_up = 200;
    for number in 0..warm_up + blocks {
        let costs = (with.block(number) - clock_ns, without.block(number) - clock_ns);
        let sum_ns = time(|| {
            sum.fill(0.0);
            for planar in &sound {
                mix_into(&mut sum, CHANNELS, std::hint::black_box(planar), CHANNELS, BLOCK_FRAMES);
            }
            std::hint::black_box(&sum);
        }) - clock_ns;
        if number >= warm_up {
            ours.push(costs.0);
            bare.push(costs.1);
            sums.push(sum_ns);
        }
    }
    let meters = with.board.as_ref().map(Board::meters).context("a board")?;
    let last = meters.iter().find(|meter| meter.stream() == "mix").and_then(|meter| meter.newest());
    let loudness = last.and_then(|reading| reading.loudness).context("the mix has no loudness")?;
    ensure!(loudness.momentary.is_finite() && meters.len() == STREAMS + 1, "nothing was measured");
    ensure!(View::open(without.folder.path()).is_err(), "the peer has a board");
    let share = |ns: f64| ns / PERIOD_NS * 100.0;
    let [ours, bare, sum] = [ours, bare, sums].map(|mut costs| share(quantile(&mut costs, 0.5)));
    let row = |name: &str| Row::new(name, ours, "% of a core", blocks);
    Ok(vec![
        row(MEASURE.names[0]).against("a bare sum of them", sum),
        row(MEASURE.names[1]).against("the same tick without meters", bare),
    ])
}

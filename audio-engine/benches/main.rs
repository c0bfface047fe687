//! What the audio path costs inside one process. Rows go to standard output, a line of JSON each: `scripts/bench`
//! puts them into its table.
//!
//! `TMPDIR=/dev/shm cargo bench -p audio-engine -- [FILTER] [--quick]`; the rings lie in `TMPDIR`.

mod callback;
mod device;
mod latency;
mod mixed;
mod queues;
mod retimed;
mod rows;
mod streams;
mod transforms;

use rows::{Measure, Plan};
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

const RATE_HZ: u32 = 48_000;
const BLOCK_FRAMES: usize = 480;
const CHANNELS: usize = 2;
/// Nanoseconds of a period and of a block.
const PERIOD_NS: f64 = 1e7;

const MEASURES: &[Measure] = &[
    callback::MEASURE,
    latency::MEASURE,
    mixed::MEASURE,
    queues::MEASURE,
    retimed::MEASURE,
    streams::MEASURE,
    transforms::MEASURE,
];

fn main() -> ExitCode {
    let mut plan = Plan::default();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => plan.quick = true,
            // cargo's own.
            "--bench" => {}
            _ => plan.filter = argument,
        }
    }
    let mut code = ExitCode::SUCCESS;
    for measure in MEASURES {
        match plan.rows_of(measure) {
            Ok(rows) => {
                let mut out = std::io::stdout().lock();
                let written = rows.iter().try_for_each(|row| {
                    let line = serde_json::to_string(row).map_err(std::io::Error::other)?;
                    writeln!(out, "{line}").and_then(|()| out.flush())
                });
                if written.is_err() {
                    return ExitCode::FAILURE;
                }
            }
            Err(e) => {
                eprintln!("FAILED: {}: {e:#}", measure.names.join("; "));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Nanoseconds that `work` takes, the clock's own part included.
fn time(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64
}

/// What the clock itself takes in [`time`].
fn clock_cost() -> f64 {
    let mut costs: Vec<f64> = (0..10_000).map(|_| time(|| ())).collect();
    rows::quantile(&mut costs, 0.5)
}

/// Plain copies into memory of a given size, one place after the other: as a queue or a ring of this size is written.
struct Copies<T> {
    from: Vec<T>,
    to: Vec<T>,
    at: usize,
}

impl<T: Copy> Copies<T> {
    fn new(from: Vec<T>, to_len: usize) -> Self {
        let to = from.iter().copied().cycle().take(to_len - to_len % from.len()).collect();
        Self { from, to, at: 0 }
    }

    /// Nanoseconds of one copy.
    fn time(&mut self) -> f64 {
        let place = &mut self.to[self.at..self.at + self.from.len()];
        let cost = time(|| std::hint::black_box(place).copy_from_slice(std::hint::black_box(&self.from)));
        self.at = (self.at + self.from.len()) % self.to.len();
        cost
    }
}

//! From the begin of publishing until a sleeping reader in another process has the block in its own memory: the ring,
//! iceoryx2's publish/subscribe with an event, and a bare futex over plain copies. In turn, so that what disturbs one
//! disturbs all; writer and readers in the real-time class SCHED_FIFO. Once with processors that are kept awake, and once as
//! the machine lets them sleep: then what is seen is mostly the machine.

use crate::child::{self, Child};
use crate::iceoryx::{self, Shape, Side};
use crate::os::{self, Awake, Shared};
use crate::rows::{Measure, Plan, Row, quantile};
use crate::stage::{self, BLOCK_FRAMES, CHANNELS, Stage};
use anyhow::{Context, Result, bail, ensure};
use shm_layout::{FrameIndex, RingReader, Wait};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const MEASURE: Measure = Measure {
    names: &[
        "wake-up 480x2, beside iceoryx2, p50",
        "wake-up 480x2, beside iceoryx2, p99",
        "wake-up 480x2, beside a futex, p50",
        "wake-up 480x2, beside a futex, p99",
        "wake-up 480x2, processors asleep, beside iceoryx2, p50",
        "wake-up 480x2, processors asleep, beside iceoryx2, p99",
        "wake-up 480x2, processors asleep, beside a futex, p50",
        "wake-up 480x2, processors asleep, beside a futex, p99",
    ],
    run: measure,
};
/// The role of a reader that sleeps until a block comes.
pub(crate) const READER: &str = "wake";

const SAMPLES: usize = BLOCK_FRAMES * CHANNELS;
const PERIOD: Duration = Duration::from_millis(2);
const BLOCKS_A_ROUND: usize = 50;
const CAPACITY_FRAMES: usize = 48_000;
/// How long a reader sleeps before it looks whether the measurement is over.
const LOOK: Duration = Duration::from_millis(200);
const WATCHDOG: Duration = Duration::from_secs(5);
const KINDS: [&str; 3] = ["ring", "iceoryx2", "futex"];

/// Words of the board: whether it is over; the futex's own; when block n arrived, by reader.
const OVER: usize = 0;
const FUTEX: usize = 8;
const ARRIVED: usize = 16;
const BLOCKS_MAX: usize = 20_000;

fn shape() -> Shape {
    Shape { samples: SAMPLES, blocks: CAPACITY_FRAMES / BLOCK_FRAMES, readers: 1 }
}

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let real_time = os::be_real_time();
    if let Err(e) = &real_time {
        eprintln!("NOTE: wake-up is measured without the real-time class, which makes it slower for all: {e}");
    }
    let awake = Awake::hold();
    if let Err(e) = &awake {
        eprintln!("NOTE: wake-up is measured with processors that may sleep, which makes it slower for all: {e:#}");
    }
    let costs = rounds(plan.times(60), real_time.is_ok());
    let held = awake.is_ok();
    drop(awake);
    let asleep = if held { Some(rounds(plan.times(60), real_time.is_ok())) } else { None };
    os::be_usual();
    let class = if real_time.is_ok() { "SCHED_FIFO" } else { "SCHED_FIFO refused" };
    let mut rows = rows("wake-up 480x2", &format!("{class}, {}", if held { "awake" } else { "asleep" }), costs?);
    if let Some(costs) = asleep {
        rows.extend(self::rows("wake-up 480x2, processors asleep", &format!("{class}, asleep"), costs?));
    }
    Ok(rows)
}

fn rows(name: &str, how: &str, [mut ring, mut ice, mut futex]: [Vec<f64>; 3]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (peer, costs) in [("iceoryx2", &mut ice), ("a futex", &mut futex)] {
        for (part, label) in [(0.5, "p50"), (0.99, "p99")] {
            let row = Row::new(&format!("{name}, beside {peer}, {label}"), quantile(&mut ring, part), "us", ring.len());
            rows.push(row.against(&format!("{peer} ({how})"), quantile(costs, part)));
        }
    }
    rows
}

/// Microseconds of each block, by kind.
fn rounds(rounds: usize, real_time: bool) -> Result<[Vec<f64>; 3]> {
    let stage = Stage::new()?;
    let (board_path, board) = stage::board(&stage, SAMPLES)?;
    let root = stage.path().to_str().context("a path in Unicode")?;
    let mut ring = stage.ring(&stage::spec("wake", 48_000, CHANNELS, CAPACITY_FRAMES)?)?;
    let side = Side::new(root, std::process::id(), "wake", shape())?;
    let (publisher, notifier) = (side.publisher()?, side.notifier()?);
    let class = if real_time { "fifo" } else { "usual" };
    let readers = KINDS.iter().map(|kind| {
        let bench = std::process::id().to_string();
        Child::start(READER, &[kind.as_ref(), class.as_ref(), board_path.as_os_str(), root.as_ref(), bench.as_ref()])
    });
    let readers: Vec<Child> = readers.collect::<Result<_>>()?;
    let mut block = vec![0.25_f32; SAMPLES];
    let mut costs = [Vec::new(), Vec::new(), Vec::new()];
    ensure!(rounds * BLOCKS_A_ROUND <= BLOCKS_MAX, "too many blocks for the board");
    for round in 0..rounds {
        for (kind, costs) in costs.iter_mut().enumerate() {
            let mut begun = Vec::with_capacity(BLOCKS_A_ROUND);
            let first = round * BLOCKS_A_ROUND;
            for number in first..first + BLOCKS_A_ROUND {
                std::thread::sleep(PERIOD);
                block[0] = f32::from_bits(u32::try_from(number)?);
                begun.push(os::now_ns());
                match KINDS[kind] {
                    "ring" => ring.write(&block, BLOCK_FRAMES),
                    "iceoryx2" => {
                        iceoryx::send(&publisher, &block)?;
                        iceoryx::notify(&notifier)?;
                    }
                    _ => {
                        board.put(0, &block);
                        board.word(FUTEX).fetch_add(1, Ordering::Release);
                        board.wake(FUTEX);
                    }
                }
            }
            let arrived = arrivals(&board, kind, first..first + BLOCKS_A_ROUND)?;
            // The first blocks of a round find the caches full of another peer.
            for (begun, arrived) in begun.into_iter().zip(arrived).skip(BLOCKS_A_ROUND / 10) {
                costs.push(arrived.checked_sub(begun).context("it came before it was sent")? as f64 / 1_000.0);
            }
        }
    }
    board.word(OVER).store(1, Ordering::Release);
    readers.into_iter().try_for_each(Child::wait_end)?;
    Ok(costs)
}

/// When each of these blocks was in the reader's memory. A futex keeps only the newest: a block that was overtaken there
/// arrived with its successor.
fn arrivals(board: &Shared, kind: usize, blocks: Range<usize>) -> Result<Vec<u64>> {
    let at = |number: usize| board.word(ARRIVED + kind * BLOCKS_MAX + number).load(Ordering::Acquire);
    let begin = Instant::now();
    while at(blocks.end - 1) == 0 {
        ensure!(begin.elapsed() < WATCHDOG, "block {} did not reach the reader of {}", blocks.end - 1, KINDS[kind]);
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut next = 0;
    let mut arrived: Vec<u64> = blocks
        .rev()
        .map(|number| {
            next = if at(number) == 0 { next } else { at(number) };
            next
        })
        .collect();
    arrived.reverse();
    Ok(arrived)
}

/// Sleeps, takes every block, and notes when it has it.
pub(crate) fn read(args: &[String]) -> Result<()> {
    let [kind, class, board, root, bench] = args else { bail!("wake KIND CLASS BOARD ROOT BENCH") };
    let place = KINDS.iter().position(|name| name == kind).context("which kind?")?;
    let board = Shared::open(Path::new(board))?;
    if class == "fifo" {
        os::be_real_time()?;
    }
    let mut block = vec![0.0_f32; SAMPLES];
    let note = |block: &[f32]| {
        let at = os::now_ns();
        let number = block[0].to_bits() as usize;
        if number < BLOCKS_MAX {
            board.word(ARRIVED + place * BLOCKS_MAX + number).store(at, Ordering::Release);
        }
    };
    let over = || board.word(OVER).load(Ordering::Acquire) != 0;
    match kind.as_str() {
        "ring" => {
            let ring = RingReader::attach_stream(Path::new(root), "wake")?;
            let mut position = FrameIndex(0);
            child::ready()?;
            while !over() {
                if let Wait::Ready(commit) = ring.wait(position, LOOK) {
                    while position < commit {
                        ring.read(position, &mut block, BLOCK_FRAMES)?;
                        note(&block);
                        position = position.plus(BLOCK_FRAMES as u64);
                    }
                }
            }
        }
        "iceoryx2" => {
            let side = Side::new(root, bench.parse()?, "wake", shape())?;
            let (subscriber, listener) = (side.subscriber()?, side.listener()?);
            child::ready()?;
            while !over() {
                iceoryx::listen(&listener, LOOK)?;
                while iceoryx::take(&subscriber, &mut block)? {
                    note(&block);
                }
            }
        }
        _ => {
            let mut seen = 0;
            child::ready()?;
            while !over() {
                let word = board.word(FUTEX).load(Ordering::Acquire);
                if word == seen {
                    board.sleep(FUTEX, word, LOOK);
                    continue;
                }
                seen = word;
                board.get(0, &mut block);
                note(&block);
            }
        }
    }
    Ok(())
}

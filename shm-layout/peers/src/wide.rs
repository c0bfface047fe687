//! The widest stream there may be, 64 channels at 192 kHz in blocks of 10 ms, with four readers that wait for each block
//! and copy it: what they lose, and how much of a processor the writer takes.

use crate::child::{self, Child};
use crate::os::{self, Shared};
use crate::rows::{Measure, Plan, Row};
use crate::stage::{self, Copies, Stage};
use anyhow::{Context, Result, bail, ensure};
use shm_layout::{FrameIndex, ReadError, RingReader, Wait};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const MEASURE: Measure = Measure {
    names: &["64 ch x 192 kHz, 4 readers: frames lost", "64 ch x 192 kHz, 4 readers: the writer"],
    run: measure,
};
/// The role of a reader.
pub(crate) const READER: &str = "wide";

const RATE_HZ: u32 = 192_000;
const CHANNELS: usize = 64;
const BLOCK_FRAMES: usize = 1_920;
const PERIOD: Duration = Duration::from_millis(10);
/// Two seconds.
const CAPACITY_FRAMES: usize = 384_000;
const READERS: usize = 4;
const WATCHDOG: Duration = Duration::from_secs(10);

/// Words of the board: frames read and frames lost, by reader.
const READ: usize = 16;
const LOST: usize = 64;

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let seconds = if plan.quick { 10 } else { 60 };
    let blocks = seconds * 100;
    let stage = Stage::new()?;
    let (board_path, board) = stage::board(&stage, 0)?;
    let mut ring = stage.ring(&stage::spec("wide", RATE_HZ, CHANNELS, CAPACITY_FRAMES)?)?;
    let mut copies = Copies::new(CAPACITY_FRAMES * CHANNELS);
    let mut readers = Vec::new();
    for number in 0..READERS {
        let number = number.to_string();
        readers.push(Child::start(READER, &[ring.path().as_os_str(), board_path.as_os_str(), number.as_ref()])?);
    }
    let block: Vec<f32> = (0..BLOCK_FRAMES * CHANNELS).map(|n| (n % 997) as f32).collect();
    let (mut due, mut plain_ns, used_before) = (Instant::now(), 0, os::used_ns());
    let begin = due;
    for _ in 0..blocks {
        due += PERIOD;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        ring.write(&block, BLOCK_FRAMES);
        let before = os::used_ns();
        copies.copy(&block);
        plain_ns += os::used_ns() - before;
    }
    let ours_ns = os::used_ns() - used_before - plain_ns;
    let elapsed_ns = begin.elapsed().as_nanos() as f64;
    let committed = ring.next_frame().0;
    ring.close();
    readers.into_iter().try_for_each(Child::wait_end)?;
    let sum = |at: usize| (0..READERS).map(|n| board.word(at + n).load(Ordering::Acquire)).sum::<u64>();
    let (read, lost) = (sum(READ), sum(LOST));
    ensure!(
        read + lost == committed * READERS as u64,
        "{read} read and {lost} lost of {committed} by {READERS} readers"
    );
    let share = |ns: u64| ns as f64 / elapsed_ns * 100.0;
    Ok(vec![
        Row::new(MEASURE.names[0], lost as f64, "frames", usize::try_from(read + lost)?),
        Row::new(MEASURE.names[1], share(ours_ns), "% of a core", blocks)
            .against("memcpy of the same bytes", share(plain_ns)),
    ])
}

/// Waits for each block and copies it, to the ring's end.
pub(crate) fn read(args: &[String]) -> Result<()> {
    let [ring, board, number] = args else { bail!("wide RING BOARD NUMBER") };
    let ring = RingReader::attach(Path::new(ring))?;
    let board = Shared::open(Path::new(board))?;
    let number: usize = number.parse()?;
    let mut block = vec![0.0_f32; BLOCK_FRAMES * CHANNELS];
    let (mut position, mut read, mut lost) = (FrameIndex(0), 0, 0);
    child::ready()?;
    loop {
        match ring.wait(position, WATCHDOG) {
            Wait::Ready(commit) => {
                let frames = usize::try_from(commit.since(position))?.min(BLOCK_FRAMES);
                match ring.read(position, &mut block[..frames * CHANNELS], frames) {
                    Ok(()) => {
                        position = position.plus(frames as u64);
                        read += frames as u64;
                    }
                    Err(ReadError::Lost { from, to }) => {
                        lost += to.since(from);
                        position = to;
                    }
                    Err(e) => return Err(e.into()),
                }
            }
            Wait::Closed(_) => break,
            other => return Err(anyhow::anyhow!("{other:?}")).context("the ring did not end in order"),
        }
    }
    board.word(READ + number).store(read, Ordering::Release);
    board.word(LOST + number).store(lost, Ordering::Release);
    Ok(())
}

//! How many bytes reach the readers' own memory in a second, summed over the readers: the ring, iceoryx2's
//! publish/subscribe with an event, and memcpy. The writer never pauses, waits for nobody, and with each block wakes whoever
//! might sleep. Its readers are awake: each takes what there is, and gives its processor away when there was nothing for a
//! while. From the ring it may take several blocks in one read, as readers of rings do. Only whole ones count.
//!
//! memcpy: plain copies into planes of the same size and out of them. Its readers know where the writer is, nobody is woken,
//! and what is read may be torn.

use crate::child::{self, Child};
use crate::iceoryx::{self, Shape, Side};
use crate::os::Shared;
use crate::rows::{Measure, Plan, Row, quantile};
use crate::stage::{self, Stage};
use anyhow::{Context, Result, bail, ensure};
use shm_layout::{FrameIndex, ReadError, RingReader};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) const SMALL: Measure = Measure {
    names: &[
        "delivered 3840 B, 1 reader, beside iceoryx2",
        "delivered 3840 B, 1 reader, beside memcpy",
        "delivered 3840 B, 2 readers, beside iceoryx2",
        "delivered 3840 B, 2 readers, beside memcpy",
        "delivered 3840 B, 4 readers, beside iceoryx2",
        "delivered 3840 B, 4 readers, beside memcpy",
    ],
    // A second, 384 kB: iceoryx2 too has room for so many blocks, and uses the same few again and again.
    run: |plan| measure(plan, "3840 B", Size { channels: 2, frames: 480, blocks: 100 }),
};
pub(crate) const LARGE: Measure = Measure {
    names: &[
        "delivered 123 KB, 1 reader, beside iceoryx2",
        "delivered 123 KB, 1 reader, beside memcpy",
        "delivered 123 KB, 2 readers, beside iceoryx2",
        "delivered 123 KB, 2 readers, beside memcpy",
        "delivered 123 KB, 4 readers, beside iceoryx2",
        "delivered 123 KB, 4 readers, beside memcpy",
    ],
    // 64 MiB.
    run: |plan| measure(plan, "123 KB", Size { channels: 2, frames: 15_360, blocks: 546 }),
};
pub(crate) const WIDE: Measure = Measure {
    names: &[
        "delivered 123 KB in 64 planes, 1 reader, beside iceoryx2",
        "delivered 123 KB in 64 planes, 1 reader, beside memcpy",
        "delivered 123 KB in 64 planes, 2 readers, beside iceoryx2",
        "delivered 123 KB in 64 planes, 2 readers, beside memcpy",
        "delivered 123 KB in 64 planes, 4 readers, beside iceoryx2",
        "delivered 123 KB in 64 planes, 4 readers, beside memcpy",
    ],
    // 64 MiB, a piece of 1,920 B in each plane.
    run: |plan| measure(plan, "123 KB in 64 planes", Size { channels: 64, frames: 480, blocks: 546 }),
};
/// The role of a reader.
pub(crate) const READER: &str = "delivery";

const KINDS: [&str; 3] = ["ring", "iceoryx2", "memcpy"];
const WARM_UP: Duration = Duration::from_millis(60);
const WINDOW: Duration = Duration::from_millis(250);
/// How long a reader sleeps before it looks whether the measurement is over.
const LOOK: Duration = Duration::from_millis(100);
/// What a reader of the ring takes at once, where there is more than one block.
const AT_ONCE_SAMPLES: usize = 8 * 960;
/// As far as the ring's planes are apart.
const SKEW_SAMPLES: usize = 33 * 16;
/// How often a reader looks for a block before it gives its processor away.
const LOOKS_MAX: u32 = 200;

/// Words of the board: whose turn it is (its place in `KINDS` and 1; 0: nobody's); memcpy's position, in blocks; bytes
/// that a reader has got, each in a cache line of its own.
const TURN: usize = 0;
const OVER: usize = 8;
const POSITION: usize = 16;
const GOT: usize = 32;
const READERS_MAX: usize = 4;

#[derive(Clone, Copy)]
struct Size {
    channels: usize,
    /// Of a block.
    frames: usize,
    blocks: usize,
}

impl Size {
    const fn samples(self) -> usize {
        self.channels * self.frames
    }

    /// Where memcpy has the samples of a channel of a block. Planes that begin at the same line of the cache would drive one
    /// another out of it.
    const fn place(self, block: usize, channel: usize) -> usize {
        channel * (self.blocks * self.frames + SKEW_SAMPLES) + block % self.blocks * self.frames
    }
}

fn measure(plan: &Plan, what: &str, size: Size) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (readers, many) in [(1, "1 reader"), (2, "2 readers"), (4, "4 readers")] {
        let beside = |peer: &str| format!("delivered {what}, {many}, beside {peer}");
        if !KINDS.iter().skip(1).any(|peer| beside(peer).contains(&plan.filter)) {
            continue;
        }
        let rounds = plan.times(11).max(3);
        let [mut ring, mut ice, mut plain] = deliver(size, readers, rounds)?;
        for (peer, rates) in [("iceoryx2", &mut ice), ("memcpy", &mut plain)] {
            let row = Row::new(&beside(peer), quantile(&mut ring, 0.5), "GB/s", rounds);
            rows.push(row.against(peer, quantile(rates, 0.5)));
        }
    }
    Ok(rows)
}

/// Gigabytes a second, of each round, by kind.
fn deliver(size: Size, readers: usize, rounds: usize) -> Result<[Vec<f64>; 3]> {
    let stage = Stage::new()?;
    let root = stage.path().to_str().context("a path in Unicode")?;
    let (board_path, board) = stage::board(&stage, size.place(0, size.channels))?;
    let mut ring = stage.ring(&stage::spec("delivery", 48_000, size.channels, size.blocks * size.frames)?)?;
    let shape = Shape { samples: size.samples(), blocks: size.blocks, readers };
    let side = Side::new(root, std::process::id(), "delivery", shape)?;
    let (publisher, notifier) = (side.publisher()?, side.notifier()?);
    let bench = std::process::id().to_string();
    let [channels, frames, blocks, many] = [size.channels, size.frames, size.blocks, readers].map(|n| n.to_string());
    let mut children = Vec::new();
    for kind in KINDS {
        for number in 0..readers {
            let number = number.to_string();
            let args = [kind, root, &bench, &channels, &frames, &blocks, &many, &number];
            let mut args: Vec<&std::ffi::OsStr> = args.map(AsRef::as_ref).into();
            args.push(board_path.as_os_str());
            children.push(Child::start(READER, &args)?);
        }
    }
    let mut block = vec![0.25_f32; size.samples()];
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    let mut copied = 0;
    for _ in 0..rounds {
        for (place, rates) in rates.iter_mut().enumerate() {
            rates.push(match KINDS[place] {
                "ring" => turn(&board, place, readers, || {
                    number(&mut block, ring.next_frame().0 / size.frames as u64);
                    ring.write(&block, size.frames);
                    Ok(())
                })?,
                "iceoryx2" => turn(&board, place, readers, || {
                    iceoryx::send(&publisher, &block)?;
                    iceoryx::notify(&notifier)
                })?,
                _ => turn(&board, place, readers, || {
                    for (channel, samples) in block.chunks_exact(size.frames).enumerate() {
                        board.put(size.place(copied, channel), samples);
                    }
                    copied += 1;
                    board.word(POSITION).store(copied as u64, Ordering::Release);
                    Ok(())
                })?,
            });
        }
    }
    board.word(OVER).store(1, Ordering::Release);
    board.wake(TURN);
    children.into_iter().try_for_each(Child::wait_end)?;
    Ok(rates)
}

/// Writes its number into a block, modulo what a sample tells apart.
fn number(block: &mut [f32], number: u64) {
    block[0] = f32::from_bits(tag(number));
}

fn tag(number: u64) -> u32 {
    u32::try_from(number % (1 << 23)).unwrap_or_default()
}

/// Lets the readers of one kind run, writes without a pause, and returns what they got.
fn turn(board: &Shared, place: usize, readers: usize, mut write: impl FnMut() -> Result<()>) -> Result<f64> {
    board.word(TURN).store(place as u64 + 1, Ordering::Release);
    board.wake(TURN);
    let got = || (0..readers).map(|n| board.word(got_at(place, n)).load(Ordering::Relaxed)).sum::<u64>();
    let mut spend = |time: Duration| -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < time {
            for _ in 0..8 {
                write()?;
            }
        }
        Ok(())
    };
    spend(WARM_UP)?;
    let (begin, before) = (Instant::now(), got());
    spend(WINDOW)?;
    let (seconds, bytes) = (begin.elapsed().as_secs_f64(), got() - before);
    board.word(TURN).store(0, Ordering::Release);
    ensure!(bytes > 0, "{} delivered nothing", KINDS[place]);
    // The readers of the next turn have the processors for themselves.
    std::thread::sleep(Duration::from_millis(20));
    Ok(bytes as f64 / seconds / 1e9)
}

const fn got_at(place: usize, reader: usize) -> usize {
    GOT + (place * READERS_MAX + reader) * 8
}

/// Takes blocks when it is its kind's turn, until all is over.
pub(crate) fn read(args: &[String]) -> Result<()> {
    let [kind, root, bench, channels, frames, blocks, many, number, board] = args else { bail!("too few arguments") };
    let place = KINDS.iter().position(|name| name == kind).context("which kind?")?;
    let size = Size { channels: channels.parse()?, frames: frames.parse()?, blocks: blocks.parse()? };
    let board = Shared::open(Path::new(board))?;
    let reader = Reader { board: &board, place, got: got_at(place, number.parse()?), bytes: size.samples() as u64 * 4 };
    let mut block = vec![0.0_f32; size.samples()];
    match kind.as_str() {
        "ring" => {
            let ring = RingReader::attach_stream(Path::new(root), "delivery")?;
            let mut position = FrameIndex(0);
            let most = (AT_ONCE_SAMPLES / size.samples()).max(1);
            let mut blocks = vec![0.0_f32; size.samples() * most];
            reader.run(|| {
                let there = ring.commit().0.saturating_sub(position.0) / size.frames as u64;
                let take = usize::try_from(there)?.min(most);
                if take == 0 {
                    return Ok(0);
                }
                match ring.read(position, &mut blocks[..take * size.samples()], take * size.frames) {
                    Ok(()) => {
                        let number = position.0 / size.frames as u64;
                        ensure!(blocks[0].to_bits() == tag(number), "block {number} is another one");
                        position = position.plus((take * size.frames) as u64);
                        Ok(take as u64)
                    }
                    Err(ReadError::Lost { to, .. }) => {
                        position = FrameIndex(to.0.next_multiple_of(size.frames as u64));
                        Ok(0)
                    }
                    Err(e) => Err(e.into()),
                }
            })
        }
        "iceoryx2" => {
            let shape = Shape { samples: size.samples(), blocks: size.blocks, readers: many.parse()? };
            let side = Side::new(root, bench.parse()?, "delivery", shape)?;
            let (subscriber, listener) = (side.subscriber()?, side.listener()?);
            reader.run(|| {
                let taken = iceoryx::take(&subscriber, &mut block)?;
                if !taken {
                    // As one who is about to sleep.
                    iceoryx::listen(&listener, Duration::ZERO)?;
                }
                Ok(taken.into())
            })
        }
        _ => {
            let mut position = 0;
            reader.run(|| {
                let end = board.word(POSITION).load(Ordering::Acquire);
                if position == end {
                    return Ok(0);
                }
                if position + (size.blocks as u64) < end {
                    position = end - size.blocks as u64 * 63 / 64;
                }
                let number = usize::try_from(position)?;
                for (channel, samples) in block.chunks_exact_mut(size.frames).enumerate() {
                    board.get(size.place(number, channel), samples);
                }
                std::hint::black_box(&mut block);
                position += 1;
                Ok(1)
            })
        }
    }
}

struct Reader<'a> {
    board: &'a Shared,
    place: usize,
    got: usize,
    bytes: u64,
}

impl Reader<'_> {
    fn run(&self, mut take: impl FnMut() -> Result<u64>) -> Result<()> {
        child::ready()?;
        let got = self.board.word(self.got);
        let mut in_vain = 0_u32;
        loop {
            let turn = self.board.word(TURN).load(Ordering::Acquire);
            if turn == self.place as u64 + 1 {
                let blocks = take()?;
                if blocks > 0 {
                    // Nobody else writes it.
                    got.store(got.load(Ordering::Relaxed) + blocks * self.bytes, Ordering::Relaxed);
                    in_vain = 0;
                } else if in_vain < LOOKS_MAX {
                    in_vain += 1;
                    std::hint::spin_loop();
                } else {
                    in_vain = 0;
                    std::thread::yield_now();
                }
            } else if self.board.word(OVER).load(Ordering::Acquire) != 0 {
                return Ok(());
            } else {
                self.board.sleep(TURN, turn, LOOK);
            }
        }
    }
}

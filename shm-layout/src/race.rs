//! Writer, readers and prefaulter at once, over one mapping: what ThreadSanitizer looks at (`scripts/prove tsan`).
//!
//! It knows addresses. A reader that maps the file for itself, as all real ones do, has others than the writer, and
//! every race would go unseen; these readers share the writer's mapping. And it does not know the fence with which an
//! `Arc` is freed: so each thread is joined by its handle, and the mapping freed by the thread that joined them.

use crate::{Epoch, Extent, FrameIndex, ReadError, RingReader, RingSpec, RingWriter, SessionId, Wait, copy, v1};
use std::time::Duration;

const BLOCKS: u64 = 4_000;
const BLOCK_FRAMES: u64 = 33;
const WATCHDOG: Duration = Duration::from_secs(60);

/// What frame `index` holds.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn sample(index: u64) -> f32 {
    (index % (1 << 20)) as f32 + 1.0
}

fn block(from: u64, frames: u64) -> Vec<f32> {
    (0..2).flat_map(|_| (from..from + frames).map(sample)).collect()
}

fn len(frames: u64) -> usize {
    usize::try_from(frames).expect("few frames")
}

/// How many blocks were read whole, and how often the reader was lapped.
fn read_all(reader: &RingReader) -> (u64, u64) {
    let (mut position, mut whole, mut lapped) = (0, 0, 0);
    loop {
        match reader.wait(FrameIndex(position), WATCHDOG) {
            Wait::Ready(commit) => {
                let frames = (commit.0 - position).min(50);
                let mut out = vec![0.0; len(2 * frames)];
                // Every other time where they lie.
                let read = if whole % 2 == 0 {
                    reader.read(FrameIndex(position), &mut out, len(frames))
                } else {
                    let samples = reader.in_place(FrameIndex(position), len(frames), |seen| {
                        (0..2).flat_map(|channel| seen.samples(channel)).collect::<Vec<_>>()
                    });
                    samples.map(|samples| out = samples)
                };
                match read {
                    Ok(()) => {
                        assert_eq!(out, block(position, frames), "torn at {position}");
                        position += frames;
                        whole += 1;
                    }
                    Err(ReadError::Lost { to, .. }) => {
                        position = to.0;
                        lapped += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Wait::Closed(_) => return (whole, lapped),
            other => panic!("{other:?}"),
        }
    }
}

/// Table and overview, until the ring is closed.
fn look_at_the_rest(reader: &RingReader) -> usize {
    let mut seen = 0;
    let mut end = false;
    while !end {
        end = reader.wait(FrameIndex(u64::MAX - 1), Duration::ZERO) != Wait::TimedOut;
        for gap in reader.gaps(FrameIndex(0), FrameIndex(u64::MAX)) {
            assert_eq!(u64::from(gap.cause), gap.from.0 % 1_000, "a torn entry");
            seen += 1;
        }
        let _ = (reader.instant_of(FrameIndex(0)), reader.gap_frames(), reader.oldest());
        let bin = reader.commit().0 / 256;
        let mut extents = [Extent { min: 0.0, max: 0.0 }];
        if reader.read_overview(1, bin, &mut extents).is_ok() {
            assert!(extents[0].min.to_bits() == sample(bin * 256).to_bits() || bin * 256 >= 1 << 20, "{extents:?}");
            seen += 1;
        }
    }
    seen
}

#[test]
fn one_writer_and_its_readers() {
    // No sanitizer sees what vectors do: `scripts/prove` looks for this line.
    eprintln!("copies: {}", if copy::in_vectors() { "vectors" } else { "atomics" });
    let dir = tempfile::tempdir().expect("a folder");
    let spec = RingSpec {
        stream: "mic".into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels: 2,
        capacity_frames: 333,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: true,
    };
    let mut writer = RingWriter::create(dir.path(), &spec).expect("a ring");
    let (prefaulter, _until_all_are_joined) = (writer.prefaulter(), writer.prefaulter());
    let [reader, other, third] = [(); 3].map(|()| writer.reader_beside());
    std::thread::scope(|threads| {
        let reading = [threads.spawn(move || read_all(&reader)), threads.spawn(move || read_all(&other))];
        let looking = threads.spawn(move || look_at_the_rest(&third));
        let touching = threads.spawn(move || (0..50).for_each(|_| prefaulter.run()));
        for index in 0..BLOCKS {
            let from = index * BLOCK_FRAMES;
            if index % 3 == 0 {
                let cause = u32::try_from(from % 1_000).expect("below 1,000");
                writer.mark_gap(FrameIndex(from), FrameIndex(from + 1), cause);
            }
            writer.write(&block(from, BLOCK_FRAMES), len(BLOCK_FRAMES));
            // In bursts, so that readers are lapped, and catch up.
            if index % 40 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        writer.close();
        touching.join().expect("the prefaulter");
        let (mut whole, mut lapped) = (0, 0);
        for (w, l) in reading.map(|thread| thread.join().expect("a reader")) {
            (whole, lapped) = (whole + w, lapped + l);
        }
        assert!(whole > 0 && lapped > 0, "the case did not occur: {whole} whole, {lapped} times lapped");
        assert!(looking.join().expect("a reader") > 0, "no entry and no bin was seen");
    });
}

#[test]
fn version_1_and_its_reader() {
    let dir = tempfile::tempdir().expect("a folder");
    let info = v1::Info { sample_rate_hz: 48_000, channels: 2, capacity_frames: 300, write_frames: 30 };
    let mut writer = v1::Writer::create(&dir.path().join("old.ring"), info).expect("a ring");
    let reader = writer.reader_beside();
    let total = 4_000 * info.write_frames;
    std::thread::scope(|threads| {
        let reading = threads.spawn(move || {
            let (mut position, mut whole, mut lapped) = (0, 0, 0);
            let mut out = [0.0; 60];
            while position + 30 <= total {
                match reader.read(FrameIndex(position), &mut out, 30) {
                    Ok(()) => {
                        let written = block(position, 30);
                        assert!(out.iter().zip(&written).all(|(&a, &b)| a.to_bits() == f64::from(b).to_bits()));
                        position += 30;
                        whole += 1;
                    }
                    Err(ReadError::Lost { to, .. }) => {
                        position = to.0.next_multiple_of(30);
                        lapped += 1;
                    }
                    Err(ReadError::NotYet { .. }) => std::thread::yield_now(),
                    Err(other) => panic!("{other}"),
                }
            }
            (whole, lapped)
        });
        for write in 0..total / 30 {
            writer.write(&block(write * 30, 30));
            if write % 40 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let (whole, lapped) = reading.join().expect("a reader");
        assert!(whole > 0 && lapped > 0, "the case did not occur: {whole} whole, {lapped} times lapped");
    });
}

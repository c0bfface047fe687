//! Writes one epoch of a ring in the tests' pattern, until it is killed or its standard input says to close.
//!
//! `ring-writer FOLDER STREAM EPOCH FIRST_FRAME CAPACITY BLOCK_FRAMES PAUSE_US`

use anyhow::{Context, Result};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::{pattern_gaps, pattern_sample};

const CHANNELS: u32 = 2;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let dir = PathBuf::from(next("folder")?);
    let stream = next("stream")?;
    let mut number = |what| -> Result<u64> { Ok(next(what)?.parse()?) };
    let (epoch, first, capacity) = (number("epoch")?, number("first frame")?, number("capacity")?);
    let (block, pause) = (number("block")?, Duration::from_micros(number("pause")?));
    let spec = RingSpec {
        stream,
        session: SessionId(*b"the same session"),
        epoch: Epoch(epoch),
        previous_epoch: Some(Epoch(epoch - 1)).filter(|epoch| epoch.0 > 0),
        sample_rate_hz: 48_000,
        channels: CHANNELS,
        capacity_frames: capacity,
        first_frame: FrameIndex(first),
        labels: vec!["left".into(), "right".into()],
        overview: true,
    };
    let mut ring = RingWriter::create(&dir, &spec)?;
    let closing = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&closing);
    std::thread::spawn(move || {
        // A word, or the end of whoever started this.
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, Ordering::Relaxed);
    });
    while !closing.load(Ordering::Relaxed) {
        write_block(&mut ring, block);
        std::thread::sleep(pause);
    }
    ring.close();
    Ok(())
}

fn write_block(ring: &mut RingWriter, frames: u64) {
    let from = ring.next_frame().0;
    for (begin, end) in pattern_gaps(from, from + frames) {
        ring.mark_gap(FrameIndex(begin), FrameIndex(end), 5);
    }
    let channels = u64::from(CHANNELS);
    let planar: Vec<f32> =
        (0..channels).flat_map(|c| (from..from + frames).map(move |frame| pattern_sample(frame, c))).collect();
    ring.write(&planar, planar.len() / CHANNELS as usize);
}

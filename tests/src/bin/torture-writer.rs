//! A writer to be killed: writes the ramp into one epoch of a ring, again and again, until somebody ends it.
//!
//! `torture-writer FOLDER EPOCH FIRST_FRAME CHANNELS CAPACITY_FRAMES WRITE_FRAMES WRITES`: after so many writes (0: never) it
//! closes the ring and ends.

use anyhow::{Context, Result};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::time::Duration;
use system_tests::ramp;

/// Now and then readers have a turn; most of the time passes inside of writes, where the killer is to strike.
const PAUSE: Duration = Duration::from_micros(200);
const WRITES_BETWEEN_PAUSES: u64 = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, numbers @ ..] = &arguments[..] else { anyhow::bail!("arguments") };
    let numbers: Vec<u64> = numbers.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [epoch, first, channels, capacity, write, writes] = numbers[..] else { anyhow::bail!("six numbers") };
    let spec = RingSpec {
        stream: "torture".into(),
        session: SessionId([7; 16]),
        epoch: Epoch(epoch),
        previous_epoch: (epoch > 1).then(|| Epoch(epoch - 1)),
        sample_rate_hz: 48_000,
        channels: u32::try_from(channels)?,
        capacity_frames: capacity,
        first_frame: FrameIndex(first),
        labels: Vec::new(),
        overview: false,
    };
    let mut ring = RingWriter::create(Path::new(folder), &spec).context("ring")?;
    let frames = usize::try_from(write)?;
    let mut planar = vec![0.0; frames * usize::try_from(channels)?];
    for done in 1.. {
        ramp::fill(&mut planar, ring.next_frame().0, frames);
        ring.write(&planar, frames);
        if done == writes {
            break;
        }
        if done % WRITES_BETWEEN_PAUSES == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    ring.close();
    Ok(())
}

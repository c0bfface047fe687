//! Writes a ring in real time by a clock that is too fast, as another program would, until it is killed or its standard
//! input ends.
//!
//! `paced-writer FOLDER STREAM EPOCH FIRST_FRAME RATE_HZ CHANNELS PPM GAP_AT_S`: a tone of true time
//! (`system_tests::paced_sample`), in blocks of 10 ms, with one gap of 0.1 s where a time is given for it.

use anyhow::{Context, Result};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::{monotonic_s, paced_sample};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let (dir, stream) = (PathBuf::from(next("folder")?), next("stream")?);
    let (epoch, first): (u64, u64) = (next("epoch")?.parse()?, next("first frame")?.parse()?);
    let (rate_hz, channels): (u32, u32) = (next("rate")?.parse()?, next("channels")?.parse()?);
    let (ppm, gap_at_s): (f64, u64) = (next("ppm")?.parse()?, next("gap")?.parse()?);
    let spec = RingSpec {
        stream,
        session: SessionId(*b"somebody else's."),
        epoch: Epoch(epoch),
        previous_epoch: Some(Epoch(epoch - 1)).filter(|epoch| epoch.0 > 0),
        sample_rate_hz: rate_hz,
        channels,
        capacity_frames: u64::from(rate_hz),
        first_frame: FrameIndex(first),
        labels: Vec::new(),
        overview: false,
    };
    let mut ring = RingWriter::create(&dir, &spec)?;
    let closing = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&closing);
    std::thread::spawn(move || {
        // A word, or the end of whoever started this.
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, Ordering::Relaxed);
    });
    let true_hz = f64::from(rate_hz) * (1.0 + 1e-6 * ppm);
    let (born_s, block) = (monotonic_s(), u64::from(rate_hz / 100));
    let time_of = |frame: u64| born_s + (frame - first) as f64 / true_hz;
    let gap_from = first + gap_at_s * u64::from(rate_hz);
    let gap = gap_from..if gap_at_s > 0 { gap_from + u64::from(rate_hz / 10) } else { gap_from };
    while !closing.load(Ordering::Relaxed) {
        let from = ring.next_frame().0;
        let wait_s = time_of(from + block) - monotonic_s();
        std::thread::sleep(Duration::from_secs_f64(wait_s.max(0.0)));
        let sample = |frame: u64| if gap.contains(&frame) { 0.0 } else { paced_sample(time_of(frame)) };
        let (gap_from, gap_to) = (gap.start.max(from), gap.end.min(from + block));
        if gap_from < gap_to {
            ring.mark_gap(FrameIndex(gap_from), FrameIndex(gap_to), 2);
        }
        let planar: Vec<f32> = (0..channels).flat_map(|_| (from..from + block).map(sample)).collect();
        ring.write(&planar, usize::try_from(block)?);
    }
    ring.close();
    Ok(())
}

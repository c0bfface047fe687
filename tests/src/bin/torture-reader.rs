//! A reader to be stopped and killed: follows the torture ring through its epochs until it is closed, looks at every sample,
//! and counts. Prints one JSON object at its end.
//!
//! `torture-reader FOLDER [--trust]`: with `--trust` it believes what it copies without asking whether it was overwritten
//! meanwhile, always near the place of writing, for two seconds. That it finds wrong samples then shows that the others
//! can.

use anyhow::Result;
use serde_json::json;
use shm_layout::{Follow, Follower, FrameIndex, RingReader};
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::ramp;

const FRAMES_MAX: usize = 8_192;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().map_or(".", String::as_str));
    let counted = if arguments.iter().any(|argument| argument == "--trust") { trust(folder)? } else { follow(folder) };
    print(&counted)
}

#[expect(clippy::print_stdout, reason = "the answer")]
fn print(counted: &serde_json::Value) -> Result<()> {
    println!("{counted}");
    Ok(())
}

fn follow(folder: &Path) -> serde_json::Value {
    let mut follower = Follower::new(folder, "torture");
    let mut planar = Vec::new();
    let (mut read, mut lost, mut gaps, mut wrong, mut words, mut epochs, mut crashes) = (0, 0, 0, 0, 0, 0, 0);
    let mut begin = None;
    loop {
        match follower.next(&mut planar, FRAMES_MAX, Duration::from_secs(1)) {
            Follow::Frames { from, frames } => {
                wrong += ramp::wrong(&planar, from.0, frames);
                read += frames as u64;
                words += planar.len() as u64;
            }
            Follow::Lost { from, to } => lost += to.since(from),
            Follow::NewEpoch { gap, .. } => {
                begin.get_or_insert_with(|| follower.position());
                gaps += gap.map_or(0, |(from, to)| to.since(from));
                epochs += 1;
            }
            Follow::Crashed { .. } => crashes += 1,
            Follow::Waiting => {}
            Follow::Closed { at } => {
                return json!({
                    "begin": begin.map_or(0, |frame: FrameIndex| frame.0), "end": at.0, "read": read, "lost": lost,
                    "gaps": gaps, "wrong": wrong, "words": words, "epochs": epochs, "crashes": crashes,
                });
            }
        }
    }
}

fn trust(folder: &Path) -> Result<serde_json::Value> {
    let (mut wrong, mut looks, until) = (0, 0, Instant::now() + Duration::from_secs(2));
    while Instant::now() < until {
        let ring = RingReader::attach_stream(folder, "torture")?;
        let info = ring.info();
        let frames = FRAMES_MAX.min(usize::try_from(info.capacity_frames / 2)?);
        let oldest = FrameIndex(ring.commit().0.saturating_sub(info.capacity_frames)).max(info.first_frame);
        let mut planar = Vec::new();
        let _unasked = ring.in_place(oldest, frames, |there| {
            (0..info.channels as usize).for_each(|channel| planar.extend(there.samples(channel)));
        });
        wrong += ramp::wrong(&planar, oldest.0, frames);
        looks += 1;
    }
    Ok(json!({"wrong": wrong, "looks": looks}))
}

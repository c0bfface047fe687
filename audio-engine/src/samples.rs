//! `audio-engine samples`: a recording as plain samples, for programs that link no decoder.

use audio_dsp::downmix_to_mono;
use audio_engine::queue::Run;
use audio_engine::source;
use control_protocol::Exit;
use std::io::{BufWriter, Write};
use std::time::Duration;

const STEP_FRAMES: usize = 4_800;

/// Writes a recording to standard output: 16-bit little-endian samples, one channel, at this rate.
pub(crate) fn samples(path: &str, rate_hz: u32) -> Exit {
    let mut open = match source::open(&format!("file:{path}"), rate_hz, 0) {
        Ok(open) => open,
        Err(error) => {
            eprintln!("{error}");
            return error.exit;
        }
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut planar = vec![0.0_f32; STEP_FRAMES * open.channels];
    let mut mono = Vec::with_capacity(STEP_FRAMES);
    loop {
        open.outlet.refresh();
        match open.outlet.take(&mut planar, STEP_FRAMES, 0, STEP_FRAMES) {
            Run::Sound(frames) => {
                // The planes stand apart as if the step were full; what is behind the frames is of no account.
                mono.clear();
                downmix_to_mono(&planar, open.channels, STEP_FRAMES, &mut mono);
                if mono[..frames].iter().try_for_each(|&sample| out.write_all(&s16(sample).to_le_bytes())).is_err() {
                    return Exit::Incomplete;
                }
            }
            Run::Lost(..) => {}
            Run::Dry if open.outlet.is_finished() => break,
            Run::Dry => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    if out.flush().is_err() {
        return Exit::Incomplete;
    }
    match open.health.error() {
        Some(error) => {
            eprintln!("{}", error.reason);
            error.exit
        }
        None => Exit::Clean,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn s16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

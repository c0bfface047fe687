//! A source that is read, not heard: whoever reads it decides how fast it goes.

pub use sound_files::Frames;

use crate::queue::{Health, Inlet};
use audio_dsp::RateConverter;
use control_protocol::{Exit, SourceError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a source of this kind is read into its queue.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Its own rate.
    pub from_hz: u32,
    /// The engine's rate.
    pub to_hz: u32,
    /// Its channels.
    pub channels: usize,
    /// Frames at the engine's rate to leave out at the beginning.
    pub skip_frames: u64,
    /// Whether all of it is there already, so that its band need not be narrowed for haste.
    pub is_there: bool,
}

/// Frames that go into the queue at a time.
const PERIOD_FRAMES: usize = 1_024;
/// How long to wait while the queue is full: not long at first, for it may be used up fast, then twice as long each time. It
/// holds far more than is used up in real time meanwhile.
const FULL_WAIT_MIN: Duration = Duration::from_millis(2);
const FULL_WAIT_MAX: Duration = Duration::from_millis(32);

/// Reads everything into `inlet`, at the engine's rate, waiting while it is full. Ends the source's [`Health`] when
/// nothing is left, when reading fails, or when the engine wants it to stop. Runs in a thread of its own.
pub fn read_all(mut frames: Box<dyn Frames>, reading: Reading, mut inlet: Inlet) {
    let health = Arc::clone(inlet.health());
    // A decoder that trips over a file must end that file, and not leave the engine waiting.
    let reading = AssertUnwindSafe(|| read_until_end(frames.as_mut(), reading, &mut inlet, &health).err());
    let error = catch_unwind(reading).unwrap_or_else(|_| {
        Some(SourceError { reason: "the decoder failed inside this recording".into(), exit: Exit::Fault })
    });
    inlet.flush();
    health.end(error);
}

fn read_until_end(
    frames: &mut dyn Frames,
    reading: Reading,
    inlet: &mut Inlet,
    health: &Health,
) -> Result<(), SourceError> {
    let Reading { from_hz, to_hz, channels, mut skip_frames, is_there } = reading;
    let converter = if is_there { RateConverter::full_band } else { RateConverter::new };
    let mut converter =
        converter(from_hz, to_hz, channels).map_err(|e| SourceError { reason: e.to_string(), exit: Exit::Refused })?;
    let mut planar: Vec<Vec<f32>> = vec![Vec::new(); channels];
    let mut packed = Vec::new();
    let mut out: Vec<Vec<f32>> = vec![Vec::new(); channels];
    let mut result = Ok(true);
    while matches!(result, Ok(true)) && !health.stop.load(Ordering::Relaxed) {
        planar.iter_mut().for_each(Vec::clear);
        result = frames.next(&mut planar);
        packed.clear();
        planar.iter().for_each(|plane| packed.extend_from_slice(plane));
        converter.process(&packed, planar[0].len(), &mut out);
        if !matches!(result, Ok(true)) {
            converter.finish(&mut out);
        }
        push(&mut out, &mut skip_frames, inlet, health);
    }
    result.map(|_| ())
}

/// Pushes all of `out` and empties it.
fn push(out: &mut [Vec<f32>], skip_frames: &mut u64, inlet: &mut Inlet, health: &Health) {
    let frames = out[0].len();
    let mut at = usize::try_from(*skip_frames).unwrap_or(usize::MAX).min(frames);
    *skip_frames -= at as u64;
    while at < frames {
        let count = (frames - at).min(PERIOD_FRAMES);
        if inlet.room_frames() < count && !wait_for_room(count.max(inlet.capacity_frames() / 4), inlet, health) {
            return;
        }
        inlet.push(count, (at..at + count).flat_map(|frame| out.iter().map(move |plane| plane[frame])));
        at += count;
    }
    out.iter_mut().for_each(Vec::clear);
}

/// Waits until so many frames have room; `false` when nobody wants them any more.
fn wait_for_room(frames: usize, inlet: &Inlet, health: &Health) -> bool {
    let mut wait = FULL_WAIT_MIN;
    while inlet.room_frames() < frames {
        if health.stop.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(wait);
        wait = (2 * wait).min(FULL_WAIT_MAX);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Run, queue};

    /// Counts up; fails at the end, if it is to.
    struct Counter {
        next: u16,
        end: u16,
        error: Option<SourceError>,
    }

    impl Frames for Counter {
        fn next(&mut self, planar: &mut [Vec<f32>]) -> Result<bool, SourceError> {
            let end = (self.next + 700).min(self.end);
            for (channel, plane) in (0_u8..).zip(planar) {
                plane.extend((self.next..end).map(|n| f32::from(n) + f32::from(channel) * 0.5));
            }
            self.next = end;
            if end < self.end { Ok(true) } else { self.error.take().map_or(Ok(false), Err) }
        }
    }

    fn read(reading: Reading, counter: Counter) -> (Vec<f32>, Option<SourceError>) {
        let health = Arc::new(Health::default());
        let (inlet, mut outlet) = queue(reading.channels, 2_048, &health);
        let thread = std::thread::spawn(move || read_all(Box::new(counter), reading, inlet));
        let mut first = Vec::new();
        let mut planar = vec![0.0; 300 * reading.channels];
        while !outlet.is_finished() {
            match outlet.take(&mut planar, 300, 0, 300) {
                Run::Sound(frames) => first.extend_from_slice(&planar[..frames]),
                Run::Lost(..) => panic!("a source that is read loses nothing"),
                Run::Dry => std::thread::yield_now(),
            }
        }
        thread.join().unwrap();
        (first, health.error())
    }

    #[test]
    fn everything_arrives_through_a_small_queue() {
        let reading = Reading { from_hz: 16_000, to_hz: 16_000, channels: 2, skip_frames: 0, is_there: true };
        let (frames, error) = read(reading, Counter { next: 0, end: 20_000, error: None });
        assert_eq!(frames, (0..20_000_u16).map(f32::from).collect::<Vec<_>>());
        assert_eq!(error, None);
    }

    #[test]
    fn skipping_is_exact_also_at_another_rate() {
        let all = Reading { from_hz: 16_000, to_hz: 48_000, channels: 1, skip_frames: 0, is_there: true };
        let (whole, _) = read(all, Counter { next: 0, end: 20_000, error: None });
        assert_eq!(whole.len(), 60_000);
        let (rest, _) = read(Reading { skip_frames: 12_345, ..all }, Counter { next: 0, end: 20_000, error: None });
        assert_eq!(rest, whole[12_345..]);
        let (none, _) = read(Reading { skip_frames: 99_999, ..all }, Counter { next: 0, end: 20_000, error: None });
        assert_eq!(none, []);
    }

    #[test]
    fn what_was_read_before_an_error_arrives_and_the_error_is_told() {
        let reading = Reading { from_hz: 48_000, to_hz: 16_000, channels: 1, skip_frames: 0, is_there: true };
        let torn = Some(SourceError { reason: "torn".into(), exit: Exit::CutOff });
        let (frames, error) = read(reading, Counter { next: 0, end: 3_001, error: torn.clone() });
        assert_eq!(frames.len(), 1_001);
        assert_eq!(error, torn);
    }
}

//! A ring with tones, written in real time by a thread.

use anyhow::{Context, Result};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Blocks of a tenth of a second, after which tones of whole tens of hertz begin again.
const BLOCKS: u32 = 10;

/// What is written.
#[derive(Debug, Clone)]
pub struct Tones {
    /// The stream's name.
    pub stream: String,
    /// Its session.
    pub session: u8,
    /// Its epoch.
    pub epoch: u64,
    /// Frames a second, a multiple of 1,000.
    pub rate_hz: u32,
    /// Frequency (a multiple of 10 Hz) and amplitude of each channel.
    pub channels: Vec<(u32, f32)>,
    /// Its first frame.
    pub first: u64,
    /// Seconds of its history.
    pub history_s: f64,
    /// Seconds of sound that are there at once, before time begins to pass.
    pub ahead_s: f64,
    /// Names of its channels.
    pub labels: Vec<String>,
}

impl Tones {
    /// A stream of the first epoch, with 10 s of history, 2 s of which are there.
    #[must_use]
    pub fn new(stream: &str, rate_hz: u32, channels: &[(u32, f32)]) -> Self {
        Self {
            stream: stream.to_owned(),
            session: 1,
            epoch: 1,
            rate_hz,
            channels: channels.to_vec(),
            first: 0,
            history_s: 10.0,
            ahead_s: 2.0,
            labels: Vec::new(),
        }
    }

    /// Begins to write.
    ///
    /// # Errors
    /// When the ring cannot be made.
    pub fn start(&self, folder: &Path) -> Result<ToneWriter> {
        std::fs::create_dir_all(folder)?;
        let channels = u32::try_from(self.channels.len())?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a test")]
        let frames_of = |seconds: f64| (seconds * f64::from(self.rate_hz)) as u64;
        let spec = RingSpec {
            stream: self.stream.clone(),
            session: SessionId([self.session; 16]),
            epoch: Epoch(self.epoch),
            previous_epoch: Some(Epoch(self.epoch - 1)).filter(|epoch| epoch.0 > 0),
            sample_rate_hz: self.rate_hz,
            channels,
            capacity_frames: frames_of(self.history_s),
            first_frame: FrameIndex(self.first),
            labels: self.labels.clone(),
            overview: false,
        };
        let mut ring = RingWriter::create(folder, &spec).context("a ring")?;
        let block = self.rate_hz / 100;
        let blocks: Vec<Vec<f32>> = (0..BLOCKS).map(|number| self.block(number * block, block)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let (ahead, frames) = (frames_of(self.ahead_s) / u64::from(block), usize::try_from(block)?);
        let thread = std::thread::spawn(move || {
            let begin = Instant::now();
            let mut numbers = (0_u64..).zip(blocks.iter().cycle());
            numbers
                .by_ref()
                .take(usize::try_from(ahead).unwrap_or(0))
                .for_each(|(_, planar)| ring.write(planar, frames));
            for (number, planar) in numbers {
                if asked.load(Ordering::Relaxed) {
                    break;
                }
                let due = begin + Duration::from_millis(10) * u32::try_from(number + 1 - ahead).unwrap_or(u32::MAX);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                ring.write(planar, frames);
            }
            let end = ring.next_frame().0;
            ring.close();
            end
        });
        Ok(ToneWriter { stop, thread: Some(thread) })
    }

    fn block(&self, from: u32, frames: u32) -> Vec<f32> {
        let sample = |hz: u32, amplitude: f32, frame: u32| {
            let turns = f64::from(hz) * f64::from(frame) / f64::from(self.rate_hz);
            #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
            let sample = (std::f64::consts::TAU * turns.fract()).sin() as f32;
            amplitude * sample
        };
        let channels = self.channels.iter();
        channels
            .flat_map(|&(hz, amplitude)| (from..from + frames).map(move |frame| sample(hz, amplitude, frame)))
            .collect()
    }
}

/// A ring that is being written. Dropped, it is closed.
#[derive(Debug)]
pub struct ToneWriter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl ToneWriter {
    /// Closes the ring; returns one past its last frame.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn close(&mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("closed twice")?;
        thread.join().ok().context("the writer panicked")
    }
}

impl Drop for ToneWriter {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _closed = self.close();
        }
    }
}

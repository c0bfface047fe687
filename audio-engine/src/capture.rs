//! The device callback: samples of any format become f32 in the queue.
//!
//! Real devices and virtual ones end here, in the same code. It allocates nothing, takes no lock, logs
//! nothing and makes no system call, but for its first call, which says on what thread it is; what time it is, it reads
//! where the kernel shows it (vDSO).

use crate::queue::{Health, Inlet};
use crate::rt::{self, CallbackThread};
use control_protocol::GapCause;
use cpal::{Data, ErrorKind, InputCallbackInfo, SampleFormat, StreamInstant};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The state of one stream's callback.
#[derive(Debug)]
pub struct Capture {
    inlet: Inlet,
    sample_rate_hz: u32,
    /// When the frame after the last one is due, on the stream's own clock.
    expected: Option<StreamInstant>,
    xruns_seen: u64,
    thread: Arc<CallbackThread>,
}

/// The longest loss that one xrun is believed to be.
const XRUN_SECONDS_MAX: f64 = 10.0;

impl Capture {
    /// A callback that fills `inlet` at this rate.
    #[must_use]
    pub fn new(inlet: Inlet, sample_rate_hz: u32) -> Self {
        let xruns_seen = inlet.health().xruns.load(Ordering::Relaxed);
        Self { inlet, sample_rate_hz, expected: None, xruns_seen, thread: Arc::default() }
    }

    /// On what thread it is called, for who may promote that.
    #[must_use]
    pub fn thread(&self) -> Arc<CallbackThread> {
        Arc::clone(&self.thread)
    }

    /// Takes one period. A last, incomplete frame is not taken.
    ///
    /// # Real time
    /// Wait-free; see [`CallbackThread::is_this`] for the first call.
    #[cfg_attr(rtsan, sanitize(realtime = "nonblocking"))]
    pub fn on_period(&mut self, period: &Data, info: &InputCallbackInfo) {
        // When the device called, not when it says that it captured: that clock is known from none of them.
        let at_ns = rt::now_ns();
        self.thread.is_this();
        let frames = period.len() / self.inlet.channels();
        self.inlet.health().frames.fetch_add(frames as u64, Ordering::Relaxed);
        let (stamp, length) = (info.timestamp(), self.length(frames));
        self.note_xrun(stamp.capture);
        let age = stamp.callback.checked_duration_since(stamp.capture);
        self.inlet.health().delays.saw_period(age, length);
        self.expected = stamp.capture.checked_add(length);
        if self.inlet.health().stop.load(Ordering::Relaxed) {
            return;
        }
        match period.sample_format() {
            SampleFormat::F32 => self.push::<f32>(at_ns, period, frames),
            SampleFormat::F64 => self.push::<f64>(at_ns, period, frames),
            SampleFormat::I8 => self.push::<i8>(at_ns, period, frames),
            SampleFormat::I16 => self.push::<i16>(at_ns, period, frames),
            SampleFormat::I24 => self.push::<cpal::I24>(at_ns, period, frames),
            SampleFormat::I32 => self.push::<i32>(at_ns, period, frames),
            SampleFormat::I64 => self.push::<i64>(at_ns, period, frames),
            SampleFormat::U8 => self.push::<u8>(at_ns, period, frames),
            SampleFormat::U16 => self.push::<u16>(at_ns, period, frames),
            SampleFormat::U24 => self.push::<cpal::U24>(at_ns, period, frames),
            SampleFormat::U32 => self.push::<u32>(at_ns, period, frames),
            SampleFormat::U64 => self.push::<u64>(at_ns, period, frames),
            // DSD is refused when the stream is opened.
            _ => self.inlet.lose(frames as u64, GapCause::Overrun),
        }
    }

    fn push<T>(&mut self, at_ns: u64, period: &Data, frames: usize)
    where
        T: cpal::SizedSample,
        f32: cpal::FromSample<T>,
    {
        let samples = period.as_slice::<T>().unwrap_or_default();
        self.inlet.push_at(at_ns, frames, samples.iter().map(|sample| sample.to_sample::<f32>()));
    }

    /// After an xrun the device's own timestamps say how much is missing.
    fn note_xrun(&mut self, capture: StreamInstant) {
        let xruns = self.inlet.health().xruns.load(Ordering::Relaxed);
        if xruns != self.xruns_seen {
            self.xruns_seen = xruns;
            if let Some(missing) = self.expected.and_then(|expected| capture.checked_duration_since(expected)) {
                let seconds = missing.as_secs_f64().min(XRUN_SECONDS_MAX);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 10 s of frames")]
                let frames = (seconds * f64::from(self.sample_rate_hz)).round() as u64;
                self.inlet.lose(frames, GapCause::Xrun);
            }
        }
    }

    fn length(&self, frames: usize) -> Duration {
        Duration::from_nanos(frames as u64 * 1_000_000_000 / u64::from(self.sample_rate_hz))
    }
}

/// What the device's error callback does: counters and flags, nothing else.
pub fn on_error(health: &Arc<Health>, error: &cpal::Error) {
    match error.kind() {
        ErrorKind::Xrun => {
            health.xruns.fetch_add(1, Ordering::Relaxed);
        }
        ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable => {
            health.gone.store(true, Ordering::Relaxed);
        }
        // The stream goes on.
        _ => {}
    }
}

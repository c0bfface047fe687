//! An output without hardware: it plays into a file, at its own rate, with faults on request. For tests.

#![expect(unsafe_code, reason = "cpal takes samples from callbacks by raw pointer")]

use crate::rt;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    Data, DeviceDescription, DeviceDescriptionBuilder, DeviceDirection, DeviceId, Error, ErrorKind, FrameCount,
    InputCallbackInfo, OutputCallbackInfo, OutputStreamTimestamp, SampleFormat, StreamConfig, StreamInstant,
    SupportedBufferSize, SupportedStreamConfig, SupportedStreamConfigRange,
};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Such an output, and the faults it is to have. Times count from when it was first opened.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualOutputSpec {
    /// Where it plays to, as 32-bit floats, little-endian, interleaved; appended to what is there.
    pub path: Option<PathBuf>,
    /// Its rate, in Hz; `None` is the engine's.
    pub sample_rate_hz: Option<u32>,
    /// Its channels.
    pub channels: u32,
    /// Frames of one callback.
    pub period_frames: u32,
    /// How much its clock is faster than ours, in parts per million.
    pub drift_ppm: f64,
    /// Its callbacks fall silent after so many seconds…
    pub stall_after_s: Option<f64>,
    /// …for so long. Nothing is reported.
    pub stall_s: f64,
    /// It disappears after so many seconds…
    pub vanish_after_s: Option<f64>,
    /// …and can be opened again so many seconds later.
    pub return_after_s: Option<f64>,
    /// Another program has it for so many seconds.
    pub busy_s: f64,
    /// It says when an impulse is heard.
    pub listens: bool,
}

impl Default for VirtualOutputSpec {
    fn default() -> Self {
        Self {
            path: None,
            sample_rate_hz: None,
            channels: 2,
            period_frames: 480,
            drift_ppm: 0.0,
            stall_after_s: None,
            stall_s: f64::INFINITY,
            vanish_after_s: None,
            return_after_s: None,
            busy_s: 0.0,
            listens: false,
        }
    }
}

/// The device. Clones are the same device.
#[derive(Debug, Clone)]
pub struct VirtualOutput {
    spec: Arc<VirtualOutputSpec>,
    sample_rate_hz: u32,
    /// When it was first opened, on `CLOCK_MONOTONIC` in nanoseconds; 0 before.
    born_ns: Arc<AtomicU64>,
    /// When the last impulse was heard, the same way.
    impulse_ns: Arc<AtomicU64>,
}

/// Less than half of what an impulse has that went through two resamplers.
const IMPULSE_MIN: f32 = 0.15;
/// What comes so soon after an impulse is its own end.
const IMPULSES_APART_NS: u64 = 100_000_000;

impl VirtualOutput {
    /// A device of this rate.
    #[must_use]
    pub fn new(spec: VirtualOutputSpec, engine_rate_hz: u32) -> Self {
        let sample_rate_hz = spec.sample_rate_hz.unwrap_or(engine_rate_hz);
        Self { spec: Arc::new(spec), sample_rate_hz, born_ns: Arc::default(), impulse_ns: Arc::default() }
    }

    /// When the last impulse was heard, on `CLOCK_MONOTONIC` in nanoseconds, where it listens and there was one.
    #[must_use]
    pub fn last_impulse_ns(&self) -> Option<u64> {
        Some(self.impulse_ns.load(Ordering::Relaxed)).filter(|&at_ns| at_ns > 0)
    }

    /// Listens to a period that begins to be played at this time.
    fn listen(&self, period: &[f32], begin_ns: u64) {
        let channels = self.spec.channels as usize;
        let heard = period.iter().step_by(channels).map(|sample| sample.abs()).enumerate();
        let Some((frame, peak)) = heard.max_by(|(_, a), (_, b)| a.total_cmp(b)) else { return };
        let at_ns = begin_ns + frame as u64 * 1_000_000_000 / u64::from(self.sample_rate_hz);
        if peak >= IMPULSE_MIN && at_ns >= self.impulse_ns.load(Ordering::Relaxed) + IMPULSES_APART_NS {
            self.impulse_ns.store(at_ns, Ordering::Relaxed);
        }
    }

    /// For people.
    #[must_use]
    pub fn name(&self) -> String {
        self.spec.path.as_ref().map_or_else(|| "virtual".into(), |path| format!("virtual {}", path.display()))
    }

    /// The form in which it is opened.
    #[must_use]
    pub fn config(&self) -> StreamConfig {
        StreamConfig {
            channels: u16::try_from(self.spec.channels).unwrap_or(u16::MAX),
            sample_rate: self.sample_rate_hz,
            buffer_size: cpal::BufferSize::Fixed(self.spec.period_frames),
        }
    }

    fn range(&self) -> SupportedStreamConfigRange {
        let (period, rate_hz) = (self.spec.period_frames, self.sample_rate_hz);
        let buffer = SupportedBufferSize::Range { min: period, max: period };
        SupportedStreamConfigRange::new(self.config().channels, rate_hz, rate_hz, buffer, SampleFormat::F32)
    }

    /// Seconds since it was first opened.
    fn age_s(&self) -> f64 {
        let now_ns = rt::now_ns();
        let born_ns = match self.born_ns.compare_exchange(0, now_ns, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now_ns,
            Err(born_ns) => born_ns,
        };
        now_ns.saturating_sub(born_ns) as f64 * 1e-9
    }

    fn is_away(&self, age_s: f64) -> bool {
        let back_s = self.spec.return_after_s.unwrap_or(f64::INFINITY);
        self.spec.vanish_after_s.is_some_and(|gone_s| age_s >= gone_s && age_s < gone_s + back_s)
    }

    fn is_stalled(&self, age_s: f64) -> bool {
        self.spec.stall_after_s.is_some_and(|stall_s| age_s >= stall_s && age_s < stall_s + self.spec.stall_s)
    }
}

impl PartialEq for VirtualOutput {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.born_ns, &other.born_ns)
    }
}

impl Eq for VirtualOutput {}

impl std::hash::Hash for VirtualOutput {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.born_ns).hash(state);
    }
}

impl fmt::Display for VirtualOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl DeviceTrait for VirtualOutput {
    type SupportedInputConfigs = std::iter::Empty<SupportedStreamConfigRange>;
    type SupportedOutputConfigs = std::iter::Once<SupportedStreamConfigRange>;
    type Stream = VirtualOutputStream;

    fn description(&self) -> Result<DeviceDescription, Error> {
        Ok(DeviceDescriptionBuilder::new(self.name()).direction(DeviceDirection::Output).build())
    }

    fn id(&self) -> Result<DeviceId, Error> {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn supported_input_configs(&self) -> Result<Self::SupportedInputConfigs, Error> {
        Ok(std::iter::empty())
    }

    fn supported_output_configs(&self) -> Result<Self::SupportedOutputConfigs, Error> {
        Ok(std::iter::once(self.range()))
    }

    fn default_input_config(&self) -> Result<SupportedStreamConfig, Error> {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn default_output_config(&self) -> Result<SupportedStreamConfig, Error> {
        Ok(self.range().with_max_sample_rate())
    }

    fn build_input_stream_raw<D, E>(
        &self,
        _config: StreamConfig,
        _sample_format: SampleFormat,
        _on_period: D,
        _on_error: E,
        _timeout: Option<Duration>,
    ) -> Result<Self::Stream, Error>
    where
        D: FnMut(&Data, &InputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn build_output_stream_raw<D, E>(
        &self,
        config: StreamConfig,
        sample_format: SampleFormat,
        on_period: D,
        on_error: E,
        _timeout: Option<Duration>,
    ) -> Result<Self::Stream, Error>
    where
        D: FnMut(&mut Data, &OutputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        if config != self.config() || sample_format != SampleFormat::F32 {
            return Err(ErrorKind::UnsupportedConfig.into());
        }
        let age_s = self.age_s();
        if age_s < self.spec.busy_s {
            return Err(ErrorKind::DeviceBusy.into());
        }
        if self.is_away(age_s) {
            return Err(ErrorKind::DeviceNotAvailable.into());
        }
        let file = self.spec.path.as_ref().map(|path| File::options().create(true).append(true).open(path));
        let file = file.transpose().map_err(|e| Error::with_message(ErrorKind::PermissionDenied, e.to_string()))?;
        let over = Arc::new(AtomicBool::new(false));
        let (device, theirs) = (self.clone(), Arc::clone(&over));
        let thread = std::thread::Builder::new().name("virtual output".into());
        thread
            .spawn(move || device.run(file, &theirs, on_period, on_error))
            .map_err(|e| Error::with_message(ErrorKind::ResourceExhausted, e.to_string()))?;
        Ok(VirtualOutputStream { over, period_frames: self.spec.period_frames })
    }
}

impl VirtualOutput {
    /// The device's thread: asks for a period whenever one is due.
    fn run(
        &self,
        mut file: Option<File>,
        over: &AtomicBool,
        mut on_period: impl FnMut(&mut Data, &OutputCallbackInfo),
        mut on_error: impl FnMut(Error),
    ) {
        let frames = self.spec.period_frames as usize;
        let mut period = vec![0.0_f32; frames * self.spec.channels as usize];
        let period_ns = frames as f64 / f64::from(self.sample_rate_hz) / (1.0 + self.spec.drift_ppm * 1e-6) * 1e9;
        let (begin_ns, mut periods) = (rt::now_ns(), 0_u64);
        while !over.load(Ordering::Acquire) {
            periods += 1;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of this session")]
            let due_ns = begin_ns + (periods as f64 * period_ns) as u64;
            rt::sleep_until(due_ns);
            let age_s = self.age_s();
            if self.is_away(age_s) {
                return on_error(ErrorKind::DeviceNotAvailable.into());
            }
            if self.is_stalled(age_s) {
                continue;
            }
            let now = StreamInstant::from_nanos(due_ns);
            let info = OutputCallbackInfo::new(OutputStreamTimestamp { callback: now, playback: now });
            // SAFETY: `period` holds this many initialised f32, outlives the call, and nobody else refers to it meanwhile.
            let mut data = unsafe { Data::from_parts(period.as_mut_ptr().cast(), period.len(), SampleFormat::F32) };
            on_period(&mut data, &info);
            if self.spec.listens {
                self.listen(&period, due_ns);
            }
            let bytes: Vec<u8> = period.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            if file.as_mut().is_some_and(|file| file.write_all(&bytes).is_err()) {
                return on_error(ErrorKind::DeviceNotAvailable.into());
            }
        }
    }
}

/// An open stream; dropping it stops the device's thread, without waiting for it.
#[derive(Debug)]
pub struct VirtualOutputStream {
    over: Arc<AtomicBool>,
    period_frames: u32,
}

impl StreamTrait for VirtualOutputStream {
    /// It plays already.
    fn play(&self) -> Result<(), Error> {
        Ok(())
    }

    fn pause(&self) -> Result<(), Error> {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn buffer_size(&self) -> Result<FrameCount, Error> {
        Ok(self.period_frames)
    }

    fn now(&self) -> StreamInstant {
        StreamInstant::from_nanos(rt::now_ns())
    }
}

impl Drop for VirtualOutputStream {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

//! A cpal device without hardware: paced by deadlines on its own thread, with faults on request.
//!
//! It is the base of all tests that need sound: exact on any machine, and it can drop periods (xruns),
//! run too fast or too slow (drift) and disappear. Capture from it is capture from any other device. Without drift it has
//! no clock of its own: it keeps the tick's time, so that none of its frames need be resampled.

#![expect(unsafe_code, reason = "cpal hands samples to callbacks by raw pointer")]

use crate::queue::Health;
use crate::rt;
use crate::uri::{SignalKind, VirtualSpec};
use audio_dsp::{Signal, SignalSource, is_impulse};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    Data, DeviceDescription, DeviceDescriptionBuilder, DeviceDirection, DeviceId, Error, ErrorKind, FrameCount,
    FromSample, I24, InputCallbackInfo, InputStreamTimestamp, OutputCallbackInfo, SampleFormat, SizedSample,
    StreamConfig, StreamInstant, SupportedBufferSize, SupportedStreamConfig, SupportedStreamConfigRange, U24,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The device. Clones are the same device.
#[derive(Debug, Clone)]
pub struct VirtualDevice {
    spec: Arc<VirtualSpec>,
    sample_rate_hz: u32,
    first_frame: u64,
    /// Whose engine's time it keeps.
    kept: Option<Arc<Health>>,
    /// Who is told when an impulse sounds.
    source: Option<Arc<Health>>,
    life: Arc<Life>,
}

/// What outlives a stream of the device.
#[derive(Debug, Default)]
struct Life {
    /// When its first stream began to play, 0 before: the device's own time.
    born_ns: AtomicU64,
    /// When it disappeared, 0 before.
    vanished_ns: AtomicU64,
    /// Its signal has come to its end and was delivered.
    finished: AtomicBool,
    /// Frames it dropped in xruns.
    dropped_frames: AtomicU64,
}

impl VirtualDevice {
    /// A device whose signal begins with `first_frame` (at its own rate).
    #[must_use]
    pub fn new(spec: VirtualSpec, sample_rate_hz: u32, first_frame: u64) -> Self {
        Self { spec: Arc::new(spec), sample_rate_hz, first_frame, kept: None, source: None, life: Arc::default() }
    }

    /// Keeps the time of the tick that takes this source's frames.
    #[must_use]
    pub fn in_time_with(self, source: &Arc<Health>) -> Self {
        Self { kept: Some(Arc::clone(source)), ..self }
    }

    /// Tells this source when its impulses sound.
    #[must_use]
    pub fn heard_by(self, source: &Arc<Health>) -> Self {
        Self { source: Some(Arc::clone(source)), ..self }
    }

    /// Whether its signal has come to its end and was delivered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.life.finished.load(Ordering::Acquire)
    }

    /// Frames it dropped in xruns so far.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.life.dropped_frames.load(Ordering::Relaxed)
    }

    /// By how much its time is behind `CLOCK_MONOTONIC`, in nanoseconds.
    fn late_ns(&self) -> i64 {
        self.kept.as_ref().map_or(0, |source| source.tick_late_ns.load(Ordering::Relaxed))
    }

    /// Its time, in nanoseconds.
    fn now_ns(&self) -> u64 {
        rt::now_ns().saturating_add_signed(-self.late_ns())
    }

    fn name(&self) -> String {
        format!("virtual {}", self.spec.signal)
    }

    /// Its rate and channels now: it may come back with others.
    fn form(&self) -> (u32, u32) {
        let has_vanished = self.life.vanished_ns.load(Ordering::Relaxed) > 0;
        let now = |before: u32, then: Option<u32>| then.filter(|_| has_vanished).unwrap_or(before);
        (now(self.sample_rate_hz, self.spec.return_rate_hz), now(self.spec.channels, self.spec.return_channels))
    }

    fn range(&self) -> SupportedStreamConfigRange {
        let period = self.spec.period_frames;
        let (rate_hz, channels) = self.form();
        SupportedStreamConfigRange::new(
            u16::try_from(channels).unwrap_or(u16::MAX),
            rate_hz,
            rate_hz,
            SupportedBufferSize::Range { min: period, max: period },
            self.spec.format,
        )
    }

    fn is_away(&self) -> bool {
        let vanished_ns = self.life.vanished_ns.load(Ordering::Relaxed);
        let Some(back_after_s) = self.spec.return_after_s else { return vanished_ns > 0 };
        vanished_ns > 0 && rt::now_ns() < vanished_ns + nanoseconds(back_after_s)
    }
}

impl PartialEq for VirtualDevice {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.life, &other.life)
    }
}

impl Eq for VirtualDevice {}

impl std::hash::Hash for VirtualDevice {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.life).hash(state);
    }
}

impl fmt::Display for VirtualDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl DeviceTrait for VirtualDevice {
    type SupportedInputConfigs = std::iter::Once<SupportedStreamConfigRange>;
    type SupportedOutputConfigs = std::iter::Empty<SupportedStreamConfigRange>;
    type Stream = VirtualStream;

    fn description(&self) -> Result<DeviceDescription, Error> {
        Ok(DeviceDescriptionBuilder::new(self.name()).direction(DeviceDirection::Input).build())
    }

    fn id(&self) -> Result<DeviceId, Error> {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn supports_input(&self) -> bool {
        true
    }

    fn supports_output(&self) -> bool {
        false
    }

    fn supported_input_configs(&self) -> Result<Self::SupportedInputConfigs, Error> {
        Ok(std::iter::once(self.range()))
    }

    fn supported_output_configs(&self) -> Result<Self::SupportedOutputConfigs, Error> {
        Ok(std::iter::empty())
    }

    fn default_input_config(&self) -> Result<SupportedStreamConfig, Error> {
        Ok(self.range().with_max_sample_rate())
    }

    fn default_output_config(&self) -> Result<SupportedStreamConfig, Error> {
        Err(ErrorKind::UnsupportedOperation.into())
    }

    fn build_input_stream_raw<D, E>(
        &self,
        config: StreamConfig,
        sample_format: SampleFormat,
        on_period: D,
        on_error: E,
        _timeout: Option<Duration>,
    ) -> Result<Self::Stream, Error>
    where
        D: FnMut(&Data, &InputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        let same = (config.sample_rate, u32::from(config.channels)) == self.form() && sample_format == self.spec.format;
        if !same {
            return Err(ErrorKind::UnsupportedConfig.into());
        }
        if self.is_away() {
            return Err(ErrorKind::DeviceNotAvailable.into());
        }
        let switch = Arc::new(Switch::default());
        let player = Player { device: self.clone(), switch: Arc::clone(&switch) };
        let run: Box<dyn FnOnce() + Send> = match sample_format {
            SampleFormat::F32 => Box::new(move || player.play::<f32>(on_period, on_error)),
            SampleFormat::F64 => Box::new(move || player.play::<f64>(on_period, on_error)),
            SampleFormat::I8 => Box::new(move || player.play::<i8>(on_period, on_error)),
            SampleFormat::I16 => Box::new(move || player.play::<i16>(on_period, on_error)),
            SampleFormat::I24 => Box::new(move || player.play::<I24>(on_period, on_error)),
            SampleFormat::I32 => Box::new(move || player.play::<i32>(on_period, on_error)),
            SampleFormat::I64 => Box::new(move || player.play::<i64>(on_period, on_error)),
            SampleFormat::U8 => Box::new(move || player.play::<u8>(on_period, on_error)),
            SampleFormat::U16 => Box::new(move || player.play::<u16>(on_period, on_error)),
            SampleFormat::U24 => Box::new(move || player.play::<U24>(on_period, on_error)),
            SampleFormat::U32 => Box::new(move || player.play::<u32>(on_period, on_error)),
            SampleFormat::U64 => Box::new(move || player.play::<u64>(on_period, on_error)),
            _ => return Err(ErrorKind::UnsupportedConfig.into()),
        };
        let thread = std::thread::Builder::new().name("virtual device".into()).spawn(run);
        let thread = thread.map_err(|e| Error::with_message(ErrorKind::ResourceExhausted, e.to_string()))?;
        Ok(VirtualStream { switch, thread: thread.thread().clone(), period_frames: self.spec.period_frames })
    }

    fn build_output_stream_raw<D, E>(
        &self,
        _config: StreamConfig,
        _sample_format: SampleFormat,
        _on_period: D,
        _on_error: E,
        _timeout: Option<Duration>,
    ) -> Result<Self::Stream, Error>
    where
        D: FnMut(&mut Data, &OutputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        Err(ErrorKind::UnsupportedOperation.into())
    }
}

#[derive(Debug, Default)]
struct Switch {
    playing: AtomicBool,
    over: AtomicBool,
}

/// An open stream; dropping it stops the device's thread, without waiting for it.
#[derive(Debug)]
pub struct VirtualStream {
    switch: Arc<Switch>,
    thread: std::thread::Thread,
    period_frames: u32,
}

impl StreamTrait for VirtualStream {
    fn play(&self) -> Result<(), Error> {
        self.switch.playing.store(true, Ordering::Release);
        self.thread.unpark();
        Ok(())
    }

    /// As a device that cannot pause: it goes on.
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

impl Drop for VirtualStream {
    fn drop(&mut self) {
        self.switch.over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The device's thread.
struct Player {
    device: VirtualDevice,
    switch: Arc<Switch>,
}

impl Player {
    fn play<T>(self, mut on_period: impl FnMut(&Data, &InputCallbackInfo), mut on_error: impl FnMut(Error))
    where
        T: SizedSample + FromSample<f32>,
    {
        while !self.switch.playing.load(Ordering::Acquire) {
            if self.switch.over.load(Ordering::Acquire) {
                return;
            }
            std::thread::park();
        }
        let VirtualDevice { spec, sample_rate_hz: first_rate_hz, first_frame, life, .. } = &self.device;
        let (sample_rate_hz, channels) = self.device.form();
        let channels = channels as usize;
        // Where its signal begins, at the rate that it has now.
        let first_frame = first_frame * u64::from(sample_rate_hz) / u64::from(*first_rate_hz);
        let nominal_hz = f64::from(sample_rate_hz);
        let true_hz = nominal_hz * (1.0 + spec.drift_ppm / 1e6);
        let born_ns = match life.born_ns.compare_exchange(0, self.device.now_ns(), Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => life.born_ns.load(Ordering::Relaxed),
            Err(born_ns) => born_ns,
        };
        let vanish_at = match spec.vanish_after_s {
            Some(after_s) if life.vanished_ns.load(Ordering::Relaxed) == 0 => frames_in(after_s, true_hz),
            _ => u64::MAX,
        };
        let end = spec.seconds.map_or(u64::MAX, |s| frames_in(s, nominal_hz).saturating_sub(first_frame));
        let xrun_every = spec.xrun_every_s.map(|s| frames_in(s, nominal_hz).max(u64::from(spec.period_frames) + 1));
        // A device that was away comes back in the middle of its signal.
        let mut at = frames_in(self.device.now_ns().saturating_sub(born_ns) as f64 / 1e9, true_hz);
        at = if at < u64::from(spec.period_frames) { 0 } else { at };
        let mut next_xrun = xrun_every.map_or(u64::MAX, |every| (at / every + 1) * every);
        let mut signal = SignalSource::new(signal_of(spec.signal, sample_rate_hz), sample_rate_hz);
        let mut heard = vec![0.0_f32; spec.period_frames as usize * channels];
        let mut period: Vec<T> = vec![T::EQUILIBRIUM; heard.len()];

        while at < end && !self.switch.over.load(Ordering::Acquire) {
            let frames = u64::from(spec.period_frames).min(end - at);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of this session")]
            let due_ns = born_ns + ((at + frames) as f64 / true_hz * 1e9) as u64;
            rt::sleep_until(due_ns.saturating_add_signed(self.device.late_ns()));
            if at + frames > vanish_at {
                life.vanished_ns.store(rt::now_ns(), Ordering::Relaxed);
                on_error(ErrorKind::DeviceNotAvailable.into());
                return;
            }
            if at >= next_xrun {
                next_xrun += xrun_every.unwrap_or(u64::MAX);
                life.dropped_frames.fetch_add(frames, Ordering::Relaxed);
                at += frames;
                on_error(ErrorKind::Xrun.into());
                continue;
            }
            let samples = usize::try_from(frames).unwrap_or(0) * channels;
            signal.set_position(first_frame + at);
            signal.fill(&mut heard[..samples], channels);
            period.iter_mut().zip(&heard[..samples]).for_each(|(to, from)| *to = T::from_sample_(*from));
            // The device's own time: frames at its nominal rate.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of this session")]
            let instant = |frame: u64| StreamInstant::from_nanos((frame as f64 / nominal_hz * 1e9) as u64);
            let info =
                InputCallbackInfo::new(InputStreamTimestamp { callback: instant(at + frames), capture: instant(at) });
            if let (SignalKind::Impulse, Some(source)) = (spec.signal, &self.device.source) {
                let every = impulses_every(sample_rate_hz);
                for frame in (at..at + frames).filter(|frame| is_impulse(first_frame + frame, every)) {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as above")]
                    let since_ns = (frame as f64 / true_hz * 1e9) as u64;
                    source.delays.impulse((born_ns + since_ns).saturating_add_signed(self.device.late_ns()));
                }
            }
            // SAFETY: `period` holds at least `samples` values of `T`, whose format is `T::FORMAT`, initialised, and
            // outlives the call; nobody else refers to it during the call.
            let data = unsafe { Data::from_parts(period.as_mut_ptr().cast(), samples, T::FORMAT) };
            on_period(&data, &info);
            at += frames;
        }
        if at >= end {
            // Pairs with the Acquire load in `is_finished`: who sees it finished sees the last period delivered.
            life.finished.store(true, Ordering::Release);
        }
    }
}

/// Two a second.
fn impulses_every(sample_rate_hz: u32) -> u64 {
    u64::from(sample_rate_hz / 2)
}

fn signal_of(kind: SignalKind, sample_rate_hz: u32) -> Signal {
    match kind {
        SignalKind::Tone { hz } => Signal::Tone { hz },
        SignalKind::Sweep => Signal::Sweep { from_hz: 20.0, to_hz: f64::from(sample_rate_hz) * 0.45, seconds: 10.0 },
        SignalKind::Noise => Signal::Noise,
        SignalKind::Silence => Signal::Silence,
        SignalKind::Count => Signal::Count,
        SignalKind::Impulse => Signal::Impulses { every: impulses_every(sample_rate_hz) },
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "options are positive and bounded")]
fn frames_in(seconds: f64, rate_hz: f64) -> u64 {
    (seconds * rate_hz).round() as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "options are positive and bounded")]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

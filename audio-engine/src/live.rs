//! Keeps one device captured: opens it, watches it, opens it again when it was gone.
//!
//! All calls into the sound system happen on a thread that may be abandoned: with a dead server, dropping a
//! stream never returns, and nothing tells that the server is dead but the silence of the callback.

use crate::adapter::Adapter;
use crate::asound::Hush;
use crate::capture::{Capture, on_error};
use crate::device::{described, form, same_form};
use crate::queue::{DeviceNews, Health, Outlet, queue};
use crate::rt::CallbackThread;
use crate::source::with_patience;
use crate::true_rate::TrueRate;
use crate::virtual_device::VirtualDevice;
use crate::wanted::Wanted;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Device, SampleFormat, StreamConfig};
use sound_files::channels_text;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A device, and how it is to be opened.
#[derive(Clone)]
pub struct LiveSource {
    /// The device.
    pub device: Device,
    /// Rate, channels and the period asked for.
    pub config: StreamConfig,
    /// The format its callback delivers.
    pub format: SampleFormat,
    /// Frames of its queue.
    pub queue_frames: usize,
    /// How it is found when it was gone.
    pub again: Again,
}

/// How a device is found again.
#[derive(Clone)]
pub enum Again {
    /// It is this one, which begins when asked, and has an end.
    Virtual(VirtualDevice),
    /// By name.
    Find {
        /// What was asked for.
        wanted: Wanted,
        /// Whether its callbacks are a sound server's.
        of_server: bool,
    },
}

impl LiveSource {
    const fn virtual_device(&self) -> Option<&VirtualDevice> {
        match &self.again {
            Again::Virtual(device) => Some(device),
            Again::Find { .. } => None,
        }
    }
}

/// A device without a callback for so long counts as gone, or as one that cannot be opened. PulseAudio renders a null
/// sink two seconds ahead while nobody listens, so the first period of its monitor can take that long.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How often a device that is gone is tried.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// How often it is asked whether another device is meant now.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How often the backend looks at a device that says nothing.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How often its keeper looks after it. Only a virtual device has an end, behind which nothing is missing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_AT_VIRTUAL_EVERY: Duration = Duration::from_millis(20);

/// Queues of a device that is being kept: one now, one more after each time it was opened again.
pub type Outlets = Receiver<Outlet>;

/// Opens the device and keeps it captured until [`Health::stop`] or its end. Returns when it is open.
///
/// # Errors
/// What the sound system says. It does not answer within `patience`: that, too.
pub fn keep(source: LiveSource, health: &Arc<Health>, patience: Duration) -> Result<Outlets, cpal::Error> {
    let (opened, first) = channel();
    let (outlets, successors) = channel();
    let health = Arc::clone(health);
    std::thread::Builder::new()
        .name("device keeper".into())
        .spawn(move || {
            let StreamConfig { channels, sample_rate, .. } = source.config;
            Keeper { source, queue_form: (sample_rate, channels), true_hz: None, health, outlets }.run(&opened);
        })
        .map_err(|e| cpal::Error::with_message(cpal::ErrorKind::ResourceExhausted, e.to_string()))?;
    match first.recv_timeout(patience) {
        Ok(Ok(())) => Ok(successors),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(cpal::Error::with_message(
            cpal::ErrorKind::DeviceNotAvailable,
            format!("the sound system did not answer within {} s", patience.as_secs()),
        )),
    }
}

struct Keeper {
    source: LiveSource,
    /// Rate and channels of its queues: those that the device had at first.
    queue_form: (u32, u16),
    /// The rate that it was found to have, where it says another.
    true_hz: Option<u32>,
    health: Arc<Health>,
    outlets: Sender<Outlet>,
}

impl Keeper {
    fn run(mut self, opened: &Sender<Result<(), cpal::Error>>) {
        let (mut stream, outlet) = match self.open_delivering() {
            Ok(open) => open,
            Err(error) => {
                // Whoever asked has lost patience at worst.
                let _ = opened.send(Err(error));
                return;
            }
        };
        let _ = self.outlets.send(outlet);
        if opened.send(Ok(())).is_err() {
            return abandon(stream);
        }
        if self.source.virtual_device().is_some() {
            while !self.health.begin.load(Ordering::Relaxed) && !self.health.stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            if stream.stream.play().is_err() {
                self.health.gone.store(true, Ordering::Relaxed);
            }
        }
        loop {
            let reason = self.watch(&stream);
            abandon(stream);
            if self.is_over() {
                return self.health.end(None);
            }
            self.health.gone.store(true, Ordering::Relaxed);
            self.health.tell(DeviceNews::Lost { reason });
            stream = loop {
                std::thread::sleep(RETRY_EVERY);
                if self.is_over() {
                    return self.health.end(None);
                }
                if let Some((stream, outlet, description)) = self.open_again()
                    && (self.source.virtual_device().is_none() || stream.stream.play().is_ok())
                {
                    self.health.gone.store(false, Ordering::Relaxed);
                    self.health.tell(DeviceNews::Back { description });
                    if self.outlets.send(outlet).is_err() {
                        return;
                    }
                    break stream;
                }
            };
        }
    }

    /// Opens the device that is meant now, with what people call it where it was looked for by name.
    fn open_again(&mut self) -> Option<(Opened, Outlet, Option<String>)> {
        let Again::Find { wanted, .. } = &self.source.again else {
            let now = self.source.device.default_input_config().ok()?;
            let before = self.source.config;
            let (channels, sample_rate) = (now.channels(), now.sample_rate());
            self.source.config = StreamConfig { channels, sample_rate, ..before };
            self.true_hz = self.true_hz.filter(|_| self.source.config == before);
            let description = Some(self.converted()).filter(|said| !said.is_empty()).map(|said| format!("it{said}"));
            return self.open_delivering().ok().map(|(stream, outlet)| (stream, outlet, description));
        };
        let asked = wanted.clone();
        let candidates = with_patience(move || {
            let _hush = Hush::new();
            asked.candidates()
        });
        let there = candidates.and_then(Result::ok).unwrap_or_default();
        for candidate in there {
            let (rate_hz, channels) = self.queue_form;
            let wished = StreamConfig { channels, sample_rate: rate_hz, ..self.source.config };
            let fits = same_form(&candidate.found, wished).or_else(|| form(&candidate.found, rate_hz).ok());
            let Some((config, format)) = fits else { continue };
            let description = described(&candidate.found, &config, format);
            if let Again::Find { wanted, of_server } = &mut self.source.again {
                *of_server = candidate.of_server;
                wanted.opened(&candidate);
            }
            let before = self.source.config;
            let is_as_before = (before.sample_rate, before.channels) == (config.sample_rate, config.channels);
            self.true_hz = self.true_hz.filter(|_| is_as_before);
            self.source = LiveSource { device: candidate.found.device, config, format, ..self.source.clone() };
            if let Ok((stream, outlet)) = self.open_delivering() {
                return Some((stream, outlet, Some(description + &self.converted())));
            }
        }
        None
    }

    /// Returns when the stream is of no use any more, and says why.
    fn watch(&mut self, opened: &Opened) -> String {
        let mut periods = self.health.periods.load(Ordering::Relaxed);
        let (mut heard, mut asked) = (Instant::now(), Instant::now());
        let mut rate = TrueRate::new(heard, self.health.frames.load(Ordering::Relaxed));
        let every = if self.source.virtual_device().is_some() { LOOK_AT_VIRTUAL_EVERY } else { LOOK_EVERY };
        loop {
            if let Some(thread) = &opened.to_promote {
                thread.promote();
            }
            std::thread::sleep(every);
            let now = self.health.periods.load(Ordering::Relaxed);
            if now != periods {
                (periods, heard) = (now, Instant::now());
            }
            if self.is_over() || self.health.gone.load(Ordering::Relaxed) {
                return "it is gone".into();
            }
            if heard.elapsed() > SILENCE_MAX {
                return format!("nothing has come from it for {} s", SILENCE_MAX.as_secs());
            }
            let (taken_hz, frames) = (self.rate_hz(), self.health.frames.load(Ordering::Relaxed));
            if let Some(true_hz) = rate.other_than(taken_hz, Instant::now(), frames) {
                self.true_hz = Some(true_hz);
                let khz = |hz: u32| f64::from(hz) / 1_000.0;
                return format!("it gives {} kHz, and was taken for {} kHz", khz(true_hz), khz(taken_hz));
            }
            if let Again::Find { wanted, .. } = &self.source.again
                && asked.elapsed() > ASK_EVERY
            {
                asked = Instant::now();
                if let Some(reason) = wanted.reason_to_change() {
                    return reason;
                }
            }
        }
    }

    /// The rate of what its callbacks give.
    fn rate_hz(&self) -> u32 {
        self.true_hz.unwrap_or(self.source.config.sample_rate)
    }

    fn is_over(&self) -> bool {
        self.health.stop.load(Ordering::Relaxed) || self.source.virtual_device().is_some_and(VirtualDevice::is_finished)
    }

    /// A stream from which something comes: a sound system that is half dead opens streams and never fills them.
    fn open_delivering(&self) -> Result<(Opened, Outlet), cpal::Error> {
        let before = self.health.periods.load(Ordering::Relaxed);
        let (stream, outlet) = self.open()?;
        if self.source.virtual_device().is_some() {
            return Ok((stream, outlet));
        }
        let since = Instant::now();
        while since.elapsed() < SILENCE_MAX && !self.is_over() {
            if self.health.periods.load(Ordering::Relaxed) != before {
                return Ok((stream, outlet));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        abandon(stream);
        let nothing = "it opens, and nothing comes from it";
        Err(cpal::Error::with_message(cpal::ErrorKind::DeviceNotAvailable, nothing))
    }

    /// A stream with a fresh queue. A real device plays at once, so that it is known to work.
    fn open(&self) -> Result<(Opened, Outlet), cpal::Error> {
        let _hush = Hush::new();
        let fixed = self.build(self.source.config);
        let (stream, outlet) = match fixed {
            // Some devices take only periods of their own.
            Err(_) if self.source.config.buffer_size != BufferSize::Default => {
                self.build(StreamConfig { buffer_size: BufferSize::Default, ..self.source.config })?
            }
            result => result?,
        };
        if self.source.virtual_device().is_none() {
            stream.stream.play()?;
        }
        Ok((stream, outlet))
    }

    fn build(&self, config: StreamConfig) -> Result<(Opened, Outlet), cpal::Error> {
        let (inlet, of_device) = queue(usize::from(config.channels), self.source.queue_frames, &self.health);
        let retired = Arc::new(AtomicBool::new(false));
        let (outlet, adapter) = self.adapt(of_device, self.rate_hz(), &retired)?;
        let mut capture = Capture::new(inlet, config.sample_rate);
        let is_of_server = matches!(self.source.again, Again::Find { of_server: true, .. });
        let to_promote = (!is_of_server).then(|| capture.thread());
        let errors = Arc::clone(&self.health);
        let (for_periods, for_errors) = (Arc::clone(&retired), Arc::clone(&retired));
        let stream = self.source.device.build_input_stream_raw(
            config,
            self.source.format,
            move |period, info| {
                if !for_periods.load(Ordering::Relaxed) {
                    capture.on_period(period, info);
                }
            },
            move |error| {
                if !for_errors.load(Ordering::Relaxed) {
                    on_error(&errors, &error);
                }
            },
            Some(POLL_EVERY),
        )?;
        Ok((Opened { stream, retired, adapter, to_promote }, outlet))
    }

    /// The queue that is read: the device's own, or one that is filled from that where the device has another form now.
    fn adapt(
        &self,
        of_device: Outlet,
        rate_hz: u32,
        retired: &Arc<AtomicBool>,
    ) -> Result<(Outlet, Option<JoinHandle<()>>), cpal::Error> {
        let (queue_hz, channels) = (self.queue_form.0, usize::from(self.queue_form.1));
        if (queue_hz, channels) == (rate_hz, of_device.channels()) {
            return Ok((of_device, None));
        }
        let (inlet, outlet) = queue(channels, self.source.queue_frames, &self.health);
        let failed = |error: &dyn std::fmt::Display| {
            cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, error.to_string())
        };
        let adapter = Adapter::new(of_device, inlet, (rate_hz, queue_hz)).map_err(|e| failed(&e))?;
        let thread = adapter.start(Arc::clone(retired)).map_err(|e| failed(&e))?;
        Ok((outlet, Some(thread)))
    }

    /// What is said of a device that has another form than its queue; nothing where it has the same.
    fn converted(&self) -> String {
        let (rate_hz, channels) = (self.rate_hz(), self.source.config.channels);
        if (rate_hz, channels) == self.queue_form {
            return String::new();
        }
        let form = |(rate_hz, channels): (u32, u16)| {
            format!("{} kHz, {}", f64::from(rate_hz) / 1_000.0, channels_text(channels.into()))
        };
        format!(" has another form now ({}), and is converted to {}", form((rate_hz, channels)), form(self.queue_form))
    }
}

/// A stream, and the word that it is given up: one that cannot be dropped may still call back, also with errors.
struct Opened {
    stream: cpal::Stream,
    retired: Arc<AtomicBool>,
    /// Where its frames are converted.
    adapter: Option<JoinHandle<()>>,
    /// Not of a sound server's device: what its callbacks wait for has no real-time priority, and with it they would keep
    /// the server from its work.
    to_promote: Option<Arc<CallbackThread>>,
}

/// Drops a stream where nobody waits for it.
fn abandon(opened: Opened) {
    // Pairs with the Acquire load in `Adapter::start`.
    opened.retired.store(true, Ordering::Release);
    if let Some(adapter) = opened.adapter {
        // A thread of ours, which waits for nobody.
        let _ = adapter.join();
    }
    let dropping = std::thread::Builder::new().name("stream drop".into());
    // Without a thread the stream is dropped here, on a thread that may hang as well.
    let _ = dropping.spawn(move || {
        let _hush = Hush::new();
        drop(opened.stream);
    });
}

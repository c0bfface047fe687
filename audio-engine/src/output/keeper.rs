//! Keeps one output open: finds it, opens it, watches it, opens it again when it was gone.
//!
//! All calls into the sound system happen on threads that may be abandoned: with a dead server, dropping a stream never
//! returns, and nothing tells that the server is dead but the silence of the callbacks.

use super::callback::{Play, Playback, playback};
use super::devices::{self, Found};
use super::pilot::Pilot;
use super::player::{Gauge, Player, Reading};
use super::virtual_output::VirtualOutput;
use super::which::Which;
use crate::asound::{self, Hush};
use crate::clock::Clock;
use crate::device::{DEFAULT, DeviceError, explained};
use crate::inputs::id_of;
use crate::sound_server;
use crate::source::{DEVICE_PATIENCE, OpenError, with_patience};
use control_protocol::OutputFigures;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Device, ErrorKind, SampleFormat, StreamConfig};
use sound_files::channels_text;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A device without a callback for so long counts as gone, or as one that cannot be opened.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How often a device that is gone is tried; slower and slower, for a hanging sound system keeps a thread each time.
const RETRY_EVERY: Duration = Duration::from_millis(500);
const RETRY_EVERY_MAX: Duration = Duration::from_secs(10);
/// How often its keeper looks after it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often the sound server is asked whether the default is another one.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How often the backend looks at a device that says nothing.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// Length of the queue: so much is heard at most of what was there before a stop.
const QUEUE_SECONDS: f64 = 0.25;
const QUEUE_PERIODS: usize = 4;

/// What is to be opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Which output.
    pub which: Which,
    /// What to play there.
    pub reading: Reading,
    /// How it leads the tick, where it does, and the tick's clock where nobody leads.
    pub lead: Option<(Arc<Pilot>, Clock)>,
    /// The rate it is opened with where it can.
    pub engine_rate_hz: u32,
    /// Whether one that cannot be opened at first is tried again: it worked before.
    pub keep_trying: bool,
}

/// What is told of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is open, for the first time.
    Opened(Form),
    /// It could not be opened and is given up.
    Failed(OpenError),
    /// It is gone, or the default is another one now; it is tried again.
    Lost {
        /// Why.
        reason: String,
    },
    /// It is open again.
    Back(Form),
}

/// An output as it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// For people.
    pub description: String,
    /// Its rate.
    pub sample_rate_hz: u32,
    /// Its channels.
    pub channels: u32,
}

/// An output that is being kept. Dropped, it ends.
#[derive(Debug)]
pub struct Output {
    shared: Arc<Shared>,
    virtual_output: Option<VirtualOutput>,
    stream: Arc<Mutex<String>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    gauge: Arc<Gauge>,
    count: Mutex<Count>,
}

/// Counts of the openings that are over, and the present one.
#[derive(Debug, Default)]
struct Count {
    past: OutputFigures,
    present: Option<Arc<Play>>,
}

/// Opens an output and keeps it open. `tell` is called on its thread.
///
/// # Errors
/// When there is no thread for it.
pub fn keep(opening: Opening, tell: impl Fn(News) + Send + 'static) -> std::io::Result<Output> {
    let shared = Arc::new(Shared::default());
    let stream = Arc::clone(&opening.reading.stream);
    let virtual_output = match &opening.which {
        Which::Virtual(spec) => Some(VirtualOutput::new(spec.clone(), opening.engine_rate_hz)),
        Which::Default | Which::Named { .. } => None,
    };
    let known = virtual_output.clone();
    let mut keeper = Keeper { opening, virtual_output, name: None, shared: Arc::clone(&shared) };
    std::thread::Builder::new().name("output keeper".into()).spawn(move || keeper.run(&tell))?;
    Ok(Output { shared, virtual_output: known, stream })
}

impl Output {
    /// Plays another stream from now on.
    pub fn play(&self, stream: &str) {
        stream.clone_into(&mut locked(&self.stream));
    }

    /// When it has played the last impulse, on `CLOCK_MONOTONIC` in nanoseconds, where it is virtual and listens.
    #[must_use]
    pub fn last_impulse_ns(&self) -> Option<u64> {
        self.virtual_output.as_ref().and_then(VirtualOutput::last_impulse_ns)
    }

    /// How it is.
    #[must_use]
    pub fn figures(&self) -> OutputFigures {
        let (gauge, count) = (&self.shared.gauge, locked(&self.shared.count));
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut figures = count.past;
        if let Some(play) = &count.present {
            add(&mut figures, play);
            figures.queued_frames = of(&gauge.queued_frames);
            figures.delay_us = of(&gauge.delay_us);
        }
        figures.skipped_frames = of(&gauge.skipped_frames);
        figures.ppm_thousandths = gauge.ppm_thousandths.load(Ordering::Relaxed);
        figures
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(play) = &locked(&self.shared.count).present {
            // Silent at once, whatever its keeper does.
            play.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn add(figures: &mut OutputFigures, play: &Play) {
    figures.underruns += play.underruns.load(Ordering::Relaxed);
    figures.underrun_frames += play.underrun_frames.load(Ordering::Relaxed);
    figures.xruns += play.xruns.load(Ordering::Relaxed);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keeper {
    opening: Opening,
    virtual_output: Option<VirtualOutput>,
    /// What people call the one that was open: under this name it may come back, when it has another id.
    name: Option<String>,
    shared: Arc<Shared>,
}

/// A stream that plays.
struct Opened {
    stream: cpal::Stream,
    play: Arc<Play>,
    form: Form,
    name: String,
    /// The sound server's default, where that is what is played to.
    followed: Option<String>,
    /// The sound server's sink that was opened by its name: a server that has it no more plays to another one instead,
    /// without a word.
    held: Option<String>,
    /// Its callbacks are a sound server's: they get no real-time priority, since what they wait for has none, and with it
    /// they would keep the server from its work.
    of_server: bool,
    /// The default is in the place of the one that is wanted.
    is_substitute: bool,
}

impl Keeper {
    fn run(&mut self, tell: &impl Fn(News)) {
        let (mut first, mut pause) = (true, RETRY_EVERY);
        while !self.is_over() {
            match self.open() {
                Ok(opened) => {
                    let form = opened.form.clone();
                    tell(if first { News::Opened(form) } else { News::Back(form) });
                    pause = RETRY_EVERY;
                    let lost = self.watch(&opened);
                    self.give_up(opened);
                    match lost {
                        Some(reason) => tell(News::Lost { reason }),
                        None => return,
                    }
                }
                Err(error) if first && !self.opening.keep_trying => return tell(News::Failed(error)),
                Err(error) => {
                    if first {
                        tell(News::Lost { reason: error.reason });
                    }
                    self.rest(pause);
                    pause = (2 * pause).min(RETRY_EVERY_MAX);
                }
            }
            first = false;
        }
    }

    fn is_over(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.is_over() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A stream that takes something: a sound system that is half dead opens streams and never asks for sound.
    fn open(&mut self) -> Result<Opened, OpenError> {
        let opened = self.build()?;
        let since = Instant::now();
        while opened.play.periods.load(Ordering::Relaxed) == 0 {
            let gone = opened.play.gone.load(Ordering::Relaxed);
            if gone || since.elapsed() > SILENCE_MAX || self.is_over() {
                let name = opened.name.clone();
                self.give_up(opened);
                let reason = "it opens, and asks for nothing".to_owned();
                return Err(DeviceError::OutputRefused { name, reason, retry: true }.into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if !opened.is_substitute {
            self.name = Some(opened.name.clone());
        }
        Ok(opened)
    }

    fn build(&self) -> Result<Opened, OpenError> {
        let play = Arc::new(Play::default());
        let (which, rate_hz, theirs) = (self.opening.which.clone(), self.opening.engine_rate_hz, Arc::clone(&play));
        let (virtual_output, name) = (self.virtual_output.clone(), self.name.clone());
        let label = match &which {
            Which::Named { name, .. } => name.clone(),
            Which::Default => DEFAULT.to_owned(),
            Which::Virtual(_) => "virtual".to_owned(),
        };
        let asked = label.clone();
        let answer = with_patience(move || {
            let hush = Hush::new();
            let found = match virtual_output {
                Some(output) => Ok(found_virtual(output)),
                None => find(&which, name.as_deref(), rate_hz),
            };
            let (found, is_substitute) = match (found, &which) {
                (Err(_), Which::Named { or_default: true, .. }) => (devices::find(None, rate_hz)?, true),
                (found, _) => (found?, false),
            };
            let refuse = |error| devices::refused(&asked, &explained(error, &hush.said()));
            let follows = found.of_server && (is_substitute || which == Which::Default);
            let followed = follows.then(default_of_server).flatten();
            let (stream, way, config) = start(&found, &theirs).map_err(refuse)?;
            Ok::<_, DeviceError>((stream, way, config, found, followed, is_substitute))
        });
        let (stream, way, config, found, followed, is_substitute) =
            answer.ok_or_else(|| DeviceError::OutputRefused {
                name: label,
                reason: format!("the sound system did not answer within {} s", DEVICE_PATIENCE.as_secs()),
                retry: true,
            })??;
        let (rate_hz, channels) = (config.sample_rate, usize::from(config.channels));
        let player = Player::new(way, &play, &self.shared.gauge, self.opening.reading.clone(), rate_hz, channels);
        let player = match self.opening.lead.clone() {
            Some((pilot, clock)) => player.leading(pilot, clock),
            None => player,
        };
        let form = Form {
            description: format!(
                "{} ({}): {} kHz, {}, {}",
                found.name,
                found.id,
                f64::from(rate_hz) / 1_000.0,
                channels_text(channels),
                found.format,
            ),
            sample_rate_hz: rate_hz,
            channels: config.channels.into(),
        };
        let held = asound::is_added(&id_of(&found.device)).then_some(found.id);
        locked(&self.shared.count).present = Some(Arc::clone(&play));
        let of_server = found.of_server;
        let opened = Opened { stream, play, form, name: found.name, followed, held, of_server, is_substitute };
        if let Err(e) = std::thread::Builder::new().name("player".into()).spawn(move || player.run()) {
            self.give_up(opened);
            let reason = format!("no thread to play: {e}");
            return Err(OpenError { reason, retry: true, exit: control_protocol::Exit::Refused });
        }
        Ok(opened)
    }

    /// Why it is lost; `None` when it is not wanted any more.
    fn watch(&self, opened: &Opened) -> Option<String> {
        let mut periods = opened.play.periods.load(Ordering::Relaxed);
        let (mut heard, mut asked) = (Instant::now(), Instant::now());
        loop {
            if !opened.of_server {
                opened.play.thread.promote();
            }
            std::thread::sleep(LOOK_EVERY);
            if self.is_over() {
                return None;
            }
            let now = opened.play.periods.load(Ordering::Relaxed);
            if now != periods {
                (periods, heard) = (now, Instant::now());
            }
            if opened.play.gone.load(Ordering::Relaxed) {
                return Some("it is gone".into());
            }
            if heard.elapsed() > SILENCE_MAX {
                return Some(format!("it has asked for nothing for {} s", SILENCE_MAX.as_secs()));
            }
            if asked.elapsed() > ASK_EVERY {
                asked = Instant::now();
                if let (true, Which::Named { name, .. }) = (opened.is_substitute, &self.opening.which)
                    && is_there(name.clone(), self.opening.engine_rate_hz)
                {
                    return Some(format!("{name} is there again"));
                }
                if opened.followed.is_none() && opened.held.is_none() {
                    continue;
                }
                let Some(server) = sound_server::ask() else { continue };
                if opened.held.as_ref().is_some_and(|held| !server.sinks.iter().any(|sink| sink.name == *held)) {
                    return Some("the sound server has it no more".into());
                }
                let default = server.sinks.into_iter().find(|sink| sink.is_default).map(|sink| sink.name);
                if let (Some(followed), Some(name)) = (&opened.followed, default)
                    && name != *followed
                {
                    return Some(format!("the default output is {name} now"));
                }
            }
        }
    }

    /// Ends a stream where nobody waits for it: one of a dead server is never dropped.
    fn give_up(&self, opened: Opened) {
        opened.play.stop.store(true, Ordering::Relaxed);
        let mut count = locked(&self.shared.count);
        add(&mut count.past, &opened.play);
        count.present = None;
        drop(count);
        let dropping = std::thread::Builder::new().name("stream drop".into());
        // Without a thread the stream is dropped here, on a thread that may hang as well.
        let _ = dropping.spawn(move || {
            let _hush = Hush::new();
            drop(opened.stream);
        });
    }
}

/// The sound server's default sink.
fn default_of_server() -> Option<String> {
    sound_server::ask()?.sinks.into_iter().find(|sink| sink.is_default).map(|sink| sink.name)
}

/// The output that is meant; or, where it is not there under that name, the one that people call as the last one.
fn find(which: &Which, last: Option<&str>, rate_hz: u32) -> Result<Found, DeviceError> {
    let Which::Named { name, .. } = which else { return devices::find(None, rate_hz) };
    devices::find(Some(name), rate_hz).or_else(|error| match (&error, last) {
        (DeviceError::UnknownOutput { .. }, Some(last)) => devices::find(Some(last), rate_hz).map_err(|_| error),
        _ => Err(error),
    })
}

/// Whether this output can be used, as far as can be seen.
fn is_there(name: String, rate_hz: u32) -> bool {
    let look = move || {
        let _hush = Hush::new();
        devices::find(Some(&name), rate_hz).is_ok()
    };
    with_patience(look).unwrap_or(false)
}

fn found_virtual(output: VirtualOutput) -> Found {
    Found {
        name: output.name(),
        id: "virtual".into(),
        config: output.config(),
        format: SampleFormat::F32,
        of_server: false,
        device: cpal::platform::CustomDevice::from_device(output).into(),
    }
}

/// The player's ends of the queue.
type Way = (rtrb::Producer<f32>, rtrb::Consumer<super::callback::Asked>);

fn start(found: &Found, play: &Arc<Play>) -> Result<(cpal::Stream, Way, StreamConfig), cpal::Error> {
    let (stream, way) = match build_stream(found, found.config, play) {
        // Some devices take only periods of their own.
        Err(error) if found.config.buffer_size != BufferSize::Default => {
            let own = StreamConfig { buffer_size: BufferSize::Default, ..found.config };
            // What was wrong at first is what is told: the other way may not even be possible.
            build_stream(found, own, play).map_err(|_| error)?
        }
        result => result?,
    };
    stream.play()?;
    Ok((stream, way, found.config))
}

fn build_stream(found: &Found, config: StreamConfig, play: &Arc<Play>) -> Result<(cpal::Stream, Way), cpal::Error> {
    let device: &Device = &found.device;
    let period_frames = match config.buffer_size {
        BufferSize::Fixed(frames) => frames as usize,
        BufferSize::Default => 0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "part of a second")]
    let frames = (QUEUE_SECONDS * f64::from(config.sample_rate)) as usize + QUEUE_PERIODS * period_frames;
    let channels = usize::from(config.channels);
    let (samples, asked, mut callback): (_, _, Playback) = playback(channels, frames, play);
    let errors = Arc::clone(play);
    let stream = device.build_output_stream_raw(
        config,
        found.format,
        move |period, _| callback.on_period(period),
        move |error| on_error(&errors, &error),
        Some(POLL_EVERY),
    )?;
    Ok((stream, (samples, asked)))
}

/// What the device's error callback does: counters and flags, nothing else.
fn on_error(play: &Play, error: &cpal::Error) {
    match error.kind() {
        ErrorKind::Xrun => {
            play.xruns.fetch_add(1, Ordering::Relaxed);
        }
        ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable => {
            play.gone.store(true, Ordering::Relaxed);
        }
        // The stream goes on.
        _ => {}
    }
}

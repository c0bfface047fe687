//! Opens a source, whatever it is: from here on all are a queue and a description.

use crate::asound::Hush;
use crate::device::{self, DeviceError};
use crate::frames::{Frames, Reading, read_all};
use crate::live::{Again, LiveSource, Outlets, keep};
use crate::queue::{Health, Outlet, queue};
use crate::raw::read_wav_header;
use crate::ring_source::{self, Surroundings};
use crate::rt;
use crate::stdin::RawStream;
use crate::uri::{SignalKind, SourceUri, UriError, VirtualSpec};
use crate::virtual_device::VirtualDevice;
use crate::wanted::{Candidate, Wanted};
use control_protocol::Exit;
use cpal::{BufferSize, StreamConfig};
use sound_files::{DecodeError, Decoded, channels_text};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use thiserror::Error;

/// Length of the queue of a device, whose frames are lost when nobody takes them, and of a file, which can be read again.
pub(crate) const QUEUE_MS: u32 = 2_000;
/// Length of the queue of a pipe: what was read from it dies with this process, so little is read ahead.
const PIPE_QUEUE_MS: u32 = 400;
/// How long a sound system may take to open a device.
pub const DEVICE_PATIENCE: Duration = Duration::from_secs(6);

/// A source that delivers.
pub struct OpenSource {
    /// For people.
    pub description: String,
    /// The source's own rate.
    pub sample_rate_hz: u32,
    /// The rate of the frames in its queue.
    pub queue_rate_hz: u32,
    /// Its channels.
    pub channels: usize,
    /// Whether it loses what nobody takes.
    pub live: bool,
    /// Whether its clock is not the engine's.
    pub own_clock: bool,
    /// Whether the engine's clock may follow it, where it has an own one.
    pub may_lead: bool,
    /// Whether its callbacks come when they are due: with real-time priority, and not from a sound server, which has none.
    pub is_steady: bool,
    /// Whether it delivers before it is asked to begin.
    pub runs_already: bool,
    /// Whether somebody else decides when it delivers: a pipe.
    pub waits_for_peer: bool,
    /// The URI to open after a restart, where that differs.
    pub resume_uri: Option<String>,
    /// Its length at the engine's rate, where known.
    pub total_frames: Option<u64>,
    /// Flags and counters shared with its thread.
    pub health: Arc<Health>,
    /// Its queue.
    pub outlet: Outlet,
    /// Further queues, each time its device was opened again.
    pub successors: Outlets,
}

/// Why a source cannot be opened, for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct OpenError {
    /// What, on what, why, and what to do.
    pub reason: String,
    /// Whether trying again may help.
    pub retry: bool,
    /// What a process ends with that could do nothing without it.
    pub exit: Exit,
}

impl OpenError {
    pub(crate) fn final_one(error: &impl ToString, exit: Exit) -> Self {
        Self { reason: error.to_string(), retry: false, exit }
    }
}

impl From<UriError> for OpenError {
    fn from(error: UriError) -> Self {
        Self::final_one(&error, Exit::Usage)
    }
}

impl From<DecodeError> for OpenError {
    fn from(error: DecodeError) -> Self {
        Self::final_one(&error, error.exit())
    }
}

impl From<DeviceError> for OpenError {
    fn from(error: DeviceError) -> Self {
        let retry = match &error {
            DeviceError::Refused { retry, .. } | DeviceError::OutputRefused { retry, .. } => *retry,
            DeviceError::Unknown { .. }
            | DeviceError::NoDefault { .. }
            | DeviceError::UnknownOutput { .. }
            | DeviceError::NoDefaultOutput => true,
            DeviceError::Ambiguous { .. } | DeviceError::AmbiguousOutput { .. } => false,
        };
        Self { reason: error.to_string(), retry, exit: Exit::NoDevice }
    }
}

/// Opens a source for an engine of this rate, leaving out what was delivered before.
///
/// # Errors
/// [`OpenError`]. May block: on standard input until its header has come, on a sound system for [`DEVICE_PATIENCE`].
pub fn open(uri: &str, engine_rate_hz: u32, resume_frames: u64) -> Result<OpenSource, OpenError> {
    open_among(uri, engine_rate_hz, resume_frames, None)
}

/// As [`open`], for a stream of a session: there are rings beside it.
///
/// # Errors
/// As [`open`].
pub fn open_among(
    uri: &str,
    engine_rate_hz: u32,
    resume_frames: u64,
    surroundings: Option<&Surroundings>,
) -> Result<OpenSource, OpenError> {
    // A decoder may trip over a file. Whoever waits for an answer gets one.
    std::panic::catch_unwind(|| open_or_panic(uri, engine_rate_hz, resume_frames, surroundings)).unwrap_or_else(|_| {
        Err(OpenError { reason: format!("{uri}: the decoder failed on it"), retry: false, exit: Exit::Fault })
    })
}

fn open_or_panic(
    uri: &str,
    engine_rate_hz: u32,
    resume_frames: u64,
    surroundings: Option<&Surroundings>,
) -> Result<OpenSource, OpenError> {
    let parsed: SourceUri = uri.parse()?;
    match parsed {
        SourceUri::Ring(ring) => ring_source::open(&ring, surroundings),
        SourceUri::Device(name) => open_device(name.as_deref(), engine_rate_hz),
        SourceUri::Virtual(spec) => open_virtual(spec, engine_rate_hz, resume_frames),
        SourceUri::File(path) => open_decoded(Decoded::open(&path)?, engine_rate_hz, resume_frames),
        SourceUri::Demo => open_decoded(Decoded::demo()?, engine_rate_hz, resume_frames),
        SourceUri::Stdin(format) => open_stdin(format, engine_rate_hz),
    }
}

fn open_device(name: Option<&str>, engine_rate_hz: u32) -> Result<OpenSource, OpenError> {
    let mut wanted = Wanted::parse(name);
    // Finding a device asks the sound system, which may never answer.
    let asked = wanted.clone();
    let found = with_patience(move || -> Result<_, DeviceError> {
        let hush = Hush::new();
        let best = asked.candidates()?.swap_remove(0);
        let refuse = |error| DeviceError::refused(asked.label(), &device::explained(error, &hush.said()));
        let (config, format) = device::form(&best.found, engine_rate_hz).map_err(refuse)?;
        Ok((best, config, format))
    });
    let label = wanted.label().to_owned();
    let (candidate, config, format) = found.ok_or_else(|| {
        OpenError::from(DeviceError::Refused {
            name: label.clone(),
            reason: format!("the sound system did not answer within {} s", DEVICE_PATIENCE.as_secs()),
            retry: true,
        })
    })??;
    let description = device::described(&candidate.found, &config, format);
    let queue_frames = frames_of(QUEUE_MS, config.sample_rate);
    wanted.opened(&candidate);
    let Candidate { found, of_server, .. } = candidate;
    let again = Again::Find { wanted, of_server };
    open_live(
        LiveSource { device: found.device, config, format, queue_frames, again },
        Arc::default(),
        description,
        &label,
    )
}

fn open_virtual(spec: VirtualSpec, engine_rate_hz: u32, resume_frames: u64) -> Result<OpenSource, OpenError> {
    let rate_hz = spec.sample_rate_hz.unwrap_or(engine_rate_hz);
    let first_frame = scale(resume_frames, engine_rate_hz, rate_hz);
    let config = StreamConfig {
        channels: u16::try_from(spec.channels).unwrap_or(u16::MAX),
        sample_rate: rate_hz,
        buffer_size: BufferSize::Fixed(spec.period_frames),
    };
    let format = spec.format;
    let description = format!(
        "{} (virtual device): {} kHz, {}, {format}",
        spec.signal,
        f64::from(rate_hz) / 1_000.0,
        channels_text(spec.channels as usize)
    );
    let queue_frames = frames_of(QUEUE_MS, rate_hz).max(4 * spec.period_frames as usize);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked by the parser")]
    let total_frames = spec.seconds.map(|s| scale((s * f64::from(rate_hz)).round() as u64, rate_hz, engine_rate_hz));
    let (health, own_clock) = (Arc::new(Health::default()), spec.drift_ppm != 0.0);
    // Impulses are a probe's, which is to change nothing.
    let may_lead = spec.signal != SignalKind::Impulse;
    let device = VirtualDevice::new(spec, rate_hz, first_frame).heard_by(&health);
    let device = if own_clock { device } else { device.in_time_with(&health) };
    let source = LiveSource {
        device: cpal::platform::CustomDevice::from_device(device.clone()).into(),
        config,
        format,
        queue_frames,
        again: Again::Virtual(device),
    };
    Ok(OpenSource { own_clock, may_lead, total_frames, ..open_live(source, health, description, "virtual")? })
}

fn open_live(
    source: LiveSource,
    health: Arc<Health>,
    description: String,
    label: &str,
) -> Result<OpenSource, OpenError> {
    let rate_hz = source.config.sample_rate;
    let channels = usize::from(source.config.channels);
    let runs_already = matches!(source.again, Again::Find { .. });
    let is_steady = !matches!(source.again, Again::Find { of_server: true, .. }) && rt::is_allowed();
    let refuse = |error: &cpal::Error| OpenError::from(DeviceError::refused(label, error));
    let successors = keep(source, &health, DEVICE_PATIENCE).map_err(|e| refuse(&e))?;
    let gone = || refuse(&cpal::ErrorKind::DeviceNotAvailable.into());
    let outlet = successors.recv_timeout(DEVICE_PATIENCE).map_err(|_| gone())?;
    Ok(OpenSource {
        description,
        sample_rate_hz: rate_hz,
        queue_rate_hz: rate_hz,
        channels,
        live: true,
        own_clock: true,
        may_lead: true,
        is_steady,
        runs_already,
        waits_for_peer: false,
        resume_uri: None,
        total_frames: None,
        health,
        outlet,
        successors,
    })
}

fn open_decoded(decoded: Decoded, engine_rate_hz: u32, resume_frames: u64) -> Result<OpenSource, OpenError> {
    let description = decoded.description();
    let total_frames = decoded.total_frames.map(|frames| scale(frames, decoded.sample_rate_hz, engine_rate_hz));
    let reading = Reading {
        from_hz: decoded.sample_rate_hz,
        to_hz: engine_rate_hz,
        channels: decoded.channels,
        skip_frames: resume_frames,
        is_there: true,
    };
    let open = read_in_thread(Box::new(decoded), reading, QUEUE_MS, description)?;
    Ok(OpenSource { total_frames, ..open })
}

fn open_stdin(format: Option<crate::raw::RawFormat>, engine_rate_hz: u32) -> Result<OpenSource, OpenError> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        let reason = "stdin: is a terminal; pipe sound into it, as in: ffmpeg -i x.mp4 -f wav - | tympan run stdin:";
        return Err(OpenError::final_one(&reason, Exit::Usage));
    }
    let (format, length_bytes, resume_uri) = match format {
        Some(format) => (format, None, None),
        None => {
            let (format, length) = read_wav_header(&mut input)
                .map_err(|e| OpenError::final_one(&format!("standard input: {e}"), e.exit()))?;
            (format, length, Some(format.uri()))
        }
    };
    let description = format!(
        "standard input: {} {}, {} kHz, {}",
        if resume_uri.is_some() { "WAV" } else { "raw" },
        format.encoding.name(),
        f64::from(format.sample_rate_hz) / 1_000.0,
        channels_text(format.channels as usize)
    );
    let reading = Reading {
        from_hz: format.sample_rate_hz,
        to_hz: engine_rate_hz,
        channels: format.channels as usize,
        skip_frames: 0,
        is_there: false, // a recorder's pipe is as live as a device
    };
    let total_frames =
        length_bytes.map(|bytes| scale(bytes / format.frame_bytes() as u64, format.sample_rate_hz, engine_rate_hz));
    let open =
        read_in_thread(Box::new(RawStream::new(input, format, length_bytes)), reading, PIPE_QUEUE_MS, description)?;
    Ok(OpenSource { waits_for_peer: true, resume_uri, total_frames, ..open })
}

fn read_in_thread(
    frames: Box<dyn Frames>,
    reading: Reading,
    queue_ms: u32,
    description: String,
) -> Result<OpenSource, OpenError> {
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(reading.channels, frames_of(queue_ms, reading.to_hz), &health);
    std::thread::Builder::new().name("reader".into()).spawn(move || read_all(frames, reading, inlet)).map_err(|e| {
        OpenError { reason: format!("{description}: no thread for it: {e}"), retry: true, exit: Exit::Refused }
    })?;
    Ok(OpenSource {
        description,
        sample_rate_hz: reading.from_hz,
        queue_rate_hz: reading.to_hz,
        channels: reading.channels,
        live: false,
        own_clock: false,
        may_lead: false,
        is_steady: false,
        runs_already: true,
        waits_for_peer: false,
        resume_uri: None,
        total_frames: None,
        health,
        outlet,
        successors: channel().1,
    })
}

pub(crate) fn frames_of(ms: u32, rate_hz: u32) -> usize {
    (u64::from(ms) * u64::from(rate_hz) / 1_000) as usize
}

/// Frames at another rate, rounded up, as the rate converter counts them.
fn scale(frames: u64, from_hz: u32, to_hz: u32) -> u64 {
    let scaled = (u128::from(frames) * u128::from(to_hz)).div_ceil(u128::from(from_hz));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Runs something that may hang; `None` when it has not ended in time, and its thread is left behind.
pub fn with_patience<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, wait) = channel();
    std::thread::Builder::new().spawn(move || done.send(work())).ok()?;
    wait.recv_timeout(DEVICE_PATIENCE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_length_at_the_engines_rate() {
        let open = open("demo:", 48_000, 0).unwrap();
        assert_eq!((open.total_frames, open.sample_rate_hz, open.queue_rate_hz), (Some(528_000), 16_000, 48_000));
        assert!(!open.live);
        open.health.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    #[test]
    fn a_missing_file_is_final_and_named() {
        let error = open("file:/nowhere/talk.wav", 48_000, 0).err().unwrap();
        assert!(!error.retry && error.reason.contains("/nowhere/talk.wav"), "{error}");
        assert_eq!(error.exit, Exit::NoInput);
        let error = open("test:bell", 48_000, 0).err().unwrap();
        assert_eq!((error.retry, error.exit), (false, Exit::Usage));
    }

    #[test]
    fn a_virtual_device_opens_and_waits() {
        let open = open("test:count?seconds=1&rate=16000", 48_000, 0).unwrap();
        assert_eq!((open.live, open.total_frames, open.queue_rate_hz), (true, Some(48_000), 16_000));
        assert_eq!(open.health.periods.load(std::sync::atomic::Ordering::Relaxed), 0);
        open.health.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    #[test]
    fn a_virtual_device_keeps_the_ticks_time_unless_it_drifts() {
        use std::sync::atomic::Ordering;
        use std::time::{Duration, Instant};
        for (uri, own_clock) in [("test:count", false), ("virtual:count?drift_ppm=1", true)] {
            let open = open(uri, 48_000, 0).unwrap();
            assert_eq!(open.own_clock, own_clock);
            let periods = || open.health.periods.load(Ordering::Relaxed);
            let wait_for = |least: u64| {
                let begin = Instant::now();
                while periods() < least {
                    assert!(begin.elapsed() < Duration::from_secs(60), "watchdog: {} of {least}", periods());
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            open.health.begin.store(true, Ordering::Relaxed);
            wait_for(1);
            // The tick runs ahead by ten minutes: so many periods are due at once.
            open.health.tick_late_ns.store(-600_000_000_000, Ordering::Relaxed);
            if own_clock {
                std::thread::sleep(Duration::from_millis(50));
                assert!(periods() < 1_000, "{} periods", periods());
            } else {
                wait_for(60_000);
            }
            open.health.stop.store(true, Ordering::Relaxed);
        }
    }
}

//! Rings that other programs write, as sources: found, checked, and handed to a thread that follows them.
//!
//! Such a ring is to the engine what a device is: it comes when it comes, by a clock of its own. So its writer may end,
//! in order or not, and begin again: the source stays, and waits. Who wants it no more removes it. Only one thing is
//! different: the engine's clock never follows it. A sound card is a clock; what a program calls its rate need not be one.

use crate::limits::{CHANNELS, SAMPLE_RATES_HZ};
use crate::queue::{Health, queue};
use crate::ring_follow::Following;
use crate::source::{OpenError, OpenSource, QUEUE_MS, frames_of};
use crate::uri::RingUri;
use control_protocol::{EngineConfig, Exit, StreamName, URI_BYTES_MAX};
use shm_layout::{AttachError, RingInfo, RingReader, RingState, SessionId, is_alive, list_rings, stream_link};
use sound_files::channels_text;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

/// The rings beside a stream.
#[derive(Debug, Clone)]
pub struct Surroundings {
    runtime_dir: PathBuf,
    session: SessionId,
    stream: StreamName,
}

impl Surroundings {
    /// Those of a stream of an engine.
    #[must_use]
    pub fn of(config: &EngineConfig, stream: &StreamName) -> Self {
        Self { runtime_dir: PathBuf::from(&config.runtime_dir), session: config.session, stream: stream.clone() }
    }
}

/// Opens a ring as a source.
///
/// # Errors
/// When it is not there, nobody writes it, it is our own, or has a form that cannot be taken.
pub(crate) fn open(uri: &RingUri, around: Option<&Surroundings>) -> Result<OpenSource, OpenError> {
    let refused = |reason: String, exit| OpenError::final_one(&reason, exit);
    let path = match (uri.ring.contains('/'), around) {
        (true, _) => PathBuf::from(&uri.ring),
        (false, Some(around)) => {
            around.runtime_dir.join(stream_link(uri.ring.strip_suffix(".ring").unwrap_or(&uri.ring)))
        }
        (false, None) => {
            let reason =
                format!("ring {}: without an instance a path is needed, as in ring:/dev/shm/{0}.ring", uri.ring);
            return Err(refused(reason, Exit::Usage));
        }
    };
    let session = around.map(|around| around.session);
    let ring = match RingReader::attach(&path) {
        Ok(ring) => Some(ring),
        Err(AttachError::Missing(_)) if uri.shape.is_some() => None,
        Err(AttachError::Missing(_)) => return Err(missing(&uri.ring, &path, session)),
        Err(error) => return Err(refused(format!("ring {}: {error}", uri.ring), Exit::Refused)),
    };
    if let Some(ring) = &ring {
        check(&uri.ring, ring.info(), around, &path)?;
    }
    let is_written = ring.as_ref().is_some_and(is_written);
    let own = ring.as_ref().map(|ring| (ring.info().sample_rate_hz, ring.info().channels));
    let shape = match (own.filter(|_| is_written), uri.shape) {
        (Some(own), Some(known)) if own != known => {
            return Err(refused(other_shape(&uri.ring, own, known), Exit::BadShape));
        }
        (Some(shape), _) | (None, Some(shape)) => shape,
        (None, None) => return Err(unwritten(&uri.ring, ring.as_ref())),
    };
    start(uri, path, session, ring.filter(|_| is_written), shape)
}

fn start(
    uri: &RingUri,
    path: PathBuf,
    session: Option<SessionId>,
    ring: Option<RingReader>,
    shape: (u32, u32),
) -> Result<OpenSource, OpenError> {
    let (rate_hz, channels) = (shape.0, shape.1 as usize);
    let from = match &ring {
        Some(ring) => format!("of process {}", ring.info().writer_pid),
        None => "which nobody writes yet".to_owned(),
    };
    let description =
        format!("ring {} {from}: {} kHz, {}", uri.ring, f64::from(rate_hz) / 1_000.0, channels_text(channels));
    let health = Arc::new(Health::default());
    let (inlet, outlet) = queue(channels, frames_of(QUEUE_MS, rate_hz), &health);
    let following = Following::new(uri.ring.clone(), &path, session, shape, inlet, ring);
    std::thread::Builder::new().name("ring follower".into()).spawn(move || following.run()).map_err(|e| OpenError {
        reason: format!("{description}: no thread for it: {e}"),
        retry: true,
        exit: Exit::Refused,
    })?;
    Ok(OpenSource {
        description,
        sample_rate_hz: rate_hz,
        queue_rate_hz: rate_hz,
        channels,
        live: true,
        own_clock: true,
        may_lead: false,
        is_steady: false,
        runs_already: true,
        waits_for_peer: false,
        // The next engine need not find its writer there.
        resume_uri: Some(uri.shaped(rate_hz, shape.1)).filter(|uri| uri.len() <= URI_BYTES_MAX),
        total_frames: None,
        health,
        outlet,
        successors: channel().1,
    })
}

/// Whether somebody writes it.
pub(crate) fn is_written(ring: &RingReader) -> bool {
    let info = ring.info();
    ring.state() == RingState::Live && is_alive(info.writer_pid, info.writer_start_time)
}

/// Holds a ring against what can be taken.
fn check(name: &str, info: &RingInfo, around: Option<&Surroundings>, path: &Path) -> Result<(), OpenError> {
    let refused = |reason: String, exit| Err(OpenError::final_one(&reason, exit));
    if let Some(around) = around {
        if info.session == around.session {
            let reason = format!(
                "ring {name} is this instance's own: the stream {} would hear itself. Its sound is in the mix already",
                around.stream
            );
            return refused(reason, Exit::Refused);
        }
        if path.parent() == Some(&around.runtime_dir) && info.stream == around.stream.as_str() {
            let reason = format!(
                "ring {name}: the stream would take the name of the ring that it reads, in one folder; give it another, as \
                 in {name}-in=ring:{name}"
            );
            return refused(reason, Exit::Refused);
        }
    }
    if !SAMPLE_RATES_HZ.contains(&info.sample_rate_hz) || !CHANNELS.contains(&info.channels) {
        let reason = format!(
            "ring {name} has {} Hz and {} channels; {} to {} Hz and up to {} channels can be taken. Its writer would have \
             to convert it",
            info.sample_rate_hz,
            info.channels,
            SAMPLE_RATES_HZ.start(),
            SAMPLE_RATES_HZ.end(),
            CHANNELS.end()
        );
        return refused(reason, Exit::BadShape);
    }
    Ok(())
}

/// What is said of a ring that has another form than it had.
pub(crate) fn other_shape(name: &str, (rate_hz, channels): (u32, u32), (known_hz, known): (u32, u32)) -> String {
    format!(
        "ring {name} has {rate_hz} Hz and {channels} channels now, and {known_hz} Hz and {known} were expected; `tympan \
         source remove` and `tympan source add` take it as it is"
    )
}

fn missing(name: &str, path: &Path, session: Option<SessionId>) -> OpenError {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut names: Vec<String> = list_rings(dir)
        .unwrap_or_default()
        .into_iter()
        .filter(|ring| Some(ring.info.session) != session && ring.state == RingState::Live)
        .map(|ring| ring.info.stream)
        .collect();
    names.dedup();
    let there = match names.is_empty() {
        true => ", and no other program writes one there; start the program that does".to_owned(),
        false => format!("; there are: {}", names.join(", ")),
    };
    OpenError {
        reason: format!("there is no ring {name} in {}{there}", dir.display()),
        retry: true,
        exit: Exit::NoDevice,
    }
}

fn unwritten(name: &str, ring: Option<&RingReader>) -> OpenError {
    let how = match ring.map(RingReader::state) {
        Some(RingState::Closed) => "was closed",
        _ => "has lost its writer",
    };
    let shape = ring.map_or((48_000, 1), |ring| (ring.info().sample_rate_hz, ring.info().channels));
    let waiting = RingUri { ring: name.into(), shape: None }.shaped(shape.0, shape.1);
    OpenError {
        reason: format!("ring {name} {how}, and nobody writes it; start its writer first, or wait for it: '{waiting}'"),
        retry: true,
        exit: Exit::NoDevice,
    }
}

#[cfg(test)]
mod tests;

//! libasound, told of the sound server's sources and sinks, and kept from talking on standard error.
//!
//! cpal opens only what libasound's configuration names. So the sources of a sound server are added to that
//! configuration, for this process alone: a file in memory stands behind the system's own in `ALSA_CONFIG_PATH`, and
//! libasound reads it again whenever it is another one.

#![expect(unsafe_code, reason = "an environment variable is set before there are threads")]

use crate::sound_server::ServerSource;
use alsa::{Direction, Output};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

const VARIABLE: &str = "ALSA_CONFIG_PATH";

/// What was added so far: nothing is ever taken out, since a device that is being kept is opened again by its name.
struct Added {
    file: OwnedFd,
    entries: BTreeMap<String, String>,
}

static ADDED: Mutex<Option<Added>> = Mutex::new(None);

fn added() -> MutexGuard<'static, Option<Added>> {
    ADDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for sources in libasound's configuration. To be called first of all; when it is too late for that, or
/// the configuration lies where nobody knows, nothing happens and sources have no names.
pub fn prepare() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return;
    }
    let folder = std::env::var_os("ALSA_CONFIG_DIR").unwrap_or_else(|| "/usr/share/alsa".into());
    let system: OsString = std::env::var_os(VARIABLE).unwrap_or_else(|| PathBuf::from(folder).join("alsa.conf").into());
    let exists = std::env::var_os(VARIABLE).is_some() || std::path::Path::new(&system).is_file();
    let Some(file) = exists.then(|| memfd_create("asound", MemfdFlags::CLOEXEC).ok()).flatten() else { return };
    let mut paths = system;
    paths.push(format!(":/proc/self/fd/{}", file.as_raw_fd()));
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(VARIABLE, paths) };
    *added() = Some(Added { file, entries: BTreeMap::new() });
}

/// The ALSA plug-in that leads to the sound server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridge {
    /// Of PulseAudio; it works with PipeWire, too.
    Pulse,
    /// Of PipeWire, which does not hear what speakers play.
    PipeWire,
}

/// Adds sources, or sinks for the other direction; [`pcm_of`] tells how they are called then. `false` where that is not
/// possible.
pub fn add(bridge: Bridge, direction: Direction, sources: &[ServerSource]) -> bool {
    let mut guard = added();
    let Some(added) = guard.as_mut() else { return false };
    let before = added.entries.len();
    for source in sources {
        added.entries.entry(pcm_of(&source.name)).or_insert_with_key(|pcm| entry((bridge, direction), pcm, source));
    }
    if added.entries.len() == before {
        return true;
    }
    // A new file under the old number: libasound tells files apart by their inode, and their time only by seconds.
    let text: String = added.entries.values().map(String::as_str).collect();
    let mut renewed = || -> std::io::Result<()> {
        let mut file = File::from(memfd_create("asound", MemfdFlags::CLOEXEC)?);
        file.write_all(text.as_bytes())?;
        rustix::io::dup2(&file, &mut added.file)?;
        Ok(())
    };
    renewed().is_ok()
}

fn entry(way: (Bridge, Direction), pcm: &str, source: &ServerSource) -> String {
    let (kind, target) = match way {
        (Bridge::Pulse, _) => ("pulse", "device"),
        (Bridge::PipeWire, Direction::Capture) => ("pipewire", "capture_node"),
        (Bridge::PipeWire, Direction::Playback) => ("pipewire", "playback_node"),
    };
    let quoted = |text: &str| text.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect::<String>();
    format!(
        "pcm.{pcm} {{ type {kind} {target} \"{}\" hint {{ show on description \"{}\" }} }}\n",
        quoted(&source.name),
        quoted(&source.description)
    )
}

/// The beginning of the names that are made here.
const PREFIX: &str = "tympan_";

/// How libasound calls a source that was added: letters, digits and underscores, a name of its own for every source.
#[must_use]
pub fn pcm_of(source: &str) -> String {
    let mut pcm = PREFIX.to_owned();
    for byte in source.bytes() {
        if byte.is_ascii_alphanumeric() {
            pcm.push(byte.into());
        } else {
            // Writing into a string cannot fail.
            let _ = write!(pcm, "_{byte:02x}");
        }
    }
    pcm
}

/// Whether this name was made here.
#[must_use]
pub fn is_added(pcm: &str) -> bool {
    pcm.starts_with(PREFIX)
}

/// Whether a device is a sound server's, by whichever of its names. Opens it, unless its name says what it is.
#[must_use]
pub fn leads_to_server(pcm: &str, direction: Direction) -> bool {
    let plug_in = pcm.split(':').next().unwrap_or(pcm);
    if is_added(pcm) || ["pulse", "pipewire"].contains(&plug_in) {
        return true;
    }
    if ["hw", "plughw"].contains(&plug_in) {
        return false;
    }
    let Ok(opened) = alsa::PCM::new(pcm, direction, true) else { return false };
    let Ok(mut text) = Output::buffer_open() else { return false };
    let dumped = opened.dump(&mut text).is_ok();
    dumped && ["PulseAudio PCM", "PipeWire PCM"].iter().any(|plug_in| text.to_string().contains(plug_in))
}

/// Keeps libasound from talking on standard error, on this thread, as long as this lives.
pub struct Hush(Option<std::rc::Rc<std::cell::RefCell<Output>>>);

impl Hush {
    /// From now on. Every call begins anew, so that what is held back does not grow.
    #[must_use]
    pub fn new() -> Self {
        Self(Output::local_error_handler().ok())
    }

    /// What libasound would have said.
    #[must_use]
    pub fn said(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |output| output.borrow().to_string())
    }
}

impl Default for Hush {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_a_name_of_its_own() {
        assert_eq!(pcm_of("alsa_input.usb-Yeti"), "tympan_alsa_5finput_2eusb_2dYeti");
        assert_ne!(pcm_of("a.b"), pcm_of("a-b"));
        assert_ne!(pcm_of("a_2eb"), pcm_of("a.b"));
        assert!(is_added(&pcm_of("x")) && !is_added("default"));
    }

    #[test]
    fn what_a_server_says_cannot_leave_its_quotes() {
        let source = ServerSource {
            name: "a\"b".into(),
            description: "x\" } pcm.!default { type null }\n\\".into(),
            sample_rate_hz: 48_000,
            channels: 1,
            format: "f32",
            muted: false,
            is_monitor: false,
            is_default: false,
        };
        let text = entry((Bridge::Pulse, Direction::Capture), "tympan_x", &source);
        assert_eq!(text.matches('"').count(), 4, "{text}");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains('\\'), "{text}");
    }
}

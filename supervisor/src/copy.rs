//! `tympan rings copy`: follows a live ring and keeps a file of layout version 1, for programs that read such files.

use crate::paths::{self, Folders};
use crate::refusal::{Refusal, refuse};
use crate::settings::Settings;
use anyhow::{Context, Result};
use control_protocol::Exit;
use shm_layout::{CreateError, Follow, Follower, FrameIndex, RingInfo, RingState, v1};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::BTreeSet;
use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Writes a second.
const WRITES_A_SECOND: u32 = 100;
/// Frames read at once.
const FRAMES_MAX: usize = 4_800;
/// How often a wish to end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// As a shell says of a program that Ctrl-C has ended.
const EXIT_ON_SIGNAL: i32 = 130;

/// Copies until Ctrl-C, or until the stream ends.
///
/// # Errors
/// When there is no such ring, or no such file can be made.
pub(crate) fn copy(settings: &Settings, stream: &str, path: &Path) -> Result<Exit> {
    let runtime = Folders::of_running(settings)?.runtime;
    look_for(stream, &runtime)?;
    if path.symlink_metadata().is_ok() {
        refuse!(Refused, "{} is there already; remove it, or name another file", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        refuse!(Refused, "cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the second signal finds the flag set.
        flag::register_conditional_shutdown(signal, EXIT_ON_SIGNAL, Arc::clone(&stop))
            .context("cannot watch signals")?;
        flag::register(signal, Arc::clone(&stop)).context("cannot watch signals")?;
    }
    let mut follower = Follower::new(&runtime, stream);
    let mut planar = Vec::new();
    let entered = loop {
        match follower.next(&mut planar, FRAMES_MAX, LOOK_EVERY) {
            Follow::NewEpoch { info, .. } => break *info,
            _ if stop.load(Ordering::Relaxed) => return Ok(Exit::Clean),
            _ => look_for(stream, &runtime)?,
        }
    };
    let mut out = Output::create(path, &entered)?;
    let (first, seconds) = (follower.position(), out.info.capacity_frames / u64::from(entered.sample_rate_hz));
    let channels =
        if entered.channels == 1 { "1 channel".to_owned() } else { format!("{} channels", entered.channels) };
    eprintln!(
        "tympan: copying {stream} ({} Hz, {channels}, from its frame {first} on) to {}, which holds {seconds} s; Ctrl-C ends",
        entered.sample_rate_hz,
        path.display()
    );
    let mut teller = Teller { stream, terminal: std::io::stderr().is_terminal(), drawn: false, last: Instant::now() };
    let (mut lost_frames, mut crashed, mut broken) = (0, false, false);
    while !stop.load(Ordering::Relaxed) {
        match follower.next(&mut planar, FRAMES_MAX, LOOK_EVERY) {
            Follow::Frames { frames, .. } => out.frames(&planar, frames),
            Follow::Lost { from, to } => {
                lost_frames += to.since(from);
                teller.zeros(from, to, "came too fast and are lost");
                out.zeros(to.since(from));
            }
            Follow::NewEpoch { info, .. } if !is_like(&info, &entered) => {
                teller.say("another run began, whose sound has a place of its own; copy it to another file");
                broken = true;
                break;
            }
            Follow::NewEpoch { gap, .. } => {
                crashed = false;
                if let Some((from, to)) = gap {
                    teller.zeros(from, to, "were never captured");
                    out.zeros(to.since(from));
                }
            }
            Follow::Crashed { .. } => crashed = true,
            Follow::Closed { .. } => break,
            // A run that ends without its engine closes the ring after its crash was told.
            Follow::Waiting if crashed && follower.ring().is_some_and(|ring| ring.state() == RingState::Closed) => {
                break;
            }
            Follow::Waiting if crashed && !paths::lives(&runtime) => {
                teller.say("the instance that wrote it was killed");
                broken = true;
                break;
            }
            Follow::Waiting => {}
        }
        teller.progress(out.seconds());
    }
    out.finish();
    teller.say(&format!("{:.1} s copied, {lost_frames} frames lost", out.seconds()));
    Ok(if broken || lost_frames > 0 { Exit::Incomplete } else { Exit::Clean })
}

/// Refuses a name that no ring has.
fn look_for(stream: &str, runtime: &Path) -> Result<()> {
    let found = match shm_layout::list_rings(runtime) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("cannot read {}", runtime.display()));
        }
        found => found.unwrap_or_default(),
    };
    let names: BTreeSet<&str> = found.iter().map(|ring| ring.info.stream.as_str()).collect();
    if names.is_empty() {
        refuse!(NotRunning, "there is no ring in {}; `tympan run` makes them", runtime.display());
    }
    if !names.contains(stream) {
        let names: Vec<_> = names.into_iter().collect();
        refuse!(Refused, "there is no ring \"{stream}\" in {}; there is: {}", runtime.display(), names.join(", "));
    }
    Ok(())
}

/// Whether one ring's frames can follow the other's in one file.
fn is_like(ring: &RingInfo, other: &RingInfo) -> bool {
    let shape = |ring: &RingInfo| (ring.session, ring.sample_rate_hz, ring.channels);
    shape(ring) == shape(other)
}

/// The file, which takes whole writes only.
struct Output {
    writer: v1::Writer,
    info: v1::Info,
    write_frames: usize,
    /// The write that is being filled, as `[channels][write_frames]`.
    planar: Vec<f32>,
    filled: usize,
    frames: u64,
}

impl Output {
    /// A file of the ring's rate, channels and history.
    fn create(path: &Path, ring: &RingInfo) -> Result<Self> {
        let write_frames = u64::from(ring.sample_rate_hz.div_ceil(WRITES_A_SECOND)).min(ring.capacity_frames);
        let info = v1::Info {
            sample_rate_hz: ring.sample_rate_hz,
            channels: ring.channels,
            // Whole writes, so that none goes over the end: some readers copy a write in one piece.
            capacity_frames: ring.capacity_frames - ring.capacity_frames % write_frames,
            write_frames,
        };
        let writer = v1::Writer::create(path, info).map_err(|e| refused(path, info, e))?;
        let write_frames = usize::try_from(write_frames)?;
        let planar = vec![0.0; write_frames * usize::try_from(ring.channels)?];
        Ok(Self { writer, info, write_frames, planar, filled: 0, frames: 0 })
    }

    /// Takes frames given as `[channels][frames]`.
    fn frames(&mut self, planar: &[f32], frames: usize) {
        let mut from = 0;
        while from < frames {
            let count = (frames - from).min(self.write_frames - self.filled);
            let channels = self.planar.chunks_exact_mut(self.write_frames).zip(planar.chunks_exact(frames));
            for (to, samples) in channels {
                to[self.filled..self.filled + count].copy_from_slice(&samples[from..from + count]);
            }
            from += count;
            self.take(count);
        }
        self.frames += frames as u64;
    }

    /// Silence in the place of frames that are not there: the next one is where it belongs.
    fn zeros(&mut self, frames: u64) {
        let mut left = frames;
        while left > 0 {
            let room = self.write_frames - self.filled;
            let count = usize::try_from(left).map_or(room, |left| left.min(room));
            for to in self.planar.chunks_exact_mut(self.write_frames) {
                to[self.filled..self.filled + count].fill(0.0);
            }
            left -= count as u64;
            self.take(count);
        }
        self.frames += frames;
    }

    fn take(&mut self, count: usize) {
        self.filled += count;
        if self.filled == self.write_frames {
            self.writer.write(&self.planar);
            self.filled = 0;
        }
    }

    /// Fills up the last write with silence.
    fn finish(&mut self) {
        if self.filled > 0 {
            for to in self.planar.chunks_exact_mut(self.write_frames) {
                to[self.filled..].fill(0.0);
            }
            self.take(self.write_frames - self.filled);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "to a tenth of a second")]
    fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.info.sample_rate_hz)
    }
}

fn refused(path: &Path, info: v1::Info, error: CreateError) -> anyhow::Error {
    let path = path.display();
    match error {
        CreateError::Io { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            let bytes = info.capacity_frames * u64::from(info.channels) * 8;
            let megabytes = bytes.div_ceil(1_000_000);
            Refusal::new(Exit::NoRoom, format!("no room for {path}, which takes {megabytes} MB; name another place"))
                .into()
        }
        CreateError::Io { source, .. } => anyhow::Error::new(source).context(format!("cannot write {path}")),
        other => anyhow::Error::new(other).context(format!("cannot write {path}")),
    }
}

/// Says what happens on standard error; on a terminal also how far it is.
struct Teller<'a> {
    stream: &'a str,
    terminal: bool,
    drawn: bool,
    last: Instant,
}

impl Teller<'_> {
    fn say(&mut self, text: &str) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[K");
        }
        eprintln!("tympan: {}: {text}", self.stream);
    }

    fn zeros(&mut self, from: FrameIndex, to: FrameIndex, why: &str) {
        self.say(&format!("frames {from} to {to} {why}; the file has silence there"));
    }

    fn progress(&mut self, seconds: f64) {
        if self.terminal && self.last.elapsed() >= PROGRESS_EVERY {
            eprint!("\r\x1b[Ktympan: {}: {seconds:.0} s", self.stream);
            self.drawn = true;
            self.last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_layout::{Epoch, RingReader, RingSpec, RingWriter, SessionId};

    fn ring(dir: &Path) -> (RingWriter, RingInfo) {
        let spec = RingSpec {
            stream: "mic".into(),
            session: SessionId([7; 16]),
            epoch: Epoch(1),
            previous_epoch: None,
            sample_rate_hz: 1_000,
            channels: 2,
            capacity_frames: 105,
            first_frame: FrameIndex(0),
            labels: Vec::new(),
            overview: false,
        };
        let writer = RingWriter::create(dir, &spec).unwrap();
        let info = RingReader::attach_stream(dir, "mic").unwrap().info().clone();
        (writer, info)
    }

    #[test]
    fn frames_of_any_count_become_whole_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (_ring, info) = ring(dir.path());
        let path = dir.path().join("copy");
        let mut out = Output::create(&path, &info).unwrap();
        // 7 frames, 20 of silence, 4 frames: three writes of 10 and one frame, which is filled up.
        let of = |from: u8, count: u8| -> Vec<f32> {
            (0..2_u8)
                .flat_map(|channel| (from..from + count).map(move |frame| f32::from(frame + 100 * channel)))
                .collect()
        };
        out.frames(&of(1, 7), 7);
        out.zeros(20);
        out.frames(&of(28, 4), 4);
        let reader = v1::Reader::attach(&path, 0).unwrap();
        assert_eq!((reader.info().write_frames, reader.info().capacity_frames), (10, 100));
        assert_eq!(reader.written(), FrameIndex(30));
        out.finish();
        assert_eq!(reader.written(), FrameIndex(40));
        let mut planar = vec![1.0; 80];
        reader.read(FrameIndex(0), &mut planar, 40).unwrap();
        for (channel, samples) in planar.chunks_exact(40).enumerate() {
            for (frame, sample) in (1_u8..).zip(samples) {
                let expected = f64::from(frame) + 100.0 * if channel == 1 { 1.0 } else { 0.0 };
                let expected = if (8..=27).contains(&frame) || frame > 31 { 0.0 } else { expected };
                assert!((sample - expected).abs() < f64::EPSILON, "frame {frame} of {channel}: {sample}");
            }
        }
        out.finish();
        assert_eq!(reader.written(), FrameIndex(40), "nothing is left to be filled up");
    }
}

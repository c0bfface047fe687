//! The place of a measurement: a folder of its own, rings in it, and nothing left behind.

use crate::{iceoryx, os};
use anyhow::{Context, Result};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;
use tempfile::TempDir;

/// Frames of a block: 10 ms at 48 kHz.
pub(crate) const BLOCK_FRAMES: usize = 480;
pub(crate) const CHANNELS: usize = 2;

static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder that is gone with it, also when the bench is interrupted.
pub(crate) struct Stage {
    dir: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        Self::in_folder(&std::env::temp_dir())
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("peers.").tempdir_in(folder)?;
        if let Ok(mut folders) = FOLDERS.lock() {
            folders.push(dir.path().to_owned());
        }
        Ok(Self { dir })
    }

    /// One that programs can be started from, which on tmpfs may be forbidden: beside this program.
    pub(crate) fn for_programs() -> Result<Self> {
        let here = std::env::current_exe()?;
        Self::in_folder(here.parent().context("a program without a folder")?)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A ring in it, every page of it present.
    pub(crate) fn ring(&self, spec: &RingSpec) -> Result<RingWriter> {
        let ring = RingWriter::create(self.path(), spec)?;
        ring.prefaulter().run();
        Ok(ring)
    }
}

/// A ring of this shape.
pub(crate) fn spec(stream: &str, sample_rate_hz: u32, channels: usize, capacity_frames: usize) -> Result<RingSpec> {
    Ok(RingSpec {
        stream: stream.into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz,
        channels: u32::try_from(channels)?,
        capacity_frames: capacity_frames as u64,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    })
}

/// Removes what this run made when a signal ends it; children end with it by themselves.
pub(crate) fn clean_up_at_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            if let Ok(folders) = FOLDERS.lock() {
                folders.iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
            }
            iceoryx::remove_leftovers();
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Nanoseconds that `work` takes, the clock's own part included.
pub(crate) fn time(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64
}

/// What the clock itself takes in [`time`].
pub(crate) fn clock_cost() -> f64 {
    let mut costs: Vec<f64> = (0..10_000).map(|_| time(|| ())).collect();
    crate::rows::quantile(&mut costs, 0.5)
}

/// Plain copies into memory of a given size, one place after the other: as a ring of this size is written.
pub(crate) struct Copies {
    to: Vec<f32>,
    at: usize,
}

impl Copies {
    pub(crate) fn new(samples: usize) -> Self {
        // Not zeros: those the system would give page by page.
        Self { to: vec![0.5; samples], at: 0 }
    }

    pub(crate) fn copy(&mut self, from: &[f32]) {
        if self.at + from.len() > self.to.len() {
            self.at = 0;
        }
        let place = &mut self.to[self.at..self.at + from.len()];
        std::hint::black_box(place).copy_from_slice(std::hint::black_box(from));
        self.at += from.len();
    }
}

/// The words by which the bench and its children speak, in a file of their own.
pub(crate) fn board(stage: &Stage, samples: usize) -> Result<(PathBuf, os::Shared)> {
    let path = stage.path().join(format!("board.{}", os::now_ns()));
    let shared = os::Shared::create(&path, samples).context("the bench's own words")?;
    Ok((path, shared))
}

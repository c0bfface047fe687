//! Which streams there are, and the numbers that messages call them by.

use crate::rings::{AnyRing, RingPlace, all_places};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a page is told of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Stream {
    /// What binary messages call it.
    pub id: u32,
    pub stream: String,
    /// Frames of streams of one session mean the same instants.
    pub session: Option<String>,
    pub epoch: u64,
    pub sample_rate_hz: u32,
    pub channels: usize,
    pub labels: Vec<String>,
    pub capacity_frames: u64,
    pub oldest_frame: u64,
    pub newest_frame: u64,
    pub state: &'static str,
}

/// The streams of a folder, or those that were named.
#[derive(Debug)]
pub(super) struct Catalogue {
    folder: PathBuf,
    named: Option<Vec<RingPlace>>,
    ids: Mutex<BTreeMap<String, u32>>,
}

impl Catalogue {
    /// Of these rings, or of all that are in the folder at any time.
    pub(super) const fn new(folder: PathBuf, named: Option<Vec<RingPlace>>) -> Self {
        Self { folder, named, ids: Mutex::new(BTreeMap::new()) }
    }

    /// The folder of the instance.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A stream's number: the same for as long as this server lives.
    pub(super) fn id(&self, stream: &str) -> u32 {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        *ids.entry(stream.to_owned()).or_insert(next)
    }

    fn places(&self) -> Vec<RingPlace> {
        self.named.clone().unwrap_or_else(|| all_places(&self.folder))
    }

    /// Where a stream is.
    pub(super) fn place(&self, stream: &str) -> Option<RingPlace> {
        self.places().into_iter().find(|place| place.name == stream)
    }

    /// All of them that can be read now, by name.
    pub(super) fn streams(&self) -> Vec<Stream> {
        self.places().iter().filter_map(|place| self.describe(place)).collect()
    }

    fn describe(&self, place: &RingPlace) -> Option<Stream> {
        let mut ring = AnyRing::attach(&place.path).ok()?;
        let state = ring.state().as_str();
        let shape = ring.shape();
        Some(Stream {
            id: self.id(&place.name),
            stream: place.name.clone(),
            session: shape.session.map(|session| session.to_string()),
            epoch: shape.epoch,
            sample_rate_hz: shape.sample_rate_hz,
            channels: shape.channels,
            labels: (0..shape.channels).map(|channel| shape.label(channel)).collect(),
            capacity_frames: shape.capacity_frames,
            oldest_frame: ring.oldest().0,
            newest_frame: ring.newest().0,
            state,
        })
    }
}

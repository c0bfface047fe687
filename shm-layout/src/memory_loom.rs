//! The mapping of a model: the same words at the same offsets as [`Mapping`] of a file has, as atomics of loom.
//!
//! It has only those words that the protocol's two sides share; every other offset panics, as outside of a file. A
//! sample is a word of its own here, where the real copies move two at a time: the model allows more tearing, not less.

use crate::header::{RingInfo, RingState};
use crate::offset as at;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use loom::sync::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;
use std::time::Duration;

#[derive(Debug)]
struct Cells {
    words: BTreeMap<usize, AtomicU64>,
    halves: BTreeMap<usize, AtomicU32>,
    /// The samples of each channel, with the offset where they begin.
    planes: Vec<(usize, Vec<AtomicU32>)>,
    /// The kernel's side of the futex: who sleeps, looks at the word under this lock.
    sleepers: Mutex<()>,
    wake: Condvar,
}

/// The words of one ring in a model, and with each clone the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    cells: Arc<Cells>,
    writable: bool,
    /// How many more stores are made before the one who stores dies; `None`: all.
    life: Option<Arc<Count>>,
}

impl Mapping {
    /// A ring of this layout in which nothing is written yet.
    pub(crate) fn of_ring(info: &RingInfo) -> Self {
        let first = info.first_frame.0;
        let mut words: BTreeMap<_, _> = [
            (at::COMMIT, first),
            (at::RESERVE, first),
            (at::COMMIT_TIME, 0),
            (at::TABLE_COUNT, 0),
            (at::GAP_FRAMES, 0),
        ]
        .map(|(offset, value)| (offset, AtomicU64::new(value)))
        .into();
        let mut halves: BTreeMap<_, _> =
            [(at::FUTEX, 0), (at::STATE, RingState::Live.to_bits())].map(|(o, v)| (o, AtomicU32::new(v))).into();
        for slot in 0..info.table_entries {
            let slot = place(info.table_offset + slot * info.table_entry_bytes);
            words.extend([0, 16, 24, 32, 40].map(|field| (slot + field, AtomicU64::new(0))));
            halves.extend([8, 12].map(|field| (slot + field, AtomicU32::new(0))));
        }
        for channel in 0..info.channels as usize {
            let bins =
                info.overview.iter().flat_map(|overview| (0..overview.bins).map(|bin| overview.at(channel, bin)));
            words.extend(bins.map(|offset| (offset, AtomicU64::new(0))));
        }
        let plane =
            |channel: u64| (place(info.data_offset + channel * info.stride_bytes), zeros(place(info.capacity_frames)));
        Self::new(words, halves, (0..u64::from(info.channels)).map(plane).collect())
    }

    /// The words of a version 1 ring of this many samples.
    pub(crate) fn of_version_1(samples: usize) -> Self {
        let offsets = [at::COMMIT].into_iter().chain((0..samples).map(|sample| 4096 + sample * 8));
        Self::new(offsets.map(|offset| (offset, AtomicU64::new(0))).collect(), BTreeMap::new(), Vec::new())
    }

    fn new(
        words: BTreeMap<usize, AtomicU64>,
        halves: BTreeMap<usize, AtomicU32>,
        planes: Vec<(usize, Vec<AtomicU32>)>,
    ) -> Self {
        let cells = Cells { words, halves, planes, sleepers: Mutex::new(()), wake: Condvar::new() };
        Self { cells: Arc::new(cells), writable: true, life: None }
    }

    /// The same words for one who only reads.
    pub(crate) fn for_reader(&self) -> Self {
        Self { writable: false, life: None, ..self.clone() }
    }

    /// The same words for one who dies after so many stores: the next ones never happen.
    pub(crate) fn for_mortal(&self, stores: usize) -> Self {
        Self { life: Some(Arc::new(Count::new(stores))), ..self.clone() }
    }

    pub(crate) fn read_only(_: &File, _: usize) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a model has no files"))
    }

    pub(crate) fn read_write(file: &File, bytes: usize) -> io::Result<Self> {
        Self::read_only(file, bytes)
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::MAX
    }

    /// No memory is a model's own: none is kept.
    pub(crate) fn addresses(&self, _: usize, _: usize) -> Range<usize> {
        0..0
    }

    pub(crate) fn load_u64(&self, offset: usize, order: Ordering) -> u64 {
        self.cells.words[&offset].load(order)
    }

    pub(crate) fn load_u32(&self, offset: usize, order: Ordering) -> u32 {
        self.cells.halves[&offset].load(order)
    }

    pub(crate) fn store_u64(&self, offset: usize, value: u64, order: Ordering) {
        if self.stores() {
            self.cells.words[&offset].store(value, order);
        }
    }

    pub(crate) fn store_u32(&self, offset: usize, value: u32, order: Ordering) {
        if self.stores() {
            self.cells.halves[&offset].store(value, order);
        }
    }

    pub(crate) fn exchange_u32(&self, offset: usize, from: u32, to: u32, order: Ordering) -> bool {
        assert!(self.stores(), "a warden does not die in a model");
        self.cells.halves[&offset].compare_exchange(from, to, order, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn add_u32(&self, offset: usize, order: Ordering) {
        if self.stores() {
            self.cells.halves[&offset].fetch_add(1, order);
        }
    }

    pub(crate) fn copy_out(&self, offset: usize, samples: &mut [f32]) {
        for (cell, sample) in self.samples(offset, samples.len()).iter().zip(samples) {
            *sample = f32::from_bits(cell.load(Ordering::Relaxed));
        }
    }

    pub(crate) fn copy_in(&self, offset: usize, samples: &[f32]) {
        for (cell, sample) in self.samples(offset, samples.len()).iter().zip(samples) {
            if self.stores() {
                cell.store(sample.to_bits(), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn samples(&self, offset: usize, count: usize) -> &[AtomicU32] {
        let inside = |&&(begin, ref plane): &&(usize, Vec<_>)| (begin..begin + plane.len() * 4).contains(&offset);
        let (begin, plane) = self.cells.planes.iter().find(inside).expect("offset outside of the samples");
        &plane[(offset - begin) / 4..][..count]
    }

    pub(crate) fn copy_bytes(&self, _: usize, _: &mut [u8]) {
        unreachable!("a model has no header to be read: it maps no files");
    }

    pub(crate) fn touch(&self, _: usize, _: usize) {
        unreachable!("loom lets a store come between the two halves of a read-modify-write: no prefaulter in a model");
    }

    /// Sleeps until woken, while the word is `expected`. No time passes in a model: nobody wakes by himself.
    pub(crate) fn futex_wait(&self, offset: usize, expected: u32, _: Duration) {
        let asleep = self.cells.sleepers.lock().expect("no model goes on after a panic");
        // What FUTEX_WAIT promises: the look and the falling asleep are one for those that wake.
        if self.cells.halves[&offset].load(Ordering::Relaxed) == expected {
            drop(self.cells.wake.wait(asleep));
        }
    }

    pub(crate) fn futex_wake_all(&self, _: usize) {
        if self.lives() {
            let _awake = self.cells.sleepers.lock().expect("no model goes on after a panic");
            self.cells.wake.notify_all();
        }
    }

    fn lives(&self) -> bool {
        self.life.as_ref().is_none_or(|left| left.load(Ordering::Relaxed) > 0)
    }

    /// Whether the next store happens.
    fn stores(&self) -> bool {
        assert!(self.writable, "store through a read-only mapping");
        let less = |left: usize| left.checked_sub(1);
        self.life.as_ref().is_none_or(|left| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok())
    }
}

fn zeros(count: usize) -> Vec<AtomicU32> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a model is small")
}

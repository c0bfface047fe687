//! Cases from bytes: a file is written, attached and read in every way. Nothing is asserted but that all of it returns.

use shm_layout::{Epoch, Extent, Follower, FrameIndex, RingReader, RingSpec, RingWarden, RingWriter, SessionId, v1};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// No file of a case is longer.
const FILE_BYTES_MAX: usize = 1 << 18;
/// No read of a case is longer, in frames.
const FRAMES_MAX: usize = 5_000;

/// How far a case got.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// It was a ring.
    pub attached: bool,
    /// It was a version 1 ring.
    pub attached_v1: bool,
    /// Frames were read.
    pub read: bool,
    /// Frames were lost.
    pub lost: bool,
}

/// A folder with a ring of each version.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
    ring: Subject,
    old: Subject,
}

/// A file whose bytes are changed, and what they were.
#[derive(Debug)]
struct Subject {
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
}

impl Subject {
    fn of(path: PathBuf) -> Self {
        let file = OpenOptions::new().write(true).open(&path).expect("a ring of our own");
        let bytes = std::fs::read(&path).expect("a ring of our own");
        Self { path, file, bytes }
    }

    /// The file as it was, with these changes.
    fn change(&self, changes: &[(usize, u64)]) {
        self.file.write_all_at(&self.bytes, 0).expect("room");
        for &(offset, word) in changes {
            self.file.write_all_at(&word.to_le_bytes(), offset as u64).expect("room");
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Makes the folder and its rings.
    ///
    /// # Panics
    /// If there is no room.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let spec = RingSpec {
            stream: "whole".into(),
            session: SessionId([3; 16]),
            epoch: Epoch(1),
            previous_epoch: None,
            sample_rate_hz: 100,
            channels: 2,
            capacity_frames: 300,
            first_frame: FrameIndex(1_000),
            labels: vec!["left".into(), "right".into()],
            overview: true,
        };
        let mut writer = RingWriter::create(dir.path(), &spec).expect("a ring");
        for _ in 0..9 {
            let from = writer.next_frame();
            writer.mark_gap(from, from.plus(10), 3);
            writer.write(&[0.25; 200], 100);
        }
        let info = v1::Info { sample_rate_hz: 100, channels: 2, capacity_frames: 100, write_frames: 10 };
        let old = dir.path().join("old.ring");
        let mut old_writer = v1::Writer::create(&old, info).expect("a ring");
        (0..15).for_each(|_| old_writer.write(&[0.5; 20]));
        let ring = Subject::of(writer.path().to_owned());
        Self { ring, old: Subject::of(old), dir }
    }

    /// What fuzzing of [`Place::attach`] begins with.
    pub fn attach_seeds(&self) -> Vec<Vec<u8>> {
        // Of version 2 the header and the beginning of the table; the rest is filled up with zeros.
        let long = |subject: &Subject, flags: u8, bytes: usize| [&[flags], &subject.bytes[..bytes]].concat();
        vec![
            long(&self.ring, pages(&self.ring) << 2, 4_400),
            long(&self.ring, 1 | (pages(&self.ring) << 2), 4_400),
            long(&self.ring, 1 | (pages(&self.ring) << 2), 600),
            long(&self.old, pages(&self.old) << 2, 56),
            long(&self.old, 2, self.old.bytes.len()),
            vec![0; 5_000],
        ]
    }

    /// What fuzzing of [`Place::read`] begins with.
    pub fn read_seeds() -> Vec<Vec<u8>> {
        let change = |kind: u8, place: u16, word: u64| {
            let mut bytes = vec![kind];
            bytes.extend(place.to_le_bytes());
            bytes.extend(word.to_le_bytes());
            bytes
        };
        let mut seeds = vec![vec![0], vec![7]];
        // Commit, reserve, state, table count; the first entry's stamp; a bin; a sample.
        for (kind, place) in [(0, 5), (0, 7), (0, 8), (0, 16), (1, 0), (2, 0), (3, 0), (4, 5)] {
            for word in [0, 1_500, u64::MAX, u64::MAX - 1, 1 << 63] {
                seeds.push([vec![0], change(kind, place, word)].concat());
                seeds.push([vec![7], change(kind, place, word), change(0, 5, u64::MAX)].concat());
            }
        }
        seeds
    }

    /// Bytes as a file: bit 0 of the first one mends what a stranger could compute (magic, version, length, checksum),
    /// the others say how many pages it has at least.
    ///
    /// # Panics
    /// If there is no room.
    pub fn attach(&mut self, input: &[u8]) -> Reached {
        let Some((flags, bytes)) = input.split_first() else { return Reached::default() };
        let mut bytes = bytes[..bytes.len().min(FILE_BYTES_MAX)].to_vec();
        bytes.resize(bytes.len().max(usize::from(flags >> 2) * 4096), 0);
        if flags & 1 != 0 && bytes.len() >= 4096 {
            mend(&mut bytes);
        }
        let path = self.dir.path().join("mic.1.ring");
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("room");
        file.write_all_at(&bytes, 0).expect("room");
        let mut reached = Reached::default();
        if let Ok(warden) = RingWarden::attach(self.dir.path(), "mic", Epoch(1)) {
            let _ = (warden.commit(), warden.reserve(), warden.commit_time_ns(), warden.state(), warden.gap_frames());
            warden.mark_crashed();
            warden.close_for_dead_writer();
        }
        if let Ok(reader) = RingReader::attach(&path) {
            reached.attached = true;
            look_at(&reader, &mut reached);
        }
        if let Ok(reader) = v1::Reader::attach(&path, 64) {
            reached.attached_v1 = true;
            look_at_v1(&reader, &mut reached);
        }
        let _ = shm_layout::list_rings(self.dir.path());
        let mut follower = Follower::at(self.dir.path(), "mic", Epoch(1), FrameIndex(0));
        let mut planar = Vec::new();
        for _ in 0..4 {
            let _ = follower.next(&mut planar, 100, Duration::ZERO);
        }
        reached
    }

    /// Words of real rings, changed: 11 bytes each name a region, a place in it and a word. A first byte
    /// whose low bits are all set: another thread goes on changing them meanwhile.
    ///
    /// # Panics
    /// If there is no room.
    pub fn read(&mut self, input: &[u8]) -> Reached {
        let Some((flags, edits)) = input.split_first() else { return Reached::default() };
        let mut changes: [Vec<(usize, u64)>; 2] = Default::default();
        for edit in edits.as_chunks::<11>().0.iter().take(64) {
            let place = usize::from(u16::from_le_bytes([edit[1], edit[2]]));
            let word = u64::from_le_bytes([edit[3], edit[4], edit[5], edit[6], edit[7], edit[8], edit[9], edit[10]]);
            // Hot words, the table, the overview and all behind it, the samples, version 1.
            let (begin, words) = match edit[0] % 5 {
                0 => (0, 32),
                1 => (4_096, 2_048),
                2 => (self.ring.bytes.len() - 4_096, 512),
                3 => (20_480, 1_024),
                _ => (0, self.old.bytes.len() / 8),
            };
            changes[usize::from(edit[0] % 5 == 4)].push((begin + place % words * 8, word));
        }
        let [ring, old] = changes;
        let mut reached = Reached::default();
        // Attached while they were whole.
        self.ring.change(&[]);
        self.old.change(&[]);
        let reader = RingReader::attach(&self.ring.path).expect("a whole ring");
        let old_reader = v1::Reader::attach(&self.old.path, 10).expect("a whole ring");
        self.ring.change(&ring);
        self.old.change(&old);
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            if flags & 7 == 7 {
                threads.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        self.ring.change(&ring);
                        self.old.change(&old);
                    }
                });
            }
            look_at(&reader, &mut reached);
            look_at_v1(&old_reader, &mut reached);
            over.store(true, Ordering::Relaxed);
        });
        reached
    }
}

fn pages(subject: &Subject) -> u8 {
    u8::try_from(subject.bytes.len().div_ceil(4096)).expect("a small ring")
}

/// Magic, version, length and checksum, as LAYOUT.md has them.
fn mend(bytes: &mut [u8]) {
    let total = bytes.len() as u64;
    bytes[..8].copy_from_slice(b"AUDITAB!");
    bytes[8..16].copy_from_slice(&2_u64.to_le_bytes());
    bytes[264..272].copy_from_slice(&total.to_le_bytes());
    bytes[276..280].fill(0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[16..40]);
    crc.update(&bytes[256..4096]);
    bytes[276..280].copy_from_slice(&crc.finalize().to_le_bytes());
}

/// Every way to read a ring, at every place where a counter can mislead.
pub fn look_at(reader: &RingReader, reached: &mut Reached) {
    let info = reader.info();
    let channels = info.channels as usize;
    let capacity = usize::try_from(info.capacity_frames).unwrap_or(usize::MAX);
    let (commit, oldest) = (reader.commit(), reader.oldest());
    let positions =
        [FrameIndex(0), info.first_frame, oldest, commit.back(1), commit.back(7), commit, FrameIndex(u64::MAX)];
    let mut planar = Vec::new();
    for position in positions {
        for frames in [0, 1, 7, capacity, capacity.saturating_add(1)] {
            if frames <= FRAMES_MAX {
                planar.resize(channels * frames, 0.0);
                let read = reader.read(position, &mut planar, frames);
                reached.read |= read.is_ok() && frames > 0;
                reached.lost |= matches!(read, Err(shm_layout::ReadError::Lost { .. }));
            }
        }
        let all = usize::try_from(commit.since(position)).unwrap_or(usize::MAX);
        for frames in [0, 1, capacity, all, usize::MAX] {
            let _ = reader.in_place(position, frames, |seen| {
                let last = channels - 1;
                seen.samples(0).take(100).sum::<f32>() + seen.samples(last).take(100).sum::<f32>()
                    // The very last one too: an end outside of the file would be touched here.
                    + seen.bits(last).iter().filter_map(|piece| piece.last()).map(|b| f32::from_bits(b.load(Ordering::Relaxed))).sum::<f32>()
            });
        }
        let _ = (reader.instant_of(position), reader.frame_at(position.0), reader.frame_at_wall(position.0));
        let _ = reader.gaps(position, commit);
        let bin_frames = info.overview.map_or(1, |overview| overview.bin_frames);
        for bin in [position.0 / bin_frames, position.0] {
            for count in [0, 1, 3] {
                let mut extents = [Extent { min: 0.0, max: 0.0 }; 3];
                let _ = reader.read_overview(channels - 1, bin, &mut extents[..count]);
            }
        }
    }
    planar.resize(channels * 7, 0.0);
    let _ = reader.read_newest(&mut planar, 7);
    let _ = (reader.wait(commit.back(1), Duration::ZERO), reader.wait(FrameIndex(u64::MAX), Duration::ZERO));
    let _ = reader.wait_for(commit, u64::MAX, Duration::ZERO);
    let _ = (reader.state(), reader.gap_frames());
}

/// As [`look_at`], for version 1.
pub fn look_at_v1(reader: &v1::Reader, reached: &mut Reached) {
    let info = reader.info();
    let written = reader.written();
    let capacity = usize::try_from(info.capacity_frames).unwrap_or(usize::MAX);
    let mut planar = Vec::new();
    for position in [FrameIndex(0), written.back(info.capacity_frames), written.back(1), written, FrameIndex(u64::MAX)]
    {
        for frames in [0, 1, 7, capacity, capacity.saturating_add(1)] {
            if frames <= FRAMES_MAX {
                planar.resize(info.channels as usize * frames, 0.0);
                let read = reader.read(position, &mut planar, frames);
                reached.lost |= matches!(read, Err(shm_layout::ReadError::Lost { .. }));
            }
        }
    }
}

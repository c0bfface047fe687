//! A small ring, and what all readers say of a file: the same as the Rust reader.

use crate::{ALL, READERS};
use anyhow::{Context, Result, ensure};
use shm_layout::{AttachError, Epoch, FrameIndex, ReadError, RingReader, RingSpec, RingWriter, SessionId};
use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use system_tests::*;

/// Every number a Node reader can hold exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;
pub(crate) const CHECKSUM: usize = 276;

/// A small ring with two gaps, whose writer is this process; its bytes.
pub(crate) fn ring_bytes(dir: &Path, frames: u64) -> Result<Vec<u8>> {
    let spec = RingSpec {
        stream: "pattern".into(),
        session: SessionId(*b"a session's uuid"),
        epoch: Epoch(3),
        previous_epoch: Some(Epoch(2)),
        sample_rate_hz: 44_100,
        channels: 2,
        capacity_frames: 1_000,
        first_frame: FrameIndex(5_000),
        labels: vec!["links".into(), "für rechts".into()],
        overview: true,
    };
    let mut ring = RingWriter::create(dir, &spec)?;
    for from in (5_000..5_000 + frames).step_by(100) {
        if from % 300 == 200 {
            ring.mark_gap(FrameIndex(from), FrameIndex(from + 7), 2);
        }
        let planar: Vec<f32> = (0..2).flat_map(|c| (from..from + 100).map(move |f| pattern_sample(f, c))).collect();
        ring.write(&planar, 100);
    }
    let path = ring.path().to_owned();
    let bytes = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    std::fs::remove_file(dir.join("pattern.ring"))?;
    Ok(bytes)
}

pub(crate) fn put(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

/// CRC-32 (IEEE), bit by bit: a third way to the same number.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

pub(crate) fn seal(bytes: &mut [u8]) {
    let crc = crc32(&[&bytes[16..40], &bytes[256..CHECKSUM], &[0; 4], &bytes[CHECKSUM + 4..4096]]);
    bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&crc.to_le_bytes());
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file.write_all(bytes)?)
}

/// What the Rust reader says of a file, in the words of the probes (but for the time of the day).
fn rust_answer(path: &Path) -> Result<String> {
    let ring = match RingReader::attach(path) {
        Ok(ring) => ring,
        Err(error) => {
            return Ok(format!(
                "error {}",
                match error {
                    AttachError::Missing(_) => "missing",
                    AttachError::Io { .. } => "io",
                    AttachError::Untrusted { .. } => "untrusted",
                    AttachError::Version { .. } => "version",
                    AttachError::Feature { .. } => "feature",
                    AttachError::Malformed(_) => "malformed",
                }
            ));
        }
    };
    let info = ring.info();
    let hex = |bytes: &[u8]| match bytes {
        [] => "-".to_owned(),
        bytes => bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
    };
    let mut line = format!(
        "ok {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
        info.sample_rate_hz,
        info.channels,
        info.capacity_frames,
        info.first_frame,
        info.epoch,
        info.previous_epoch.unwrap_or(Epoch(0)),
        info.writer_pid,
        info.writer_start_time,
        ring.commit(),
        ring.oldest(),
        ring.gap_frames(),
        ring.state().as_str(),
        u8::from(info.overview.is_some()),
        hex(&info.session.0),
        hex(info.stream.as_bytes()),
    );
    if !info.labels.is_empty() {
        let labels: Vec<_> = info.labels.iter().map(|label| hex(label.as_bytes())).collect();
        write!(line, " {}", labels.join(","))?;
    }
    let frames = usize::try_from(info.capacity_frames.min(16))?;
    let mut planar = vec![0.0; frames * info.channels as usize];
    for name in ["oldest", "newest", "first"] {
        let read = match name {
            "oldest" => ring.read(ring.oldest(), &mut planar, frames),
            "newest" => ring.read_newest(&mut planar, frames).map(drop),
            _ => ring.read(info.first_frame, &mut planar, frames),
        };
        match read {
            Ok(()) => {
                let bytes: Vec<u8> = planar.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                write!(line, " {name}:ok:{:08x}", crc32(&[&bytes]))?;
            }
            Err(ReadError::Lost { from, to }) => write!(line, " {name}:lost:{from}:{to}")?,
            Err(ReadError::NotYet { available }) => write!(line, " {name}:not_yet:{available}")?,
            Err(ReadError::BeforeFirst { first }) => write!(line, " {name}:before_first:{first}")?,
        }
    }
    for gap in ring.gaps(FrameIndex(0), FrameIndex(u64::MAX)) {
        write!(line, " gap:{}:{}:{}", gap.from, gap.to, gap.cause)?;
    }
    let time = ring.instant_of(ring.commit()).map_or("-".to_owned(), |ns| ns.to_string());
    write!(line, " monotonic:{time}")?;
    Ok(line)
}

/// All readers, asked together.
pub(crate) struct Everyone(Vec<Attacher>);

impl Everyone {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self(ALL.into_iter().map(|language| READERS.attacher(language)).collect::<Result<_>>()?))
    }

    /// What all of them say, which must be what the Rust reader says.
    pub(crate) fn ask(&mut self, path: &Path) -> Result<String> {
        let expected = rust_answer(path)?;
        let beyond = expected.split([' ', ':']).filter_map(|w| w.parse::<u64>().ok()).any(|n| n > SAFE_MAX);
        let mut walls = Vec::new();
        for attacher in &mut self.0 {
            let language = attacher.language();
            let answer = attacher.ask(path)?;
            let told = if answer.starts_with("error ") {
                answer.split(' ').take(2).collect::<Vec<_>>().join(" ")
            } else {
                let (told, wall) = answer.rsplit_once(" wall:").with_context(|| format!("{language:?}: {answer}"))?;
                walls.push((language, wall.to_owned()));
                told.to_owned()
            };
            // Numbers that no honest file has are not exact in Node; it may refuse them.
            if language == Language::Node && beyond {
                ensure!(told.starts_with("ok ") || told == "error malformed", "Node: {answer}");
                walls.retain(|wall| wall.0 != Language::Node);
                continue;
            }
            ensure!(told == expected, "{language:?} says\n{told}\nand Rust\n{expected}");
        }
        ensure!(walls.windows(2).all(|pair| pair[0].1 == pair[1].1), "times of the day: {walls:?}");
        Ok(expected)
    }

    pub(crate) fn end(self) -> Result<()> {
        self.0.into_iter().try_for_each(Attacher::end)
    }
}

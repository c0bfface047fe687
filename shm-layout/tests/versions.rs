//! What a reader takes from programs that are older, newer, or not ours. The golden files are made by the scripts beside
//! them, from LAYOUT.md and not from this crate (`scripts/prove golden` makes them again and compares).

use shm_layout::{AttachError, Epoch, FrameIndex, GapSpan, ReadError, RingReader, RingState, v1};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn private(dir: &Path, bytes: &[u8]) -> PathBuf {
    let path = dir.join("golden.ring");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

const OLD: v1::Info = v1::Info { sample_rate_hz: 44_100, channels: 2, capacity_frames: 8, write_frames: 4 };

#[test]
fn a_foreign_version_1_ring_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = golden("v1.ring");
    let path = private(dir.path(), &bytes);
    let reader = v1::Reader::attach(&path, 99).unwrap();
    assert_eq!((reader.info(), reader.written()), (OLD, FrameIndex(12)));
    let mut planar = [0.0; 8];
    // A write may be under way, which takes the place of frames 4 to 7.
    assert_eq!(
        reader.read(FrameIndex(4), &mut planar, 4),
        Err(ReadError::Lost { from: FrameIndex(4), to: FrameIndex(8) })
    );
    reader.read(FrameIndex(8), &mut planar, 4).unwrap();
    assert_eq!(planar, [8.0, 9.0, 10.0, 11.0, 108.0, 109.0, 110.0, 111.0]);
    assert_eq!(reader.read(FrameIndex(9), &mut planar, 4), Err(ReadError::NotYet { available: FrameIndex(12) }));
    // Known writers leave the length of a write at 0.
    bytes[48] = 0;
    let reader = v1::Reader::attach(&private(dir.path(), &bytes), 4).unwrap();
    assert_eq!(reader.info(), OLD);
    assert!(matches!(v1::Reader::attach(&private(dir.path(), &bytes), 9), Err(AttachError::Malformed(_))));
    let refused = RingReader::attach(&private(dir.path(), &bytes)).unwrap_err();
    assert!(matches!(refused, AttachError::Version { actual: 1, expected: 2 }), "{refused}");
}

#[test]
fn our_version_1_ring_is_the_same_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.ring");
    let mut writer = v1::Writer::create(&path, OLD).unwrap();
    for write in 0_u8..3 {
        let frames = |channel: f32| (0_u8..4).map(move |frame| f32::from(write * 4 + frame) + channel * 100.0);
        writer.write(&frames(0.0).chain(frames(1.0)).collect::<Vec<_>>());
    }
    assert!(std::fs::read(&path).unwrap() == golden("v1.ring"));
}

#[test]
fn what_a_later_program_adds_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let reader = RingReader::attach(&private(dir.path(), &golden("v2.ring"))).unwrap();
    let info = reader.info();
    assert_eq!((info.stream.as_str(), info.epoch, info.previous_epoch), ("golden", Epoch(3), Some(Epoch(2))));
    assert_eq!(
        (info.labels.join(" ").as_str(), info.overview, reader.state()),
        ("left right", None, RingState::Closed)
    );
    let mut planar = [0.0; 6];
    reader.read(FrameIndex(1_098), &mut planar, 3).unwrap();
    assert_eq!(planar, [1_098.0, 1_099.0, 1_100.0, 11_098.0, 11_099.0, 11_100.0]);
    let gap = GapSpan { from: FrameIndex(1_020), to: FrameIndex(1_030), cause: 9 };
    assert_eq!(reader.gaps(FrameIndex(0), FrameIndex(u64::MAX)), [gap]);
    assert_eq!(reader.instant_of(FrameIndex(1_048)), Some(5_001_000_000));
}

/// The golden ring of version 2 with one word changed, and a checksum that is right.
fn changed(dir: &Path, offset: usize, word: u64) -> Result<RingReader, AttachError> {
    let mut bytes = golden("v2.ring");
    bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    bytes[276..280].fill(0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[16..40]);
    crc.update(&bytes[256..4096]);
    bytes[276..280].copy_from_slice(&crc.finalize().to_le_bytes());
    RingReader::attach(&private(dir, &bytes))
}

#[test]
fn what_would_be_misread_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let changed = |offset, word| changed(dir.path(), offset, word);
    // The word as it is: what follows is refused for the change alone.
    assert!(changed(256, 8_192).is_ok());
    for version in [0, 1, 3, u64::MAX] {
        let refused = changed(8, version).unwrap_err();
        assert!(matches!(refused, AttachError::Version { actual, expected: 2 } if actual == version), "{refused}");
    }
    for bit in [0, 1, 63] {
        let refused = changed(280, 1 << bit).unwrap_err();
        assert!(matches!(refused, AttachError::Feature { unknown } if unknown == 1 << bit), "{refused}");
    }
    // Unknown optional features are nobody's business.
    assert!((2..64).all(|bit| changed(288, 1 << bit).is_ok()));
    let malformed = [
        (256, 4_088), // a shorter header
        (256, 8_704), // a header that reaches into the samples
        (384, 56),    // shorter table entries
        (384, 132),   // unaligned ones
        (376, 0),     // no table
        (376, u64::MAX / 128 + 1),
        (368, 4_088), // a table inside of the header
        (264, 12_287),
        (360, 12_288),
        (360, u64::MAX - 63),
        (352, 384), // a stride below the capacity
        (352, 1 << 62),
        (24, 0),
        (24, 65),
        (16, 0),
        (32, 0),
        (32, 1 << 62),
        (328, 1 << 63),
        (336, 1 << 32),
        (392, 0),
        (392, 65),
        (400, u64::from_le_bytes(*b"../../..")),
        (400, 0xff),
        (512, 0xff),
    ];
    for (offset, word) in malformed {
        let refused = changed(offset, word).map(|_| ()).unwrap_err();
        assert!(matches!(refused, AttachError::Malformed(_)), "word {word} at {offset}: {refused}");
    }
}

//! Attaching and detaching leaves nothing behind. In a program of its own, so that no other test's memory is counted.

use shm_layout::{AttachError, Epoch, FrameIndex, RingReader, RingSpec, RingWarden, RingWriter, SessionId};

/// `VmSize` and `VmRSS` of this process, in kB.
fn memory_kb() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    ["VmSize:", "VmRSS:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// 10^4 times; 10^5 times with TYMPAN_LONG=1.
#[test]
fn attach_and_detach() {
    let rounds = if std::env::var_os("TYMPAN_LONG").is_some() { 100_000 } else { 10_000 };
    let dir = tempfile::tempdir().unwrap();
    let spec = RingSpec {
        stream: "mic".into(),
        session: SessionId([5; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels: 2,
        capacity_frames: 48_000,
        first_frame: FrameIndex(0),
        labels: vec!["left".into(), "right".into()],
        overview: true,
    };
    let mut writer = RingWriter::create(dir.path(), &spec).unwrap();
    std::fs::write(dir.path().join("torn.ring"), std::fs::read(writer.path()).unwrap().split_at(5_000).0).unwrap();
    let mut planar = vec![0.0; 960];
    let mut round = |number: u64| {
        writer.write(&[0.5; 960], 480);
        let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
        reader.read(FrameIndex(number * 480), &mut planar, 480).unwrap();
        let warden = RingWarden::attach(dir.path(), "mic", Epoch(1)).unwrap();
        assert_eq!(warden.commit().0, (number + 1) * 480);
        // Nor does one that fails.
        assert!(matches!(RingReader::attach(&dir.path().join("torn.ring")), Err(AttachError::Untrusted { .. })));
    };
    let warm = 500;
    (0..warm).for_each(&mut round);
    let ([size, resident], open) = (memory_kb(), descriptors());
    (warm..warm + rounds).for_each(&mut round);
    let ([size_after, resident_after], open_after) = (memory_kb(), descriptors());
    assert_eq!(open_after, open, "descriptors are left open");
    // One mapping left behind a round would be 5 GB, one page resident 40 MB.
    let grown = [size_after.saturating_sub(size), resident_after.saturating_sub(resident)];
    assert!(grown.iter().all(|&kb| kb < 2_048), "{rounds} rounds left {grown:?} kB behind (size, resident)");
}

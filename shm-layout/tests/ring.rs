//! The ring's promises: what is read is what was written, and what is not read is counted.

use proptest::prelude::*;
use shm_layout::{
    AttachError, Epoch, Extent, Follow, Follower, FrameIndex, GapSpan, Lapped, ReadError, RingReader, RingSpec,
    RingState, RingWarden, RingWriter, SessionId, Wait,
};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

fn spec(channels: u32, capacity_frames: u64, first: u64) -> RingSpec {
    RingSpec {
        stream: "mic".into(),
        session: SessionId([9; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels,
        capacity_frames,
        first_frame: FrameIndex(first),
        labels: Vec::new(),
        overview: false,
    }
}

/// What frame `index` of `channel` holds in these tests.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn sample(index: u64, channel: u64) -> f32 {
    ((index * 7 + channel * 1_000_003) % (1 << 24)) as f32
}

fn planar(from: u64, frames: u64, channels: u64) -> Vec<f32> {
    (0..channels).flat_map(|c| (from..from + frames).map(move |i| sample(i, c))).collect()
}

fn len(frames: u64) -> usize {
    usize::try_from(frames).unwrap()
}

#[test]
fn the_hot_line_lies_where_version_1_had_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(2, 100, 1_000)).unwrap();
    writer.write(&planar(1_000, 10, 2), 10);
    let bytes = std::fs::read(dir.path().join("mic.ring")).unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..8], b"AUDITAB!");
    let fields = [8, 16, 24, 32, 40, 48, 56].map(word);
    assert_eq!(fields, [2, 48_000, 2, 100, 1_010, 1, 1_010]);
    // Frame 1,005 of channel 1 lies at its index modulo the capacity, in the second plane.
    let (stride, data) = (len(word(352)), len(word(360)));
    let at = data + stride + (1_005 % 100) * 4;
    assert_eq!(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()).to_bits(), sample(1_005, 1).to_bits());
}

proptest! {
    #[test]
    fn every_frame_is_read_as_written_or_lost_exactly(
        channels in 1_u64..4, capacity in 8_u64..300, first in 0_u64..1_000,
        steps in prop::collection::vec((1_u64..64, prop::bool::ANY, 1_u64..80), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = RingWriter::create(dir.path(), &spec(u32::try_from(channels).unwrap(), capacity, first)).unwrap();
        let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
        let (mut position, mut read, mut lost) = (first, 0, 0);
        for (write, look, frames) in steps {
            let write = write.min(capacity);
            writer.write(&planar(writer.next_frame().0, write, channels), len(write));
            if !look { continue; }
            let frames = frames.min(writer.next_frame().0 - position);
            let mut out = vec![f32::NAN; len(frames * channels)];
            let lapped = writer.next_frame().0 > position + capacity;
            match reader.read(FrameIndex(position), &mut out, len(frames)) {
                Ok(()) => {
                    prop_assert!(!lapped || frames == 0);
                    prop_assert_eq!(out, planar(position, frames, channels));
                    position += frames;
                    read += frames;
                }
                Err(ReadError::Lost { from, to }) => {
                    prop_assert!(lapped);
                    prop_assert_eq!(from.0, position);
                    prop_assert!(to.0 >= writer.next_frame().0 - capacity && to <= writer.next_frame());
                    lost += to.since(from);
                    position = to.0;
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        prop_assert_eq!(read + lost, position - first);
        let next = reader.commit();
        prop_assert_eq!(reader.read(next, &mut vec![0.0; len(channels)], 1), Err(ReadError::NotYet { available: next }));
    }

    /// One changed byte of what never changes is noticed; any bytes at all do no harm.
    #[test]
    fn a_damaged_header_is_refused(changes in prop::collection::vec((0_usize..512, 1_u8..), 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mic.1.ring");
        RingWriter::create(dir.path(), &spec(2, 64, 5)).unwrap().close();
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, flip) in &changes { bytes[*at] ^= flip; }
        std::fs::write(&path, &bytes).unwrap();
        // Hot fields and spare bytes may hold anything; the frozen part may not.
        let frozen = |at: usize| (0..40).contains(&at) || at >= 256;
        let same = std::fs::read(&path).unwrap();
        match RingReader::attach(&path) {
            Ok(reader) => {
                prop_assert!(changes.len() > 1 || !frozen(changes[0].0), "{changes:?}");
                let mut out = [0.0; 8];
                let _ = reader.read(reader.oldest(), &mut out, 4);
                let _ = reader.wait(reader.commit(), Duration::ZERO);
                let _ = (reader.gaps(FrameIndex(0), FrameIndex(u64::MAX)), reader.instant_of(FrameIndex(9)));
            }
            Err(_) => prop_assert!(same == bytes),
        }
    }
}

#[test]
fn two_threads_torn_reads_are_never_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(2, 256, 0)).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    let total = 3_000_000_u64;
    let reading = std::thread::spawn(move || {
        let (mut position, mut read, mut lost, mut laps) = (0, 0, 0, 0);
        let mut out = vec![0.0; 2 * 100];
        while position < total {
            match reader.wait(FrameIndex(position), Duration::from_secs(20)) {
                Wait::Ready(commit) => {
                    let frames = commit.since(FrameIndex(position)).min(100);
                    let out = &mut out[..len(frames * 2)];
                    match reader.read(FrameIndex(position), out, len(frames)) {
                        Ok(()) => {
                            assert_eq!(out, planar(position, frames, 2), "torn at {position}");
                            position += frames;
                            read += frames;
                        }
                        Err(ReadError::Lost { to, .. }) => {
                            lost += to.0 - position;
                            laps += 1;
                            position = to.0;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        (read, lost, laps)
    });
    let blocks: Vec<_> = (0..total / 50).map(|b| planar(b * 50, 50, 2)).collect();
    for block in &blocks {
        writer.write(block, 50);
    }
    let (read, lost, laps) = reading.join().unwrap();
    assert_eq!(read + lost, total);
    assert!(read > 0 && laps > 0, "the case did not occur: {read} read, {laps} laps");
}

#[test]
fn gaps_that_continue_each_other_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(1, 4_800, 0)).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    for (from, cause) in [(0, 1), (10, 1), (20, 2), (40, 2)] {
        while writer.next_frame().0 < from {
            writer.write(&[0.5; 10], 10);
        }
        writer.mark_gap(FrameIndex(from), FrameIndex(from + 10), cause);
        writer.write(&[0.0; 10], 10);
    }
    let span = |from, to, cause| GapSpan { from: FrameIndex(from), to: FrameIndex(to), cause };
    assert_eq!(reader.gaps(FrameIndex(0), FrameIndex(99)), [span(0, 20, 1), span(20, 30, 2), span(40, 50, 2)]);
    assert_eq!(reader.gaps(FrameIndex(20), FrameIndex(30)), [span(20, 30, 2)]);
    assert_eq!(reader.gap_frames(), 40);
}

#[test]
fn time_is_found_from_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(1, 4_800, 0)).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    assert_eq!(reader.instant_of(FrameIndex(0)), None);
    writer.write(&[0.0; 480], 480);
    let at = |frame| reader.instant_of(FrameIndex(frame)).unwrap();
    assert_eq!(at(48_480) - at(480), 1_000_000_000);
    assert_eq!(at(480) - at(0), 10_000_000);
}

fn follow_all(follower: &mut Follower) -> Vec<Follow> {
    let mut seen = Vec::new();
    loop {
        match follower.next(&mut Vec::new(), 1_000, Duration::from_millis(30)) {
            Follow::Waiting => return seen,
            next => seen.push(next),
        }
    }
}

fn next_epoch(dir: &Path, epoch: u64, first: u64) -> RingWriter {
    let spec = RingSpec { epoch: Epoch(epoch), previous_epoch: Some(Epoch(epoch - 1)), ..spec(1, 480, first) };
    RingWriter::create(dir, &spec).unwrap()
}

#[test]
fn a_follower_reads_a_crashed_epoch_to_its_end_and_states_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = RingWriter::create(dir.path(), &spec(1, 480, 0)).unwrap();
    let mut follower = Follower::new(dir.path(), "mic");
    let entered = follower.next(&mut Vec::new(), 1_000, Duration::ZERO);
    assert!(matches!(&entered, Follow::NewEpoch { info, gap: None } if info.epoch == Epoch(1)), "{entered:?}");
    first.write(&[0.5; 100], 100);
    let warden = RingWarden::attach(dir.path(), "mic", Epoch(1)).unwrap();
    drop(first);
    assert_eq!(warden.state(), RingState::Live);
    warden.mark_crashed();
    assert_eq!(
        (warden.state(), warden.commit(), warden.reserve()),
        (RingState::Crashed, FrameIndex(100), FrameIndex(100))
    );
    let mut second = next_epoch(dir.path(), 2, 130);
    second.write(&[0.5; 20], 20);
    let third = next_epoch(dir.path(), 3, 150);
    drop(second);
    RingWarden::attach(dir.path(), "mic", Epoch(2)).unwrap().mark_crashed();
    third.close();
    let seen = follow_all(&mut follower);
    let frames = |from, frames| Follow::Frames { from: FrameIndex(from), frames };
    assert_eq!(seen[0], frames(0, 100));
    let gap = Some((FrameIndex(100), FrameIndex(130)));
    assert_eq!(seen[1], Follow::Crashed { at: FrameIndex(100) });
    assert!(matches!(&seen[2], Follow::NewEpoch { info, gap: g } if info.epoch == Epoch(2) && *g == gap), "{seen:?}");
    assert_eq!(seen[3..5], [frames(130, 20), Follow::Crashed { at: FrameIndex(150) }]);
    assert!(matches!(&seen[5], Follow::NewEpoch { info, gap: None } if info.epoch == Epoch(3)), "{seen:?}");
    assert_eq!(seen[6..], [Follow::Closed { at: FrameIndex(150) }]);
}

#[test]
fn a_lapped_follower_goes_on_where_it_was_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(1, 640, 0)).unwrap();
    let mut late = Follower::new(dir.path(), "mic");
    let mut timely = Follower::new(dir.path(), "mic").when_lapped(Lapped::Newest);
    for follower in [&mut late, &mut timely] {
        assert!(matches!(follower.next(&mut Vec::new(), 10, Duration::ZERO), Follow::NewEpoch { .. }));
    }
    (0..10).for_each(|_| writer.write(&[0.5; 100], 100));
    let next = |follower: &mut Follower| follower.next(&mut Vec::new(), 1_000, Duration::ZERO);
    assert_eq!(next(&mut late), Follow::Lost { from: FrameIndex(0), to: FrameIndex(370) });
    assert_eq!(next(&mut late), Follow::Frames { from: FrameIndex(370), frames: 630 });
    assert_eq!(next(&mut timely), Follow::Lost { from: FrameIndex(0), to: FrameIndex(1_000) });
    writer.write(&[0.5; 100], 100);
    assert_eq!(next(&mut timely), Follow::Frames { from: FrameIndex(1_000), frames: 100 });
}

#[test]
fn frames_can_be_looked_at_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(2, 100, 0)).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    (0..4).for_each(|n| writer.write(&planar(n * 30, 30, 2), 30));
    // Over the ring's end, in two pieces.
    let sum = |channel: usize| {
        reader.in_place(FrameIndex(80), 40, |frames| {
            assert_eq!(frames.bits(channel).map(<[_]>::len), [20, 20]);
            frames.samples(channel).sum::<f32>()
        })
    };
    assert_eq!(sum(1).unwrap().to_bits(), planar(80, 40, 2)[40..].iter().sum::<f32>().to_bits());
    // What was overwritten meanwhile does not count.
    let mut overwrite = || writer.write(&planar(120, 90, 2), 90);
    let lost = reader.in_place(FrameIndex(80), 40, |_| overwrite());
    assert!(matches!(lost, Err(ReadError::Lost { from: FrameIndex(80), .. })), "{lost:?}");
    let far = reader.in_place(FrameIndex(500), 10, |_| ());
    assert_eq!(far, Err(ReadError::NotYet { available: FrameIndex(210) }));
}

#[test]
fn the_newest_frames_and_those_of_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(1, 4_800, 1_000)).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    let mut out = [0.0; 100];
    assert_eq!(reader.read_newest(&mut out, 100), Err(ReadError::NotYet { available: FrameIndex(1_000) }));
    assert_eq!(reader.frame_at(1), None, "nothing is known of any time yet");
    writer.write(&planar(1_000, 480, 1), 480);
    assert_eq!(reader.read_newest(&mut out, 100), Ok(FrameIndex(1_380)));
    assert_eq!(out[..], planar(1_380, 100, 1));
    let at = reader.instant_of(FrameIndex(1_240)).unwrap();
    assert!(reader.frame_at(at).unwrap().0.abs_diff(1_240) <= 1);
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let newest = reader.frame_at_wall(u64::try_from(wall.as_nanos()).unwrap()).unwrap();
    assert!(newest >= FrameIndex(1_480), "now is not before the last write: {newest}");
    assert_eq!(reader.frame_at_wall(1), None, "long before the first frame");
}

proptest! {
    #[test]
    fn the_overview_is_that_of_the_samples(
        first in 0_u64..1_000, writes in prop::collection::vec(1_u64..700, 1..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let spec = RingSpec { overview: true, labels: vec!["left".into(), "right".into()], ..spec(2, 2_048, first) };
        let mut writer = RingWriter::create(dir.path(), &spec).unwrap();
        let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
        prop_assert_eq!(&reader.info().labels, &spec.labels);
        for frames in writes {
            writer.write(&planar(writer.next_frame().0, frames, 2), len(frames));
        }
        let overview = reader.info().overview.unwrap();
        let (end, mut whole) = (reader.commit().0, 0);
        for bin in first / overview.bin_frames..end.div_ceil(overview.bin_frames) {
            let frames = (bin * overview.bin_frames).max(first)..((bin + 1) * overview.bin_frames).min(end);
            let mut extent = [Extent { min: 0.0, max: 0.0 }];
            match reader.read_overview(1, bin, &mut extent) {
                Ok(()) => {
                    let samples = || frames.clone().map(|frame| sample(frame, 1));
                    prop_assert_eq!(extent[0].min, samples().fold(f32::INFINITY, f32::min));
                    prop_assert_eq!(extent[0].max, samples().fold(f32::NEG_INFINITY, f32::max));
                    whole += 1;
                }
                Err(ReadError::Lost { .. }) => prop_assert!(bin * overview.bin_frames + 2_048 < end),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        prop_assert!(whole > 0);
        let mut none = [Extent { min: 0.0, max: 0.0 }];
        prop_assert_eq!(reader.read_overview(0, u64::MAX, &mut none), Err(ReadError::NotYet { available: reader.commit() }));
    }
}

#[test]
fn a_closed_ring_stays_closed() {
    let dir = tempfile::tempdir().unwrap();
    RingWriter::create(dir.path(), &spec(1, 480, 7)).unwrap().close();
    let warden = RingWarden::attach(dir.path(), "mic", Epoch(1)).unwrap();
    warden.mark_crashed();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    assert_eq!(reader.wait(FrameIndex(7), Duration::from_secs(5)), Wait::Closed(FrameIndex(7)));
}

#[test]
fn what_is_no_private_regular_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let attach = |name: &str| RingReader::attach(&dir.path().join(name)).unwrap_err();
    assert!(matches!(attach("mic.ring"), AttachError::Missing(_)));
    RingWriter::create(dir.path(), &spec(1, 480, 0)).unwrap().close();
    std::os::unix::fs::symlink("mic.ring", dir.path().join("link.ring")).unwrap();
    assert!(matches!(attach("link.ring"), AttachError::Untrusted { .. }));
    std::fs::create_dir(dir.path().join("folder.ring")).unwrap();
    assert!(matches!(attach("folder.ring"), AttachError::Untrusted { .. }));
    let write = |name: &str, bytes: &[u8], mode| {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        std::fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).unwrap();
    };
    write("short.ring", b"AUDITAB!", 0o600);
    assert!(matches!(attach("short.ring"), AttachError::Malformed(_)));
    let fifo = dir.path().join("fifo.ring");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(attach("fifo.ring"), AttachError::Untrusted { .. }));
    let truncated = std::fs::read(dir.path().join("mic.ring")).unwrap();
    write("cut.ring", &truncated[..truncated.len() - 4], 0o600);
    assert!(matches!(attach("cut.ring"), AttachError::Malformed(_)));
    write("longer.ring", &[&truncated[..], &[0; 4096]].concat(), 0o600);
    assert!(matches!(attach("longer.ring"), AttachError::Malformed(_)));
    write("whole.ring", &truncated, 0o600);
    assert!(RingReader::attach(&dir.path().join("whole.ring")).is_ok());
    for open in [0o640, 0o604, 0o620, 0o602] {
        write("open.ring", &truncated, open);
        assert!(matches!(attach("open.ring"), AttachError::Untrusted { .. }), "{open:o}");
    }
    // A copy with a hole in the place of its samples.
    write("holes.ring", &truncated[..8192], 0o600);
    std::fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join("holes.ring"))
        .unwrap()
        .set_len(truncated.len() as u64)
        .unwrap();
    assert!(matches!(attach("holes.ring"), AttachError::Untrusted { .. }));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path().join("whole.ring"), Some(65_534), None).unwrap();
        assert!(matches!(attach("whole.ring"), AttachError::Untrusted { .. }));
    }
}

/// In a burst only the first write wakes; whoever falls asleep in it, at whatever moment, is not forgotten. A reader that
/// slept at once until the next look for a dead writer would be late by half a second here, time and again.
#[test]
fn nobody_sleeps_through_the_end_of_a_burst() {
    const ROUNDS: u64 = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(1, 1_000, 0)).unwrap();
    let ring = RingReader::attach_stream(dir.path(), "mic").unwrap();
    let (done, next) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut late = 0;
        for frame in 0..2 * ROUNDS {
            let begin = Instant::now();
            let seen = ring.wait(FrameIndex(frame), Duration::from_secs(20));
            assert!(matches!(seen, Wait::Ready(_)), "{seen:?}");
            late += u32::from(begin.elapsed() > Duration::from_millis(400));
            if frame % 2 == 1 {
                done.send(late).unwrap();
            }
        }
    });
    let mut late = 0;
    for round in 0..ROUNDS {
        writer.write(&[0.5], 1);
        // Somewhere around the moment at which the reader, woken by this, falls asleep again.
        let pause = Duration::from_nanos(round * 7_919 % 60_000);
        let begin = Instant::now();
        while begin.elapsed() < pause {}
        writer.write(&[0.5], 1);
        late = next.recv().unwrap();
        assert!(late < 5, "late {late} times in {round} rounds");
    }
    reading.join().unwrap();
    assert!(late < 5, "late {late} times");
}

//! Any bytes at all, also while they change: an error of its kind, and never a panic, a hang, or a touch outside of the
//! file. The same cases as in `shm-layout/fuzz`, without a fuzzer; `scripts/prove fuzz` searches on.

#[path = "../fuzz/src/bodies.rs"]
#[expect(unreachable_pub, reason = "public in the fuzz package")]
mod bodies;

use bodies::{Place, Reached};
use shm_layout::{
    AttachError, Epoch, Follower, FrameIndex, RingReader, RingSpec, RingWarden, RingWriter, SessionId, v1,
};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Numbers that are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A seed with a few bytes changed, some to the values that break counters.
    fn mutated(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len().max(1));
            let word = [0, 1, u64::MAX, 1 << 63, self.next()][self.below(5)].to_le_bytes();
            let count = [1, 2, 8][self.below(3)];
            bytes.iter_mut().skip(at).zip(word).take(count).for_each(|(byte, new)| *byte = new);
        }
        if self.below(8) == 0 {
            bytes.truncate(self.below(bytes.len().max(1)));
        }
        bytes
    }
}

/// Runs mutations of the seeds; how many cases got how far.
fn run(seeds: &[Vec<u8>], cases: usize, mut case: impl FnMut(&[u8]) -> Reached) -> [usize; 4] {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut count = [0; 4];
    for number in 0..cases {
        let bytes = if number < seeds.len() {
            seeds[number].clone()
        } else {
            let seed = numbers.below(seeds.len());
            numbers.mutated(&seeds[seed])
        };
        let reached = case(&bytes);
        let marks = [reached.attached, reached.attached_v1, reached.read, reached.lost];
        count.iter_mut().zip(marks).for_each(|(count, mark)| *count += usize::from(mark));
    }
    count
}

#[test]
fn any_bytes_as_a_file() {
    let mut place = Place::new();
    let seeds = place.attach_seeds();
    let [attached, attached_v1, read, lost] = run(&seeds, 2_000, |bytes| place.attach(bytes));
    assert!(attached > 100 && attached < 1_900, "{attached} of 2000 were rings");
    assert!(attached_v1 > 100 && read > 10 && lost > 10, "{attached_v1} of version 1, {read} read, {lost} lost");
}

#[test]
fn any_words_in_a_ring() {
    let mut place = Place::new();
    let [_, _, read, lost] = run(&Place::read_seeds(), 2_000, |bytes| place.read(bytes));
    assert!(read > 100 && lost > 100, "{read} read, {lost} lost");
}

fn spec(first_frame: u64) -> RingSpec {
    RingSpec {
        stream: "mic".into(),
        session: SessionId([5; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels: 2,
        capacity_frames: 640,
        first_frame: FrameIndex(first_frame),
        labels: vec!["left".into(), "right".into()],
        overview: true,
    }
}

/// Somebody writes random words all over the file while it is attached and read in every way.
#[test]
fn a_file_that_changes_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(100)).unwrap();
    (0..20).for_each(|_| writer.write(&[0.5; 200], 100));
    let path = writer.path().to_owned();
    let whole = std::fs::read(&path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let (over, scribbled) = (AtomicBool::new(false), AtomicU64::new(0));
    // Attached while all was well: from here on the whole header may say anything.
    let trusting = RingReader::attach(&path).unwrap();
    let mut reached = Reached::default();
    let (mut attached, mut refused) = (0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut numbers = Numbers(7);
            while !over.load(Ordering::Relaxed) {
                // Whole again at times, so that attaching succeeds and more than the first check is met.
                file.write_all_at(&whole, 0).unwrap();
                for _ in 0..numbers.below(200) {
                    // Half of it in the first lines, where everything hangs on.
                    let words = [32, whole.len() / 8][numbers.below(2)];
                    let word = [0, 1, u64::MAX, u64::MAX - 1, numbers.next()][numbers.below(5)];
                    file.write_all_at(&word.to_le_bytes(), numbers.below(words) as u64 * 8).unwrap();
                    scribbled.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let mut follower = Follower::new(dir.path(), "mic");
        for _ in 0..2_000 {
            bodies::look_at(&trusting, &mut reached);
            match RingReader::attach(&path) {
                Ok(reader) => {
                    bodies::look_at(&reader, &mut reached);
                    attached += 1;
                }
                Err(AttachError::Malformed(_) | AttachError::Version { .. } | AttachError::Feature { .. }) => {
                    refused += 1
                }
                Err(other) => panic!("{other}"),
            }
            let _ = v1::Reader::attach(&path, 10).map(|reader| bodies::look_at_v1(&reader, &mut reached));
            let _ = RingWarden::attach(dir.path(), "mic", Epoch(1)).map(|warden| warden.gap_frames());
            let _ = follower.next(&mut Vec::new(), 100, Duration::ZERO);
        }
        over.store(true, Ordering::Relaxed);
    });
    let scribbled = scribbled.into_inner();
    assert!(attached > 10 && refused > 10, "the case did not occur: {attached} attached, {refused} refused");
    assert!(reached.read && reached.lost && scribbled > 2_000, "{reached:?}, {scribbled} words");
}

/// The futex word never rests: a wait with an end still ends.
#[test]
fn a_restless_futex_word_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let writer = RingWriter::create(dir.path(), &spec(0)).unwrap();
    let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let mut word = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    word = word.wrapping_add(1);
                    file.write_all_at(&word.to_le_bytes(), 64).unwrap();
                }
            });
        }
        let begin = Instant::now();
        for _ in 0..200 {
            assert_eq!(reader.wait(FrameIndex(1), Duration::from_millis(1)), shm_layout::Wait::TimedOut);
        }
        assert!(begin.elapsed() >= Duration::from_millis(200));
        over.store(true, Ordering::Relaxed);
    });
}

/// A ring that says it goes on for ever: frames that no place can hold are lost, not looked for.
#[test]
fn more_than_the_capacity_is_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = RingWriter::create(dir.path(), &spec(0)).unwrap();
    writer.write(&[0.5; 200], 100);
    let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
    let reader = RingReader::attach_stream(dir.path(), "mic").unwrap();
    // A commit that no reserve announced.
    file.write_all_at(&u64::MAX.to_le_bytes(), 40).unwrap();
    for frames in [641, 1 << 20, 1 << 62, (1 << 62) + 1, usize::MAX] {
        let seen = reader.in_place(FrameIndex(0), frames, |seen| seen.samples(1).count());
        assert!(matches!(seen, Err(shm_layout::ReadError::Lost { .. })), "{seen:?}");
    }
    let read = reader.read(FrameIndex(0), &mut [0.0; 1_282], 641);
    assert!(matches!(read, Err(shm_layout::ReadError::Lost { .. })), "{read:?}");
    assert_eq!(reader.in_place(FrameIndex(u64::MAX), 0, |seen| seen.samples(0).count()), {
        let to = FrameIndex(u64::MAX);
        Err(shm_layout::ReadError::Lost { from: to, to })
    });
}

/// What another user owns is refused, whoever runs this.
#[test]
fn another_users_file_is_refused() {
    let foreign = |path: &Path| matches!(RingReader::attach(path), Err(AttachError::Untrusted { why, .. }) if why.contains("another user"));
    let dir = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        let writer = RingWriter::create(dir.path(), &spec(0)).unwrap();
        assert!(RingReader::attach(writer.path()).is_ok());
        std::os::unix::fs::chown(writer.path(), Some(65_534), None).unwrap();
        assert!(foreign(writer.path()));
    } else {
        assert!(foreign(Path::new("/etc/passwd")));
    }
}

/// A file that grows or shrinks after its making is no ring any more.
#[test]
fn a_file_of_another_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let writer = RingWriter::create(dir.path(), &spec(0)).unwrap();
    let whole = std::fs::metadata(writer.path()).unwrap().len();
    let file = OpenOptions::new().write(true).open(writer.path()).unwrap();
    let attach = || RingReader::attach(writer.path());
    assert!(attach().is_ok());
    for bytes in [whole + 1, whole + 4_096, whole * 1_000] {
        file.set_len(bytes).unwrap();
        assert!(matches!(attach(), Err(AttachError::Malformed(_) | AttachError::Untrusted { .. })), "{bytes}");
    }
    file.set_len(whole).unwrap();
    assert!(attach().is_ok());
    // Nobody may hold it mapped while it shrinks: that is why rings never do.
    drop(writer);
    let path = dir.path().join("mic.ring");
    for bytes in [whole - 1, 4_096, 4_095, 56, 0] {
        file.set_len(bytes).unwrap();
        assert!(matches!(RingReader::attach(&path), Err(AttachError::Malformed(_))), "{bytes}");
    }
}

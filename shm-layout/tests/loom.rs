//! The ring's protocol under loom: the shipped writer, reader, table, overview and warden over its atomics, in every
//! order (up to three preemptions) and with every value that the memory model allows.
//!
//! `scripts/prove loom` runs it (`RUSTFLAGS="--cfg loom"`); `scripts/prove mutants` shows that it fails when an ordering
//! is weakened. Each model names the outcomes that it must have seen: one that never gets there proves nothing.
#![cfg(loom)]

use loom::thread;
use shm_layout::model::{Plan, ring, ring_v1};
use shm_layout::{Extent, FrameIndex, GapSpan, ReadError, RingReader, RingState, RingWriter, Wait, v1};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Which outcomes a model had, and how often. Not loom's: it outlives the executions.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Seen {
    fn note(&self, outcome: &'static str) {
        *self.0.lock().unwrap().entry(outcome).or_default() += 1;
    }

    /// Exactly these outcomes occurred.
    fn are(&self, outcomes: &[&str]) {
        let seen = self.0.lock().unwrap();
        eprintln!("outcomes: {seen:?}");
        let mut expected = outcomes.to_vec();
        expected.sort_unstable();
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected, "the model did not reach what it is about");
    }
}

/// Runs a model in all its executions.
fn check(model: impl Fn(&Seen) + Send + Sync + 'static) -> Seen {
    let (seen, executions) = (Seen::default(), Arc::new(Mutex::new(0_usize)));
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(3);
    loom.max_branches = 5_000;
    let (inside, count) = (seen.clone(), Arc::clone(&executions));
    loom.check(move || {
        *count.lock().unwrap() += 1;
        model(&inside);
    });
    eprintln!("executions: {}", executions.lock().unwrap());
    seen
}

/// What frame `index` of `channel` holds: never 0, which is what a ring holds before.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn sample(index: u64, channel: u64) -> f32 {
    (index + 1 + channel * 100) as f32
}

fn planar(from: u64, frames: u64, channels: u64) -> Vec<f32> {
    (0..channels).flat_map(|c| (from..from + frames).map(move |i| sample(i, c))).collect()
}

fn len(frames: u64) -> usize {
    usize::try_from(frames).unwrap()
}

fn write(writer: &mut RingWriter, frames: u64) {
    let block = planar(writer.next_frame().0, frames, u64::from(writer.channels()));
    writer.write(&block, len(frames));
}

/// One read of frames that are written meanwhile, and overwritten.
fn look(reader: &RingReader, position: u64, frames: u64, seen: &Seen) {
    let channels = u64::from(reader.info().channels);
    let mut out = vec![0.0; len(frames * channels)];
    let written = planar(position, frames, channels);
    match reader.read(FrameIndex(position), &mut out, len(frames)) {
        Ok(()) => {
            assert_eq!(out, written, "a torn read was believed");
            seen.note("whole");
        }
        Err(ReadError::NotYet { available }) => {
            assert!(available.0 < position + frames);
            seen.note("not yet");
        }
        Err(ReadError::Lost { from, to }) => {
            assert!(from.0 == position && to.0 > position);
            let old = out.iter().zip(&written).filter(|(out, written)| out == written).count();
            seen.note(if old == 0 || old == out.len() { "lost" } else { "torn, and lost" });
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn publish_and_read() {
    let seen = check(|seen| {
        let plan = Plan { capacity_frames: 2, ..Plan::default() };
        let (mut writer, reader, _) = ring(&plan);
        let writing = thread::spawn(move || (0..2).for_each(|_| write(&mut writer, 2)));
        look(&reader, 0, 2, seen);
        // A write with no table entry in it, whose fence would stand in for a missing Release.
        look(&reader, 2, 2, seen);
        writing.join().unwrap();
    });
    seen.are(&["whole", "not yet", "lost", "torn, and lost"]);
}

#[test]
fn two_channels_over_the_rings_end() {
    let seen = check(|seen| {
        let plan = Plan { channels: 2, capacity_frames: 3, ..Plan::default() };
        let (mut writer, reader, _) = ring(&plan);
        write(&mut writer, 2);
        let writing = thread::spawn(move || (0..2).for_each(|_| write(&mut writer, 2)));
        // Frames 2 and 3: the last place and the first one.
        look(&reader, 2, 2, seen);
        writing.join().unwrap();
    });
    seen.are(&["whole", "not yet", "lost", "torn, and lost"]);
}

#[test]
fn two_readers() {
    let seen = check(|seen| {
        let plan = Plan { capacity_frames: 2, ..Plan::default() };
        let (mut writer, reader, warden) = ring(&plan);
        let writing = thread::spawn(move || (0..3).for_each(|_| write(&mut writer, 1)));
        let other = {
            let seen = seen.clone();
            thread::spawn(move || {
                // The supervisor's view: what is begun is never behind what is whole.
                let commit = warden.commit();
                assert!(warden.reserve() >= commit);
                seen.note(if commit.0 == 3 { "warden: all" } else { "warden: not all" });
            })
        };
        look(&reader, 0, 1, seen);
        writing.join().unwrap();
        other.join().unwrap();
    });
    seen.are(&["whole", "not yet", "lost", "warden: all", "warden: not all"]);
}

#[test]
fn frames_in_place() {
    let seen = check(|seen| {
        let plan = Plan { capacity_frames: 2, ..Plan::default() };
        let (mut writer, reader, _) = ring(&plan);
        write(&mut writer, 2);
        let writing = thread::spawn(move || write(&mut writer, 2));
        let mut mixed = false;
        let looked = reader.in_place(FrameIndex(0), 2, |frames| {
            let samples: Vec<_> = frames.samples(0).collect();
            mixed = samples != planar(0, 2, 1);
            samples
        });
        match looked {
            Ok(samples) => {
                assert_eq!(samples, planar(0, 2, 1), "a torn look was believed");
                seen.note("whole");
            }
            Err(ReadError::Lost { .. }) => seen.note(if mixed { "torn, and lost" } else { "lost" }),
            Err(other) => panic!("{other}"),
        }
        writing.join().unwrap();
    });
    seen.are(&["whole", "lost", "torn, and lost"]);
}

#[test]
fn the_overviews_bins() {
    let seen = check(|seen| {
        // Two bins of two frames for two frames of history; the third one takes the first one's place.
        let plan = Plan { capacity_frames: 2, bin_frames: Some(2), ..Plan::default() };
        let (mut writer, reader, _) = ring(&plan);
        let writing = thread::spawn(move || {
            write(&mut writer, 1);
            write(&mut writer, 2);
            write(&mut writer, 2);
        });
        let committed = reader.commit().0;
        let mut bins = [Extent { min: 0.0, max: 0.0 }; 1];
        match reader.read_overview(0, 0, &mut bins) {
            Ok(()) => {
                assert_eq!(bins[0].min.to_bits(), sample(0, 0).to_bits(), "another bin was believed");
                let of_one = bins[0].max.to_bits() == sample(0, 0).to_bits();
                assert!(of_one || bins[0].max.to_bits() == sample(1, 0).to_bits(), "{bins:?}");
                assert!(!of_one || committed < 2, "less than what was committed");
                seen.note(if of_one { "a part" } else { "whole" });
            }
            Err(ReadError::NotYet { .. }) => seen.note("not yet"),
            Err(ReadError::Lost { from, to }) => {
                assert!(from.0 == 0 && to.0 > 0);
                let old = bins[0].min.to_bits() == sample(0, 0).to_bits();
                seen.note(if old { "lost" } else { "overwritten, and lost" });
            }
            Err(other) => panic!("{other}"),
        }
        writing.join().unwrap();
    });
    seen.are(&["a part", "whole", "not yet", "lost", "overwritten, and lost"]);
}

/// Gap `n` is frames `10n .. 10n + 2`, and has a cause by which it is known.
fn gap(n: u64) -> (FrameIndex, FrameIndex, u32) {
    (FrameIndex(n * 10), FrameIndex(n * 10 + 2), u32::try_from(n).unwrap() + 7)
}

fn gaps(reader: &RingReader) -> Vec<u64> {
    let numbers = reader.gaps(FrameIndex(0), FrameIndex(1_000)).into_iter().map(|found| {
        let n = found.from.0 / 10;
        let (from, to, cause) = gap(n);
        assert_eq!(found, GapSpan { from, to, cause }, "a torn entry was believed");
        n
    });
    numbers.collect()
}

#[test]
fn entries_of_the_table() {
    let seen = check(|seen| {
        let (mut writer, reader, _) = ring(&Plan::default());
        let writing = thread::spawn(move || {
            for n in 0..3 {
                let (from, to, cause) = gap(n);
                writer.mark_gap(from, to, cause);
            }
        });
        let found = gaps(&reader);
        seen.note(match found[..] {
            [] => "none",
            [0] => "the first",
            // The first entry is gone, or being overwritten.
            [1] => "the second alone",
            [0, 1] => "both",
            [1, 2] => "the newest two",
            _ => panic!("not in order, or with a hole: {found:?}"),
        });
        writing.join().unwrap();
        assert_eq!(gaps(&reader), [1, 2]);
    });
    seen.are(&["none", "the first", "the second alone", "both", "the newest two"]);
}

#[test]
fn an_entry_by_its_stamp() {
    let seen = check(|seen| {
        let (mut writer, reader, _) = ring(&Plan { table_entries: 1, ..Plan::default() });
        let writing = thread::spawn(move || {
            for n in 0..2 {
                let (from, to, cause) = gap(n);
                writer.mark_gap(from, to, cause);
            }
        });
        let n = 0;
        match reader.gap_by_its_stamp(n) {
            Some(found) => {
                let (from, to, cause) = gap(n);
                assert_eq!(found, GapSpan { from, to, cause }, "a torn entry was believed");
                seen.note("whole");
            }
            None => seen.note("not whole"),
        }
        writing.join().unwrap();
    });
    seen.are(&["whole", "not whole"]);
}

#[test]
fn the_table_has_no_holes() {
    let seen = check(|seen| {
        let (mut writer, reader, _) = ring(&Plan { table_entries: 3, ..Plan::default() });
        let writing = thread::spawn(move || {
            for n in 0..3 {
                let (from, to, cause) = gap(n);
                writer.mark_gap(from, to, cause);
            }
        });
        // Nothing is overwritten: whoever sees an entry counted sees it, and all that came before.
        let counted = reader.entries_counted();
        let found = gaps(&reader);
        assert!(found.len() as u64 >= counted, "{counted} entries are counted, and {found:?} are there");
        assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
        seen.note(["none", "one", "two", "three"][found.len()]);
        writing.join().unwrap();
    });
    seen.are(&["none", "one", "two", "three"]);
}

#[test]
fn who_sees_the_zeros_of_a_gap_sees_the_gap() {
    let seen = check(|seen| {
        let (mut writer, reader, _) = ring(&Plan { table_entries: 3, ..Plan::default() });
        let writing = thread::spawn(move || {
            // A gap that grows: two frames, each with its zeros.
            for n in 0..2 {
                writer.mark_gap(FrameIndex(n), FrameIndex(n + 1), 5);
                writer.write(&[0.0], 1);
            }
        });
        let committed = reader.commit();
        let known = reader.gap_frames();
        let found = reader.gaps(FrameIndex(0), FrameIndex(9));
        assert!(known >= committed.0, "frames of a gap without the gap");
        match found[..] {
            [] => assert_eq!(committed.0, 0),
            [gap] => {
                assert!(gap.from.0 == 0 && gap.cause == 5 && (1..=2).contains(&gap.to.0), "{gap:?}");
                assert!(gap.to >= committed, "zeros without their gap");
                seen.note(if gap.to.0 == 1 { "shorter" } else { "grown" });
            }
            _ => panic!("{found:?}"),
        }
        seen.note(["nothing committed", "one committed", "two committed"][len(committed.0)]);
        writing.join().unwrap();
    });
    seen.are(&["shorter", "grown", "nothing committed", "one committed", "two committed"]);
}

/// Waits and reads until the ring ends; where that was.
fn read_to_the_end(reader: &RingReader, seen: &Seen) -> Wait {
    let mut position = 0;
    loop {
        // Without an end of time: were a wake lost, this would sleep for ever, and loom would say so.
        match reader.wait(FrameIndex(position), Duration::MAX) {
            Wait::Ready(commit) => {
                let frames = commit.0 - position;
                let mut out = vec![0.0; len(frames)];
                reader.read(FrameIndex(position), &mut out, len(frames)).unwrap();
                assert_eq!(out, planar(position, frames, 1));
                seen.note(if frames == 1 { "a part" } else { "all at once" });
                position = commit.0;
            }
            Wait::TimedOut => panic!("no time passes in a model"),
            end @ (Wait::Closed(at) | Wait::Crashed(at)) => {
                assert_eq!(at.0, position, "an end before the last frame");
                return end;
            }
        }
    }
}

#[test]
fn a_closed_ring_is_read_to_its_end() {
    let seen = check(|seen| {
        let (mut writer, reader, warden) = ring(&Plan::default());
        write(&mut writer, 1);
        let writing = thread::spawn(move || {
            write(&mut writer, 1);
            writer.close();
        });
        assert_eq!(read_to_the_end(&reader, seen), Wait::Closed(FrameIndex(2)));
        writing.join().unwrap();
        // Its process ends too; that is no crash any more.
        warden.mark_crashed();
        assert_eq!(reader.state(), RingState::Closed);
    });
    seen.are(&["a part", "all at once"]);
}

#[test]
fn a_crashed_ring_is_read_to_its_end() {
    let seen = check(|seen| {
        let (mut writer, reader, warden) = ring(&Plan::default());
        write(&mut writer, 1);
        let watching = thread::spawn(move || {
            write(&mut writer, 1);
            // The kernel says it after the writer's last store, as if the warden were the same thread.
            drop(writer);
            warden.mark_crashed();
        });
        assert_eq!(read_to_the_end(&reader, seen), Wait::Crashed(FrameIndex(2)));
        watching.join().unwrap();
    });
    seen.are(&["a part", "all at once"]);
}

#[test]
fn a_dead_writers_stream_is_closed_for_it() {
    let seen = check(|seen| closed_for_it(seen, false));
    seen.are(&["a part", "closed"]);
}

#[test]
fn a_crashed_writers_stream_is_closed_for_it() {
    let seen = check(|seen| closed_for_it(seen, true));
    seen.are(&["a part", "closed", "crashed"]);
}

fn closed_for_it(seen: &Seen, marked: bool) {
    let (mut writer, reader, warden) = ring(&Plan::default());
    let watching = thread::spawn(move || {
        write(&mut writer, 1);
        drop(writer);
        if marked {
            warden.mark_crashed();
        }
        warden.close_for_dead_writer();
    });
    match read_to_the_end(&reader, seen) {
        Wait::Closed(FrameIndex(1)) => seen.note("closed"),
        Wait::Crashed(FrameIndex(1)) => seen.note("crashed"),
        other => panic!("{other:?}"),
    }
    watching.join().unwrap();
    assert_eq!(reader.state(), RingState::Closed);
}

#[test]
fn the_warden_sees_a_closed_rings_last_frame() {
    let seen = check(|seen| {
        let (mut writer, _, warden) = ring(&Plan::default());
        let writing = thread::spawn(move || {
            write(&mut writer, 2);
            writer.close();
        });
        if warden.state() == RingState::Closed {
            assert_eq!((warden.commit(), warden.reserve()), (FrameIndex(2), FrameIndex(2)));
            assert!(warden.commit_time_ns() > 0);
            seen.note("closed");
        } else {
            seen.note("live");
        }
        writing.join().unwrap();
    });
    seen.are(&["closed", "live"]);
}

/// The writer dies after each of its stores in turn, in the middle of a block, a table entry or a wake; a second epoch
/// follows. What the first one shows is whole, and the second one begins beyond all that was begun.
#[test]
fn an_epoch_after_a_death_at_any_store() {
    let mut all = BTreeMap::new();
    let mut stores = 0;
    loop {
        let seen = check(move |seen| {
            let plan = Plan { writer_stores: Some(stores), ..Plan::default() };
            let (mut writer, reader, warden) = ring(&plan);
            let writing = thread::spawn(move || {
                write(&mut writer, 2);
                let (from, to, cause) = gap(0);
                writer.mark_gap(from, to, cause);
                write(&mut writer, 3);
            });
            let (first_seen, entries) = (reader.commit(), gaps(&reader));
            assert!(matches!(entries[..], [] | [0]));
            writing.join().unwrap();
            let first_frame = warden.reserve();
            assert!(warden.commit() <= first_frame);
            warden.mark_crashed();
            let (mut next_writer, next_reader, _) = ring(&Plan { first_frame, ..Plan::default() });
            let Wait::Crashed(end) = reader.wait(FrameIndex(5), Duration::MAX) else { panic!("5 is beyond the end") };
            assert!(end >= first_seen && [0, 2, 5].contains(&end.0), "half a block was committed: {end}");
            assert!(matches!(gaps(&reader)[..], [] | [0]));
            let begin = next_reader.info().first_frame;
            assert!(begin >= end, "the second epoch begins before the first one's end");
            for position in 0..end.0 {
                let mut out = [0.0];
                match reader.read(FrameIndex(position), &mut out, 1) {
                    Ok(()) => assert_eq!(out, [sample(position, 0)], "a frame of a block that was never committed"),
                    Err(ReadError::Lost { .. }) => assert!(position + 4 < begin.0),
                    Err(other) => panic!("{other}"),
                }
            }
            write(&mut next_writer, 1);
            assert_eq!(next_reader.commit(), begin.plus(1));
            seen.note(match (end.0, begin.0) {
                (0, 0) => "nothing begun",
                (0, _) => "dead in the first block",
                (2, 2) => "dead between the blocks",
                (2, _) => "dead in the second block",
                _ => "dead after the last commit",
            });
        });
        let seen = seen.0.lock().unwrap().keys().copied().collect::<Vec<_>>();
        assert_eq!(seen.len(), 1, "the end depends on the store alone: {seen:?}");
        *all.entry(seen[0]).or_insert(0) += 1;
        stores += 1;
        // Reserve, 2 samples, table 9, time, commit, futex; gap 9 and its count; reserve, 3 samples, time, commit, futex.
        if all.get("dead after the last commit").is_some_and(|&ends| ends == 3) {
            break;
        }
    }
    eprintln!("{stores} places to die: {all:?}");
    let ends: Vec<_> = all.keys().copied().collect();
    let expected = [
        "dead after the last commit",
        "dead between the blocks",
        "dead in the first block",
        "dead in the second block",
        "nothing begun",
    ];
    assert_eq!(ends, expected);
}

#[test]
fn version_1() {
    let seen = check(|seen| {
        let info = v1::Info { sample_rate_hz: 48_000, channels: 1, capacity_frames: 3, write_frames: 1 };
        let (mut writer, reader) = ring_v1(info);
        let writing = thread::spawn(move || (0_u8..5).for_each(|index| writer.write(&[sample(index.into(), 0)])));
        let mut out = [0.0; 2];
        let written = [1.0, 2.0];
        match reader.read(FrameIndex(0), &mut out, 2) {
            Ok(()) => {
                assert_eq!(out, written, "a torn read was believed");
                seen.note("whole");
            }
            Err(ReadError::NotYet { .. }) => seen.note("not yet"),
            Err(ReadError::Lost { .. }) => seen.note(if out == written { "lost" } else { "torn, and lost" }),
            Err(other) => panic!("{other}"),
        }
        writing.join().unwrap();
    });
    seen.are(&["whole", "not yet", "lost", "torn, and lost"]);
}

//! The status board on the worst day: its owner killed, memory full, garbage in the place of its name.

use shm_layout::FrameIndex;
use shm_layout::board::{
    Beat, Board, BoardError, Counter, Heart, Level, METERS, MeterView, Meters, READINGS, Reading, SLOTS, View,
};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// This test program again, as a process of its own that does `part` in `folder`.
fn again(part: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_process_of_its_own", "--nocapture"]).stdout(Stdio::null());
    command.env("BOARD_PART", part).env("BOARD_FOLDER", folder);
    command
}

/// Not a test by itself: what the processes of the other tests do.
#[test]
fn a_process_of_its_own() {
    let Some(part) = std::env::var_os("BOARD_PART") else { return };
    let folder = std::env::var_os("BOARD_FOLDER").unwrap();
    let folder = Path::new(&folder);
    match part.to_str().unwrap() {
        "own" => {
            let _board = Board::create(folder).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        "full" => {
            // A megabyte of memory, all of it taken: an error, and neither a signal nor anything left.
            std::fs::write("/dev/shm/filler", vec![0_u8; 2 << 20]).unwrap_err();
            assert!(matches!(Board::create(folder), Err(BoardError::Io { .. })));
            let left: Vec<_> =
                std::fs::read_dir("/dev/shm").unwrap().flatten().map(|entry| entry.file_name()).collect();
            assert_eq!(left, ["filler"]);
            assert!(!folder.join("board").exists());
        }
        other => panic!("{other}"),
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !there() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn segment_of(folder: &Path) -> std::path::PathBuf {
    Path::new("/dev/shm").join(std::fs::read_to_string(folder.join("board")).unwrap())
}

#[test]
fn everybody_sees_each_slot_and_its_life() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(View::open(folder.path()), Err(BoardError::Missing(_))));
    let board = Board::create(folder.path()).unwrap();
    let segment = segment_of(folder.path());
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&segment.metadata().unwrap()) & 0o777, 0o600);
    let name = folder.path().join("board").metadata().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&name) & 0o777, 0o600);
    let view = View::open(folder.path()).unwrap();
    assert_eq!(view.slot(1), None);
    let slot = Beat::claim(folder.path(), 1, 4).unwrap();
    assert_eq!(view.slot(1).unwrap().beat_ns, 0);
    slot.beat();
    let first = view.slot(1).unwrap().beat_ns;
    slot.beat();
    slot.add(Counter::Lost, 5);
    slot.add(Counter::Lost, 2);
    let seen = board.slot(1).unwrap();
    assert!(seen.beat_ns > first && first > 0);
    assert_eq!((seen.pid, seen.generation, seen.counter(Counter::Lost)), (std::process::id(), 4, 7));
    // The next life begins from nothing.
    let _next = Beat::claim(folder.path(), 1, 5).unwrap();
    let seen = view.slot(1).unwrap();
    assert_eq!((seen.generation, seen.beat_ns, seen.counter(Counter::Lost)), (5, 0, 0));
    assert!(
        Beat::claim(folder.path(), SLOTS, 1).is_err() && view.slot(SLOTS).is_none() && view.slot(usize::MAX).is_none()
    );
    drop(board);
    assert!(!segment.exists() && !folder.path().join("board").exists());
}

#[test]
fn a_life_is_asked_for_by_pid_and_generation() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::create(folder.path()).unwrap();
    let pid = std::process::id();
    let slot = Beat::claim(folder.path(), 3, 9).unwrap();
    assert_eq!(board.beat_ns(3, pid, 9), None, "it has not beaten yet");
    slot.beat();
    assert!(board.beat_ns(3, pid, 9).is_some());
    assert_eq!(
        (board.beat_ns(3, pid, 8), board.beat_ns(3, pid + 1, 9), board.beat_ns(SLOTS, pid, 9)),
        (None, None, None)
    );
    let _heart = Heart::start(slot).unwrap();
    let before = board.beat_ns(3, pid, 9);
    wait_for("a heartbeat", || board.beat_ns(3, pid, 9) > before);
}

/// A reading of which every number tells which one it is.
fn reading(number: u64) -> Reading {
    let level = |channel: usize| Level { peak: number as f32, rms: (number * 10 + channel as u64) as f32 };
    Reading {
        from: FrameIndex(number * 800),
        to: FrameIndex((number + 1) * 800),
        at_ns: 0,
        sample_rate_hz: 48_000,
        channel_count: 2,
        since: FrameIndex(number),
        clips: number,
        held_peak: number as f32,
        loudest: level(9),
        channels: std::array::from_fn(level),
        loudness: None,
    }
}

/// Which reading it is, if all of it is of one.
fn number_of(seen: &Reading) -> Option<u64> {
    let expected = Reading { at_ns: seen.at_ns, ..reading(seen.clips) };
    (*seen == expected).then_some(seen.clips)
}

fn streams(board: &Board) -> Vec<String> {
    board.meters().iter().map(|meter| meter.stream().to_owned()).collect()
}

#[test]
fn meters_show_what_was_written_last() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::create(folder.path()).unwrap();
    assert!(board.meters().is_empty());
    let meters = Meters::claim(folder.path()).unwrap();
    let (mut mic, mut other) = (meters.take("mic").unwrap(), meters.take("übung").unwrap());
    assert!(meters.take(&"x".repeat(65)).is_none() && meters.take("").is_none());
    other.show(&reading(1));
    let mut seen = View::open(folder.path()).unwrap().meters();
    assert!(seen[0].stream() == "mic" && seen[0].newest().is_none() && seen[0].read_next().is_none());
    let newest = seen[1].newest().unwrap();
    assert!(seen[1].stream() == "übung" && newest.at_ns > 0 && number_of(&newest) == Some(1));
    // One stream goes: its last reading is there for who had it, until another comes in its place.
    mic.show(&reading(7));
    drop(mic);
    assert_eq!(streams(&board), ["übung"]);
    assert!(!seen[0].is_taken());
    assert_eq!(seen[0].read_next().map(|(reading, missed)| (reading.clips, missed)), Some((7, 0)));
    let mut call = meters.take("call").unwrap();
    assert_eq!(streams(&board), ["call", "übung"]);
    call.show(&reading(8));
    assert!(!seen[0].is_taken() && seen[0].newest().is_none() && seen[0].read_next().is_none());
    assert!(!board.meters()[0].is_same_as(&seen[0]) && board.meters()[1].is_same_as(&seen[1]));
    // The next life has other streams, and there is room for so many.
    let next = Meters::claim(folder.path()).unwrap();
    let taken: Vec<_> = (0..=METERS).map(|index| next.take(&format!("s{index}"))).collect();
    assert_eq!((taken.iter().flatten().count(), board.meters().len()), (METERS, METERS));
    assert!(board.meters().iter().all(|meter| meter.newest().is_none()));
    drop((call, other));
}

#[test]
fn who_reads_in_time_misses_nothing_and_who_is_late_knows_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::create(folder.path()).unwrap();
    let meters = Meters::claim(folder.path()).unwrap();
    let mut meter = meters.take("mic").unwrap();
    (0..5).for_each(|number| meter.show(&reading(number)));
    let mut seen = board.meters().remove(0);
    let mut late = seen.clone();
    let read = |seen: &mut MeterView| seen.read_next().map(|(reading, missed)| (number_of(&reading).unwrap(), missed));
    assert_eq!((0..6).map(|_| read(&mut seen)).collect::<Vec<_>>()[4..], [Some((4, 0)), None]);
    let recent = seen.recent(3).unwrap();
    assert_eq!((recent.from, recent.to, recent.loudest.peak), (reading(2).from, reading(4).to, 4.0));
    (5..100).for_each(|number| meter.show(&reading(number)));
    let oldest = 100 - READINGS as u64 + 1;
    assert_eq!(read(&mut late), Some((oldest, oldest)));
    assert_eq!(read(&mut late), Some((oldest + 1, 0)));
    late.skip();
    assert_eq!(read(&mut late), None);
    assert_eq!(seen.recent(1_000).unwrap().from, reading(oldest).from);
}

#[test]
fn counts_are_begun_anew_when_the_owner_asks() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::create(folder.path()).unwrap();
    let meters = Meters::claim(folder.path()).unwrap();
    let (mut mic, mut mix) = (meters.take("mic").unwrap(), meters.take("mix").unwrap());
    assert!(!board.reset_meter("nobody") && board.reset_meter("mix"));
    assert!(!mic.is_reset() && mix.is_reset() && !mix.is_reset());
    drop(mix);
    board.reset_meter("mic");
    assert!(!meters.take("next").unwrap().is_reset(), "it is not meant");
    assert!(mic.is_reset());
}

/// A writer as fast as it can, and readers who want every reading: each one they get is whole, and of all that were written
/// none is there twice, out of order, or missing without being counted.
#[test]
fn readings_are_whole_however_fast_they_come() {
    const COUNT: u64 = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let board = Board::create(folder.path()).unwrap();
    let meters = Meters::claim(folder.path()).unwrap();
    let mut meter = meters.take("mic").unwrap();
    let seen = board.meters().remove(0);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut seen = seen.clone();
                scope.spawn(move || {
                    let (mut due, mut lost) = (0, 0);
                    while due < COUNT {
                        let Some((reading, missed)) = seen.read_next() else { continue };
                        due += missed;
                        lost += missed;
                        assert_eq!(number_of(&reading), Some(due), "{reading:?}");
                        due += 1;
                    }
                    lost
                })
            })
            .collect();
        for number in 0..COUNT {
            meter.show(&reading(number));
            if number % 1_000 == 0 {
                std::thread::sleep(Duration::from_micros(10));
            }
        }
        let lost: Vec<u64> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(lost.iter().all(|&lost| lost < COUNT), "they read nothing: {lost:?}");
    });
}

#[test]
fn what_a_killed_owner_leaves_goes_with_the_next_board() {
    let folder = tempfile::tempdir().unwrap();
    let owner = again("own", folder.path()).spawn().unwrap();
    wait_for("the board", || folder.path().join("board").exists());
    let stale = segment_of(folder.path());
    let slot = Beat::claim(folder.path(), 2, 1).unwrap();
    end(owner);
    assert!(stale.exists(), "nothing was left: the test looks at the wrong place");
    // Whoever has it open goes on undisturbed.
    slot.beat();
    let elsewhere = tempfile::tempdir().unwrap();
    let _board = Board::create(elsewhere.path()).unwrap();
    assert!(!stale.exists());
    slot.beat();
    assert!(View::open(folder.path()).is_err());
}

#[test]
fn a_full_memory_is_an_error_and_no_signal() {
    let folder = tempfile::tempdir().unwrap();
    let inside = again("full", folder.path());
    let mut command = Command::new("unshare");
    command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    command.args(["sh", "-c", "mount -t tmpfs -o size=1m tympan-test /dev/shm && exec \"$@\"", "sh"]);
    command.arg(inside.get_program()).args(inside.get_args());
    command.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}: {}", done.status, String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_is_no_board_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    for name in
        ["", "/etc/passwd", "../x", "shmem_1", "tympan-4294967294.1.1.0.board", &format!("tympan-{uid}.1.board")]
    {
        std::fs::write(folder.path().join("board"), name).unwrap();
        assert!(matches!(View::open(folder.path()), Err(BoardError::Malformed(_))), "{name:?}");
    }
    std::fs::write(folder.path().join("board"), format!("tympan-{uid}.1.1.0.board")).unwrap();
    assert!(matches!(View::open(folder.path()), Err(BoardError::Io { .. })));
    // A segment of the right name with other content, or too short. Of a living owner, for others remove those of dead ones,
    // and beyond the numbers of the boards that other tests make.
    let (pid, start_time) = (std::process::id(), shm_layout::start_time_of(std::process::id()).unwrap());
    for bytes in [vec![], vec![0xff; 64], vec![0; 1 << 16]] {
        let name = format!("tympan-{uid}.{pid}.{start_time}.{}.board", 1_000_000 + bytes.len());
        let path = Path::new("/dev/shm").join(&name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(folder.path().join("board"), &name).unwrap();
        let opened = View::open(folder.path());
        std::fs::remove_file(&path).unwrap();
        assert!(opened.is_err());
    }
}

use super::*;
use crate::queue::{Outlet, Run};
use crate::source::open_among;
use control_protocol::GapCause;
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const RATE_HZ: u32 = 8_000;
const OURS: SessionId = SessionId([1; 16]);
const THEIRS: SessionId = SessionId([2; 16]);

fn writer(dir: &Path, stream: &str, session: SessionId, epoch: u64, first: u64) -> RingWriter {
    shaped(dir, (stream, session), epoch, first, (RATE_HZ, 1))
}

fn shaped(
    dir: &Path,
    (stream, session): (&str, SessionId),
    epoch: u64,
    first: u64,
    (sample_rate_hz, channels): (u32, u32),
) -> RingWriter {
    let spec = RingSpec {
        stream: stream.into(),
        session,
        epoch: Epoch(epoch),
        previous_epoch: (epoch > 1).then(|| Epoch(epoch - 1)),
        sample_rate_hz,
        channels,
        capacity_frames: 2_000,
        first_frame: FrameIndex(first),
        labels: Vec::new(),
        overview: false,
    };
    RingWriter::create(dir, &spec).unwrap()
}

/// Frame n carries n.
fn write(ring: &mut RingWriter, frames: u16) {
    let from = ring.next_frame().0;
    let planar: Vec<f32> = (from..from + u64::from(frames)).map(|n| n as f32).collect();
    ring.write(&planar, frames.into());
}

fn around(dir: &Path) -> Surroundings {
    Surroundings { runtime_dir: dir.to_owned(), session: OURS, stream: StreamName::new("in").unwrap() }
}

fn opened(dir: &Path, uri: &str) -> Result<OpenSource, OpenError> {
    open_among(uri, 48_000, 0, Some(&around(dir)))
}

fn refused(dir: &Path, uri: &str) -> OpenError {
    opened(dir, uri).err().unwrap_or_else(|| panic!("{uri} was opened"))
}

/// Frames as they come: their numbers, or why they are missing.
fn take(outlet: &mut Outlet, frames: usize) -> Vec<Result<f32, GapCause>> {
    let (mut taken, mut planar) = (Vec::new(), vec![0.0; frames]);
    let begin = Instant::now();
    while taken.len() < frames {
        assert!(begin.elapsed() < Duration::from_secs(20), "watchdog: {} of {frames} frames", taken.len());
        outlet.refresh();
        match outlet.take(&mut planar, frames, 0, frames - taken.len()) {
            Run::Sound(count) => taken.extend(planar[..count].iter().map(|sample| Ok(*sample))),
            Run::Lost(count, cause) => taken.extend(std::iter::repeat_n(Err(cause), count)),
            Run::Dry => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    taken
}

fn numbers(from: u16, to: u16) -> Vec<Result<f32, GapCause>> {
    (from..to).map(|n| Ok(f32::from(n))).collect()
}

#[test]
fn what_cannot_be_followed_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(dir.path(), "ring:call");
    assert!(error.retry && error.reason.contains("no other program writes one there"), "{error}");
    let own = writer(dir.path(), "mic", OURS, 1, 0);
    let theirs = writer(dir.path(), "radio", THEIRS, 1, 0);
    let error = refused(dir.path(), "ring:call");
    assert!(error.reason.contains("there are: radio") && !error.reason.contains("mic"), "{error}");
    assert_eq!(error.exit, Exit::NoDevice);
    let error = refused(dir.path(), "ring:mic");
    assert!(error.reason.contains("own") && error.exit == Exit::Refused && !error.retry, "{error}");
    let clash = writer(dir.path(), "in", THEIRS, 1, 0);
    assert!(refused(dir.path(), "ring:in").reason.contains("in-in=ring:in"));
    let slow = shaped(dir.path(), ("slow", THEIRS), 1, 0, (4_000, 1));
    let error = refused(dir.path(), "ring:slow");
    assert!(error.reason.contains("4000 Hz") && error.exit == Exit::BadShape, "{error}");
    let error = refused(dir.path(), "ring:radio?rate=8000&channels=2");
    assert!(error.reason.contains("8000 Hz and 2") && error.exit == Exit::BadShape, "{error}");
    theirs.close();
    let error = refused(dir.path(), "ring:radio");
    assert!(error.reason.contains("was closed") && error.reason.contains("rate=8000&channels=1"), "{error}");
    std::fs::write(dir.path().join("text.ring"), [b'x'; 10_000]).unwrap();
    std::fs::set_permissions(dir.path().join("text.ring"), Permissions::from_mode(0o600)).unwrap();
    let error = refused(dir.path(), "ring:text");
    assert!(error.reason.contains("not a ring") && error.exit == Exit::Refused, "{error}");
    drop((own, clash, slow));
}

#[test]
fn frames_come_with_their_gaps_and_through_the_next_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = writer(dir.path(), "radio", THEIRS, 1, 1_000);
    write(&mut ring, 50); // before it was opened
    let mut open = opened(dir.path(), "ring:radio").unwrap();
    assert!((open.live, open.own_clock, open.may_lead, open.channels) == (true, true, false, 1));
    assert_eq!(open.resume_uri.as_deref(), Some("ring:radio?rate=8000&channels=1"));
    write(&mut ring, 100);
    ring.mark_gap(FrameIndex(1_180), FrameIndex(1_200), GapCause::Xrun as u32);
    write(&mut ring, 100);
    let mut expected = [numbers(1_050, 1_180), vec![Err(GapCause::Xrun); 20], numbers(1_200, 1_250)].concat();
    assert_eq!(take(&mut open.outlet, 200), expected);
    ring.close();
    let gone = Instant::now();
    while !open.health.gone.load(Ordering::Relaxed) {
        assert!(gone.elapsed() < Duration::from_secs(20), "watchdog: its end is not noticed");
        std::thread::sleep(Duration::from_millis(1));
    }
    // The next one of its session names the length of the gap.
    std::thread::sleep(Duration::from_millis(20));
    let mut ring = writer(dir.path(), "radio", THEIRS, 2, 1_300);
    write(&mut ring, 100);
    expected = [vec![Err(GapCause::Disappeared); 50], numbers(1_300, 1_400)].concat();
    assert_eq!(take(&mut open.outlet, 150), expected);
    assert!(!open.health.gone.load(Ordering::Relaxed));
    // One of ours never is its successor, and one of another form is no successor at all.
    let ours = writer(dir.path(), "radio", OURS, 3, 0);
    write(&mut ring, 10);
    assert_eq!(take(&mut open.outlet, 10), numbers(1_400, 1_410));
    let other = shaped(dir.path(), ("radio", THEIRS), 4, 2_000, (RATE_HZ, 2));
    let begin = Instant::now();
    while open.health.error().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(20), "watchdog: the other form is not noticed");
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = open.health.error().unwrap();
    assert!(error.reason.contains("8000 Hz and 2 channels now") && error.exit == Exit::BadShape, "{error:?}");
    assert!(open.outlet.is_finished());
    drop((ours, other));
}

#[test]
fn what_was_overwritten_is_counted_and_the_newest_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = writer(dir.path(), "radio", THEIRS, 1, 0);
    let mut open = opened(dir.path(), &format!("ring:{}/radio.1.ring", dir.path().display())).unwrap();
    // More than the ring holds, at once: 2,000 frames.
    let planar: Vec<f32> = (0..2_000_u16).map(f32::from).collect();
    for _ in 0..3 {
        ring.write(&planar, 2_000);
    }
    let begin = Instant::now();
    let (mut sound, mut lost) = (0, 0);
    while sound + lost < 6_000 {
        assert!(begin.elapsed() < Duration::from_secs(20), "watchdog: {sound} and {lost} lost");
        match take(&mut open.outlet, 1)[0] {
            Ok(_) => sound += 1,
            Err(cause) => {
                assert_eq!(cause, GapCause::Overrun);
                lost += 1;
            }
        }
    }
    write(&mut ring, 10);
    assert_eq!(take(&mut open.outlet, 10), numbers(6_000, 6_010));
    open.health.stop.store(true, Ordering::Relaxed);
}

#[test]
fn one_that_is_not_there_yet_is_waited_for_when_its_form_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = opened(dir.path(), "ring:radio?rate=8000&channels=1").unwrap();
    assert!(open.health.gone.load(Ordering::Relaxed) && open.description.contains("nobody writes yet"));
    std::thread::sleep(Duration::from_millis(30));
    let mut ring = writer(dir.path(), "radio", THEIRS, 1, 0);
    write(&mut ring, 100);
    assert_eq!(take(&mut open.outlet, 100), numbers(0, 100));
    open.health.stop.store(true, Ordering::Relaxed);
}

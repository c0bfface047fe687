//! What there is of a stretch of time.

use super::any_ring::AnyRing;
use shm_layout::{FrameIndex, ReadError};

/// Frames that are read at once: a writer that comes near costs so many at the most.
const PIECE_FRAMES: u64 = 16_384;

/// What frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Sound.
    Sound,
    /// Never captured.
    Gap,
    /// Not there any more: overwritten, or of a life of the stream whose file is gone.
    Overwritten,
    /// Not written yet.
    Later,
}

/// Frames that are the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First of them.
    pub from: FrameIndex,
    /// One past the last.
    pub to: FrameIndex,
    /// What they are.
    pub what: What,
}

/// Adds a stretch that begins where the last one ends; none where it is empty.
fn add(stretches: &mut Vec<Stretch>, rest: &mut FrameIndex, to: FrameIndex, what: What) {
    if to <= *rest {
        return;
    }
    match stretches.last_mut() {
        Some(last) if last.what == what => last.to = to,
        _ => stretches.push(Stretch { from: *rest, to, what }),
    }
    *rest = to;
}

/// Reads what a ring has of frames `rest..to` of a wish, and says what is where up to its newest frame. What lies before
/// its first frame belongs to no ring that is there.
pub(super) fn fill(
    ring: &mut AnyRing,
    (begin, to): (FrameIndex, FrameIndex),
    rest: &mut FrameIndex,
    planar: &mut [f32],
    stretches: &mut Vec<Stretch>,
) {
    let end = ring.newest().min(to);
    let first = ring.shape().first_frame.min(to);
    if end <= *rest {
        return;
    }
    // Between two lives of a stream in one session nobody captured anything.
    let before = if stretches.is_empty() { What::Overwritten } else { What::Gap };
    add(stretches, rest, first, before);
    let oldest = ring.oldest().min(end);
    add(stretches, rest, oldest, What::Overwritten);
    let mut piece = Vec::new();
    while *rest < end {
        let piece_end = FrameIndex(rest.0 + PIECE_FRAMES).min(end);
        let frames = usize::try_from(piece_end.since(*rest)).unwrap_or(0);
        piece.resize(frames * ring.shape().channels, 0.0);
        match ring.read(*rest, &mut piece, frames) {
            Ok(()) => {
                put(&piece, frames, begin, *rest, planar, ring.shape().channels);
                for gap in ring.gaps(*rest, piece_end) {
                    add(stretches, rest, gap.from.min(piece_end), What::Sound);
                    add(stretches, rest, gap.to.min(piece_end), What::Gap);
                }
                add(stretches, rest, piece_end, What::Sound);
            }
            Err(ReadError::Lost { to: safe, .. }) => add(stretches, rest, safe.min(end), What::Overwritten),
            // Only a file with impossible counters gets here.
            Err(ReadError::BeforeFirst { .. } | ReadError::NotYet { .. }) => return,
        }
    }
}

/// What no ring has is yet to come.
pub(super) fn finish(mut rest: FrameIndex, to: FrameIndex, stretches: &mut Vec<Stretch>) {
    add(stretches, &mut rest, to, What::Later);
}

fn put(piece: &[f32], frames: usize, begin: FrameIndex, at: FrameIndex, planar: &mut [f32], channels: usize) {
    let all = planar.len() / channels.max(1);
    let offset = usize::try_from(at.since(begin)).unwrap_or(usize::MAX);
    for (to, from) in planar.chunks_exact_mut(all).zip(piece.chunks_exact(frames)) {
        to[offset..offset + frames].copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{News, Position, RingPlace, RingView};
    use super::*;
    use shm_layout::{Epoch, RingSpec, RingState, RingWriter, SessionId, v1};
    use std::path::Path;
    use std::time::{Duration, Instant};

    fn spec(epoch: u64, session: u8, first: u64) -> RingSpec {
        RingSpec {
            stream: "mic".into(),
            session: SessionId([session; 16]),
            epoch: Epoch(epoch),
            previous_epoch: (epoch > 1).then_some(Epoch(epoch - 1)),
            sample_rate_hz: 8_000,
            channels: 2,
            capacity_frames: 1_024,
            first_frame: FrameIndex(first),
            labels: vec!["left".into(), "right".into()],
            overview: false,
        }
    }

    fn write(ring: &mut RingWriter, from: u16, frames: u16) {
        let left = (from..from + frames).map(f32::from);
        let planar: Vec<f32> = left.clone().chain(left.map(|sample| -sample)).collect();
        ring.write(&planar, usize::from(frames));
    }

    fn view(dir: &Path) -> RingView {
        RingView::open(&RingPlace::find(dir, "mic").unwrap(), Position::Oldest).unwrap()
    }

    /// The next thing that is something; a minute is more than ever passes.
    fn next(view: &mut RingView, planar: &mut Vec<f32>) -> News {
        let begin = Instant::now();
        loop {
            match view.news(planar, 4_096) {
                News::Nothing => assert!(begin.elapsed() < Duration::from_secs(60), "nothing came"),
                news => return news,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn frames_gaps_and_losses_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = RingWriter::create(dir.path(), &spec(1, 7, 0)).unwrap();
        let (mut view, mut planar) = (view(dir.path()), Vec::new());
        assert_eq!(view.news(&mut planar, 100), News::Nothing);
        assert_eq!(view.shape().label(1), "right");
        write(&mut ring, 0, 100);
        ring.mark_gap(FrameIndex(100), FrameIndex(150), 1);
        ring.write(&[0.0; 100], 50);
        let gaps = vec![(FrameIndex(100), FrameIndex(150))];
        assert_eq!(view.news(&mut planar, 4_096), News::Frames { from: FrameIndex(0), frames: 150, gaps });
        assert_eq!((planar[99].to_bits(), planar[150 + 99].to_bits()), (99_f32.to_bits(), (-99_f32).to_bits()));
        for block in 0..30 {
            write(&mut ring, 150 + block * 100, 100);
        }
        let News::Lost { from, to } = view.news(&mut planar, 4_096) else { panic!("overrun unnoticed") };
        assert_eq!(from, FrameIndex(150));
        assert!(to > FrameIndex(3_150 - 1_024) && to < FrameIndex(3_150), "{to}");
        assert!(matches!(view.news(&mut planar, 4_096), News::Frames { from, .. } if from == to));
    }

    #[test]
    fn the_next_life_and_another_session_are_entered() {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = RingWriter::create(dir.path(), &spec(1, 7, 0)).unwrap();
        write(&mut ring, 0, 100);
        let (mut view, mut planar) = (view(dir.path()), Vec::new());
        assert!(matches!(next(&mut view, &mut planar), News::Frames { frames: 100, .. }));
        ring.close();
        let at = FrameIndex(100);
        assert_eq!(next(&mut view, &mut planar), News::Ended { state: RingState::Closed, at });
        let mut second = RingWriter::create(dir.path(), &spec(2, 7, 300)).unwrap();
        write(&mut second, 300, 50);
        let News::Entered { shape, gap } = next(&mut view, &mut planar) else { panic!("not entered") };
        assert_eq!((shape.epoch, gap), (2, Some((at, FrameIndex(300)))));
        assert!(matches!(next(&mut view, &mut planar), News::Frames { frames: 50, .. }));
        // The history goes back over both.
        let stretches = view.history(FrameIndex(50), FrameIndex(400), &mut planar);
        let stretch = |from, to, what| Stretch { from: FrameIndex(from), to: FrameIndex(to), what };
        let expected = [
            stretch(50, 100, What::Sound),
            stretch(100, 300, What::Gap),
            stretch(300, 350, What::Sound),
            stretch(350, 400, What::Later),
        ];
        assert_eq!(stretches, expected);
        let left: Vec<f32> = planar[..350].to_vec();
        assert_eq!((left[0].to_bits(), left[250].to_bits()), (50_f32.to_bits(), 300_f32.to_bits()));
        assert!(left[50..250].iter().all(|sample| *sample == 0.0));
        // A new run: another session, whose epochs and frames begin anew.
        second.close();
        std::fs::read_dir(dir.path()).unwrap().for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
        let mut third = RingWriter::create(dir.path(), &spec(1, 8, 0)).unwrap();
        write(&mut third, 0, 10);
        assert!(matches!(next(&mut view, &mut planar), News::Ended { .. }));
        let News::Entered { shape, gap: None } = next(&mut view, &mut planar) else { panic!("not entered") };
        assert_eq!((shape.epoch, shape.session), (1, Some(SessionId([8; 16]))));
        assert!(matches!(next(&mut view, &mut planar), News::Frames { from: FrameIndex(0), frames: 10, .. }));
    }

    #[test]
    fn what_is_overwritten_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = RingWriter::create(dir.path(), &spec(1, 7, 0)).unwrap();
        (0..30).for_each(|block| write(&mut ring, block * 100, 100));
        let (mut view, mut planar) = (view(dir.path()), Vec::new());
        let stretches = view.history(FrameIndex(0), FrameIndex(3_000), &mut planar);
        assert_eq!(stretches.len(), 2);
        assert_eq!((stretches[0].what, stretches[1].what), (What::Overwritten, What::Sound));
        assert_eq!(stretches[0].to, view.oldest());
        assert_eq!(planar[2_999].to_bits(), 2_999_f32.to_bits());
    }

    #[test]
    fn version_1_is_read_and_its_replacement_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.audio");
        let info = v1::Info { sample_rate_hz: 8_000, channels: 1, capacity_frames: 1_000, write_frames: 10 };
        let mut ring = v1::Writer::create(&path, info).unwrap();
        ring.write(&[0.5; 10]);
        let place = RingPlace::find(dir.path(), path.to_str().unwrap()).unwrap();
        let mut view = RingView::open(&place, Position::Oldest).unwrap();
        let mut planar = Vec::new();
        assert!(matches!(next(&mut view, &mut planar), News::Frames { frames: 10, .. }));
        assert_eq!((view.shape().version, planar[9].to_bits()), (1, 0.5_f32.to_bits()));
        let mut next_ring = v1::Writer::create(&path, info).unwrap();
        next_ring.write(&[0.25; 10]);
        assert!(matches!(next(&mut view, &mut planar), News::Entered { .. }));
        assert!(matches!(next(&mut view, &mut planar), News::Frames { frames: 10, .. }));
        assert_eq!(planar[0].to_bits(), 0.25_f32.to_bits());
    }

    #[test]
    fn names_that_nothing_has_are_refused_with_those_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let none = RingPlace::find(dir.path(), "mic").unwrap_err();
        assert!(none.text.contains("tympan run"), "{none}");
        let _ring = RingWriter::create(dir.path(), &spec(1, 7, 0)).unwrap();
        let other = RingPlace::find(dir.path(), "mice").unwrap_err();
        assert!(other.text.ends_with(": mic"), "{other}");
        assert_eq!(RingPlace::find(dir.path(), "/nowhere/x").unwrap_err().exit, control_protocol::Exit::NoInput);
    }
}

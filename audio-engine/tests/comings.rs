//! Sources come and go in a running engine, and the others do not notice.

mod rig;

use control_protocol::{ClockKind, Exit, FromEngine, SOURCES_MAX, SourceSpec, ToEngine};
use rig::{Rig, WATCHDOG, all_gaps, check_count, config, contents, demo_at, name};
use shm_layout::{Epoch, FrameIndex, RingReader, RingState, Wait};

impl Rig {
    fn add(&self, stream: &str, uri: &str) {
        self.tell(ToEngine::AddSource(SourceSpec { stream: name(stream), uri: uri.into(), resume_frames: 0 }));
    }

    /// Adds a source with this epoch, and waits for its ring.
    fn enter(&mut self, stream: &str, uri: &str, epoch: u64, previous: Option<u64>) -> RingReader {
        let (epoch, previous) = (Epoch(epoch), previous.map(Epoch));
        self.tell(ToEngine::RingEpoch { stream: name(stream), epoch, previous });
        self.add(stream, uri);
        self.until(|m| matches!(m, FromEngine::RingOpened { stream: of, .. } if of.as_str() == stream));
        let ring = self.ring(stream);
        assert_eq!((ring.info().epoch, ring.info().previous_epoch), (epoch, previous));
        ring
    }

    /// Removes a source, and waits until it is gone.
    fn remove(&mut self, stream: &str) -> FrameIndex {
        self.tell(ToEngine::RemoveSource { stream: name(stream) });
        let mut end = None;
        self.until(|message| match message {
            FromEngine::SourceRemoved { stream: of, at } if of.as_str() == stream => {
                end = Some(*at);
                true
            }
            _ => false,
        });
        end.unwrap()
    }

    fn until_running(&mut self) {
        self.until(|message| matches!(message, FromEngine::RingOpened { stream, .. } if stream.as_str() == "mix"));
    }

    /// Why a source failed.
    fn failure(&mut self, stream: &str) -> (String, Exit) {
        let mut why = None;
        self.until(|message| match message {
            FromEngine::SourceFailed { stream: of, reason, exit, .. } if of.as_str() == stream => {
                why = Some((reason.clone(), *exit));
                true
            }
            _ => false,
        });
        why.unwrap()
    }
}

/// Waits until a ring has so many frames more.
fn wait_for_more(ring: &RingReader, frames: u64) {
    let until = ring.commit().plus(frames);
    while ring.commit() < until {
        assert!(matches!(ring.wait(until.back(1), WATCHDOG), Wait::Ready(_)));
    }
}

#[test]
fn guests_have_rings_of_their_own_and_the_count_goes_on() {
    let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &[("counter", "test:count", 0)]);
    rig.until_running();
    let own = rig.ring("counter");
    let talk = demo_at(48_000);
    let uris = ["demo:", "virtual:count?channels=2&period=441", "test:tone?rate=16000"];
    let mut before: Option<(u64, FrameIndex)> = None;
    for round in 0..9_u64 {
        let uri = uris[usize::try_from(round % 3).unwrap()];
        let guest = rig.enter("guest", uri, 2 + round, before.map(|(epoch, _)| epoch));
        let first = guest.info().first_frame;
        assert_eq!(first.since(own.info().first_frame) % 480, 0, "it begins with a block");
        assert!(before.is_none_or(|(_, end)| first > end), "beyond its own past");
        assert!(own.commit() < first.plus(48_000));
        wait_for_more(&guest, 9_600);
        let end = rig.remove("guest");
        assert_eq!((guest.state(), guest.commit()), (RingState::Closed, end));
        before = Some((2 + round, end));
        let planes = contents(&guest);
        let gaps = all_gaps(&guest);
        match round % 3 {
            // A machine that is very busy may let it in late: then there is a gap before it, and not in it.
            0 => {
                let late = gaps.first().map_or(0, |gap| usize::try_from(gap.to.since(first)).unwrap());
                let heard = &planes[0][late..];
                assert!(gaps.len() <= 1 && heard.len() >= 4_800, "{gaps:?}");
                assert_eq!(heard, &talk[..heard.len()], "the file, from its first frame on");
            }
            1 => {
                check_count(&planes[0], first, &gaps);
                assert_eq!(planes[0], planes[1]);
            }
            _ => assert!(planes[0].iter().any(|sample| sample.abs() > 0.1), "a tone"),
        }
    }
    // It never went to the end, and never ended by itself.
    assert!(!rig.heard.iter().any(|m| matches!(m, FromEngine::SourceEnded { .. } | FromEngine::SourceFailed { .. })));
    rig.tell(ToEngine::Close);
    rig.until_stopped();
    let planes = contents(&own);
    let steps = check_count(&planes[0], own.info().first_frame, &all_gaps(&own));
    assert_eq!(steps.iter().map(|step| step.0).sum::<u64>(), 0, "a number is missing");
    assert!(planes[0].len() > 9 * 9_600);
    assert_eq!(rig.ring("mix").info().epoch, Epoch(1), "the mix is one and the same");
    assert_eq!(rig.ring("mix").commit(), own.commit());
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn what_cannot_come_is_told_and_the_rest_goes_on() {
    let mut rig = Rig::start(config(ClockKind::Monotonic, 8_000), &[("own", "test:silence", 0)]);
    rig.until_running();
    rig.add("mix", "test:tone");
    assert!(rig.failure("mix").0.contains("the sum of all sources"));
    rig.add("own", "test:tone");
    assert!(rig.failure("own").0.contains("two sources of this name"));
    rig.add("talk", "file:/nowhere/talk.wav");
    let (reason, exit) = rig.failure("talk");
    assert!(reason.contains("/nowhere/talk.wav") && exit == Exit::NoInput, "{reason}");
    // The name is free again.
    rig.enter("talk", "test:tone", 2, None);
    for n in 2..SOURCES_MAX {
        rig.add(&format!("s{n}"), "test:silence");
    }
    for _ in 2..SOURCES_MAX {
        rig.until(|message| matches!(message, FromEngine::RingOpened { .. }));
    }
    rig.add("many", "test:silence");
    assert!(rig.failure("many").0.contains("64 sources are the most"));
    // Where one goes, one can come.
    rig.remove("s7");
    rig.enter("many", "test:silence", 3, None);
    // No ring can be made where there is no folder; those that are there go on.
    rig.remove("s8");
    let own = rig.ring("own");
    let folder = rig.dir.path().to_owned();
    std::fs::rename(&folder, folder.with_extension("away")).unwrap();
    rig.add("late", "test:silence");
    let (reason, exit) = rig.failure("late");
    std::fs::rename(folder.with_extension("away"), &folder).unwrap();
    assert!(reason.contains(folder.to_str().unwrap()) && exit == Exit::Refused, "{reason}");
    wait_for_more(&own, 800);
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn the_last_one_may_go_and_a_later_one_ends_the_engine() {
    let mut rig = Rig::start(config(ClockKind::Monotonic, 16_000), &[("first", "test:tone", 0)]);
    rig.until_running();
    let mix = rig.ring("mix");
    let end = rig.remove("first");
    assert_eq!(mix.state(), RingState::Live);
    wait_for_more(&mix, 1_600);
    let mut silence = vec![1.0; 480];
    mix.read(mix.commit().back(480).max(end), &mut silence, 480).unwrap();
    assert!(silence.iter().all(|sample| *sample == 0.0));
    rig.enter("second", "test:tone?seconds=0.2", 2, None);
    rig.until_stopped();
    assert!(
        rig.heard.iter().any(|m| matches!(m, FromEngine::SourceEnded { stream, .. } if stream.as_str() == "second"))
    );
    assert_eq!(rig.ring("mix").state(), RingState::Closed);
    rig.add("third", "test:tone");
    assert!(rig.failure("third").0.contains("has stopped"));
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn a_source_may_be_removed_before_it_has_begun() {
    // At any moment: while it is opened, waited for, or on its way into the tick.
    let mut rig = Rig::start(config(ClockKind::Monotonic, 16_000), &[]);
    rig.until_running();
    for _ in 0..20 {
        rig.add("guest", "test:tone");
        rig.tell(ToEngine::RemoveSource { stream: name("guest") });
    }
    for _ in 0..20 {
        rig.until(|message| matches!(message, FromEngine::SourceRemoved { .. }));
    }
    assert!(!rig.heard.iter().any(|message| matches!(message, FromEngine::SourceFailed { .. })));
    // Nothing of them is left that would stand in the way.
    let ring = rig.enter("guest", "test:tone", 30, None);
    wait_for_more(&ring, 1_600);
    // One that is not there is no fault.
    rig.tell(ToEngine::RemoveSource { stream: name("nobody") });
    rig.tell(ToEngine::Close);
    rig.until_stopped();
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn one_device_leads_and_the_next_one_only_when_it_is_gone() {
    let sources =
        [("t", "test:tone", 0), ("a", "virtual:tone?drift_ppm=90", 0), ("b", "virtual:tone?drift_ppm=-90", 0)];
    let mut rig = Rig::start(config(ClockKind::Monotonic, 16_000), &sources);
    let leads = |stream: Option<&str>| FromEngine::Leads { stream: stream.map(name) };
    rig.until(|message| *message == leads(Some("a")));
    rig.enter("c", "virtual:tone?drift_ppm=50", 2, None);
    rig.remove("a");
    assert!(rig.heard.contains(&leads(None)));
    // Who was resampled stays so; who comes may lead.
    rig.enter("d", "test:tone", 3, None);
    rig.enter("e", "virtual:tone?drift_ppm=50", 4, None);
    rig.until(|message| *message == leads(Some("e")));
    assert_eq!(rig.heard.iter().filter(|message| matches!(message, FromEngine::Leads { .. })).count(), 3);
    let ring = rig.ring("e");
    wait_for_more(&ring, 1_600);
    rig.tell(ToEngine::Close);
    rig.until_stopped();
    for stream in ["t", "b", "c", "d", "e"] {
        let planes = contents(&rig.ring(stream));
        assert!(planes[0].iter().any(|sample| sample.abs() > 0.1), "{stream} is heard");
    }
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn on_a_virtual_clock_all_begin_together() {
    let mut rig = Rig::start(config(ClockKind::Virtual, 16_000), &[("talk", "demo:", 0)]);
    rig.until_running();
    rig.add("late", "demo:");
    assert!(rig.failure("late").0.contains("before the start"));
    rig.tell(ToEngine::Credit { until: FrameIndex(u64::MAX) });
    rig.until_stopped();
    assert_eq!(contents(&rig.ring("talk")), [demo_at(16_000)]);
    assert_eq!(rig.end(), Exit::Clean);
}

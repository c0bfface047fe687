//! The whole engine in one process: messages in, rings out, read back frame by frame.

mod rig;

use audio_dsp::decode_count;
use control_protocol::{ClockKind, Exit, FromEngine, GapCause, ToEngine};
use rig::{Rig, WATCHDOG, all_gaps, check_count, config, contents, demo_at, name};
use shm_layout::{Epoch, FrameIndex, RingState, Wait};
use std::time::Duration;

fn frames_told(rig: &Rig) -> u64 {
    rig.gaps_told("counter").iter().map(|(from, to, _)| to.since(*from)).sum()
}

#[test]
fn every_frame_of_a_counter_arrives_once_or_is_counted() {
    for format in ["f32", "i32", "f64", "u32"] {
        let uri = format!("test:count?channels=2&seconds=1.005&period=441&format={format}");
        let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &[("counter", &uri, 0)]);
        rig.until_stopped();
        let ring = rig.ring("counter");
        let planes = contents(&ring);
        let steps = check_count(&planes[0], ring.info().first_frame, &all_gaps(&ring));
        assert_eq!(planes[0], planes[1]);
        let sound = planes[0].len() as u64 - steps.iter().map(|step| step.1).sum::<u64>();
        let missing: u64 = steps.iter().map(|step| step.0).sum();
        assert_eq!(sound + missing, 48_240, "{format}");
        let last = decode_count(*planes[0].last().unwrap());
        assert_eq!(last, Some(48_239));
        assert_eq!(contents(&rig.ring("mix")), planes);
        assert_eq!(frames_told(&rig), all_gaps(&ring).iter().map(|gap| gap.to.since(gap.from)).sum::<u64>());
        let at = ring.commit();
        assert!(rig.heard.contains(&FromEngine::SourceEnded { stream: name("counter"), at, error: None }));
        assert_eq!(rig.end(), Exit::Clean);
    }
}

#[test]
fn xruns_are_gaps_of_their_length_and_drift_is_survived() {
    let uri = "virtual:count?period=240&xrun_every_s=0.3&drift_ppm=2000&seconds=3";
    let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &[("counter", uri, 0)]);
    rig.until_stopped();
    let ring = rig.ring("counter");
    let planes = contents(&ring);
    let gaps = all_gaps(&ring);
    let steps = check_count(&planes[0], ring.info().first_frame, &gaps);
    let xrun = GapCause::Xrun as u32;
    let pure: Vec<_> = steps.iter().filter(|(_, _, causes)| causes == &[xrun]).collect();
    assert!(pure.len() >= 5, "{steps:?}");
    assert!(pure.iter().all(|(missing, frames, _)| missing == frames && *frames == 240), "{pure:?}");
    assert_eq!(steps.iter().map(|step| step.0).sum::<u64>(), 9 * 240, "nine periods were dropped: {steps:?}");
    assert_eq!(frames_told(&rig), gaps.iter().map(|gap| gap.to.since(gap.from)).sum::<u64>());
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn a_device_that_disappears_comes_back_into_the_same_ring() {
    let uri = "virtual:count?vanish_after_s=0.5&return_after_s=0.4&seconds=3";
    let mut rig = Rig::start(config(ClockKind::Monotonic, 16_000), &[("counter", uri, 0)]);
    rig.until_stopped();
    let ring = rig.ring("counter");
    let planes = contents(&ring);
    let steps = check_count(&planes[0], ring.info().first_frame, &all_gaps(&ring));
    let away: Vec<_> = steps.iter().filter(|step| step.2.contains(&(GapCause::Disappeared as u32))).collect();
    assert_eq!(away.len(), 1, "{steps:?}");
    assert!(away[0].0 > 16_000 / 4, "it missed numbers while it was away: {steps:?}");
    assert_eq!(decode_count(*planes[0].last().unwrap()), Some(47_999));
    assert!(rig.gaps_told("counter").iter().any(|gap| gap.2 == GapCause::Disappeared));
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn on_a_virtual_clock_a_file_arrives_whole_and_never_beyond_its_credit() {
    let mut rig = Rig::start(config(ClockKind::Virtual, 48_000), &[("talk", "demo:", 0)]);
    rig.until(|message| matches!(message, FromEngine::RingOpened { stream, .. } if stream.as_str() == "mix"));
    let ring = rig.ring("talk");
    assert_eq!(ring.info().first_frame, FrameIndex(1_000));
    rig.tell(ToEngine::Credit { until: FrameIndex(101_000) });
    assert!(matches!(ring.wait(FrameIndex(100_839), WATCHDOG), Wait::Ready(_)));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(ring.commit(), FrameIndex(1_000 + 100_000 / 480 * 480));
    rig.tell(ToEngine::Credit { until: FrameIndex(u64::MAX) });
    rig.until_stopped();
    assert_eq!(contents(&ring), [demo_at(48_000)]);
    assert_eq!(contents(&rig.ring("mix")), [demo_at(48_000)]);
    assert!(all_gaps(&ring).is_empty());
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn a_file_in_real_time_is_whole_and_can_be_resumed() {
    let whole = demo_at(16_000);
    let resume = 16_000 * 10 + 7;
    let mut rig = Rig::start(config(ClockKind::Monotonic, 16_000), &[("talk", "demo:", resume)]);
    rig.until_stopped();
    let ring = rig.ring("talk");
    assert!(all_gaps(&ring).is_empty());
    assert_eq!(contents(&ring), [&whole[usize::try_from(resume).unwrap()..]]);
    let opened = FromEngine::SourceOpened {
        stream: name("talk"),
        description: "demo clip (jfk.wav): WAV, 16 kHz, mono, 11.0 s".into(),
        sample_rate_hz: 16_000,
        channels: 1,
        live: false,
        resume_uri: None,
        total_frames: Some(176_000),
    };
    assert!(rig.heard.contains(&opened), "{:?}", rig.heard);
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn the_mix_is_the_sum_with_mono_on_the_left_and_on_the_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("three.wav");
    let spec = hound::WavSpec {
        channels: 3,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for frame in 0..5_000_i16 {
        for channel in 0..3 {
            writer.write_sample(frame + channel * 1_000).unwrap();
        }
    }
    writer.finalize().unwrap();
    let three = format!("file:{}", path.display());
    let sources = [("one", "demo:", 16_000 * 10), ("three", three.as_str(), 0)];
    let mut rig = Rig::start(config(ClockKind::Virtual, 16_000), &sources);
    rig.tell(ToEngine::Credit { until: FrameIndex(u64::MAX) });
    rig.until_stopped();
    let (one, three, mix) = (contents(&rig.ring("one")), contents(&rig.ring("three")), contents(&rig.ring("mix")));
    assert_eq!((one[0].len(), three[0].len(), mix.len(), mix[0].len()), (16_000, 5_000, 3, 16_000));
    for channel in 0..3 {
        for at in 0..16_000 {
            let mono = if channel < 2 { one[0][at] } else { 0.0 };
            let expected = mono + three[channel].get(at).unwrap_or(&0.0);
            assert!((mix[channel][at] - expected).abs() < 1e-6, "channel {channel} at {at}");
        }
    }
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn one_bad_source_does_not_stop_the_others_and_none_is_refused() {
    let sources = [("good", "test:tone?seconds=0.2", 0), ("bad", "file:/nowhere.wav", 0), ("mix", "demo:", 0)];
    let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &sources);
    rig.until_stopped();
    let failed: Vec<_> = rig
        .heard
        .iter()
        .filter_map(|m| if let FromEngine::SourceFailed { stream, .. } = m { Some(stream.as_str()) } else { None })
        .collect();
    assert_eq!(failed.len(), 2);
    assert!(failed.contains(&"bad") && failed.contains(&"mix"));
    assert_eq!(contents(&rig.ring("good"))[0].len(), 9_600);
    assert_eq!(rig.end(), Exit::Clean);

    let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &[("bad", "file:/nowhere.wav", 0)]);
    rig.until(|message| matches!(message, FromEngine::Fault(_)));
    assert_eq!(rig.thread.join().unwrap(), Exit::Refused);
}

#[test]
fn closing_writes_what_was_captured_and_ends_in_order() {
    let sources = [("endless", "test:count", 0), ("talk", "demo:", 0)];
    let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &sources);
    rig.until(|message| matches!(message, FromEngine::RingOpened { stream, .. } if stream.as_str() == "mix"));
    let ring = rig.ring("endless");
    assert!(matches!(ring.wait(ring.info().first_frame.plus(24_000), WATCHDOG), Wait::Ready(_)));
    rig.tell(ToEngine::Close);
    rig.until_stopped();
    let planes = contents(&ring);
    check_count(&planes[0], ring.info().first_frame, &all_gaps(&ring));
    assert!(planes[0].len() >= 24_000);
    assert_eq!(rig.ring("talk").state(), RingState::Closed);
    assert_eq!(rig.ring("mix").state(), RingState::Closed);
    assert!(!rig.heard.iter().any(|message| matches!(message, FromEngine::SourceEnded { .. })));
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn a_later_epoch_begins_where_the_clock_is() {
    let mut config = config(ClockKind::Monotonic, 48_000);
    config.epoch = Epoch(2);
    config.first_frame_ns -= 2_000_000_000;
    let mut rig = Rig::start(config, &[("tone", "test:tone?seconds=0.1", 0)]);
    rig.until_stopped();
    let ring = rig.ring("tone");
    assert_eq!((ring.info().epoch, ring.info().previous_epoch), (Epoch(2), Some(Epoch(1))));
    assert!(ring.info().first_frame >= FrameIndex(1_000 + 96_000));
    assert_eq!(rig.end(), Exit::Clean);
}

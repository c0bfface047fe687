//! The whole engine in one process: messages in, rings out, read back frame by frame.

use audio_dsp::{RateConverter, decode_count};
use audio_engine::decode::DEMO_CLIP;
use audio_engine::engine::{Event, serve};
use audio_engine::rt::now_ns;
use control_protocol::{
    BoardPlace, ClockKind, EngineConfig, Exit, FromEngine, GapCause, SourceSpec, StreamName, ToEngine,
};
use shm_layout::{Epoch, FrameIndex, GapSpan, RingReader, RingState, SessionId, Wait};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const WATCHDOG: Duration = Duration::from_secs(60);

struct Rig {
    dir: tempfile::TempDir,
    inbox: Sender<Event>,
    news: Receiver<FromEngine>,
    heard: Vec<FromEngine>,
    thread: JoinHandle<Exit>,
}

fn name(stream: &str) -> StreamName {
    StreamName::new(stream).unwrap()
}

fn config(clock: ClockKind, sample_rate_hz: u32) -> EngineConfig {
    EngineConfig {
        runtime_dir: String::new(),
        session: SessionId([3; 16]),
        epoch: Epoch(1),
        first_frame: FrameIndex(1_000),
        first_frame_ns: now_ns(),
        sample_rate_hz,
        block_frames: sample_rate_hz / 100,
        history_ms: 20_000,
        clock,
        board: BoardPlace::default(),
    }
}

impl Rig {
    fn start(mut config: EngineConfig, sources: &[(&str, &str, u64)]) -> Self {
        let shm = std::path::Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        config.runtime_dir = dir.path().to_str().unwrap().into();
        let (inbox, events) = channel();
        let (out, news) = channel();
        let own = inbox.clone();
        let thread = std::thread::spawn(move || {
            serve(&events, &own, &|message| {
                let _ = out.send(message);
            })
        });
        let rig = Self { dir, inbox, news, heard: Vec::new(), thread };
        rig.tell(ToEngine::Configure(config));
        for &(stream, uri, resume_frames) in sources {
            rig.tell(ToEngine::AddSource(SourceSpec { stream: name(stream), uri: uri.into(), resume_frames }));
        }
        rig.tell(ToEngine::Start);
        rig
    }

    fn tell(&self, message: ToEngine) {
        self.inbox.send(Event::Message(message)).unwrap();
    }

    fn until(&mut self, mut found: impl FnMut(&FromEngine) -> bool) {
        loop {
            let message = self.news.recv_timeout(WATCHDOG).expect("the engine has gone quiet");
            let end = found(&message);
            self.heard.push(message);
            if end {
                return;
            }
        }
    }

    fn until_stopped(&mut self) {
        self.until(|message| matches!(message, FromEngine::Stopped));
    }

    fn ring(&self, stream: &str) -> RingReader {
        RingReader::attach_stream(self.dir.path(), stream).unwrap()
    }

    fn end(self) -> Exit {
        self.tell(ToEngine::Shutdown);
        self.thread.join().unwrap()
    }

    fn gaps_told(&self, stream: &str) -> Vec<(FrameIndex, FrameIndex, GapCause)> {
        let told = self.heard.iter().filter_map(|message| match message {
            FromEngine::Gap { stream: of, from, to, cause } if of.as_str() == stream => Some((*from, *to, *cause)),
            _ => None,
        });
        told.collect()
    }
}

/// All a closed ring holds, one `Vec` a channel.
fn contents(ring: &RingReader) -> Vec<Vec<f32>> {
    assert_eq!(ring.state(), RingState::Closed);
    let (first, end) = (ring.info().first_frame, ring.commit());
    assert_eq!(ring.oldest(), first, "the history holds all of it");
    let frames = usize::try_from(end.since(first)).unwrap();
    let mut planar = vec![0.0; frames * ring.info().channels as usize];
    ring.read(first, &mut planar, frames).unwrap();
    planar.chunks_exact(frames.max(1)).map(<[f32]>::to_vec).collect()
}

/// The counter's steps at each gap: (missing numbers, frames of gap, causes). Panics where a number is missing or
/// twice outside of a gap, or where a gap is no silence.
fn check_count(plane: &[f32], first: FrameIndex, gaps: &[GapSpan]) -> Vec<(u64, u64, Vec<u32>)> {
    let mut steps = Vec::new();
    let mut expected = None;
    let (mut open, mut causes) = (0, Vec::new());
    let mut gaps = gaps.iter().peekable();
    for (at, sample) in plane.iter().enumerate() {
        let index = first.plus(at as u64);
        while gaps.peek().is_some_and(|gap| gap.to <= index) {
            gaps.next();
        }
        if let Some(gap) = gaps.peek().filter(|gap| gap.from <= index) {
            assert_eq!(*sample, 0.0, "sound in a gap at {index}");
            open += 1;
            if causes.last() != Some(&gap.cause) {
                causes.push(gap.cause);
            }
            continue;
        }
        let number = u64::from(decode_count(*sample).unwrap_or_else(|| panic!("no number at {index}: {sample}")));
        let due = expected.unwrap_or(number);
        if open > 0 {
            assert!(number >= due, "{number} after {due} at {index}");
            steps.push((number - due, open, std::mem::take(&mut causes)));
            open = 0;
        } else {
            assert_eq!(number, due, "at {index}");
        }
        expected = Some(number + 1);
    }
    steps
}

fn all_gaps(ring: &RingReader) -> Vec<GapSpan> {
    ring.gaps(ring.info().first_frame, ring.commit())
}

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

fn demo_at(rate_hz: u32) -> Vec<f32> {
    let samples: Vec<f32> = hound::WavReader::new(DEMO_CLIP)
        .unwrap()
        .into_samples::<i16>()
        .map(|sample| f32::from(sample.unwrap()) / 32_768.0)
        .collect();
    let mut converter = RateConverter::new(16_000, rate_hz, 1).unwrap();
    let mut out = vec![Vec::new()];
    converter.process(&samples, samples.len(), &mut out);
    converter.finish(&mut out);
    out.remove(0)
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

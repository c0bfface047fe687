//! An engine in this process, and what its rings hold.
#![allow(dead_code, unreachable_pub, reason = "each file of tests uses a part of it")]

use audio_dsp::{RateConverter, decode_count};
use audio_engine::engine::{Event, serve};
use audio_engine::rt::now_ns;
use control_protocol::{
    BoardPlace, ClockKind, EngineConfig, Exit, FromEngine, GapCause, SourceSpec, StreamName, ToEngine,
};
use shm_layout::{Epoch, FrameIndex, GapSpan, RingReader, RingState, SessionId};
use sound_files::DEMO_CLIP;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub const WATCHDOG: Duration = Duration::from_secs(60);

pub struct Rig {
    pub dir: tempfile::TempDir,
    pub inbox: Sender<Event>,
    pub news: Receiver<FromEngine>,
    pub heard: Vec<FromEngine>,
    pub thread: JoinHandle<Exit>,
}

pub fn name(stream: &str) -> StreamName {
    StreamName::new(stream).unwrap()
}

pub fn config(clock: ClockKind, sample_rate_hz: u32) -> EngineConfig {
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
    pub fn start(mut config: EngineConfig, sources: &[(&str, &str, u64)]) -> Self {
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

    pub fn tell(&self, message: ToEngine) {
        self.inbox.send(Event::Message(message)).unwrap();
    }

    pub fn until(&mut self, mut found: impl FnMut(&FromEngine) -> bool) {
        loop {
            let message = self.news.recv_timeout(WATCHDOG).expect("the engine has gone quiet");
            let end = found(&message);
            self.heard.push(message);
            if end {
                return;
            }
        }
    }

    pub fn until_stopped(&mut self) {
        self.until(|message| matches!(message, FromEngine::Stopped));
    }

    pub fn ring(&self, stream: &str) -> RingReader {
        RingReader::attach_stream(self.dir.path(), stream).unwrap()
    }

    pub fn end(self) -> Exit {
        self.tell(ToEngine::Shutdown);
        self.thread.join().unwrap()
    }

    pub fn gaps_told(&self, stream: &str) -> Vec<(FrameIndex, FrameIndex, GapCause)> {
        let told = self.heard.iter().filter_map(|message| match message {
            FromEngine::Gap { stream: of, from, to, cause } if of.as_str() == stream => Some((*from, *to, *cause)),
            _ => None,
        });
        told.collect()
    }
}

/// All a closed ring holds, one `Vec` a channel.
pub fn contents(ring: &RingReader) -> Vec<Vec<f32>> {
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
pub fn check_count(plane: &[f32], first: FrameIndex, gaps: &[GapSpan]) -> Vec<(u64, u64, Vec<u32>)> {
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

pub fn all_gaps(ring: &RingReader) -> Vec<GapSpan> {
    ring.gaps(ring.info().first_frame, ring.commit())
}

pub fn demo_at(rate_hz: u32) -> Vec<f32> {
    let samples: Vec<f32> = hound::WavReader::new(DEMO_CLIP)
        .unwrap()
        .into_samples::<i16>()
        .map(|sample| f32::from(sample.unwrap()) / 32_768.0)
        .collect();
    let mut converter = RateConverter::full_band(16_000, rate_hz, 1).unwrap();
    let mut out = vec![Vec::new()];
    converter.process(&samples, samples.len(), &mut out);
    converter.finish(&mut out);
    out.remove(0)
}

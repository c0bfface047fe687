use super::keeper::{Errand, Keeper};
use super::scan::Scan;
use super::*;
use crate::samples;
use crate::vad::tests::model as vad_model;
use control_protocol::{BoardPlace, Job, JobId, JobKind, Mark, Samples, StreamName};
use shm_layout::{Epoch, FrameIndex, RingReader, RingSpec, RingWriter, SessionId};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Nothing here takes so long but a defect.
const WATCHDOG: Duration = Duration::from_secs(60);
const RATE: u32 = 48_000;

impl Report for Sender<FromListener> {
    fn say(&self, message: FromListener) -> bool {
        self.send(message).is_ok()
    }
}

struct House {
    runtime: TempDir,
    spill: TempDir,
}

impl House {
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        Self { runtime: folder(), spill: folder() }
    }

    fn config(&self, offline: bool) -> ListenerConfig {
        let text = |folder: &TempDir| folder.path().to_string_lossy().into_owned();
        ListenerConfig {
            runtime_dir: text(&self.runtime),
            spill_dir: text(&self.spill),
            aside_dir: self.runtime.path().join("aside").to_string_lossy().into_owned(),
            vad_model: vad_model().to_string_lossy().into_owned(),
            offline,
            early: true,
            hangover_ms: 352,
            board: BoardPlace { slot: 2, generation: 3 },
        }
    }

    fn ring(&self, epoch: u64, first_frame: u64, seconds: u64) -> RingWriter {
        self.ring_of("mic", epoch, first_frame, seconds)
    }

    fn ring_of(&self, stream: &str, epoch: u64, first_frame: u64, seconds: u64) -> RingWriter {
        let spec = RingSpec {
            stream: stream.into(),
            session: SessionId([7; 16]),
            epoch: Epoch(epoch),
            previous_epoch: (epoch > 1).then(|| Epoch(epoch - 1)),
            sample_rate_hz: RATE,
            channels: 2,
            capacity_frames: u64::from(RATE) * seconds,
            first_frame: FrameIndex(first_frame),
            labels: Vec::new(),
            overview: false,
        };
        RingWriter::create(self.runtime.path(), &spec).expect("a ring")
    }

    fn keeper(&self) -> (Keeper<Sender<FromListener>>, Receiver<FromListener>) {
        let (report, said) = channel();
        (Keeper::new(&self.config(false), report).expect("a keeper"), said)
    }

    /// Starts to listen; what is said comes out of the channel.
    fn listen(&self, offline: bool, mark: Option<Mark>) -> (Receiver<FromListener>, Receiver<Errand>) {
        self.listen_with(offline, mark, Arc::default())
    }

    fn listen_with(
        &self,
        offline: bool,
        mark: Option<Mark>,
        pauses: Arc<Pauses>,
    ) -> (Receiver<FromListener>, Receiver<Errand>) {
        let (report, said) = channel();
        let (errands, list) = channel();
        let scan = Scan {
            config: self.config(offline).into(),
            stream: mic(),
            mark,
            pauses,
            hold: Arc::default(),
            vitals: Vitals::default(),
            jobs: Arc::default(),
            errands,
            report,
        };
        let detector = Detector::load(&vad_model()).expect("the model");
        std::thread::spawn(move || scan.run(detector));
        (said, list)
    }
}

fn mic() -> StreamName {
    StreamName::new("mic").expect("a name")
}

/// A clip at the ring's rate, both channels alike, `[channels][frames]` of a tenth of a second each.
fn speech() -> Vec<Vec<f32>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../speech/librivox_0880.wav");
    let clip = samples::read_wav(&path).expect("the clip");
    let mut converter = audio_dsp::RateConverter::new(16_000, RATE, 1).expect("rates");
    let mut out = [vec![0.0; RATE as usize / 2]];
    converter.process(&clip, clip.len(), &mut out);
    converter.finish(&mut out);
    let after = out[0].len() + RATE as usize;
    out[0].resize(after.next_multiple_of(4_800), 0.0);
    out[0].chunks(4_800).map(|tenth| [tenth, tenth].concat()).collect()
}

fn write(ring: &mut RingWriter, tenths: &[Vec<f32>]) {
    for tenth in tenths {
        ring.write(tenth, tenth.len() / 2);
    }
}

/// Messages up to and with the first that `last` is true of.
fn until(said: &Receiver<FromListener>, last: impl Fn(&FromListener) -> bool) -> Vec<FromListener> {
    let mut messages = Vec::new();
    while !messages.last().is_some_and(&last) {
        match said.recv_timeout(WATCHDOG) {
            Ok(message) => messages.push(message),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("never came, but {messages:?}"),
        }
    }
    messages
}

fn utterances(messages: &[FromListener]) -> Vec<Job> {
    let job = |message: &FromListener| match message {
        FromListener::Utterance(job) => Some(job.clone()),
        _ => None,
    };
    messages.iter().filter_map(job).collect()
}

fn is_finished(message: &FromListener) -> bool {
    matches!(message, FromListener::Finished { .. })
}

#[test]
fn a_spoken_sentence_becomes_one_job() {
    let house = House::new();
    let mut ring = house.ring(1, 1_000, 10);
    let (said, kept) = house.listen(false, None);
    let tenths = speech();
    for tenth in &tenths {
        write(&mut ring, std::slice::from_ref(tenth));
        std::thread::sleep(Duration::from_millis(20)); // so that it is heard growing
    }
    let end = ring.next_frame();
    ring.close();
    let messages = until(&said, is_finished);
    let jobs = utterances(&messages);
    let [job] = &jobs[..] else { panic!("{messages:?}") };
    assert_eq!((job.id, job.kind, job.epoch), (JobId::new(3, 0), JobKind::Final, Epoch(1)));
    // Half a second of silence stands before the clip, whose speech begins 0.25 s later.
    assert!((FrameIndex(1_000)..FrameIndex(1_000 + 36_000)).contains(&job.from), "{job:?}");
    assert!(job.from < job.speech_end && job.speech_end < job.to && job.to <= end, "{job:?}");
    assert!(job.to.since(job.from) > 2 * u64::from(RATE), "{job:?}");
    let growing = |m: &&FromListener| matches!(m, FromListener::Growing(partial) if partial.id == job.id);
    assert!(messages.iter().any(|m| growing(&m)), "{messages:?}");
    let Some(FromListener::Scanned { mark, .. }) = messages.iter().rfind(|m| matches!(m, FromListener::Scanned { .. }))
    else {
        panic!("{messages:?}")
    };
    assert_eq!(mark.frame, end);
    assert!(matches!(kept.try_recv(), Ok(Errand::Keep(kept)) if kept == *job));
    assert!(matches!(messages.last(), Some(FromListener::Finished { at, .. }) if *at == end));
}

#[test]
fn a_job_never_crosses_an_epoch() {
    let house = House::new();
    let tenths = speech();
    let mut first = house.ring(1, 0, 10);
    write(&mut first, &tenths[..18]); // in mid-sentence
    let end = first.next_frame();
    first.close();
    let mut second = house.ring(2, end.0 + 5_000, 10);
    write(&mut second, &tenths[18..]);
    second.close();
    let mark = Mark { epoch: Epoch(1), frame: FrameIndex(0) };
    let (said, _kept) = house.listen(false, Some(mark));
    let mut messages = until(&said, is_finished);
    messages.extend(until(&said, is_finished));
    let jobs = utterances(&messages);
    let [one, two] = &jobs[..] else { panic!("{messages:?}") };
    assert_eq!((one.epoch, one.to), (Epoch(1), end));
    assert!(two.epoch == Epoch(2) && two.from >= FrameIndex(end.0 + 5_000), "{two:?}");
    assert!(!messages.iter().any(|m| matches!(m, FromListener::Lost { .. })), "{messages:?}");
}

#[test]
fn what_is_said_in_a_pause_is_nobodys_business() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 20);
    let tenths = speech();
    let length = tenths.iter().map(|tenth| tenth.len() as u64 / 2).sum::<u64>();
    (0..3).for_each(|_| write(&mut ring, &tenths));
    ring.close();
    // In the middle of the first sentence, up to the silence before the third.
    let (begin, end) = (FrameIndex(length / 2), FrameIndex(2 * length));
    let pauses = Arc::new(Pauses::default());
    pauses.turn(begin, true);
    pauses.turn(end, false);
    let (said, _kept) = house.listen_with(false, None, Arc::clone(&pauses));
    let messages = until(&said, is_finished);
    let jobs = utterances(&messages);
    let [one, two] = &jobs[..] else { panic!("{messages:?}") };
    assert!(one.from < begin && one.to == begin && one.speech_end <= begin, "{one:?}");
    assert!(two.from >= end && two.to.since(two.from) > 2 * u64::from(RATE), "{two:?}");
    // The mark goes on, though nobody listens.
    let marks = messages
        .iter()
        .filter(|m| matches!(m, FromListener::Scanned { mark, .. } if mark.frame > begin && mark.frame <= end));
    assert!(marks.count() > 3, "{messages:?}");
    assert!(!messages.iter().any(|m| matches!(m, FromListener::Lost { .. })), "{messages:?}");
    // A new listener, from any mark on, knows the same.
    for frame in [begin.back(9_600), begin.plus(length / 4), end.back(100)] {
        let pauses = Arc::new(Pauses::default());
        pauses.turn(begin, true);
        pauses.turn(end, false);
        let (said, _kept) = house.listen_with(false, Some(Mark { epoch: Epoch(1), frame }), pauses);
        let jobs = utterances(&until(&said, is_finished));
        assert!(jobs.iter().all(|job| job.to <= begin || job.from >= end), "{jobs:?}");
        assert_eq!(jobs.last(), Some(&Job { id: jobs.last().map_or(JobId(0), |job| job.id), ..two.clone() }));
    }
}

#[test]
fn an_order_that_comes_late_holds_from_its_frame_on() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 20);
    let tenths = speech();
    let pauses = Arc::new(Pauses::default());
    let (said, _kept) = house.listen_with(false, None, Arc::clone(&pauses));
    write(&mut ring, &tenths[..25]);
    let is_growing = |m: &FromListener| matches!(m, FromListener::Growing(_));
    let mut messages = until(&said, is_growing);
    let pause = ring.next_frame().back(4_800);
    pauses.turn(pause, true);
    write(&mut ring, &tenths[25..]);
    ring.close();
    messages.extend(until(&said, is_finished));
    let jobs = utterances(&messages);
    assert!(matches!(&jobs[..], [job] if job.to == pause && job.from < pause), "{messages:?}");
}

#[test]
fn what_is_overwritten_in_a_pause_is_no_loss() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 2);
    for _ in 0..2 {
        write(&mut ring, &speech());
    }
    let reader = RingReader::attach_stream(house.runtime.path(), "mic").expect("the ring");
    let (from, to) = (FrameIndex(48_000), reader.oldest());
    ring.close();
    let pauses = Arc::new(Pauses::default());
    pauses.turn(from.plus(1_000), true);
    pauses.turn(to.back(3_000), false);
    let mark = Mark { epoch: Epoch(1), frame: from };
    let (said, _kept) = house.listen_with(false, Some(mark), pauses);
    let lost = |m: &FromListener| match m {
        FromListener::Lost { from, to, .. } => Some((*from, *to)),
        _ => None,
    };
    let lost: Vec<_> = until(&said, is_finished).iter().filter_map(lost).collect();
    assert_eq!(lost, [(from, from.plus(1_000)), (to.back(3_000), to)]);
}

#[test]
fn nothing_before_the_mark_is_said_again() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 10);
    let tenths = speech();
    write(&mut ring, &tenths);
    ring.close();
    for frame in [0, 30_000, 90_000, 190_000] {
        let frame = FrameIndex(frame);
        let (said, _kept) = house.listen(true, Some(Mark { epoch: Epoch(1), frame }));
        let messages = until(&said, is_finished);
        let jobs = utterances(&messages);
        assert_eq!(jobs.len(), usize::from(frame.0 < 190_000), "{messages:?}");
        assert!(jobs.iter().all(|job| job.from >= frame && job.kind == JobKind::Offline), "{jobs:?}");
        assert!(!messages.iter().any(|m| matches!(m, FromListener::Lost { .. })), "{messages:?}");
    }
}

#[test]
fn what_was_overwritten_before_it_was_heard_is_lost_and_said() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 2);
    for _ in 0..2 {
        write(&mut ring, &speech());
    }
    let reader = RingReader::attach_stream(house.runtime.path(), "mic").expect("the ring");
    ring.close();
    let (said, _kept) = house.listen(false, Some(Mark { epoch: Epoch(1), frame: FrameIndex(48_000) }));
    let messages = until(&said, is_finished);
    let lost = |m: &FromListener| match m {
        FromListener::Lost { from, to, .. } => Some((*from, *to)),
        _ => None,
    };
    let lost: Vec<_> = messages.iter().filter_map(lost).collect();
    assert_eq!(lost, [(FrameIndex(48_000), reader.oldest())]);
    assert!(utterances(&messages).iter().all(|job| job.from >= reader.oldest()), "{messages:?}");
}

fn job(count: u32, from: u64, to: u64) -> Job {
    Job {
        id: JobId::new(1, count),
        kind: JobKind::Final,
        stream: mic(),
        epoch: Epoch(1),
        from: FrameIndex(from),
        to: FrameIndex(to),
        speech_end: FrameIndex(to),
        samples: Samples::Ring,
    }
}

#[test]
fn what_would_be_overwritten_is_spilled_in_time_and_removed_when_done() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 12); // near the end is 4 s before the overwriting
    let tenths = speech();
    write(&mut ring, &tenths[..40]);
    let (mut keeper, said) = house.keeper();
    let (near, far) = (job(0, 24_000, 150_000), job(1, 120_000, 180_000));
    keeper.take(Errand::Keep(near.clone()));
    keeper.take(Errand::Keep(far.clone()));
    keeper.spill(Keeper::<Sender<FromListener>>::is_near_its_end);
    assert!(said.try_recv().is_err(), "nothing is in danger yet");
    let reader = RingReader::attach_stream(house.runtime.path(), "mic").expect("the ring");
    let expected = samples::read_ring(&reader, near.from, near.to, near.from).expect("there");
    write(&mut ring, &tenths);
    write(&mut ring, &tenths[..5]);
    keeper.spill(Keeper::<Sender<FromListener>>::is_near_its_end);
    let spilled: Vec<_> = said.try_iter().collect();
    let [FromListener::Spilled { id, file }] = &spilled[..] else { panic!("{spilled:?}") };
    let path = house.spill.path().join(file);
    assert_eq!((*id, file.as_str()), (near.id, format!("{}.wav", near.id.0).as_str()));
    assert_eq!(samples::read_wav(&path).expect("a spill file"), expected);
    keeper.take(Errand::SpillAll);
    let spilled: Vec<_> = said.try_iter().collect();
    assert!(matches!(&spilled[..], [FromListener::Spilled { id, .. }, FromListener::SpilledAll] if *id == far.id));
    keeper.take(Errand::Done(near.id));
    keeper.take(Errand::Done(far.id));
    assert_eq!(std::fs::read_dir(house.spill.path()).expect("listed").count(), 0);
}

#[test]
fn what_nobody_could_write_down_is_set_aside() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 12);
    write(&mut ring, &speech());
    let reader = RingReader::attach_stream(house.runtime.path(), "mic").expect("the ring");
    let (mut keeper, said) = house.keeper();
    let (spoken, gone) = (job(0, 24_000, 120_000), job(1, 1 << 40, (1 << 40) + 5));
    let expected = samples::read_ring(&reader, spoken.from, spoken.to, spoken.from).expect("there");
    keeper.take(Errand::Keep(spoken.clone()));
    keeper.take(Errand::SetAside(spoken.id));
    keeper.take(Errand::SetAside(gone.id));
    let messages: Vec<_> = said.try_iter().collect();
    let [FromListener::Spilled { .. }, FromListener::SetAside { id, file: Some(file) }, last] = &messages[..] else {
        panic!("{messages:?}")
    };
    let aside = house.runtime.path().join("aside");
    assert_eq!((*id, samples::read_wav(&aside.join(file)).expect("kept")), (spoken.id, expected));
    assert_eq!(*last, FromListener::SetAside { id: gone.id, file: None });
    keeper.take(Errand::Done(spoken.id));
    assert!(aside.join(file).exists(), "what is set aside stays");
    assert_eq!(std::fs::read_dir(house.spill.path()).expect("listed").count(), 0);
}

#[test]
fn what_cannot_be_saved_any_more_is_lost_and_said() {
    let house = House::new();
    let mut ring = house.ring(1, 0, 3);
    write(&mut ring, &speech()); // 4.5 s: the first 1.5 s are gone
    let reader = RingReader::attach_stream(house.runtime.path(), "mic").expect("the ring");
    let (mut keeper, said) = house.keeper();
    keeper.take(Errand::Keep(job(0, 0, 48_000)));
    keeper.take(Errand::Keep(job(1, 48_000, 144_000)));
    let mut elsewhere = job(2, 0, 48_000);
    elsewhere.epoch = Epoch(9);
    keeper.take(Errand::Keep(elsewhere));
    keeper.spill(|_, _| true);
    let spilled: Vec<_> = said.try_iter().collect();
    let (from, to) = (FrameIndex(48_000), reader.oldest());
    let lost = |from, to| FromListener::Lost { stream: mic(), from, to };
    assert!(FrameIndex(48_000) < to && to < FrameIndex(144_000), "{to:?}");
    let file = format!("{}.wav", JobId::new(1, 1).0);
    let rest = samples::read_wav(&house.spill.path().join(&file)).expect("the rest");
    assert_eq!(rest.len(), 32_000);
    assert!(rest[..5_000].iter().all(|&s| s == 0.0), "what is lost is silence");
    assert_eq!(
        spilled,
        [
            lost(FrameIndex(0), FrameIndex(48_000)),
            lost(from, to),
            FromListener::Spilled { id: JobId::new(1, 1), file },
            lost(FrameIndex(0), FrameIndex(48_000)),
        ]
    );
}

#[test]
fn a_stream_that_was_forgotten_and_comes_again_is_listened_to_once() {
    let house = House::new();
    let (report, said) = channel();
    let mut hearing = Hearing::new(house.config(false), &report).expect("a listener");
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("threads").flatten();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        tasks.map(name).filter(|name| name.trim() == "scan-guest").count()
    };
    let guest = StreamName::new("guest").expect("a name");
    let wait = |wanted: usize| {
        let begin = std::time::Instant::now();
        while threads() != wanted {
            assert!(begin.elapsed() < WATCHDOG, "{} threads, not {wanted}", threads());
            thread::sleep(Duration::from_millis(5));
        }
    };
    let clip = speech();
    for epoch in 1..=4 {
        let first = FrameIndex(epoch * 10_000_000);
        let mut ring = house.ring_of("guest", epoch, first.0, 10);
        // Of the second time it is told before the first thread has left; of the third, after.
        hearing
            .take(ToListener::Listen { stream: guest.clone(), mark: Some(Mark { epoch: Epoch(epoch), frame: first }) });
        wait(1);
        write(&mut ring, &clip);
        ring.close();
        let messages = until(&said, |m| matches!(m, FromListener::Finished { at, .. } if *at > first));
        let jobs = utterances(&messages);
        assert!(jobs.len() == 1 && jobs[0].epoch == Epoch(epoch), "{messages:?}");
        hearing.take(ToListener::Forget { stream: guest.clone() });
        if epoch >= 2 {
            wait(0);
        }
    }
    hearing.take(ToListener::SpillAll);
    assert!(hearing.streams.is_empty() && hearing.pauses.is_empty());
}

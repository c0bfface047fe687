//! End of speech to final: from the moment at which a clip's last audible sample was due in the ring until its last
//! final line was written.
//!
//! Where speech ends is found in the clips themselves, by their energy, and not by our voice detection.

use crate::rows::{Measure, Plan, Row, quantile};
use anyhow::{Context, Result, ensure};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use shm_layout::RingReader;
use std::collections::BTreeMap;
use system_tests::{CLIPS, Event, Flood, Setup, clip_file, watchdog};
use tempfile::TempDir;

pub(crate) const MEASURE: Measure =
    Measure { names: &["end of speech to final, p50", "end of speech to final, p95"], run: measure };

pub(crate) const FLOODED: Measure =
    Measure { names: &["end of speech to final in a flood of requests, p50"], run: flooded };

/// Clients that flood the control socket: as many as it serves, with the one that comes anew each time.
const CLIENTS: u64 = 15;

const RATE_HZ: u32 = 16_000;
/// One and a half seconds.
const PAUSE: usize = 24_000;
/// How long the listener waits whether a speaker goes on: no final can come sooner.
const HANG_OVER_S: f64 = 0.6;
/// A window of 10 ms belongs to the speech when it is less than 30 dB below the clip's loudest.
const WINDOW: usize = 160;
/// Samples below this are taken for silence where the file's place in the ring is checked.
const SILENCE: f32 = 0.01;
const AUDIBLE: f64 = 0.001; // in power

fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let joined = Joined::new()?;
    let mut latencies_s = Vec::new();
    for _ in 0..plan.times(3) {
        latencies_s.append(&mut joined.play(0)?);
    }
    let n = latencies_s.len();
    Ok(MEASURE
        .names
        .iter()
        .zip([0.5, 0.95])
        .map(|(name, part)| Row::new(name, quantile(&mut latencies_s, part), "s", n).against("hang-over", HANG_OVER_S))
        .collect())
}

/// The control socket is asked as fast as it answers, and beside it once more with nobody asking.
fn flooded(_plan: &Plan) -> Result<Vec<Row>> {
    let joined = Joined::new()?;
    let [mut calm, mut flooded] = [joined.play(0)?, joined.play(CLIENTS)?];
    let row = Row::new(FLOODED.names[0], quantile(&mut flooded, 0.5), "s", flooded.len());
    Ok(vec![row.against("nobody asks", quantile(&mut calm, 0.5))])
}

/// All clips in one file, with pauses before, between and after them.
struct Joined {
    folder: TempDir,
    clips: Vec<Span>,
    /// When the first sample is heard that is no silence.
    onset_s: f64,
}

/// Samples of the file.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: usize,
    speech_end: usize,
}

impl Joined {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let spec = WavSpec { channels: 1, sample_rate: RATE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(folder.path().join("joined.wav"), spec)?;
        let mut clips = Vec::new();
        for name in CLIPS {
            (0..PAUSE).try_for_each(|_| writer.write_sample(0_i16))?;
            let begin = writer.duration() as usize;
            let samples: Vec<i16> = WavReader::open(clip_file(name))?.samples().collect::<Result<_, _>>()?;
            samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
            let end = speech_end(&samples).with_context(|| format!("{name} is silent"))?;
            clips.push(Span { begin, speech_end: begin + end });
        }
        // The last utterance ends by its pause as all others do, and not by the end of the file.
        (0..3 * PAUSE).try_for_each(|_| writer.write_sample(0_i16))?;
        writer.finalize()?;
        let heard = WavReader::open(folder.path().join("joined.wav"))?
            .into_samples::<i16>()
            .position(|sample| sample.is_ok_and(|sample| f32::from(sample.saturating_abs()) / 32_768.0 > SILENCE));
        let onset_s = heard.context("all is silent")? as f64 / f64::from(RATE_HZ);
        Ok(Self { folder, clips, onset_s })
    }

    /// Plays it through a whole system, in real time, while so many clients flood it. One latency a clip.
    fn play(&self, asking: u64) -> Result<Vec<f64>> {
        let source = format!("file:{}", self.folder.path().join("joined.wav").display());
        let mut instance = Setup::run(&[&source]).start()?;
        let ring = instance.ring("file")?;
        let flood = (asking > 0).then(|| Flood::begin(&instance, asking));
        let mut latest = BTreeMap::new();
        let mut next = 0;
        loop {
            let what = "the next final or the end";
            let event = instance.log().wait(next, what, watchdog(12.0), |e| e.is("final") || e.is("stopped"))?;
            if event.is("stopped") {
                break;
            }
            next = event.index + 1;
            if latest.is_empty() {
                self.check_onset(&ring)?;
            }
            let (clip, latency_s) = self.latency(&event, &ring)?;
            eprintln!("clip {clip}: {latency_s:.3} s: {}", event.fields);
            // A clip with pauses has several finals; the last one ends it.
            latest.insert(clip, latency_s);
        }
        if let Some(flood) = flood {
            let flooded = flood.end()?;
            eprintln!("{flooded:?}");
            ensure!(flooded.stayed > asking && flooded.came > 0, "no flood: {flooded:?}");
        }
        ensure!(ring.gaps(ring.info().first_frame, ring.commit()).is_empty(), "gaps: the file's times do not hold");
        instance.wait_stopped(watchdog(2.0))?;
        instance.assert_clean()?;
        ensure!(latest.len() == CLIPS.len(), "finals of {} clips only", latest.len());
        ensure!(latest.values().all(|&latency_s| latency_s > 0.0), "a final before the end of speech: {latest:?}");
        Ok(latest.into_values().collect())
    }

    /// The file is where it is believed to be: its first frame is the ring's.
    fn check_onset(&self, ring: &RingReader) -> Result<()> {
        let info = ring.info();
        let frames = usize::try_from(ring.commit().since(info.first_frame))?;
        let mut samples = vec![0.0; frames];
        ring.read(info.first_frame, &mut samples, frames)?;
        let onset = samples.iter().position(|sample| sample.abs() > SILENCE).context("the ring is silent")?;
        let off_s = onset as f64 / f64::from(info.sample_rate_hz) - self.onset_s;
        ensure!(off_s.abs() < 0.005, "the file lies {off_s} s off in the ring");
        Ok(())
    }

    /// The clip of a final, and how long after the end of its speech it was written.
    fn latency(&self, event: &Event, ring: &RingReader) -> Result<(usize, f64)> {
        let info = ring.info();
        let rate_hz = u64::from(info.sample_rate_hz);
        let frame = |sample: usize| info.first_frame.plus(sample as u64 * rate_hz / u64::from(RATE_HZ));
        let start = event.whole("start_frame")?;
        let clip = self.clips.iter().rposition(|clip| frame(clip.begin - PAUSE / 2).0 <= start);
        let clip = clip.with_context(|| format!("a final before all clips: {}", event.fields))?;
        let due_ns = ring.instant_of(frame(self.clips[clip].speech_end)).context("the ring knows no times")?;
        Ok((clip, event.number("emitted_s")? - due_ns as f64 / 1e9))
    }
}

/// One past the last sample of the last audible window.
fn speech_end(samples: &[i16]) -> Option<usize> {
    let powers: Vec<f64> =
        samples.chunks(WINDOW).map(|window| window.iter().map(|&s| f64::from(s).powi(2)).sum()).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let last = powers.iter().rposition(|&power| power > loudest * AUDIBLE)?;
    Some(samples.len().min((last + 1) * WINDOW))
}

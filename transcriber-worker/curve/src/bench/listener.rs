//! The listener of one stream, a look at a time: as `transcriber-worker/src/listener/scan.rs`, without a ring.

use anyhow::Result;
use control_protocol::{Job, JobId, JobKind, Samples, StreamName};
use shm_layout::{Epoch, FrameIndex};
use transcriber_worker::segment::{LOOK_SAMPLES, Look, Policy, Segmenter, Utterance};
use transcriber_worker::vad::{Detector, FRAME_SAMPLES, SAMPLE_RATE_HZ};

/// As there.
const GROWN_MIN: u64 = SAMPLE_RATE_HZ as u64 * 4 / 10;

const fn samples(ms: u64) -> u64 {
    ms * SAMPLE_RATE_HZ as u64 / 1_000
}

/// What it knows.
pub(super) struct Listener {
    segmenter: Segmenter,
    stream: StreamName,
    id: Option<JobId>,
    utterances: u32,
    growing_said: u64,
    growing_every: u64,
}

impl Listener {
    /// Nothing was heard yet.
    ///
    /// # Errors
    /// Never: the name is a good one.
    pub(super) fn new(hangover_ms: u64, every_ms: u64) -> Result<Self> {
        let policy = Policy::LIVE.ended_by(samples(hangover_ms));
        let (segmenter, stream) = (Segmenter::new(policy, 0, 0), StreamName::new("mic")?);
        Ok(Self { segmenter, stream, id: None, utterances: 0, growing_said: 0, growing_every: samples(every_ms) })
    }

    /// What one look makes known.
    pub(super) fn look(&mut self, detector: &mut Detector, frame: &[f32; FRAME_SAMPLES]) -> Option<Job> {
        #[expect(clippy::cast_precision_loss, reason = "512")]
        let power = frame.iter().map(|s| s * s).sum::<f32>() / FRAME_SAMPLES as f32;
        let probability = detector.probability(frame);
        if let Some(utterance) = self.segmenter.push(Look { probability, power }) {
            let job = self.job(JobKind::Final, utterance);
            self.id = None;
            return Some(job);
        }
        if let Some(utterance) = self.segmenter.tentative() {
            return Some(self.job(JobKind::Tentative, utterance));
        }
        let position = self.segmenter.position();
        let due = match self.segmenter.speaking_since() {
            Some(from) if self.growing_said > from => self.growing_said + self.growing_every,
            Some(from) => from + GROWN_MIN,
            None => return None,
        };
        let growing = self.segmenter.growing().filter(|u| position >= due && u.speech_end + LOOK_SAMPLES >= position);
        growing.map(|utterance| self.job(JobKind::Partial, utterance))
    }

    fn job(&mut self, kind: JobKind, utterance: Utterance) -> Job {
        self.growing_said = self.segmenter.position();
        let id = *self.id.get_or_insert_with(|| {
            self.utterances += 1;
            JobId::new(1, self.utterances)
        });
        let [from, to, speech_end] = [utterance.from, utterance.to, utterance.speech_end].map(FrameIndex);
        Job { id, kind, stream: self.stream.clone(), epoch: Epoch(1), from, to, speech_end, samples: Samples::Ring }
    }
}

//! Is somebody speaking? The Silero voice detector (version 6, ONNX) as a stream.
//!
//! One call looks at [`FRAME_SAMPLES`] samples (32 ms at 16 kHz) together with the last [`CONTEXT_SAMPLES`] of the
//! frame before and the network's own memory, and answers with a probability. Nothing here knows about utterances;
//! that is [`crate::segment`].
//!
//! The network runs on a thread pool of one thread. A caller that asks often does so from inside
//! [`Detector::inside`], where a run is a plain function call and wakes no other thread.

use rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The rate the detector hears.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Samples of one look: 32 ms.
pub const FRAME_SAMPLES: usize = 512;
/// Samples of the frame before that a look sees again.
pub const CONTEXT_SAMPLES: usize = 64;

/// What the network says next, and the cells in which it sums up what it has heard.
const STATE_SHAPE: [usize; 3] = [2, 1, 128];
/// What a cell keeps from look to look: nearly nothing after a minute. By itself the network keeps all, and after a minute
/// of tones, hum or surf its cells stand so far from where speech finds them that it is deaf to the first second of it.
/// Keeping less makes it take noise for speech: at 6 s it heard words in surf.
const CELLS_KEPT: f32 = 1.0 - 1.0 / 500.0;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum VadError {
    /// The model file cannot be read, or is no model of this kind.
    #[error("voice detector {path}: {reason} (`tympan model fetch` fetches it)", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The network failed while running; the state is not to be used further without [`Detector::reset`].
    #[error("the voice detector failed: {0}")]
    Run(String),
}

/// A voice detector in the middle of one stream.
pub struct Detector {
    model: Arc<Model>,
    nodes: Nodes,
    pool: Arc<ThreadPool>,
    state: NdTensor<f32, 3>,
    input: [f32; CONTEXT_SAMPLES + FRAME_SAMPLES],
}

#[derive(Clone, Copy)]
struct Nodes {
    input: NodeId,
    state: NodeId,
    rate: NodeId,
    output: NodeId,
    state_next: NodeId,
}

impl Detector {
    /// Loads the model; takes some tens of milliseconds.
    ///
    /// # Errors
    /// [`VadError::Model`] when the file is missing, damaged or another model.
    pub fn load(path: &Path) -> Result<Self, VadError> {
        let refuse = |reason: String| VadError::Model { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
        let model =
            rten::ModelOptions::with_all_ops().prepack_weights(true).load(bytes).map_err(|e| refuse(e.to_string()))?;
        let node =
            |name: &str| model.find_node(name).ok_or_else(|| refuse(format!("not a Silero model: it has no {name:?}")));
        let nodes = Nodes {
            input: node("input")?,
            state: node("state")?,
            rate: node("sr")?,
            output: node("output")?,
            state_next: node("stateN")?,
        };
        let mut detector = Self::fresh(Arc::new(model), nodes);
        detector.probability(&[0.0; FRAME_SAMPLES]).map_err(|e| refuse(e.to_string()))?;
        detector.reset();
        Ok(detector)
    }

    /// Another detector for another stream: the same weights, an own state and an own thread.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::fresh(Arc::clone(&self.model), self.nodes)
    }

    fn fresh(model: Arc<Model>, nodes: Nodes) -> Self {
        Self {
            model,
            nodes,
            pool: Arc::new(ThreadPool::with_num_threads(1)),
            state: NdTensor::zeros(STATE_SHAPE),
            input: [0.0; CONTEXT_SAMPLES + FRAME_SAMPLES],
        }
    }

    /// Runs `work` on the thread the network runs on, and waits for it.
    pub fn inside<R: Send>(mut self, work: impl FnOnce(&mut Self) -> R + Send) -> R {
        let pool = Arc::clone(&self.pool);
        pool.run(|| work(&mut self))
    }

    /// Takes samples in which nobody can be heard, without a look at them.
    pub fn pass_over(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        self.input.copy_within(FRAME_SAMPLES.., 0);
        self.input[CONTEXT_SAMPLES..].copy_from_slice(frame);
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.state = NdTensor::zeros(STATE_SHAPE);
        self.input.fill(0.0);
    }

    /// The probability, 0 to 1, that somebody speaks in these samples, which follow those of the call before.
    ///
    /// # Errors
    /// [`VadError::Run`] when the network fails.
    ///
    /// # Real time
    /// No: it allocates and takes about a tenth of a millisecond.
    pub fn probability(&mut self, frame: &[f32; FRAME_SAMPLES]) -> Result<f32, VadError> {
        self.input.copy_within(FRAME_SAMPLES.., 0);
        self.input[CONTEXT_SAMPLES..].copy_from_slice(frame);
        let rate = NdTensor::from(i32::try_from(SAMPLE_RATE_HZ).unwrap_or(i32::MAX));
        let state = std::mem::replace(&mut self.state, NdTensor::zeros(STATE_SHAPE));
        let inputs = vec![
            (self.nodes.input, NdTensorView::from_data([1, self.input.len()], &self.input[..]).into()),
            (self.nodes.state, state.into()),
            (self.nodes.rate, rate.into()),
        ];
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let [probability, state] = self
            .model
            .run_n(inputs, [self.nodes.output, self.nodes.state_next], Some(options))
            .map_err(|e| VadError::Run(e.to_string()))?;
        self.state = state.try_into().map_err(|_| VadError::Run("its state has another shape".into()))?;
        self.state.slice_mut(1).apply(|cell| cell * CELLS_KEPT);
        let probability: NdTensor<f32, 2> =
            probability.try_into().map_err(|_| VadError::Run("its answer has another shape".into()))?;
        probability.iter().next().copied().ok_or_else(|| VadError::Run("no answer".into()))
    }
}

//! Is somebody speaking? The Silero voice detector (version 6, ONNX) as a stream.
//!
//! One call looks at [`FRAME_SAMPLES`] samples (32 ms at 16 kHz) together with the last [`CONTEXT_SAMPLES`] of the
//! frame before and the network's own memory, and answers with a probability. Nothing here knows about utterances;
//! that is [`crate::segment`].

mod layer;
mod network;
#[cfg(test)]
pub(crate) mod tests;
mod weights;
#[cfg(target_arch = "x86_64")]
mod wide;

use network::{HEARD_SAMPLES, Memory, Network};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The rate the detector hears.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Samples of one look: 32 ms.
pub const FRAME_SAMPLES: usize = 512;
/// Samples of the frame before that a look sees again.
pub const CONTEXT_SAMPLES: usize = 64;

/// What a cell keeps from look to look: nearly nothing after a minute. By itself the network keeps all, and after a minute
/// of tones, hum or surf its cells stand so far from where speech finds them that it is deaf to the first second of it.
/// Keeping less makes it take noise for speech: at 6 s it heard words in surf.
const CELLS_KEPT: f32 = 1.0 - 1.0 / 500.0;

/// Why there is no detector.
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
}

/// A voice detector in the middle of one stream.
pub struct Detector {
    network: Arc<Network>,
    memory: Memory,
    heard: [f32; HEARD_SAMPLES],
}

impl Detector {
    /// Loads the model; takes some milliseconds.
    ///
    /// # Errors
    /// [`VadError::Model`] when the file is missing, damaged or another model.
    pub fn load(path: &Path) -> Result<Self, VadError> {
        let refuse = |reason: String| VadError::Model { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
        Ok(Self::fresh(Arc::new(Network::parse(&bytes).map_err(refuse)?)))
    }

    /// Another detector for another stream: the same weights and a memory of its own.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::fresh(Arc::clone(&self.network))
    }

    fn fresh(network: Arc<Network>) -> Self {
        Self { network, memory: Memory::EMPTY, heard: [0.0; HEARD_SAMPLES] }
    }

    /// Takes samples in which nobody can be heard, without a look at them.
    ///
    /// # Real time
    /// Wait-free; does not allocate.
    pub fn pass_over(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        self.heard.copy_within(FRAME_SAMPLES.., 0);
        self.heard[CONTEXT_SAMPLES..].copy_from_slice(frame);
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        self.memory = Memory::EMPTY;
        self.heard.fill(0.0);
    }

    /// The probability, 0 to 1, that somebody speaks in these samples, which follow those of the call before.
    ///
    /// # Real time
    /// Does not allocate, lock or call the system; takes some hundredths of a millisecond.
    #[must_use]
    pub fn probability(&mut self, frame: &[f32; FRAME_SAMPLES]) -> f32 {
        self.pass_over(frame);
        let probability = self.network.look(&mut self.memory, &self.heard);
        self.memory.cells.iter_mut().for_each(|cell| *cell *= CELLS_KEPT);
        probability
    }
}

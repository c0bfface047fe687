//! What lies between a sound and its ring.

use serde::{Deserialize, Serialize};

/// What the first frame of a block has waited for when it can be read, in the order of its way. In microseconds; measured,
/// but for what never varies.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    /// From the sound to the device's callback, besides the period; `None` where the device does not say.
    pub hardware_us: Option<u32>,
    /// The period of the device, or what the ring's writer writes at once.
    pub period_us: u32,
    /// What lies ready, so that a late callback is no gap.
    pub queue_us: u32,
    /// What is inside of the resampler.
    pub resampler_us: u32,
    /// The block itself: it is written when its last frame is due.
    pub block_us: u32,
    /// By how much the tick is late.
    pub tick_us: u32,
    /// What the way into the mix ring takes more: the limiter looks ahead.
    pub mix_us: u32,
}

/// How much resamplers compute.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// For speech, and for many sources.
    Fast,
    /// The default.
    #[default]
    Normal,
    /// For music.
    Best,
}

//! Placeholder.
mod frame;
pub use frame::{Epoch, FrameIndex, SessionId};

//! Carries `control-protocol` messages between the supervisor and its children, over ipc-channel.
//!
//! The supervisor makes a [`LinkServer`] and starts the child with its [`environment`]; the child calls [`connect`].
//! Both ends then have a [`LinkSender`] and a [`LinkReceiver`]. What travels in ipc-channel's frames are bytes that
//! `control-protocol` encodes, bounds and decodes, so garbage in a payload is an error and nothing worse.
//!
//! What it never does: carry audio, or route (ipc-channel's `ROUTER` dies for all children at one bad frame).
//! Every call may block; none belongs on a real-time thread.

mod child;
mod link;
mod server;

pub use child::connect;
pub use link::{LinkError, LinkReceiver, LinkSender, largest_message_bytes};
pub use server::{LinkServer, environment, release};

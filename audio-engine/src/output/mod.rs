//! Playback: a stream's ring, or that of the mix, to an output device.
//!
//! ```text
//! ring ─► player: reads, resamples, maps channels ─► lock-free queue ─► callback ─► device
//!   (a reader like any other)         ▲                                     │ when it asked for how much
//!                                     └──── the device's clock, learnt ◄────┘
//! ```
//!
//! The callback ([`Playback`]) only takes what is there; where nothing is, it plays silence and counts. The
//! player ([`Player`]) reads the ring as anybody could, read-only, so that an output that is stuck, slow or gone can
//! touch nothing else. The keeper ([`keep`]) opens the device, watches it and opens it again.
//!
//! What lies between ring and device is kept at one length: both clocks are learnt, of the ring from its commits and
//! of the device from its callbacks, and the sound is resampled from the one to the other. An output that leads is not
//! resampled: it tells the tick how fast to be ([`Pilot`]), and what is in the ring is played bit by bit.

mod callback;
mod devices;
mod keeper;
mod pilot;
mod player;
mod virtual_output;
mod which;

pub use callback::{Asked, Play, Playback, playback};
pub use devices::{Kind, OutputLine, list};
pub use keeper::{Form, News, Opening, Output, keep};
pub use pilot::Pilot;
pub use player::{Gauge, Player, Reading};
pub use virtual_output::{VirtualOutput, VirtualOutputSpec};
pub use which::{Which, WhichError};

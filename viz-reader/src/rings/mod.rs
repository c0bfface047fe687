//! Rings as a viewer sees them: found by name, of either layout version, followed through all their lives.
//!
//! A viewer asks at its own pace: [`RingView::news`] says what happened since it asked last, [`RingView::history`] what
//! there is of a stretch of time. Neither waits, and neither can disturb the writer, who does not know of readers.

mod any_ring;
mod history;
mod place;
mod view;

pub use any_ring::{AnyRing, Shape};
pub use history::{Stretch, What};
pub use place::{RingPlace, all_places, is_ring_file, runtime_folder};
pub use view::{News, Position, RingView};

//! What the fuzz targets do; `shm-layout/tests/bytes.rs` does the same without a fuzzer.

pub mod bodies;

use bodies::{Place, Reached};
use std::cell::RefCell;

thread_local! {
    static PLACE: RefCell<Place> = RefCell::new(Place::new());
}

/// Runs one case in this thread's folder.
pub fn with_place(case: impl FnOnce(&mut Place) -> Reached) {
    PLACE.with_borrow_mut(|place| case(place));
}

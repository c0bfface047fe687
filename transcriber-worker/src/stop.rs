//! Ending a computation of Whisper early: when the supervisor asks for the end, or is gone.

#![expect(unsafe_code, reason = "whisper-rs offers its abort callback only as an unsafe C callback")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use whisper_rs::FullParams;

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on every computation fails at its next step: between two tokens, or after the encoder.
pub(crate) fn now() {
    STOP.store(true, Ordering::Relaxed);
}

/// Lets [`now`] end the computation these parameters are for.
pub(crate) fn watch(params: &mut FullParams<'_, '_>) {
    // SAFETY: the callback is a plain function that takes no notice of its argument and reads one static atomic, so
    // it can be called from any thread of whisper.cpp at any time; it cannot unwind.
    unsafe { params.set_abort_callback(Some(asked)) };
}

extern "C" fn asked(_: *mut c_void) -> bool {
    STOP.load(Ordering::Relaxed)
}

//! Inside a computation of Whisper: showing that it goes on, and ending it early when the supervisor asks for the end or
//! is gone.

#![expect(unsafe_code, reason = "whisper-rs offers its abort callback only as an unsafe C callback")]

use shm_layout::board::Pulse;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use whisper_rs::FullParams;

static STOP: AtomicBool = AtomicBool::new(false);
static PULSE: OnceLock<Arc<Pulse>> = OnceLock::new();

/// From now on every step of every computation is a turn of this pulse.
pub(crate) fn show(pulse: Arc<Pulse>) {
    // A process has one worker.
    let _ = PULSE.set(pulse);
}

/// From now on every computation fails at its next step: between two tokens, or after the encoder.
pub(crate) fn now() {
    STOP.store(true, Ordering::Relaxed);
}

/// Lets [`now`] end the computation these parameters are for.
pub(crate) fn watch(params: &mut FullParams<'_, '_>) {
    // SAFETY: the callback is a plain function that takes no notice of its argument and touches static atomics only, so
    // it can be called from any thread of whisper.cpp at any time; it cannot unwind.
    unsafe { params.set_abort_callback(Some(asked)) };
}

extern "C" fn asked(_: *mut c_void) -> bool {
    if let Some(pulse) = PULSE.get() {
        pulse.turn();
    }
    STOP.load(Ordering::Relaxed)
}

//! An instruction that the processor does not know ends the process in words.
//!
//! [`crate::processor`] compares what ggml can name. A compiler that was told to use all of a processor may use more,
//! and a library may be told to use kernels of another processor: this is for what is left.

#![expect(unsafe_code, reason = "a signal handler")]

use control_protocol::Exit;
use std::ffi::{c_int, c_void};

const WORDS: &[u8] =
    b"error: this processor does not know an instruction of this program, which was built for another: \
build it on this machine (`cargo build --release`)\n";

/// From now on such an instruction ends the process with [`Exit::CpuUnfit`].
pub fn watch() {
    // SAFETY: all fields of a `sigaction` may be zero; those that count are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = tell as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
    // SAFETY: `action` is a valid action whose handler has the shape that SA_SIGINFO asks for. No handler of somebody
    // else is lost: nothing in this program has one for this signal.
    unsafe { libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()) };
}

extern "C" fn tell(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands a valid `info`.
    let (by_kernel, at) = unsafe { ((*info).si_code > 0, (*info).si_addr().cast::<u8>()) };
    // SAFETY: a signal by the kernel has the address of the instruction, which was just read there.
    if !by_kernel || unsafe { is_trap(at) } {
        // What happens without a handler: SA_RESETHAND has removed it, and this signal waits for its end.
        // SAFETY: may be called in a handler.
        unsafe { libc::raise(libc::SIGILL) };
        return;
    }
    // SAFETY: both may be called in a handler. Nobody is left to hear of a write that fails.
    unsafe {
        libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len());
        libc::_exit(Exit::CpuUnfit.code().into());
    }
}

/// Whether this is the instruction by which compilers end a program on purpose (`ud2`): known, and illegal everywhere.
///
/// # Safety
/// `at` is the address of an instruction.
unsafe fn is_trap(at: *const u8) -> bool {
    // SAFETY: an instruction has a first byte, and one that begins with this byte a second.
    cfg!(target_arch = "x86_64") && unsafe { *at == 0x0F && *at.add(1) == 0x0B }
}

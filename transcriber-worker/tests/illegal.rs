//! Instructions that no processor knows: one by mistake, and the one by which compilers end a program.
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "illegal instructions")]

use control_protocol::Exit;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

/// Runs one of the tests below in a process of its own, where it does what it is for.
fn alone(test: &str) -> Output {
    let tests = std::env::current_exe().expect("this program");
    Command::new(tests).args(["--exact", test, "--ignored", "--nocapture"]).output().expect("it starts")
}

#[test]
fn an_unknown_instruction_ends_the_process_in_words() {
    let output = alone("by_mistake");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code().and_then(Exit::from_code), Some(Exit::CpuUnfit), "{said}");
    assert!(said.contains("error: this processor does not know an instruction"), "{said}");
}

#[test]
fn a_program_that_ends_itself_is_left_to_it() {
    let output = alone("on_purpose");
    assert_eq!(output.status.signal(), Some(libc::SIGILL), "{output:?}");
}

#[test]
fn a_signal_by_somebody_else_is_what_it_was() {
    let output = alone("by_somebody");
    assert_eq!(output.status.signal(), Some(libc::SIGILL), "{output:?}");
}

#[test]
#[ignore = "ends its process: `an_unknown_instruction_ends_the_process_in_words` starts it in one of its own"]
fn by_mistake() {
    transcriber_worker::illegal::watch();
    // SAFETY: ends this process, which is here for that.
    unsafe { std::arch::asm!("ud1 eax, eax") };
}

#[test]
#[ignore = "ends its process: `a_program_that_ends_itself_is_left_to_it` starts it in one of its own"]
fn on_purpose() {
    transcriber_worker::illegal::watch();
    // SAFETY: as above.
    unsafe { std::arch::asm!("ud2") };
}

#[test]
#[ignore = "ends its process: `a_signal_by_somebody_else_is_what_it_was` starts it in one of its own"]
fn by_somebody() {
    transcriber_worker::illegal::watch();
    // SAFETY: as above.
    unsafe { libc::raise(libc::SIGILL) };
}
